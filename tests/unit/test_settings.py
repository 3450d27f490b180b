"""Settings: which source wins, what is refused, where the workspace is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xpm.errors import SettingsError
from xpm.settings import Settings, definitions, load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "project"
    (path / "sub").mkdir(parents=True)
    (path / "pyproject.toml").write_text("")
    monkeypatch.chdir(path)
    return path


def user_file(home: Path, text: str) -> None:
    path = home / "config/xpm/settings.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_later_sources_win_and_are_remembered(home: Path, project: Path):
    user_file(home, "lease = 1\ngrace = 1\nqueue = 'one'\nworkers = 1\nidle_stop = 1\n")
    (project / "pyproject.toml").write_text(
        "[tool.xpm]\ngrace = 2\nqueue = 'two'\nworkers = 2\nidle_stop = 2"
    )
    settings = load(
        arguments={"queue": "three", "workers": 3, "idle_stop": 3},
        environ={"XPM_WORKERS": "4", "XPM_IDLE_STOP": "4"},
        command={"idle_stop": 5, "lease": None},
        script=project / "sub" / "s.py",
    )
    assert (settings.lease, settings.grace, settings.queue) == (1.0, 2.0, "three")
    assert (settings.workers, settings.idle_stop, settings.snapshot) == (4, 5.0, True)
    assert settings.source("lease") == str(home / "config/xpm/settings.toml")
    assert settings.source("grace") == str(project / "pyproject.toml")
    assert settings.source("queue") == "the script"
    assert settings.source("workers") == "XPM_WORKERS"
    assert settings.source("idle_stop") == "the command line"
    assert settings.source("snapshot") == "default"
    assert settings.project == project


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"XPM_LEESE": "3"}, "XPM_LEESE: no such setting; did you mean 'XPM_LEASE'?"),
        ({"XPM_TOTALLY": "3"}, "XPM_TOTALLY: no such setting; there are XPM_BRAKE, XPM_BROKER, XPM_DETACH,"),
        ({"XPM_WORKER": "3"}, "XPM_WORKER: no such setting; did you mean 'XPM_WORKERS'?"),
        ({"XPM_lease": "3"}, "XPM_lease: no such setting; did you mean 'XPM_LEASE'?"),
        ({"XPM_LEASE": "soon"}, "XPM_LEASE: lease: expected seconds, more than 0, got 'soon'"),
        ({"XPM_LEASE": "nan"}, "XPM_LEASE: lease: expected seconds, more than 0, got 'nan'"),
        ({"XPM_WORKERS": "-1"}, "XPM_WORKERS: workers: expected a whole number, 0 or more, got '-1'"),
        ({"XPM_DETACH": "maybe"}, "XPM_DETACH: detach: expected yes or no, got 'maybe'"),
        ({"XPM_QUEUE": "a b"}, "XPM_QUEUE: queue: expected letters, digits, '_', '-' and '.', got 'a b'"),
        ({"XPM_BROKER": "http://x"}, "XPM_BROKER: broker: expected one of redis://..."),
    ],
)
def test_wrong_values_are_refused_with_their_place(project: Path, environ: dict[str, str], message: str):
    with pytest.raises(SettingsError) as caught:
        load(environ=environ)
    assert str(caught.value).startswith(message)


def test_what_the_engine_gives_to_jobs_is_no_setting(project: Path):
    variables = {"XPM_JOB": "a", "XPM_FENCE": "1", "XPM_ATTEMPT": "1", "XPM_BROKER": ""}
    assert load(environ=variables) == load(environ={})


def test_an_unknown_key_in_a_file_names_file_and_neighbour(home: Path, project: Path):
    (project / "pyproject.toml").write_text("[tool.xpm]\nworkspaces = 'x'\n")
    with pytest.raises(
        SettingsError, match=r"pyproject.toml: no setting 'workspaces'; did you mean 'workspace'"
    ):
        load(environ={})
    (project / "pyproject.toml").write_text("[tool.xpm\n")
    with pytest.raises(SettingsError, match=r"pyproject.toml: cannot be read"):
        load(environ={})
    (project / "pyproject.toml").write_text("[tool]\nxpm = 3\n")
    with pytest.raises(SettingsError, match=r"pyproject.toml: \[tool.xpm\] is not a table"):
        load(environ={})


def test_relative_workspaces_are_meant_from_who_names_them(
    home: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    script = project / "sub" / "s.py"
    monkeypatch.chdir(tmp_path)
    (project / "pyproject.toml").write_text("[tool.xpm]\nworkspace = 'w'\n")
    assert load(environ={}, script=script).workspace == project / "w"
    assert load(environ={}, script=script, arguments={"workspace": "w"}).workspace == project / "sub/w"
    assert load(environ={"XPM_WORKSPACE": "w"}, script=script).workspace == tmp_path / "w"
    assert load(environ={}, script=script, command={"workspace": "../w"}).workspace == tmp_path.parent / "w"
    assert load(environ={}, command={"workspace": "~/w"}).workspace == home / "w"


def test_unnamed_workspace_is_the_nearest_else_runs(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert load(environ={}, script=project / "sub/s.py").workspace == project / "runs"
    marker = project / "sub/.xpm/workspace.toml"
    marker.parent.mkdir()
    marker.write_text("")
    deep = project / "sub" / "jobs" / "x"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert load(environ={}).workspace == project / "sub"
    alone = tmp_path / "alone"
    alone.mkdir()
    monkeypatch.chdir(alone)
    assert load(environ={}).workspace == alone / "runs"


def shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "none" if value is None else f"`{text}`"


def test_the_page_lists_every_setting():
    page = (ROOT / "docs/settings.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{one.name}` | `{one.variable}` | {shown(one.default)} | {one.text} |" for one in definitions()
    ]


def test_settings_are_frozen(project: Path):
    with pytest.raises(AttributeError):
        load(environ={}).lease = 3  # type: ignore[misc]
    assert Settings().source("lease") == "default"


def test_import_is_light():
    code = "import sys, xpm.settings; print(sorted({'redis', 'rq', 'rich', 'click', 'psutil'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
