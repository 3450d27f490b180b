"""Opening an experiment: its arguments and its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xpm.core.session import PRIORITIES, ScriptLoaded, current, loading
from xpm.errors import SubmissionError, UsageError
from xpm.experiment import Experiment, experiment


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # However pytest was started: its own program is no script of a user.
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    return tmp_path


def test_one_argument_is_the_name_two_are_workspace_and_name(here: Path):
    with experiment("a", workspace="one") as xp:
        assert (xp.name, xp.workspace) == ("a", here / "one")
    with experiment("two", "a") as xp:
        assert (xp.name, xp.workspace) == ("a", here / "two")
    with pytest.raises(UsageError, match="twice"):
        experiment("two", "a", workspace="three")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="needs a name"):
        experiment("")
    for name in (None, "a\nb", "a\0", "a\u2028b", ".", "..", " "):
        with pytest.raises(UsageError, match="name"):
            experiment(name)  # type: ignore[arg-type] - None is a mistake that is made
    assert experiment("größe 1/2").name == "größe 1/2"


def test_it_has_the_session_in_its_block_only(here: Path):
    with experiment("a") as xp:
        outer = current.get()
        with experiment("b"):
            assert current.get() not in (outer, None)
        assert current.get() is outer is not None
        with pytest.raises(UsageError, match="open already"):
            xp.__enter__()
    assert current.get() is None


def test_an_empty_experiment_needs_no_broker_and_leaves_no_run(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    with experiment("a") as xp:
        pass
    assert capsys.readouterr().err == "a: no jobs\n"
    assert not xp.path.exists() and xp.rows() == [] and xp.failed == []
    assert not (here / "runs/.xpm/broker.json").exists()


def test_priorities_fit_the_13_bits_that_the_broker_has_for_them(here: Path):
    assert (PRIORITIES[0], PRIORITIES[-1]) == (-4095, 4095)
    with pytest.raises(SubmissionError, match="priority 5000"):
        experiment("a", priority=5000)


def test_a_worker_that_loads_a_script_stops_at_the_experiment(here: Path):
    token = loading.set(True)
    try:
        with pytest.raises(ScriptLoaded), experiment("a"):
            raise AssertionError("not to be reached")
    finally:
        loading.reset(token)
    assert not (here / "runs").exists()


@pytest.mark.parametrize("first", ["import xpm.experiment", "from xpm.experiment import attach", "pass"])
def test_the_package_can_be_imported_before_the_function(first: str, here: Path):
    code = f"{first}\nfrom xpm import experiment\nwith experiment('a') as xp: print(type(xp).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == f"{Experiment.__name__}\n", done.stderr


def test_a_run_that_has_nothing_to_do_loads_no_client_of_a_broker(here: Path):
    code = (
        "import sys\nfrom xpm import experiment\nwith experiment('a'): pass\n"
        "print([name for name in ('redis', 'rich', 'psutil', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
