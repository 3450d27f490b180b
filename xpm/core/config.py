"""`Config` and `Task`: what a researcher's classes are derived from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast, dataclass_transform, overload

from xpm.core.composing import taker
from xpm.core.copying import copy_of
from xpm.core.cycles import way_back
from xpm.core.description import maker_of, stand_in
from xpm.core.fields import Constant, Meta, Param, PathGenerator, field
from xpm.core.handing import asked_of, call_back, described, hand_over, refuse_uncallable
from xpm.core.info import (
    Described,
    Description,
    JobRef,
    Lightweight,
    Resumable,
    Submittable,
    allocate,
    info_of,
    own_info,
)
from xpm.core.jobpath import in_directory
from xpm.core.lengths import Wait, seconds
from xpm.core.live import DirectoryContext, Instances, ObjectStore, author_class
from xpm.core.outputs import Dependent
from xpm.core.places import steps
from xpm.core.provenance import at, frame_above, moved, note_set
from xpm.core.requirement import Need
from xpm.core.retries import Retries
from xpm.core.schema import refuse_reserved
from xpm.core.sealing import seal
from xpm.core.session import Job, active
from xpm.core.tags import note_tag, tags_of
from xpm.core.valued import live_class, name_value_class, set_value_class
from xpm.errors import ConfigError, NotSubmitted
from xpm.types import Scalar

__all__ = [
    "Config",
    "Constant",
    "Dependent",
    "LightweightTask",
    "Meta",
    "Param",
    "PathGenerator",
    "Task",
    "field",
    "reference",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")


class Restored(Enum):
    """What `__new__` is given when a live object is unpickled or copied, which isn't calling its class."""

    LIVE = 1


class _Describe:
    """`X.C`: to a type checker the class itself, so `X.C(...)` is checked like `X(...)` of a dataclass."""

    def __get__(self, instance: object, owner: type[T]) -> type[T]:
        return maker_of(owner).make  # type: ignore[return-value]


class _Live:
    """`X.Live`: the class of the live objects, which is loaded; to a type checker the class itself."""

    def __get__(self, instance: object, owner: type[T]) -> type[T]:
        return live_class(owner)


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

    Live = _Live()

    def __init_subclass__(cls, *, value_class: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_reserved(cls)
        if value_class is not None:
            name_value_class(cls, value_class)

    if not TYPE_CHECKING:  # to a type checker this would be the signature of `.C(...)`

        def __new__(cls, *args, **kwargs):  # noqa: D102
            if not (len(args) == 1 and args[0] is Restored.LIVE):
                raise ConfigError(f"use {cls.__name__}.C(...)")
            return allocate(cls)

        def __getnewargs__(self):
            return (Restored.LIVE,)

    def tag(self, name: str, value: Scalar) -> Self:
        """Gives the jobs that this belongs to the tag `name`; returns the description itself."""
        described(self, "tag")
        note_tag(self, name, value)
        return self

    @property
    def tags(self) -> Mapping[str, Scalar]:
        """Its own tags and those of its parameters, dependencies included; its own win.

        A live task has those of its job, of all experiments that list it.
        """
        info = info_of(self)
        if info is not None and info.asked is not None and not isinstance(self, Description):
            return MappingProxyType(dict(info.asked.tags(cast("Any", self))))
        try:
            return MappingProxyType(tags_of(described(self, "tags")))
        except RecursionError:
            cycle = way_back(self, {id(self)})
            if cycle is None:
                raise
            raise ConfigError(f"{type(self).__name__}{steps(cycle)}: contains itself") from None

    def __matmul__(self, inner: Config) -> Self:
        """Gives `inner` to the one parameter that takes it and was not given yet; returns the description itself.

        `Train.C(lr=0.1) @ Model.C() @ Data.C()` is `Train.C(lr=0.1, model=Model.C(), data=Data.C())`.

        Raises:
            ConfigError: no parameter takes it, or more than one does.
        """
        name = taker(described(self, "@"), inner)
        setattr(self, name, inner)
        note_set(own_info(self), name, at(frame_above(1)))
        return self

    def copy(self, **changes: Any) -> Self:
        """A copy that can be changed, also of a submitted description; configs in it are copied, tasks and their outputs shared."""
        copy = copy_of(described(self, "copy"))
        place = at(frame_above(1))
        if copy is not self:
            moved(own_info(copy), place)
        for name, value in changes.items():
            setattr(copy, name, value)
            note_set(own_info(copy), name, place)
        return copy

    def seal(self) -> Self:
        """Checks the whole description and makes it unchangeable, as submission does; returns it."""
        seal(described(self, "seal"))
        return self

    @classmethod
    def value_class(cls) -> Callable[[type[V]], type[V]]:
        """Decorates the class that live objects are made of, where that is another one: its *value class*.

        It is derived from the config class, and from the value classes of its parents. Where it needs what is heavy to
        import, it stands in a module of its own, which the config class names: `class Model(Config,
        value_class="lab.torch_models:TorchModel")`.

        Raises:
            ConfigError: it is derived from something else, or there is another one.
        """

        def decorate(value: type[V]) -> type[V]:
            set_value_class(cls, value)
            return value

        return decorate

    def instance(
        self,
        context: DirectoryContext | None = None,
        *,
        objects: ObjectStore | None = None,
        init: bool = False,
    ) -> Self:
        """The live object that it describes, made in this process.

        Args:
            context: where the generated paths of what was not submitted lie.
            objects: has the live objects that were made before, and takes those that are made.
            init: execute the init tasks that it was submitted with, or saved with, on the objects; once for each
                object store.

        Raises:
            ConfigError: a parameter is missing, or a generated path is not known.
        """
        return Instances(context, objects).root(described(self, "instance"), init=init)

    def register_task_output(self, method: Callable[..., Any], /, **arguments: Any) -> None:
        """In a running `ResumableTask`: says that there is something new, for those who `watch_output`.

        It returns when they have been told, and does nothing outside of a job. What was registered before, by this
        attempt or an earlier one, is not told again.

        Args:
            method: describes what there is: a method of the task, or of a config in it.
            arguments: for the method; JSON.

        Raises:
            ConfigError: it is no such method, or an argument is no JSON.
            JobError: this execution of the job has ended, or its task is no `ResumableTask`.
        """
        session = active()
        if session is not None:
            session.register(method, arguments)

    def __xpm_stand_in__(self) -> Any:
        session = active()
        return None if session is None else session.describe(self)


class LightweightTask(Config, Lightweight):
    """A config whose `execute` is called in the process of a job, before the job's own task: an *init task*.

    It works on the objects of the task: it loads parameters into a model that the task has, too. It has no job and no
    result; what it needs of other tasks makes the job depend on them.

    Example:
        ```python
        class Load(LightweightTask):
            model: Param[Model]
            path: Meta[Path]

            def execute(self) -> None:
                self.model.load(self.path)

        Evaluate.C(model=model).submit(init_tasks=[Load.C(model=model, path=path)])
        ```
    """


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
        requires: Need | Sequence[Need] = (),
        retries: int | Retries | None = None,
        timeout: float | str | timedelta | None = None,
        not_before: datetime | timedelta | float | str | None = None,
        init_tasks: Sequence[LightweightTask] = (),
    ) -> T: ...
    @overload
    def submit(
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        requires: Need | Sequence[Need] = (),
        retries: int | Retries | None = None,
        timeout: float | str | timedelta | None = None,
        not_before: datetime | timedelta | float | str | None = None,
        init_tasks: Sequence[LightweightTask] = (),
    ) -> Self: ...
    def submit(
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        requires: Need | Sequence[Need] = (),
        retries: int | Retries | None = None,
        timeout: float | str | timedelta | None = None,
        not_before: datetime | timedelta | float | str | None = None,
        init_tasks: Sequence[LightweightTask] = (),
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
            init_tasks: what is executed before it in its process, in this order; they count in its identifier.
            unknown: what else was given: a mistake, which is told.

        Returns:
            What `task_outputs` returns if the task defines it, else the task.

        Raises:
            NoExperiment: outside of an experiment.
            ConfigError: a parameter is missing or wrong.
            SubmissionError: it can't become a job, or an option is wrong.
        """
        given = (queue, priority, requires, retries, timeout, not_before)
        return hand_over(self, given, init_tasks, unknown)

    @overload
    def result(self: _Executes[T], timeout: Wait = None) -> T: ...
    @overload
    def result(self, timeout: Wait = None) -> Any: ...
    def result(self, timeout: Wait = None) -> Any:
        """Waits for the job and returns what `execute` returned.

        Args:
            timeout: how long to wait: seconds, a text like `"2h"`, a timedelta; None waits as long as it takes.

        Raises:
            NotSubmitted: there is no job.
            SubmissionError: there is no such time.
            JobFailed: with the traceback of the task.
            JobCancelled: the job was cancelled.
            JobHeld: the job is on HOLD behind a failure, or by the brake: waiting could take for ever.
            TimeoutError: the time is over.
        """
        limit = None if timeout is None else seconds(timeout, "result(): timeout", least=0)
        return asked_of(self).result(self, limit)

    def on_completed(self, callback: Callable[[Self], object] | Callable[[], object]) -> Self:
        """Calls a function when the task is done, and only then; what it submits belongs to the experiment.

        A function that a worker can import becomes a job, which is run once by any worker, script or no script. A
        lambda, or what else only this process has, is called by the script while that waits, in each of its runs.

        Args:
            callback: takes the task, or nothing.

        Returns:
            The task, submitted or not.

        Raises:
            ConfigError: it is no function, or takes more arguments.
            UsageError: only the script could call it, and that doesn't stay.
        """
        refuse_uncallable(f"{type(self).__name__}.on_completed", callback)
        return call_back(self, "on_completed", lambda session: session.on_completed(self, callback))

    def watch_output(self, method: Callable[..., T], callback: Callable[[T], object]) -> Self:
        """Calls a function for each output that the task registers while it runs, as soon as it does.

        A function that a worker can import becomes a job for each output; another is called by the script while that
        waits, in each of its runs.

        Args:
            method: as the task names it in `register_task_output`: one of its own methods, or of a config in it.
                It is called with a marker and the registered arguments, and returns a description.
            callback: takes what the method returns.

        Returns:
            The task, submitted or not.

        Raises:
            ConfigError: the task isn't a `ResumableTask`, or one of the two is not what is expected.
            UsageError: only the script could call it, and that doesn't stay.
        """
        if not isinstance(self, Resumable):
            raise ConfigError(
                f"{type(self).__name__}.watch_output: only a ResumableTask keeps its outputs when it is attempted "
                "again; derive it from that"
            )
        refuse_uncallable(f"{type(self).__name__}.watch_output", callback)
        return call_back(self, "watch_output", lambda session: session.watch_output(self, method, callback))

    @property
    def jobpath(self) -> Path:
        """The job's directory, known as soon as the task is submitted."""
        path = asked_of(self).jobpath(self)
        return in_directory(path, reference(self)) if isinstance(self, Description) else path

    def __xpm_stand_in__(self) -> Any:
        info = info_of(self)
        if info is None or info.ref is None:
            return None
        description = stand_in(author_class(self), info.ref)
        hidden = own_info(description)
        hidden.session, hidden.past = info.session, info.past
        return description

    @property
    def __tags__(self) -> dict[str, Scalar]:
        """The same as `tags`, as experimaestro calls it."""
        return dict(self.tags)

    @property
    def job(self) -> Job:
        """The task's job: `id`, `path`, `state`, `stdout`, `stderr`."""
        return asked_of(self).handle(self)


def reference(task: Task) -> JobRef:
    """The job of `task`, a submitted description or a live object in a job.

    Raises:
        NotSubmitted: it has none.
    """
    info = info_of(task)
    if info is None or info.ref is None:
        raise NotSubmitted(f"{type(task).__name__}: not submitted; call .submit() first")
    return info.ref
