"""The callbacks that only the script can call: it does, while it waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xpm.core.callbacks import Local, call_completed, call_output
from xpm.core.config import reference
from xpm.core.outputs import Output
from xpm.core.state import State
from xpm.errors import UsageError
from xpm.experiment.voice import Voice
from xpm.types import JobId
from xpm.workspace.layout import Workspace
from xpm.workspace.outputs import read_outputs

States = Callable[[Sequence[JobId]], Mapping[JobId, State]]


def refuse_detached(local: Local) -> None:
    """Refuses a callback that nobody would be there to call.

    Raises:
        UsageError: with the reason.
    """
    raise UsageError(
        f"{local}: only this script can call it ({local.reason}), and a detached run goes on without the script: "
        "give a function at the top level of a module or of the script"
    )


class Calls:
    """Those that are still to be called, each once in a run of the script.

    Args:
        workspace: where outputs are seen.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._waiting: list[Local] = []
        self._given: dict[int, int] = {}
        """How many outputs were looked at for each that watches; by its identity."""
        self.failure: BaseException | None = None
        """What a callback has raised: the script ends by it."""

    def add(self, local: Local) -> None:
        """One more."""
        self._waiting.append(local)

    def call(self, states: States) -> bool:
        """Calls those whose time has come; whether there were any.

        Raises:
            BaseException: what a callback raises; the rest are not called.
        """
        if not self._waiting:
            return False
        found = states([reference(local.task).id for local in self._waiting])
        called = False
        for local in self._waiting[:]:
            done = found[reference(local.task).id] is State.DONE
            fresh = self._fresh(local) if local.watched else []
            if done:
                self._waiting.remove(local)
            for output in fresh:
                self._guarded(local, lambda local=local, output=output: call_output(local, output))
            if done and not local.watched:
                self._guarded(local, lambda local=local: call_completed(local))
            called = called or done or bool(fresh)
        return called

    def _fresh(self, local: Local) -> list[Output]:
        """The outputs that `local` did not see yet."""
        ref = reference(local.task)
        known = read_outputs(self._workspace.jobpath(ref.task, ref.id))
        at, self._given[id(local)] = self._given.get(id(local), 0), len(known)
        return [output for output in known[at:] if (output.place, output.method) == local.watched]

    def _guarded(self, local: Local, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            self.failure = error
            # It was called: nobody is to be told that it was not.
            self._waiting = [one for one in self._waiting if one is not local]
            raise

    def tell_lost(self, voice: Voice) -> None:
        """The script leaves: says what it won't call."""
        for local in self._waiting:
            voice.say(f"not called, since the script leaves: {local}")
        self._waiting.clear()
