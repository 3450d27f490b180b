"""What the core costs per task: made, checked, sealed, identified, encoded.

python benchmarks/core_micro.py
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from xpm.core.config import Config, Param, Task, reference
from xpm.core.identifier import digest
from xpm.core.message import build, encode
from xpm.core.sealing import seal
from xpm.core.session import SubmitOptions, current
from xpm.core.submission import Prepared, prepare

COUNT = 20_000
ROUNDS = 7


class Model(Config):
    layers: Param[int] = 3
    width: Param[int] = 64


class Source(Task):
    seed: Param[int]

    def execute(self) -> int:
        return self.seed


class Ten(Task):
    a: Param[int]
    b: Param[int]
    c: Param[int]
    d: Param[float]
    e: Param[float]
    f: Param[float]
    g: Param[str]
    h: Param[str]
    i: Param[bool]
    j: Param[bool]
    x: Param[Source]
    y: Param[Source]
    z: Param[Source]

    def execute(self) -> int:
        return 0


class Listed(Task):
    a: Param[int]
    sources: Param[list[Source]]
    model: Param[Model]

    def execute(self) -> int:
        return 0


class Sink:
    """A session that keeps what it was given last."""

    last: Prepared

    def submit(self, task: Task, options: SubmitOptions) -> None:
        self.last = prepare(task)

    def jobpath(self, task: Task) -> Path:
        return Path("/jobs", reference(task).id)

    def handle(self, task: Task) -> Any: ...
    def result(self, task: Task, timeout: float | None) -> Any: ...
    def progress(self, value: float, desc: str | None, level: int) -> None: ...


def scalars(at: int) -> dict[str, Any]:
    return {
        "a": at,
        "b": 2,
        "c": 3,
        "d": 0.1,
        "e": 1e-3,
        "f": 2.5,
        "g": "adam",
        "h": "digits",
        "i": True,
        "j": False,
    }


def encoded(at: int, x: Source, y: Source, z: Source) -> None:
    task = Ten.C(**scalars(at), x=x, y=y, z=z)
    seal(task)
    digest(task)
    encode(task)


def measure(name: str, each: Any, count: int = COUNT) -> float:
    """Microseconds a call, the median of several rounds."""
    each(-1)
    rounds: list[float] = []
    for number in range(ROUNDS):
        start = time.perf_counter()
        for at in range(number * count, (number + 1) * count):
            each(at)
        rounds.append((time.perf_counter() - start) / count * 1e6)
    print(f"{name:58} {median(rounds):8.2f} us  [{min(rounds):.2f}-{max(rounds):.2f}]")
    return median(rounds)


def process(*arguments: str) -> float:
    """Milliseconds of a whole Python process."""
    rounds: list[float] = []
    for _ in range(15):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True)
        rounds.append((time.perf_counter() - start) * 1e3)
    return median(rounds)


def main() -> None:
    print(
        f"Python {platform.python_version()}, {platform.machine()}; medians of {ROUNDS} rounds of {COUNT:,}"
    )
    sink = Sink()
    sys.modules["__main__"].__dict__.setdefault("__xpm_script__", "benchmarks/core_micro.py")
    token = current.set(sink)
    x, y, z = (Source.C(seed=seed).submit() for seed in range(3))
    measure("10 scalars and 3 edges: made and checked", lambda at: Ten.C(**scalars(at), x=x, y=y, z=z))
    measure("10 scalars and 3 edges: made, sealed, identified, encoded", lambda at: encoded(at, x, y, z))
    measure(
        "10 scalars and 3 edges: with tags, label, submitted",
        lambda at: Ten.C(**scalars(at), x=x, y=y, z=z).submit(),
    )
    print(f"{'payload':58} {len(sink.last.payload):8} bytes")
    payload, types = sink.last.payload, sink.last.types
    find = {cls.__qualname__: cls for cls in (Ten, Source)}
    measure(
        "the same, built in the worker",
        lambda at: build(payload, types, lambda i: find[i.qualname], lambda r: x, "/j"),
    )
    measure(
        "list of 3 edges, a config: submitted",
        lambda at: Listed.C(a=at, sources=[x, y, z], model=Model.C()).submit(),
    )
    measure("1 scalar: submitted", lambda at: Source.C(seed=at + 10).submit())
    many = [Source.C(seed=seed).submit() for seed in range(1000)]
    measure(
        "fan-in of 1,000: submitted", lambda at: Listed.C(a=at, sources=many, model=Model.C()).submit(), 100
    )
    current.reset(token)
    for arguments in (["-c", "pass"], ["-c", "import xpm"], ["-c", "from xpm import Task, Param, tag"]):
        print(f"{'python ' + ' '.join(arguments):58} {process(*arguments):8.1f} ms")


if __name__ == "__main__":
    main()
