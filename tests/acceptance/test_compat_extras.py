"""Services and actions of experiments that were written for experimaestro."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from commands import Lab

SCRIPT = """
import re, sys, time, urllib.request
from pathlib import Path
from experimaestro import Action, Config, Param, PathGenerator, Task, experiment, field, Meta
from experimaestro.scheduler.services import ProcessWebService, WebService
from experimaestro.utils import cleanupdir

class Make(Task):
    n: Param[int]
    made: Meta[Path] = field(default_factory=PathGenerator("made.txt"))

    def execute(self):
        self.made.write_text(str(self.n))

class Made(Config):
    n: Param[int]
    path: Param[Path]

class Export(Action):
    made: Param[list[Made]]

    def describe(self):
        return f"Export the best of {len(self.made)}"

    def execute(self, interaction):
        best = max(self.made, key=lambda each: int(each.path.read_text()))
        target = interaction.text("target", f"Where to copy {best.n}?", default="best.txt")
        if interaction.checkbox("sure", "Sure?"):
            how = interaction.choice("how", "How?", ["plain", "loud"], default="plain")
            Path(target).write_text(best.path.read_text() + ("!" if how == "loud" else ""))

class Pages(ProcessWebService):
    id = "pages"

    def __init__(self, path):
        super().__init__()
        self.path = path

    def description(self):
        return "Pages of the results"

    def _build_command(self):
        return [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(self.path)]

    def _wait_for_ready(self):
        while not (found := re.search(r"http://\\S+/", self.stdout.read_text())):
            if self.process.poll() is not None:
                raise RuntimeError("ended: " + self.stderr.read_text())
            time.sleep(0.01)
        return found[0]

class Broken(WebService):
    id = "broken"

    def _serve(self, running):
        raise ValueError("no port is free")

def main(workdir):
    with experiment(workdir, "served") as xp:
        cleanupdir(xp.resultspath)
        (xp.resultspath / "page.txt").write_text("hello")
        pages = Pages(xp.resultspath)
        xp.add_service(pages)
        xp.add_service(Broken())
        print(urllib.request.urlopen(pages.get_url() + "page.txt").read().decode())
        made = []
        for n in (1, 3, 2):
            task = Make.C(n=n)
            task.submit()
            made.append(Made.C(n=n, path=task.made))
        print(xp.add_action(Export.C(made=made)), xp.add_action(Export.C(made=made[:1])))
    print(pages.process.returncode is not None)

if __name__ == "__main__":
    main(sys.argv[1])
"""

INFO = """
import sys
from experimaestro.scheduler.workspace_state_provider import WorkspaceStateProvider

info = WorkspaceStateProvider(sys.argv[1]).load_xp_info("served")
print({name: len(action.made) for name, action in info.actions.items()}, len(info.jobs))
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab()
    (made.project / "served.py").write_text(SCRIPT)
    yield made
    made.close()


@pytest.fixture(scope="module")
def done(lab: Lab) -> subprocess.CompletedProcess[str]:
    """The script has run."""
    return lab.python("-m", "xpm.compat", "served.py", "ws")


def act(lab: Lab, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xpm.compat.actions", *words]
    return subprocess.run(
        command,
        cwd=lab.project,
        env=lab.env,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_services_run_beside_the_script_and_actions_come_after_it(
    lab: Lab, done: subprocess.CompletedProcess[str]
) -> None:
    assert done.stdout == "hello\nexport export-2\nTrue\n"
    assert "Pages of the results: http://127.0.0.1:" in done.stderr
    assert "service broken: no port is free; going on without it" in done.stderr
    assert (
        act(lab, "ws", "served").stdout == "export    Export the best of 3\nexport-2  Export the best of 1\n"
    )
    done = act(lab, "ws", "served", "export", typed="there.txt\ny\nloud\n")
    assert done.returncode == 0 and (lab.project / "there.txt").read_text() == "3!", done.stderr
    (lab.project / "info.py").write_text(INFO)
    assert lab.python("-m", "xpm.compat", "info.py", "ws").stdout == "{'export': 3, 'export-2': 1} 3\n"
    lab.python("-m", "xpm.compat", "served.py", "ws")
    assert len(act(lab, "ws", "served").stdout.splitlines()) == 2, "those of the newest run"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ws"], "usage: python -m xpm.compat.actions WORKSPACE EXPERIMENT [ACTION]"),
        (["nowhere", "served"], "nowhere is not a workspace"),
        (["ws", "served", "exprt"], "no action 'exprt'; did you mean 'export'?"),
        (["ws", "other", "export"], "no action 'export'; there are none"),
    ],
)
@pytest.mark.usefixtures("done")
def test_wrong_words_are_told(lab: Lab, words: list[str], told: str) -> None:
    done = act(lab, *words)
    assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1
