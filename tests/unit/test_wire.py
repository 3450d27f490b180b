from __future__ import annotations

from xpm.broker.wire import pack, unpack, unpack_raw


def test_plain_data_comes_back() -> None:
    value = {"a": [1, None, 0.5, "é😀"]}
    assert unpack(pack(value)) == value


def test_names_of_files_keep_their_bytes() -> None:
    assert unpack_raw(pack(["a\udcff"])) == [b"a\xff"]


def test_a_text_that_is_none_is_shown() -> None:
    assert unpack(pack({"tag": "a\ud83d"})) == {"tag": "a\\ud83d"}
