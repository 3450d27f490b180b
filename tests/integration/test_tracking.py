"""A run that is tracked while its broker loses its memory, or while the same experiment is run a second time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hands import Hands, entry, job
from servers import Server

from xpm.broker.broker import Entry
from xpm.errors import ExperimentCancelled, RunForgotten
from xpm.experiment.link import Link
from xpm.experiment.tracking import Tracked
from xpm.experiment.voice import Voice
from xpm.settings import load
from xpm.workspace.layout import Workspace
from xpm.workspace.rundir import Origin, RunDirectory

TYPES = {"key": b"packed"}


class Script:
    """What a script does with a run."""

    def __init__(self, link: Link, folder: Path, name: str) -> None:
        origin = Origin("test", name, 0.0, "code", folder, None)
        self.run = Tracked(link, RunDirectory.create(folder / name, origin), "test", name, f"code {name}", {})

    def submit(self, *entries: Entry) -> None:
        self.run.directory.add(entries, TYPES)
        self.run.submit(entries, TYPES)
        self.run.count += len(entries)


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture
def link(server: Server, tmp_path: Path) -> Iterator[Link]:
    settings = load(arguments={"broker": server.url, "workers": 0})
    made = Link(Workspace.open(tmp_path / "runs"), settings, Voice())
    made.connect()
    yield made
    made.close()


def submissions(link: Link) -> int:
    return int(link.broker.client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def test_a_run_that_a_later_one_overtook_in_the_middle_is_told_once_more_and_left_alone(
    link: Link, tmp_path: Path
) -> None:
    first, second = Script(link, tmp_path, "first"), Script(link, tmp_path, "second")
    everything = [entry(n) for n in range(50)]
    first.submit(*everything[:20])
    second.submit(*everything)
    first.submit(*everything[20:])
    first.run.view()
    before = submissions(link)
    for _ in range(5):
        view = first.run.view()
        assert view.total == 50 and not view.ended
    assert submissions(link) == before
    (found,) = [one for one in link.views.jobs([job(30)]) if one]
    assert found.code == "code second", "what the later run said holds"


def test_a_broker_that_forgets_between_two_submissions_is_told_of_both(link: Link, tmp_path: Path) -> None:
    script = Script(link, tmp_path, "first")
    script.submit(entry("a"), entry("b", "a"))
    link.broker.client.flushall()
    other = link.broker.open("other", "takes the first free number", "code")
    assert other.token == script.run.token
    with pytest.raises(RunForgotten):
        link.broker.submit(script.run.run, [entry("c")])
    script.submit(entry("c", "b"))
    told = link.views.run(script.run.token)
    assert told is not None and told.total == 3, "a script that detaches now looks no more"
    assert link.broker.types(["key"]) == TYPES
    view = script.run.view()
    assert (view.experiment, view.total, view.open) == ("test", 3, 3)
    listed = {short for short, _ in link.views.members(other.token)}
    assert not listed, "jobs were given to another experiment's run"


@pytest.mark.parametrize("noticed", [False, True])
def test_a_broker_that_came_back_empty_is_told_of_all(
    link: Link, server: Server, tmp_path: Path, noticed: bool
) -> None:
    script = Script(link, tmp_path, "first")
    script.submit(entry("a"), entry("b", "a"))
    server.kill()
    for kept in server.directory.glob("appendonly*"):  # a folder; up to Redis 6.2 a file
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    server.start()
    if noticed:  # some question has found the connection cut, and opened another
        link.reopen()
    script.submit(entry("c", "b"))
    told = link.views.run(script.run.token)
    assert told is not None and told.total == 3
    assert link.broker.types(["key"]) == TYPES


def test_a_run_that_was_called_off_takes_no_more_from_its_script(link: Link, tmp_path: Path) -> None:
    script, other = Script(link, tmp_path, "first"), Script(link, tmp_path, "second")
    script.submit(entry("a"))
    other.submit(entry("c"))
    assert (link.broker.call_off("test", "ada@tuba"), link.broker.call_off("test")) == (2, 0)
    with pytest.raises(ExperimentCancelled, match="test was cancelled by ada@tuba: nothing more"):
        script.submit(entry("b", "a"))
    assert link.views.jobs([job("b")]) == [None]
    Script(link, tmp_path, "third").submit(entry("b", "a"))
    assert link.broker.call_off("unheard of") == 0


def test_two_scripts_of_one_experiment_end_when_it_is_cancelled(link: Link, tmp_path: Path) -> None:
    """Also the one whose jobs the other lists: what is kept for another experiment is not its own any more."""
    first, second = Script(link, tmp_path, "first"), Script(link, tmp_path, "second")
    elsewhere = link.broker.open("elsewhere", "r", "code")
    for script in (first, second):
        script.submit(entry("a"), entry("b"))
    link.broker.submit(elsewhere, [entry("b")])
    assert not any(script.run.given_up(script.run.view()) for script in (first, second))
    assert link.broker.cancel(first.run.run.serial, [job("a"), job("b")]) == (1, 0, 1)
    for script in (first, second):
        script.run._weighed = 0.0  # as if a second had gone by
        assert script.run.given_up(script.run.view())


def test_who_waits_sees_what_is_being_stopped_to_its_end(link: Link, tmp_path: Path) -> None:
    """Also when a later run lists it, or what was kept for another experiment has ended."""
    first, second = Script(link, tmp_path, "first"), Script(link, tmp_path, "second")
    elsewhere = link.broker.open("elsewhere", "r", "code")
    for script in (first, second):
        script.submit(entry("a"), entry("b"), entry("c"))
    hands = Hands(link.broker)
    mine, kept = hands.claim("one"), hands.claim("two")
    assert mine.claim and kept.claim and (mine.claim.id, kept.claim.id) == (job("a"), job("b"))
    link.broker.submit(elsewhere, [entry("b"), entry("c")])
    assert link.broker.cancel(first.run.run.serial, [job("a"), job("b"), job("c")]) == (0, 1, 2)
    hands.finish(kept, "two")

    def given_up(script: Script) -> bool:
        script.run._weighed = 0.0  # as if a second had gone by
        return script.run.given_up(script.run.view())

    assert not any(given_up(script) for script in (first, second))
    hands.fail(mine, "one")
    assert [view and view.state for view in link.views.jobs([job("a")])] == ["CANCELLED"]
    assert all(given_up(script) for script in (first, second))
