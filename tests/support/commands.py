"""A project with a script, a home of its own, and the command `xpm` in it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import leftovers
import pexpect

ROOT = Path(__file__).parents[2]
XPM = (sys.executable, "-m", "xpm.cli")

SCRIPT = '''
"""A few slow tasks; the one with n=3 fails when the third argument says so."""
import sys, time
from pathlib import Path
from xpm import Config, Meta, Param, Task, experiment, field, progress, tag

class Size(Config):
    layers: Param[int]

class Slow(Task):
    n: Param[int]
    size: Param[Size]
    kind: Param[str]
    until: Meta[str] = field(default="")
    fail: Meta[bool] = field(default=False)
    def execute(self):
        print("begin", self.n, flush=True)
        progress(0.25, "under way")
        if self.until:
            while not Path(self.until).exists():
                time.sleep(0.02)
        if self.fail and not Path("/dev/null/no").exists():
            print("about to fail", file=sys.stderr)
            raise ValueError(f"{self.n} is too many")
        print("end", self.n)
        return {"n": self.n}

class Total(Task):
    parts: Param[list[Slow]]
    def execute(self):
        return sum(part.result()["n"] for part in self.parts)

if __name__ == "__main__":
    name, count = sys.argv[1], int(sys.argv[2])
    kind = next((word[3:] for word in sys.argv[3:] if word.startswith("as=")), name)
    fails = "fail" in sys.argv[3:]
    until = next((word for word in sys.argv[3:] if word.startswith("/")), "")
    with experiment(name):
        slow = [
            Slow.C(n=tag(n), size=Size.C(layers=2), kind=kind, until=until, fail=fails and n == 3).submit()
            for n in range(count)
        ]
        Total.C(parts=slow).submit()
        Total.C(parts=slow[:2]).submit()
'''


class Lab:
    """One project; what runs from its home ends with `close()`."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="xpm-home-"))
        self.project = self.home / "project"
        self.workspace = self.project / "runs"
        for name in ("project", "tmp"):
            (self.home / name).mkdir()
        (self.home / "runtime").mkdir(mode=0o700)
        (self.project / "pyproject.toml").touch()
        (self.project / "plan.py").write_text(SCRIPT)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XPM_", "XDG_"))}
        self.env = {
            **kept,
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'workers'}",
            "TERM": "xterm-256color",
            "XPM_WORKERS": "2",
            "PYTHONDONTWRITEBYTECODE": "",
        }
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
            self.env.pop(name, None)
        for variable in ("CONFIG_HOME", "STATE_HOME", "CACHE_HOME", "DATA_HOME", "RUNTIME_DIR"):
            self.env[f"XDG_{variable}"] = str(self.home / variable.partition("_")[0].lower())

    def run(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """`xpm` with these words, in a pipe and without a terminal."""
        env = {**self.env, **more.pop("env", {})}
        more.setdefault("cwd", self.project)
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([*XPM, *words], env=env, capture_output=True, text=True, timeout=60, **more)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """`xpm` with these words, beside the test; what it says on stderr is read there."""
        command = [*XPM, *words]
        return subprocess.Popen(command, cwd=self.project, env=self.env, stderr=subprocess.PIPE, text=True)

    def python(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Python with these words, in the project."""
        command = [sys.executable, *words]
        done = subprocess.run(
            command, env=self.env, cwd=self.project, capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """`xpm` with the words and redirections of a shell's line."""
        command = f"{shlex.join(XPM)} {line}"
        return subprocess.run(
            ["/bin/sh", "-c", command],
            env=self.env,
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def ok(self, *words: str, **more: Any) -> str:
        """The same; what it printed, once it has succeeded."""
        done = self.run(*words, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str, **more: Any) -> dict[str, Any]:
        """The same with `--json`."""
        return json.loads(self.ok(*words, "--json", **more))

    def job(self, label: str, state: str | None = None) -> dict[str, Any]:
        """The newest job with this label."""
        states = ("--state", state) if state else ()
        found = [one for one in self.json("jobs", "--limit", "0", *states)["jobs"] if one["label"] == label]
        return max(found, key=lambda one: one["submitted"])

    def spawn(self, *words: str, columns: int = 100, env: dict[str, str] | None = None) -> pexpect.spawn:
        """`xpm` with these words on a terminal."""
        return pexpect.spawn(
            XPM[0],
            [*XPM[1:], *words],
            cwd=str(self.project),
            env={**self.env, **(env or {})},
            dimensions=(40, columns),
            encoding="utf-8",
            timeout=30,
        )

    def close(self) -> None:
        leftovers.end(leftovers.processes(self.home))
        shutil.rmtree(self.home, ignore_errors=True)


ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def bare(text: str) -> str:
    """What a terminal shows, without its colours."""
    return ESCAPE.sub("", text).replace("\r\n", "\n")
