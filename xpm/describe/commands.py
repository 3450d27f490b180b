"""Command tasks: a program of any language as a task, with the task's parameters as its arguments."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypedDict, Unpack, cast

from xpm.core.config import Task
from xpm.core.info import Described, Description, Submittable
from xpm.core.kinds import shown
from xpm.core.live import author_class
from xpm.core.naming import FILES
from xpm.core.schema import own_annotations, schema_of
from xpm.core.spelling import nearest
from xpm.describe.plain import Absent, elements, is_listed
from xpm.describe.running import Call, perform
from xpm.describe.words import (
    BRACES,
    File,
    Later,
    Look,
    Option,
    Part,
    Text,
    Word,
    each,
    flag,
    option,
    parts_of,
    shown_part,
    verbatim,
)
from xpm.errors import ConfigError

__all__ = ["Command", "CommandTask", "Shell", "each", "flag", "option", "verbatim"]

_JOBPATH = "jobpath"
_QUOTED = re.compile(r"'[^']*'" r'|"(?:[^"\\]|\\.)*"', re.DOTALL)
_PLACE = re.compile("\0(.*?)\0")
_ENDINGS = (".json", ".yaml", ".yml")


class Details(TypedDict, total=False):
    """What a command has beside its words; see `Command`."""

    environment: Mapping[str, str] | None
    parameters: str | None
    returns: Literal["stdout"] | str | None
    success: Iterable[int]


class Command:
    """A command line, and what its end means.

    Each word becomes one argument, as it is: no shell reads it. In a text, `{key}` stands for the value of a parameter,
    `{model.layers}` for one of a config in it, `{jobpath}` for the job's directory.

    Args:
        words: the program and its arguments: texts, `option(...)`, `flag(...)`, `each(...)`, `verbatim(...)`, and `Path("count.awk")`
            for a file of the project, beside the one that has the class.
        environment: variables, with texts like those of words; one whose value is None isn't set.
        parameters: a file in the job's directory that all parameters are written into before, as JSON or YAML by its
            ending; `XPM_PARAMETERS` has its path.
        returns: what the job's result is read from, as JSON: `"stdout"`, or a file in the job's directory.
        success: the exit codes that are none of a failure.

    Raises:
        ConfigError: something of this can't be.

    Example:
        ```python
        class Sort(CommandTask):
            data: Param[Path]
            key: Param[int] = 1
            reverse: Param[bool] = False
            sorted: Meta[Path] = field(default_factory=PathGenerator("sorted.txt"))

            command = Command("sort", option("-k", "key"), flag("-r", "reverse"), "-o", "{sorted}", "{data}")
        ```
    """

    def __init__(
        self,
        *words: str | Path | Word,
        environment: Mapping[str, str] | None = None,
        parameters: str | None = None,
        returns: Literal["stdout"] | str | None = None,
        success: Iterable[int] = (0,),
    ) -> None:
        if not words:
            raise ConfigError("command: names no program, as in Command('sort', '{data}')")
        self.words: tuple[Word, ...] = tuple(map(_word, words))
        self.environment = {
            _variable(name): Text(parts_of(text)) for name, text in (environment or {}).items()
        }
        self.parameters = parameters
        self.returns = returns
        self.success = frozenset(success)
        for what, file in (("parameters", parameters), ("returns", returns)):
            if not isinstance(cast("object", file), str | None):
                raise ConfigError(f"command: {what}: expected the name of a file, got {file!r}")
            if file is not None and (not file or os.path.isabs(file) or ".." in Path(file).parts):
                raise ConfigError(f"command: {what}: expected a file in the job's directory, got {file!r}")
        if parameters is not None and not parameters.endswith(_ENDINGS):
            raise ConfigError(
                f"command: parameters: expected a file {', '.join(_ENDINGS)}, got {parameters!r}"
            )

    @property
    def names(self) -> Iterator[str]:
        """The parameters that it shows, each by its name or, `model.layers`, by the way to it."""
        for word in (*self.words, *self.environment.values()):
            yield from word.names

    def arguments(self, look: Look) -> list[str]:
        """The program and its arguments.

        Args:
            look: gives the values of parameters.

        Raises:
            ValueError: a value can be no argument.
        """
        return [text for word in self.words for text in word.arguments(look)]

    def variables(self, look: Look) -> dict[str, str]:
        """What it adds to the environment.

        Raises:
            ValueError: a value can be no variable.
        """
        found: dict[str, str] = {}
        for name, text in self.environment.items():
            try:
                found[name] = text.filled(look)
            except Absent:
                continue
        return found

    def check(self, look: Look) -> None:
        """Looks at the values that are known before the job runs.

        Raises:
            ValueError: one of them can't be shown.
        """
        for word in (*self.words, *self.environment.values()):
            try:
                word.arguments(look)
            except Later:
                continue
            except Absent:
                if word in self.words:
                    raise

    def files(self) -> Iterator[Path]:
        """The files of the project that it names."""
        yield from (word.path for word in self.words if isinstance(word, File))

    def within(self, folder: Path) -> Command:
        """The same, with the files of the project in `folder`."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.words = tuple(
            File(folder / word.path) if isinstance(word, File) else word for word in self.words
        )
        return made


class Shell(Command):
    """A command line for `/bin/sh`, as a text: `Shell("sort {data} | uniq > {counted}")`.

    Each `{key}` is quoted: it is one word of the shell, whatever is in the value, and stands outside of quotes in the
    text; a list is a word for each element. The shell ends with the first line that fails (`-e`), and where a variable
    isn't set (`-u`); braces of its own are doubled, `${{HOME}}`.

    Args:
        script: the text.
        details: as those of `Command`.
    """

    def __init__(self, script: str, **details: Unpack[Details]) -> None:
        super().__init__("/bin/sh", **details)
        parts = parts_of(script)
        for quoted in _QUOTED.findall("".join(_as_written(part) for part in parts)):
            found = _PLACE.search(quoted)
            if found:
                whole = _PLACE.sub(r"{\1}", quoted)
                raise ConfigError(
                    f"command: {{{found[1]}}} stands between quotes: it is quoted already, and must stand outside "
                    f"of them: {shown(whole)}"
                )
        self.parts = parts

    @property
    def names(self) -> Iterator[str]:
        """The parameters that it shows."""
        yield from (part.name for part in self.parts if part.name is not None)
        yield from super().names

    def arguments(self, look: Look) -> list[str]:
        """The shell and its arguments: the values are not in the text, but in variables that it begins with."""
        script, values = "", list[str]()
        for part in self.parts:
            script += part.written
            if part.name is not None:
                words = _shown(part, look)
                script += " ".join(f'"${{xpm_{len(values) + at}}}"' for at in range(1, len(words) + 1))
                values += words
        # Not the positional parameters: within a function of the shell these are others.
        taken = "".join(f"xpm_{at}=${{{at}}}; " for at in range(1, len(values) + 1))
        return ["/bin/sh", "-euc", f"{taken}set --; {script}", "sh", *values]

    def check(self, look: Look) -> None:
        """Looks at the values that are known before the job runs."""
        super().check(look)
        for part in self.parts:
            if part.name is not None:
                try:
                    _shown(part, look)
                except Later:
                    continue


def _as_written(part: Part) -> str:
    """A part of a shell's text, its place marked in a way that no text is."""
    return part.written + ("" if part.name is None else f"\0{part.name}\0")


def _shown(part: Part, look: Look) -> list[str]:
    """The words of the shell that a part's value becomes."""
    assert part.name is not None
    if is_listed(look(part.name)):
        return Option("", part.name, None).arguments(look)
    return [shown_part(part, look)]


class CommandTask(Task):
    """A task that a program executes: a class derived from it has parameters, and a `command`.

    The program runs in the job's directory, its output goes to the job's logs. Each generated path of the task is an
    output: it must be there when the command has ended. A line such as `0.5 training`, written into the file that
    `$XPM_PROGRESS` names, says how far it is. The identifier is that of any task with the class's name and parameters:
    the command doesn't count; a `version: Constant[str]` does.

    Example:
        ```python
        class Count(CommandTask):
            text: Param[Path]

            command = Command("wc", "-l", "{text}")
        ```
    """

    command: ClassVar[Command]
    """What is run."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "command" in own_annotations(cls):
            raise ConfigError(
                f"{cls.__name__}.command: is the command; choose another name for the parameter"
            )
        given: Any = cls.__dict__.get("command")
        if given is None:
            return
        if not isinstance(given, Command):
            raise ConfigError(f"{cls.__name__}.command: expected Command(...) or Shell(...), got {given!r}")
        known = _annotated(cls)
        for name in given.names:
            first = name.partition(".")[0]
            if first not in known:
                hint = nearest(first, known) or f"; there are {', '.join(sorted(known))}"
                raise ConfigError(f"{cls.__name__}.command: no parameter {first!r}{hint}; {BRACES}")
        cls.command = _placed(cls, given)

    def __validate__(self) -> None:
        """Looks at the values that the command shows; a class with a `__validate__` of its own calls this one, too."""
        command = _command(self)
        for file in command.files():
            if not file.is_file():
                raise ValueError(f"command: there is no file {file}")
        command.check(lambda name: _value(self, name))

    def execute(self) -> Any:
        """Runs the command; what it returns is None, or what the command says that it is."""
        command = _command(self)
        label = author_class(self).__name__

        def look(name: str) -> object:
            return _value(self, name)

        call = Call(label, command.arguments(look), command.variables(look), command.success)
        return perform(self, call, command.parameters, command.returns)


def _word(given: object) -> Word:
    if isinstance(given, str):
        return Text(parts_of(given))
    if isinstance(given, Path):
        return File(given)
    if hasattr(given, "arguments"):
        word: Any = given
        return word
    raise ConfigError(f"command: expected a text, a path, option(...), flag(...) or each(...), got {given!r}")


def _variable(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ConfigError(f"command: environment: expected the name of a variable, got {name!r}")
    return name


def _annotated(cls: type[Any]) -> set[str]:
    """What the class and its bases annotate and may be parameters, which can't be told yet."""
    found = {_JOBPATH}
    for base in cls.__mro__:
        if issubclass(base, Task):
            found |= {name for name, note in own_annotations(base).items() if "ClassVar" not in str(note)}
    return found


def _placed(cls: type[Any], command: Command) -> Command:
    """The command with its files beside that of the class, which from now on belong to the code."""
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    placed = command.within(Path(file).absolute().parent if file else Path.cwd())
    files = [str(path) for path in placed.files()]
    if files and module is not None:
        module.__dict__.setdefault(FILES, []).extend(files)
    return placed


def _command(task: CommandTask) -> Command:
    found = getattr(type(task), "command", None)
    if found is None:
        raise ValueError("has no command, as in command = Command('sort', '{data}')")
    return found


def _value(config: Any, name: str) -> object:
    """The value of a parameter of `config`, or of a config in it; of configs in a list, those of all."""
    first, _, rest = name.partition(".")
    value = _own(config, first)
    if not rest:
        return value
    try:
        return [_value(each, rest) for each in elements(value)] if is_listed(value) else _value(value, rest)
    except ValueError as wrong:
        raise ValueError(f"{first}.{wrong}") from None


def _own(config: Any, name: str) -> object:
    if not isinstance(config, Described):
        raise ValueError(f"{name}: is asked of {shown(config)}, which is no config")
    fields = schema_of(author_class(config)).fields
    if name not in fields and not (isinstance(config, Submittable) and name == _JOBPATH):
        raise ValueError(f"{name}: no parameter {name!r}{nearest(name, fields)}")
    if isinstance(config, Description) and (name == _JOBPATH or name not in config.__dict__):
        raise Later  # a path in the directory of a job, or what a task has promised
    return getattr(config, name)
