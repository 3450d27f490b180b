"""Services of an experiment: something that runs beside its script, such as a TensorBoard on what the jobs write."""

from __future__ import annotations

import subprocess
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpm.errors import UsageError

if TYPE_CHECKING:
    from xpm.compat.experiments import experiment

READY = 60.0
"""Seconds in which a service should have said where it is."""

END = 5.0
"""Seconds that the process of a service has to end."""


class Service:
    """Something that belongs to an experiment."""

    id: str = "service"
    experiment: experiment | None = None

    def set_experiment(self, xp: experiment) -> None:
        """It was added to the open experiment `xp`."""
        self.experiment = xp

    def description(self) -> str:
        """What it is, for people."""
        return self.id

    def state_dict(self) -> dict[str, Any]:
        """What it could be made again from."""
        return {}


class WebService(Service, ABC):
    """A service that people look at in a browser; a subclass serves it in `_serve`.

    Args:
        log_directory: where its logs lie; by default in the experiment's folder.
    """

    url: str | None = None
    """Where it is, once it is ready."""

    def __init__(self, log_directory: Path | None = None) -> None:
        self.log_directory = log_directory
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @abstractmethod
    def _serve(self, running: threading.Event) -> None:
        """Serves until `should_stop()`; sets `self.url`, and then `running`."""

    def should_stop(self) -> bool:
        """Whether it is to end."""
        return self._stop.is_set()

    def get_url(self) -> str:
        """Where it is; it is started if need be.

        Raises:
            UsageError: it didn't start.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._guarded, name=f"xpm serves {self.id}", daemon=True)
            self._thread.start()
        self._ready.wait(READY)
        if self._error is not None:
            raise UsageError(f"service {self.id}: {self._error}") from self._error
        if self.url is None:
            raise UsageError(f"service {self.id}: not ready within {READY:.0f} s")
        return self.url

    def _guarded(self) -> None:
        try:
            self._serve(self._ready)
        except Exception as error:  # whatever a service raises is told to who asks for its URL
            self._error = error
        self._ready.set()

    def stop(self, timeout: float = 2.0) -> None:
        """Has it end, and waits for that.

        Args:
            timeout: seconds to wait at the most.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)


class ProcessWebService(WebService):
    """A service that is a program: a subclass says which in `_build_command`, and finds its URL in `_wait_for_ready`."""

    process: subprocess.Popen[bytes] | None = None
    stdout: Path | None = None
    stderr: Path | None = None

    @abstractmethod
    def _build_command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def _wait_for_ready(self) -> str:
        """Waits until it serves, and gives its URL."""

    def _serve(self, running: threading.Event) -> None:
        folder = self.log_directory
        if folder is None:
            assert self.experiment is not None, "added to an experiment"
            folder = self.experiment.path / "services" / self.id
        folder.mkdir(parents=True, exist_ok=True)
        self.stdout, self.stderr = folder / "stdout.log", folder / "stderr.log"
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.process = subprocess.Popen(
                self._build_command(), stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        try:
            self.url = self._wait_for_ready()
            running.set()
            self._stop.wait()
        finally:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(END)
            self.process.kill()
            self.process.wait()
