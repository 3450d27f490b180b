"""Sets up what `make demo` and `make test` need, in `.venv` of this clone and nowhere else.

    python3 tools/setup.py demo       the package and what its examples use
    python3 tools/setup.py test       all that developing it takes

Works with a bare Python 3.11 or newer: uv is used if there is one, else `python3 -m venv`, else a venv
without pip and pip's own wheel from the package index. pip's settings (PIP_*, pip.conf) hold in each case.
Does nothing when pyproject.toml is as it was the last time.
"""

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file runs under whatever `python3` is
    for _minor in (14, 13, 12, 11):
        _other = "python3." + str(_minor)
        if os.system(_other + " -c '' 2>/dev/null") == 0:
            os.execvp(_other, [_other] + sys.argv)  # noqa: RUF005
    sys.exit("error: Python 3.11 or newer is needed, this is " + sys.version.split()[0])

try:
    import argparse
    import fcntl
    import hashlib
    import json
    import re
    import shutil
    import subprocess
    import time
    import tomllib
    from importlib.util import find_spec
    from pathlib import Path

    import index
except ImportError as error:
    sys.exit(f"error: this Python is incomplete ({error}): apt-get install -y python3")

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {"demo": ["examples"], "test": ["dev"]}
SILENT = r"NewConnectionError|ConnectTimeout|Name or service not known|Temporary failure in name|SSLError"
STAMP = "xpm-setup.json"


class Failed(Exception):
    """The set-up can't go on; the text is one line for a person."""


def main() -> None:
    """Reads the command line, sets up, and says errors in one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=sorted(GROUPS), help="what it is for")
    parser.add_argument("--venv", default=".venv", help="another directory in the clone")
    parser.add_argument("--with", dest="extra", action="append", default=[], metavar="REQUIREMENT")
    options = parser.parse_args()
    turn = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(turn, fcntl.LOCK_EX)  # two at once would install into one another
    try:
        Venv(ROOT / options.venv).set_up(options.what, options.extra)
    except Failed as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


class Venv:
    """A virtual environment in the clone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / "bin" / "python"
        self.log = path / "setup.log"
        self.settings = index.pip_settings(dict(os.environ))

    def set_up(self, what: str, extra: list[str]) -> None:
        """Makes the environment and installs what is not there yet."""
        wanted = requirements(what, extra)
        digest = fingerprint(extra)
        known = self._stamp()
        if known.get("digest") == digest and set(wanted) <= set(known.get("installed", ())) and self._works():
            return
        begin = time.monotonic()
        if not self._works():
            self._make()
        (self.path / STAMP).unlink(missing_ok=True)
        self._install(wanted)
        stamp = {"digest": digest, "installed": wanted, "root": str(ROOT)}
        (self.path / STAMP).write_text(json.dumps(stamp) + "\n")
        say(f"ready after {time.monotonic() - begin:.0f} s")

    def _stamp(self) -> dict:
        try:
            stamp = json.loads((self.path / STAMP).read_text())
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) and stamp.get("root") == str(ROOT) else {}

    def _works(self) -> bool:
        """Whether it is there, its Python runs, and its programs know where they are (a clone may move)."""
        if not (self.path / "pyvenv.cfg").is_file():
            return False
        code = r"import sys; print(sys.prefix, *sys.version_info[:2], sep='\n')"
        try:
            ran = subprocess.run([self.python, "-I", "-c", code], capture_output=True, text=True, check=False)
        except OSError:
            return False
        pip = self.path / "bin" / "pip"
        here = not pip.exists() or str(self.path) in pip.read_text(errors="replace")
        said = ran.stdout.splitlines()
        return here and len(said) == 3 and said[0] == str(self.path) and int(said[2]) >= 11

    def _make(self) -> None:
        if self.path.exists():
            shutil.rmtree(self.path)
        uv = shutil.which("uv")
        version = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
        if uv is not None:
            say(f"making {self.path.name} with {version}, by uv")
            command = [
                uv,
                "venv",
                "--quiet",
                "--allow-existing",
                "--no-python-downloads",
                "--python",
                sys.executable,
            ]
            self._run([*command, str(self.path)], "uv made no environment")
            return
        if find_spec("venv") is None:
            raise Failed("this Python lacks the module venv: apt-get install -y python3-venv")
        say(f"making {self.path.name} with {version}")
        command = [sys.executable, "-m", "venv"]
        if find_spec("ensurepip") is not None and self._try([*command, str(self.path)]):
            return
        shutil.rmtree(self.path, ignore_errors=True)
        self._run([*command, "--without-pip", str(self.path)], "no environment was made")

    def _install(self, wanted: list[str]) -> None:
        uv = shutil.which("uv")
        say(
            f"installing the package and {len(wanted)} requirements ({self.log.relative_to(ROOT)} has the details)"
        )
        arguments = ["--editable", str(ROOT), *wanted]
        if uv is not None:
            command = [uv, "pip", "install", "--python", str(self.python)]
            self._run([*command, *arguments], "uv could not install")
            return
        if not self._try([str(self.python), "-m", "pip", "--version"]):
            self._bring_pip()
        command = [str(self.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        self._run(
            [*command, "--no-compile", "--no-warn-script-location", *arguments], "pip could not install"
        )

    def _bring_pip(self) -> None:
        try:
            wheel = index.fetch_pip(self.path / "pip", dict(os.environ))
        except index.NoPip as reason:
            raise Failed(
                f"this Python has no pip, and none could be fetched ({reason}): apt-get install -y python3-venv"
            ) from reason
        say(f"using {wheel.name.rsplit('-py3', 1)[0]} from the package index")
        command = [str(self.python), str(wheel / "pip"), "install", "--no-index", "--no-input", str(wheel)]
        self._run(command, "pip could not be installed")

    def _environment(self) -> dict[str, str]:
        """The caller's, with everything that would be written elsewhere turned into the environment."""
        scratch = self.path / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PIP_TARGET", "PIP_PREFIX")}
        ours = {
            "TMPDIR": str(scratch),
            "PIP_USER": "0",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
        }
        uv = {"UV_NO_CACHE": "1", "UV_PYTHON_DOWNLOADS": "never", **self._for_uv()}
        return {**kept, **ours, **{key: value for key, value in uv.items() if key not in kept}}

    def _for_uv(self) -> dict[str, str]:
        """What pip is told, in uv's words."""
        found = {
            "UV_DEFAULT_INDEX": self.settings.get("index-url", ""),
            "UV_INDEX": " ".join(index.listed(self.settings, "extra-index-url")),
            "UV_FIND_LINKS": ",".join(index.listed(self.settings, "find-links")),
            "UV_INSECURE_HOST": " ".join(index.listed(self.settings, "trusted-host")),
            "UV_CONSTRAINT": " ".join(index.listed(self.settings, "constraint")),
            "UV_HTTP_TIMEOUT": self.settings.get("default-timeout", ""),
            "SSL_CERT_FILE": self.settings.get("cert", ""),
        }
        # pip takes the best version that any index has; so shall uv.
        return {
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            **{key: value for key, value in found.items() if value},
        }

    def _try(self, command: list[str]) -> bool:
        self.path.mkdir(exist_ok=True)
        environment = self._environment()
        with open(self.log, "a") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            try:
                ran = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    cwd=ROOT,
                    check=False,
                )
            except OSError as error:
                log.write(f"ERROR: {error}\n")
                return False
            finally:
                shutil.rmtree(self.path / "tmp", ignore_errors=True)
        return ran.returncode == 0

    def _run(self, command: list[str], failure: str) -> None:
        if self._try(command):
            return
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"(?i)(error|cause:|×|.*no space left)", line)]
        last = (errors or lines)[-1]
        silent = any(re.search(SILENT, line) for line in lines)
        cause = "; the package index does not answer" if silent else ""
        raise Failed(
            f"{failure}: {re.sub('^(?i:error): *', '', last)}{cause} (see {self.log.relative_to(ROOT)})"
        )


def requirements(what: str, extra: list[str]) -> list[str]:
    """What is installed beside the package; `pip install --group` is too new to rely on."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text()).get("dependency-groups", {})
    found: list[str] = []

    def include(group: str) -> None:
        for one in groups[group]:
            if isinstance(one, dict):
                include(one["include-group"])
            elif one not in found:
                found.append(one)

    for group in GROUPS[what]:
        include(group)
    return [*found, *extra]


def fingerprint(extra: list[str]) -> str:
    """Changes with everything that decides what is installed."""
    content = (ROOT / "pyproject.toml").read_bytes()
    return hashlib.sha256(content + json.dumps(extra).encode() + sys.version.encode()).hexdigest()


def say(text: str) -> None:
    """A line for the person who waits."""
    print(f"set-up: {text}", flush=True)


if __name__ == "__main__":
    main()
