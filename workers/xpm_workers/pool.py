"""Starts a pool: `python -m xpm_workers.pool --workspace PATH --broker URL --slots N`; see `xpm_workers.supervisor`."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

from xpm.broker.connect import check, open_client
from xpm.broker.embedded import Embedded
from xpm.broker.poolfile import PoolFile
from xpm.errors import BrokerUnreachable, SettingsError, WorkspaceError, XpmError
from xpm.here import this_host
from xpm.settings import Settings, load, places
from xpm.workspace.fitness import hindrance
from xpm.workspace.layout import Workspace
from xpm_workers.serving import Duty
from xpm_workers.supervisor import Pool

log = logging.getLogger("xpm.pool")

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="xpm worker start", description="Serve queues with worker processes."
    )
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument(
        "--broker", help="the broker's URL; by default the setting, which hides its password from ps"
    )
    parser.add_argument("--slots", type=int, default=0, help="workers; 0: as many as there are CPUs")
    parser.add_argument(
        "--queue", action="append", default=[], help="a queue to serve, the most urgent first"
    )
    parser.add_argument("--burst", action="store_true", help="end when nothing is ready")
    parser.add_argument("--lock", type=Path, help="end at once if another pool holds this file")
    parser.add_argument("--log", type=Path, help="the file to log to, by default standard error")
    parser.add_argument(
        "--project", type=Path, help="whose settings count, by default the current directory's"
    )
    parser.add_argument("--lease", type=float, help="seconds; by default the setting")
    parser.add_argument("--grace", type=float, help="seconds; by default the setting")
    parser.add_argument("--idle", type=float, default=0.0, help="end when idle for so many seconds")
    parser.add_argument("--embedded", action="store_true", help="the broker is the workspace's own server")
    return parser.parse_args(args)


def _log_to(file: Path | None) -> None:
    form = logging.Formatter("%(asctime)s %(process)d %(name)s %(levelname)s %(message)s")
    handler: logging.Handler = logging.StreamHandler()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(file, maxBytes=1_000_000, backupCount=3)
    handler.setFormatter(form)
    logging.getLogger("xpm").addHandler(handler)
    logging.getLogger("xpm").setLevel(logging.INFO)
    logging.getLogger("rq").addHandler(handler)
    logging.getLogger("rq.worker").setLevel(logging.WARNING)


def _reviver(workspace: Workspace, settings: Settings, embedded: bool) -> Callable[[], None]:
    def revive() -> None:
        if embedded:
            Embedded(workspace.path, workspace.namespace, places(), idle_stop=settings.idle_stop).ensure()

    return revive


def main(args: Sequence[str] | None = None) -> int:
    """Run a pool.

    Returns:
        Its exit status: 0, 1 when its workers failed, 2 on wrong use, 3 without a broker, 130 for Ctrl-C before they began.
    """
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # see `xpm worker start`
        return _serve(_parse(args))
    except XpmError as error:
        sys.stderr.write(f"xpm: error: {error}\n")
        return 3 if isinstance(error, BrokerUnreachable) else 2
    except KeyboardInterrupt:
        return 130


def _settings(given: argparse.Namespace) -> Settings:
    return load(
        command={"workspace": str(given.workspace), "lease": given.lease, "grace": given.grace},
        script=given.project and given.project / "script",  # of a script, only where it lies counts
    )


def _serve(given: argparse.Namespace) -> int:
    file = PoolFile(given.lock) if given.lock is not None else None
    if file is not None and not file.take():
        return 0
    settings = _settings(given)
    url = given.broker or settings.broker
    if not url:
        raise SettingsError("no broker: give --broker URL or set XPM_BROKER")
    if given.slots < 0:
        raise SettingsError(
            f"--slots: expected at least 1, or 0 for as many as there are CPUs, got {given.slots}"
        )
    with open_client(url, timeout=2.0) as client:
        check(client, url)
    workspace = Workspace.open(given.workspace)
    if reason := hindrance(workspace.path):
        raise WorkspaceError(f"no worker can work here: {reason}")
    _log_to(given.log)
    duty = Duty(
        workspace.path,
        workspace.namespace,
        url,
        tuple(given.queue or ["default"]),
        settings.lease,
        settings.grace,
        given.burst,
        # In containers pools may have one host's name and one process id, at the same time or one after the other.
        f"{this_host()}.{os.getpid()}.{secrets.token_hex(3)}",
        settings.freeze_limit,
        brake=settings.brake,
    )
    if given.log is not None:
        _hush()
    slots = given.slots
    share = [name for name in THREADS if name not in os.environ]
    while True:
        revive = _reviver(workspace, settings, given.embedded)
        pool = Pool(duty, slots, revive, given.idle, file=file, shared=not given.embedded, share=share)
        status = pool.run()
        again = _goes_on(pool, file) if file is not None else None
        if again is None:
            return status
        log.info("something to do came while the workers ended")
        slots = again


def _goes_on(pool: Pool, file: PoolFile) -> int | None:
    """How many workers there are to be, if work came after an idle pool had decided to end; None if it may.

    A script that found the file held has started no pool. So this one looks once more, after it has let the file go:
    what is submitted later is by a script that finds it free.
    """
    if not pool.idled:
        return None
    file.release()
    if not pool.needed():
        return None
    wanted = file.wanted()
    if not file.take() or not pool.idled:
        return None
    return pool.asked if wanted is None else wanted


def _hush() -> None:
    """Standard error is the log, as its file was when this pool began; from here on the log alone is written to.

    Else what zygotes and modules print would go on filling a file that was rotated away.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
