"""msgpack as the broker speaks it, typed."""

from __future__ import annotations

from typing import Any, cast

import msgpack


def pack(value: Any) -> bytes:
    """Pack plain data so that Redis' own msgpack reads it (which knows no `bin`); other values as their text."""
    try:
        return _pack(value, "surrogateescape")
    except UnicodeEncodeError:  # a half of a surrogate pair, which stands for no byte of a file's name
        return _pack(value, "backslashreplace")


def _pack(value: Any, unicode_errors: str) -> bytes:
    packed: Any = cast(Any, msgpack).packb(
        value, use_bin_type=False, unicode_errors=unicode_errors, default=str
    )
    return cast(bytes, packed)


def unpack(data: bytes) -> Any:
    """Unpack plain data, texts as `str`."""
    return cast(Any, msgpack).unpackb(data, raw=False, unicode_errors="replace", strict_map_key=False)


def unpack_raw(data: bytes) -> Any:
    """Unpack data whose texts may be any bytes: all of them as `bytes`."""
    return cast(Any, msgpack).unpackb(data, raw=True, strict_map_key=False)
