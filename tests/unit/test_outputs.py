from __future__ import annotations

from pathlib import Path

import pytest

from xpm.core.outputs import Output
from xpm.workspace.outputs import JOURNAL, Journal, read_outputs

FIRST, SECOND = Output("", "checkpoint", '{"step": [1]}'), Output(".model", "checkpoint", '{"step": 2}')


def test_outputs_come_back_once_and_in_order(tmp_path: Path):
    assert read_outputs(tmp_path) == read_outputs(tmp_path / "none") == []
    journal = Journal(str(tmp_path))
    assert journal.add(FIRST) and journal.add(SECOND)
    assert not Journal(str(tmp_path)).add(FIRST)
    assert read_outputs(tmp_path) == [FIRST, SECOND]


@pytest.mark.parametrize("cut", range(1, 38))
def test_a_line_that_was_cut_off_spoils_no_other(cut: int, tmp_path: Path):
    journal = Journal(str(tmp_path))
    journal.add(FIRST)
    file = tmp_path / JOURNAL
    file.write_bytes(file.read_bytes()[:-cut])
    assert read_outputs(tmp_path) == []
    assert journal.add(SECOND) and journal.add(FIRST)
    assert read_outputs(tmp_path) == [SECOND, FIRST]
