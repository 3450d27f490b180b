"""A kernel of Jupyter, as a notebook has one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from jupyter_client.manager import KernelManager

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
WITHIN = 60.0
"""Seconds that one cell may take."""


class Shown(NamedTuple):
    """What is shown below a cell."""

    out: str
    """What it printed, and what its last line gave."""
    err: str
    error: str
    """What is shown of an exception; empty if there was none."""
    displayed: tuple[str, ...] = ()
    """What was displayed, one after another in the same place."""


class Kernel:
    """A kernel; `close` ends it.

    Args:
        folder: where it runs.
        env: its environment.
        notebook: the notebook's file, which Jupyter's server tells its kernels; None as where nobody does.
    """

    def __init__(self, folder: Path, env: dict[str, str], notebook: Path | None = None) -> None:
        given = {} if notebook is None else {"JPY_SESSION_NAME": str(notebook)}
        self._manager = KernelManager()
        self._manager.start_kernel(cwd=str(folder), env={**env, **given})
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=WITHIN)

    def begin(self, cell: str) -> str:
        """Has a cell executed, and returns at once what `end` takes."""
        return self._client.execute(cell)

    def end(self, begun: str) -> Shown:
        """Waits for the end of a cell."""
        displayed: list[str] = []
        found = {"stdout": "", "stderr": "", "error": ""}
        while True:
            message = self._client.get_iopub_msg(timeout=WITHIN)
            if message["parent_header"].get("msg_id") != begun:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return Shown(found["stdout"], found["stderr"], found["error"], tuple(displayed))
            if kind == "stream":
                found[content["name"]] += content["text"]
            elif kind == "execute_result":
                found["stdout"] += content["data"]["text/plain"]
            elif kind in ("display_data", "update_display_data"):
                displayed.append(content["data"]["text/plain"])
            elif kind == "error":
                found["error"] += ESCAPE.sub("", "\n".join(content["traceback"]))

    def run(self, *cells: str) -> Shown:
        """Executes cells; what the last one shows. Those before it must end well."""
        shown = Shown("", "", "")
        for cell in cells:
            assert not shown.error, shown.error
            shown = self.end(self.begin(cell))
        return shown

    def interrupt(self) -> None:
        """What the stop button does."""
        self._manager.interrupt_kernel()

    def close(self) -> None:
        """Ends it."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
