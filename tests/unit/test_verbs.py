"""The verbs are one list, told four times; and the scripts keep the rules that no server checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from model import Model

import xpm.broker
from xpm.broker import keys
from xpm.broker.broker import Broker
from xpm.broker.scripts import names, source
from xpm.core.state import ENDED, PENDING, TRANSITIONS, State

LUA = Path(xpm.broker.__file__).with_name("lua")
FILES = sorted(LUA.rglob("*.lua"))
LINES = 80


def test_table_scripts_broker_and_model_have_the_same_verbs() -> None:
    assert sorted(TRANSITIONS) == names()
    for verb in TRANSITIONS:
        assert callable(getattr(Broker, verb, None)), f"Broker.{verb}"
        assert callable(getattr(Model, verb, None)), f"Model.{verb}"


def test_no_verb_leaves_a_job_where_it_is() -> None:
    for verb, table in TRANSITIONS.items():
        for state, following in table.items():
            assert following, verb
            assert state not in following, f"{verb}: {state}"


def test_only_submission_makes_jobs_and_only_a_grant_starts_them() -> None:
    assert [verb for verb, table in TRANSITIONS.items() if None in table] == ["submit"]
    for table in TRANSITIONS.values():
        assert all(state is State.READY for state, to in table.items() if State.RUNNING in to)


def test_ended_jobs_move_only_when_somebody_asks() -> None:
    moved = {verb for verb, table in TRANSITIONS.items() if ENDED & set(table)}
    assert moved == {"submit", "miss", "retry", "rerun"}


def test_every_state_is_left_by_some_verb() -> None:
    left = {state for table in TRANSITIONS.values() for state in table}
    assert left >= set(State)
    assert PENDING.isdisjoint(ENDED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_short_or_says_why(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith(f"-- {path.stem}: "), "the head says what it is for"
    assert (
        len(lines) <= LINES or "80 lines" in lines[0] or (len(lines) <= 2 * LINES and "80 lines" in lines[1])
    )
    assert max(map(len, lines)) <= 125


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_walks_over_keys(path: Path) -> None:
    commands = set(re.findall(r"call\(\s*'([A-Z]+)'", path.read_text()))
    assert commands.isdisjoint({"KEYS", "SCAN", "HSCAN", "SSCAN", "ZSCAN", "SORT", "FLUSHALL", "FLUSHDB"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_rq_keys_stand_in_one_place(path: Path) -> None:
    assert path.stem in ("rq", "rqlive") or "'rq:" not in path.read_text()


@pytest.mark.parametrize("name", names())
def test_a_script_names_its_arguments_and_the_parts_it_uses(name: str) -> None:
    body = (LUA / f"{name}.lua").read_text()
    assert "ARGV" not in re.sub(r"--.*", "", body) or "ARGV" in "".join(re.findall(r"--.*", body))
    text = source(name)
    defined = set(re.findall(r"(?:local function|local) ([a-z_]+)", text))
    for parameters in re.findall(r"function [a-z_]+\(([^)]*)\)", text):
        defined |= set(parameters.split(", "))
    called = set(re.findall(r"(?<![.\w:])([a-z_]+)\(", re.sub(r"--.*|'[^']*'", "", text)))
    builtin = {
        "tonumber",
        "tostring",
        "ipairs",
        "pairs",
        "unpack",
        "function",
        "and",
        "or",
        "not",
        "if",
        "in",
        "return",
    }
    assert called - defined - builtin == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_uses_the_parts_that_its_head_names(path: Path) -> None:
    text = path.read_text()
    named = re.search(r"Use: ([a-z ]+)|Needs ([a-z, ]+)\.", text)
    code = re.sub(r"--.*|'[^']*'", "", text)
    bound = re.findall(r"local (?:function )?([\w, ]+)|for ([\w, ]+) in|\(([\w, ]*)\)\n", code)
    used = set(re.findall(r"(?<![.\w])\w+", code)) - set(re.findall(r"\w+", str(bound)))
    for part in re.findall("[a-z]+", named.group(1) or named.group(2)) if named else ():
        made = re.findall(
            r"^local (?:function )?([\w, ]+)", (LUA / f"lib/{part}.lua").read_text(), re.MULTILINE
        )
        assert used & set(re.findall(r"\w+", str(made))), f"it uses nothing of {part}"


def test_the_tables_of_keys_are_those_in_the_text() -> None:
    examples = {
        "id": "0" * 32, "run": "1.2", "slot": "q:1", "serial": "1", "worker": "w", "STATE": "READY",
        "group": "q:1:t.gpu=2", "lane": "-3.1", "resource": "t.gpu", "name": "1a", "pool": "host.1",
        "lock": "l.index", "token": "t.gpu",
    }  # fmt: skip
    kinds = {"sorted set": "zset"}
    own, shared = (keys.__doc__ or "").split("| --- | --- | --- | --- |\n")[1:]
    for text, patterns in (own, keys.PATTERNS), (shared, keys.SHARED_PATTERNS):
        rows = re.findall(r"^\| `(\S+?)` \| ([a-z ]+) \|", text, re.MULTILINE)
        for name, type in rows:
            key = re.sub(r"<(\w+)>", lambda match: examples[match[1]], name)
            assert keys.kind(key, patterns) == kinds.get(type, type), key
        assert len(rows) == len(patterns)
