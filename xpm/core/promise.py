"""Promises: descriptions of what tasks will return."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from xpm.core.canonical import RESULT, VERSION
from xpm.core.description import described_class
from xpm.core.info import JobRef, allocate, own_info
from xpm.core.pack import pack_bin
from xpm.core.tags import tags_of


def promised(task: Any, cls: type[Any]) -> Any:
    """The description of the `cls` that the submitted description `task` will have returned.

    It can be a parameter of other tasks, which wait for it, and whose live objects have what was returned; nothing is
    known of it before.
    """
    ref = own_info(task).ref
    assert ref is not None, "a submitted task"
    made = promise_of(cls, ref)
    own_info(made).total = dict(tags_of(task))
    return made


def promise_of(cls: type[Any], ref: JobRef) -> Any:
    """The description of the `cls` that the job `ref` will have returned."""
    made = allocate(described_class(cls))
    info = own_info(made)
    info.sealed, info.promise, info.producer = True, True, ref
    info.digest = sha256(VERSION + pack_bin([RESULT, bytes.fromhex(ref.id)])).digest()
    info.total = {}
    return made
