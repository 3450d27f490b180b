"""RQ's dashboard, set up for our queues: `rq-dashboard -c xpm.web.rqdashboard`, or `serve()`.

Importing this module, before the dashboard's blueprint is registered, is enough. It

* reads what stands in Redis as plain data: the dashboard unpickles otherwise, and whoever may write to the broker could
  run code in it; other applications' pickled jobs are shown as unreadable;
* mends a page that fails for jobs with RQ's own dependencies;
* answers the buttons for our jobs from the engine, since the dashboard would only change what RQ shows: Delete gives a
  job up, Requeue retries it, and what the engine has no word for is refused with a sentence (409), which the page shows.
  Other applications' queues stay as they are.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import rq.serializers
from flask import Flask, Response, current_app, jsonify, request
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq_dashboard import cli, web
from werkzeug.serving import make_server

from xpm.broker import rq as rqnames
from xpm.broker.broker import Broker
from xpm.broker.connect import beside
from xpm.broker.views import Views
from xpm.core.state import ENDED, State
from xpm.errors import UsageError, XpmError
from xpm.settings import load
from xpm.types import Namespace

log = logging.getLogger("xpm.web")

REFUSED = {
    "link": "a link doesn't retry jobs: press the button, or type xpm retry",
    "done": "the job is done; to run it again all the same: xpm rerun JOB",
    "pending": "the job has not ended: nothing is to be retried; what it waits for is told by: xpm why JOB",
    "kept": "the job is done; its result is forgotten by deleting its directory, which is told by: xpm show JOB",
    "ended": "the job has ended without a result, so there is nothing to give up; to run it again: xpm retry JOB",
    "empty": "a queue of xpm is not emptied here; give an experiment up with: xpm cancel -e EXPERIMENT",
    "compact": "a queue of xpm needs no compacting: RQ's list is only shown, and repaired by the workers",
}

GONE = "there is no such job any more"

TELL = b"""
<script>
$(document).ajaxError(function (_event, answer) {
    const reason = answer.responseJSON && answer.responseJSON.reason;
    if (!reason) return;
    $("#refusal").remove();
    $('<div id="refusal" class="alert alert-warning alert-dismissible" role="alert">').text(reason)
        .append('<button class="close" data-dismiss="alert" aria-label="Close">&times;</button>')
        .prependTo("body > .container");
});
</script>
"""
"""Shows why a button was refused; the dashboard's own pages say nothing of it."""

WHO = "rq-dashboard"
"""Who asked, in the words of `xpm show`."""

SHOWN = 10_000
"""Failed jobs of which RQ's registries show at most so many."""


class Reader(rqnames.Serializer):
    """msgpack; what is something else is shown as such, and never unpickled."""

    @staticmethod
    def loads(data: bytes, *_: Any, **__: Any) -> Any:
        """Unpack plain data, or say that it is none."""
        try:
            return rqnames.Serializer.loads(data)
        except (ValueError, TypeError):
            return ["(not plain data)", None, [], {}]


class _Job(Job):
    """The dashboard decodes these ids; RQ gives them as text."""

    @property
    def dependency_ids(self) -> list[bytes]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ids: Any = super().dependency_ids
        return [id.encode() if isinstance(id, str) else id for id in ids]


def _install() -> None:
    serializers: Any = rq.serializers
    serializers.PickleSerializer = serializers.DefaultSerializer = Reader
    serializers.SERIALIZER_ALIASES = {"json": serializers.JSONSerializer}
    dashboard: Any = web
    dashboard.config.serializer = Reader
    dashboard.Job = _Job
    dashboard.blueprint.before_request(_before)
    dashboard.blueprint.after_request(_telling)
    dashboard.blueprint.register_error_handler(NoSuchJobError, _unknown)


def _unknown(_: Exception) -> Response:
    return _answer(404, GONE)


def _telling(response: Response) -> Response:
    if response.mimetype == "text/html" and not response.direct_passthrough:
        response.data = response.data.replace(b"</body>", TELL + b"</body>")
    return response


def _before() -> Response | None:
    """Answer the buttons that concern our jobs and queues; None leaves a request to the dashboard."""
    if request.method == "POST" and not _same_site():
        return _answer(403, "this request comes from another page")
    arguments = request.view_args or {}
    button = (request.endpoint or "").rpartition(".")[2]
    if button in ("requeue_all", "empty_queue", "compact_queue"):
        queue = rqnames.parse_queue(str(arguments["queue_name"]))
        if queue is None:
            return None
        if button != "requeue_all":
            return _answer(409, REFUSED[button.partition("_")[0]])
        return _answer(409, REFUSED["link"]) if request.method != "POST" else _asked(_retry_all, *queue)
    if button in ("delete_job_view", "requeue_job_view"):
        place = rqnames.parse_job(str(arguments["job_id"]))
        return place and _asked(_delete if button == "delete_job_view" else _retry, *place)
    return None


def _asked(act: Callable[[Broker, str], Response], namespace: Namespace, what: str) -> Response:
    """The engine's answer to a button about a job or queue of ours."""
    app: Any = current_app
    try:
        return act(_broker(app.redis_conn, namespace), what)
    except XpmError as error:
        return _answer(503, str(error))


_brokers: WeakKeyDictionary[Any, dict[Namespace, Broker]] = WeakKeyDictionary()
"""Those that were asked, by the dashboard's client, of which it makes another with each page."""


def _broker(client: Any, namespace: Namespace) -> Broker:
    known = _brokers.setdefault(client, {})
    if namespace not in known:
        # With the lease of the workers: a server that it finds started again lets nothing expire for so long.
        known[namespace] = Broker(beside(client), namespace, lease=load().lease)
    return known[namespace]


def _same_site() -> bool:
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def _delete(broker: Broker, id: str) -> Response:
    app: Any = current_app
    if app.config.get("RQ_DASHBOARD_DISABLE_DELETE"):
        return jsonify(status="DISABLED")
    job = Views(broker).job(id)
    if job is None:
        return _answer(404, GONE)
    if job.state in ENDED:
        return _answer(409, REFUSED["kept" if job.state is State.DONE else "ended"])
    broker.cancel("", [job.id], WHO)
    return jsonify(status="OK")


def _retry(broker: Broker, id: str) -> Response:
    (word,) = broker.retry([id], WHO)
    if word == "unknown":
        return _answer(404, GONE)
    return _answer(409, REFUSED[word]) if word in REFUSED else jsonify(status="OK")


def _retry_all(broker: Broker, queue: str) -> Response:
    """What failed of the queue, as far as the page shows it."""
    views = Views(broker)
    found = views.jobs(views.listing(State.ERROR, SHOWN))
    broker.retry([job.id for job in found if job and job.queue == queue], WHO)
    return jsonify(status="OK")


def _answer(status: int, sentence: str) -> Response:
    response = jsonify(status="ERROR", reason=sentence)
    response.status_code = status
    return response


def application(url: str, *, prefix: str = "", interval: float = 2.5, read_only: bool = False) -> Flask:
    """The dashboard of the broker at `url`, as a WSGI application without any login.

    Args:
        url: the broker.
        prefix: path below which the pages lie, such as `/rq`.
        interval: seconds between two looks of an open page.
        read_only: whether Delete is off.
    """
    app: Any = cast(Any, cli).make_flask_app(None, None, None, prefix)
    app.config.update(
        RQ_DASHBOARD_REDIS_URL=(url,),
        RQ_DASHBOARD_POLL_INTERVAL=int(interval * 1000),
        RQ_DASHBOARD_DISABLE_DELETE=read_only,
        DEPRECATED_OPTIONS=[],
    )
    cast(Any, web).setup_rq_connection(app)
    return app


def serve(
    url: str,
    host: str = "127.0.0.1",
    port: int = 9181,
    *,
    read_only: bool = False,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Show the dashboard on this computer alone, until interrupted.

    Args:
        url: the broker.
        host: a loopback address; there is no login.
        port: 0 takes any free one.
        read_only: whether Delete is off.
        announce: told the page's address when it can be opened.

    Raises:
        UsageError: the host is reachable by others, or the port is taken.
    """
    if not _loopback(host):
        raise UsageError(f"host {host}: the dashboard has no login and is shown on loopback addresses only")
    app = application(url, read_only=read_only)
    app.before_request(_known_host)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # By itself werkzeug would exit if the port is taken.
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            f"port {port} of {host} is taken ({error.strerror}): choose another by --port"
        ) from error
    with listener:
        server = make_server(host, port, app, threaded=True, fd=listener.fileno())
    if announce is not None:
        announce(f"http://{f'[{host}]' if ':' in host else host}:{server.socket.getsockname()[1]}/")
    try:
        server.serve_forever()
    finally:
        server.server_close()


def _known_host() -> Response | None:
    """A foreign name that resolves to this computer is a page of somebody else that wants to read ours."""
    name = urlsplit(f"//{request.host}").hostname or ""
    return None if _loopback(name) else _answer(403, f"{name} is not this computer")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_install()
