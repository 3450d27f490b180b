"""The right to a job, as its holder must measure it: never longer than the broker does."""

from __future__ import annotations

from collections.abc import Callable

from xpm.moments import Moment

RENEWED = 1 / 4
"""Part of a lease after which it is renewed."""

FROZEN = 5 / 6
"""Part of a lease after which the job is frozen that nobody could renew it for."""

RETRIED = 1 / 12
"""Part of a lease after which a renewal is tried again that was not answered."""


class Lease:
    """Counts from the sending of the last call that the broker has answered: the claim, then each renewal.

    What was sent was received later, so the lease ends here before it ends there; and both by clocks of their own.

    Args:
        length: seconds.
        since: before the claim was sent.
        ask: sends packed progress and renews; answers `ok`, `stop`, `cancel`, `fenced` or `away`.
        note: told from when on the lease counts, each time that this changes.
    """

    def __init__(
        self,
        length: float,
        since: Moment,
        ask: Callable[[bytes], str],
        note: Callable[[Moment], None] = lambda moment: None,
    ) -> None:
        self.length = length
        self._since = since
        self._ask = ask
        self._note = note
        self._tried = since
        self._answered = True
        note(since)

    @property
    def over(self) -> bool:
        """Whether the job may not go on."""
        return self._since.age >= self.length * FROZEN

    @property
    def left(self) -> float:
        """Seconds until that is so; negative when it has been for as long."""
        return self.length * FROZEN - self._since.age

    @property
    def answered(self) -> bool:
        """Whether the last call was."""
        return self._answered

    def due(self, often: float = float("inf")) -> float:
        """Seconds until it is to be renewed, at least every `often` seconds; 0 or less: now."""
        part = RENEWED if self._answered else RETRIED
        return min(often, self.length * part) - self._tried.age

    def renew(self, progress: bytes = b"") -> str:
        """Asks for more time; returns the answer."""
        self._tried = sent = Moment.now()
        answer = self._ask(progress)
        self._answered = answer != "away"
        if answer in ("ok", "stop", "cancel"):
            self._since = sent
            self._note(sent)
        return answer
