"""The parts of the driver: a plan is its seed, a fault is what it says, and the judgement can say no."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from clock import Clock
from faults import DECK, Kind, plan
from hosts import hosts
from ledger import WORDS, Ledger, parse
from proxy import Proxy
from servers import Server
from shapes import SHAPES, crowd, graph, values
from verdict import AT_ONCE, judge, overlaps, overused, replaced
from waiting import until

from xpm.broker.scripts import BUDGET
from xpm.types import Fence
from xpm.workspace.directory import JobDirectory, Overtaken
from xpm.workspace.spares import Spares


def test_a_plan_is_its_seed() -> None:
    def made(seed: int) -> list[str]:
        return [str(fault) for fault in plan(seed, 60, Kind, 2, 3)]

    assert made(1) == made(1) != made(2)


def test_each_kind_of_fault_comes_up_in_half_a_minute() -> None:
    for seed in range(20):
        met = Counter(fault.kind for fault in plan(seed, 40, Kind, 2, 3))
        assert met.keys() == DECK.keys()


def test_graphs_are_in_order_and_have_all_shapes() -> None:
    nodes = [node for k in range(100) for node in graph(random.Random(k), f"g{k}")]
    found = values(nodes)  # looks up each input
    assert len(found) == len(nodes)
    assert {len(node.after) for node in nodes} >= {0, 1, 2, 5}
    assert len(SHAPES) == 7


def test_a_crowd_is_more_than_one_call_tells() -> None:
    nodes = crowd("g", BUDGET + 1)
    found = values(nodes)
    assert sum(node.after == ("g.0",) for node in nodes) == len(nodes[-1].after) == BUDGET + 1
    assert len(found) == len(nodes)


def _ledger(*lines: str) -> Ledger:
    """`word fence [published]` each, of one job; and lines of the driver."""
    full = []
    for line in lines:
        word, more, *published = line.split()
        full.append(f"{word} n {more} 1 7 p0 {int(bool(published))}" if word in WORDS else line)
    return parse(full)


@pytest.mark.parametrize(
    ("fence", "lines", "complaint"),
    [
        ("01", ["begin 01", "end 01"], ""),
        ("02", ["begin 01", "begin 02", "end 02", "end 01"], ""),
        ("01", ["begin 01", "begin 02", "end 02", "end 01"], "began after that of the record"),
        ("02", ["begin 01", "end 01", "begin 02"], "did not come to its end"),
        ("03", ["begin 01", "end 01"], "0 executions"),
        ("02", ["begin 01", "end 01", "begin 02 published", "end 02"], "when the record was there"),
    ],
)
def test_a_record_must_be_of_the_last_execution(fence: str, lines: list[str], complaint: str) -> None:
    found = list(judge("n", fence, _ledger(*lines).executions["n"]))
    assert complaint in found[0] if complaint else not found


@pytest.mark.parametrize(
    ("fence", "lines", "complaint"),
    [
        ("02", ["begin 01", "end 01", "rerun n 01", "begin 02", "end 02"], ""),
        ("01", ["begin 01", "end 01", "rerun n 01", "begin 02"], ""),  # the rerun failed: the old result stays
        ("03", ["begin 01", "end 01", "rerun n 01", "begin 02", "rerun n 01", "begin 03", "end 03"], ""),
        ("02", ["begin 01", "end 01", "begin 02", "rerun n 01", "end 02"], "began after that of the record, 01"),
        ("02", ["begin 01", "end 01", "rerun n 01", "begin 02", "end 02", "begin 03"], "began after that of the record"),
        ("02", ["begin 01", "end 01", "rerun n 01", "begin 02"], "did not come to its end"),
        ("01", ["begin 01", "end 01", "rerun n 01", "begin 02", "end 02", "rerun n 02"], "brought back"),
        ("02", ["begin 01", "end 01", "rerun n 01", "begin 02 published", "end 02"], "when the record was there"),
    ],
)  # fmt: skip
def test_a_rerun_allows_what_comes_after_it_alone(fence: str, lines: list[str], complaint: str) -> None:
    ledger = _ledger(*lines)
    found = list(judge("n", fence, ledger.executions["n"], ledger.reruns["n"]))
    assert complaint in found[0] if complaint else not found


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["begin 01", "tick 01", "begin 02", "end 02"], False),
        (["begin 01", "begin 02", "tick 01", "end 02"], True),
        (["begin 01", "stopped p0", "begin 02", "tick 01", "resumed p0", "end 02"], False),
        (["stopped p0", "begin 01", "resumed p0", "begin 02", "tick 01", "end 02"], False),
        (["stopped p0", "resumed p0", "begin 01", "begin 02", "tick 01", "end 02"], True),
        (["begin 01", "stopped p1", "begin 02", "tick 01", "end 02"], True),
        (["begin 01", "killed p0", "begin 02", "tick 01", "end 02"], False),
        (["killed p0", "begin 01", "begin 02", "tick 01", "end 02"], True),
        (["begin 01", "woken 7", "begin 02", "tick 01", "end 02"], False),
    ],
)
def test_an_execution_must_not_go_on_beside_a_later_one(lines: list[str], wrong: bool) -> None:
    assert bool(list(overlaps(_ledger(*lines)))) == wrong


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["begin a", "begin b", "end a", "end b"], True),
        (["begin a", "end a", "begin b", "end b"], False),
        (["begin a", "begin b", "end b"], False),  # the first may have been killed
        (["begin a", "begin c", "end a", "end c"], False),
        (["begin a", "begin d", "take d", "end a", "end d"], True),
        (["begin a", "begin d", "end a", "take d", "end d"], False),
        (["begin d", "take d", "free d", "begin a", "end d", "end a"], False),
        (["begin d", "take d", "begin a", "free d", "end d", "end a"], True),
    ],
)
def test_tokens_must_not_be_used_beyond_their_capacity(lines: list[str], wrong: bool) -> None:
    steps = [line.split() for line in lines]
    ledger = parse([f"{word} {node} 0{ord(node)} 1 7 p0 0" for word, node in steps])
    needs, holds = {"a": "t.gpu=2", "b": "t.gpu=1", "c": "l.index=1"}, {"d": "t.gpu=1"}
    assert bool(list(overused(ledger, needs, holds))) == wrong


@pytest.mark.parametrize("late", [False, True])
def test_a_record_that_was_there_must_not_be_set_aside(tmp_path: Path, late: bool) -> None:
    path, spares = tmp_path / "job", Spares(tmp_path, "w")
    first = JobDirectory.take(str(path), Fence(f"{1:026}"), spares)
    assert isinstance(first, JobDirectory)
    with suppress(Overtaken):
        late or first.publish(b"no record that the next one finds", durable=False)
    time.sleep(2 * AT_ONCE)  # by the kernel's clock, which is what is looked at
    second = JobDirectory.take(str(path), Fence(f"{2:026}"), spares)
    assert isinstance(second, JobDirectory)
    with suppress(Overtaken):
        late and first.publish(b"in vain", durable=False)
    second.publish(b"the record", durable=False)
    assert bool(list(replaced(path))) != late


@pytest.fixture
def proxied(start_server: Callable[..., Server]) -> Iterator[tuple[Proxy, redis.Redis, redis.Redis]]:
    """A proxy, a client through it that never repeats a call, and one past it."""
    server = start_server()
    proxy = Proxy(server.directory / "p", server.socket)
    through = redis.Redis.from_url(proxy.url, retry=None, socket_timeout=0.5)
    with through, server.client() as past:
        yield proxy, through, past
    proxy.close()


def test_the_proxy_cuts_after_the_request_and_before_its_reply(
    proxied: tuple[Proxy, redis.Redis, redis.Redis],
) -> None:
    proxy, through, past = proxied
    script = "return redis.call('INCR', 'n')"
    assert through.eval(script, 0) == 1
    proxy.say("lose")
    assert through.get("n") == b"1", "only the replies of scripts are lost"
    with pytest.raises(redis.ConnectionError):
        through.eval(script, 0)
    assert past.get("n") == b"2"
    assert through.eval(script, 0) == 3
    assert proxy.say("look") == 1


def test_the_proxy_stalls_and_refuses(proxied: tuple[Proxy, redis.Redis, redis.Redis]) -> None:
    proxy, through, _ = proxied
    assert through.ping()
    proxy.say("stall")
    with pytest.raises(redis.TimeoutError):
        through.ping()
    proxy.say("flow")
    assert through.ping()
    proxy.say("refuse")
    with pytest.raises(redis.ConnectionError):
        through.ping()
    proxy.say("accept")
    assert through.ping()


@pytest.mark.compiler
def test_a_clock_jumps_for_its_own_processes_alone(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    ask = "import time\nwhile input() != 'end': print(time.time() - time.monotonic(), flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", ask], env={**os.environ, **clock.environ}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout

    def apart() -> float:
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    before = apart()
    clock.jump(-3000)
    assert apart() - before == pytest.approx(-3000, abs=60)
    clock.jump(0)
    assert apart() - before == pytest.approx(0, abs=60)
    process.communicate("end\n", timeout=20)


@pytest.mark.root
@pytest.mark.namespaces
def test_a_cut_link_lets_nothing_through() -> None:
    listen = (
        "import socket; s = socket.create_server(('0.0.0.0', 7000)); print(flush=True); s.accept()[0].recv(1)"
    )
    reach = "import socket; socket.create_connection(('{}', 7000), 1)"
    with hosts(1) as made:
        server = subprocess.Popen([*made.inside("hub"), sys.executable, "-c", listen], stdout=subprocess.PIPE)
        assert server.stdout and server.stdout.readline()

        def reached() -> bool:
            command = [*made.inside("0"), sys.executable, "-c", reach.format(made.hub(0))]
            return subprocess.run(command, capture_output=True).returncode == 0

        try:
            made.link(0, "down")
            assert not reached()
            made.link(0, "up")
            until(reached, 20)
        finally:
            server.kill()
            server.wait()
