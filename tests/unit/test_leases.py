"""How the parts of a lease go together."""

from __future__ import annotations

from xpm.broker.expiry import APART
from xpm.broker.resources import SHARE
from xpm_workers.lease import FROZEN, RENEWED, RETRIED
from xpm_workers.sweeper import PART


def test_a_renewal_that_is_not_answered_at_once_comes_before_the_second_look() -> None:
    """Else a lease that ran out by a step of the server's clock is taken from a holder that lives."""
    assert RENEWED + RETRIED <= APART + 1e-9
    assert 1 / SHARE < APART


def test_a_job_runs_elsewhere_within_two_leases() -> None:
    """A worker with a job comes by when it renews, and looks when a sweep is due: the next time may be one too late."""
    assert PART <= RENEWED
    first = RENEWED
    second = first + RENEWED * -(-APART // RENEWED)
    assert 1 + second < 2


def test_a_job_stands_still_before_its_lease_ends() -> None:
    assert 2 * RENEWED + RETRIED < FROZEN < 1
