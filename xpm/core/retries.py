"""When a job whose attempt failed is attempted again, and how long after."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Self, cast

from xpm.core.lengths import seconds
from xpm.core.naming import SCRIPT_MODULE
from xpm.core.scalars import unwrapped, whole
from xpm.core.spelling import nearest
from xpm.errors import SubmissionError

MENDABLE = ("exception", "exit", "signal", "oom", "timeout", "lost", "disk")
"""Causes after which another attempt may succeed: what is retried when a policy names none."""

NAMED_ONLY = ("import", "result")
"""Causes that would most likely come again."""

MOST_TIMES = 10_000

Cause = type[BaseException] | str


@dataclass(frozen=True, slots=True)
class Failing:
    """What is known of a failure when it is decided whether there is another attempt."""

    kind: str
    """See `xpm.workspace.attempts.Failure`."""
    names: tuple[str, ...] = ()
    """The exception's class and its bases, as `exception_name` names them."""
    code: int | None = None
    """The exit status."""

    @property
    def out_of_memory(self) -> bool:
        """Whether there was too little memory, of the host, of the cgroup, or of a GPU."""
        return self.kind == "oom" or any(
            name == "MemoryError" or name.endswith("OutOfMemoryError") for name in self.names
        )


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, after what, and when a job is attempted again.

    Args:
        times: further attempts at most, after the first.
        on: what they follow: classes of exceptions (or their dotted names), `"exception"` (any), `"exit"` (the process
            left by itself) or `"exit:75"`, `"signal"` (it crashed), `"oom"` (out of memory), `"timeout"` (its time
            limit), `"lost"` (its process, worker, pool or host was), `"disk"`, `"import"` (its code could not be loaded) or
            `"result"` (what it returned cannot be kept). All but the last two when nothing is named.
        delay: seconds before the first further attempt; also a text like `"2 min"`, or a timedelta.
        factor: by what the delay grows from one to the next.
        most: the longest delay.
        jitter: the part of each delay, from 0 to 1, of which a random share is left out, so that jobs that failed
            together don't come back together.

    Raises:
        SubmissionError: a value is impossible.

    Example:
        ```python
        Train.C(lr=0.1).submit(retries=Retries(5, on=(OSError, "oom"), delay="1 min"))
        ```
    """

    times: int
    on: tuple[Cause, ...] | Cause = MENDABLE
    delay: float | str | timedelta = 1.0
    factor: float = 2.0
    most: float | str | timedelta = 600.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        times = whole(self.times)
        if times is None or times not in range(MOST_TIMES + 1):
            raise SubmissionError(
                f"retries: times: expected a whole number from 0 to {MOST_TIMES}, got {self.times!r}"
            )
        _set(self, "times", times)
        _set(self, "factor", _number("factor", self.factor, 1, 1000))
        _set(self, "jitter", _number("jitter", self.jitter, 0, 1))
        given: Iterable[object] = self.on if isinstance(self.on, tuple | list) else (self.on,)
        _set(self, "on", tuple(_cause(each) for each in given))
        for name in ("delay", "most"):
            _set(self, name, seconds(getattr(self, name), f"retries: {name}", least=0))
        if not self.on:
            raise SubmissionError("retries: on: names nothing")

    @classmethod
    def of(cls, given: object) -> Self:
        """The policy that `retries=` means: one, or a number of further attempts.

        Raises:
            SubmissionError: it is neither.
        """
        if isinstance(given, cls):
            return given
        times = whole(given)
        if times is None:
            raise SubmissionError(
                f"retries: expected a number of further attempts or Retries(...), got {given!r}"
            )
        return cls(times)

    def covers(self, failing: Failing) -> bool:
        """Whether another attempt may follow this failure, if the budget allows."""
        on = cast(tuple[str, ...], self.on)
        if failing.kind == "killed":  # somebody wanted its end
            return False
        if failing.out_of_memory and "oom" in on:
            return True
        return (
            failing.kind in on
            or (failing.kind == "exit" and f"exit:{failing.code}" in on)
            or any(name in on for name in failing.names)
        )

    def pack(self) -> str:
        """As the broker keeps it: numbers (times in milliseconds), then the causes; `lib/retry.lua` reads it too."""
        delay, most = (round(1000 * cast(float, each)) for each in (self.delay, self.most))
        return " ".join(
            [str(self.times), str(delay), f"{self.factor:g}", str(most), f"{self.jitter:g}", *self.causes]
        )

    @property
    def causes(self) -> tuple[str, ...]:
        """What is retried, each by its name."""
        return cast(tuple[str, ...], self.on)

    @classmethod
    def unpack(cls, packed: str) -> Self:
        """The reverse of `pack`."""
        times, delay, factor, most, jitter, *causes = packed.split()
        made = cls(0, MENDABLE)
        fields = {
            "times": int(times),
            "on": tuple(causes),
            "delay": int(delay) / 1000,
            "factor": float(factor),
            "most": int(most) / 1000,
            "jitter": float(jitter),
        }
        for name, value in fields.items():  # as they are: a newer xpm may have further causes
            _set(made, name, value)
        return made


_SCRIPTS = ("builtins", "__main__", SCRIPT_MODULE)
"""The modules of a script's own classes, in its process and in workers; and of Python's."""


def exception_name(cls: type[BaseException]) -> str:
    """The name of an exception's class, the same in the script and in the worker."""
    return cls.__qualname__ if cls.__module__ in _SCRIPTS else f"{cls.__module__}.{cls.__qualname__}"


def _set(policy: Retries, name: str, value: object) -> None:
    object.__setattr__(policy, name, value)


def _number(name: str, value: object, least: float, most: float) -> float:
    plain: object = unwrapped(value)
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not least <= plain <= most:
        raise SubmissionError(f"retries: {name}: expected a number from {least} to {most}, got {value!r}")
    return plain


def _names_exception(text: str) -> bool:
    found: object = getattr(builtins, text, None)
    if isinstance(found, type):
        return issubclass(cast(type[object], found), BaseException)
    parts = text.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


_EXCEPTIONS = sorted(name for name in vars(builtins) if _names_exception(name))


def _cause(given: object) -> str:
    if isinstance(given, type) and issubclass(cast(type[object], given), BaseException):
        return exception_name(cast(type[BaseException], given))
    if isinstance(given, str):
        given = given.removeprefix("builtins.")
        if given in MENDABLE or given in NAMED_ONLY or _names_exception(given):
            return given
        kind, _, code = given.partition(":")
        if kind == "exit" and code.isascii() and code.isdigit():
            if int(code) <= 255:
                return given
            raise SubmissionError(f"retries: on: {given!r}: the status of a process is at most 255")
    names = [*MENDABLE, *NAMED_ONLY, "exit:75"]
    like_a_class = isinstance(given, str) and given[:1].isupper()
    hint = (
        nearest(str(given), _EXCEPTIONS if like_a_class else names)
        or f": expected an exception, or one of {', '.join(names)}"
    )
    raise SubmissionError(f"retries: on: {given!r}{hint}")
