"""Which chain goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xpm.core.chains import STEPS, Chains, step


def order(chains: Chains[str], jobs: list[str]) -> list[str]:
    return sorted(jobs, key=chains.rank, reverse=True)


def test_a_job_that_is_alone_has_no_rank() -> None:
    chains = Chains[str]()
    chains.add([("a", ()), ("b", ())])
    assert (chains.rank("a"), chains.rank("b")) == (0, 0)
    assert chains.changes(["a", "b"]) == {}


def test_the_head_of_the_longest_chain_goes_first() -> None:
    chains = Chains[str]()
    chains.add([("short", ()), ("a", ()), ("b", ("a",)), ("x", ()), ("y", ("x",)), ("z", ("y",))])
    assert order(chains, ["short", "a", "x"]) == ["x", "a", "short"]


def test_of_equal_chains_one_is_brought_to_its_end_first() -> None:
    chains = Chains[str]()
    chains.add([("a1", ()), ("a2", ("a1",)), ("a3", ("a2",)), ("b1", ()), ("b2", ("b1",)), ("b3", ("b2",))])
    assert order(chains, ["b1", "a2"]) == ["a2", "b1"]
    assert order(chains, ["b2", "a3"]) == ["a3", "b2"]


def test_what_comes_later_counts_where_it_changes_the_order() -> None:
    chains = Chains[str]()
    chains.add([("a", ()), ("b", ())])
    chains.add([("c", ("b",))])
    assert chains.rank("a") == chains.rank("b") == 0
    assert chains.changes("abc") == {"b": 1 * STEPS}
    assert order(chains, ["a", "b"]) == ["b", "a"]
    assert chains.changes("abc") == {}


def test_what_changes_no_order_is_not_told() -> None:
    chains = Chains[str]()
    chains.add([(f"make {n}", ()) for n in range(5)])
    chains.add([("sum", tuple(f"make {n}" for n in range(5)))])
    assert chains.changes([*(f"make {n}" for n in range(5)), "sum"]) == {}


def test_ranks_fit_their_bits() -> None:
    chains = Chains[int]()
    chains.add([(n, (n - 1,) if n else ()) for n in range(200_000)])
    ranks = [chains.rank(n) for n in range(200_000)]
    assert max(ranks) < 2**20
    assert ranks == sorted(ranks), "a chain gets ahead as it goes on"


def test_of_equal_chains_that_went_out_apart_who_came_first_goes_first() -> None:
    chains = Chains[str]()
    chains.add([("a", ())])
    chains.add([("b", ()), ("sum", ("a", "b"))])
    assert chains.rank("b") > chains.rank("a")
    assert chains.changes(["a", "b", "sum"]) == {"a": chains.rank("b")}
    assert chains.rank("a") == chains.rank("b")


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_longer_is_never_less(one: int, other: int) -> None:
    assert (step(one) <= step(other)) == (one <= other) or step(one) == step(other)
    assert 0 <= step(one) < STEPS


@given(st.lists(st.lists(st.integers(0, 30), max_size=3), max_size=30), st.integers(1, 30))
def test_told_in_parts_it_ends_as_told_at_once(parents: list[list[int]], part: int) -> None:
    jobs = [(n, tuple({p % n for p in inputs}) if n else ()) for n, inputs in enumerate(parents)]
    whole, parts = Chains[int](), Chains[int]()
    whole.add(jobs)
    for at in range(0, len(jobs), part):
        parts.add(jobs[at : at + part])
    changes = parts.changes(n for n, _ in jobs)
    for one, _ in jobs:
        for other, _ in jobs:
            if whole.rank(one) < whole.rank(other):
                assert parts.rank(one) <= parts.rank(other)
    assert all(parts.rank(job) == rank for job, rank in changes.items())
