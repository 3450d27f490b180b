"""The parameters that a grid varies, and their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from xpm.core.copying import Copies
from xpm.core.fields import UNSET
from xpm.core.frozen import freeze
from xpm.core.functions import Function
from xpm.core.info import Description
from xpm.core.kinds import shown
from xpm.core.schema import Schema
from xpm.core.settling import settle
from xpm.core.sources import Source, Sourced
from xpm.core.tags import Tagged, brought, labelled, plain_tag
from xpm.errors import ConfigError

Values = Sequence[Any] | Source[Any]
"""What a parameter is given one after another."""

KEPT = 10_000
"""How many configs are kept, in order to be shared by the descriptions that have them."""


class Zipped:
    """Parameters that vary together, as `zipped` makes it."""

    __slots__ = ("columns",)

    def __init__(self, columns: Mapping[str, Values]) -> None:
        self.columns = columns


def zipped(varied: Mapping[str, Iterable[Any]] | None = None, /, **values: Iterable[Any]) -> Zipped:
    """Parameters of a grid that vary together: their first values, their second ones, and so on.

    Args:
        varied: values by the way to their parameter, such as `"model.layers"`.
        values: values by the name of their parameter.

    Raises:
        ConfigError: they are no lists, or not of one length.

    Example:
        ```python
        grid(Train, zipped(lr=[0.1, 0.01], epochs=[10, 20]), seed=[1, 2, 3])  # 6 tasks
        ```
    """
    columns = columns_of("zipped", varied or {}, values)
    lengths = {path: len(each) for path, each in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{path} has {count}" for path, count in lengths.items())
        raise ConfigError(f"zipped: needs as many values for each: {told}")
    return Zipped(columns)


def columns_of(place: str, *given: Mapping[str, Iterable[Any]]) -> dict[str, Values]:
    """The values of all parameters that are given.

    Raises:
        ConfigError: they are no lists, or a parameter is given twice.
    """
    found: dict[str, Values] = {}
    for path, values in ((path, values) for each in given for path, values in each.items()):
        if not isinstance(cast("object", path), str):
            raise ConfigError(f"{place}: expected the name of a parameter, got {shown(path)}")
        if path in found:
            raise ConfigError(f"{place}.{path}: is varied twice")
        found[path] = _values(f"{place}.{path}", values)
    return found


def _values(place: str, given: Any) -> Values:
    if isinstance(given, Sourced):
        return cast("Sourced[Any]", given).source
    if isinstance(given, (set, frozenset)):
        raise ConfigError(f"{place}: expected a list of values, got a set, which has no order")
    if isinstance(given, (str, bytes, Mapping, Tagged, Description)) or not isinstance(given, Iterable):
        said = shown(cast("object", given))
        raise ConfigError(f"{place}: expected a list of values, got {said}; one value is a list, too: [...]")
    values = [each.value if isinstance(each, Tagged) else each for each in cast("Iterable[Any]", given)]
    if not values:
        raise ConfigError(f"{place}: expected a list of values, got an empty one")
    return values


class Fitted(NamedTuple):
    """Given values as the parameter of one class stores them, and what their tags say."""

    values: list[Any]
    tags: list[Any]


class Column:
    """One parameter that varies."""

    def __init__(self, path: str, values: Values, copies: Copies) -> None:
        self.path = tuple(path.split("."))
        self.name = self.path[-1]
        self.settled = True
        """Whether all that it has given so far can be shared."""
        self._source = values if isinstance(values, Source) else None
        self._given: list[Any] = [] if isinstance(values, Source) else [copies(each) for each in values]
        self._made: dict[int, Any] = {}
        self._fitted: dict[Schema, Fitted] = {}
        self.brought: tuple[str, ...] = ()
        """The tags that the values have themselves."""
        if self._source is not None:
            self.brought = tuple(
                dict.fromkeys(name for each in self._source.shapes() for name in brought(each))
            )
            self._classes = {each.__class__.__name__ for each in self._source.shapes()}
        else:
            self.settled = settle(self._given)

    def __len__(self) -> int:
        return len(self._given if self._source is None else self._source)

    def shapes(self) -> Iterable[Any]:
        """Values with all classes that there are."""
        return self._given if self._source is None else self._source.shapes()

    def fit(self, schema: Schema) -> None:
        """Has the values checked by the class whose parameter they are for.

        Raises:
            ConfigError: there is no such parameter, or a value doesn't fit.
        """
        if schema in self._fitted:
            return
        admitted = [freeze(schema.admit(self.name, each)) for each in self.shapes()]
        tags: list[Any] = []
        if self._source is None:
            tags = _titles(admitted)
            self.brought = tuple(dict.fromkeys(name for each in admitted for name in brought(each)))
        self._fitted[schema] = Fitted(admitted, tags)

    def tagged(self) -> bool:
        """Whether it gives some description a tag of its name."""
        if self._source is not None:
            return len(self._classes) > 1
        return any(tag is not UNSET for fitted in self._fitted.values() for tag in fitted.tags)

    def pick(self, schema: Schema, index: int) -> tuple[Any, Any]:
        """A value, and what its tag says, or UNSET."""
        if self._source is None:
            fitted = self._fitted[schema]
            return fitted.values[index], fitted.tags[index]
        value = self._made.get(index)
        if value is None:
            value = self._source.at(index)
            if settle(value):
                if len(self._made) == KEPT:
                    self._made.clear()
                self._made[index] = value
            else:
                self.settled = False
        return value, value.__class__.__name__ if len(self._classes) > 1 else UNSET


def _titles(values: Sequence[Any]) -> list[Any]:
    """What the tags of values say; UNSET where the values' own tags say it all."""
    alike = isinstance(values[0], Description) and all(type(each) is type(values[0]) for each in values)
    if alike and _apart(values, [""] * len(values)):
        return [UNSET] * len(values)
    titles = [_title(each) for each in values]
    if not _apart(values, titles):
        titles = [_long_title(each, values) for each in values]
    if not _apart(values, titles):
        titles = [
            f"{title} #{at}" if _rich(each) else title
            for at, (each, title) in enumerate(zip(values, titles, strict=True))
        ]
    return titles


def _apart(values: Sequence[Any], titles: Sequence[Any]) -> bool:
    """Whether those values that are more than scalars differ in their titles or in the tags that they bring."""
    told = [
        (title, tuple(brought(each).items()))
        for each, title in zip(values, titles, strict=True)
        if _rich(each)
    ]
    return len(set(told)) == len(told)


def _rich(value: Any) -> bool:
    return isinstance(value, (Description, list, tuple, set, frozenset, dict))


def _title(value: Any) -> Any:
    if isinstance(value, Description):
        return type(value).__name__
    if isinstance(value, Function):
        return value.qualname.rpartition(".")[2]
    return shown(value) if _rich(value) else plain_tag("", value)


def _long_title(value: Any, values: Sequence[Any]) -> Any:
    """The title of a config with its scalar parameters, those in which it differs from others of its class."""
    if not isinstance(value, Description):
        return _title(value)
    config: Any = value
    like = [each.__dict__ for each in values if type(each) is type(config)]
    schema: Schema = config.__xpm_schema__
    plain = [name for name, each in schema.fields.items() if each.kind.plain and name in config.__dict__]
    differing = [name for name in plain if any(each.get(name) != config.__dict__[name] for each in like)]
    return labelled(schema.label, {name: config.__dict__[name] for name in differing})
