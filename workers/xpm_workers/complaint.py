"""What a worker says of a broker that is away: that it is, and that it is back; not each try in between."""

from __future__ import annotations

import logging

from xpm.moments import Moment

log = logging.getLogger("xpm.worker")


class Complaint:
    """The trouble of one who calls the broker again and again."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._since = Moment.now()

    def say(self, error: Exception) -> None:
        """A call failed."""
        if not self._said:
            self._since = Moment.now()
        if str(error) not in self._said:
            self._said.add(str(error))
            log.warning("%s", error)

    def over(self) -> None:
        """A call was answered."""
        if self._said:
            self._said.clear()
            log.info("the broker answers again, after %.1f s", self._since.age)
