"""What is said of a failure at the end of a run."""

from __future__ import annotations

import pytest

from xpm.broker.broker import Failure
from xpm.experiment.summary import LINES, traceback_lines


@pytest.mark.parametrize(("frames", "shown"), [(0, 0), (1, 4), (LINES, LINES + 1)])
def test_a_traceback_is_shown_if_it_says_more_than_the_error(frames: int, shown: int) -> None:
    head = ["Traceback (most recent call last):"] if frames else []
    lines = [*head, *['  File "s.py", line 1, in execute', "    raise"] * frames, "ValueError: no"]
    failure = Failure("exception", "ValueError", "no", "\n".join(lines))
    assert len(traceback_lines(failure)) == shown


def test_a_failure_without_a_traceback() -> None:
    assert traceback_lines(Failure("exit", "exit", "status 3")) == traceback_lines(None) == []
