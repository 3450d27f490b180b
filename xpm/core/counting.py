"""Which descriptions count in the identifiers of others, beside what their classes declare."""

from __future__ import annotations

from typing import TypeVar

from xpm.core.info import Description, own_info
from xpm.errors import ConfigError, SealedError

T = TypeVar("T")


def setmeta(config: T, flag: bool | None) -> T:
    """Has the description `config` count, or not, in the identifiers of those that have it as a parameter.

    Args:
        config: a description that isn't sealed.
        flag: True leaves it out, as the value of a `Param` or in a list, dict, set or tuple; False puts it in, as the
            value of a `Meta`; None is as declared. A `Constant` counts always.

    Returns:
        The description itself. A copy of it is as it is.

    Raises:
        ConfigError: it is no description.
        SealedError: it was submitted, or belongs to something that was.
    """
    if not isinstance(config, Description):
        raise ConfigError(f"setmeta: expected a description, got {type(config).__name__}")
    info = own_info(config)
    if info.sealed:
        raise SealedError(
            f"setmeta: the {type(config).__name__} is sealed; set it before it is submitted, or use a .copy() of it"
        )
    info.meta = flag
    return config
