"""Files with a record on each line, to which one process at a time adds."""

from __future__ import annotations

import os


def append(path: str | os.PathLike[str], lines: str, *, durable: bool = False) -> None:
    """Adds whole lines of ASCII; behind one that was cut off, as by a full disk, they begin a new one.

    Args:
        path: the file, made if there is none.
        lines: each with its end.
        durable: they are on disk when this returns.

    Raises:
        OSError: they can't be written, or only a part of them.
    """
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                file.write(b" \n")  # nobody takes the part for a whole line, wherever it was cut off
        file.write(lines.encode("ascii"))
        if durable:
            file.flush()
            os.fsync(file.fileno())
