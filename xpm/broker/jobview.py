"""A job as people and scripts see it: read from the fields of its hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xpm.core.retries import Retries
from xpm.core.state import PENDING, State
from xpm.types import JobId, ShortId

FIELDS = (
    "d", "t", "l", "s", "m", "q", "k", "p", "n", "w", "b", "h", "e", "x", "f", "a", "cr", "u", "c", "r", "t0", "t1", "t2",
    "rt", "ry", "nb", "by", "st", "rs", "aq", "v", "ev", "rr",
)  # fmt: skip
"""What is read of a job's hash, see `xpm.broker.keys`."""


def worker_place(worker: str) -> tuple[str, str]:
    """Host and process id in a worker's name, `<namespace>.<host>.<process>-<pool>`; empty for that of none."""
    host, _, process = worker.partition(".")[2].rpartition(".")
    return host, process.partition("-")[0]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it stands in the broker. Times are seconds since 1970 by the server's clock, 0 when there is none."""

    id: JobId
    task: str
    label: str
    state: State
    reason: str
    queue: str
    version: int
    """Payload version: which workers can read it."""
    priority: int
    inputs: int
    unmet: int
    """Inputs that are not done."""
    blocked: int
    """Inputs that are in ERROR, CANCELLED or HOLD."""
    holds: tuple[str, ...]
    runs: tuple[str, ...]
    execution: int
    fence: str
    attempt: int
    crashes: int
    worker: str
    """Worker of the running or last execution."""
    code: str
    revision: int
    submitted: float
    started: float
    ended: float
    who: str
    """Who holds it, or asked for its end; empty for nobody in particular."""
    asked: float
    """When."""
    stop: str
    """Asked to stop: `cancel` or `kill`."""
    needs: str
    """The tokens and locks that it needs, see `xpm.core.requirement.needs_of`."""
    retried: int = 0
    """Attempts that its policy has granted."""
    policy: str = ""
    """When it is attempted again, packed by `xpm.core.retries`; empty: never."""
    due: float = 0.0
    """Before when it may not start."""
    asks: bool = False
    """Whether its code holds tokens or locks, or waits for some."""
    wanted: tuple[str, ...] = ()
    """The serials of the experiments that want it."""
    environ: str = ""
    """Variables of its environment, packed by `xpm.core.environ`."""
    rerun: bool = False
    """Whether it has a result, which stays unless there is a new one."""

    @property
    def place(self) -> tuple[str, str]:
        """Host and process id of its last worker; empty if it had none."""
        return worker_place(self.worker)

    @property
    def attempts(self) -> int:
        """How many there may be in all, as far as its policy says; 0 when it has none."""
        if not self.policy:
            return 0
        return self.attempt - self.retried + Retries.unpack(self.policy).times + (self.state in PENDING)


def job_of(job: ShortId, row: Sequence[bytes | None]) -> JobView | None:
    """The job with these values of `FIELDS`; None when there is none."""
    text = {name: (value or b"").decode("utf-8", "replace") for name, value in zip(FIELDS, row, strict=True)}
    number = {name: int(value) if value.lstrip("-").isdigit() else 0 for name, value in text.items()}
    if not text["s"]:
        return None
    asked, _, who = text["by"].partition(" ")
    return JobView(
        id=JobId(job + text["d"]),
        task=text["t"],
        label=text["l"],
        state=State(text["s"]),
        reason=text["m"],
        queue=text["q"],
        version=number["k"] or 1,
        priority=number["p"],
        inputs=number["n"],
        unmet=number["w"],
        blocked=number["b"],
        holds=(*text["h"].split(), *(["dependency"] if number["b"] else [])),
        runs=tuple(text["e"].split()),
        execution=number["x"],
        fence=text["f"],
        attempt=number["a"],
        crashes=number["cr"],
        worker=text["u"],
        code=text["c"],
        revision=number["r"],
        submitted=number["t0"] / 1000,
        started=number["t1"] / 1000,
        ended=number["t2"] / 1000,
        who=who,
        asked=int(asked or 0) / 1000,
        stop=text["st"],
        needs=text["rs"],
        retried=number["rt"],
        policy=text["ry"],
        due=number["nb"] / 1000,
        asks=bool(text["aq"]),
        wanted=tuple(text["v"].split()),
        environ=text["ev"],
        rerun=bool(text["rr"]),
    )
