"""Settings of other packages in JSON files, by their own marshmallow schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self


class JsonSettings:
    """Settings that a schema reads and writes."""

    SCHEMA: ClassVar[Any] = None
    """Makes the marshmallow schema, which loads objects of the class."""
    path: Path

    @classmethod
    def load(cls, path: Path) -> Self:
        """The settings in a file; the defaults if there is none."""
        found: Self = cls.SCHEMA().loads(path.read_text("utf-8")) if path.is_file() else cls()
        found.path = path
        return found

    def save(self) -> None:
        """Writes them to the file that they were loaded from."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.SCHEMA().dumps(self), "utf-8")
