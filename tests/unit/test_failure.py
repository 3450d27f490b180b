"""A failure in one line."""

from __future__ import annotations

import pytest

from xpm.broker.broker import Failure


@pytest.mark.parametrize(
    ("kind", "message", "line"),
    [
        ("ValueError", "3 is too many", "ValueError: 3 is too many"),
        ("ValueError", "first\nsecond", "ValueError: first"),
        ("killed", "", "killed"),
        ("E", "x" * 57, "E: " + "x" * 57),
        ("E", "x" * 58, "E: " + "x" * 56 + "…"),
        ("E" * 61, "", "E" * 59 + "…"),
    ],
)
def test_what_is_cut_says_so(kind: str, message: str, line: str) -> None:
    assert Failure("exception", kind, message).line == line
