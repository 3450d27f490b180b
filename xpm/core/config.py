"""`Config` and `Task`: what a researcher's classes are derived from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, dataclass_transform, overload

from xpm.core.copying import copy_of
from xpm.core.cycles import way_back
from xpm.core.description import described_class, maker_of
from xpm.core.fields import Constant, Meta, Param, PathGenerator, field
from xpm.core.info import (
    HIDDEN,
    Described,
    Description,
    Info,
    JobRef,
    Submittable,
    allocate,
    info_of,
    own_info,
)
from xpm.core.jobpath import in_directory
from xpm.core.live import author_class, instance_of
from xpm.core.options import Given, options_of
from xpm.core.requirement import Need
from xpm.core.retries import Retries
from xpm.core.schema import refuse_reserved
from xpm.core.sealing import Sealing, seal, steps
from xpm.core.session import DEFAULTS, Job, Session, SubmitOptions, active
from xpm.core.tags import note_tag, tags_of
from xpm.errors import ConfigError, NoExperiment, NotSubmitted, SubmissionError
from xpm.types import Scalar

__all__ = ["Config", "Constant", "Dependent", "Meta", "Param", "PathGenerator", "Task", "field", "reference"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_NOTHING: Given = (None, None, (), None, None, None)
"""The options of a submission that names none."""

_RESTORED = "restored"
"""What `__new__` is given when a live object is unpickled or copied, which isn't calling its class."""


class _Describe:
    """`X.C`: to a type checker the class itself, so `X.C(...)` is checked like `X(...)` of a dataclass."""

    def __get__(self, instance: object, owner: type[T]) -> type[T]:
        return maker_of(owner).make  # type: ignore[return-value]


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class Config(Described):
    """A typed description of something: a model, a data set, an optimiser.

    Parameters are declared like a dataclass's fields; `X.C(...)` makes a description, which is checked at
    once; `.instance()`, or a job, makes the live object: `__init__()`, attributes, `__post_init__()`.

    Example:
        ```python
        class Model(Config):
            layers: Param[int] = 2

        Model.C(layers=3)
        ```
    """

    C = _Describe()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_reserved(cls)

    if not TYPE_CHECKING:  # to a type checker this would be the signature of `.C(...)`

        def __new__(cls, *args, **kwargs):  # noqa: D102
            if args != (_RESTORED,):
                raise ConfigError(f"use {cls.__name__}.C(...)")
            return allocate(cls)

        def __getnewargs__(self):
            return (_RESTORED,)

    def tag(self, name: str, value: Scalar) -> Self:
        """Gives the jobs that this belongs to the tag `name`; returns the description itself."""
        _description(self, "tag")
        note_tag(self, name, value)
        return self

    @property
    def tags(self) -> Mapping[str, Scalar]:
        """Its own tags and those of its parameters, dependencies included; its own win."""
        try:
            return MappingProxyType(tags_of(_description(self, "tags")))
        except RecursionError:
            cycle = way_back(self, {id(self)})
            if cycle is None:
                raise
            raise ConfigError(f"{type(self).__name__}{steps(cycle)}: contains itself") from None

    def copy(self, **changes: Any) -> Self:
        """A copy that can be changed, also of a submitted description; configs in it are copied, tasks shared."""
        copy = copy_of(_description(self, "copy"))
        for name, value in changes.items():
            setattr(copy, name, value)
        return copy

    def seal(self) -> Self:
        """Checks the whole description and makes it unchangeable, as submission does; returns it."""
        seal(_description(self, "seal"))
        return self

    def instance(self) -> Self:
        """The live object that it describes, made in this process."""
        return instance_of(_description(self, "instance"))


class Dependent(Protocol):
    """What `task_outputs` is given: marks a config as something that the task produces."""

    def __call__(self, config: T, /) -> T:
        """A copy of the description `config` that makes whoever uses it depend on the task."""
        ...


class _Executes(Protocol[T_co]):
    def execute(self) -> T_co: ...


class _Produces(Protocol[T_co]):
    def task_outputs(self, dep: Dependent, /) -> T_co: ...


class Task(Config, Submittable):
    """A config that can be executed: it defines `execute`, which a worker calls in the job's own directory.

    What `execute` returns is the job's result. A task used as a parameter of another is a dependency.

    Example:
        ```python
        class Train(Task):
            model: Param[Model]
            lr: Param[float]

            def execute(self) -> float: ...
        ```
    """

    @overload
    def submit(
        self: _Produces[T],
        *,
        queue: str | None = None,
        priority: int | None = None,
        requires: Sequence[Need] = (),
        retries: int | Retries | None = None,
        timeout: float | str | timedelta | None = None,
        not_before: datetime | timedelta | float | str | None = None,
    ) -> T: ...
    @overload
    def submit(
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        requires: Sequence[Need] = (),
        retries: int | Retries | None = None,
        timeout: float | str | timedelta | None = None,
        not_before: datetime | timedelta | float | str | None = None,
    ) -> Self: ...
    def submit(
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        requires: Sequence[Need] = (),
        retries: int | Retries | None = None,
        timeout: float | str | timedelta | None = None,
        not_before: datetime | timedelta | float | str | None = None,
        **unknown: Any,
    ) -> Any:
        """Hands the task to the open experiment, without waiting; a second call changes nothing.

        Args:
            queue: the queue whose workers run it; the experiment's own by default.
            priority: higher goes first; the experiment's own by default.
            requires: what it holds while it runs: `[gpu(2), lock("index").read()]`. Until all of it is free it
                waits, and holds nothing.
            retries: further attempts after a failure: how many, or `Retries(...)`; none by default.
            timeout: how long an attempt may take: seconds, a text like `"2h"`, or a timedelta.
            not_before: when it may start at the earliest: a moment, or seconds (a text, a timedelta) from now.
            unknown: what else was given: a mistake, which is told.

        Returns:
            What `task_outputs` returns if the task defines it, else the task.

        Raises:
            NoExperiment: outside of an experiment.
            ConfigError: a parameter is missing or wrong.
            SubmissionError: it can't become a job, or an option is wrong.
        """
        info = own_info(_description(self, "submit"))
        if info.session is not None:
            return self if info.output is None else info.output
        session = active()
        if session is None:
            raise NoExperiment()
        given = (queue, priority, requires, retries, timeout, not_before)
        options = DEFAULTS if given == _NOTHING and not unknown else _options(self, given, unknown)
        session.submit(self, options)
        info.session = session
        if not hasattr(type(self), "task_outputs"):
            return self
        info.output = _outputs(self, info)
        return info.output

    @overload
    def result(self: _Executes[T], timeout: float | None = None) -> T: ...
    @overload
    def result(self, timeout: float | None = None) -> Any: ...
    def result(self, timeout: float | None = None) -> Any:
        """Waits for the job and returns what `execute` returned.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            NotSubmitted: there is no job.
            JobFailed: with the traceback of the task.
            JobCancelled: the job was cancelled.
            JobHeld: the job is on HOLD, so waiting could take for ever.
            TimeoutError: the time is over.
        """
        return _session(self).result(self, timeout)

    @property
    def jobpath(self) -> Path:
        """The job's directory, known as soon as the task is submitted."""
        path = _session(self).jobpath(self)
        return in_directory(path, reference(self)) if isinstance(self, Description) else path

    def __xpm_stand_in__(self) -> Self | None:
        info = info_of(self)
        return None if info is None or info.ref is None else _stand_in(self, info, info.ref)

    @property
    def job(self) -> Job:
        """The task's job: `id`, `path`, `state`, `stdout`, `stderr`."""
        return _session(self).handle(self)


def _stand_in(live: Any, info: Info, ref: JobRef) -> Any:
    description = allocate(described_class(author_class(live)))
    stands = own_info(description)
    stands.sealed, stands.digest, stands.total = True, bytes.fromhex(ref.id), {}
    stands.ref, stands.session = ref, info.session
    return description


def _options(task: Any, given: Given, unknown: Mapping[str, Any]) -> SubmitOptions:
    try:
        return options_of(given, unknown)
    except SubmissionError as error:
        raise SubmissionError(f"{task.__xpm_schema__.label}.submit: {error}") from None


def reference(task: Task) -> JobRef:
    """The job of `task`, a submitted description or a live object in a job.

    Raises:
        NotSubmitted: it has none.
    """
    info = info_of(task)
    if info is None or info.ref is None:
        raise NotSubmitted(f"{type(task).__name__}: not submitted; call .submit() first")
    return info.ref


def _session(task: Task) -> Session:
    info = info_of(task)
    if info is None or info.session is None:
        raise NotSubmitted(f"{type(task).__name__}: not submitted; call .submit() first")
    return info.session


def _description(config: Any, method: str) -> Any:
    cls: type[Any] = config.__class__
    if not isinstance(config, Description):
        raise ConfigError(
            f"{cls.__name__}.{method}: only a description has it, as {cls.__name__}.C(...) makes"
        )
    return config


def _outputs(task: Any, info: Info) -> Any:
    def dep(config: T, /) -> T:
        return _produced(task, info, config)

    return task.task_outputs(dep)


def _produced(task: Any, info: Info, config: Any) -> Any:
    label = task.__xpm_schema__.label
    if not isinstance(config, Description) or isinstance(config, Submittable):
        raise ConfigError(
            f"{label}.task_outputs: expected a description of a config, got {type(config).__name__}"
        )
    Sealing(config, task, "out/outputs")
    copy = allocate(type(config))
    copy.__dict__.update(config.__dict__)
    # The copy shares the sealed values; the task's own config stays without the mark.
    before = own_info(config)
    marked = copy.__dict__[HIDDEN] = Info()
    marked.sealed, marked.generates, marked.home = True, before.generates, before.home
    marked.producer = info.ref
    marked.total = {**tags_of(task), **tags_of(config)}
    return copy
