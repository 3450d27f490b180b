"""What a resumable task has registered while it ran: one line for each output, kept with what it saves."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from xpm.core.outputs import Output
from xpm.workspace.lines import append

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
        append(f"{self.path}/{JOURNAL}", json.dumps(output) + "\n", durable=True)
        return True


def read_outputs(jobdir: str | os.PathLike[str]) -> list[Output]:
    """What the job in the directory `jobdir` has registered, in that order; a line that was cut off is left out."""
    try:
        text = Path(jobdir, JOURNAL).read_text("ascii")
    except (FileNotFoundError, NotADirectoryError):
        return []
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("]\n")]
    return list(dict.fromkeys(Output(*json.loads(line)) for line in lines))
