"""Which workers are still there. One that was killed with its pool stays enrolled for a day."""

from __future__ import annotations

from xpm.broker.views import WorkerView

LEAST = 30.0
"""Seconds that a worker may be silent at least: an idle one asks for jobs every ten."""


def silent(worker: WorkerView, now: float, lease: float) -> bool:
    """Whether a worker was not heard of for longer than it may be silent: a busy one renews its lease.

    RQ forgets its own by itself.

    Args:
        worker: the worker.
        now: the broker's time.
        lease: the length of leases, in seconds.
    """
    return not worker.stock and now - worker.seen > max(lease, LEAST)
