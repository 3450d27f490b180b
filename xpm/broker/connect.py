"""Clients of a broker: from a URL, behind Sentinel too; and whether the broker is fit for use."""

from __future__ import annotations

import itertools
import re
import ssl
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import ConnectionPool, Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from xpm.broker.binary import OLDEST
from xpm.errors import BrokerError, BrokerUnreachable, BrokerUnsuitable, SettingsError

SENTINEL = "redis+sentinel://"
FORM = (
    "redis[s]://[name:password@]host:port/db, unix:///path or redis+sentinel://host:port,host:port/master/db"
)
PATIENCE = 4.0
"""Seconds for which a call is tried again by default, with pauses that grow from 0.1 to 1 s."""

PRIVATE = "if its authority is a private one, name that: rediss://...?ssl_ca_certs=/path/to/ca.pem"
UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})
"""OpenSSL's numbers for a certificate that nobody known has signed."""

FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
"""Options of a URL that name files."""

T = TypeVar("T")

_SECRET = re.compile(r"^(unix://)[^/]*@|^((?!unix)\S+?://)[^?]*@")
_SECRET_OPTION = re.compile(r"(password=)[^&]*")


class Patience(Retry):
    """Tries again while connections fail, for some seconds in all.

    The library's own `Retry` nests (a call that reconnects retries in each of its retries), counts and
    doesn't look at the clock, and repeats a wrong password.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(ExponentialWithJitterBackoff(base=0.1, cap=1.0), -1)
        self._seconds = seconds
        self._inside = False  # each connection has its own copy, and one thread at a time

    def call_with_retry(  # noqa: D102 - the library's interface
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        outermost, self._inside = not self._inside, True
        until = time.monotonic() + self._seconds
        try:
            for failures in itertools.count(1):
                try:
                    return do()
                except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                    fail(error, failures) if with_failure_count else fail(error)
                    final = (
                        isinstance(error, AuthenticationError)
                        or _distrust(error) is not None
                        or (is_retryable and not is_retryable(error))
                    )
                    if final or not outermost or time.monotonic() > until:
                        raise
                time.sleep(self._backoff.compute(failures))
        finally:
            self._inside = not outermost
        raise AssertionError("unreachable")


def open_client(url: str, *, timeout: float = 5.0, patience: float = PATIENCE) -> Redis:
    """A client of the broker at `url`, bytes in and bytes out; it connects at its first call.

    Args:
        url: `redis://`, `rediss://`, `unix://` or `redis+sentinel://host:port,host:port/master/db`; for
            the last, name and password are the broker's, `?sentinel_password=` is the sentinels'. The
            library's other options may follow as a query, as in `?ssl_ca_certs=/etc/ca.pem`.
        timeout: Seconds that the socket waits for an answer; a sixth of the lease.
        patience: Seconds for which a call is tried again while there is no connection.

    Raises:
        SettingsError: The URL is none of these, or has an option that there is not.
    """
    options: dict[str, Any] = {
        "decode_responses": False,
        "protocol": 2,  # nothing here needs the third, and a proxy or an old server may not know it
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 3.0),
        "health_check_interval": 30,
        "retry": Patience(patience),
    }
    try:
        if url.startswith(SENTINEL):
            return _behind_sentinel(url, options)
        if not url.startswith("unix://"):
            _refuse_path(url)
            options["socket_keepalive"] = True
        else:
            del options["socket_connect_timeout"]
        client = Redis.from_url(url, **options)  # pyright: ignore[reportUnknownMemberType]
    except ValueError as error:
        # Not the error's own text: a misread password may be in it.
        raise SettingsError(f"broker: {safe(url)}: cannot be read; the form is {FORM}") from error
    _refuse_options(client, url)
    return client


def beside(client: Redis) -> Redis:
    """Another client of the same broker, with connections of its own; behind Sentinel it lives no longer than `client`."""
    pool: Any = client.connection_pool
    return Redis(
        connection_pool=ConnectionPool(connection_class=pool.connection_class, **pool.connection_kwargs)
    )


def greet_first(client: Redis, greeting: Callable[[Any], None]) -> None:
    """Has `greeting` said first on each connection of `client`; what it raises keeps that from being used."""
    pool: Any = client.connection_pool
    pool.connection_kwargs["redis_connect_func"] = greeting
    pool.disconnect(inuse_connections=False)  # those that were opened before have not been greeted,
    pool.reset()  # and would not be when they reconnect


def _refuse_path(url: str) -> None:
    """Refuses what should be a database and is no number: the library takes it for 0 without a word."""
    if not re.fullmatch(r"(/[0-9]*)?", urlsplit(url).path):
        raise ValueError(url)


def _refuse_options(client: Redis, url: str) -> None:
    """Refuses what the library would choke on when it connects, and call a connection that failed."""
    place = f"broker: {safe(url).partition('?')[0]}"  # a misspelt option may be one that holds a password
    pool: Any = client.connection_pool
    given: Mapping[str, Any] = pool.connection_kwargs
    for name in FILES:
        if given.get(name) and not Path(given[name]).exists():
            raise SettingsError(f"{place}: {name}: no file {given[name]}")
    try:
        pool.connection_class(**given)
    except TypeError as error:
        unknown = re.search(r"argument '(\w+)'", str(error))
        raise SettingsError(f"{place}: no option {unknown[1] if unknown else 'like one of these'}") from error
    except RedisError as error:
        raise SettingsError(f"{place}: {_line(error)}") from error


def _behind_sentinel(url: str, options: dict[str, Any]) -> Redis:
    parts = urlsplit(url)
    secret, _, hosts = parts.netloc.rpartition("@")
    user, _, password = secret.partition(":")
    path = [unquote(part) for part in parts.path.split("/") if part]
    if not hosts or not 1 <= len(path) <= 2:
        raise ValueError(url)
    query = dict(parse_qsl(parts.query))
    access = {name: query.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    if query:
        raise ValueError(url)
    short = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": None, "protocol": 2}
    sentinel = Sentinel([_address(host) for host in hosts.split(",")], sentinel_kwargs={**short, **access})
    return sentinel.master_for(  # pyright: ignore[reportUnknownMemberType]
        path[0],
        **options,
        socket_keepalive=True,
        db=int(path[1]) if len(path) == 2 else 0,
        username=unquote(user) or None,
        password=unquote(password) or None,
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if re.search(r":\d+$", text) else (text, "", "26379")
    return host.strip("[]"), int(port)


def safe(url: str) -> str:
    """The URL without its secrets, for people to read."""
    return _SECRET_OPTION.sub(r"\1***", _SECRET.sub(r"\1\2", url))


def check(client: Redis, url: str) -> list[str]:
    """Looks whether the broker is fit for use; what is only a pity comes back as warnings.

    All is read from INFO, which is often allowed where CONFIG is not.

    Raises:
        BrokerUnreachable: It doesn't answer, or refuses the password.
        BrokerUnsuitable: It is too old, evicts keys, is a cluster or a replica.
    """
    with translated(url):
        try:
            info: dict[str, Any] = client.execute_command("INFO")  # pyright: ignore
        except NoPermissionError as error:
            raise BrokerUnsuitable(f"{safe(url)}: this user may not call INFO; grant it +info") from error
    refuse_unsuitable(info, safe(url))
    if not int(info.get("aof_enabled", 0)):
        return [
            f"{safe(url)}: no append-only file: a crash of the broker may lose submitted jobs "
            "(switch it on: appendonly yes)"
        ]
    return []


def refuse_unsuitable(info: dict[str, Any], name: str) -> None:
    """Judges what INFO says.

    Raises:
        BrokerUnsuitable: The broker must not be used; the message says why and what to do.
    """
    mode = info.get("redis_mode") or info.get("server_mode")  # the second is Valkey's
    version = str(info.get("redis_version", "0"))
    policy = info.get("maxmemory_policy", "noeviction")
    if mode == "cluster":
        raise BrokerUnsuitable(f"{name}: a cluster: use a standalone server, or one behind Sentinel")
    if mode == "sentinel":
        raise BrokerUnsuitable(f"{name}: a Sentinel: write {SENTINEL}host:port/master")
    if tuple(int(digits) for digits in re.findall(r"\d+", version)[:2]) < OLDEST:
        raise BrokerUnsuitable(f"{name}: Redis {version}: 6.2 or newer is needed")
    if policy != "noeviction":
        raise BrokerUnsuitable(
            f"{name}: it may evict keys (maxmemory-policy {policy}): set maxmemory-policy noeviction"
        )
    if info.get("role") == "slave":
        raise BrokerUnsuitable(f"{name}: a replica: name its master, or use {SENTINEL}")


@contextmanager
def translated(url: str) -> Generator[None]:
    """Turns what redis raises into one clear line that names the broker.

    Raises:
        BrokerUnreachable: No connection, no answer, or no access.
        BrokerUnsuitable: It has not what the URL names: a database, or Sentinel.
        BrokerError: The broker refused a call.
    """
    name = safe(url)
    try:
        yield
    except AuthenticationError as error:
        raise BrokerUnreachable(f"{name}: wrong or missing user name or password") from error
    except MasterNotFoundError as error:
        raise BrokerUnreachable(f"{name}: no sentinel knows a master of that name: {_line(error)}") from error
    except RedisTimeoutError as error:
        raise BrokerUnreachable(f"{name}: no answer: {_line(error)}") from error
    except RedisConnectionError as error:
        distrust = _distrust(error)
        if distrust is not None:
            raise BrokerUnreachable(f"{name}: its certificate is not trusted: {distrust}") from error
        raise BrokerUnreachable(f"{name}: no connection: {_line(error)}") from error
    except InvalidResponse as error:
        raise BrokerUnreachable(f"{name}: no Redis answers there: {_line(error)}") from error
    except ResponseError as error:
        _refuse_wrong_name(name, error)
        raise BrokerError(f"{name}: refused: {_line(error)}") from error
    except RedisError as error:
        raise BrokerError(f"{name}: {_line(error)}") from error


def _refuse_wrong_name(name: str, error: ResponseError) -> None:
    """Refuses a URL that the server answers with an error of this kind."""
    said = _line(error)
    if "DB index is out of range" in said:
        raise BrokerUnsuitable(f"{name}: it has no database of this number; /0 is always there") from error
    if name.startswith(SENTINEL) and re.match(r"unknown command '?`?sentinel", said, re.IGNORECASE):
        raise BrokerUnsuitable(f"{name}: no Sentinel, but a server: write redis://host:port/db") from error


def _distrust(error: BaseException) -> str | None:
    """Why the server's certificate was refused, and what to do; None if that isn't what went wrong."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    said = cause.verify_message.rstrip(".")
    return f"{said}; {PRIVATE}" if cause.verify_code in UNKNOWN_AUTHORITY else said


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
