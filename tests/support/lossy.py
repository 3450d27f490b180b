"""Scripts whose replies are lost: whoever made a call makes it again, at once or later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from xpm.broker.line import Call
from xpm.broker.scripts import Scripts

NUMBERED = {"claim", "finish", "fail", "crash", "hand_back", "adjourn", "miss"}
"""Workers' calls: the same number gets the same reply."""

Same = Callable[[Any, Any], bool]

REPEATED: dict[str, Same] = {
    **dict.fromkeys(NUMBERED, lambda first, again: first[:2] == again[:2]),
    **dict.fromkeys(("open", "declare", "neglected"), lambda first, again: first == again),
    **dict.fromkeys(("free", "lapse", "expire", "depart"), lambda first, again: not again),
    **dict.fromkeys(("hold", "release", "kill"), lambda first, again: len(first) == len(again)),
    "enrol": lambda first, again: True,
    "keep": lambda first, again: first == again,
    "submit": lambda first, again: {action for _, action, _ in again} <= {b"joined", b"reused"},
    "resize": lambda first, again: True,
    "acquire": lambda first, again: first == again or first[0] == b"waiting",
}
"""Calls that change something, and whether a second reply may follow a first one."""


class Lossy(Scripts):
    """Each call that changes something is made twice while `losing`."""

    losing = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.last: dict[str, tuple[str, tuple[Any, ...], Any]] = {}
        """By worker: its last call and the reply."""

    def run(self, name: str, *args: bytes | str | int | float) -> Any:
        reply = super().run(name, *args)
        if name in NUMBERED:
            self.last[str(args[0])] = name, args, reply
        if not (self.losing and name in REPEATED):
            return reply
        again = super().run(name, *args)
        assert REPEATED[name](reply, again), f"{name} {args}: {reply}, and again: {again}"
        return again if name in ("acquire", "submit") else reply

    def run_each(self, name: str, calls: Iterable[Call]) -> Iterator[Any]:
        for call in calls:
            yield self.run(name, *call)

    def replay(self, worker: str, *, held: bool) -> None:
        """The worker's last call comes again, and then the one before; `held`: whether it has what it was granted."""
        name, args, reply = self.last[worker]
        again = super().run(name, *args)
        assert again[:2] == [reply[0], reply[1] if held else b""], f"{name} {args}: {reply}, later: {again}"
        if args[1] > 1:
            stale = super().run(name, args[0], args[1] - 1, *args[2:])
            assert stale[:2] == [b"stale", b""]
