"""What `xpm run` makes of a YAML file, and of what stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from xpm.errors import UsageError

ENDINGS = frozenset({".yaml", ".yml"})


@click.command(add_help_option=False)
@click.option("-s", "--set", "sets", multiple=True)
@click.argument("words", nargs=-1)
def _behind(sets: tuple[str, ...], words: tuple[str, ...]) -> None:
    """What can stand behind the file; parsed only."""


def program(path: Path, sets: Sequence[str], behind: Sequence[str]) -> tuple[Path, list[str]]:
    """The file whose project's settings count, and what Python runs.

    Args:
        path: the file.
        sets: what was set before it.
        behind: what was typed behind it: further files, more to set, and then arguments.

    Raises:
        UsageError: there is an option among it.
        ConfigError: the files describe no experiment.
    """
    from xpm.describe.sheet import Given

    cut = list(behind).index("--") if "--" in behind else len(behind)
    try:
        found = _behind.make_context("run", list(behind[:cut])).params
    except click.NoSuchOption as wrong:
        raise UsageError(
            f"no option '{wrong.option_name}' behind {path}: options of xpm run stand before it, "
            "and what is for run(helper, cfg) after --"
        ) from None
    words: list[str] = [*found["words"]]
    files = [str(path)]
    while words and Path(words[0]).suffix.lower() in ENDINGS:
        files.append(words.pop(0))
    given = Given(tuple(files), (*sets, *found["sets"]), (*words, *behind[cut + 1 :]))
    sheet = given.sheet()
    return sheet.file or sheet.path, ["-m", "xpm.experiment.sheets", given.pack()]
