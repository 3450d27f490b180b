"""What RQ's workers run."""

from __future__ import annotations

from typing import Any

from journal import mark


def noop(n: int) -> int:
    """One line."""
    return mark(n)


def ten(**parameters: Any) -> int:
    """A job with ten parameters."""
    return mark(parameters["a"])
