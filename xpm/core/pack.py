"""MessagePack, by its C implementation, with what it lacks: integers beyond 64 bits and lone surrogates."""

# msgpack declares no types for its C part; nothing untyped leaves this module.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgpack

INTEGER = 9
"""Marks a large integer: `[INTEGER, hexadecimal]`."""

Pack = Callable[[Any], bytes]


def _packer(use_bin_type: bool) -> Pack:
    # A Packer is kept: making one for each call would cost as much as packing a task.
    quick: Any = msgpack.Packer(use_bin_type=use_bin_type).pack
    # Text that isn't valid Unicode (a file name, say) gets the bytes that UTF-8 would have for a surrogate.
    lenient: Any = msgpack.Packer(use_bin_type=use_bin_type, unicode_errors="surrogatepass").pack

    def pack(form: Any) -> bytes:
        try:
            return quick(form)
        except UnicodeEncodeError:
            pass
        except OverflowError:
            return pack(widened(form))
        try:
            return lenient(form)
        except OverflowError:
            return pack(widened(form))

    return pack


pack_bin: Pack = _packer(True)
"""Packs bytes as `bin`."""

pack_raw: Pack = _packer(False)
"""Packs bytes as text is packed, for Redis' cmsgpack, which reads no `bin`."""


def widened(form: Any) -> Any:
    """The form with each integer beyond 64 bits as text, `[INTEGER, hexadecimal]`."""
    if type(form) is list:
        return [widened(each) for each in cast("list[Any]", form)]
    if type(form) is int and not -(1 << 63) <= form < 1 << 64:
        return [INTEGER, format(form, "x")]
    return form


def unpack(data: bytes) -> Any:
    """The reverse of packing; bytes that were packed raw come back as text.

    Raises:
        ValueError: `data` is no MessagePack.
    """
    return msgpack.unpackb(data, unicode_errors="surrogatepass")


def unpack_raw(data: bytes) -> Any:
    """The same, with all text as bytes."""
    return msgpack.unpackb(data, raw=True)
