"""Whether anybody needs the broker of a namespace."""

from __future__ import annotations

from typing import Any

from xpm.broker.names import KEEPER, SCRIPT
from xpm.broker.reader import Reader
from xpm.broker.views import Views
from xpm.core.state import State
from xpm.types import Namespace

BUSY = (State.READY, State.RUNNING, State.SCHEDULED)
"""While a job is in one of these, workers are needed."""


def script_name(namespace: Namespace) -> str:
    """The name of the connections of a script while its experiment is open."""
    return f"{SCRIPT}:{namespace}"


def idle(broker: Reader, *own: str, shared: bool = False) -> bool:
    """Nothing is ready, running or scheduled, and nobody is there who may bring something.

    Args:
        broker: the broker.
        own: clients of a server of the workspace's own that don't count, by the beginnings of their names; all
            others do.
        shared: the broker is a shared one, where only scripts of this namespace count.
    """
    counts = Views(broker).counts()
    if any(counts.get(state, 0) for state in BUSY):
        return False
    me = broker.ask(broker.client.client_id)
    clients: list[dict[str, Any]] = broker.ask(lambda: broker.client.client_list(_type="normal"))
    names = [str(one.get("name", "")) for one in clients if int(one["id"]) != me]
    if shared:
        return script_name(broker.namespace) not in names
    return all(name.startswith((*own, KEEPER)) for name in names)
