"""The callbacks that only the script can call: it does, while it waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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

CallBack = Callable[[Callable[[], None]], bool]
"""Calls what the script is to be called for, after what it is given each time; whether there was something."""


def refuse_detached(local: Local) -> None:
    """Refuses a callback that nobody would be there to call.

    Raises:
        UsageError: with the reason.
    """
    raise UsageError(
        f"{local}: only this script can call it ({local.reason}), and a detached run goes on without the script: "
        "give a function at the top level of a module or of the script"
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """One that is still to be called, and the outputs that it was called for."""

    local: Local
    seen: set[Output] = field(default_factory=set[Output])


class Calls:
    """Those that are still to be called, each once in a run of the script.

    Args:
        workspace: where outputs are seen.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._waiting: list[_Waiting] = []
        self.failure: BaseException | None = None
        """What a callback has raised: the script ends by it."""

    def add(self, local: Local) -> None:
        """One more."""
        self._waiting.append(_Waiting(local))

    def call(self, states: States, before: Callable[[], None] = lambda: None) -> bool:
        """Calls those whose time has come; whether there were any.

        Args:
            states: tells how jobs stand.
            before: called before each of them.

        Raises:
            BaseException: what a callback raises; the rest are not called.
        """
        if not self._waiting:
            return False
        found = states([reference(one.local.task).id for one in self._waiting])
        called = False
        for one in self._waiting[:]:
            if one not in self._waiting:  # the callback before it has waited, and so it was called
                continue
            local, done = one.local, found[reference(one.local.task).id] is State.DONE
            fresh = self._fresh(one) if local.watched else []
            if done:
                self._waiting.remove(one)
            for output in fresh:
                before()
                self._guarded(one, lambda local=local, output=output: call_output(local, output))
            if done and not local.watched:
                before()
                self._guarded(one, lambda local=local: call_completed(local))
            called = called or done or bool(fresh)
        return called

    def _fresh(self, one: _Waiting) -> list[Output]:
        """The outputs that it was not called for yet."""
        ref = reference(one.local.task)
        # While an attempt begins there may be fewer: those before are carried over from the last one.
        known = read_outputs(self._workspace.jobpath(ref.task, ref.id))
        wanted = [each for each in known if (each.place, each.method) == one.local.watched]
        fresh = [each for each in wanted if each not in one.seen]
        one.seen.update(fresh)
        return fresh

    def _guarded(self, one: _Waiting, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            self.failure = error
            # It was called: nobody is to be told that it was not.
            self._waiting = [other for other in self._waiting if other is not one]
            raise

    def tell_lost(self, voice: Voice) -> None:
        """The script leaves: says what it won't call."""
        for one in self._waiting:
            voice.say(f"not called, since the script leaves: {one.local}")
        self._waiting.clear()
