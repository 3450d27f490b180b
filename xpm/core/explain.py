"""Why a job is not running, in words: from what is known of it, and nothing else, to sentences.

`xpm why` prints them. The facts are gathered by who can ask a broker; all of this is plain, and tried without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from xpm.core.lengths import duration
from xpm.core.state import State
from xpm.core.words import plural

RESUME = 'rq resume -u "$(xpm broker url)"'
"""What lets suspended workers go on. Without the URL, rq would ask the server of port 6379, or fail to."""

SHOWN = 5
"""Inputs that are named, at most."""


@dataclass(frozen=True, slots=True)
class Other:
    """Another job, as far as it stands in the way."""

    label: str
    id: str
    state: State
    note: str = ""
    """What is to be said of it: how it failed, for how long it has been running."""

    def __str__(self) -> str:
        """In a sentence."""
        return f"{self.label} {self.id[:8]}"


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason for which a job is on hold."""

    kind: str
    """`person`, `brake`, `dependency`, `capacity`, or another that the engine names."""
    who: str = ""
    since: float = 0.0
    """Seconds since 1970; 0 when it is not known."""
    text: str = ""
    """More about it: what failed before the brake held the rest."""
    cure: str = ""
    """The command that ends it."""


@dataclass(frozen=True, slots=True)
class Need:
    """A token or lock that the job waits for."""

    wanted: str
    """What, how much of it, and how it stands, see `xpm.core.stock.standing`."""
    holders: Sequence[str] = ()
    """Who has it, and for how long already, each in words."""
    reserved: str = ""
    """For whom it is kept free, if it is."""
    free: bool = False
    """Whether there is enough of it now."""
    lack: str = ""
    """Of what there is less than it needs, and what helps, see `xpm.core.stock`; empty when there is enough."""


@dataclass(frozen=True, slots=True)
class Line:
    """The queue in which a ready job waits."""

    queue: str
    unserved: str = ""
    """Why no worker can take the job; empty when one can."""
    paused: Hold | None = None
    suspended: bool = False
    """By RQ's tools, all workers."""
    serving: int = 0
    """Living workers that could take it."""
    idle: int = 0
    ahead: int = 0
    """Ready jobs that start before it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A parameter in which two jobs differ, both values as people read them."""

    name: str
    here: str
    there: str


@dataclass(frozen=True, slots=True)
class Near:
    """The job most like this one that is done."""

    job: Other
    differences: Sequence[Difference]
    looked_at: int
    """How many done jobs of the task were compared."""
    all: bool
    """Whether that was all of them."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a job. Times are seconds since 1970 by the broker's clock."""

    job: Other
    now: float
    since: float = 0.0
    """When it came to its state."""
    reason: str = ""
    """What the engine noted with its last move."""
    worker: str = ""
    """Where it runs, or ran last."""
    stop: str = ""
    """Somebody asked for its end."""
    who: str = ""
    silent: float = 0.0
    """RUNNING: seconds since its worker was heard of, if that is longer than it may be silent; else 0."""
    alone: bool = False
    """Whether no worker is heard of."""
    inputs: int = 0
    unmet: int = 0
    waits_for: Sequence[Other] = ()
    """Inputs that are not done, some of them."""
    holds: Sequence[Hold] = ()
    line: Line | None = None
    needs: Sequence[Need] = ()
    starts: float = 0.0
    """The moment before which it must not start; 0 when there is none."""
    near: Near | None = None
    retry: str = ""
    """The command that runs it again, of a job that ended without a result."""


def explain(facts: Facts) -> list[str]:
    """The answer, one sentence a line, the most important first."""
    return [*_STATES[facts.job.state](facts), *_near(facts)]


def _is(facts: Facts, what: str) -> str:
    since = f" for {duration(max(0.0, facts.now - facts.since))}" if facts.since else ""
    return f"{facts.job} {what}{since}"


def _running(facts: Facts) -> list[str]:
    lines = [_is(facts, "is running") + (f" on {facts.worker}" if facts.worker else "")]
    if facts.stop:
        by = f" by {facts.who}" if facts.who else ""
        lines.append(f"it was asked to stop{by} ({facts.stop})")
    if facts.silent:
        alone = "; nobody is there to take its lease: xpm worker start" if facts.alone else ""
        lines.append(f"its worker has not been heard of for {duration(facts.silent)}{alone}")
    return lines + [text for need in facts.needs for text in _need(need, "its code")]


def _waiting(facts: Facts) -> list[str]:
    few = f"{facts.unmet:,} of its {facts.inputs:,} inputs" if facts.inputs > 1 else "its input"
    return [_is(facts, f"waits for {few}"), *_inputs(facts), *_later(facts)]


def _later(facts: Facts) -> list[str]:
    """Of what stands still for another reason: that its time has not come either."""
    if facts.starts <= facts.now:
        return []
    return [f"besides, it starts in {duration(facts.starts - facts.now)} at the earliest"]


def _inputs(facts: Facts) -> list[str]:
    lines = [f"  {other} is {other.state}{_noted(other)}" for other in facts.waits_for[:SHOWN]]
    if facts.unmet > len(lines) > 0:
        lines.append(f"  and {facts.unmet - len(lines):,} more")
    return lines


def _noted(other: Other) -> str:
    return f": {other.note}" if other.note else ""


def _held(facts: Facts) -> list[str]:
    lines = [_is(facts, "is on hold")]
    for hold in facts.holds:
        lines += _HOLDS.get(hold.kind, _named_hold)(hold, facts)
    return lines + _later(facts)


def _person(hold: Hold, facts: Facts) -> list[str]:
    who = hold.who or "a person"
    since = f" for {duration(max(0.0, facts.now - hold.since))}" if hold.since else ""
    return [f"{who} holds it{since}: {hold.cure}"]


def _brake(hold: Hold, _facts: Facts) -> list[str]:
    return [f"{hold.text or 'the brake holds it'}; when that is mended: {hold.cure}"]


def _dependency(_hold: Hold, facts: Facts) -> list[str]:
    if not facts.waits_for:
        return ["an input has no result"]
    return ["it needs what has no result:", *_inputs(facts)]


def _capacity(hold: Hold, _facts: Facts) -> list[str]:
    if not hold.cure:
        return ["there is enough again of what it needs: it goes on in a moment"]
    return [f"it needs {hold.text}; when there can be more: {hold.cure}"]


def _named_hold(hold: Hold, _facts: Facts) -> list[str]:
    return [f"{hold.kind} holds it" + (f": {hold.text}" if hold.text else "")]


_HOLDS: Mapping[str, Callable[[Hold, Facts], list[str]]] = {
    "person": _person,
    "brake": _brake,
    "dependency": _dependency,
    "capacity": _capacity,
}


def _ready(facts: Facts) -> list[str]:
    lines = [_is(facts, "is ready to start")]
    if facts.reason:
        lines[0] += f" ({facts.reason})"
    line = facts.line
    shut = _shut(line, facts.now) if line is not None else []
    # What is free keeps it from nothing while nothing of its queue starts.
    needs = [need for need in facts.needs if not (shut and need.free)]
    lines += shut
    lines += [text for need in needs for text in _need(need, "besides, it" if shut else "it")]
    if line is not None and not (shut or needs):
        lines.append(_turn(line))
    return lines


def _shut(line: Line, now: float) -> list[str]:
    """Why no worker takes a job of the queue, whatever is free."""
    lines: list[str] = []
    if line.suspended:
        lines.append(f"all workers are suspended by RQ: {RESUME}")
    if line.paused is not None:
        by = f" by {line.paused.who}" if line.paused.who else ""
        since = duration(max(0.0, now - line.paused.since))
        lines.append(f"queue {line.queue} is paused{by} for {since}: {line.paused.cure}")
    if line.unserved:
        lines.append(line.unserved)
    return lines


def _need(need: Need, who: str) -> list[str]:
    lines = [f"{who} needs {need.lack}" if need.lack else f"{who} waits for {need.wanted}"]
    lines += [f"  {holder}" for holder in need.holders]
    if need.reserved:
        lines.append(f"  before it waits {need.reserved}, for which what is free may be kept")
    return lines


def _turn(line: Line) -> str:
    place = f"it is the next of queue {line.queue}"
    if line.ahead:
        place = f"{plural(line.ahead, 'job')} of queue {line.queue} before it"
    if line.idle:
        return f"{place}: a worker takes it in a moment"
    busy = "its only worker is busy" if line.serving == 1 else f"all {line.serving:,} workers are busy"
    return f"{place}: {busy}"


def _scheduled(facts: Facts) -> list[str]:
    if facts.starts <= facts.now:
        return [f"{facts.job} starts in a moment: its time has come"]
    why = f" ({facts.reason})" if facts.reason else ""
    return [f"{facts.job} starts in {duration(facts.starts - facts.now)} at the earliest{why}"]


def _ended(facts: Facts) -> list[str]:
    said = {State.ERROR: "failed", State.CANCELLED: "was cancelled", State.LOST: "lost its only outputs"}
    lines = [
        f"{facts.job} {said[facts.job.state]}{_ago(facts)}" + (f": {facts.reason}" if facts.reason else "")
    ]
    if facts.retry:
        lines.append(f"to run it again: {facts.retry}")
    return lines


def _ago(facts: Facts) -> str:
    return f" {duration(max(0.0, facts.now - facts.since))} ago" if facts.since else ""


def _done(facts: Facts) -> list[str]:
    said = f"{facts.job} is done" + (f", {_ago(facts).strip()}" if facts.since else "")
    return [f"{said} ({facts.reason})" if facts.reason else said]


_STATES: Mapping[State, Callable[[Facts], list[str]]] = {
    State.WAITING: _waiting,
    State.READY: _ready,
    State.RUNNING: _running,
    State.DONE: _done,
    State.ERROR: _ended,
    State.HOLD: _held,
    State.SCHEDULED: _scheduled,
    State.CANCELLED: _ended,
    State.LOST: _ended,
}


def _near(facts: Facts) -> list[str]:
    near = facts.near
    if near is None:
        return []
    which = (
        "the job most like it that is done"
        if near.all
        else f"of {near.looked_at:,} done jobs the one most like it"
    )
    if not near.differences:
        return [f"{which}: {near.job}, which has the same parameters, but other code or dependencies"]
    return [
        f"{which}: {near.job}; they differ in",
        *(f"  {one.name}: {one.here} here, {one.there} there" for one in near.differences),
    ]


def differences(here: Mapping[str, object], there: Mapping[str, object]) -> list[Difference]:
    """The parameters in which two jobs differ: of inner configs by their path, `model.layers`, of lists by place."""
    return list(_compared("", here, there))


_MISSING = object()

_PLACES = 3
"""Places of a list that are named."""


def _compared(name: str, here: object, there: object) -> Iterator[Difference]:
    if here == there or (here != here and there != there):  # NaN differs from itself
        return
    own, other = _mapping(here), _mapping(there)
    if own is not None and (other is not None or there is _MISSING):
        yield from _by_key(name, own, other or {})
    elif other is not None and here is _MISSING:
        yield from _by_key(name, {}, other)
    elif (mine := _list(here)) is not None and (theirs := _list(there)) is not None:
        yield from _by_place(name, mine, theirs)
    else:
        yield Difference(name, _text(here), _text(there))


def _by_key(name: str, here: Mapping[str, object], there: Mapping[str, object]) -> Iterator[Difference]:
    for key in sorted(here.keys() | there.keys()):
        yield from _compared(
            f"{name}.{key}" if name else key, here.get(key, _MISSING), there.get(key, _MISSING)
        )


def _by_place(name: str, here: list[object], there: list[object]) -> Iterator[Difference]:
    if len(here) != len(there):
        yield Difference(name, plural(len(here), "item"), f"{len(there):,}")
    found = [
        each
        for at, (own, other) in enumerate(zip(here, there, strict=False))
        for each in _compared(f"{name}[{at}]", own, other)
    ]
    yield from found[:_PLACES]
    if len(found) > _PLACES:
        yield Difference(name, f"{len(found) - _PLACES:,} more", "others")


def _mapping(value: object) -> Mapping[str, object] | None:
    """A config or a dict among parameters: their keys are texts."""
    if _job(value) or not isinstance(value, Mapping):
        return None
    return cast("Mapping[str, object]", value)


def _list(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _job(value: object) -> str:
    """The identifier of a dependency among parameters; empty for any other value."""
    return str(cast("Mapping[str, object]", value).get("$job", "")) if isinstance(value, Mapping) else ""


def _text(value: object) -> str:
    if value is _MISSING:
        return "absent"
    if job := _job(value):
        return job[:8]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
