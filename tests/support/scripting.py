"""What a script needs of an experiment to be submitted: its name, its session, its snapshot; with no broker."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sessions import Recorder

from xpm.core.naming import SCRIPT
from xpm.core.session import ScriptLoaded, loading
from xpm.workspace.layout import Workspace
from xpm.workspace.snapshot import Entry, project_root, snapshot


@contextmanager
def recording(workspace: str, out: str) -> Iterator[None]:
    """Stands where a script says `with experiment(...)`; writes what was submitted to the file `out`."""
    if loading.get():
        raise ScriptLoaded
    entry = Entry.of_process()
    root, _ = project_root(entry.script or Path.cwd())
    if entry.script is not None:
        setattr(sys.modules["__main__"], SCRIPT, os.path.relpath(entry.script, root))
    with Recorder() as recorder:
        yield
    code = snapshot(root, Workspace.open(workspace), entry)
    submitted = [
        {
            "job": each.id,
            "task": each.task,
            "payload": each.payload,
            "types": {key: info.pack() for key, info in each.types.items()},
            "code": code.id,
        }
        for each in recorder.prepared
    ]
    Path(out).write_bytes(pickle.dumps(submitted))
