"""Jobs in real processes, forked by a real zygote: how each way to end is told, and what is left."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from jobs import Lab
from waiting import ended, until

from xpm.workspace.attempts import read_attempts
from xpm.workspace.values import decode_result
from xpm_workers.frames import send_request
from xpm_workers.nursery import KEPT, Nursery, zygote_of

SOURCE = """
import ctypes
import signal
import subprocess
import threading

class Add(Task):
    a: Param[int]
    b: Param[int] = 0
    def execute(self):
        return self.a + self.b

class Sum(Task):
    parts: Param[list[Add]]
    def execute(self):
        return sum(part.result() for part in self.parts)

class Do(Task):
    what: Param[str]
    def execute(self):
        return globals()[self.what](self)

class Hostile(Exception):
    def __init__(self, a, b):
        self.lock = threading.Lock()
    def __str__(self):
        raise SystemExit(3)
    __repr__ = __str__
    def __reduce__(self):
        raise ValueError

def fails(task):
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("bad é") from error
def grouped(task): raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])
def hostile(task): raise Hostile(1, 2)
def exits(task): sys.exit(7)
def exits_with_words(task): sys.exit("enough")
def exits_well(task): sys.exit()
def exits_at_once(task): os._exit(9)
def interrupted(task): raise KeyboardInterrupt
def out_of_memory(task): raise MemoryError
def killed(task): os.kill(os.getpid(), signal.SIGKILL)
def terminated(task): os.kill(os.getpid(), signal.SIGTERM)
def crashes(task): ctypes.string_at(0)
def too_deep(task): return too_deep(task)
def unsupported(task): return {"x": [object()]}
def too_large(task): return "x" * (1 << 20)
def large(task): return "x" * 500_000
def surrogates(task): raise ValueError("\\udc80" + os.fsdecode(b"\\xff"))
def long_trouble(task): raise ValueError("x" * 3_000_000)
def nothing(task): return None

def closes_all(task):
    os.closerange(0, 4096)
    return "closed"
def closes_all_and_fails(task):
    os.closerange(0, 4096)
    raise ValueError("after closing")
def takes_the_numbers(task):
    os.closerange(3, 4096)
    task.files = [open(f"file{n}", "w+") for n in range(300)]
    return "taken"

def prints(task):
    print("to stdout é \\udc80")
    os.write(2, b"to stderr\\n")
    subprocess.run(["echo", "from a child"])
    return os.getcwd()
def writes_much(task):
    block = b"x" * (1 << 20)
    for _ in range(300):
        os.write(1, block)

def forks_and_returns(task):
    os.fork()
    return "once"
def forks_and_raises(task):
    if os.fork() == 0:
        raise ValueError("of the copy")
    os.wait()
    return "once"

DAEMON = '''
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(1000)
'''
def leaves_daemons(task):
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", DAEMON, name], stdout=subprocess.DEVNULL, check=True)
        while not Path(name).exists() or not Path(name).read_text():
            time.sleep(0.005)
    subprocess.Popen(["sleep", "1000"])
    return [int(Path(name).read_text()) for name in ("one", "two")]
def leaves_daemons_and_waits(task):
    leaves_daemons(task)
    Path("ready").touch()
    time.sleep(1000)
def leaves_daemons_and_fails(task):
    leaves_daemons(task)
    raise ValueError("with daemons")
def waits(task):
    Path("ready").touch()
    time.sleep(1000)
def ticks(task):
    with open("ticks", "w") as file:
        while True:
            file.write("x")
            file.flush()
            time.sleep(0.005)

def threads(task):
    import atexit
    def late():
        time.sleep(0.1)
        Path("thread").touch()
    threading.Thread(target=late).start()
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    atexit.register(lambda: Path("atexit").touch())
    return "before its thread"
def progresses(task):
    for step in range(5):
        progress(step / 4, f"step {step}")
    for step in range(100_000):
        progress(step / 100_000)
def environment(task):
    import random, numpy
    return {
        "env": {name: os.environ.get(name) for name in ("XPM_JOB", "XPM_FENCE", "XPM_ATTEMPT", "XPM_WORKSPACE", "MORE")},
        "stdin": sys.stdin.read() + os.read(0, 10).decode(),
        "linker": os.environ.get("LD_BIND_NOW"),
        "leader": os.getsid(0) == os.getpid(),
        "random": [random.random(), numpy.random.rand()],
        "descriptors": sorted(int(n) for n in os.listdir("/proc/self/fd")),
        "argv": sys.argv,
    }
"""

STORIES = ["started", "done", "exit"], ["done", "started", "exit"]
"""What is told of a job that is done: the zygote may be slower than the job's process."""


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path, SOURCE)
    yield made
    made.close()


def do(lab, worker, what, **changes):
    """Runs one function in a job; returns its frames by name, and the prepared job."""
    prepared = lab.prepare(lab.module.Do.C(what=what))
    worker.ask(lab.request(prepared, **changes))
    if worker.ended:
        return {}, prepared
    frames = worker.rest()
    assert [frame[0] for frame in frames].count("exit") == 1 and frames[-1][0] == "exit"
    return {frame[0]: frame for frame in frames}, prepared


def test_a_job_runs_and_leaves_a_record(lab):
    worker = lab.worker()
    frames = lab.run(worker, lab.module.Add.C(a=1, b=2))
    assert [frame[0] for frame in frames] in STORIES
    assert frames[-1][1:] == [0, True]
    prepared = lab.prepare(lab.module.Add.C(a=1, b=2))
    record = lab.record(prepared)
    assert (record.result, record.pid, record.worker) == (
        3,
        dict(frame[:2] for frame in frames)["started"],
        "tester",
    )
    assert record.parameters == {"a": 1, "b": 2}
    assert record.label == prepared.label and record.code == lab.code.id
    assert [path.name for path in lab.path(prepared).rglob("*")] == [".xpm", "result.json"]


def test_a_connection_serves_one_job_after_another_and_several_run_at_once(lab):
    path = lab.zygote()
    workers = [lab.worker(path) for _ in range(4)]
    for round_ in range(5):
        for at, worker in enumerate(workers):
            worker.ask(lab.request(lab.prepare(lab.module.Add.C(a=round_, b=at))))
        for worker in workers:
            frames = [frame[0] for frame in worker.rest()]
            assert sorted(frames) == ["done", "exit", "started"] and frames[-1] == "exit"


def test_results_of_inputs_are_there(lab):
    worker, module = lab.worker(), lab.module
    parts = [module.Add.C(a=n) for n in range(3)]
    for part in parts:
        lab.run(worker, part)
    frames = lab.run(worker, module.Sum.C(parts=parts))
    assert [frame[0] for frame in frames] in STORIES
    assert lab.record(lab.prepare(module.Sum.C(parts=parts))).result == 3


def test_a_done_job_is_reused_without_running(lab):
    worker = lab.worker()
    lab.run(worker, lab.module.Do.C(what="nothing"))
    frames, _ = do(lab, worker, "nothing")
    assert not frames
    assert (worker.ended.kind, worker.ended.fence) == ("done", f"{1:026}")


def test_an_exception_is_told_with_the_users_frames_first(lab):
    worker = lab.worker()
    frames, prepared = do(lab, worker, "fails")
    failed = frames["failed"][1]
    assert (failed["kind"], failed["type"], failed["message"]) == ("exception", "ValueError", "bad é")
    lines = failed["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert f'File "{lab.file}"' in lines[1] and "KeyError: 'missing'" in failed["traceback"]
    assert "direct cause" in failed["traceback"] and lines[-1] == "ValueError: bad é"
    assert "xpm_workers" not in failed["traceback"] and "process.py" not in failed["traceback"]
    assert failed["where"].startswith(f"{lab.file}:") and failed["where"].endswith("in fails")
    assert os.waitstatus_to_exitcode(frames["exit"][1]) == 1
    (attempt,) = read_attempts(lab.path(prepared))
    assert attempt.failure.traceback == failed["traceback"] and attempt.worker == "tester"
    assert lab.record(prepared) is None
    assert not list(lab.path(prepared).glob(".xpm/*.part"))


@pytest.mark.parametrize(
    ("what", "kind", "type_", "message"),
    [
        ("hostile", "exception", "Hostile", "cannot be shown"),
        ("grouped", "exception", "ExceptionGroup", "several"),
        ("exits", "exit", "SystemExit", "7"),
        ("exits_with_words", "exit", "SystemExit", "enough"),
        ("exits_well", "exit", "SystemExit", ""),
        ("interrupted", "exception", "KeyboardInterrupt", ""),
        ("out_of_memory", "exception", "MemoryError", ""),
        ("too_deep", "exception", "RecursionError", "maximum recursion"),
        ("unsupported", "result", "ResultError", "the result['x'][0] is of type object"),
        ("too_large", "result", "ResultError", "write a file"),
        ("surrogates", "exception", "ValueError", "\udc80\udcff"),
        ("long_trouble", "exception", "ValueError", "xxx"),
        ("closes_all_and_fails", "exception", "ValueError", "after closing"),
    ],
)
def test_each_failure_is_told_once(lab, what, kind, type_, message):
    worker = lab.worker()
    frames, prepared = do(lab, worker, what)
    failed = worker.ended.said
    assert (failed["kind"], failed["type"].removeprefix(f"{lab.name}.")) == (kind, type_)
    assert message in failed["message"]
    assert len(failed["traceback"]) <= 65 << 10
    assert "done" not in frames
    assert lab.record(prepared) is None
    assert [attempt.failure.kind for attempt in read_attempts(lab.path(prepared))] == [kind]


def test_the_status_of_an_exit_is_told(lab):
    worker = lab.worker()
    assert do(lab, worker, "exits")[0]["failed"][1]["exit_code"] == 7
    assert do(lab, worker, "exits_well")[0]["failed"][1]["exit_code"] == 0


@pytest.mark.parametrize(
    ("what", "number"),
    [("killed", signal.SIGKILL), ("terminated", signal.SIGTERM), ("crashes", signal.SIGSEGV)],
)
def test_a_death_by_signal_is_the_exits_status(lab, what, number):
    frames, prepared = do(lab, lab.worker(), what)
    assert os.WTERMSIG(frames["exit"][1]) == number
    assert set(frames) == {"started", "exit"}
    assert lab.record(prepared) is None
    if what == "crashes":
        assert "Segmentation fault" in (lab.path(prepared) / "stderr.log").read_text()


def test_leaving_without_a_word_is_the_exits_status(lab):
    frames, _ = do(lab, lab.worker(), "exits_at_once")
    assert os.waitstatus_to_exitcode(frames["exit"][1]) == 9
    assert set(frames) == {"started", "exit"}


@pytest.mark.parametrize(("what", "result"), [("closes_all", "closed"), ("takes_the_numbers", "taken")])
def test_a_task_that_closes_all_descriptors_is_done(lab, what, result):
    worker = lab.worker()
    frames, prepared = do(lab, worker, what)
    assert set(frames) == {"started", "exit"}, "nobody listens where the connection was"
    assert (worker.ended.kind, worker.ended.fence) == ("done", lab.record(prepared).fence)
    assert lab.record(prepared).result == result
    assert all(path.stat().st_size == 0 for path in lab.path(prepared).glob("file*"))


def test_output_goes_to_the_logs(lab):
    frames, prepared = do(lab, lab.worker(), "prints")
    here = lab.path(prepared)
    assert (here / "stdout.log").read_bytes() == "to stdout é \\udc80\nfrom a child\n".encode()
    assert (here / "stderr.log").read_text() == "to stderr\n"
    assert decode_result(lab.record(prepared).result, here) == str(here)
    assert "done" in frames


def test_much_output_is_only_a_large_log(lab):
    frames, prepared = do(lab, lab.worker(), "writes_much")
    assert (lab.path(prepared) / "stdout.log").stat().st_size == 300 << 20
    assert "done" in frames
    (lab.path(prepared) / "stdout.log").unlink()


@pytest.mark.parametrize("what", ["forks_and_returns", "forks_and_raises"])
def test_a_copy_that_the_task_forked_reports_nothing(lab, what):
    worker = lab.worker()
    frames, prepared = do(lab, worker, what)
    assert lab.record(prepared).result == "once"
    assert "failed" not in frames
    assert do(lab, worker, "nothing")[0].keys() == {"started", "done", "exit"}


def test_what_a_job_left_over_dies_before_its_end_is_told(lab):
    frames, prepared = do(lab, lab.worker(), "leaves_daemons")
    daemons = lab.record(prepared).result
    assert len(daemons) == 2 and all(map(ended, daemons))
    assert "done" in frames
    assert not psutil.Process(lab.zygotes[0].pid).children(recursive=True)


def test_a_neighbours_daemons_are_left_alone(lab):
    path = lab.zygote()
    busy, other = lab.worker(path), lab.worker(path)
    prepared = lab.prepare(lab.module.Do.C(what="leaves_daemons_and_waits"))
    busy.ask(lab.request(prepared))
    until((lab.path(prepared) / "ready").exists)
    daemons = [int((lab.path(prepared) / name).read_text()) for name in ("one", "two")]
    frames, failed = do(lab, other, "leaves_daemons_and_fails")
    assert "failed" in frames
    assert all(ended(int((lab.path(failed) / name).read_text())) for name in ("one", "two"))
    assert not any(map(ended, daemons))
    busy.signal(signal.SIGKILL)
    assert os.WTERMSIG(busy.until("exit")[1]) == signal.SIGKILL
    assert all(map(ended, daemons))


@pytest.mark.parametrize("end", ["worker", "pool"])
def test_a_jobs_processes_end_with_their_worker_and_their_pool(lab, end):
    worker = lab.worker()
    prepared = lab.prepare(lab.module.Do.C(what="leaves_daemons_and_waits"))
    worker.ask(lab.request(prepared))
    until((lab.path(prepared) / "ready").exists)
    below = psutil.Process(lab.zygotes[0].pid).children(recursive=True)
    processes = [process for process in below if not ended(process.pid)]
    assert len(processes) == 4  # the job's own, two daemons, a child
    if end == "worker":
        worker.close()
    else:
        lab.zygotes[0].stdin.close()
        assert lab.zygotes[0].wait(10) == 0
    until(lambda: all(ended(process.pid) for process in processes))


def test_a_zygote_that_is_killed_takes_its_jobs_with_it(lab):
    worker = lab.worker()
    worker.ask(lab.request(lab.prepare(lab.module.Do.C(what="waits"))))
    pid = worker.until("started")[1]
    lab.zygotes[0].kill()
    assert worker.frame() is None
    until(lambda: ended(pid))


def test_a_retired_zygote_ends_when_its_workers_have_left(lab):
    worker = lab.worker()
    worker.ask(lab.request(lab.prepare(lab.module.Do.C(what="waits"))))
    worker.until("started")
    lab.zygotes[0].terminate()
    with pytest.raises(AssertionError, match="no frame"):
        worker.frame(within=0.3)
    worker.close()
    assert lab.zygotes[0].wait(10) == 0


def test_a_zygote_does_not_grow_with_its_jobs(lab):
    worker = lab.worker()
    own = psutil.Process(lab.zygotes[0].pid)

    def after(numbers):
        for n in numbers:
            lab.run(worker, lab.module.Add.C(a=n))
        return own.memory_full_info().uss

    first = after(range(100))
    assert after(range(100, 400)) - first < 64 << 10, "each job would make all later forks dearer"


def test_signals_reach_the_whole_tree(lab):
    worker = lab.worker()
    prepared = lab.prepare(lab.module.Do.C(what="ticks"))
    worker.ask(lab.request(prepared))
    ticks = lab.path(prepared) / "ticks"
    until(lambda: ticks.exists() and ticks.stat().st_size > 2)
    worker.signal(signal.SIGSTOP)
    pid = worker.until("started")[1]
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    size = ticks.stat().st_size
    worker.signal(signal.SIGCONT)
    until(lambda: ticks.stat().st_size > size)
    worker.signal(signal.SIGINT)
    frames = {frame[0]: frame for frame in worker.rest()}
    assert frames["failed"][1]["type"] == "KeyboardInterrupt"


def test_a_stopped_job_can_be_killed(lab):
    worker = lab.worker()
    worker.ask(lab.request(lab.prepare(lab.module.Do.C(what="leaves_daemons_and_waits"))))
    worker.until("started")
    worker.signal(signal.SIGSTOP)
    worker.signal(signal.SIGKILL)
    assert os.WTERMSIG(worker.until("exit")[1]) == signal.SIGKILL


def test_threads_and_exit_functions_come_to_their_end(lab):
    frames, prepared = do(lab, lab.worker(), "threads")
    assert (lab.path(prepared) / "thread").exists() and (lab.path(prepared) / "atexit").exists()
    assert "done" in frames


def test_progress_comes_and_never_holds_the_job_up(lab):
    worker = lab.worker()
    worker.ask(lab.request(lab.prepare(lab.module.Do.C(what="progresses"))))
    frames = worker.rest()
    assert [frame[1:] for frame in frames if frame[0] == "progress"][:5] == [
        [step / 4, f"step {step}", 0] for step in range(5)
    ]
    assert len(frames) < 1000 and [frame[0] for frame in frames[-2:]] == ["done", "exit"]


def test_a_job_finds_its_environment(lab):
    worker = lab.worker()
    frames, prepared = do(lab, worker, "environment", attempt=2, environ={"MORE": "m"})
    assert "done" in frames
    result = lab.record(prepared).result
    assert result["env"] == {
        "XPM_JOB": prepared.id,
        "XPM_FENCE": f"{1:026}",
        "XPM_ATTEMPT": "2",
        "XPM_WORKSPACE": str(lab.workspace.path),
        "MORE": "m",
    }
    assert result["stdin"] == "" and result["leader"] and result["argv"] == ["prog"]
    # Standard streams, the channel, the directory with its record, and the listing itself.
    assert len(result["descriptors"]) <= 8 and max(result["descriptors"]) == 199
    (lab.path(prepared) / ".xpm" / "result.json").unlink()
    do(lab, worker, "environment", attempt=2)
    assert lab.record(prepared).result["random"] == result["random"]
    (lab.path(prepared) / ".xpm" / "result.json").unlink()
    do(lab, worker, "environment", attempt=3)
    assert not set(lab.record(prepared).result["random"]) & set(result["random"])


def test_a_removed_directory_is_no_success(lab):
    worker = lab.worker()
    prepared = lab.prepare(lab.module.Do.C(what="waits"))
    worker.ask(lab.request(prepared))
    until((lab.path(prepared) / "ready").exists)
    os.rename(lab.path(prepared), str(lab.path(prepared)) + "-away")
    worker.signal(signal.SIGINT)
    frames = {frame[0]: frame for frame in worker.rest()}
    assert "failed" in frames and not lab.path(prepared).exists()


def test_a_worker_that_does_not_read_holds_nobody_up(lab):
    path = lab.zygote()
    deaf, other = lab.worker(path), lab.worker(path)
    for _ in range(3000):
        deaf.signal(0)
    request = lab.request(lab.prepare(lab.module.Add.C(a=1)))
    deaf.ask(request)
    assert [frame[0] for frame in lab.run(other, lab.module.Add.C(a=2))] in STORIES
    assert deaf.rest()[-1][0] == "exit"


def test_a_request_that_is_none_is_refused(lab):
    worker = lab.worker()
    send_request(worker.socket, {"job": "x"})
    assert worker.rest()[0][0] == "refused"
    worker.socket.send(b"\xc1")
    assert worker.rest()[0][0] == "refused"
    assert lab.run(worker, lab.module.Add.C(a=1))[-1][0] == "exit"


def test_a_long_request_travels_in_parts(lab):
    worker = lab.worker()
    worker.ask(lab.request(lab.prepare(lab.module.Do.C(what="nothing")), environ={"LONG": "x" * 100_000}))
    assert worker.rest()[-2][0] == "done"


@pytest.fixture
def small_disk(lab):
    """The workspace's jobs on a disk of 2 MiB."""
    target = str(lab.workspace.path / "jobs")
    Path(target).mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", target.encode(), b"tmpfs", 0, b"size=2m") != 0:
        pytest.skip("mounting is not allowed here")
    yield Path(target)
    libc.umount2(target.encode(), 2)


@pytest.mark.root
@pytest.mark.parametrize(
    ("what", "room", "kind"),
    [
        ("nothing", 0, "disk"),
        ("prints", 0, "exception"),
        ("large", 100, "disk"),
        ("writes_much", 100, "exception"),
    ],
)
def test_a_full_disk_is_a_failure_and_leaves_no_record(lab, small_disk, what, room, kind):
    worker = lab.worker()
    filler = small_disk / "filler"
    with suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    os.truncate(filler, max(0, filler.stat().st_size - (room << 10)))
    _, prepared = do(lab, worker, what)
    assert worker.ended.failure.kind == kind
    assert "No space left" in worker.ended.failure.message
    assert lab.record(prepared) is None and not (lab.path(prepared) / ".xpm" / "result.json").exists()
    filler.unlink()
    _, prepared = do(lab, worker, "large", attempt=2)
    assert worker.ended.kind == "done" and lab.record(prepared) is not None


@pytest.mark.parametrize("own", [None, "1"])
def test_what_the_linker_does_for_a_zygote_is_none_of_the_jobs_business(lab, monkeypatch, own):
    if own is None:
        monkeypatch.delenv("LD_BIND_NOW", raising=False)
    else:
        monkeypatch.setenv("LD_BIND_NOW", own)
    prepared = lab.prepare(lab.module.Do.C(what="environment"))
    nursery = Nursery(lab.workspace.path)
    try:
        path = nursery.path(lab.request(prepared)["code"])
        (zygote,) = nursery.pids
        environment = Path(f"/proc/{zygote}/environ")
        assert b"LD_BIND_NOW=" in until(environment.read_bytes)  # empty while a process is being replaced
        do(lab, lab.worker(path), "environment")
    finally:
        nursery.close()
    assert lab.record(prepared).result["linker"] == own


def test_a_zygote_that_is_retired_while_it_starts_runs_the_jobs_of_who_has_called_on_it(lab):
    nursery = Nursery(lab.workspace.path)
    try:
        worker = lab.worker(nursery.path(lab.code.id))
        (zygote,) = nursery.pids
        os.kill(zygote, signal.SIGTERM)
        assert "done" in do(lab, worker, "nothing")[0]
        worker.close()
        until(lambda: ended(zygote))
    finally:
        nursery.close()


def test_as_many_jobs_as_there_are_workers_can_have_a_zygote_of_their_own(lab):
    nursery = Nursery(lab.workspace.path)
    try:
        shared = nursery.path(lab.code.id)
        own = [nursery.path(zygote_of(lab.code.id, job=str(job))) for job in range(KEPT + 1)]
        assert all(Path(path).exists() for path in (shared, *own))
        assert "done" in do(lab, lab.worker(own[0]), "nothing")[0]
    finally:
        nursery.close()
