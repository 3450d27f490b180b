"""Filters: what docs/filters.md promises of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm.core.filter import (
    FIELDS,
    TIMES,
    Both,
    Compare,
    Either,
    Filter,
    Has,
    Literal,
    Not,
    parse,
    refuse_unknown,
)
from xpm.errors import UsageError
from xpm.types import Scalar

JOB: dict[str, Any] = {
    "state": ["ERROR"],
    "task": ["lab.models.Train", "Train"],
    "experiment": ["grid", "grid2"],
    "host": ["node1"],
    "priority": [3],
    "seconds": [12.5],
    "started": ["2026-11-28 05:47:31"],
    "lr": [0.1],
    "layers": [3],
    "model": ["cnn small"],
    "text": ["0.1"],
    "big": [True],
    "none": [None],
    "loss": [math.nan],
    "my tag": [1],
    "tag.state": ["x"],
    "date": ["2026-01-31"],
    "dropout": [0.1, 0.2],
}


def look(name: str) -> Any:
    return JOB.get(name, [])


@pytest.mark.parametrize(
    "text",
    [
        "state = error",
        "state == ERROR",
        'state = "ERROR"',
        "@state = 'Error'",
        "state in (error, done)",
        "state in (error,)",
        "state not in (done, waiting)",
        "state != done",
        "state <> done",
        "not state = done",
        "!(state = done)",
        "task = Train",
        "task = lab.models.Train",
        'task ~ "models"',
        "lr = 0.1",
        "lr = 1e-1",
        'lr = "0.1"',
        "lr = .1",
        "lr <= 0.1 and lr >= 0.1",
        "lr < 1",
        "lr > -1",
        "text = 0.1",
        "text < 0.5",
        "layers = 3.0",
        "layers in (1, 2, 3)",
        "big = true",
        "big = True",
        "none = none",
        "none = None",
        "loss = nan",
        'model = "cnn small"',
        "model =~ cnn",
        "model ~ '^cnn.*l$'",
        "model !~ vit",
        "model > a",
        "layers ~ 3",
        'started > 2026-11-28 and started < "2026-11-28 06:00"',
        "started > 2026",
        "date < 2026-02",
        "seconds > 10",
        "seconds < 1h and seconds > '12 s'",
        "experiment = grid2",
        "experiment != other",
        '"my tag" = 1',
        "tag.state = x",
        "lr",
        "not warmup",
        "lr AND layers",
        "lr && !warmup",
        "lr & !(warmup | warmup)",
        "warmup || lr",
        "warmup and warmup or lr",
        "warmup and (warmup or lr) or lr",
        "(((lr)))",
        "dropout = 0.2",
        "not warmup = 3",
    ],
)
def test_keeps(text: str) -> None:
    assert parse(text).keeps(look)


@pytest.mark.parametrize(
    "text",
    [
        "state = done",
        "state not in (error)",
        "task = Trai",
        "lr = 0.10001",
        "lr != 0.1",
        "lr = x",
        "lr > x",
        "model > 3",
        "model < 3",
        "model = cnn",
        "model = CNN",
        "big = 1",
        "big > 0",
        "none > 0",
        "none = 0",
        "loss > 0",
        "loss < 0",
        "warmup",
        "warmup = 3",
        "warmup != 3",
        "warmup not in (3)",
        "warmup !~ x",
        "warmup < 3",
        "experiment != grid",
        "dropout not in (0.2, 0.3)",
        "lr and warmup",
        "state = error and lr and warmup",
        "lr and (warmup or warmup)",
        "not (lr or warmup)",
        "not lr and lr",
    ],
)
def test_does_not_keep(text: str) -> None:
    assert not parse(text).keeps(look)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a filter is empty; it is like: state = error and lr <= 0.01"),
        ("  ", "a filter is empty"),
        ("a =", "the filter 'a =': expected a value at its end"),
        ("a = (", "the filter 'a = (': expected a value before ("),
        ("(a", "the filter '(a': expected ')' at its end"),
        ("a b", "the filter 'a b': expected a comparison such as =, or 'and' or 'or', before b"),
        ("a = 'x", "the filter \"a = 'x\": the quote at 'x isn't closed"),
        ("= 3", "the filter '= 3': expected a name, such as state or lr, before = 3"),
        ("a < 3 < 4", "the filter 'a < 3 < 4': expected 'and' or 'or' before < 4"),
        ("a in b", "the filter 'a in b': expected a list such as (a, b) before b"),
        ("a in ()", "the filter 'a in ()': expected a value before )"),
        ("a and", "the filter 'a and': expected a name, such as state or lr, at its end"),
        ("a = b)", "the filter 'a = b)': there is a ) too many"),
        ("seconds > soon", "seconds: expected a number, or a text like 2h, got 'soon'"),
        ("state = eror", "no state 'eror'; did you mean 'ERROR'?"),
        ("state in (done, x)", "no state 'x'; there are WAITING, "),
        (
            "model ~ 'cnn('",
            "'cnn(' is no regular expression: missing ), unterminated subpattern at position 3",
        ),
        (
            "lr = 0.1, 0.2 and a",
            "the filter 'lr = 0.1, 0.2 and a': expected 'and' or 'or' before , 0.2 and a",
        ),
    ],
)
def test_wrong(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text)
    assert str(error.value).startswith(said)


def test_a_tag_that_no_job_has() -> None:
    refuse_unknown(parse("state = done and tag.lr and (lr < 1 or not layers)"), ["lr", "layers"])
    with pytest.raises(UsageError, match=r"no job has a tag 'layer'; did you mean 'layers'\?"):
        refuse_unknown(parse("not layer"), ["lr", "layers"])
    with pytest.raises(UsageError, match=r"no job has a tag 'x'; there are t20, t21, .*, t29, \.\.\."):
        refuse_unknown(parse("x = 1"), [f"t{n}" for n in range(20, 32)])
    with pytest.raises(UsageError, match=r"no job has a tag 'stat'; did you mean 'state'\?"):
        refuse_unknown(parse("stat = done"), [])
    with pytest.raises(UsageError, match=r"no job has a tag 'lr': none has a tag$"):
        refuse_unknown(parse("lr"), [])


names = st.one_of(
    st.sampled_from(
        [*FIELDS, "lr", "and", "Not", "in", "my tag", 'a"b', "a\\", "x-y", "tag.state", "@state", "-1"]
    ),
    st.text(min_size=1, max_size=4),
).map(lambda name: name.removeprefix("@") if name.removeprefix("@") in FIELDS else name)
texts = st.one_of(
    st.sampled_from(["1", "0.1", "1e-3", "nan", "true", "or", "a b", "", "ERROR"]), st.text(max_size=4)
)


def literal(text: str) -> Literal:
    parsed = parse(f'x = "{text}"'.replace("\\", "\\\\")) if '"' not in text else None
    return parsed.values[0] if isinstance(parsed, Compare) else Literal("q")


def compare(name: str, operator: str, values: list[str]) -> Filter:
    if name == "state":
        return Compare(name, operator, tuple(Literal("DONE") for _ in values))
    if name == "seconds":
        return Compare(name, operator, tuple(Literal("2h", 7200.0) for _ in values))
    if name in TIMES:
        return Compare(name, operator, tuple(Literal("2026-11-28 05", quoted=True) for _ in values))
    return Compare(name, operator, tuple(map(literal, values)))


filters = st.recursive(
    st.one_of(
        st.builds(Has, names),
        st.builds(
            lambda name, operator, value: compare(name, operator, [value]),
            names,
            st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
            texts,
        ),
        st.builds(compare, names, st.sampled_from(["in", "not in"]), st.lists(texts, min_size=1, max_size=3)),
    ),
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.lists(parts, min_size=2, max_size=3).map(lambda some: Both(tuple(some))),
        st.lists(parts, min_size=2, max_size=3).map(lambda some: Either(tuple(some))),
    ),
    max_leaves=6,
)
jobs = st.dictionaries(
    names,
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts), min_size=1, max_size=2),
    max_size=3,
)


@given(filters, jobs)
def test_what_is_printed_is_read_as_the_same(wanted: Filter, job: dict[str, list[Scalar]]) -> None:
    def look(name: str) -> list[Scalar]:
        return job.get(name, [])

    again = parse(str(wanted))
    assert str(again) == str(wanted)
    assert again.keeps(look) == wanted.keeps(look)
    assert list(again.names()) == list(wanted.names())


@given(st.text("() =!<>~,\"'&|ab1. \\", max_size=12))
def test_any_text_is_a_filter_or_one_line(text: str) -> None:
    try:
        parse(text).keeps(look)
    except UsageError as error:
        assert "\n" not in str(error)


@given(filters, filters, jobs)
def test_the_words_mean_what_they_say(one: Filter, two: Filter, job: dict[str, list[Scalar]]) -> None:
    def keeps(text: str) -> bool:
        return parse(text).keeps(lambda name: job.get(name, []))

    left, right = keeps(str(one)), keeps(str(two))
    assert keeps(f"({one}) and ({two})") == (left and right)
    assert keeps(f"({one}) or ({two})") == (left or right)
    assert keeps(f"not ({one})") == (not left)
    assert keeps(f"({one}) or ({two}) and ({one})") == left


@pytest.mark.parametrize(
    "text",
    ["started < yesterday", "ended >= 2h", 'submitted > "28 Nov"', "ended = now", "started in (today)"],
)
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"^(started|ended|submitted): expected a day or a time, such as 2026-"
    ):
        parse(text)


@pytest.mark.parametrize(
    "text", ["2026", "2026-11", "2026-11-28", '"2026-11-28 05"', "2026-11-28T05:47", '"2026-11-28 05:47:31"']
)
def test_the_begin_of_a_time_is_one(text: str) -> None:
    assert parse(f"started >= {text}").keeps(lambda name: ["2026-11-28 05:47:31"])
    assert not parse(f"started < {text}").keeps(lambda name: ["2026-11-28 05:47:31"])
