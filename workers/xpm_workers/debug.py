"""Runs a job once more in the terminal, under the debugger, and publishes nothing."""

from __future__ import annotations

import os
import pdb
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

from xpm.core import session
from xpm.core.initial import perform
from xpm.core.message import JobRef
from xpm.errors import JobError
from xpm.workspace.code import read_code
from xpm.workspace.paths import job_dir
from xpm_workers.frames import Request
from xpm_workers.loader import Loader
from xpm_workers.process import introduce
from xpm_workers.seeds import seeder
from xpm_workers.session import JobSession


def debug(request: Request, scratch: Path | None = None) -> int:
    """Runs the job of `request` in a copy of its directory; an exception opens the debugger where it arose.

    This process becomes the job's: its module path, working directory and environment change, so call it in a
    process of its own, with the terminal as its standard streams. `breakpoint()` in the task works too.

    Args:
        request: the job; its inputs must be done.
        scratch: where to run; a temporary folder, removed at the end, by default.

    Returns:
        0 when `execute` returned, 1 when it raised.
    """
    top = Path(tempfile.mkdtemp(prefix="xpm-debug-")) if scratch is None else scratch
    # As deep as in a workspace: what jobs share is looked for above.
    folder = top / "jobs" / "debugged" / "00" / request.job if scratch is None else scratch
    try:
        _copy(Path(job_dir(request.workspace, request.task, request.job)), folder)
        return _run(request, folder)
    finally:
        if scratch is None:
            os.chdir("/")
            shutil.rmtree(top, ignore_errors=True)


def _copy(jobdir: Path, folder: Path) -> None:
    """What the job's directory holds, without what is xpm's own."""
    if jobdir.is_dir():
        own = shutil.ignore_patterns(".xpm")
        shutil.copytree(jobdir, folder, symlinks=True, ignore=own, dirs_exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _run(request: Request, folder: Path) -> int:
    workspace = Path(request.workspace)
    loader = Loader(read_code(workspace, request.code), workspace)
    loader.install()
    os.chdir(folder)
    sys.meta_path.insert(0, seeder)
    os.environ["XPM_WORKSPACE"] = request.workspace
    introduce(request)
    here = JobSession(request, str(folder), loader, _Terminal())
    session.adopt(here)
    try:
        types = {key: loader.type(key, packed) for key, packed in request.types.items()}
        task = here.task = here.own(JobRef(request.job, request.task), request.payload, types)
        value = perform(task)
    except Exception as error:  # whatever the task raises is what the user wants to look at
        traceback.print_exc()
        pdb.post_mortem(error.__traceback__)
        return 1
    sys.stderr.write(f"execute returned {value!r}\n")
    return 0


class _Terminal:
    """Stands where a job has its worker."""

    def progress(self, value: float, desc: str | None, level: int) -> None:
        sys.stderr.write(f"{'  ' * level}{value:.0%} {desc or ''}\n")

    def line(self) -> NoReturn:
        raise JobError(
            "under the debugger a job has no worker: it can neither hold tokens nor submit tasks or tell of outputs"
        )
