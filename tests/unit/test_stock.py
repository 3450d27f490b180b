"""How much there is of what each host has for itself, and what is said where no host has enough."""

from __future__ import annotations

import pytest

from xpm.core.requirement import ALL, Need
from xpm.core.stock import Stock, Supply, lack_of, over, standing

DISK = Need("h", "disk", 2)
SCRATCH = Need("h", "scratch", 3)


def lack(counts: dict[str, int], hosts: set[str]) -> str:
    found = lack_of([DISK], {"h.disk": Supply(counts)}, hosts)
    return str(found) if found else ""


@pytest.mark.parametrize(
    ("counts", "hosts", "said"),
    [
        ({"c": 2, "c@vm": 1, "most": 2}, {"vm"}, "any without a capacity of its own (2)"),
        ({"c": 1, "c@tuba": 3, "u@tuba": 3, "most": 3}, {"vm"}, "tuba (3)"),
        (
            {"c": 2, "c@vm": 1, "c@oboe": 1, "c@tuba": 3, "most": 3},
            {"vm"},
            "tuba (3), any without a capacity of its own (2)",
        ),
    ],
)
def test_what_no_host_with_workers_has_is_told_with_what_helps(
    counts: dict[str, int], hosts: set[str], said: str
) -> None:
    assert lack(counts, hosts) == (
        "2 of token disk on one host; of those that workers serve, vm has most: 1; "
        f"xpm token set disk 2 --host vm, or start workers on a host that has so much: {said}"
    )


@pytest.mark.parametrize(
    ("counts", "hosts"),
    [
        ({"c": 2, "most": 2}, {"vm"}),
        ({"c": 1, "c@tuba": 3, "u@tuba": 3, "most": 3}, {"vm", "tuba"}),
        ({"c": 1, "c@tuba": 3, "most": 3}, set()),
    ],
)
def test_what_a_host_has_is_waited_for_there_and_what_nobody_serves_for_a_worker(
    counts: dict[str, int], hosts: set[str]
) -> None:
    assert lack(counts, hosts) == ""


def test_the_host_that_has_most_is_named() -> None:
    counts = {"c": 0, "c@viola": 1, "u@viola": 1, "most": 2}
    assert "; of those that workers serve, viola has most: 1; " in lack(counts, {"oboe", "viola"})


def test_that_no_host_has_all_of_several_is_told_of_the_nearest() -> None:
    supplies = {
        "h.disk": Supply({"c": 2, "c@vm": 1, "most": 2}),
        "h.scratch": Supply({"c": 1, "c@vm": 3, "c@harp": 4, "most": 4}),
    }
    found = lack_of([DISK, SCRATCH], supplies, {"vm", "tuba"})
    assert found is not None and found.wanted == "3 of token scratch on one host, with 2 of token disk"
    assert found.most == "tuba has most: 1"
    assert found.command == ("token", "set", "scratch", "3", "--host", "tuba")
    assert found.other_hosts == "start workers on a host that has so much: harp (4)"
    assert lack_of([DISK, SCRATCH], supplies, {"harp"}) is None


def test_counts_are_those_of_one_host_the_first_to_meet_the_need() -> None:
    supply = Supply({"c": 1, "c@tuba": 3, "u@tuba": 3, "c@harp": 2, "u@harp": 1, "most": 3})
    assert supply.of(DISK, {"viola", "tuba"}) == Stock(3, 3, "tuba"), "viola has too little of it for ever"
    assert standing(DISK, supply.of(DISK, {"viola", "tuba"})) == "token disk: 2 of 3 on tuba, 0 free"
    assert supply.of(DISK, {"viola"}) == Stock(1, 0, "viola")
    assert supply.of(DISK) == Stock(2, 1, "harp"), "no worker is there: of all"
    assert standing(DISK, Supply({"c": 2}).of(DISK)) == "token disk: 2 of 2 on a host, 2 free"


def test_how_tokens_of_all_hosts_and_locks_stand() -> None:
    gpu, write = Need("t", "gpu", 2), Need("l", "ix", ALL)
    assert standing(gpu, Supply({"c": 4, "u": 3}).of(gpu, {"vm"})) == "token gpu: 2 of 4, 1 free"
    assert standing(gpu, Supply({"c": 1, "u": 3}).of(gpu)) == "token gpu: 2 of 1, 0 free"
    for used, state in ((0, "it is free"), (3, "it is read by 3"), (ALL, "it is being written")):
        assert standing(write, Stock(ALL, used)) == f"lock ix, to write: {state}"
    assert standing(Need("l", "ix", 1), Stock(ALL, ALL)) == "lock ix, to read: it is being written"


def test_what_running_code_needs_more_of_than_there_is_is_told_with_the_command() -> None:
    assert over(Need("t", "gpu", 2), Stock(1, 0)) == (
        "2 of token gpu, of which there are 1; when there can be more: xpm token set gpu 2"
    )
    assert over(DISK, Stock(1, 0, "vm")) == (
        "2 of token disk, of which vm has 1; when there can be more: xpm token set disk 2 --host vm"
    )
    assert over(DISK, Stock(2, 2, "vm")) == ""
