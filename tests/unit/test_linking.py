"""A script has what it uses of the library, and nothing else."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from xpm.broker.linking import link
from xpm.broker.scripts import names, source

LIBRARY = """-- lib: a part.
local P = ARGV[1]
local unused, LIMIT = 1, 2

-- It is used.
local function inner(x)
  return x + LIMIT  -- 'unrelated'
end

local function outer(x)
  return inner(x)
end

local function unrelated()
  return 'outer'
end

local TABLE = {
  one = 1,
}
if P == '' then
  call()
else
  P = 'x'
end
"""


def test_what_is_used_comes_with_what_it_uses() -> None:
    text = link([LIBRARY], "return outer(1)\n")
    assert "function outer" in text and "function inner" in text and "LIMIT = 1, 2" in text
    assert "unrelated()" not in text and "TABLE" not in text
    assert text.index("function inner") < text.index("function outer") < text.index("return outer(1)")


def test_names_in_texts_and_comments_are_no_uses() -> None:
    assert "function outer" not in link([LIBRARY], "return 'outer'  -- outer\n")


def test_what_a_part_does_is_kept() -> None:
    text = link([LIBRARY], "return 1\n")
    assert "if P == '' then\n  call()\nelse\n  P = 'x'\nend\n" in text and "local P = ARGV[1]" in text


def local_names(text: str) -> list[str]:
    found = re.findall(r"^local (?:function )?([\w, ]+)", text, re.MULTILINE)
    return [name.strip() for several in found for name in several.split(",")]


@pytest.mark.parametrize("name", names())
def test_a_script_has_fewer_local_names_than_lua_allows(name: str) -> None:
    count = len(local_names(source(name)))
    assert count < 195, "the limit is 200: make a table of some constants, or a function's own of some locals"


@pytest.mark.parametrize("name", names())
def test_a_local_name_of_a_script_means_one_thing(name: str) -> None:
    twice = [each for each, times in Counter(local_names(source(name))).items() if times > 1]
    assert not twice, "the later one hides the other from what follows, and is linked wherever that is used"
