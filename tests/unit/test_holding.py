from __future__ import annotations

import sys
from types import ModuleType

import pytest

from xpm.experiment import holding


def test_code_may_acquire_while_another_thread_imports_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncio", ModuleType("asyncio"))
    assert holding._task() is None
