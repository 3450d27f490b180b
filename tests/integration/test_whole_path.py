"""Generated config classes and values on the whole way: identifier, payload, Redis, worker, record, and back.

`WHOLE_SEED` repeats a soak, `WHOLE_FAMILIES` makes it longer or shorter.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

import pytest
from commands import ROOT, Lab
from configs import family, root
from draws import Seeded
from meanings import experiment
from parameters import Values, near
from sessions import Recorder
from twins import Realizer
from whole import fits, write

SCRIPT = """
import sys
from whole import walk

if __name__ == "__main__":
    count, *seeds = map(int, sys.argv[1:])
    for seed in seeds:
        walk(seed, count)
"""

VALUES = 60
"""How many an experiment has."""


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.env["PYTHONPATH"] += f"{os.pathsep}{ROOT / 'tests/support'}"
    (made.project / "walk.py").write_text(SCRIPT)
    yield made
    made.close()


def walked(lab: Lab, seeds: Sequence[int]) -> int:
    """Carries so many values of each family; how many jobs were theirs."""
    for seed in seeds:
        write(lab.project, seed)
    # A warning would say that an identifier is another one.
    done = lab.python("-W", "error::RuntimeWarning", "walk.py", *map(str, (VALUES, *seeds)))
    counts = [list(map(int, line.split())) for line in done.stdout.splitlines()]
    assert [values for values, _ in counts] == [VALUES] * len(seeds)
    return sum(jobs for _, jobs in counts)


def test_values_come_back_as_they_were_given(lab: Lab) -> None:
    assert walked(lab, range(4)) > 2 * VALUES


def test_nearly_the_same_does_not_fit() -> None:
    counts: Counter[bool] = Counter()
    d = Seeded(Random(1))
    for number in range(200):
        found = family(number % 5)
        v = Values(d)
        made = root(v, found)
        other = near(v, made)
        with Recorder():
            twin = Realizer(found.names(d), d).config(made, root=True)
        assert fits(made, twin)
        if other.init == made.init:
            same = experiment(other) == experiment(made)
            assert fits(other, twin) or not same
            counts[fits(other, twin)] += not same
    # Where something is that was set not to count, anything fits.
    assert counts[False] > 3 * counts[True]


@pytest.mark.soak
@pytest.mark.timeout(2 * 3600)
def test_many_values_come_back_as_they_were_given(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("WHOLE_SEED", int(time.time())))
    families = int(os.environ.get("WHOLE_FAMILIES", 500))
    with capsys.disabled():
        sys.stdout.write(f"\nWHOLE_SEED={seed} WHOLE_FAMILIES={families}\n")
        sys.stdout.flush()
        jobs = 0
        for at in range(families):
            jobs += walked(lab, [seed + at])
            for each in lab.project.glob("xpm_generated_*.py"):
                each.unlink()
        sys.stdout.write(f"{families * VALUES:,} values, {jobs:,} jobs\n")
