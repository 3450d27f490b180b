"""Every key of xpm in Redis, with its type and life time.

All begin with `xpm:<namespace>:`. `<id>` is the first half of a job's identifier (32 hexadecimal digits),
`<run>` a run's token `<experiment serial>.<run serial>`, `<slot>` is `<queue>:<class>`, where the class is
what a worker must fit (today: the payload's version). Times are milliseconds of the server's clock.

| key | type | what | life |
| --- | --- | --- | --- |
| `meta` | hash | schema, server, epoch, fence, order, grace, counters of serials | for ever |
| `j:<id>` | hash | one job: see `JOB_FIELDS` | for ever |
| `p:<id>` | string | its payload | for ever |
| `in:<id>` | string | its inputs, 16 bytes each | for ever |
| `es:<id>` | string | one byte per input: 0 unregistered, 1 open, 2 met, 3 blocked | for ever |
| `out:<id>` | string | its successors: 32 digits and a 4-byte index into the successor's inputs | for ever |
| `err:<id>` | string | packed failure of the last attempt | until a retry or success |
| `s:<STATE>` | sorted set | the jobs in a state, by the time they entered it | for ever |
| `ready:<slot>` | sorted set | what may start, by priority and order | while not empty |
| `queues` | set | all slots seen | for ever |
| `leases` | sorted set | running jobs by the end of their lease | while not empty |
| `progress` | hash | last progress of running jobs | while not empty |
| `todo` | list | continuations: `S<id>:<n>` settle successors, `R<id>:<n>` register inputs | while not empty |
| `events` | stream | one entry a transition, capped | the newest 100,000 |
| `experiments` | hash | name to serial | for ever |
| `runs:<serial>` | list | an experiment's run tokens | for ever |
| `run:<run>` | hash | name, experiment, start, code, facts, total, and a count per state | for ever |
| `tags:<run>` | hash | the jobs that the run lists, each with its packed tags | for ever |
| `types` | hash | packed description of each class that a payload names | for ever |
| `workers` | sorted set | workers by when they were last seen | until they depart |
| `w:<worker>` | hash | facts, last call's number and reply, the job it runs | a day after its last call |
| `idle:<slot>` | sorted set | workers that wait for a bell | while not empty |
| `bell:<worker>` | list | rung when a job for it is ready | a minute |
"""

from __future__ import annotations

from xpm.types import Namespace

JOB_FIELDS = {
    "d": "second half of the identifier",
    "t": "task's class name",
    "l": "label",
    "s": "state",
    "m": "why it is there",
    "q": "queue",
    "k": "class",
    "p": "priority",
    "o": "order",
    "n": "number of inputs",
    "w": "inputs that are not met",
    "b": "inputs that are blocked",
    "h": "reasons of HOLD other than a dependency",
    "e": "runs that list it",
    "v": "experiments that want it",
    "x": "number of its last execution",
    "f": "fence of its last execution, or of its record",
    "ln": "renewals of the lease",
    "a": "attempts begun",
    "cr": "workers lost with it since the last success or retry",
    "u": "worker of its last execution",
    "st": "asked to stop: cancel or kill",
    "c": "code it runs",
    "g": "run that retried it last",
    "r": "revision",
    "t0": "submitted",
    "t1": "started",
    "t2": "ended",
}


def prefix(namespace: Namespace) -> str:
    """What all keys of a namespace begin with."""
    return f"xpm:{namespace}:"
