"""The tasks of the cases."""

from __future__ import annotations

import os
import time

from journal import mark

from xpm import Param, Task


class Noop(Task):
    n: Param[int]

    def execute(self) -> int:
        return mark(self.n)


class Hold(Task):
    """Runs until its file is there."""

    n: Param[int]

    def execute(self) -> int:
        mark(self.n)
        while not os.path.exists(f"{os.environ['BENCH_LOG']}.{self.n}"):
            time.sleep(0.005)
        return self.n


class Step(Task):
    n: Param[int]
    after: Param[list[Step]]

    def execute(self) -> int:
        return mark(self.n)


class Source(Task):
    seed: Param[int]

    def execute(self) -> int:
        return mark(self.seed)


class Ten(Task):
    """Ten parameters and three edges."""

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
        return mark(self.a)


SOURCES = 100


def describe(count: int):
    """Yields `count` tasks to be submitted in this order: sources, then tasks that need three of them each."""
    sources = [Source.C(seed=seed) for seed in range(min(SOURCES, max(count - 1, 1)))]
    yield from sources[:count]
    many = len(sources)
    for n in range(many, count):
        yield Ten.C(
            a=n, b=2, c=3, d=0.1, e=1e-3, f=n / 7, g="adam", h="digits", i=True, j=False,
            x=sources[n % many], y=sources[(n + 1) % many], z=sources[(n + 2) % many],
        )  # fmt: skip
