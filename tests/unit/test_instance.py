"""What `.instance()` takes: a directory for generated paths, a store of objects, init tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
from sessions import Recorder

from xpm import DirectoryContext, ObjectStore
from xpm.core.config import Config, LightweightTask, Meta, Param, PathGenerator, Task, field
from xpm.errors import ConfigError


class Net(Config):
    size: Param[int]
    file: Meta[Path] = field(default_factory=PathGenerator("net"))

    def __post_init__(self) -> None:
        self.weight = 0


class Load(LightweightTask):
    net: Param[Net]
    by: Param[int]
    file: Meta[Path] = field(default_factory=PathGenerator("load"))

    def execute(self) -> None:
        self.net.weight += self.by


class Use(Task):
    net: Param[Net]
    nets: Param[dict[str, list[Net]]] = field(default_factory=dict)
    file: Meta[Path] = field(default_factory=PathGenerator(lambda context, config: f"use-{config.net.size}"))

    def execute(self) -> int:
        return self.net.weight


def test_a_directory_stands_in_for_the_job_s() -> None:
    use = Use.C(net=Net.C(size=3), nets={"a": [Net.C(size=4)]})
    live = use.instance(DirectoryContext("here"))
    assert live.file == Path("here/use-3")
    assert live.net.file == Path("here/out/net/net")
    assert live.nets["a"][0].file == Path("here/out/nets/a/0/net")


def test_without_one_the_paths_must_be_known() -> None:
    with pytest.raises(ConfigError, match=r"known once the task is submitted, or with .instance\(Dir"):
        Net.C(size=3).instance()
    with Recorder() as session:
        use = Use.C(net=Net.C(size=3)).submit()
        assert use.instance(DirectoryContext("here")).file == session.jobpath(use) / "use-3"


def test_calls_with_one_store_share_objects() -> None:
    net, store = Net.C(size=3), ObjectStore()
    context = DirectoryContext("here")
    live = net.instance(context, objects=store)
    assert Use.C(net=net).instance(context, objects=store).net is live
    assert Use.C(net=net).instance(context).net is not live
    assert Use.C(net=Net.C(size=3)).instance(context, objects=store).net is not live
    assert len(store) == 4


def test_init_tasks_are_executed_when_asked_for_and_once_for_a_store() -> None:
    net, store = Net.C(size=3), ObjectStore()
    load = Load.C(net=net, by=2)
    with Recorder() as session:
        use = Use.C(net=net).submit(init_tasks=[load, Load.C(net=net, by=5)])
        assert use.instance().execute() == 0
        live = use.instance(objects=store, init=True)
        assert (live.execute(), store.get(load).file) == (7, session.jobpath(use) / "out/init_tasks/0/load")
        assert use.instance(objects=store, init=True) is live
    assert live.execute() == 7
