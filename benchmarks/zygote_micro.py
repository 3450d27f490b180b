"""What a no-op job costs from the request to its exit frame: fork, directory, logs, record, reaping.

python benchmarks/zygote_micro.py [--jobs N] [--workers N] [--imports numpy,...] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from jobs import Lab

SOURCE = """
{imports}
class Noop(Task):
    n: Param[int]
    def execute(self) -> int:
        return self.n

class After(Task):
    n: Param[int]
    one: Param[Noop]
    two: Param[Noop]
    three: Param[Noop]
    def execute(self) -> int:
        return self.one.result() + self.n
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--imports", default="")
    parser.add_argument("--folder", default=None)
    parser.add_argument("--after", action="store_true", help="jobs with three inputs each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        imports = "\n".join(f"import {name}" for name in options.imports.split(",") if name)
        lab = Lab(Path(folder), SOURCE.format(imports=imports))
        try:
            measure(lab, options)
        finally:
            lab.close()


def measure(lab: Lab, options: argparse.Namespace) -> None:
    path = lab.zygote()
    noop, after = lab.module.Noop, lab.module.After
    tasks = [noop.C(n=n) for n in range(options.jobs)]
    shares: list[list[dict]] = [[] for _ in range(options.workers)]
    requests = [lab.request(lab.prepare(task)) for task in tasks]
    if options.after:
        first = lab.worker(path)
        for request in requests[:3]:
            first.ask(request)
            first.rest()
        requests = [
            lab.request(lab.prepare(after.C(n=n, one=tasks[0], two=tasks[1], three=tasks[2])))
            for n in range(options.jobs)
        ]
    for at, request in enumerate(requests):
        shares[at % options.workers].append(request)
    times: list[float] = []

    def serve(share: list[dict]) -> None:
        worker = lab.worker(path)
        for request in share:
            begun = time.perf_counter()
            worker.ask(request)
            last = worker.rest()
            times.append(time.perf_counter() - begun)
            assert sorted(frame[0] for frame in last) == ["done", "exit", "started"], last

    serve(shares[0][:20])
    shares[0] = shares[0][20:]
    times.clear()
    cpu = cpu_of(lab.zygotes[0].pid)
    begun = time.perf_counter()
    threads = [threading.Thread(target=serve, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - begun
    zygote, jobs = (end - begin for begin, end in zip(cpu, cpu_of(lab.zygotes[0].pid), strict=True))
    times.sort()
    print(
        f"{len(times)} jobs, {options.workers} workers: {len(times) / wall:.0f}/s, "
        f"p50 {statistics.median(times) * 1e3:.2f} ms, p99 {times[int(len(times) * 0.99)] * 1e3:.2f} ms, "
        f"CPU a job: zygote {zygote / len(times) * 1e3:.2f} ms, process {jobs / len(times) * 1e3:.2f} ms, "
        f"python -c pass {python_pass() * 1e3:.1f} ms"
    )


def cpu_of(pid: int) -> tuple[float, float]:
    """Seconds of CPU of a process, and of its children that have ended."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, of_children, system_of_children = (int(value) for value in values[11:15])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + system) / tick, (of_children + system_of_children) / tick


def python_pass() -> float:
    best = 1.0
    for _ in range(10):
        begun = time.perf_counter()
        os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], os.environ), 0)
        best = min(best, time.perf_counter() - begun)
    return best


if __name__ == "__main__":
    main()
