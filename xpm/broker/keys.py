"""Every key of xpm in Redis, with its type and life time.

All begin with `xpm:<namespace>:`, but for those at the end, which all workspaces of a server share. `<id>` is the first
half of a job's identifier (32 hexadecimal digits), `<run>` a run's token `<experiment serial>.<run serial>`, `<slot>` is
`<queue>:<class>`, where the class is what a worker must fit (today: the payload's version). A `<group>` is `<slot>`, or
`<slot>:<needs>` for jobs that need tokens or locks; needs are `<resource>=<amount>,...` in the order of resources:
`t.<token>`, `h.<token>` (counted per host), `l.<lock>`. A `<lane>` is `<priority>.<experiment serial>`. A `<holder>` is a
job's `<id>`, or `@<name>` of one that holds or waits outside of a job. Times are milliseconds of the server's clock.

| key | type | what | life |
| --- | --- | --- | --- |
| `meta` | hash | schema, server, epoch, fence, order, grace, longest lease, last sweep, counters of serials | for ever |
| `j:<id>` | hash | one job: see `JOB_FIELDS` | for ever |
| `p:<id>` | string | its payload | for ever |
| `in:<id>` | string | a byte per input (0 unregistered, 1 open, 2 met, 3 blocked), then its inputs, 16 bytes each | for ever |
| `out:<id>` | string | its successors: 32 digits and a 4-byte index into the successor's inputs | for ever |
| `err:<id>` | string | packed failure of the last attempt | until a retry or success |
| `s:<STATE>` | sorted set | the jobs in a state, by the time they entered it | for ever |
| `ready:<group>:<lane>` | sorted set | what may start, by length of its chain and order | while not empty |
| `lanes:<group>` | sorted set | the lanes that have jobs, by priority and turn | while not empty |
| `turns` | hash | experiments' serials to their turn: how much was started of it; `@`: of code that holds outside of jobs; `*`: the last that began | for ever |
| `users` | set | those who ever ran an experiment | for ever |
| `owners` | hash | experiments' serials to the user who ran it last | for ever |
| `groups` | set | the groups with needs that have jobs | while not empty |
| `open:<slot>` | sorted set | the lanes that have groups in `opened`, by priority and turn | while not empty |
| `opened:<slot>:<lane>` | sorted set | groups with jobs in the lane that may have what they need, by the rank of the first | while not empty |
| `wants:<resource>` | sorted set | groups and `@<name>` that wait for it, by when they came | while not empty |
| `late` | sorted set | waiting jobs and `@<name>` by when a later one first passed them | while not empty |
| `again:<resource>` | set | those of them that are to be looked at again | while not empty |
| `over:<resource>` | set | jobs that are held because they need more than there is | while not empty |
| `resources` | set | the tokens and locks that were used here | for ever |
| `res:<lock>` | hash | `c` all of it, `u` in use | for ever |
| `held:<resource>` | hash | holders: amount, since, host | while not empty |
| `a:<name>` | hash | one that holds or waits outside of a job: see `HOLDER_FIELDS` | until it is free |
| `holds` | sorted set | these by the end of their lease | while not empty |
| `offered` | sorted set | those to whom something was granted while they waited, by when, until they take it | while not empty |
| `queues` | set | the slots of all jobs | for ever |
| `due` | sorted set | SCHEDULED jobs by the moment before which they may not start | while not empty |
| `leases` | sorted set | running jobs by the end of their lease | while not empty |
| `progress` | hash | last progress of running jobs | while not empty |
| `todo` | list | continuations: see `lua/README.md` | while not empty |
| `events` | stream | the transitions of one call an entry | the newest 100,000 |
| `experiments` | hash | name to serial | for ever |
| `runs:<serial>` | list | an experiment's run tokens | for ever |
| `run:<run>` | hash | name, experiment, start, code, facts, total, and how many of its jobs are in each state, held until a person lets them go or raises a capacity, and kept for others when they were cancelled; `off`: when and by whom it was called off | for ever |
| `tags:<run>` | hash | the jobs that the run lists, each with its packed tags | for ever |
| `types` | hash | packed description of each class that a payload names | for ever |
| `workers` | sorted set | workers by when they were last seen | until they depart, or a day |
| `w:<worker>` | hash | one worker: see `WORKER_FIELDS`, and the facts that it enrolled with | a day after its last call |
| `sick:<pool>` | string | the last jobs that died in a row soon after their start; three, and it gets no more | a day |
| `idle:<slot>` | sorted set | workers that wait for a bell; those that serve all queues: `idle:*:<class>` | while not empty |
| `coming:<group>` | set | workers whose bell rang for it, and that did not call since | two seconds |
| `paused` | hash | queues whose jobs are not granted: since when, and by whom | until they are resumed |
| `dismissed` | sorted set | workers that are to end, by when they were told | until they depart, or a day after they were heard of last |
| `failing` | hash | tasks whose last jobs failed alike: how many in a row, and how | until one succeeds, or the brake |
| `brakes` | hash | tasks that the brake holds: since when, how many had failed, and how | until they are released |
| `bell:<worker>` | list | rung when a job for it is ready | a minute |

Those that begin with `xpm:all:`; a `<prefix>` is a workspace's `xpm:<namespace>:`.

| key | type | what | life |
| --- | --- | --- | --- |
| `meta` | hash | counters | for ever |
| `spaces` | hash | prefixes to the paths of the workspaces, as far as these are known | for ever |
| `anew` | set | prefixes of those that began anew since their keys were deleted: what they held is counted no more | until the next look at leases |
| `resources` | set | the tokens that there are | for ever |
| `res:<token>` | hash | `c` capacity, `u` in use; per host `c@<host>`, `u@<host>`, and `most`, the largest of them | for ever |
| `line:<token>` | sorted set | prefixes of the workspaces of which somebody waits for it, first the one that had some longest ago | while not empty |
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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
    "rw": "it was given other inputs: what `out` of others says of it may be older",
    "w": "inputs that are not met",
    "b": "inputs that are blocked",
    "h": "reasons of HOLD other than a dependency",
    "rs": "what it needs of tokens and locks",
    "tw": "when it began to wait for them",
    "ch": "its rank by the length of its chain",
    "e": "runs that list it",
    "v": "experiments that want it",
    "x": "number of its last execution",
    "f": "fence of its last execution, or of its record",
    "ln": "renewals of the lease",
    "a": "attempts begun",
    "cr": "crashes since the last success, retry or progress",
    "ls": "executions lost with their pool or host since then",
    "ah": "host of the last crash",
    "ac": "when it crashed there",
    "rt": "attempts that its policy granted since the last success or retry",
    "gt": "times in a row that it ended itself to be continued, early and without progress",
    "pg": "millionths: the best progress that it ever told, if it can be resumed",
    "nb": "not before: when it may start",
    "ry": "policy of retries, packed by `xpm.core.retries`",
    "ev": "variables of its environment, packed by `xpm.core.environ`",
    "to": "time limit of an attempt, in ms",
    "ru": "can be resumed: its directory is kept between attempts",
    "aq": "holders of tokens and locks that are a part of its execution",
    "u": "worker of its last execution",
    "st": "asked to stop: cancel or kill",
    "by": "when, and by whom: asked to stop, or held",
    "rr": "it was done and is to run again: fence of the record that stays until then",
    "un": "an execution of such a job was lost, and may have published a new result",
    "c": "code it runs",
    "g": "run that retried it last",
    "r": "revision",
    "t0": "submitted",
    "t1": "started",
    "t2": "ended",
}

"""A number that is 0 and a text that is empty need not be stored."""

WORKER_FIELDS = {
    "n": "number of the last call",
    "o": "outcome of its report",
    "g": "job that it granted, or empty",
    "x": "and the execution",
    "i": "slots for whose bell it waits, or empty",
    "b": "group whose bell woke it, until its next call",
    "seen": "last call",
    "beat": "last heartbeat to RQ",
    "born": "enrolled",
}

HOLDER_FIELDS = {
    "needs": "what it holds or waits for",
    "p": "priority",
    "turn": "the turn at which it came",
    "order": "its order among those of that turn",
    "host": "where it is",
    "facts": "packed: who it is",
    "j": "the job that it is a part of, or empty",
    "x": "and the execution",
    "f": "fence of what was granted",
    "n": "renewals of its lease",
    "t0": "asked",
    "t1": "granted",
    "seen": "of one that is no part of a job: when it asked last",
}

PATTERNS = {
    "meta": "hash",
    r"j:[0-9a-f]{32}": "hash",
    r"p:[0-9a-f]{32}": "string",
    r"in:[0-9a-f]{32}": "string",
    r"out:[0-9a-f]{32}": "string",
    r"err:[0-9a-f]{32}": "string",
    r"s:[A-Z]+": "zset",
    r"ready:\S+:-?\d+\.\d+": "zset",
    r"lanes:\S+": "zset",
    "turns": "hash",
    "owners": "hash",
    "users": "set",
    "groups": "set",
    r"open:\S+:\d+": "zset",
    r"opened:\S+:\d+:-?\d+\.\d+": "zset",
    r"wants:\S+": "zset",
    "late": "zset",
    r"over:\S+": "set",
    r"again:\S+": "set",
    "resources": "set",
    r"res:l\.\S+": "hash",
    r"held:\S+": "hash",
    r"a:\S+": "hash",
    "holds": "zset",
    "offered": "zset",
    "queues": "set",
    "due": "zset",
    "leases": "zset",
    "progress": "hash",
    "todo": "list",
    "events": "stream",
    "experiments": "hash",
    r"runs:\d+": "list",
    r"run:\d+\.\d+": "hash",
    r"tags:\d+\.\d+": "hash",
    "types": "hash",
    "paused": "hash",
    "dismissed": "zset",
    "failing": "hash",
    "brakes": "hash",
    "workers": "zset",
    r"w:\S+": "hash",
    r"sick:\S+": "string",
    r"idle:\S+:\d+": "zset",
    r"bell:\S+": "list",
    r"coming:\S+": "set",
}
"""What a key of ours is named, behind the prefix, and its type."""

SHARED = "xpm:all:"
"""What the keys begin with that all workspaces share."""

SHARED_PATTERNS = {
    "meta": "hash",
    "spaces": "hash",
    "anew": "set",
    "resources": "set",
    r"res:\S+": "hash",
    r"line:\S+": "zset",
}
"""The same of these."""


def kind(key: str, patterns: Mapping[str, str] = PATTERNS) -> str | None:
    """The type that the table gives a key (without its prefix); None for one that it doesn't know."""
    return next((kind for pattern, kind in patterns.items() if re.fullmatch(pattern, key)), None)


def slot_of(group: str) -> str:
    """The slot of a group of jobs."""
    return ":".join(group.split(":")[:2])


def prefix(namespace: Namespace) -> str:
    """What all keys of a namespace begin with."""
    return f"xpm:{namespace}:"
