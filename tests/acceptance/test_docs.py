"""The commands and the code of the documentation do what it says.

A page is read from top to bottom in one empty project with a home of its own, real processes and the
workspace's own server. What a block is for is seen from its language and its first line:

* python or yaml, first line `# tasks.py`: that file;
* diff, first line `# tasks.py`: a change of that file;
* python, first line `# study.ipynb`: a cell of that notebook, executed in its kernel;
* text, after a cell: what the cell must print and show;
* console: commands after `$ `, each with the output that it must print;
* anything else is only read.

An HTML comment above a block says what is special: `<!-- not run: why -->`, `<!-- exits with 1 -->` (the
block's last command), `<!-- in any order -->`.

Expected output is compared line by line. `...` stands for anything, alone on a line for any lines; times,
identifiers of code and the project's path are as they come; lines that say how far a run is are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import pytest
from notebooks import Kernel

ROOT = Path(__file__).parents[2]
RUN = [
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "tutorial",
            "configs",
            "experiments",
            "commands",
            "definitions",
            "notebooks",
            "plans",
            "params",
            "filters",
            "saving",
            "growing",
            "tokens",
            "control",
            "failures",
        )
    ),
]
"""The pages whose blocks are run."""

PROJECT = "/home/ada/lab"
"""The project's path, as the pages have it."""

WITHIN = 40.0
"""Seconds that one command may take."""

_FENCE = re.compile(r"^```(\w*)$")
_NOTE = re.compile(r"^<!-- (.+?) -->$")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#([\w-]+))?\)|\]\(#([\w-]+)\)")
_FAR = re.compile(r"^\S+: [\d,]+ of [\d,]+ done\b")
_WORDS = re.compile(r"`((?:XPM_\w+=\S+ )*xpm [^`]+)`")

_LOOSE = [
    (re.compile(r"\.\.\."), r".*"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    (re.compile(r"(?<=\s)(now|\d+[smh])(?=\s|$)"), r"(now|\d+[smh])"),
    (re.compile(r"\b[0-9a-f]{16}\b"), r"[0-9a-f]{16}"),
    (re.compile(r"\d+\.\d s\b"), r"(\d+\.\d|\d+) s"),
    (re.compile(r"\s+"), r"\s+"),
]
"""What of an expected line is not taken by the letter, and the pattern that stands for it."""


@dataclass
class Block:
    """A fenced block of a page."""

    language: str
    line: int
    notes: list[str]
    lines: list[str] = field(default_factory=list)

    @property
    def file(self) -> str | None:
        """The file that its first line names."""
        found = re.fullmatch(r"# (\w+\.(?:py|yaml))", self.lines[0]) if self.lines else None
        return found[1] if found else None

    @property
    def notebook(self) -> str | None:
        """The notebook that it is a cell of."""
        found = re.fullmatch(r"# (\w+\.ipynb)", self.lines[0]) if self.lines else None
        return found[1] if found else None

    @property
    def status(self) -> int:
        """The exit status of its last command."""
        return next((int(note.split()[-1]) for note in self.notes if note.startswith("exits with")), 0)

    def noted(self, words: str) -> bool:
        """Whether a comment above it begins with `words`."""
        return any(note.startswith(words) for note in self.notes)

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """Each command with the lines that it must print."""
        command, output = "", []
        for line in self.lines:
            if line.startswith("$ "):
                if command:
                    yield command, output
                command, output = line[2:], []
            else:
                output.append(line)
        yield command, output


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    notes: list[str] = []
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        note = _NOTE.match(line)
        if fence:
            if not inside:
                found.append(Block(fence[1], number, notes))
                notes = []
            inside = not inside
        elif inside:
            found[-1].lines.append(line)
        elif note:
            notes.append(note[1])
        elif line:
            notes = []
    assert not inside, "a fence stays open"
    return found


def pattern(line: str, project: Path) -> str:
    """The pattern of one expected line."""
    marks: list[str] = []

    def mark(found: str) -> str:
        marks.append(found)
        return f"\0{len(marks) - 1}\0"

    line = line.rstrip().replace(PROJECT, mark(re.escape(os.path.realpath(project))))
    for what, loose in _LOOSE:
        # A mark holds no digit of its own that a later rule could take for a number.
        line = what.sub(lambda _, loose=loose: mark(loose), line)
    return re.sub("\0(\\d+)\0", lambda found: marks[int(found[1])], re.escape(line).replace("\\\0", "\0"))


def agrees(expected: list[str], actual: list[str], project: Path, *, ordered: bool = True) -> bool:
    """Whether `actual` is what `expected` says."""
    told = [line.rstrip() for line in actual if not _FAR.match(line)]
    if not ordered:
        return len(expected) == len(told) and _paired(expected, told, project)
    parts = [r"(.*\n)*?" if line.strip() == "..." else pattern(line, project) + r"\n" for line in expected]
    return (
        re.fullmatch("".join(parts).replace(r"\n", "\n"), "".join(f"{line}\n" for line in told)) is not None
    )


def _paired(expected: list[str], told: list[str], project: Path) -> bool:
    patterns = [re.compile(pattern(line, project)) for line in expected]
    if len(told) <= 6:
        return any(all(map(re.fullmatch, patterns, order)) for order in permutations(told))
    left = list(told)
    for one in patterns:
        match = next((line for line in left if one.fullmatch(line)), None)
        if match is None:
            return False
        left.remove(match)
    return True


class Reader:
    """Does what a page says.

    Args:
        project: the folder to do it in.
    """

    def __init__(self, project: Path) -> None:
        self.project = project
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self.troubles: list[str] = []
        self.kernels: dict[str, Kernel] = {}
        self.shown: list[str] | None = None
        """What the cell before has shown."""
        self.environment = {
            **os.environ,
            "PATH": path,
            "XPM_WORKERS": "2",
            "COLUMNS": "110",
            "PYTHONUNBUFFERED": "1",
        }

    def do(self, block: Block) -> None:
        """Does what one block says."""
        if block.noted("not run:"):
            return
        shown, self.shown = self.shown, None
        if block.language == "text" and shown is not None:
            if not agrees(block.lines, shown, self.project):
                wanted, told = "\n".join(block.lines), "\n".join(shown)
                self.troubles.append(f"line {block.line}: the cell shows\n{told}\nand not\n{wanted}\n")
        elif block.notebook is not None:
            self.execute(block.notebook, "\n".join(block.lines))
        elif block.language == "console":
            commands = list(block.commands())
            for at, (command, output) in enumerate(commands, 1):
                self.run(command, output, block, block.status if at == len(commands) else 0)
        elif block.language in ("python", "yaml"):
            assert block.file, f"line {block.line}: no first line '# name.py'; say whether it is run"
            (self.project / block.file).write_text("\n".join(block.lines) + "\n")
        elif block.language == "diff":
            assert block.file, f"line {block.line}: no first line '# name.py'"
            self.change(self.project / block.file, block.lines[1:])

    def execute(self, notebook: str, cell: str) -> None:
        """Executes a cell."""
        if notebook not in self.kernels:
            path = self.project / notebook
            path.touch()
            self.kernels[notebook] = Kernel(self.project, self.environment, path)
        shown = self.kernels[notebook].run(cell)
        self.shown = [*shown.err.splitlines(), *shown.out.splitlines(), *shown.error.splitlines()]

    def close(self) -> None:
        """Ends the kernels."""
        for kernel in self.kernels.values():
            kernel.close()

    def change(self, file: Path, lines: list[str]) -> None:
        """Changes one place of a file."""
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        text = file.read_text()
        assert text.count(before) == 1, f"not once in {file.name}:\n{before}"
        file.write_text(text.replace(before, after))

    def run(self, command: str, expected: list[str], block: Block, status: int) -> None:
        """Runs one command and compares what it prints."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=WITHIN,
        )
        ordered = not block.noted("in any order")
        if done.returncode == status and agrees(
            expected, done.stdout.splitlines(), self.project, ordered=ordered
        ):
            return
        wanted = "\n".join(expected)
        self.troubles.append(
            f"line {block.line}: $ {command}\nended with {done.returncode} and printed\n{done.stdout}\n"
            f"and not with {status} and\n{wanted}\n"
        )


@pytest.mark.parametrize("page", RUN)
def test_a_page_does_what_it_says(page: str, home: Path) -> None:
    project = home / "lab"
    project.mkdir()
    reader = Reader(project)
    with closing(reader):
        for block in blocks((ROOT / page).read_text()):
            reader.do(block)
    assert not reader.troubles, "\n".join(reader.troubles)


def pages() -> list[Path]:
    """All pages."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor, own in _LINK.findall(page.read_text()):
        if path.startswith(("http:", "https:")):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {path}"
        if (anchor or own) and target.suffix == ".md":
            assert (anchor or own) in anchors(target), f"{page.name}: {path}#{anchor or own}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert page.name == "README.md" or f"({page.name}" in index, page.name


def words(command: str) -> list[str]:
    """The noun and the verb of a command in the text; no options, arguments or variables."""
    plain = [word for word in command.split() if not word.startswith("XPM_")][1:]
    lower = []
    for word in plain:
        if not re.fullmatch(r"[a-z][a-z-]+", word):
            break
        lower.append(word)
    return lower[:2] if lower[:1] in (["worker"], ["broker"], ["queue"]) else lower[:1]


def test_commands_in_the_text_exist(capfd: pytest.CaptureFixture[str]) -> None:
    texts = [(ROOT / "README.md").read_text(), *(page.read_text() for page in (ROOT / "docs").glob("*.md"))]
    named = {tuple(words(command)) for text in texts for command in _WORDS.findall(text)} - {()}
    assert ("worker", "start") in named
    for command in sorted(named):
        done = subprocess.run(
            [Path(sys.executable).parent / "xpm", *command, "--help"], capture_output=True, text=True
        )
        usage = f"Usage: xpm {' '.join(command)} "
        assert done.returncode == 0 and done.stdout.startswith(usage), (command, done.stderr)


@pytest.mark.parametrize(
    ("expected", "actual", "fits"),
    [
        ("lr=0 took 0.2 s", "lr=0   took 1.9 s", True),
        ("lr=1 took 0.2 s", "lr=0 took 0.2 s", False),
        ("DONE  4f  2s  took", "DONE  4f  now  took", True),
        ("File /home/ada/lab/a.py", "File {}/a.py", True),
        ("a ... c", "a b c", True),
        ("all 3 jobs done (1.5 s)", "all 13 jobs done (1.5 s)", False),
        ("code 0123456789abcdef", "code fedcba9876543210", True),
    ],
)
def test_lines_agree(expected: str, actual: str, fits: bool, tmp_path: Path) -> None:
    assert agrees([expected], [actual.format(os.path.realpath(tmp_path))], tmp_path) is fits


def test_any_lines_agree(tmp_path: Path) -> None:
    assert agrees(["a", "...", "d"], ["a", "x: 1 of 2 done, 1 running", "b", "c", "d"], tmp_path)
    assert agrees(["a", "b"], ["b", "a"], tmp_path, ordered=False)
    assert not agrees(["a", "b"], ["b", "a"], tmp_path)
    assert not agrees(["a"], ["a", "b"], tmp_path)
