"""Deprecations, partial identifiers and submit hooks as experimaestro's users write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm.compat.experimaestro import (
    Config,
    Launcher,
    Meta,
    Param,
    PathGenerator,
    SubmitHook,
    Task,
    deprecate,
    field,
    param_group,
    partial,
)
from xpm.core.environ import unpack_environ
from xpm.core.identifier import identifier

iterations = param_group("iter")


class needs_java(SubmitHook):
    def __init__(self, version: int) -> None:
        self.version = version

    def spec(self) -> int:
        return self.version

    def process(self, job: Any, launcher: Any) -> None:
        launcher.setenv("JAVA_HOME", "/none")
        launcher.environ["CALLS"] = "1"
        job.environ["JAVA_HOME"] = f"/opt/java-{self.version}"
        if self.version > 11:
            launcher.queue = "java"


@needs_java(11)
class Index(Config):
    n: Param[int]


@needs_java(11)
class Other(Config):
    n: Param[int]


@needs_java(12)
class Newest(Config):
    n: Param[int]


class Learn(Task):
    index: Param[Config]
    lr: Param[float]
    max_iter: Param[int] = field(groups=[iterations])
    checkpoints = partial(exclude_groups=[iterations])
    path: Meta[Path] = field(default_factory=PathGenerator(partial=checkpoints))

    def execute(self) -> None: ...


@deprecate()
class OldIndex(Index): ...


@deprecate(Index)
class Numbered(Config):
    number: Param[int]

    def __convert__(self) -> Index:
        return Index.C(n=self.number)


@deprecate(Index, replace=True)
class Replaced(Config):
    number: Param[int]

    def __convert__(self) -> Index:
        return Index.C(n=self.number)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_deprecated_classes() -> None:
    made = [OldIndex.C(n=1), Numbered.C(number=1), Replaced.C(number=1)]
    assert {identifier(each) for each in made} == {identifier(Index.C(n=1))}
    assert type(made[2]).__name__ == "Index"


def test_hooks_and_partials() -> None:
    with Recorder(Path("/ws/jobs/t/00")) as session:
        one = Learn.C(index=Index.C(n=1), lr=1, max_iter=1).submit()
        two = Learn.C(index=Index.C(n=1), lr=1, max_iter="2").submit(launcher=Launcher(queue="mine"))
        Learn.C(index=Newest.C(n=1), lr=1, max_iter=1).submit()
    assert one.path == two.path
    assert one.path.parts[2::2] == ("partials", "checkpoints")
    first, second, third = session.options
    assert unpack_environ(first.environ) == {"CALLS": "1", "JAVA_HOME": "/opt/java-11"}
    assert (first.queue, second.queue, third.queue) == (None, "mine", "java")
