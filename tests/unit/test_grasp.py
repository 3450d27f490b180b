from __future__ import annotations

import os
from pathlib import Path

from xpm.experiment.grasp import Grasp
from xpm.experiment.voice import Voice
from xpm.settings import load
from xpm.workspace.layout import Workspace


def test_a_process_that_is_forked_while_a_thread_asks_for_a_token_can_ask_itself(tmp_path: Path) -> None:
    grasp = Grasp(Workspace.open(tmp_path / "runs"), load(arguments={"workers": 0}), Voice())
    with grasp._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if grasp._lock.acquire(timeout=5) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert grasp._lock.locked()
