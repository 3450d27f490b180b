"""Whether anybody needs the broker of a namespace."""

from __future__ import annotations

from typing import Any

from xpm.broker.reader import Reader
from xpm.broker.views import Views
from xpm.core.state import State

BUSY = (State.READY, State.RUNNING, State.SCHEDULED)
"""While a job is in one of these, workers are needed."""


def idle(broker: Reader, *own: str) -> bool:
    """Nothing is ready, running or scheduled, and no client but those whose names begin with one of `own` is there."""
    counts = Views(broker).counts()
    if any(counts.get(state, 0) for state in BUSY):
        return False
    me = broker.ask(broker.client.client_id)
    clients: list[dict[str, Any]] = broker.ask(lambda: broker.client.client_list(_type="normal"))
    others = [one for one in clients if int(one["id"]) != me]
    return all(str(one.get("name", "")).startswith((*own, "xpm-keeper")) for one in others)
