"""What authors say of parameters: in notes, in strings below the fields, in the docstrings of classes."""

from __future__ import annotations

from functools import cache
from typing import Any

from docstring_parser import DocstringParam, parse_from_object

from xpm.core.fields import Help
from xpm.core.info import Described, Description
from xpm.core.schema import schema_of
from xpm.errors import ConfigError


def describe_parameters(config: Any) -> dict[str, str]:
    """What is said of the parameters of a class or a description, by their names, in their order; empty of who says nothing.

    For each, the first of these: `Help("...")` in its annotation; the class's docstring in `Attributes:`, `Args:`,
    `:param x:` or numpy's form; the string below the field. A class that says nothing of an inherited parameter leaves it
    what its parent says. The source is read when this is asked first.

    Raises:
        ConfigError: it is no config.
    """
    cls: type[Any] = config if isinstance(config, type) else type(config)
    if not issubclass(cls, Described):
        raise ConfigError(
            f"describe_parameters: expected a class of configs, or a description, got {config!r}"
        )
    if issubclass(cls, Description):
        cls = schema_of(cls).cls
    said = _said(cls)
    return {name: said.get(name, "") for name in schema_of(cls).fields}


@cache
def _said(cls: type[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Described):
            found.update(_in_source(base))
    for name, declared in schema_of(cls).fields.items():
        found.update((name, note.text) for note in declared.notes if isinstance(note, Help))
    return found


def _in_source(cls: type[Any]) -> dict[str, str]:
    said = [each for each in parse_from_object(cls).meta if isinstance(each, DocstringParam)]
    return {each.arg_name: " ".join(each.description.split()) for each in said if each.description}
