"""Classes that were written for experimaestro: what their declarations mean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import pytest
from sessions import Recorder

import xpm
from xpm.compat import experimaestro
from xpm.compat.experimaestro import (
    Choices,
    Config,
    Constant,
    Meta,
    Param,
    PathGenerator,
    Prepare,
    Task,
    copyconfig,
    field,
    pathgenerator,
    sealed_set,
    tag,
    tags,
)
from xpm.core.identifier import identifier
from xpm.errors import ConfigError


class Old(Config):
    n: Param[int] = 1
    rate: Param[float] = field(default=0.1)
    deep: Param[Optional[int]]  # noqa: UP045 - as people write it
    kept: Param[bool] = field(default=False, ignore_default=True)
    version: Constant[str] = "2"
    home: Param[Path] = Path("/")
    mode: Annotated[str, Choices(["fast", "slow"])] = "fast"


class New(xpm.Config):
    n: xpm.Param[int] = 1
    old: xpm.Param[Old]


class Made(Task):
    old: Param[Old]
    weights: Annotated[Path, pathgenerator("w.pth")]
    logs: Param[Path] = field(default_factory=PathGenerator("logs"))

    def execute(self) -> None: ...


class Says(Task):
    old: Param[Old]

    def __submit__(self, dep: Any, add_action: Any) -> Any:
        return dep(copyconfig(self.old, n=9))

    def execute(self) -> None: ...


DONE: list[str] = []


class Data(Prepare):
    name: Param[str]

    def prepare(self) -> None:
        DONE.append(self.name)


class Ready(Data):
    def is_prepared(self) -> bool:
        return True


class Uses(Task):
    data: Param[list[Data]]
    n: Meta[int] = 0

    def execute(self) -> None: ...


class Runs(Task):
    def execute(self) -> None: ...


def test_defaults_that_stand_bare_do_not_count() -> None:
    assert identifier(Old.C()) == identifier(Old.C(n=1, kept=False, mode="fast", deep=None))
    assert identifier(Old.C()) != identifier(Old.C(n=2))
    assert identifier(Old.C(deep=3)) != identifier(Old.C())


def test_what_field_gives_as_default_counts_unless_it_says_otherwise() -> None:
    class Counts(Config):
        __xpmid__ = "same"
        rate: Param[float] = field(default=0.1)

    class Without(Config):
        __xpmid__ = "same"

    class Legacy(Config):
        __xpmid__ = "same"
        rate: Param[float] = field(ignore_default=0.1)

    assert identifier(Counts.C()) != identifier(Without.C())
    assert identifier(Legacy.C()) == identifier(Without.C()) and Legacy.C().rate == 0.1


def test_paths_do_not_count() -> None:
    assert identifier(Old.C(home="/a")) == identifier(Old.C(home="/b"))


def test_xpms_own_classes_keep_their_rules_beside_them() -> None:
    assert identifier(New.C(old=Old.C(home="/a"))) == identifier(New.C(old=Old.C()))

    class Less(xpm.Config):
        __xpmid__ = "New"
        old: xpm.Param[Old]

    class More(xpm.Config):
        __xpmid__ = "New"
        n: xpm.Param[int] = 1
        old: xpm.Param[Old]

    assert identifier(More.C(old=Old.C())) != identifier(Less.C(old=Old.C()))
    with pytest.raises(ConfigError, match=r"New\.n: expected int, got '1'"):
        New.C(n="1", old=Old.C())


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("n", "5", 5),
        ("n", 5.0, 5),
        ("n", True, 1),
        ("deep", "5", 5),
        ("rate", "1e-3", 0.001),
        ("rate", 2, 2.0),
        ("kept", "yes", True),
        ("kept", 0, False),
    ],
)
def test_numbers_and_bools_may_be_texts(name: str, given: Any, stored: Any) -> None:
    config = Old.C(**{name: given})
    setattr(config, name, given)
    assert getattr(config, name) == stored and type(getattr(config, name)) is type(stored)


@pytest.mark.parametrize(
    ("name", "given"), [("n", "five"), ("n", 5.5), ("rate", "x"), ("kept", 2), ("mode", "odd")]
)
def test_what_converts_to_nothing_is_refused(name: str, given: Any) -> None:
    with pytest.raises(ConfigError, match=rf"Old\.{name}: expected "):
        Old.C(**{name: given})


def test_numbers_in_containers_may_be_texts() -> None:
    class Holder(Config):
        some: Param[list[int]]
        pairs: Param[dict[str, tuple[float, ...]]]

    config = Holder.C(some=["1", 2], pairs={"a": ("1.5", 2)})
    assert (config.some, config.pairs) == ([1, 2], {"a": (1.5, 2.0)})


def test_descriptions_take_other_attributes_which_do_not_count() -> None:
    config: Any = Old.C()
    config.note = "mine"
    assert config.note == "mine" and identifier(config) == identifier(Old.C())
    config.seal()
    config.note = "still"
    with pytest.raises(xpm.SealedError):
        config.n = 3


def test_a_parameter_without_a_value_raises_what_either_expects() -> None:
    config = New.C()
    with pytest.raises(AttributeError):
        _ = config.old
    holder = Made.C()
    for kind in (KeyError, AttributeError):
        with pytest.raises(kind, match=r"Made\.old: has no value yet"):
            _ = holder.old


def test_a_bare_object_can_be_made() -> None:
    bare = Old()
    assert type(bare) is Old and not hasattr(bare, "rate")


def test_generated_paths_by_note_or_by_field() -> None:
    with Recorder():
        task = Made.C(old=Old.C())
        task.submit()
        assert task.weights == task.jobpath / "w.pth" and task.logs == task.jobpath / "logs"


def test_what_is_known_of_a_config() -> None:
    config = Old.C(n=tag(3)).tag("who", "me")
    assert config.tags == config.tags() == tags(config) == {"n": 3, "who": "me"}
    assert list(config.tags()) == ["n", "who"] and hash(config.tags())
    assert config.__identifier__().all.hex() == str(config.__xpm__.identifier) == identifier(config)
    assert config.__xpm__.values["n"] == 3 and not config.__xpm__.sealed
    assert copyconfig(config, n=4).tags() == {"n": 4, "who": "me"}
    assert all(each.__xpm__.sealed for each in sealed_set(Old.C(), Old.C(n=2)))


def test_a_task_may_say_itself_what_submit_gives() -> None:
    with Recorder():
        assert Says.C(old=Old.C()).submit().n == 9


def test_what_has_to_be_prepared_is_so_once_before_its_task_goes_out() -> None:
    data = [Data.C(name="a"), Ready.C(name="b")]
    with Recorder():
        Uses.C(data=data).submit()
        Uses.C(data=data, n=2).submit()
    assert DONE == ["a"]


def test_launchers_name_queues_and_tokens_are_required() -> None:
    from xpm.compat.experiments import CounterToken
    from xpm.compat.launchers import find_launcher

    with Recorder() as recorder:
        task = CounterToken(xpm.token("gpus", 4))(2, Runs.C())
        task.submit(launcher=find_launcher("cuda(mem=4G)*1", tags={"slurm"}), max_retries=2)
    (options,) = recorder.options
    assert options.queue == "slurm" and options.retries.times == 2
    assert [str(each) for each in options.requires] == ["gpus(2)"]


INSTALLED = """
import sys, xpm.compat
{before}
xpm.compat.install()
xpm.compat.install()
import experimaestro
from experimaestro.core.objects.config import clone
from experimaestro import Config, Param
assert experimaestro is sys.modules["xpm.compat.experimaestro"]
assert clone is experimaestro.copyconfig and Config.__module__ == "xpm.compat.configs"
import {module}
"""


def run(**parts: str) -> subprocess.CompletedProcess[str]:
    code = INSTALLED.format(**{"before": "", "module": "os", **parts})
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_name_of_the_other_package_gives_our_modules() -> None:
    done = run()
    assert done.returncode == 0, done.stderr


def test_a_module_that_is_not_there_is_named() -> None:
    done = run(module="experimaestro.tui")
    assert "ModuleNotFoundError: xpm stands in for experimaestro, and has no experimaestro.tui" in done.stderr


def test_the_package_itself_must_not_have_been_imported() -> None:
    done = run(before="import types; sys.modules['experimaestro'] = types.ModuleType('experimaestro')")
    assert "call xpm.compat.install() before the first import of it" in done.stderr


class Saved(Config):
    size: Param[int]


class SavedLoad(experimaestro.LightweightTask):
    model: Param[Saved]

    def execute(self) -> None:
        vars(self.model)["done"] = True


def test_saving_and_loading_take_folders(tmp_path: Path) -> None:
    model = Saved.C(size=3)
    experimaestro.save(model, tmp_path / "saved")
    assert experimaestro.load(tmp_path / "saved").size == 3
    experimaestro.serialize(model, tmp_path / "more", init_tasks=[SavedLoad.C(model=model)])
    again, (init,) = experimaestro.deserialize(tmp_path / "more")
    assert init.model is again
    assert experimaestro.deserialize(tmp_path / "more", as_instance=True).done


def test_the_processes_of_a_job_know_which_is_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from xpm.compat.experimaestro.taskglobals import Env

    for name in ("SLURM_PROCID", "RANK", "LOCAL_RANK", "XPM_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Env, "taskpath", None)
    Env.instance.cache_clear()
    assert not Env.instance().slave and Env.instance().wspath is None and Env.taskpath == tmp_path
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("XPM_WORKSPACE", "/ws")
    assert Env.instance().slave and Env.instance().wspath == Path("/ws")
