"""Submit hooks: what a config class asks of the submission of every task that has a description of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

from xpm.core.environ import checked_variable, pack_environ, unpack_environ
from xpm.core.info import Described, Description, Submittable, info_of
from xpm.core.requirement import Need, collected
from xpm.core.schema import Schema
from xpm.core.session import SubmitOptions
from xpm.errors import ConfigError, SubmissionError, XpmError

C = TypeVar("C")

_HOOKS = "__xpm_hooks__"
"""The attribute of a class with its own hooks."""


class Submission:
    """A submission under way, which hooks may add to.

    Args:
        task: the description that is submitted.
        options: what it is submitted with.
    """

    def __init__(self, task: Any, options: SubmitOptions) -> None:
        self.task = task
        self._options = options
        self._queue = options.queue
        self._requires: list[Need] = []
        self._environ: dict[str, str] = {}

    @property
    def queue(self) -> str | None:
        """The queue that it goes to; None is the experiment's own."""
        return self._queue

    @queue.setter
    def queue(self, name: str | None) -> None:
        if name is not None and not isinstance(cast("object", name), str):
            raise SubmissionError(f"queue: expected a name, got {name!r}")
        # What the script itself has named for this task counts.
        self._queue = self._options.queue or name

    def require(self, *needs: Need) -> None:
        """The job holds these while it runs, beside what it requires anyway."""
        self._requires.extend(collected(needs, "require()"))

    def setenv(self, name: str, value: str) -> None:
        """The job gets a variable in its environment, whatever the experiment gives it under this name."""
        name, value = checked_variable(name, value)
        self._environ[name] = value

    @property
    def options(self) -> SubmitOptions:
        """What it is submitted with now."""
        options = self._options._replace(queue=self._queue)
        if self._requires:
            options = options._replace(requires=collected((*options.requires, *self._requires)))
        if self._environ:
            environ: Mapping[str, str] = {**unpack_environ(options.environ), **self._environ}
            options = options._replace(environ=pack_environ(environ))
        return options


class Hook(NamedTuple):
    """A function that looks at submissions; decorates the config classes that want it.

    Args:
        process: takes the submission.
        key: equal ones of a task are called once.
    """

    process: Callable[[Submission], object]
    key: Hashable

    def __call__(self, cls: type[C]) -> type[C]:
        """Has it called for each task with a description of `cls`, or of a subclass, among its parameters.

        Raises:
            ConfigError: that is no config class.
        """
        given: Any = cls
        if not isinstance(given, type) or not issubclass(given, Described):
            raise ConfigError(f"submit_hook: expected a config class, got {cls!r}")
        setattr(given, _HOOKS, (*given.__dict__.get(_HOOKS, ()), self))
        _Known.any = True
        return cls


class _Known:
    any: ClassVar[bool] = False
    """Whether a class has hooks: in most processes none has, and then nobody looks for them."""


def submit_hook(function: Callable[[Submission], object], /) -> Hook:
    """Makes a decorator for config classes of a function that adds to submissions.

    It is called, once, for each submission of a task that is of such a class, or has a description of one among its
    parameters or init tasks, at any depth; not for what the tasks have that it depends on.

    Example:
        ```python
        @submit_hook
        def needs_java(submission: Submission) -> None:
            submission.setenv("JAVA_HOME", "/opt/java")
            submission.require(gpu(1))

        @needs_java
        class Index(Config): ...
        ```

    Raises:
        ConfigError: it is no function.
    """
    if not callable(cast("object", function)):
        raise ConfigError(f"submit_hook: expected a function, got {function!r}")
    return Hook(function, function)


def hooked(task: Any, options: SubmitOptions) -> SubmitOptions:
    """The options of the submission of `task` with what the hooks of its configs add.

    Raises:
        SubmissionError: a hook asks for something impossible.
        BaseException: what a hook raises besides, with a note that it has.
    """
    if not _Known.any:
        return options
    found: dict[Hashable, tuple[Hook, type[Any]]] = {}
    for config in _reached(task, set()):
        schema: Schema = config.__xpm_schema__
        for cls in schema.cls.__mro__:
            for hook in cls.__dict__.get(_HOOKS, ()):
                found.setdefault(hook.key, (hook, cls))
    if not found:
        return options
    submission = Submission(task, options)
    for hook, cls in found.values():
        try:
            hook.process(submission)
        except XpmError as error:
            label = task.__xpm_schema__.label
            raise SubmissionError(f"{label}: in a submit hook of {cls.__name__}: {error}") from None
        except BaseException as error:
            error.add_note(f"in a submit hook of {cls.__name__}")
            raise
    return submission.options


def _reached(task: Any, seen: set[int]) -> Iterator[Any]:
    """The description of a task and those in it, other tasks left out."""
    yield from _below(task, seen, root=True)
    info = info_of(task)
    for each in () if info is None else info.init:
        yield from _below(each, seen)


def _below(value: Any, seen: set[int], *, root: bool = False) -> Iterator[Any]:
    if isinstance(value, Description):
        if id(value) in seen or (isinstance(value, Submittable) and not root):
            return
        seen.add(id(value))
        yield value
        held: Any = value
        for name in held.__xpm_schema__.holders:
            yield from _below(held.__dict__.get(name), seen)
    elif isinstance(value, dict):
        for each in cast("dict[Any, Any]", value).values():
            yield from _below(each, seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in cast("list[Any]", value):
            yield from _below(each, seen)
