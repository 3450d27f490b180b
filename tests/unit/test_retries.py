"""Policies of retries: what they cover, how they travel, what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from xpm.core.retries import MENDABLE, Failing, Retries, exception_name
from xpm.errors import SubmissionError


class Flaky(ConnectionError):
    """A failure of a script's own."""


def raised(cls: type[BaseException]) -> Failing:
    return Failing("exception", tuple(exception_name(each) for each in cls.__mro__[:-2]))


@pytest.mark.parametrize(
    ("on", "failing", "covered"),
    [
        (OSError, raised(ConnectionResetError), True),
        (OSError, raised(Flaky), True),
        (OSError, raised(ValueError), False),
        (Flaky, raised(Flaky), True),
        (Flaky, raised(ConnectionError), False),
        ((KeyError, OSError), raised(FileNotFoundError), True),
        ("OSError", raised(FileNotFoundError), True),
        ("exception", raised(ValueError), True),
        ("exception", Failing("exit", ("SystemExit",), 1), False),
        ("exit", Failing("exit", (), 3), True),
        ("exit:75", Failing("exit", (), 75), True),
        ("exit:75", Failing("exit", (), 7), False),
        ("oom", Failing("oom"), True),
        ("oom", raised(MemoryError), True),
        ("oom", Failing("exception", ("torch.OutOfMemoryError", "RuntimeError")), True),
        ("oom", Failing("signal"), False),
        ("exception", Failing("oom"), False),
        ("timeout", Failing("timeout"), True),
        ("timeout", raised(TimeoutError), False),
        ("disk", Failing("disk", ("OSError",)), True),
        (MENDABLE, Failing("import", ("ImportError",)), False),
        (ImportError, Failing("import", ("ModuleNotFoundError", "ImportError")), True),
        ("result", Failing("result"), True),
        (MENDABLE, Failing("refused"), False),
        ((*MENDABLE, BaseException), Failing("killed"), False),
    ],
)
def test_a_policy_covers_causes(on: Any, failing: Failing, covered: bool) -> None:
    policy = Retries(1, on=on)
    assert policy.covers(failing) is covered
    assert Retries.unpack(policy.pack()).covers(failing) is covered


def test_a_number_covers_what_may_mend_itself() -> None:
    assert Retries.of(3) == Retries(3) == Retries(3, on=MENDABLE)
    assert Retries.of(Retries(2, on="oom")) == Retries(2, on=("oom",))


def test_a_policy_travels() -> None:
    policy = Retries(
        5, on=(OSError, "exit:75"), delay="1 min 30 s", factor=1.5, most=timedelta(hours=2), jitter=0.25
    )
    assert policy.pack() == "5 90000 1.5 7200000 0.25 OSError exit:75"
    assert Retries.unpack(policy.pack()) == policy


def test_causes_of_a_newer_version_are_kept() -> None:
    assert Retries.unpack("1 0 2 0 0 eclipse").covers(Failing("eclipse"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"times": -1}, "retries: times: expected a whole number from 0 to 10000, got -1"),
        ({"times": True}, "retries: times: expected a whole number from 0 to 10000, got True"),
        ({"times": 1.5}, "retries: times: expected a whole number from 0 to 10000, got 1.5"),
        ({"times": 1, "factor": 0.5}, "retries: factor: expected a number from 1 to 1000, got 0.5"),
        ({"times": 1, "jitter": 2}, "retries: jitter: expected a number from 0 to 1, got 2"),
        (
            {"times": 1, "delay": -1},
            "retries: delay: expected seconds, a text like '2h' or a timedelta, got -1",
        ),
        ({"times": 1, "on": ()}, "retries: on: names nothing"),
        ({"times": 1, "on": "ooom"}, "retries: on: 'ooom'; did you mean 'oom'?"),
        (
            {"times": 1, "on": "ConnectionErorr"},
            "retries: on: 'ConnectionErorr'; did you mean 'ConnectionError'?",
        ),
        ({"times": 1, "on": "exit:300"}, "retries: on: 'exit:300': the status of a process is at most 255"),
        (
            {"times": 1, "on": int},
            "retries: on: <class 'int'>: expected an exception, or one of exception, exit,",
        ),
    ],
)
def test_what_is_impossible_is_told_in_one_line(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        Retries(**given)
    assert str(caught.value).startswith(told)


def test_the_page_tells_what_a_wrong_value_is_told() -> None:
    page = (Path(__file__).parents[2] / "docs" / "failures.md").read_text()
    with pytest.raises(SubmissionError) as caught:
        Retries(1, on="ooom")
    assert f": `{caught.value}`" in page


@pytest.mark.parametrize("given", ["3", True, 2.5])
def test_a_policy_is_a_number_or_a_policy(given: object) -> None:
    with pytest.raises(SubmissionError, match="expected a number of further attempts or Retries"):
        Retries.of(given)


def test_a_name_is_the_same_in_script_and_worker() -> None:
    made = type("Flaky", (Exception,), {"__module__": "__mp_main__"})
    other = type("Flaky", (Exception,), {"__module__": "__main__"})
    assert exception_name(made) == exception_name(other) == "Flaky"
    assert exception_name(OSError) == "OSError"
    assert exception_name(SubmissionError) == "xpm.errors.SubmissionError"
