"""Whether an attempt that failed may be followed by another, by the policy of its job."""

from __future__ import annotations

from xpm.broker.broker import Claim
from xpm.core.retries import Failing, Retries
from xpm_workers.running import Ended


def covered(claim: Claim, ended: Ended) -> bool:
    """Whether the job's policy covers how this execution failed."""
    failure = ended.failure
    if failure is None or not claim.policy:
        return False
    names = tuple(str(name) for name in ended.said.get("names", ()))
    code = ended.said.get("exit_code", ended.exit_code)
    return Retries.unpack(claim.policy).covers(Failing(failure.kind, names, code))


def budget_left(claim: Claim) -> bool:
    """Whether the policy grants another attempt."""
    return bool(claim.policy) and claim.retried < Retries.unpack(claim.policy).times
