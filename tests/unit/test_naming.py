from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from xpm.core.config import Config, Param
from xpm.core.identifier import identifier
from xpm.core.naming import class_name, module_of, script_of
from xpm.errors import ConfigError


class Plain(Config):
    class Inner(Config):
        x: Param[int] = 1


class Named(Config):
    __xpmid__ = "lab.model"


class Child(Named):
    pass


def scripted(name: str, path: str, monkeypatch: pytest.MonkeyPatch) -> type[Config]:
    """A class `Say` of the script `path`, loaded as the module `name`."""
    module = types.ModuleType(name)
    module.__dict__["__xpm_script__"] = path
    monkeypatch.setitem(sys.modules, name, module)
    return type("Say", (Config,), {"__module__": name, "__qualname__": "Say"})


def test_module_and_qualified_name() -> None:
    assert class_name(Plain.Inner) == f"{__name__}.Plain.Inner"


def test_own_name_is_not_inherited() -> None:
    assert class_name(Named) == "lab.model"
    assert class_name(Child) == f"{__name__}.Child"


class Versioned(Config):
    @classmethod
    def __xpmid__(cls) -> str:
        return f"lab.{cls.__name__}.v2"


class Later(Versioned):
    pass


class Apart(Later):
    __xpmid__ = "apart"


class Beyond(Apart):
    pass


def test_a_method_that_gives_the_name_is_inherited() -> None:
    assert [class_name(each) for each in (Versioned, Later, Apart, Beyond)] == [
        "lab.Versioned.v2",
        "lab.Later.v2",
        "apart",
        f"{__name__}.Beyond",
    ]


@pytest.mark.parametrize("given", [3, "", classmethod(lambda cls: 3)])
def test_own_name_must_be_a_name(given: object) -> None:
    with pytest.raises(ConfigError, match="__xpmid__: expected a name"):
        class_name(type("Bad", (Config,), {"__xpmid__": given}))


def test_scripts_do_not_share(monkeypatch: pytest.MonkeyPatch) -> None:
    one = scripted("loaded_one", "examples/one.py", monkeypatch)
    two = scripted("loaded_two", "examples/two.py", monkeypatch)
    assert class_name(one) == "examples/one.py:Say"
    assert script_of(two) == "examples/two.py"
    assert identifier(one.C()) != identifier(two.C())


def test_started_script_and_loaded_script_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = scripted("loaded", "s.py", monkeypatch)
    main = scripted("__main__", "s.py", monkeypatch)
    assert identifier(loaded.C()) == identifier(main.C())


def test_a_class_in_a_function_is_refused() -> None:
    class Local(Config):
        pass

    with pytest.raises(ConfigError, match="Local: defined inside a function"):
        class_name(Local)


def nameless(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    main = types.ModuleType("__main__")
    main.__spec__ = None
    monkeypatch.setitem(sys.modules, "__main__", main)
    return main


def test_a_script_has_its_name_before_it_opens_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/said.py").write_text(
        "from xpm import Config, Param, identifier\n"
        "class Say(Config):\n    word: Param[str]\n"
        "class Other(Config):\n    __xpmid__ = 'sub/said.py:Say'\n    word: Param[str]\n"
        "print(identifier(Say.C(word='a')) == identifier(Other.C(word='a')))\n"
    )
    run = subprocess.run(
        [sys.executable, "sub/said.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "True\n"


def test_what_was_typed_at_a_prompt_belongs_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    nameless(monkeypatch)
    say = type("Say", (Config,), {"__module__": "__main__", "__qualname__": "Say"})
    with pytest.raises(ConfigError, match=r"Say: was typed at a prompt.*put the classes in a file") as error:
        class_name(say)
    assert "experiment" not in str(error.value)


def test_python_dash_m_has_its_module_s_name(tmp_path: Path) -> None:
    (tmp_path / "said.py").write_text(
        "from xpm.core.config import Config\nfrom xpm.core.naming import class_name, module_of\n"
        "class Say(Config): pass\nprint(class_name(Say), module_of(Say))\n"
    )
    root = str(Path(__file__).parents[2])
    run = subprocess.run(
        [sys.executable, "-m", "said"],
        cwd=tmp_path,
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["said.Say", "said"]
    assert module_of(Plain) == __name__
