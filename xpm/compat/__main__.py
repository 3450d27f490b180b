"""`python -m xpm.compat script.py`: runs a script that imports experimaestro on xpm."""

from __future__ import annotations

import os
import runpy
import sys
from typing import NoReturn

from xpm.aliases import install

USAGE = "python -m xpm.compat [-m] SCRIPT [ARGS]"


def main() -> None:
    """Runs the script, or with `-m` the module, that the command line names."""
    install()
    words = sys.argv[1:]
    as_module = words[:1] == ["-m"]
    if as_module:
        words = words[1:]
    if not words or words[0].startswith("-"):
        _refuse(f"usage: {USAGE}")
    sys.argv[:] = words
    if as_module:
        sys.path[0] = os.getcwd()
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        return
    if not os.path.isfile(words[0]):
        _refuse(f"xpm: error: no script {words[0]}")
    sys.path[0] = os.path.dirname(os.path.realpath(words[0]))
    runpy.run_path(words[0], run_name="__main__")


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"{reason}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
