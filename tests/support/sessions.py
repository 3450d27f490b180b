"""A session that only prepares: for tests of descriptions, with no broker and no workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xpm.core.config import Task, reference
from xpm.core.hooks import hooked
from xpm.core.session import SubmitOptions, current
from xpm.core.submission import Prepared, prepare


class Recorder:
    """Keeps what was submitted."""

    def __init__(self, root: Path = Path("/ws/jobs")) -> None:
        self.root = root
        self.prepared: list[Prepared] = []
        self.options: list[SubmitOptions] = []
        self.progressed: list[tuple[float, str | None, int]] = []

    def __enter__(self) -> Recorder:
        self._token = current.set(self)
        return self

    def __exit__(self, *exception: object) -> None:
        current.reset(self._token)

    @property
    def last(self) -> Prepared:
        return self.prepared[-1]

    def submit(self, task: Task, options: SubmitOptions) -> None:
        options = hooked(task, options)
        self.prepared.append(prepare(task))
        self.options.append(options)

    def jobpath(self, task: Task) -> Path:
        return self.root / reference(task).id

    def handle(self, task: Task) -> Any:
        return ("job", reference(task).id)

    def result(self, task: Task, timeout: float | None) -> Any:
        return (reference(task).id, timeout)

    def progress(self, value: float, desc: str | None, level: int) -> None:
        self.progressed.append((value, desc, level))

    def remaining(self) -> float | None:
        return None
