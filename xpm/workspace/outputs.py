"""What a resumable task has registered while it ran: one line for each output, kept with what it saves."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from xpm.core.outputs import Output

JOURNAL = "xpm-outputs.jsonl"
"""In the job's directory, beside its own files: they are carried over together."""


@dataclass(slots=True)
class Journal:
    """The outputs of one job, as its process notes them."""

    path: str
    """The job's directory."""
    told: int = 0
    """How many of them the job's worker knows."""

    def add(self, output: Output) -> bool:
        """Notes an output, on disk when this returns; False if it was there already.

        Raises:
            OSError: it can't be written.
        """
        if output in read_outputs(self.path):
            return False
        with open(f"{self.path}/{JOURNAL}", "ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":
                    file.write(b"\n")  # the line before was cut off
            file.write(json.dumps(output).encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return True


def read_outputs(jobdir: str | os.PathLike[str]) -> list[Output]:
    """What the job in the directory `jobdir` has registered, in that order; a line that was cut off is left out."""
    try:
        text = Path(jobdir, JOURNAL).read_text("ascii")
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = (_output(line) for line in text.splitlines(keepends=True) if line.endswith("]\n"))
    return list(dict.fromkeys(output for output in found if output is not None))


def _output(line: str) -> Output | None:
    try:
        return Output(*json.loads(line))
    except ValueError:  # cut off where a text of it has the end of a line
        return None
