"""Takes over what was done under a former name: the job's directory is there under both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from xpm.core.decoding import parameters
from xpm.core.submission import Prepared
from xpm.errors import WorkspaceError
from xpm.workspace.drafts import published
from xpm.workspace.layout import Workspace
from xpm.workspace.results import RECORD, complete, pack_record, read_record


def adopt(tasks: Iterable[Prepared], workspace: Workspace) -> None:
    """Gives each of `tasks` that has no directory yet that of the same job under a former name, if that is done.

    Files are in both places at once, where the file system can do that, and the record says what the task is now.

    Raises:
        WorkspaceError: something can't be read or written.
    """
    for prepared in tasks:
        target = workspace.jobpath(prepared.task, prepared.id)
        try:
            if target.exists():
                continue
            for former in prepared.former:
                source = workspace.jobpath(former.task, former.id)
                if complete(source) is not None and _adopted(prepared, source, target):
                    break
        except OSError as error:
            raise WorkspaceError(f"cannot take over {target}: {error.strerror or error}") from error


def _adopted(prepared: Prepared, source: Path, target: Path) -> bool:
    record = read_record(source)
    if record is None:
        return False
    packed = pack_record(
        replace(
            record,
            job=prepared.id,
            task=prepared.task,
            label=prepared.label,
            parameters=parameters(prepared.payload, prepared.types),
            payload=prepared.payload,
            types={key: info.pack() for key, info in prepared.types.items()},
        )
    )
    with published(source, target) as draft:
        (draft / RECORD).unlink()  # the file is the other job's, too
        (draft / RECORD).write_bytes(packed)
    return True
