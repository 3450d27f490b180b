"""Jobs by their directories alone; what is there when a worker has done them is in the acceptance tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpm.errors import WorkspaceError
from xpm.workspace.saving import load


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    (tmp_path / ".xpm").mkdir()
    (tmp_path / ".xpm/result.json").write_text("{")
    with pytest.raises(WorkspaceError, match=r"result.json is damaged, or another job's: take the job's own"):
        load(tmp_path)
