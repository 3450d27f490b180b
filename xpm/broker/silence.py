"""Which workers are still there. One that was killed with its pool stays enrolled for a day."""

from __future__ import annotations

from typing import Any

from xpm.broker.reader import Reader
from xpm.broker.views import WorkerView

LEAST = 30.0
"""Seconds that a worker may be silent at least: an idle one asks for jobs every ten."""


def clock(broker: Reader) -> float:
    """The broker's time, by which workers were seen; a host's own may be another."""
    found: Any = broker.ask(broker.client.time)
    return found[0] + found[1] / 1e6


def silent(worker: WorkerView, now: float, lease: float) -> bool:
    """Whether a worker was not heard of for longer than it may be silent: a busy one renews its lease.

    RQ forgets its own by itself.

    Args:
        worker: the worker.
        now: the broker's time.
        lease: the length of leases, in seconds.
    """
    return not worker.stock and now - worker.seen > max(lease, LEAST)
