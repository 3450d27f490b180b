"""Function tasks: `@task` makes a task of a function, whose parameters are the function's."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ForwardRef, Generic, ParamSpec, TypeVar, get_type_hints, overload

from xpm.core.config import Config, Restored, Task
from xpm.core.fields import Constant, Param, Role
from xpm.core.info import own_info
from xpm.core.kinds import shown
from xpm.core.naming import found_in
from xpm.core.promise import promised
from xpm.core.provenance import at, frame_above
from xpm.core.schema import schema_of
from xpm.errors import ConfigError

if TYPE_CHECKING:
    from typing import Self, Unpack

    from xpm.core.options import Options

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=Config)
R_co = TypeVar("R_co", covariant=True)

_FUNCTION = "__wrapped__"
_ROLES = re.compile(r"\b(Param|Meta|Constant|DataPath|OptionalDataPath)\b")


if TYPE_CHECKING:

    class Call(Task, Generic[R_co]):
        """What calling a function task makes: a description of the task."""

        def execute(self) -> R_co:
            """Calls the function."""
            ...

        @overload
        def submit(self: Call[C], **options: Unpack[Options]) -> C: ...
        @overload
        def submit(self, **options: Unpack[Options]) -> Self: ...
        # A config's task gives a promise, which the overloads of `Task` can't say.
        def submit(self, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            """As of any task; gives a promise where the function returns a config."""
            ...

    class FunctionTask(Generic[P, R]):
        """A function as a task: calling it describes the task, with the function's own parameters."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
            """Describes the task."""
            ...

        def C(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
            """The same."""
            ...

        def local(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Calls the function, here and now."""
            ...

else:
    Call = Task
    FunctionTask = Task


class _Called(Task):
    """The base of the classes that `task` makes."""

    def __new__(cls, *args: Any, **values: Any) -> Any:
        if len(args) == 1 and args[0] is Restored.LIVE:
            return super().__new__(cls, *args)
        made = cls.C(**_named(cls, args, values))
        own_info(made).at = at(frame_above(1))
        return made

    def task_outputs(self, dep: Any) -> Any:
        """What `submit()` gives: a promise of the config that the function returns, or else the task."""
        returned = _returned(getattr(type(self), _FUNCTION))
        return self if returned is None else promised(self, returned)

    def execute(self) -> Any:
        """Calls the function, and sees to it that it keeps what it promised."""
        function: Any = getattr(type(self), _FUNCTION)
        found = function(**{name: getattr(self, name) for name in function.__xpm_parameters__})
        returned = _returned(function)
        if returned is not None and not isinstance(found, returned):
            raise TypeError(
                f"{function.__qualname__} returned {shown(found)}, and promised {returned.__name__}"
            )
        return found


def _named(cls: Any, args: tuple[Any, ...], values: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by their names."""
    names: tuple[str, ...] = getattr(cls, _FUNCTION).__xpm_parameters__
    if len(args) > len(names):
        raise ConfigError(f"{cls.__name__}: takes {len(names)} parameters, got {len(args)}")
    given = dict(zip(names, args, strict=False))
    for name in given.keys() & values.keys():
        raise ConfigError(f"{cls.__name__}.{name}: is given twice")
    return {**given, **values}


@overload
def task(function: Callable[P, R], /) -> FunctionTask[P, R]: ...
@overload
def task(
    *, name: str | None = None, version: str | None = None
) -> Callable[[Callable[P, R]], FunctionTask[P, R]]: ...
def task(function: Any = None, /, *, name: str | None = None, version: str | None = None) -> Any:
    """Makes a task of a function: its parameters are the task's, and what it returns is the result.

    `train(lr=0.1)` then describes the task as `Train.C(lr=0.1)` would, and `train(lr=0.1).submit()` submits it;
    `train.local(lr=0.1)` calls the function. Each parameter needs a type; `Meta[int]` is one that doesn't count. The
    identifier is that of a class with the function's name and these parameters; the code doesn't count.

    Where the function returns a config (`-> Model`), `submit()` gives a description of that class, which is not known
    until the task is done: it can be the parameter of other tasks, whose jobs get what the function returned.

    Args:
        function: a function of a module, or of a script.
        name: the name in identifiers, instead of module and function.
        version: counts in the identifier; change it to make old results invalid.

    Raises:
        ConfigError: it has a parameter that can't be one of a task.

    Example:
        ```python
        @task
        def train(lr: float, model: Model, threads: Meta[int] = 1) -> float: ...

        train(lr=0.1, model=Model.C()).submit().result()
        ```
    """
    if function is None:
        return functools.partial(_made, name=name, version=version)
    return _made(function, name=name, version=version)


def _made(function: Any, *, name: str | None, version: str | None) -> Any:
    if not inspect.isfunction(function):
        raise ConfigError(f"task: expected a function, got {function!r}")
    parameters = _parameters(function)
    body: dict[str, Any] = {
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
        "__annotations__": {each.name: _annotation(each.annotation) for each in parameters},
        _FUNCTION: staticmethod(function),
        "local": staticmethod(_local(function)),
    }
    body |= {each.name: each.default for each in parameters if each.default is not each.empty}
    function.__dict__["__xpm_parameters__"] = tuple(each.name for each in parameters)
    if name is not None:
        body["__xpmid__"] = name
    if version is not None:
        body["__annotations__"]["version"] = Constant[str]
        body["version"] = version
    metaclass: Any = type(_Called)
    return metaclass(function.__name__, (_Called,), body)


def _parameters(function: Any) -> list[inspect.Parameter]:
    found = list(inspect.signature(function).parameters.values())
    for each in found:
        place = f"{function.__qualname__}.{each.name}"
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD, each.POSITIONAL_ONLY):
            raise ConfigError(f"{place}: a task has parameters by name only, no {each.kind.description} ones")
        if each.annotation is each.empty:
            raise ConfigError(f"{place}: needs its type, as in {each.name}: float")
        if each.name in ("version", "local") or each.name.startswith("__"):
            raise ConfigError(f"{place}: the name is reserved; choose another")
    return found


def _annotation(given: Any) -> Any:
    """The annotation of a parameter of the class, from that of the function's."""
    if isinstance(given, str):
        return given if _ROLES.search(given) else Param[ForwardRef(given)]  # type: ignore[valid-type]
    has_role = any(isinstance(note, Role) for note in getattr(given, "__metadata__", ()))
    return given if has_role else Param[given]


def _local(function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    def local(*args: Any, **values: Any) -> Any:
        cls = found_in(sys.modules[function.__module__], function.__qualname__)
        named = _named(cls, args, values)
        schema_of(cls).complete(named)
        return function(**{each: named[each] for each in function.__xpm_parameters__ if each in named})

    return local


def _returned(function: Any) -> type[Config] | None:
    """The config class that the function returns; None if it returns none, or a task, which has a job of its own."""
    annotation: Any = function.__annotations__.get("return")
    if isinstance(annotation, str):
        module = sys.modules.get(function.__module__)
        carrier = type("Carrier", (), {"__annotations__": {"it": annotation}})
        try:
            annotation = get_type_hints(carrier, vars(module) if module else {})["it"]
        except (NameError, AttributeError):
            return None  # a name that only a type checker has is that of no config, which would be imported
    if not isinstance(annotation, type) or not issubclass(annotation, Config) or issubclass(annotation, Task):
        return None
    found: type[Config] = annotation
    return found
