"""rq-dashboard as a real process, with our settings: its pages, its data, its buttons."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from hands import Hands, drain, entry, job
from servers import Server, free_port

from xpm.broker import rq as rqnames
from xpm.broker.broker import Broker, Run
from xpm.broker.views import Views
from xpm.core.state import State
from xpm.errors import UsageError
from xpm.types import JobId

pytest.importorskip("rq_dashboard")

pytestmark = pytest.mark.rq

SERVE = "import sys; from xpm.web.rqdashboard import serve; serve(sys.argv[1], port=0, announce=lambda url: print(url, flush=True))"


class Page:
    """An open dashboard."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
        asked = urllib.request.Request(self.url + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                text = answer.read().decode()
                kind = answer.headers.get_content_type()
                return answer.status, json.loads(text) if kind == "application/json" else text
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            return error.code, json.loads(text) if text.startswith("{") else text

    def get(self, path: str) -> Any:
        status, answer = self.ask(path)
        assert status == 200, (path, answer)
        return answer


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    process = subprocess.Popen([sys.executable, "-c", SERVE, server.url], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield Page(process.stdout.readline().strip())
    process.terminate()
    process.wait(10)


@pytest.fixture
def world(broker: Broker, run: Run, hands: Hands) -> str:
    """One job of each kind; returns the worker's name."""
    from rq import Queue, Worker

    queue = rqnames.queue(broker.namespace, "default")
    worker = Worker(
        [Queue(queue, connection=broker.client)], name=f"{broker.namespace}.host.1", connection=broker.client
    )
    worker.register_birth()
    plan = [
        entry("done"),
        entry("failed"),
        entry("held", "failed"),
        entry("running"),
        entry("waiting", "running"),
    ]
    broker.submit(run, [*plan, entry("ready")])
    hands.finish(hands.claim(worker.name), worker.name)
    hands.fail(hands.claim(worker.name), worker.name)
    hands.claim(worker.name)
    drain(broker)
    return worker.name


def test_buttons_ask_one_broker_and_leave_the_connections_of_the_pages_as_they_are(
    server: Server, broker: Broker, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xpm.web import rqdashboard

    monkeypatch.setenv("XPM_LEASE", "77")
    app: Any = rqdashboard.application(server.url)
    path = f"/job/{rqnames.job(broker.namespace, job('ready'))}/delete"
    assert app.test_client().post(path).status_code == 200
    assert broker.client.hget(f"{broker.prefix}meta", "lease") == b"77000", "that of the settings"
    assert "redis_connect_func" not in app.redis_conn.connection_pool.connection_kwargs
    asked = rqdashboard._broker(app.redis_conn, broker.namespace)
    assert app.test_client().post(path).status_code == 409
    assert rqdashboard._broker(app.redis_conn, broker.namespace) is asked


def test_every_page_opens(page: Page, broker: Broker, world: str) -> None:
    queue = rqnames.queue(broker.namespace, "default")
    assert "RQ" in page.get("/")
    for path in ("/0/view/queues", "/0/view/workers", "/0/view/jobs"):
        shown = page.get(path)
        assert "<html" in shown
        assert shown.index("/jquery-") < shown.index("$(document).ajaxError("), "it shows what is refused"
    assert [one["name"] for one in page.get("/0/data/queues.json")["queues"]] == [queue]
    (worker,) = page.get("/0/data/workers.json")["workers"]
    assert worker["current_job"]["description"] == "Task running"
    for registry in ("queued", "started", "finished", "failed", "deferred", "canceled", "scheduled"):
        page.get(f"/0/view/jobs/{queue}/{registry}/8/asc/1")
        for one in page.get(f"/0/data/jobs/{queue}/{registry}/8/asc/1.json")["jobs"]:
            assert page.get(f"/0/data/job/{one['id']}.json")["id"] == one["id"]
            assert one["id"] in page.get(f"/0/view/job/{one['id']}")


def button(page: Page, broker: Broker, name: str, what: str) -> tuple[int, Any]:
    return page.ask(f"/job/{rqnames.job(broker.namespace, job(name))}/{what}", "POST")


def test_delete_gives_a_job_up(page: Page, broker: Broker, world: str, views: Views) -> None:
    other = broker.open("letters", "1")
    broker.submit(other, [entry("ready")])
    assert button(page, broker, "ready", "delete") == (200, {"status": "OK"})
    assert button(page, broker, "waiting", "delete") == (200, {"status": "OK"})
    assert button(page, broker, "running", "delete") == (200, {"status": "OK"})
    states = [one.state for one in views.jobs([*map(job, ("ready", "waiting", "running"))]) if one]
    assert states == [State.CANCELLED, State.CANCELLED, State.RUNNING]
    assert broker.renew(world, job("running"), 1) == "cancel"
    queue = rqnames.queue(broker.namespace, "default")
    shown = page.get(f"/0/data/jobs/{queue}/canceled/8/asc/1.json")["jobs"]
    assert sorted(one["description"] for one in shown) == ["Task ready", "Task waiting"]


def test_what_the_engine_has_no_word_for_is_refused_with_a_sentence(
    page: Page, broker: Broker, world: str
) -> None:
    queue = rqnames.queue(broker.namespace, "default")
    before = broker.client.keys("rq:*")
    asked = {
        f"/job/{rqnames.job(broker.namespace, job('done'))}/requeue": "xpm rerun",
        f"/job/{rqnames.job(broker.namespace, job('ready'))}/requeue": "nothing is to be retried",
        f"/job/{rqnames.job(broker.namespace, job('waiting'))}/requeue": "xpm why",
        f"/job/{rqnames.job(broker.namespace, job('running'))}/requeue": "nothing is to be retried",
        f"/job/{rqnames.job(broker.namespace, job('failed'))}/delete": "xpm retry",
        f"/job/{rqnames.job(broker.namespace, job('done'))}/delete": "deleting its directory",
        f"/queue/{queue}/queued/empty": "xpm cancel",
        f"/queue/{queue}/failed/empty": "xpm cancel",
        f"/queue/{queue}/compact": "repaired",
    }
    for path, sentence in asked.items():
        status, answer = page.ask(path, "POST")
        assert (status, answer["status"]) == (409, "ERROR"), path
        assert sentence in answer["reason"]
    assert page.ask(f"/requeue/{queue}")[0] == 409, "a link must not do it either"
    assert sorted(broker.client.keys("rq:*")) == sorted(before)
    gone = JobId("f" * 64)
    for what in ("delete", "requeue"):
        assert page.ask(f"/job/{rqnames.job(broker.namespace, gone)}/{what}", "POST")[0] == 404
    status, answer = page.ask(f"/0/view/job/{rqnames.job(broker.namespace, gone)}")
    assert (status, answer["reason"]) == (404, "there is no such job any more")


def test_requeue_retries_with_fresh_budgets(page: Page, broker: Broker, world: str, views: Views) -> None:
    assert button(page, broker, "failed", "requeue") == (200, {"status": "OK"})
    drain(broker)
    failed, held = views.jobs([job("failed"), job("held")])
    assert failed and held
    assert (failed.state, failed.reason, failed.retried) == (State.READY, "retried by rq-dashboard", 0)
    assert held.state is State.WAITING
    assert button(page, broker, "failed", "requeue")[0] == 409, "once is enough"


def test_requeue_all_retries_what_failed_of_the_queue(
    page: Page, broker: Broker, run: Run, views: Views
) -> None:
    hands = Hands(Broker(broker.client, broker.namespace, brake=0))
    broker.submit(run, [entry(n) for n in range(150)])
    for _ in range(150):
        hands.fail(hands.claim())
    broker.submit(run, [entry("elsewhere", queue="other")])
    hands.fail(hands.claim("v", "other:1"), "v")
    assert page.ask(f"/requeue/{rqnames.queue(broker.namespace, 'default')}", "POST")[0] == 200
    counts = views.counts()
    assert (counts[State.READY], counts[State.ERROR]) == (150, 1)


def test_other_applications_keep_their_buttons(page: Page, broker: Broker) -> None:
    from rq import Queue
    from rq.serializers import JSONSerializer

    name = f"theirs-{broker.namespace}"
    queue = Queue(name, connection=broker.client, serializer=JSONSerializer)
    parent = queue.enqueue("builtins.print", job_id=f"{name}-1")
    child = queue.enqueue("builtins.print", job_id=f"{name}-2", depends_on=parent)
    broker.client.hset(f"rq:job:{name}-1", "data", pickle.dumps(("os.system", None, ("false",), {})))
    found = page.get(f"/0/data/jobs/{name}/queued/8/asc/1.json")["jobs"]
    assert [one["id"] for one in found] == [parent.id]
    assert page.get(f"/0/data/job/{child.id}.json")["depends_on"] == [parent.id]
    assert page.get(f"/0/data/job/{parent.id}.json")["id"] == parent.id
    assert page.ask(f"/queue/{name}/compact", "POST")[0] == 200
    assert page.ask(f"/job/{parent.id}/delete", "POST") == (200, {"status": "OK"})
    assert page.ask(f"/queue/{name}/deferred/empty", "POST")[0] == 200


def test_other_pages_can_neither_press_buttons_nor_read(
    page: Page, broker: Broker, world: str, views: Views
) -> None:
    path = f"/job/{rqnames.job(broker.namespace, job('ready'))}/delete"
    assert page.ask(path, "POST", Origin="http://elsewhere.example")[0] == 403
    assert page.ask("/0/data/queues.json", Host="elsewhere.example")[0] == 403
    found = views.job(job("ready"))
    assert found
    assert found.state is State.READY
    assert page.ask(path, "POST", Origin=page.url)[0] == 200


def test_nothing_is_unpickled(server: Server, broker: Broker, run: Run, world: str) -> None:
    from xpm.web.rqdashboard import Reader, application

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return exec, ("raise SystemExit('unpickled')",)

    id = rqnames.job(broker.namespace, job("done"))
    broker.client.hset(f"rq:job:{id}", mapping={"meta": pickle.dumps(Bomb()), "data": pickle.dumps(Bomb())})
    client = application(server.url).test_client()
    assert client.get(f"/0/data/job/{id}.json").status_code == 200
    assert Reader.loads(b"\x92\x01\x02") == [1, 2]


def test_it_is_shown_to_this_computer_only(server: Server) -> None:
    from xpm.web.rqdashboard import serve

    for host in ("0.0.0.0", "192.0.2.1", "::", "example.org"):
        with pytest.raises(UsageError, match="loopback"):
            serve(server.url, host)


def test_a_taken_port_is_a_plain_error(server: Server, page: Page) -> None:
    from xpm.web.rqdashboard import serve

    with pytest.raises(UsageError, match="is taken"):
        serve(server.url, port=int(page.url.rpartition(":")[2]))


def test_it_is_a_configuration_of_the_stock_command(server: Server, broker: Broker, world: str) -> None:
    import time
    from pathlib import Path

    port = free_port()
    command = [
        str(Path(sys.executable).with_name("rq-dashboard")),
        "-b",
        "127.0.0.1",
        "-p",
        str(port),
        "-u",
        server.url,
    ]
    process = subprocess.Popen(
        [*command, "-c", "xpm.web.rqdashboard"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        page = Page(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + 20
        while True:
            try:
                page.get("/0/data/workers.json")
                break
            except urllib.error.URLError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        (worker,) = page.get("/0/data/workers.json")["workers"]
        assert worker["current_job"]["description"] == "Task running"
        assert button(page, broker, "done", "requeue")[0] == 409
    finally:
        process.kill()
        process.wait()
