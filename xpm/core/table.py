"""A grid as a table, in plain text: what differs among its descriptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xpm.core.aligned import aligned, clean
from xpm.core.canonical import PLAIN
from xpm.core.info import Description
from xpm.core.kinds import shown
from xpm.core.sources import Source
from xpm.core.tags import tags_of
from xpm.types import Scalar

CELL = 40
"""The longest text in a table, in characters."""


def table(source: Source[Any], rows: int) -> str:
    """What differs among the descriptions, in at most `rows` rows."""
    count = len(source)
    seen = _Differences(source)
    title = f"{count:,} {' | '.join(seen.classes) or 'descriptions'}"
    if not seen.columns:
        return title
    last = 0 if count <= rows else rows // 4
    first = min(count, max(rows - last, 1))
    lines = [["", *seen.columns], *(seen.row(at) for at in range(first))]
    if first + last < count:
        lines.append(["...", *([""] * len(seen.columns))])
    lines += [seen.row(at) for at in range(count - last, count)]
    return "\n".join([title, *aligned(lines)])


class _Differences:
    """What is not the same for all: classes and tags; where these tell too little, other parameters, too."""

    def __init__(self, source: Source[Any]) -> None:
        self._source = source
        self.classes: dict[str, None] = {}
        distinct: set[tuple[str, tuple[Any, ...]]] = set()
        tags = _Varying()
        for each in source:
            self.classes[type(each).__name__] = None
            its = tags_of(each)
            tags.see(its)
            told = tuple((tag, type(value), value) for tag, value in its.items())
            distinct.add((type(each).__name__, told))
        self._tags = [name for name in source.names if name in tags.names()]
        self._parameters: list[str] = []
        if len(distinct) < len(source):
            parameters = _Varying()
            for each in source:
                parameters.see(dict(_parameters(each)))
            known = {name.rpartition(".")[2] for name in self._tags}
            self._parameters = [name for name in parameters.names() if name.rpartition(".")[2] not in known]
        several = ["task"] if len(self.classes) > 1 else []
        self.columns = [*several, *self._tags, *self._parameters]

    def row(self, at: int) -> list[str]:
        """The cells of one description, after its index."""
        config = self._source.at(at)
        tags, parameters = tags_of(config), dict(_parameters(config)) if self._parameters else {}
        several = [type(config).__name__] if len(self.classes) > 1 else []
        values = [tags.get(name, "") for name in self._tags]
        return [
            f"{at:,}",
            *several,
            *map(_cell, values + [parameters.get(name, "") for name in self._parameters]),
        ]


class _Varying:
    """The names under which not all have the same."""

    def __init__(self) -> None:
        self._first: dict[str, Scalar] | None = None
        self._names: dict[str, bool] = {}

    def see(self, values: Mapping[str, Scalar]) -> None:
        """Compares those of one description with the first one's."""
        if self._first is None:
            self._first = dict(values)
            self._names = dict.fromkeys(values, False)
        first = self._first
        for name in values:
            self._names.setdefault(name, True)
        for name, varies in self._names.items():
            if not varies:
                value = values.get(name)
                # By itself first: a NaN is what it is.
                same = value is first[name] or (value == first[name] and type(value) is type(first[name]))
                self._names[name] = name not in values or not same

    def names(self) -> list[str]:
        """Them, as they came; those of one parameter together."""
        tops = list(dict.fromkeys(name.partition(".")[0] for name in self._names))
        found = [name for name, varies in self._names.items() if varies]
        return sorted(found, key=lambda name: tops.index(name.partition(".")[0]))


def _parameters(config: Any, way: str = "") -> Iterator[tuple[str, Scalar]]:
    """All parameters of a description and of the configs in it, by the ways to them."""
    for name in config.__xpm_schema__.stored:
        value = config.__dict__.get(name, "")
        if isinstance(value, Description):
            yield f"{way}{name}", type(value).__name__
            yield from _parameters(value, f"{way}{name}.")
        else:
            yield f"{way}{name}", value if type(value) in PLAIN else shown(value)


def _cell(value: Scalar) -> str:
    text = clean(f"{value:.6g}" if type(value) is float else str(value))
    return text if len(text) <= CELL else f"{text[: CELL - 3]}..."
