"""What a task gives out: the configs of its `task_outputs`, and those that it registers while it runs."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from xpm.core.info import HIDDEN, Described, Description, Info, Submittable, allocate, own_info
from xpm.core.places import steps
from xpm.core.schema import Schema, schema_of
from xpm.core.sealing import Sealing
from xpm.core.tags import tags_of
from xpm.errors import ConfigError

T = TypeVar("T")


class Dependent(Protocol):
    """What `task_outputs` is given: marks a config as something that the task produces."""

    def __call__(self, config: T, /) -> T:
        """A copy of the description `config` that makes whoever uses it depend on the task."""
        ...


class Output(NamedTuple):
    """Something that a running task has registered: the arguments for a method that describes it."""

    place: str
    """Where in the task the config is that has the method; empty for the task itself."""
    method: str
    arguments: str
    """The named ones, as JSON with sorted keys."""


def outputs_of(task: Any) -> Any:
    """What the submitted description `task` gives out by its `task_outputs`."""
    return task.task_outputs(marker(task, "task_outputs"))


def marker(task: Any, method: str, *, loose: bool = False) -> Dependent:
    """What marks configs as something that the submitted description `task` gives out.

    Args:
        task: which gives them out.
        method: what describes them, for messages.
        loose: whoever uses them doesn't wait for the task's end.
    """

    def dep(config: T, /) -> T:
        return cast("T", _produced(task, method, config, loose=loose))

    return dep


def _produced(task: Any, method: str, config: Any, *, loose: bool) -> Any:
    label = task.__xpm_schema__.label
    if not isinstance(config, Description) or isinstance(config, Submittable):
        raise ConfigError(
            f"{label}.{method}: expected a description of a config, got {type(config).__name__}"
        )
    Sealing(config, task, "out/outputs")
    copy = allocate(type(config))
    copy.__dict__.update(config.__dict__)
    # The copy shares the sealed values; the task's own config stays without the mark.
    before = own_info(config)
    marked = copy.__dict__[HIDDEN] = Info()
    marked.sealed, marked.generates, marked.home = True, before.generates, before.home
    marked.producer, marked.loose, marked.meta = own_info(task).ref, loose, before.meta
    marked.former = own_info(task).former
    marked.total = {**tags_of(task), **tags_of(config)}
    return copy


def describe_output(task: Any, output: Output) -> Any:
    """What a task has registered, as the method describes it; whoever uses it does not wait for the task's end.

    Args:
        task: the task's description, which was submitted.
        output: what was registered.

    Raises:
        ConfigError: the task has no such method any more, or it gives a task.
    """
    label: str = task.__xpm_schema__.label
    owner = next((config for place, config in places(task) if place == output.place), None)
    method: Callable[..., Any] | None = getattr(owner, output.method, None)
    if method is None:
        raise ConfigError(f"{label}{output.place}.{output.method}: there is no such method")
    found = method(marker(task, output.method, loose=True), **json.loads(output.arguments))
    if isinstance(found, Description) and own_info(found).producer is None:
        return _produced(task, output.method, found, loose=True)
    return found


def output_of(task: Any, method: Any, arguments: Mapping[str, Any]) -> Output:
    """The output that `method` of `task`, or of a config in it, describes for these arguments.

    Raises:
        ConfigError: it is no such method, doesn't take these arguments, or one can't be written down.
    """
    place, name = method_of(task, method)
    signature: Any = importlib.import_module("inspect").signature(method)  # few tasks register outputs
    try:
        signature.bind(None, **arguments)  # the first is `dep`
    except TypeError as wrong:
        raise ConfigError(f"register_task_output({name}): {wrong}") from None
    try:
        text = json.dumps(dict(arguments), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as wrong:
        raise ConfigError(f"register_task_output({name}): an argument is no JSON: {wrong}") from None
    return Output(place, name, text)


def method_of(task: Any, method: Any) -> tuple[str, str]:
    """Where in `task` the config is whose method `method` is, and the method's name.

    Raises:
        ConfigError: it is no method of the task, or of a config in it.
    """
    owner = getattr(method, "__self__", None)
    label = _schema(task).label
    if owner is None or not callable(method):
        raise ConfigError(f"{label}: expected a method like {label.lower()}.checkpoint, got {method!r}")
    place = next((place for place, config in places(task) if config is owner), None)
    if place is None:
        raise ConfigError(
            f"{label}: {method.__qualname__} is a method of another {type(owner).__name__}: "
            "expected one of the task, or of a config among its parameters"
        )
    return place, str(method.__name__)


def places(config: Any) -> Iterator[tuple[str, Any]]:
    """`config` and the configs in it, live or described, with the ways to them, such as `.models[0]`.

    Other tasks are left out, and so is what is in sets: their elements are in no order.
    """
    return ((way, each) for way, each in parts(config) if not way or not isinstance(each, Submittable))


def parts(config: Any, way: str = "") -> Iterator[tuple[str, Any]]:
    """The same with the tasks that `config` depends on directly, in which nothing is looked for."""
    yield way, config
    for name in _schema(config).holders:
        yield from _below(config.__dict__.get(name), f"{way}.{name}")


def _below(value: Any, way: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Submittable):
        yield way, value
    elif isinstance(value, Described):
        yield from parts(value, way)
    elif isinstance(value, list | tuple):
        for at, each in enumerate(cast("list[Any]", value)):
            yield from _below(each, way + steps([(at, False)]))
    elif isinstance(value, dict):
        for key, each in cast("dict[Any, Any]", value).items():
            yield from _below(each, way + steps([(key, False)]))


def _schema(config: Any) -> Schema:
    cls: type[Any] = config.__class__
    return schema_of(cls)
