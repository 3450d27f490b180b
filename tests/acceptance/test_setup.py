"""The set-up of a clone from a bare Python: pip, ensurepip, uv and redis-server hidden."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import pwd
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
import index  # noqa: E402

TOOLS = ("git", "make", "sh", "bash", "env", "uname", "awk", "sed", "cat", "rm", "ldconfig", "gcc", "ld")
HIDE = """
import sys
if sys.prefix == sys.base_prefix:  # the system's Python, not the one that is being set up
    sys.modules["ensurepip"] = sys.modules["pip"] = None
"""


@functools.cache
def index_answers() -> bool:
    settings = index.pip_settings(dict(os.environ))
    for url in index.indexes(settings):
        try:
            if index._candidates(index._opener(settings), url.rstrip("/") + "/pip/", False):
                return True
        except (OSError, ValueError):
            continue
    return False


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files of this clone, as git knows them, in another place."""
    path = tmp_path / "a clone ü"
    path.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes((ROOT / name).read_bytes())
    return path


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment with a Python that has neither pip nor ensurepip, and few programs beside it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in TOOLS:
        for folder in ("/usr/bin", "/bin", "/usr/sbin", "/sbin"):
            if Path(folder, name).exists():
                (programs / name).symlink_to(Path(folder, name))
                break
    (programs / "python3").symlink_to(system_python())
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDE)
    kept = {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HOME", "XDG_"))
    }
    return {**kept, "PATH": str(programs), "PYTHONPATH": str(hidden), "LANG": "C.UTF-8"}


def system_python() -> str:
    """The interpreter that this one's environment was made of."""
    return os.path.join(sysconfig.get_config_var("BINDIR"), f"python3.{sys.version_info[1]}")


def run(clone: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture
def pip_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own pip.conf counts, though tests have another home."""
    own = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".config/pip/pip.conf"
    if own.is_file() and "PIP_CONFIG_FILE" not in os.environ:
        monkeypatch.setenv("PIP_CONFIG_FILE", str(own))


@pytest.mark.index
@pytest.mark.timeout(900)
def test_a_bare_python_is_enough(pip_of_the_user: None, clone: Path, home: Path, bare: dict[str, str]):
    if not index_answers():
        pytest.skip("no package index answers")
    bare = {**bare, **{name: value for name, value in os.environ.items() if name.startswith("PIP_")}}
    for module in ("pip", "ensurepip"):
        assert run(clone, bare, "python3", "-c", f"import {module}").returncode != 0
    before = set(home.rglob("*"))
    first = run(clone, bare, "python3", "tools/setup.py", "demo")
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert lines[0].startswith("set-up: making .venv with Python 3.")
    assert "from the package index" in first.stdout
    assert lines[-1].startswith("set-up: ready after")
    assert len(lines) <= 5 and first.stderr == ""
    code = "import xpm, xpm_workers, sklearn, rq; from xpm.broker import binary; print(xpm.__file__, binary.find())"
    used = run(clone, bare, ".venv/bin/python", "-c", code)
    assert used.returncode == 0, used.stderr
    assert used.stdout.startswith(str(clone / "xpm")) and "valkey" in used.stdout
    # Nothing outside the clone.
    assert set(home.rglob("*")) == before
    again = run(clone, bare, "python3", "tools/setup.py", "demo")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    # README's first command, and what it says the second time; its server's data lies in the state directory.
    demo = run(clone, bare, "make", "demo")
    assert demo.returncode == 0, demo.stderr
    assert "digits: all 66 jobs done" in demo.stdout + demo.stderr
    assert "the best:" in demo.stdout and "to look closer:" in demo.stdout
    again = run(clone, bare, "make", "demo")
    assert again.returncode == 0, again.stderr
    assert "digits: nothing to do: all 66 jobs were done before" in again.stdout + again.stderr
    assert {path.name for path in set(home.rglob("*")) - before if path.parent == home} <= {
        "state",
        "runtime",
        "tmp",
    }
    run(clone, bare, ".venv/bin/xpm", "broker", "stop", "--force")
    # A clone that moved is set up anew.
    moved = clone.rename(clone.with_name("moved"))
    alone = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    third = run(moved, {**bare, **alone}, "python3", "tools/setup.py", "demo")
    assert third.stdout.startswith("set-up: making .venv")
    assert third.stderr == (
        "error: this Python has no pip, and none could be fetched (no index has a pip for this Python): "
        "apt-get install -y python3-venv\n"
    )


def test_an_index_that_does_not_answer_is_one_line(clone: Path, bare: dict[str, str]):
    here = {
        "PIP_INDEX_URL": "http://u:secret@127.0.0.1:9/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_CERT": "",
    }
    here |= {"PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    failed = run(clone, {**bare, **here}, "python3", "tools/setup.py", "demo")
    assert failed.returncode == 1
    assert failed.stderr == (
        "error: this Python has no pip, and none could be fetched (http://127.0.0.1:9/simple/pip/: "
        "[Errno 111] Connection refused): apt-get install -y python3-venv\n"
    )


@pytest.mark.parametrize("module", ["tomllib", "venv"])
def test_an_incomplete_python_is_named(clone: Path, bare: dict[str, str], module: str):
    shim = Path(bare["PYTHONPATH"]) / "sitecustomize.py"
    shim.write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    failed = run(clone, bare, "python3", "tools/setup.py", "demo")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: this Python ")
    assert "apt-get install -y python3" in failed.stderr and failed.stderr.count("\n") == 1


WHEEL = b"a wheel, for all that fetching it cares"
DIGEST = hashlib.sha256(WHEEL).hexdigest()


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, tuple[str, bytes]]], tuple[str, list[str]]]]:
    """Serves pages by their paths; returns the address and the list of Authorization headers seen."""
    servers = []

    def start(pages: dict[str, tuple[str, bytes]]) -> tuple[str, list[str]]:
        seen: list[str] = []

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.headers.get("Authorization", ""))
                kind, content = pages.get(self.path, ("", b""))
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"127.0.0.1:{server.server_port}", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fetch(tmp_path: Path, **settings: str) -> Path:
    return index.fetch_pip(tmp_path / "got", {"PIP_CONFIG_FILE": os.devnull, **settings})


def test_the_newest_pip_that_fits_is_taken_from_a_page(tmp_path: Path, serve):
    page = (
        f'<a href="../../files/pip-9.0.1-py3-none-any.whl#sha256={DIGEST}">old</a>'
        f'<a href="../../files/pip-24.0-py3-none-any.whl#sha256={DIGEST}" data-requires-python="&gt;=3.8">ok</a>'
        f'<a href="../../files/pip-24.1-py3-none-any.whl#sha256={DIGEST}" data-yanked="bad">yanked</a>'
        f'<a href="../../files/pip-99.0-py3-none-any.whl#sha256={DIGEST}" data-requires-python="&gt;=3.99">new</a>'
        f'<a href="../../files/pip-98.0b1-py3-none-any.whl#sha256={DIGEST}">pre</a>'
        '<a href="../../files/pip-97.0-py3-none-any.whl">no checksum</a>'
    )
    files = {"/files/pip-24.0-py3-none-any.whl": ("application/octet-stream", WHEEL)}
    address, seen = serve({"/simple/pip/": ("text/html", page.encode()), **files})
    got = fetch(tmp_path, PIP_INDEX_URL=f"http://ada:p%40ss@{address}/simple/")
    assert got.name == "pip-24.0-py3-none-any.whl" and got.read_bytes() == WHEEL
    assert set(seen) == {"Basic YWRhOnBAc3M="}


def test_json_is_read_and_a_wrong_checksum_refused(tmp_path: Path, serve):
    files = [
        {"url": f"/f/pip-{version}-py3-none-any.whl", "filename": "", "hashes": {"sha256": digest}}
        for version, digest in (("24.0", DIGEST), ("25.0", "0" * 64))
    ]
    kind = "application/vnd.pypi.simple.v1+json"
    pages = {"/simple/pip/": (kind, json.dumps({"files": files}).encode())}
    pages |= {file["url"]: ("application/octet-stream", WHEEL) for file in files}
    address, _ = serve(pages)
    assert fetch(tmp_path, PIP_INDEX_URL=f"http://{address}/simple").name.startswith("pip-24.0")
    del pages["/f/pip-24.0-py3-none-any.whl"]
    with pytest.raises(index.NoPip, match=r"pip-25.0-py3-none-any.whl: wrong checksum"):
        fetch(tmp_path, PIP_INDEX_URL=f"http://{address}/simple")


def test_a_folder_of_wheels_is_enough(tmp_path: Path):
    (tmp_path / "pip-24.0-py3-none-any.whl").write_bytes(WHEEL)
    assert fetch(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path)).read_bytes() == WHEEL
    with pytest.raises(index.NoPip, match="no index has a pip for this Python"):
        fetch(tmp_path, PIP_NO_INDEX="1")


def test_pips_settings_are_read_as_pip_reads_them(home: Path):
    for path, text in {
        ".pip/pip.conf": "[global]\nindex-url = http://one\ncert = /one\n",
        "config/pip/pip.conf": "[global]\nindex_url = http://two\n[install]\nfind-links =\n  /a\n  /b\n",
        "chosen": "[global]\nextra-index-url = http://three http://four\n",
    }.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)
    environ = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CONFIG_DIRS": str(home / "none"),
        "PIP_CONFIG_FILE": str(home / "chosen"),
        "PIP_CERT": "/five",
    }
    settings = index.pip_settings(environ)
    assert index.indexes(settings) == ["http://two", "http://three", "http://four"]
    assert index.listed(settings, "find-links") == ["/a", "/b"]
    assert settings["cert"] == "/five"
    assert index.indexes(index.pip_settings({"PIP_NO_INDEX": "true"})) == []


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ("", True),
        (">=3.8", True),
        (">=3.9,<3.12", True),
        (">=3.12", False),
        ("!=3.11.*", False),
        ("~=3.10", True),
    ],
)
def test_requires_python(wanted: str, answer: bool):
    assert index.fits(wanted, (3, 11)) is answer
