"""Command tasks: words of command lines, values as other languages read them, and how a command ends."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from sessions import Recorder

from xpm.core.config import Config, Constant, Meta, Param, PathGenerator, Task
from xpm.core.fields import field
from xpm.core.identifier import identifier
from xpm.core.retries import Failing, Retries
from xpm.core.tags import tag
from xpm.describe.commands import Command, CommandTask, Shell, each, flag, option, verbatim
from xpm.describe.plain import plain
from xpm.errors import CommandFailed, ConfigError, ResultError
from xpm_workers.failures import describe

SHOW = (sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))")
HOSTILE = [" ", "", "a b", "a\nb", "-rf", "--", "$(id)", "`id`", "'", '"', "\\", "*", "é\udcff", "{x}", "%s"]


class Kernel(Enum):
    LINEAR = "linear"
    RADIAL = 2


class Size(Config):
    layers: Param[int] = 2
    names: Param[list[str]] = field(default_factory=list)


class Model(Config):
    size: Param[Size]
    kernel: Param[Kernel] = Kernel.LINEAR


class Show(CommandTask):
    """Says what its arguments are."""

    text: Param[str] = "x"
    rate: Param[float] = 0.25
    verbose: Param[bool] = False
    limit: Param[int | None] = None
    path: Param[Path] = Path("data")
    columns: Param[list[str]] = field(default_factory=list)
    chosen: Param[set[int]] = field(default_factory=set)
    model: Param[Model] = field(default_factory=lambda: Model.C(size=Size.C()))

    command = Command(
        *SHOW,
        "{text}",
        "<{rate:.3f}|{rate}|{verbose}|{{}}>",
        flag("-v", "verbose"),
        option("--limit", "limit"),
        option("--path=", "path"),
        option("-c", "columns"),
        option("--all", "columns", joined=","),
        each("chosen"),
        "{model.size.layers}{model.kernel}",
        verbatim("{ print $1 }"),
        returns="stdout",
    )


def shown(**values: Any) -> list[str]:
    return Show.C(**values).instance().execute()


def test_words_become_arguments() -> None:
    last = ["2linear", "{ print $1 }"]
    assert shown() == ["x", "<0.250|0.25|false|{}>", "--path=data", *last]
    assert shown(
        verbose=True, limit=0, path="-p", columns=["a b", "-c"], chosen={10, 9}, rate=1e-9,
        model=Model.C(size=Size.C(layers=7), kernel=Kernel.RADIAL),
    ) == [
        "x", "<0.000|1e-09|true|{}>", "-v", "--limit", "0", "--path=./-p", "-c", "a b", "-c", "-c",
        "--all", "a b,-c", "9", "10", "7RADIAL", "{ print $1 }",
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_arrives_as_it_is(text: str) -> None:
    assert os.fsencode(shown(text=text)[0]) == os.fsencode(text)
    assert shown(columns=[text, "x"])[2:7] == ["--path=data", "-c", text, "-c", "x"]


class Several(CommandTask):
    models: Param[list[Model]]
    command = Command(
        *SHOW, option("--sizes=", "models.size.layers", joined=","), each("models.kernel"), returns="stdout"
    )


def test_parameters_of_configs_in_a_list() -> None:
    models = [Model.C(size=Size.C(layers=layers)) for layers in (3, 1)]
    assert Several.C(models=models).instance().execute() == ["--sizes=3,1", "linear", "linear"]
    assert Several.C(models=[]).instance().execute() == []


class Script(CommandTask):
    text: Param[str]
    columns: Param[list[str]] = field(default_factory=list)

    command = Shell(
        'for each in {text}-{text} {columns} "${{#}}"; do printf \'%s\\0\' "$each"; done | cat > out; cat out'
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_gets_one_word_for_each_value(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Script.C(text=text, columns=[text, "z"]).instance().execute()
    found = Path("out").read_bytes().split(b"\0")
    assert found == [os.fsencode(each) for each in (f"{text}-{text}", text, "z", "0", "")]


def test_a_function_of_the_shell_has_the_values() -> None:
    class Function(CommandTask):
        text: Param[str]
        command = Shell("say() {{ echo {text}{text}$1; }}; say 3", returns="stdout")

    assert Function.C(text="1").instance().execute() == 113


def test_a_shell_ends_with_what_fails() -> None:
    class Steps(CommandTask):
        variable: Param[str]
        command = Shell("false\necho on")

    class Unset(CommandTask):
        command = Shell("echo $nothing")

    with pytest.raises(CommandFailed, match="sh ended with exit code 1"):
        Steps.C(variable="x").instance().execute()
    with pytest.raises(CommandFailed, match=r"sh ended with exit code \d+: .*nothing"):
        Unset.C().instance().execute()


class Data(Task):
    rows: Param[int]
    table: Meta[Path] = field(default_factory=PathGenerator("table.csv"))

    def execute(self) -> None: ...


class Filed(CommandTask):
    """Its parameters are in a file and in its environment."""

    data: Param[Data]
    model: Param[Model]
    scores: Param[dict[str, float]] = field(default_factory=dict)
    pair: Param[tuple[int, str]] = (1, "a")
    seed: Param[int | None] = None
    threads: Meta[int] = 2
    version: Constant[str] = "1"

    command = Command(
        "/bin/sh",
        "-c",
        'cat "$XPM_PARAMETERS"; echo "$THREADS ${{SEED-unset}}" >&2; exit 3',
        environment={"THREADS": "{threads}", "SEED": "s{seed}"},
        parameters="in/parameters.json",
        success=(0, 3),
        returns="stdout",
    )


def test_parameters_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Recorder():
        data = Data.C(rows=3).submit()
        filed = Filed.C(data=data, model=Model.C(size=Size.C(names=["é\n"])), scores={"a": float("inf")})
        found = filed.instance().execute()
    job = str(data.jobpath)
    assert found == {
        "data": {"rows": 3, "table": f"{job}/table.csv", "jobpath": job},
        "model": {"size": {"layers": 2, "names": ["é\n"]}, "kernel": "linear"},
        "scores": {"a": "inf"},
        "pair": [1, "a"],
        "seed": None,
        "threads": 2,
        "version": "1",
    }
    assert capfd.readouterr().err == "2 unset\n"


def test_parameters_as_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Written(CommandTask):
        rate: Param[float] = 1e-5
        model: Param[Model]
        command = Command("true", parameters="parameters.yaml", returns="parameters.yaml")

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultError, match=r"Written: what is to be returned is no JSON: parameters.yaml: "):
        Written.C(model=Model.C(size=Size.C())).instance().execute()
    assert yaml.safe_load(Path("parameters.yaml").read_text()) == {
        "rate": 1e-5,
        "model": {"size": {"layers": 2, "names": []}, "kernel": "linear"},
    }


def test_plain_values() -> None:
    assert plain({(1, True): {"b", "a"}, Path("x"): {3, 2}}) == {"1,true": ["a", "b"], "x": [2, 3]}
    assert plain(test_plain_values) == f"{__name__}.test_plain_values"


class Ends(CommandTask):
    how: Param[str]
    command = Command("/bin/sh", "-c", "{how}")


def failed(task: CommandTask) -> CommandFailed:
    with pytest.raises(CommandFailed) as caught:
        task.instance().execute()
    return caught.value


def test_how_it_ends() -> None:
    assert Ends.C(how="true").instance().execute() is None
    error = failed(Ends.C(how="echo first >&2; echo last >&2; exit 75"))
    assert str(error) == "sh ended with exit code 75: last\nfirst\nlast"
    failure = describe(error)
    assert (failure.kind, failure.type, failure.exit_code) == ("exit", "CommandFailed", 75)
    assert Retries(1, on="exit:75").covers(Failing(failure.kind, (), failure.exit_code))
    crashed = describe(failed(Ends.C(how="kill -SEGV $$")))
    assert (crashed.kind, crashed.message, crashed.exit_code) == ("signal", "sh died of SIGSEGV", None)
    long = failed(Ends.C(how="seq 100000 >&2; exit 1"))
    assert str(long).splitlines()[1:] == [str(n) for n in range(99981, 100001)]


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    class Nowhere(CommandTask):
        command = Command("no-such-program-here")

    class Folder(CommandTask):
        place: Param[Path]
        command = Command("{place}")

    error = failed(Nowhere.C())
    assert "no-such-program-here can't be started on" in str(error) and error.exit_code == 127
    assert failed(Folder.C(place=tmp_path)).exit_code == 126


class Sort(CommandTask):
    """One whose output is declared."""

    key: Param[int] = 1
    data: Param[Path]
    reverse: Param[bool] = False
    sorted: Meta[Path] = field(default_factory=PathGenerator("sorted.txt"))

    command = Command("sort", option("-k", "key"), flag("-r", "reverse"), "-o", "{sorted}", "--", "{data}")


class Twin(Task):
    __xpmid__ = f"{__name__}.Sort"

    key: Param[int] = 1
    data: Param[Path]
    reverse: Param[bool] = False
    sorted: Meta[Path] = field(default_factory=PathGenerator("out.txt"))

    def execute(self) -> None: ...


def test_the_identifier_is_that_of_any_task() -> None:
    assert (
        identifier(Sort.C(data="a", key=2))
        == identifier(Twin.C(data="a", key=2))
        != identifier(Sort.C(data="a"))
    )
    assert dict(Sort.C(data="a", key=tag(3)).tags) == {"key": 3}


class Process(Recorder):
    """As the process of a job, whose output goes elsewhere."""

    def handle(self, task: Task) -> Any:
        path = self.jobpath(task)
        return SimpleNamespace(stdout=path / "stdout.log", stderr=path / "stderr.log")


def test_an_output_must_be_there(tmp_path: Path) -> None:
    class Forgets(CommandTask):
        __qualname__ = "Forgets"
        made: Meta[Path] = field(default_factory=PathGenerator("made.txt"))
        kept: Meta[Path] = field(default_factory=PathGenerator("kept.txt"))
        command = Command("touch", "{made}")

    sys.modules[__name__].Forgets = Forgets
    with Process(tmp_path):
        task = Forgets.C().submit()
        task.jobpath.mkdir()
        with pytest.raises(
            ResultError, match=r"^Forgets.kept: the command has ended well, and left no kept.txt$"
        ):
            task.instance().execute()
        assert task.made.exists()


class Missing(CommandTask):
    a: Param[str] = "a"
    model: Param[Model] = field(default_factory=lambda: Model.C(size=Size.C()))
    some: Param[list[int]] = field(default_factory=list)
    maybe: Param[int | None] = None


class Narrow(Missing):
    command = Command("echo", "{maybe}")


class Listed(Missing):
    command = Command("echo", "{some}")


class Nested(Missing):
    command = Command("echo", "{model.size.layer}")


class Whole(Missing):
    command = Command("echo", "{model}")


class Formed(Missing):
    command = Command("echo", "{a:.3f}")


class Lost(Missing):
    command = Command("perl", Path("lost.pl"))


class Shelled(Missing):
    command = Shell("echo {a} {maybe}")


class Columns(Missing):
    names: Param[list[str]] = field(default_factory=lambda: ["x", "a\0b"])
    command = Command("echo", each("names"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Show.C(text="a\0b"), "Show: text: has a NUL in it, which no argument can have"),
        (lambda: Show.C(text="\ud800"), "Show: text: has half a surrogate pair in it"),
        (lambda: Columns.C(), "Columns: names: [1] has a NUL in it"),
        (lambda: Narrow.C(), "Narrow: maybe: is None, which only an option(...) leaves out"),
        (lambda: Shelled.C(), "Shelled: maybe: is None"),
        (lambda: Listed.C(), "Listed: some: is a list, which only each(...) and option(...) take"),
        (lambda: Nested.C(), "Nested: model.size.layer: no parameter 'layer'; did you mean 'layers'?"),
        (lambda: Whole.C(), "Whole: model: is no single value: have it written by Command(..., parameters="),
        (lambda: Formed.C(), "Formed: a: Unknown format code 'f'"),
        (lambda: Lost.C(), f"Lost: command: there is no file {Path(__file__).parent / 'lost.pl'}"),
        (lambda: Missing.C(), "Missing: has no command, as in command = Command('sort', '{data}')"),
    ],
)
def test_what_is_wrong_with_a_value_is_told_at_submission(make: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make().seal()
    assert said in str(caught.value)


def derived(command: Any) -> Any:
    return type("Derived", (Missing,), {"command": command})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: derived(Command("echo", "{sone}")),
            "Derived.command: no parameter 'sone'; did you mean 'some'?",
        ),
        (
            lambda: derived(Command("echo", option("-x", "modl.size"))),
            "no parameter 'modl'; did you mean 'model'?",
        ),
        (lambda: derived(Command("x", environment={"A": "{b}"})), "no parameter 'b'"),
        (lambda: derived(Shell("echo {b}")), "no parameter 'b'"),
        (lambda: derived("echo"), "Derived.command: expected Command(...) or Shell(...), got 'echo'"),
        (lambda: type("D", (Missing,), {"__annotations__": {"command": Param[str]}}), "choose another name"),
        (lambda: Command(), "command: names no program"),
        (lambda: Command("awk", "{print $1}"), "braces that are no place of a parameter are doubled"),
        (lambda: Command("awk", "{a!r}"), "expected a parameter's name between braces"),
        (lambda: Command("awk", "{"), "braces that are no place"),
        (lambda: Command("a", 3), "command: expected a text, a path, option(...)"),
        (lambda: Command("a", returns=3), "command: returns: expected the name of a file, got 3"),
        (lambda: Command("a\0"), "has a NUL in it"),
        (lambda: Command("a", environment={"A=B": "c"}), "expected the name of a variable, got 'A=B'"),
        (lambda: Command("a", parameters="/p.json"), "parameters: expected a file in the job's directory"),
        (
            lambda: Command("a", parameters="p.toml"),
            "parameters: expected a file .json, .yaml, .yml, got 'p.toml'",
        ),
        (lambda: Command("a", returns="../x"), "returns: expected a file in the job's directory, got '../x'"),
        (lambda: Shell('echo "{a}"'), "{a} stands between quotes: it is quoted already"),
        (lambda: Shell("echo 'it is {a}'"), "{a} stands between quotes"),
        (lambda: flag("-r", "a b"), "command: flag: expected a parameter's name, got 'a b'"),
    ],
)
def test_what_is_wrong_with_a_command_is_told_by_the_class(make: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert said in str(caught.value)


def test_what_is_not_known_yet_is_no_mistake() -> None:
    class Uses(CommandTask):
        data: Param[Data]
        made: Meta[Path] = field(default_factory=PathGenerator("made"))
        command = Command("cp", "{data.table}", "{made}", "{data.jobpath}", "{jobpath}", "{data.rows}")

    with Recorder():
        Uses.C(data=Data.C(rows=1).submit()).seal()


def test_a_script_of_the_project() -> None:
    class Own(CommandTask):
        command = Command("awk", "-f", Path("count.awk"))

    file = Path(__file__).parent / "count.awk"
    assert list(Own.command.files()) == [file]
    assert str(file) in sys.modules[__name__].__dict__["__xpm_files__"]
