"""Actions: what people may do with the results of an experiment when it is over.

`python -m xpm.compat.actions WORKSPACE EXPERIMENT` lists those of its script, and does one with its name behind.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from xpm.aliases import install
from xpm.compat.configs import Config
from xpm.core.spelling import nearest
from xpm.errors import UsageError, XpmError
from xpm.workspace.layout import Workspace
from xpm.workspace.saving import load, save

FOLDER = "actions"


class Interaction(ABC):
    """Asks the user."""

    @abstractmethod
    def text(self, key: str, label: str, *, default: str = "") -> str:
        """A text."""

    @abstractmethod
    def checkbox(self, key: str, label: str, *, default: bool = False) -> bool:
        """Yes or no."""

    @abstractmethod
    def choice(self, key: str, label: str, choices: Sequence[str], *, default: str | None = None) -> str:
        """One of several."""


class CLIInteraction(Interaction):
    """Asks in the terminal."""

    def text(self, key: str, label: str, *, default: str = "") -> str:
        """A text."""
        return click.prompt(label, default=default)

    def checkbox(self, key: str, label: str, *, default: bool = False) -> bool:
        """Yes or no."""
        return click.confirm(label, default=default)

    def choice(self, key: str, label: str, choices: Sequence[str], *, default: str | None = None) -> str:
        """One of several."""
        return click.prompt(label, type=click.Choice(choices), default=default)


class Action(Config, ABC):
    """Something to do with results; a script hands it to `xp.add_action`."""

    def describe(self) -> str:
        """What it does, in a line."""
        return type(self).__name__

    @abstractmethod
    def execute(self, interaction: Interaction) -> None:
        """Does it."""


class Actions:
    """The actions of an experiment.

    Args:
        folder: that of the experiment.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._added: set[str] = set()

    def clear(self) -> None:
        """Forgets those of earlier runs."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, action: Action) -> str:
        """Keeps an action; gives the name by which it is done."""
        if not self._added:
            self.clear()
        kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(action).__name__).lower()
        names = [kind, *(f"{kind}-{n}" for n in range(2, len(self._added) + 2))]
        name = next(each for each in names if each not in self._added)
        self._added.add(name)
        self._folder.mkdir(parents=True, exist_ok=True)
        save(action, self._folder / name)
        return name

    def names(self) -> list[str]:
        """Their names."""
        return sorted(os.listdir(self._folder)) if self._folder.is_dir() else []

    def load(self, name: str, *, as_instance: bool = False) -> Any:
        """One of them, as a description or live.

        Raises:
            UsageError: there is none of this name.
        """
        names = self.names()
        if name not in names:
            hint = nearest(name, names) or (
                f"; there are {', '.join(names)}" if names else "; there are none"
            )
            raise UsageError(f"no action {name!r}{hint}")
        return load(self._folder / name, as_instance=as_instance)


def main(words: Sequence[str]) -> None:
    """Lists the actions of an experiment, or does one."""
    if len(words) not in (2, 3):
        raise UsageError("usage: python -m xpm.compat.actions WORKSPACE EXPERIMENT [ACTION]")
    install()
    sys.path.insert(0, os.getcwd())
    actions = Actions(Workspace.open(words[0], create=False).experiment_dir(words[1]))
    if len(words) == 2:
        names = actions.names()
        width = max(map(len, names), default=0)
        for name in names:
            click.echo(f"{name:{width}}  {actions.load(name, as_instance=True).describe()}")
        return
    actions.load(words[2], as_instance=True).execute(CLIInteraction())


if __name__ == "__main__":
    try:
        # By its own name: actions are derived from that module's class.
        from xpm.compat.actions import main as run

        run(sys.argv[1:])
    except XpmError as error:
        sys.stderr.write(f"xpm: error: {error}\n")
        sys.exit(2)
