"""The environment that a script gives its jobs."""

from __future__ import annotations

from typing import Any

import pytest

from xpm.core.environ import LONGEST, checked_variable, pack_environ, unpack_environ
from xpm.errors import UsageError


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("", "1", "expected the name of a variable, got ''"),
        ("A=B", "1", "expected the name of a variable"),
        ("A\0", "1", "expected the name of a variable"),
        (3, "1", "expected the name of a variable, got 3"),
        ("XPM_JOB", "1", "XPM_JOB is xpm's own"),
        ("A", 1, "A: expected a text, got 1"),
        ("A", "a\0b", "A: expected a text"),
    ],
)
def test_what_is_no_variable_is_refused(name: Any, value: Any, told: str) -> None:
    with pytest.raises(UsageError, match=f"setenv.*{told}"):
        checked_variable(name, value)


def test_variables_are_packed_and_unpacked() -> None:
    environ = {"B": "ü = \"'\n", "A": ""}
    assert unpack_environ(pack_environ(environ)) == environ
    assert pack_environ({}) == "" and unpack_environ("") == {}
    assert pack_environ({"a": "1", "b": "2"}) == pack_environ({"b": "2", "a": "1"})


def test_too_many_are_refused() -> None:
    with pytest.raises(UsageError, match="at most 8,192 are kept"):
        pack_environ({"A": "x" * LONGEST})
