"""Tasks that go on where an earlier attempt stopped."""

from __future__ import annotations

from xpm.core.config import Task
from xpm.core.info import Resumable, info_of


class ResumableTask(Task, Resumable):
    """A task whose directory is kept between attempts: `execute` looks there for what an earlier one has saved.

    It may raise `GracefulTimeout` to be continued, in a new attempt that isn't counted.

    Example:
        ```python
        class Train(ResumableTask):
            steps: Param[int]

            def execute(self) -> int:
                saved = Path("step")
                done = int(saved.read_text()) if saved.exists() else 0
                for step in range(done, self.steps):
                    saved.write_text(str(step + 1))
                    left = self.remaining_time()
                    if left is not None and left < 60:
                        raise GracefulTimeout("no time for another step")
                return self.steps
        ```
    """

    def remaining_time(self) -> float | None:
        """Seconds until the time limit of this attempt; None when it has none, and outside of a job."""
        info = info_of(self)
        return None if info is None or info.session is None else info.session.remaining()
