"""Texts that JSON can't hold: escaped, the two halves of a surrogate pair come back as the one character that they mean."""

from __future__ import annotations

import re

_PAIR = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")


def halves(text: str) -> list[str]:
    """The text in pieces that JSON gives back as they are; nearly always it is the only one."""
    return [text] if text.isascii() else _PAIR.split(text)
