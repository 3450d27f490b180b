from __future__ import annotations

from typing import Any

import msgpack
import pytest

from xpm.core.pack import INTEGER, pack_bin, pack_raw, unpack, unpack_raw, widened


@pytest.mark.parametrize("value", [None, True, 0, -(2**63), 2**64 - 1, 0.5, "é", [1, ["a", []]]])
def test_what_messagepack_has_is_messagepack_s_own(value: Any) -> None:
    assert pack_bin(value) == pack_raw(value) == msgpack.packb(value)
    assert unpack(pack_raw(value)) == value


def test_large_integers() -> None:
    assert unpack(pack_raw([2**64, [-(2**63) - 1], 3])) == [
        [INTEGER, "1" + 16 * "0"],
        [[INTEGER, "-8000000000000001"]],
        3,
    ]
    assert widened(2**64 - 1) == 2**64 - 1


def test_surrogates() -> None:
    for text in ("\ud800", "\udcc3\udca9", "a\udcff"):
        assert unpack(pack_raw([text])) == [text]
    assert pack_bin("\udcc3\udca9") != pack_bin("é")
    assert unpack(pack_raw(["\udcff", 2**70])) == ["\udcff", [INTEGER, format(2**70, "x")]]


def test_bytes() -> None:
    assert pack_bin(b"a") == b"\xc4\x01a"
    assert pack_raw(b"\xff" * 32) == b"\xda\x00\x20" + b"\xff" * 32
    assert unpack_raw(pack_raw([b"\xff", "a"])) == [b"\xff", b"a"]


def test_a_failure_leaves_nothing_behind() -> None:
    before = pack_bin([1])
    with pytest.raises(TypeError):
        pack_bin([1, object()])
    assert pack_bin([1]) == before
