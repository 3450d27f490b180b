"""Methods that run once: for a live object, or for an identifier in a workspace."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from xpm import cache, initializer
from xpm.core.config import Config, Param
from xpm.core.identifier import identifier
from xpm.core.live import animate, deferred
from xpm.errors import ConfigError


class Corpus(Config):
    size: Param[int] = 1

    def __post_init__(self) -> None:
        self.calls: list[Any] = []

    @initializer
    def words(self, times: int = 1) -> list[int]:
        self.calls.append(times)
        if times < 0:
            raise ValueError
        return [self.size] * times

    @initializer
    def doubled(self) -> int:
        return 2 * self.size

    @cache("sizes")
    def sizes(self, path: Path, more: int = 0) -> int:
        if not path.exists():
            self.calls.append("made")
            path.write_text(str(self.size + more))
            if more < 0:
                raise ValueError
        return int(path.read_text())

    @cache("folder")
    def folder(self, path: Path) -> Path:
        path.mkdir(exist_ok=True)
        return path

    @cache("nothing")
    def nothing(self, path: Path) -> bool:
        return path.exists()


class Longer(Corpus):
    @initializer
    def words(self, times: int = 1) -> list[int]:
        return [*super().words(times), 0]


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XPM_WORKSPACE", str(tmp_path))
    return tmp_path


def test_an_initializer_runs_once_for_each_object() -> None:
    corpus = Corpus.C(size=3).instance()
    with pytest.raises(ValueError):
        corpus.words(-1)
    assert corpus.words(2) == corpus.words(5) == [3, 3] and corpus.words() is corpus.words()
    assert corpus.calls == [-1, 2] and corpus.words.__name__ == "words"
    assert Corpus.C(size=4).instance().words() == [4]
    assert Longer.C().instance().words() == [1, 0]
    assert pickle.loads(pickle.dumps(corpus)).words() == [3, 3]


def test_a_description_which_may_change_runs_it_each_time() -> None:
    corpus = Corpus.C(size=3)
    assert corpus.doubled() == 6
    corpus.size = 4
    assert (corpus.doubled(), corpus.copy(size=5).doubled(), corpus.copy(size=5).instance().doubled()) == (
        8,
        10,
        10,
    )


def test_one_of_an_object_that_is_filled_later() -> None:
    live = deferred(Corpus, lambda bare: animate(bare, {"size": 2}))
    assert live.words() == live.words(3) == [2]


def test_what_is_cached_is_the_identifier_s(workspace: Path) -> None:
    corpus = Corpus.C(size=3)
    first, second = corpus.instance(), Corpus.C(size=3).instance()
    assert first.sizes(1) == second.sizes() == corpus.sizes() == 4
    assert (first.calls, second.calls) == (["made"], [])
    assert Corpus.C(size=4).instance().sizes() == 4
    key = identifier(corpus)
    (kept,) = workspace.glob(f"cache/*/{key[:2]}/{key}")
    assert sorted(each.name for each in kept.iterdir()) == [".sizes.lock", "sizes"]
    corpus.size = 5
    assert first.sizes() == 4 and corpus.instance().sizes() == 5


def test_what_failed_is_not_kept_and_what_is_no_file_may_be(workspace: Path) -> None:
    corpus = Corpus.C().instance()
    with pytest.raises(ValueError):
        corpus.sizes(-1)
    assert corpus.sizes() == 1 and corpus.calls == ["made", "made"]
    assert corpus.folder().parent.suffix == ".draft" and corpus.folder().is_dir()
    assert not corpus.nothing() and not corpus.nothing()


def test_threads_wait_for_each_other() -> None:
    corpus = Corpus.C().instance()
    threads = [threading.Thread(target=corpus.sizes) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert corpus.calls == ["made"]


KILLED = """
import os, sys
from pathlib import Path
from xpm import Config, Param, cache

class Corpus(Config):
    __xpmid__ = "once.Corpus"
    size: Param[int] = 1

    @cache("sizes")
    def sizes(self, path):
        if path.exists():
            return path.read_text()
        path.write_text("half")
        if sys.argv[1:]:
            os._exit(9)
        path.write_text("whole")
        return "made"

print(Corpus.C().instance().sizes())
"""


def test_after_a_crash_the_next_one_makes_it(workspace: Path) -> None:
    script = workspace / "killed.py"
    script.write_text(KILLED)

    def run(*words: str) -> str:
        return subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True).stdout

    assert [run("die"), run(), run()] == ["", "made\n", "whole\n"]
    assert not list(workspace.glob("cache/**/*.draft"))


def test_an_object_of_no_known_description() -> None:
    live = deferred(Corpus, lambda bare: animate(bare, {"size": 2}))
    with pytest.raises(
        ConfigError, match=r"^Corpus.sizes: of which description it is isn't known here: call it"
    ):
        live.sizes()


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", ".."])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^cache: expected the name of a file, got "):
        cache(name)
