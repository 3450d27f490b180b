"""What all experiments of a workspace share, as a script sees and changes it: queues, workers, tokens, locks."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from xpm.core.requirement import checked_capacity
from xpm.errors import UsageError
from xpm.here import person
from xpm.settings import QUEUE_NAME, is_queue

if TYPE_CHECKING:
    from xpm.experiment.link import Link
    from xpm.experiment.tokens import Lock, Token
    from xpm.experiment.usage import Usage

T = TypeVar("T")


class Sharing(Protocol):
    """An open experiment, for what it shares with others: what is changed here is changed for all of them, at once."""

    def _with_broker(self, act: Callable[[Link], T]) -> T: ...

    def pause_queue(self, name: str) -> bool:
        """Starts no job of a queue until it is resumed; what runs goes on. A queue may be paused before it has jobs.

        Returns:
            Whether it was not paused before.

        Raises:
            UsageError: no queue can have this name.
        """
        _check_queue(name)
        return bool(self._with_broker(lambda link: link.broker.pause([name], person())))

    def resume_queue(self, name: str) -> bool:
        """Starts jobs of a queue again.

        Returns:
            Whether it was paused.

        Raises:
            UsageError: no queue can have this name.
        """
        _check_queue(name)
        return bool(self._with_broker(lambda link: link.broker.resume([name])))

    def drain_workers(self, *names: str) -> int:
        """Has workers finish their jobs, take no others, and end. Their pool starts no others in their place.

        An experiment that waits and has local workers starts new ones for what is left.

        Args:
            names: hosts, `HOST.PID`, or whole names of workers; without any, all workers of the workspace.

        Returns:
            How many were told.

        Raises:
            UsageError: a name is of none.
        """
        for name in cast("tuple[object, ...]", names):
            if not isinstance(name, str):
                raise UsageError(f"drain_workers(): expected names of workers or hosts, got {name!r}")
        return self._with_broker(lambda link: _drain(link, names))

    def set_capacity(self, token: Token, capacity: int, *, host: str | None = None) -> int | None:
        """Changes how much there is of a token, or makes it.

        Nothing is taken back: when less is left than is in use, nothing is granted until use is within it. Jobs that
        need more than there is are held, and come back when it is raised again.

        Args:
            token: as `token("gpu")` gives it.
            capacity: how much there is from now on, from 0 on.
            host: only on this host; of a token that each host has for itself.

        Returns:
            What it was; None of a new token.

        Raises:
            ConfigError: there can't be so much.
            UsageError: it is no token, or is counted in the other way, for all hosts or per host.
        """
        resource = _resource(token, 'set_capacity(): expected a token("gpu")', "th")
        capacity = checked_capacity(capacity, f"token {token.name}")
        ledger: Any = importlib.import_module("xpm.broker.ledger")  # few scripts need it
        return self._with_broker(lambda link: ledger.set_capacity(link.broker, resource, capacity, host))

    def usage(self, of: Token | Lock) -> Usage:
        """How a token or lock stands now: how much is in use, who holds it, who waits for it, and since when.

        Args:
            of: as `token("gpu")` or `lock("index")` gives it.

        Raises:
            UsageError: there is none; or one that is counted in the other way, for all hosts or per host.
        """
        resource = _resource(of, 'usage(): expected a token("gpu") or lock("index")', "thl")
        module: Any = importlib.import_module("xpm.experiment.usage")  # few scripts need it
        return self._with_broker(lambda link: module.usage(link.broker, resource))


def _check_queue(name: object) -> None:
    if not is_queue(name):
        raise UsageError(f"queue {name!r}: {QUEUE_NAME}")


def _resource(of: object, expected: str, kinds: str) -> str:
    """What the broker knows a token or lock by, if it is one of these kinds."""
    found = getattr(of, "resource", None)
    if not isinstance(found, str) or found[0] not in kinds:
        raise UsageError(f"{expected}, got {of!r}")
    return found


def _drain(link: Link, names: tuple[str, ...]) -> int:
    chosen = link.views.named(names) if names else link.views.enrolled()
    return len(link.broker.dismiss([one.name for one in chosen])) if chosen else 0
