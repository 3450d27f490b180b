"""Python's garbage collector, while a script describes and submits.

Descriptions stay, and there may be hundreds of thousands: to look at all of them again and again, in search of
cycles that they aren't in, took a third of the time of describing.
"""

from __future__ import annotations

import gc

PATIENT = 20_000
"""So many more objects there are, meanwhile, before young ones are looked at; all are each hundredth time at the most."""

USUAL = (700, 2_000)
"""What Python begins with, until 3.12 and from 3.13 on: any other number is somebody's own wish."""

Thresholds = tuple[int, int, int]


def relax() -> Thresholds | None:
    """Has the collector look more seldom, unless somebody has set how often.

    Returns:
        What to `restore` later.
    """
    before = gc.get_threshold()
    if before[0] not in USUAL:
        return None
    gc.set_threshold(PATIENT, *before[1:])
    return before


def restore(before: Thresholds | None) -> None:
    """Undoes what `relax` did, unless somebody has set another number since."""
    if before is not None and gc.get_threshold() == (PATIENT, *before[1:]):
        gc.set_threshold(*before)
