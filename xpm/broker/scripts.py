"""Loads the Lua files, one transition each, and runs them.

A file's head names the library parts that it uses (`Use: lease fetch`); they, and what they need in turn, are put in
front of it, so that Redis gets one self-contained script. `lua/README.md` is the key schema and the calling convention.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError, RedisError

from xpm.broker.line import Call, Line
from xpm.broker.linking import link
from xpm.broker.refusals import as_ours
from xpm.errors import BrokerError

BUDGET = 250
"""Edges that one call settles at most; the rest goes on a list that the next calls go on with."""

UNDER_WAY = 16
"""Calls that are sent before the first of them is answered."""

STALE = "STALEEPOCH"
"""How the server's answer begins to a caller that has not greeted it since its data came from another life."""

_READ_ONLY = "a read only replica"
"""What a master that became a replica says of writes. Redis 6.2 wraps it, so that the client has no class for it."""

_LUA = Path(__file__).with_name("lua")
_USE = re.compile(r"Use: ([a-z ]+)")
_NEEDS = re.compile(r"Needs ([a-z, ]+)\.")


def names() -> list[str]:
    """The scripts there are: the verbs of the broker."""
    return sorted(path.stem for path in _LUA.glob("*.lua"))


@cache
def source(name: str, budget: int = BUDGET) -> str:
    """The whole text of a script, what it uses of the library in front."""
    body = (_LUA / f"{name}.lua").read_text()
    parts: dict[str, str] = {}
    _collect(_USE.search(body), parts)
    return link([f"local BUDGET = {budget}\n", *(f"{part}\n" for part in parts.values())], body)


def _collect(named: re.Match[str] | None, parts: dict[str, str]) -> None:
    """Add the parts of the library that a head names, each behind those that it needs."""
    for part in named.group(1).replace(",", " ").split() if named else ():
        if part not in parts:
            text = (_LUA / "lib" / f"{part}.lua").read_text()
            _collect(_NEEDS.search(text), parts)
            parts[part] = text


@cache
def digest(name: str, budget: int = BUDGET) -> str:
    """The SHA-1 by which Redis knows the script."""
    return sha1(source(name, budget).encode()).hexdigest()


class StaleEpoch(BrokerError):
    """The server's data is of another life of it than the one that was greeted: nothing was done."""


class Scripts:
    """The scripts of one namespace on one server.

    Every script is safe to repeat, so a call whose reply was lost is simply made again by the client.
    """

    def __init__(self, client: Redis, prefix: str, budget: int = BUDGET) -> None:
        self._client: Any = client
        self._prefix = prefix
        self._budget = budget

    def run(self, name: str, *args: bytes | str | int | float) -> Any:
        """Run a script; `args` are its ARGV from 2 on.

        Raises:
            BrokerUnreachable: there is no connection, or the server takes no changes (`BrokerStalled`).
            StaleEpoch: the caller must greet the server first.
            BrokerError: the server refused the call.
        """
        with self._told_as_ours(name):
            try:
                return self._client.execute_command(*self._by_digest(name), *args)
            except NoScriptError:
                return self._client.execute_command(
                    "EVAL", source(name, self._budget), 0, self._prefix, *args
                )

    def run_each(self, name: str, calls: Iterable[Call]) -> Iterator[Any]:
        """Run a script once for each of `calls`; others' calls may come between them.

        Some are on their way while earlier ones are being answered, and `calls` are made meanwhile.

        Raises:
            BrokerUnreachable: there is no connection, or the server takes no changes (`BrokerStalled`).
            BrokerError: the server refused a call.
        """
        line = Line(self._client.connection_pool)
        trouble: Exception | None = None
        coming = iter(calls)
        try:
            while True:
                try:
                    call = next(coming)
                except StopIteration:
                    break
                except Exception as error:  # raised below: what is on its way is answered before
                    trouble = error
                    break
                with self._told_as_ours(name):
                    line.send((*self._by_digest(name), *call))
                if len(line) >= UNDER_WAY:
                    yield self._next(line, name)
            while len(line):
                yield self._next(line, name)
        finally:
            line.close()
        if trouble is not None:
            raise trouble

    def _next(self, line: Line, name: str) -> Any:
        call, reply, lost = line.receive()
        if lost or isinstance(reply, NoScriptError):
            return self.run(name, *call[len(self._by_digest(name)) :])
        if isinstance(reply, RedisError):
            with self._told_as_ours(name):
                raise reply
        return reply

    def _by_digest(self, name: str) -> tuple[str | int, ...]:
        return ("EVALSHA", digest(name, self._budget), 0, self._prefix)

    @contextmanager
    def _told_as_ours(self, name: str) -> Generator[None]:
        """The client's errors, made ours; a server that is no master any more is left."""
        try:
            yield
        except RedisError as error:
            if _READ_ONLY in str(error):  # no master any more: its successor may have come to its address
                self._client.connection_pool.disconnect()
            if str(error).startswith(STALE):
                raise StaleEpoch(str(error)) from error
            raise as_ours(error, f"'{name}'") from error
