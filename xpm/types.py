"""The vocabulary: names for the plain values that travel between the parts."""

from __future__ import annotations

from typing import NewType

JobId = NewType("JobId", str)
"""A job's name: the identifier of its task, 64 lower-case hexadecimal digits."""

ShortId = NewType("ShortId", str)
"""The first 32 digits of a `JobId`: the key of a job in the broker."""

Namespace = NewType("Namespace", str)
"""A workspace's name in the broker: 12 lower-case hexadecimal digits."""

Fence = NewType("Fence", str)
"""26 decimal digits, epoch (10) before counter (16): of two fences the greater, as text, is the later."""

Scalar = None | bool | int | float | str
"""What a tag's value can be."""


def short(job: str) -> ShortId:
    """The broker's key of the job `job`."""
    return ShortId(job[:32])
