"""Tokens and locks as users write them: `token("gpu", 4)`, `lock("index")`."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn

from xpm.core.lengths import Wait
from xpm.core.requirement import ALL, Kind, Need, checked_amount, checked_name, collected
from xpm.errors import ConfigError, UsageError
from xpm.experiment.holding import Held, Hold, enter, leave


class Token:
    """A counted limit that holds for all hosts, or for each host; made by `token`."""

    def __init__(self, name: str, capacity: int | None, kind: Kind) -> None:
        self.name = name
        self.capacity = capacity
        self._kind: Kind = kind

    @property
    def resource(self) -> str:
        """What the broker knows it by."""
        return f"{self._kind}.{self.name}"

    def __call__(self, amount: int = 1) -> Need:
        """So much of it, for `requires=`: from 1 to the capacity, which is the broker's when the job is submitted.

        Raises:
            ConfigError: it is no whole number, or more than any token has.
        """
        amount = checked_amount(amount, f"{self.name}({amount!r})")
        return Need(self._kind, self.name, amount, self.capacity)

    def acquire(self, amount: int = 1, *, timeout: Wait = None, priority: int = 0) -> Hold:
        """Holds so much of it while a `with` block runs; waits until it is free.

        In a job that requires some of it already, this is more of it, which is refused: two jobs that do so would
        wait for each other.

        Args:
            amount: from 1 to the capacity.
            timeout: how long to wait: seconds, a text like `"2h"`, a timedelta; None waits as long as it takes.
            priority: higher goes first.

        Raises:
            SubmissionError: there is not so much of it, no such time, or no such priority.
        """
        return Hold((self(amount),), timeout, priority)

    def __eq__(self, other: object) -> bool:
        return type(other) is Token and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((self.resource, self.capacity))

    def __repr__(self) -> str:
        capacity = "" if self.capacity is None else f", {self.capacity}"
        return f"token({self.name!r}{capacity}{', per=' + repr('host') if self._kind == 'h' else ''})"

    if not TYPE_CHECKING:  # which finds it by itself

        def __enter__(self) -> NoReturn:
            raise UsageError(f"{self!r} is held in amounts: write  with {self!r}.acquire(1):")

        __exit__ = __enter__


class LockUse(Need):
    """A lock to be read or written: for `requires=`, and as a `with` block in code that runs.

    In a block within a block of the same thread and coroutine, and in a job that requires the lock, it is held already.
    """

    __slots__ = ()

    def acquire(self, *, timeout: Wait = None, priority: int = 0) -> Hold:
        """The `with` block, with a limit to the wait.

        Args:
            timeout: how long to wait: seconds, a text like `"2h"`, a timedelta; None waits as long as it takes.
            priority: higher goes first.
        """
        return Hold((self._bare,), timeout, priority)

    @property
    def _bare(self) -> Need:
        return Need(self.kind, self.name, self.amount, self.capacity)

    def __enter__(self) -> Held:
        return enter(self, (self._bare,))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave(self)


class Lock:
    """A lock that many may read, or one may write; made by `lock`."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def resource(self) -> str:
        """What the broker knows it by."""
        return f"l.{self.name}"

    def read(self) -> LockUse:
        """Together with other readers; writers wait."""
        return LockUse("l", self.name, 1, ALL)

    def write(self) -> LockUse:
        """Alone. `held.fence` grows from holder to holder: what is written with it can refuse an older one."""
        return LockUse("l", self.name, ALL, ALL)

    def __eq__(self, other: object) -> bool:
        return type(other) is Lock and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.resource)

    def __repr__(self) -> str:
        return f"lock({self.name!r})"

    if not TYPE_CHECKING:

        def __enter__(self) -> NoReturn:
            raise UsageError(
                f"{self!r} is read or written: write  with {self!r}.read():  or  with {self!r}.write():"
            )

        __exit__ = __enter__


def acquire(*needs: Need, timeout: Wait = None, priority: int = 0) -> Hold:
    """Holds several tokens and locks while a `with` block runs: all of them at once, or none.

    Args:
        needs: amounts of tokens, and locks to read or to write, as for `requires=`.
        timeout: how long to wait: seconds, a text like `"2h"`, a timedelta; None waits as long as it takes.
        priority: higher goes first.

    Raises:
        ConfigError: nothing is named, or something else.
        SubmissionError: there is not so much of a token, no such time, or no such priority.

    Example:
        ```python
        with acquire(gpu(1), lock("index").read(), timeout=60) as held:
            ...
        ```
    """
    if not needs:
        raise ConfigError('acquire(): nothing to hold; name it, as in acquire(gpu(1), lock("index").read())')
    return Hold(collected(needs, "acquire()"), timeout, priority)


def token(name: str, capacity: int | None = None, *, per: Literal["host"] | None = None) -> Token:
    """A counted limit, across all hosts: GPUs, licences, connections to a data base.

    This is a value and asks nobody. The first submission or `acquire` makes the token; where it exists already, its
    capacity stays as it is, and `xpm token set` changes it.

    Args:
        name: letters, digits, `_`, `-` and `.`.
        capacity: how much there is; None: the token must exist.
        per: `host`: each host has so much.

    Raises:
        ConfigError: the name or the capacity can't be.

    Example:
        ```python
        gpu = token("gpu", 4)
        train.submit(requires=[gpu(2)])
        ```
    """
    checked_name(name, "token")
    if capacity is not None:
        capacity = checked_amount(capacity, f"token {name}")
    if per not in (None, "host"):
        raise ConfigError(f"token {name}: per={per!r}: expected 'host', or nothing for all hosts")
    return Token(name, capacity, "h" if per else "t")


def lock(name: str) -> Lock:
    """A lock across all hosts that many may read, or one may write.

    Args:
        name: letters, digits, `_`, `-` and `.`.

    Raises:
        ConfigError: the name can't be.

    Example:
        ```python
        build.submit(requires=[lock("index").write()])
        with lock("index").read():
            ...
        ```
    """
    return Lock(checked_name(name, "lock"))
