"""Tags: the parameters under study, of one task and of all that it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeVar, cast

from xpm.core.canonical import PLAIN
from xpm.core.fields import UNSET
from xpm.core.info import HIDDEN, Description, info_of, own_info
from xpm.core.schema import Schema
from xpm.errors import ConfigError, SealedError
from xpm.types import Scalar

T = TypeVar("T")


class Tagged:
    """A value on its way from `tag` to its parameter."""

    __slots__ = ("kept", "value")

    def __init__(self, value: Any, kept: bool = False) -> None:
        self.value = value
        self.kept = kept

    def __repr__(self) -> str:
        return f"tag({self.value!r})"


def tag(value: T) -> T:
    """Marks `value` as under study: `Train.C(lr=tag(0.1))` gives the job the tag `lr=0.1`.

    What comes back stands for `value` in `.C(...)` and in setting an attribute, nowhere else. The parameter stays under
    study: given another value, or copied with one, its tag says that.
    """
    return cast("T", Tagged(value))


def stop_tags(value: T) -> T:
    """Keeps tags from going further up: `Train.C(model=stop_tags(model))` gives the job no tag of `model`.

    Args:
        value: a description that isn't sealed, which keeps the tags of its own and of its parameters for itself from
            then on; or what `tag` gave, for that tag alone.

    Returns:
        The same value.

    Raises:
        ConfigError: it is neither.
        SealedError: it was submitted, or belongs to something that was.
    """
    given: Any = value
    if isinstance(given, Tagged):
        return cast("T", Tagged(given.value, kept=True))
    if not isinstance(given, Description):
        raise ConfigError(f"stop_tags: expected a description or tag(...), got {type(given).__name__}")
    info = own_info(given)
    if info.sealed:
        raise SealedError(f"stop_tags: the {type(given).__name__} is sealed; use a .copy() of it")
    info.kept = None
    return value


def tagspath(config: Any) -> str:
    """The tags of the description or live task `config` as a name for a file: `layers=3_lr=0.1`.

    They are sorted by name; a `/` in them becomes a `-`.
    """
    tags: Mapping[str, Scalar] = config.tags
    return "_".join(f"{name}={_short(tags[name])}" for name in sorted(tags)).replace("/", "-")


def plain_tag(place: str, value: Any) -> Scalar:
    """What a tag shows of `value`: an enum's name, a path's text.

    Raises:
        ConfigError: `value` is a container or a config.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, PurePath):
        return str(value)
    raise ConfigError(
        f"{place}: a tag is a number, a text, a bool, an enum, a path or None, not {type(value).__name__}"
    )


def note_given(config: Any, name: str, given: Tagged, stored: Any) -> None:
    """Gives the description `config` the tag of its parameter `name`, which was `given` and holds `stored` now."""
    note_tag(config, name, stored, studied=True)
    info = own_info(config)
    if info.kept is not None and given.kept != (name in info.kept):
        info.kept = info.kept ^ {name}


def note_tag(config: Any, name: str, value: Any, *, studied: bool = False) -> None:
    """Gives the description `config` the tag `name`.

    Args:
        config: the description.
        name: of the tag.
        value: what it shows.
        studied: it is that of the parameter `name`, and follows its value from now on.

    Raises:
        SealedError: it was submitted, with the tags that it had.
        ConfigError: a tag can't be such a value.
    """
    info = own_info(config)
    label = config.__xpm_schema__.label
    if info.sealed:
        raise SealedError(f"{label}.tag({name!r}): the description was submitted; tag it before")
    if info.tags is None:
        info.tags = {}
    info.tags[name] = plain_tag(f"{label}.{name}", value)
    if studied != (name in info.studied):
        info.studied = info.studied ^ {name}


def follow_tag(config: Any, name: str, value: Any = UNSET) -> None:
    """Has the tag that `tag` gave the parameter `name` say its new value; it goes with what can be no tag, or nothing."""
    info = info_of(config)
    if info is None or info.tags is None or name not in info.studied:
        return
    try:
        info.tags[name] = plain_tag(name, value)
    except ConfigError:
        del info.tags[name]
        info.studied = info.studied - {name}


def tags_of(config: Any) -> dict[str, Scalar]:
    """All tags of the description `config`: its own, and those of its parameters, dependencies included.

    Its own win. Where two parameters bring one name with different values, both are kept, as
    `parameter.name`; where the elements of one parameter differ among themselves, the name is left out:
    it says nothing about the whole.
    """
    info = info_of(config)
    if info is not None and info.total is not None:
        return info.total
    found = _merged(config, info.tags if info is not None else None)
    if info is not None and info.sealed:
        info.total = found
    return found


def _merged(config: Any, own: dict[str, Scalar] | None) -> dict[str, Scalar]:
    values = config.__dict__
    sources: list[tuple[str, dict[str, Scalar]]] = []
    for name in config.__xpm_schema__.holders:
        value = values.get(name)
        if type(value) not in PLAIN:
            tags = brought(value)
            if tags:
                sources.append((name, tags))
    info = info_of(config)
    if info is not None and info.init:
        sources.append(("init_tasks", brought(info.init)))
    if not sources:
        return own or {}
    found: dict[str, Scalar] = {}
    clashing = _clashing([tags for _, tags in sources])
    apart: frozenset[str] = frozenset() if info is None else info.apart
    for parameter, tags in sources:
        for name, value in tags.items():
            told = f"{parameter}.{name}"
            found[told if name in clashing or told in apart else name] = value
    return {**found, **(own or {})}


def _clashing(sources: list[dict[str, Scalar]]) -> set[str]:
    """The names that have different values in different sources."""
    seen: dict[str, Scalar] = {}
    clashing: set[str] = set()
    for tags in sources:
        for name, value in tags.items():
            if name in seen and (seen[name] != value or type(seen[name]) is not type(value)):
                clashing.add(name)
            seen[name] = value
    return clashing


def brought(value: Any) -> dict[str, Scalar]:
    """The tags that the value of one parameter brings."""
    if isinstance(value, Description):
        info = value.__dict__.get(HIDDEN)
        known = None if info is None else info.total
        found = tags_of(value) if known is None else known
        if info is None or info.kept == frozenset():
            return found
        kept = found.keys() if info.kept is None else info.kept
        return {name: each for name, each in found.items() if name not in kept}
    if not isinstance(value, (list, tuple, set, frozenset, dict)):
        return {}
    items = cast("Iterable[Any]", value.values() if isinstance(value, dict) else value)
    sources = [tags for each in items if (tags := brought(each))]
    if not sources:
        return {}
    clashing = _clashing(sources)
    return {name: each for tags in sources for name, each in tags.items() if name not in clashing}


LABEL_BYTES = 60
"""The longest label, in bytes of UTF-8."""


def label_of(task: Any, tags: Mapping[str, Scalar]) -> str:
    """What people read for a job: `Train lr=0.1 layers=3`, its tags or else its scalar parameters."""
    schema: Schema = task.__xpm_schema__
    title: str = task.__xpm_title__()
    if tags:
        return labelled(title or schema.label, tags)
    return _cut(title or schema.label_form % schema.shown(task.__dict__))


def label_below(label: str, tags: Mapping[str, Scalar], inherited: Mapping[str, Scalar]) -> str:
    """The label of a job with these tags that has inherited others from the job that submitted it."""
    further = {
        name: value for name, value in inherited.items() if name not in tags and f" {name}=" not in label
    }
    return labelled(label, further)


def labelled(label: str, tags: Mapping[str, Scalar]) -> str:
    """A label that begins with `label` and shows `tags`."""
    return _cut(" ".join([label, *(f"{name}={_short(value)}" for name, value in tags.items())]))


def _cut(text: str) -> str:
    if text.isascii():
        return text[:LABEL_BYTES]
    return text.encode("utf-8", "replace")[:LABEL_BYTES].decode("utf-8", "ignore")


def _short(value: Scalar) -> str:
    return f"{value:.6g}" if type(value) is float else str(value)
