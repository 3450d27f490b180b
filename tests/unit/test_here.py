from __future__ import annotations

import os

import pytest

from xpm.here import person, this_host, this_user


def test_a_person_is_a_user_at_a_host() -> None:
    assert person() == f"{this_user()}@{this_host()}"


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 5)
    assert this_user.__wrapped__() == "2147483643"
