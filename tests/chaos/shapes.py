"""Graphs of all shapes, from a seed; and what each of their jobs must give."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

MODULUS = 1_000_003

WRITE = 1_000_000
"""As much of a lock as there is."""

CAPACITIES = {"t.gpu": 2, "t.disk": 1, "l.index": WRITE}

HOWS = (
    "quick", "quick", "quick", "quick", "sleep:0.1", "sleep:0.1", "sleep:0.4", "sleep:2", "sleep:5", "children", "print", "files",
    "hold:t.disk=1", f"hold:l.index={WRITE}",
)  # fmt: skip
"""What jobs do: nothing, wait, leave processes behind, print, write files, acquire a token or lock for a while."""


NEEDS = ("",) * 8 + ("t.gpu=1", "t.gpu=2", "t.disk=1,t.gpu=1", "l.index=1", "l.index=1", f"l.index={WRITE}")
"""Tokens and locks that jobs require."""


class Node(NamedTuple):
    """A job to be: its name, what it does and requires, and the jobs before it."""

    name: str
    how: str
    needs: str
    after: tuple[str, ...]

    @property
    def holds(self) -> str:
        """What its code acquires."""
        how, _, more = self.how.partition(":")
        return more if how == "hold" else ""


Links = list[tuple[int, ...]]
"""For each job the earlier ones that it needs."""


def _single(chance: random.Random) -> Links:
    return [()]


def _chain(chance: random.Random) -> Links:
    return [(k - 1,) if k else () for k in range(chance.randint(2, 7))]


def _fan_out(chance: random.Random) -> Links:
    return [(), *[(0,)] * chance.randint(2, 12)]


def _fan_in(chance: random.Random) -> Links:
    count = chance.randint(2, 12)
    return [*[()] * count, tuple(range(count))]


def _diamonds(chance: random.Random) -> Links:
    links: Links = [()]
    for _ in range(chance.randint(1, 3)):
        top = len(links) - 1
        links += [(top,), (top,), (top + 1, top + 2)]
    return links


def _layers(chance: random.Random) -> Links:
    width, depth = chance.randint(2, 5), chance.randint(2, 4)
    return [
        tuple(range((layer - 1) * width, layer * width)) if layer else ()
        for layer in range(depth)
        for _ in range(width)
    ]


def _random(chance: random.Random) -> Links:
    return [
        tuple(sorted(chance.sample(range(k), min(k, chance.choice((0, 1, 1, 2, 3))))))
        for k in range(chance.randint(3, 20))
    ]


SHAPES: tuple[Callable[[random.Random], Links], ...] = (
    _single, _chain, _fan_out, _fan_in, _diamonds, _layers, _random,
)  # fmt: skip


def graph(chance: random.Random, name: str) -> list[Node]:
    """A graph, inputs before what needs them; its nodes are named `<name>.<number>`."""
    links = chance.choice(SHAPES)(chance)
    nodes = [
        Node(
            f"{name}.{k}",
            chance.choice(HOWS),
            chance.choice(NEEDS),
            tuple(f"{name}.{parent}" for parent in parents),
        )
        for k, parents in enumerate(links)
    ]
    # What holds some and waits for more may wait for another that does so, too.
    return [node._replace(needs="") if node.holds else node for node in nodes]


def crowd(name: str, width: int) -> list[Node]:
    """A job, `width` that need it, and one that needs all of these."""
    top = Node(f"{name}.0", "sleep:2", "", ())
    middle = [Node(f"{name}.{k + 1}", "quick", "", (top.name,)) for k in range(width)]
    return [top, *middle, Node(f"{name}.{width + 1}", "quick", "", tuple(node.name for node in middle))]


def value(node: Node, values: Mapping[str, int]) -> int:
    """The result of a job, from those of its inputs."""
    return (1 + sum((k + 2) * values[parent] for k, parent in enumerate(node.after))) % MODULUS


def values(nodes: Sequence[Node]) -> dict[str, int]:
    """The result of every job."""
    found: dict[str, int] = {}
    for node in nodes:
        found[node.name] = value(node, found)
    return found


TASKS = '''
from __future__ import annotations
import os, subprocess, sys, time
from pathlib import Path
from xpm import lock, token
from xpm.core.config import Meta, Param, Task
from xpm.core.session import progress

class Node(Task):
    """Notes its beginning and its end in a ledger, and works meanwhile."""
    name: Param[str]
    how: Param[str]
    after: Param[list[Node]]
    ledger: Meta[Path]

    def note(self, word: str) -> None:
        published = int(os.path.exists(self.jobpath / ".xpm/result.json"))
        fields = (word, self.name, os.environ["XPM_FENCE"], os.environ["XPM_ATTEMPT"], os.getpid(),
                  os.environ["CHAOS_POOL"], published)
        line = " ".join(map(str, fields)) + "\\n"
        file = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)

    def execute(self) -> int:
        self.note("begin")
        how, _, more = self.how.partition(":")
        if how == "sleep":
            for step in range(10):
                time.sleep(float(more) / 10)
                self.note("tick")
                progress(step / 10, "under way")
        elif how == "children":
            for session in (False, True):
                command = [sys.executable, "-S", "-E", "-c", "import time; time.sleep(3600)"]
                subprocess.Popen(command, start_new_session=session)
            time.sleep(0.2)
        elif how == "print":
            for k in range(100):
                print(os.environ["XPM_FENCE"], k)
        elif how == "hold":
            kind, _, name = more.partition("=")[0].partition(".")
            with token(name).acquire(1) if kind == "t" else lock(name).write().acquire():
                for word in ("take", "tick"):
                    self.note(word)
                    time.sleep(0.1)  # the work that it is held for: faults are to strike meanwhile
                self.note("free")
        elif how == "files":
            Path("part").write_text(os.environ["XPM_FENCE"] * 1000)
        total = 1 + sum((k + 2) * each.result() for k, each in enumerate(self.after))
        self.note("end")
        return total % MODULUS
'''.replace("MODULUS", str(MODULUS))
"""The module of the project."""
