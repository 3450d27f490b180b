"""The jobs that tasks had before classes were renamed or replaced: what those have done counts."""

from __future__ import annotations

from itertools import count
from typing import Any

from xpm.core.deprecation import former_names
from xpm.core.identifier import digest, hashed, own_document, produced
from xpm.core.info import JobRef, info_of
from xpm.core.schema import Schema
from xpm.types import JobId


def former_jobs(task: Any) -> tuple[JobRef, ...]:
    """The jobs that the prepared `task` would have had: as it is written, and by the former names of all classes in it.

    A class is looked for by its last name but one together with those of others, and so on back to the first; not by
    each combination of old and new names.
    """
    found: dict[JobRef, None] = {}
    last = b""
    for back in count():
        made = _Former(back)
        this = made(task)
        if this == last:
            break
        last = this
        found[JobRef(JobId(this.hex()), made.name(task.__xpm_schema__))] = None
    own = digest(task).hex()
    return tuple(ref for ref in found if ref.id != own)


class _Former:
    """The digests of descriptions with the names that their classes had so many names ago, and no conversions."""

    def __init__(self, back: int) -> None:
        self._back = back
        self._found: dict[int, tuple[Any, bytes]] = {}
        """With the descriptions, whose `id` others could have when they are gone."""

    def name(self, schema: Schema) -> str:
        names = former_names(schema)
        return names[min(self._back, len(names) - 1)]

    def __call__(self, config: Any) -> bytes:
        known = self._found.get(id(config))
        if known is None:
            known = self._found[id(config)] = (config, self._digest(config))
        return known[1]

    def _digest(self, config: Any) -> bytes:
        schema: Schema = config.__xpm_schema__
        info = info_of(config)
        if schema.missing(config.__dict__) or (info is not None and info.promise):
            return digest(config)  # nothing but its job is known
        document = own_document(config, schema, self, fresh=True)
        document[1] = self.name(schema)
        found = hashed(config, info, document, self)
        if info is None or info.producer is None:
            return found
        former = info.former
        return produced(found, former[min(self._back, len(former) - 1)] if former else info.producer)
