"""Tags as experimaestro gives them: a mapping that can also be called."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Self, cast

from xpm.types import Scalar


class TagDict(dict[str, Scalar]):
    """Tags, sorted by name; hashable, and called gives itself: `cfg.tags` and `cfg.tags()` are the same."""

    def __init__(self, *given: Any, **more: Scalar) -> None:
        super().__init__(sorted(dict(*given, **more).items()))

    def __call__(self) -> Self:
        """Itself."""
        return self

    def __hash__(self) -> int:  # type: ignore[override] - a dict says None
        return hash(tuple(cast("dict[str, Hashable]", self).items()))


def tags(config: Any) -> TagDict:
    """The tags of a description or a live task, those of its parameters included."""
    return TagDict(config.tags)
