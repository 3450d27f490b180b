"""Generated paths that depend on the description, and those of a config that several tasks have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm.core.config import Config, Meta, Param, PathGenerator, Task, field
from xpm.core.message import JobRef, TypeInfo, build, describe, encode, references
from xpm.errors import ConfigError, SubmissionError


def named(context: Any, config: Any) -> Path:
    return context.currentpath() / f"{context.folder.replace('/', '-')}-{config.size}.bin"


class Store(Config):
    size: Param[int]
    file: Meta[Path] = field(default_factory=PathGenerator(named))
    log: Meta[Path] = field(default_factory=PathGenerator("log"))


class Write(Task):
    store: Param[Store]
    stores: Param[list[Store]] = field(default_factory=list)

    def execute(self) -> None: ...


class Read(Task):
    store: Param[Store] = field(ignore_generated=True)

    def execute(self) -> None: ...


class Outside(Config):
    file: Meta[Path] = field(default_factory=PathGenerator(lambda context, config: Path("..") / "x"))


def find(info: TypeInfo) -> Any:
    return globals()[info.qualname]


def test_a_function_makes_a_path_of_the_values() -> None:
    with Recorder():
        task = Write.C(store=Store.C(size=3), stores=[Store.C(size=4)]).submit()
    assert task.store.file == task.jobpath / "out/store/out-store-3.bin"
    assert task.stores[0].file == task.jobpath / "out/stores/0/out-stores-0-4.bin"
    payload, types, _ = encode(task)
    live = build(payload, types, find, lambda ref: ref, lambda ref: "/here")
    assert live.store.file == Path("/here/out/store/out-store-3.bin")
    again: Any = describe(payload, types, find, lambda ref: ref, JobRef(task.job[1], "Write"))
    with Recorder() as session:
        again.__dict__["__xpm__"].session = session
        assert again.stores[0].file == again.jobpath / "out/stores/0/out-stores-0-4.bin"
        assert again.store.log == again.jobpath / "out/store/log"


def test_a_function_that_leads_elsewhere_is_refused() -> None:
    message = (
        r"^Outside.file: PathGenerator: expected a path below the job's directory, got PosixPath\('../x'\)"
    )

    class Use(Task):
        outside: Param[Outside]

        def execute(self) -> None: ...

    task = Use.C(outside=Outside.C())
    with Recorder(), pytest.raises(ConfigError, match=message):
        task.submit()


def test_who_says_so_shares_a_config_whose_paths_are_of_another_job() -> None:
    store = Store.C(size=3)
    with Recorder():
        write = Write.C(store=store).submit()
        read = Read.C(store=store).submit()
    assert read.store.file == write.store.file and read.store is store
    payload, types, dependencies = encode(read)
    assert dependencies == references(payload) == ()
    live = build(payload, types, find, lambda ref: ref, lambda ref: f"/{ref.id}" if ref else "/here")
    assert live.store.log == Path(f"/{write.job[1]}/out/store/log")
    with Recorder(), pytest.raises(SubmissionError, match=r"field\(ignore_generated=True\)$"):
        Write.C(store=store, stores=[Store.C(size=1)]).submit()


def test_a_task_that_was_only_sealed_has_a_directory_as_well() -> None:
    store = Store.C(size=3)
    write = Write.C(store=store).seal()
    with Recorder():
        read = Read.C(store=store).submit()
    live = build(
        *encode(read)[:2], find, lambda ref: ref, lambda ref: f"/{ref.task}/{ref.id}" if ref else "/here"
    )
    with Recorder():
        assert live.store.log == Path(f"/{__name__}.Write/{write.copy().submit().job[1]}/out/store/log")
