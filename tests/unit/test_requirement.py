"""What a job needs of tokens and locks, as values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm import acquire, lock, token
from xpm.core.requirement import ALL, Need, check_order, collected, needs_of, needs_text
from xpm.errors import ConfigError, SubmissionError, WouldDeadlock

GPU, LICENCE, INDEX = token("gpu", 4), token("licence"), lock("index")


def test_needs_are_kept_in_the_order_of_resources() -> None:
    needs = collected([GPU(2), LICENCE(1), INDEX.read()])
    assert needs_text(needs) == "l.index=1,t.gpu=2,t.licence=1"
    assert [str(need) for need in needs] == ["lock('index').read()", "gpu(2)", "licence(1)"]


def test_of_a_token_that_is_named_twice_the_sum_counts() -> None:
    assert needs_text(collected([GPU(1), GPU(2)])) == "t.gpu=3"
    assert needs_text(collected(GPU(2))) == "t.gpu=2"
    with pytest.raises(ConfigError, match=r"or lock\('index'\).read\(\), got 3$"):
        collected(3)
    assert needs_text(collected([INDEX.read(), INDEX.write(), INDEX.read()])) == f"l.index={ALL}"
    assert needs_text(collected([GPU(3), GPU(3)])) == "t.gpu=6", "the broker knows whether there are so many"
    with pytest.raises(
        ConfigError, match="requires=: gpu: 1000001 are wanted, no token has more than 1000000"
    ):
        collected([GPU(1_000_000), GPU(1)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GPU(1_000_001), r"gpu\(1000001\): 1000001 are wanted, no token has more than 1000000"),
        (lambda: GPU(0), r"gpu\(0\): expected a whole number from 1 on, got 0"),
        (lambda: GPU(True), "expected a whole number from 1 on, got True"),
        (lambda: GPU(1.5), "got 1.5"),  # type: ignore[arg-type]  # what people write
        (lambda: token("gpu", 0), "token gpu: expected a whole number from 1 on, got 0"),
        (lambda: token("a b"), "token 'a b': a name has letters"),
        (lambda: lock(""), "lock '': a name has letters"),
        (lambda: token("x", 1, per="gpu"), "token x: per='gpu': expected 'host'"),  # type: ignore[arg-type]  # what people write
        (lambda: collected([GPU]), r"expected amounts of tokens, .* got token\('gpu', 4\)$"),
        (lambda: collected("gpu"), "expected amounts of tokens, .* got 'gpu'$"),
        (lambda: collected([token("x", 1)(1), token("x", 1, per="host")(1)]), "both per host and for all"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make()  # type: ignore[operator]  # a parameter
    assert "\n" not in str(caught.value)


def test_values_ask_nobody_and_are_equal_by_value() -> None:
    assert token("gpu", 4)(2) == GPU(2)
    assert (
        len({token("gpu", 4), token("gpu", 4), token("gpu", 5), token("gpu", 4, per="host"), token("gpu")})
        == 4
    )
    assert len({lock("a"), lock("a"), lock("b")}) == 2 and lock("a") != token("a", 1)
    assert repr(token("disk", 1, per="host")) == "token('disk', 1, per='host')"
    assert repr(INDEX) == "lock('index')"
    assert token("disk", 1, per="host")(1).resource == "h.disk"


names = st.sampled_from(["a", "b", "c.d", "e-f", "G_1"])
all_needs = st.builds(Need, st.sampled_from("thl"), names, st.integers(1, 9))


@given(st.lists(all_needs, unique_by=lambda need: need.name))
def test_the_brokers_text_can_be_read_again(needs: list[Need]) -> None:
    found = collected(needs)
    assert needs_of(needs_text(found)) == found


@given(st.lists(all_needs, min_size=2, unique_by=lambda need: need.resource))
def test_of_two_that_take_the_same_things_one_is_refused_or_both_go_in_one_order(needs: list[Need]) -> None:
    def takes(order: list[Need]) -> bool:
        for at, need in enumerate(order):
            try:
                check_order(order[:at], [need])
            except WouldDeadlock:
                return False
        return True

    assert not (takes(needs) and takes(needs[::-1]))
    assert takes(sorted(needs, key=lambda need: need.order))


def test_more_of_what_is_held_would_deadlock() -> None:
    check_order([], [GPU(1)])
    check_order([GPU(1)], [INDEX.read()])
    with pytest.raises(WouldDeadlock, match=r"gpu\(1\) is wanted while gpu\(1\) is held.*all of it at once"):
        check_order([GPU(1)], [GPU(1)])
    with pytest.raises(WouldDeadlock, match=r"in the order of names \(gpu, licence\)"):
        check_order([LICENCE(1)], [GPU(1)])
    same = GPU(1)
    with pytest.raises(WouldDeadlock, match="all of it at once"):
        check_order([same], [same])
    with pytest.raises(WouldDeadlock, match=r"name gpu\(1\) in requires=, too"):
        check_order([LICENCE(1)], [GPU(1)], [LICENCE(1)])
    with pytest.raises(WouldDeadlock, match=r"all of it by requires="):
        check_order([], [GPU(1)], [GPU(1)])
    with pytest.raises(WouldDeadlock, match=r"acquire\(gpu\(1\), licence\(1\)\)"):
        check_order([LICENCE(1)], [GPU(1)], [token("a")(1)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GPU.acquire(timeout="soon"), "timeout: expected seconds, a text .* got 'soon'"),
        (lambda: INDEX.read().acquire(timeout=-1), "timeout: expected seconds, .* got -1"),
        (lambda: acquire(GPU(1), priority=5000), "priority 5000: expected a whole number from -4095 to 4095"),
    ],
)
def test_what_no_wish_can_be_is_refused_in_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        make()
