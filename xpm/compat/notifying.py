"""`tqdm` that tells the job's progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from xpm.core.session import progress

T = TypeVar("T")

_depth = 0


def tqdm(
    iterable: Iterable[T], *, total: int | None = None, desc: str | None = None, **_: object
) -> Iterator[T]:
    """Goes through `iterable`, and tells how far it is; within another `tqdm`, on the next level.

    Args:
        iterable: what to go through.
        total: how many there are; its length by default.
        desc: what is being done.
        _: how tqdm would print it, which it doesn't here.
    """
    global _depth
    count = total if total is not None else (len(iterable) if isinstance(iterable, Sized) else None)
    level = _depth
    _depth += 1
    try:
        for at, each in enumerate(iterable, 1):
            yield each
            if count:
                progress(at / count, desc, level=level)
    finally:
        _depth = level
