"""What files and the command line say together."""

from pathlib import Path

import pytest

from xpm import ConfigError, UsageError, configuration
from xpm.describe.params import typed
from xpm.describe.sheet import KEYS, Sheet, read_sheet


@configuration
class Model:
    layers: int = 2


@configuration
class Params:
    lr: float = 0.1
    name: str = "x"
    model: Model = Model()
    title: str = ""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def params(sheet: Sheet) -> Params:
    return typed(Params, sheet.layers, beside=KEYS)


def test_a_file_names_its_experiment_and_where_its_function_is() -> None:
    path = write(
        "conf/p.yaml",
        "id: mine\ntitle: T\ndescription: D\nfile: ../e.py\npythonpath: [src, /abs]\npre_experiment: pre.py\n"
        "dirty_git: warn\nlr: 0.5\n",
    )
    sheet = read_sheet([path])
    assert (sheet.id, sheet.title, sheet.description, sheet.module) == ("mine", "T", "D", None)
    assert sheet.file == Path("conf/../e.py")
    assert sheet.pythonpath == (Path("conf/src"), Path("/abs"))
    assert sheet.pre_experiment == Path("conf/pre.py")
    assert sheet.dirty_git == "warn"
    assert params(sheet) == Params(lr=0.5, title="T")


def test_from_weak_to_strong() -> None:
    write("lib/far.yaml", "lr: 1\nname: far\nmodel: {layers: 1}\n")
    write("lib/base.yaml", "imports: far.yaml\nfile: e.py\nlr: 2\n")
    first = write("p.yaml", "id: a\nimports: [lib/base.yaml]\nmodel: {layers: 3}\n")
    second = write("q.yaml", "lr: 4\nid: b\n")
    found = read_sheet([first])
    assert params(found) == Params(lr=2.0, name="far", model=Model(layers=3))
    assert found.file == Path("lib/e.py")
    found = read_sheet([first, second], ["model.layers=5", "id=c", "lr=1e-3"])
    assert params(found) == Params(lr=1e-3, name="far", model=Model(layers=5))
    assert found.id == "c"


def test_what_grid_search_varies_is_as_strong_as_its_file() -> None:
    path = write(
        "p.yaml", "id: a\nfile: e.py\nlr: 3\ngrid_search:\n  lr: [1, 2]\n  model.layers: {range: [1, 4]}\n"
    )
    cfg = params(read_sheet([path]))
    assert cfg.lr.values == (1.0, 2.0)
    assert cfg.model.layers.values == (1, 2, 3)
    cfg = params(read_sheet([path], ["lr=5", "grid_search.model.layers=[7, 8]"]))
    assert cfg.lr == 5.0
    assert cfg.model.layers.values == (7, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p.yaml:1: is empty"),
        ("[1]", "p.yaml:1: expected the parameters as 'name: value' lines, got [1]"),
        (
            "id: a",
            "p.yaml: needs one of 'file: experiment.py' and 'module: package.experiment', which defines run(helper, cfg)",
        ),
        (
            "id: a\nmodul: b",
            "p.yaml: needs one of 'file: experiment.py' and 'module: package.experiment', "
            "which defines run(helper, cfg); there is 'modul'; did you mean 'module'?",
        ),
        (
            "id: a\nmodule: b\nfile: c.py",
            "p.yaml: needs one of 'file: experiment.py' and 'module: package.experiment', which defines run(helper, cfg)",
        ),
        ("file: e.py", "p.yaml: needs 'id: name', the experiment's name"),
        ("id: 3\nfile: e.py", "p.yaml:1: id: expected str, got 3; write '3' in quotes"),
        ("id: a\nfile: [e.py]", "p.yaml:2: file: expected Path, got ['e.py']"),
        (
            "id: a\nfile: e.py\ndirty_git: maybe",
            "p.yaml:3: dirty_git: expected Literal['ignore', 'warn', 'error'], got 'maybe'",
        ),
        ("id: a\nfile: e.py\nimports: p.yaml", "p.yaml: imports itself"),
        (
            "id: a\nfile: e.py\ngrid_search: [1]",
            "p.yaml:3: expected grid_search as 'name: value' lines, got [1]",
        ),
    ],
)
def test_files_that_describe_no_experiment(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_sheet([write("p.yaml", text)])
    assert str(caught.value) == message


def test_parameters_of_a_grid_that_there_are_not() -> None:
    sheet = read_sheet([write("p.yaml", "id: a\nfile: e.py\ngrid_search:\n  model.layer: [1]\n")])
    with pytest.raises(
        ConfigError, match=r"^p.yaml:4: model.layer: no such parameter; did you mean 'layers'\?$"
    ):
        params(sheet)


@pytest.mark.parametrize("text", ["lr", "=3", "a..b=3", ".a=3"])
def test_what_is_set_in_another_form(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_sheet([write("p.yaml", "id: a\nfile: e.py")], [text])
    assert str(caught.value) == f"-s {text}: expected NAME=VALUE, as in -s model.layers=3"


def test_an_import_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"^lib/no.yaml: can't be read: No such file or directory$"):
        read_sheet([write("p.yaml", "id: a\nfile: e.py\nimports: lib/no.yaml")])
