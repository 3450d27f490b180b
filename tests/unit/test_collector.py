"""The garbage collector is asked for patience, and everybody else's wish goes first."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from xpm import experiment
from xpm.experiment.collector import PATIENT, relax, restore

PYTHONS = (700, 10, 10)


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*PYTHONS)
    yield
    gc.set_threshold(*before)


def test_it_looks_more_seldom_and_then_as_before() -> None:
    before = relax()
    assert gc.get_threshold() == (PATIENT, 10, 10)
    restore(before)
    assert gc.get_threshold() == PYTHONS


@pytest.mark.parametrize("own", [(0, 10, 10), (300, 5, 5), (50_000, 20, 20)])
def test_what_somebody_has_set_stays(own: tuple[int, int, int]) -> None:
    gc.set_threshold(*own)
    before = relax()
    assert gc.get_threshold() == own
    restore(before)
    assert gc.get_threshold() == own


def test_what_somebody_sets_meanwhile_stays() -> None:
    before = relax()
    gc.set_threshold(5_000, 10, 10)
    restore(before)
    assert gc.get_threshold() == (5_000, 10, 10)


def test_an_experiment_in_another_leaves_it_to_the_outer_one() -> None:
    outer, inner = relax(), relax()
    restore(inner)
    assert gc.get_threshold() == (PATIENT, 10, 10)
    restore(outer)
    assert gc.get_threshold() == PYTHONS


def test_an_open_experiment_relaxes_it_however_it_ends(tmp_path: Path) -> None:
    with experiment("a", workspace=tmp_path):
        assert gc.get_threshold() == (PATIENT, 10, 10)
    assert gc.get_threshold() == PYTHONS
    with pytest.raises(ZeroDivisionError), experiment("a", workspace=tmp_path):
        raise ZeroDivisionError
    assert gc.get_threshold() == PYTHONS
