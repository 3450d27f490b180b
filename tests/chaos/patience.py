"""What users do while a broker is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from xpm.errors import BrokerError

T = TypeVar("T")

LOOK = 0.2
"""Seconds between two tries."""


def patiently(call: Callable[[], T], ending: threading.Event) -> T | None:
    """What `call` gives, tried until the broker answers; None once `ending` is set."""
    while True:
        try:
            return call()
        except BrokerError as error:
            if type(error) is not BrokerError and "does not answer" not in str(error):
                raise
            if ending.wait(LOOK):
                return None
