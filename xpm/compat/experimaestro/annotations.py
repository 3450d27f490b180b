"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.configs import copyconfig
from xpm.compat.tags import TagDict, tags
from xpm.core.counting import setmeta
from xpm.core.deprecation import deprecate
from xpm.core.fields import Constant, Meta, Param
from xpm.core.fields import Help as help
from xpm.core.once import initializer
from xpm.core.tags import stop_tags, tag, tagspath
from xpm.workspace.caching import cache

__all__ = [
    "Constant",
    "Meta",
    "Param",
    "TagDict",
    "cache",
    "copyconfig",
    "deprecate",
    "help",
    "initializer",
    "setmeta",
    "stop_tags",
    "tag",
    "tags",
    "tagspath",
]
