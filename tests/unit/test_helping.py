"""What is said of parameters."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from xpm import Config, ConfigError, Help, Meta, Param, describe_parameters


class Base(Config):
    """A base.

    Attributes:
        size: how large
            it is.
        kept: from the parent.
    """

    size: Param[int]
    layers: Param[int] = 2
    """How many
    layers."""
    kept: Param[int] = 3
    silent: Param[int] = 4


class Model(Base):
    """A model.

    :param size: how large the model is
    :param rate: noted
    """

    rate: Annotated[Param[float], Help("How fast.")] = 0.1
    threads: Meta[int] = 1
    """Of the host."""


SAID = {
    "size": "how large the model is",
    "layers": "How many layers.",
    "kept": "from the parent.",
    "silent": "",
    "rate": "How fast.",
    "threads": "Of the host.",
}


def test_all_places_are_looked_at() -> None:
    assert describe_parameters(Model) == describe_parameters(Model.C(size=1)) == SAID
    assert describe_parameters(Model.C(size=1).instance()) == SAID
    assert describe_parameters(Base)["size"] == "how large it is."


def test_without_source_there_is_the_docstring() -> None:
    space: dict[str, Any] = {"__name__": __name__}
    text = "class Typed(Config):\n    '''Typed.\n\n    :param x: a number\n    '''\n    x: Param[int]\n    'Lost.'\n"
    exec(f"from xpm import Config, Param\n{text}", space)
    assert describe_parameters(space["Typed"]) == {"x": "a number"}


def test_what_is_no_config() -> None:
    with pytest.raises(
        ConfigError, match=r"^describe_parameters: expected a class of configs, or a description, got 3"
    ):
        describe_parameters(3)
