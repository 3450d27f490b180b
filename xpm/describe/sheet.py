"""What YAML files and the command line say together about one experiment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal, cast

from xpm.core.fields import UNSET
from xpm.core.spelling import nearest
from xpm.describe.params import Layers, checked
from xpm.describe.yamls import Node, read_file, read_text
from xpm.errors import ConfigError, UsageError

Dirty = Literal["ignore", "warn", "error"]

_TYPES: dict[str, Any] = {
    "id": str,
    "title": str,
    "description": str,
    "file": Path,
    "module": str,
    "pythonpath": Path | list[Path],
    "imports": Path | list[Path],
    "pre_experiment": Path,
    "dirty_git": Dirty,
    "grid_search": dict[str, Any],
}
"""The keys of a file that are no parameters."""

KEYS = tuple(_TYPES)
SHARED = frozenset({"id", "title", "description"})
"""Those that a configuration class may declare, to get their values."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """An experiment as files describe it."""

    path: Path
    """The first file."""
    layers: Layers
    """All that gives values, the strongest last."""
    id: str
    """The experiment's name."""
    title: str
    description: str
    file: Path | None
    """Defines `run(helper, cfg)`, or else the module does."""
    module: str | None
    pythonpath: tuple[Path, ...]
    pre_experiment: Path | None
    dirty_git: Dirty

    @property
    def source(self) -> str:
        """Where `run(helper, cfg)` is, for messages."""
        return str(self.file or self.module)


@dataclass(frozen=True, slots=True)
class Given:
    """What was typed behind `xpm run`."""

    files: tuple[str, ...]
    sets: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    """What is for `run(helper, cfg)`."""

    def sheet(self) -> Sheet:
        """What the files and settings say; see `read_sheet`."""
        return read_sheet([Path(each) for each in self.files], self.sets)

    def pack(self) -> str:
        """It as one word, for the process that does it."""
        return json.dumps(asdict(self))

    @classmethod
    def unpack(cls, word: str) -> Given:
        """What `pack` made a word of."""
        return cls(**{name: tuple(each) for name, each in json.loads(word).items()})

    def words(self) -> list[str]:
        """It as a command line: two runs with the same are of one plan."""
        sets = [word for each in self.sets for word in ("-s", each)]
        return [*self.files, *sets, *(["--", *self.arguments] if self.arguments else [])]


def read_sheet(files: Sequence[Path], sets: Iterable[str] = ()) -> Sheet:
    """Reads files, and what is set beside them.

    From weak to strong: what a file imports, the file itself, further files, what is set.

    Args:
        files: at least one.
        sets: parameters as `model.layers=3`.

    Raises:
        UsageError: a file can't be read, or something is set in another form.
        ConfigError: a file is no YAML, or a key beside the parameters is wrong.
    """
    layers = tuple(layer for path in files for layer in _file(path, ()))
    layers = (*layers, *(layer for each in sets for layer in _set(each)))
    found = _Beside(layers)
    file, module = found.paths("file"), found.value("module", None)
    if (not file) == (module is None):
        raise ConfigError(
            f"{files[0]}: needs one of 'file: experiment.py' and 'module: package.experiment', "
            "which defines run(helper, cfg)" + _misspelt(layers)
        )
    name = found.value("id", None)
    if name is None:
        raise ConfigError(f"{files[0]}: needs 'id: name', the experiment's name")
    before = found.paths("pre_experiment")
    return Sheet(
        files[0],
        layers,
        name,
        found.value("title", ""),
        found.value("description", ""),
        file[0] if file else None,
        module,
        found.paths("pythonpath"),
        before[0] if before else None,
        found.value("dirty_git", "ignore"),
    )


def _misspelt(layers: Layers) -> str:
    names = [name for layer in layers for name in layer.mapping("the parameters") if name not in KEYS]
    hints = (nearest(name, ("file", "module"), least=0.7) for name in names)
    return next((f"; there is '{name}'{hint}" for name, hint in zip(names, hints, strict=True) if hint), "")


def _file(path: Path, importing: tuple[Path, ...]) -> Iterator[Node]:
    """The layers of a file, those of what it imports first."""
    real = path.resolve()
    if real in importing:
        raise ConfigError(f"{path}: imports itself")
    node = read_file(path)
    if node.value is None:
        raise node.wrong("is empty")
    found = _Beside((node,))
    for each in found.paths("imports"):
        yield from _file(each, (*importing, real))
    yield node
    yield from found.varied()


class _Beside:
    """What layers say beside the parameters."""

    def __init__(self, layers: Layers) -> None:
        self._nodes = {
            name: each for layer in layers for name, each in layer.mapping("the parameters").items()
        }

    def value(self, key: str, default: Any) -> Any:
        node = self._nodes.get(key)
        return default if node is None else checked(node, _TYPES[key], (key,), node.plain())

    def paths(self, key: str) -> tuple[Path, ...]:
        """Paths, which are relative to the file that says them; on the command line to the current directory."""
        given = self.value(key, UNSET)
        if given is UNSET:
            return ()
        node = self._nodes[key]
        folder = Path(node.source).parent if node.line else Path()
        several = cast("list[Path]", given if isinstance(given, list) else [given])
        return tuple(folder / each.expanduser() for each in several)

    def varied(self) -> Iterator[Node]:
        """What `grid_search` says, each as if it stood at its parameter."""
        node = self._nodes.get("grid_search")
        if node is not None:
            for name, each in node.mapping("grid_search").items():
                yield _at(name.split("."), _around("grid_search", each))


def _set(text: str) -> Iterator[Node]:
    name, equals, value = text.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"-s {text}: expected NAME=VALUE, as in -s model.layers=3")
    if parts[0] == "grid_search" and len(parts) > 1:
        parts[1:] = [".".join(parts[1:])]
    node = _at(parts, read_text(value, f"-s {text}"))
    yield node
    yield from _Beside((node,)).varied()


def _at(way: Sequence[str], node: Node) -> Node:
    """A document that has just this value, there."""
    return reduce(lambda inner, name: _around(name, inner), reversed(way), node)


def _around(name: str, node: Node) -> Node:
    return replace(node, value={name: node}, text=None)
