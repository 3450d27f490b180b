"""Configs that are told apart though they are equal: two encoders with the same parameters, each with its own weights."""

from __future__ import annotations

from xpm.core.config import Config
from xpm.core.info import Instanced


class InstanceConfig(Config, Instanced):
    """A config of which two equal descriptions are two things.

    With any other, `Pair.C(left=Encoder.C(), right=Encoder.C())` and a pair that has one encoder twice are the same
    experiment. With this they differ: the identifier counts which places share a description. One description alone,
    in one place or in several, has the identifier that a `Config` would have.

    Example:
        ```python
        class Encoder(InstanceConfig):
            size: Param[int] = 64
        ```
    """
