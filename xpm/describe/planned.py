"""Plans that are written in YAML: which tasks there are to be, of which parameters, and what depends on what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast, get_args, get_origin

from xpm.core.grid import Grid, grid
from xpm.core.info import Described, Submittable
from xpm.core.kinds import shown
from xpm.core.options import NAMES, options_of
from xpm.core.retries import Retries
from xpm.core.schema import Declared, schema_of
from xpm.core.spelling import nearest
from xpm.core.tags import tag
from xpm.describe.configuration import Varied
from xpm.describe.definitions import PLAN, SECTIONS, defined_in
from xpm.describe.params import fitted
from xpm.describe.written import mapping, text_of, told
from xpm.describe.yamls import Node, read_file
from xpm.errors import SubmissionError

Give = Callable[["Grid[Any]", Mapping[str, Any]], Sequence[Any]]
"""What makes of the descriptions of a step those that other steps refer to; it gets the step's options, too."""

_STEP = ("task", "type", "with", "tags", "submit")
_SUBMIT = ("queue", "priority", "retries", "timeout", "not_before")
_RETRIES = ("times", "on", "delay", "factor", "most", "jitter")


def is_plan(path: Path) -> bool:
    """Whether the YAML file at `path` is a plan, and not what something else is called with.

    Raises:
        UsageError: it can't be read.
        ConfigError: it is no YAML.
    """
    document = read_file(path)
    return isinstance(document.value, dict) and "plan" in document.value


class Plan:
    """A plan that a file describes.

    Args:
        path: the file, which has definitions, or names others that do, and steps below `plan`.

    Raises:
        UsageError: it can't be read.
        ConfigError: something in it is wrong, with its line.
    """

    def __init__(self, path: Path) -> None:
        given = mapping(read_file(path), "a plan", (*SECTIONS, *PLAN))
        self.name = text_of(given["experiment"]) if "experiment" in given else path.stem
        """The experiment's."""
        self._module = defined_in(path)
        self._steps = given["plan"].mapping("the plan")
        self.make(lambda made, options: list(made))  # so that mistakes are told before anything is submitted

    def submit(self) -> dict[str, Sequence[Any]]:
        """Submits the tasks to the open experiment; what the steps gave, by their names."""
        return self.make(lambda made, options: made.submit(**options))

    def make(self, give: Give) -> dict[str, Sequence[Any]]:
        """What the steps give, in their order, where `give` makes it of the descriptions of tasks."""
        steps = _Steps(self._module)
        for name, node in self._steps.items():
            steps.add(name, node, give)
        return steps.given


class _Steps:
    """The steps that have been read so far."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self.given: dict[str, Sequence[Any]] = {}

    def add(self, name: str, node: Node, give: Give) -> None:
        """Reads one more."""
        step = mapping(node, "a step", _STEP)
        kinds = [each for each in ("task", "type") if each in step]
        if len(kinds) != 1:
            raise node.wrong(f"{name}: a step needs the name of its task, or of a type")
        cls = self._class(step[kinds[0]], kinds[0] == "task")
        values = step["with"].mapping("the parameters") if "with" in step else {}
        made = self._grid(name, cls, values, node, _tags(step))
        if kinds[0] == "task":
            self.given[name] = give(made, _options(step["submit"]) if "submit" in step else {})
        elif "submit" in step:
            raise step["submit"].wrong(f"{name}: only a task can be submitted, {cls.__name__} is a type")
        else:
            self.given[name] = list(made)

    def _class(self, node: Node, is_task: bool) -> Any:
        name = text_of(node)
        classes = {
            each: found
            for each, found in vars(self._module).items()
            if isinstance(found, type) and issubclass(found, Described)
        }
        found = classes.get(name)
        if found is None:
            what = "task" if is_task else "type"
            raise node.wrong(f"no {what} {name!r}{nearest(name, classes) or _among(classes)}")
        if issubclass(found, Submittable) is not is_task:
            raise node.wrong(
                f"{name} is a {'type' if is_task else 'task'}: write {'type' if is_task else 'task'}:"
            )
        return found

    def _grid(
        self, place: str, cls: Any, values: Mapping[str, Node], node: Node, tags: Mapping[str, Node]
    ) -> Grid[Any]:
        """All descriptions of a class that the values stand for."""
        schema = schema_of(cls)
        fixed: dict[str, Any] = {}
        varied: dict[str, Any] = {}
        for name, each in values.items():
            declared = schema.fields.get(name)
            if declared is None:
                raise each.wrong(f"{place}: {schema.unknown(name)}")
            found = self._value(each, declared, f"{place}.{name}")
            if isinstance(found, Varied):
                varied[name] = [_admitted(cls, name, one, each) for one in found.values]
            elif isinstance(found, Grid):
                varied[name] = cast("Grid[Any]", found)
            else:
                fixed[name] = _admitted(cls, name, found, each)
        for name, each in tags.items():
            if name not in values:
                raise each.wrong(f"{place}: {name} is given no value here that could be a tag")
            if name in fixed:
                fixed[name] = tag(fixed[name])
        base = told(node, lambda: cls.C(**fixed))
        missing = [name for name in schema.missing(base.__dict__) if name not in varied]
        if missing:
            raise node.wrong(f"{place}: {schema.label}.{missing[0]}: is missing")
        return told(node, lambda: grid(base, varied) if varied else grid([base]))

    def _value(self, node: Node, declared: Declared, place: str) -> Any:
        """A value, a `Varied`, or a grid of descriptions."""
        cls, container = _config_in(declared.hint)
        if cls is None or node.value is None:
            return fitted((node,), declared.hint, (place,))
        if container is None:
            return self._descriptions(node, cls, place)
        if container is dict:
            named = node.mapping(place)
            return {key: self._one(each, cls, f"{place}.{key}") for key, each in named.items()}
        nodes = node.value if isinstance(node.value, list) else [node]
        return container([each for inner in nodes for each in self._all(inner, cls, place)])

    def _descriptions(self, node: Node, cls: Any, place: str) -> Any:
        found = self._all(node, cls, place)
        if isinstance(found, Grid):
            return found[0] if len(found) == 1 else found
        return found[0] if len(found) == 1 else Varied(list(found), node.place)

    def _one(self, node: Node, cls: Any, place: str) -> Any:
        found = self._all(node, cls, place)
        if len(found) != 1:
            raise node.wrong(f"{place}: expected one {cls.__name__}, got {len(found)}")
        return found[0]

    def _all(self, node: Node, cls: Any, place: str) -> Sequence[Any] | Grid[Any]:
        """What a step gave that is named here, or the configs that are described here."""
        if isinstance(node.value, str):
            if node.value not in self.given:
                raise node.wrong(
                    f"{place}: no step {node.value!r} before this one"
                    f"{nearest(node.value, self.given) or _among(self.given)}"
                )
            return self.given[node.value]
        if not isinstance(node.value, dict) or issubclass(cls, Submittable):
            what = (
                "the name of a step"
                if issubclass(cls, Submittable)
                else f"a step, or the values of a {cls.__name__}"
            )
            raise node.wrong(f"{place}: expected {what}, got {shown(node.plain())}")
        values = dict(node.mapping(place))
        own = self._class(values.pop("type"), False) if "type" in values else cls
        return self._grid(place, own, values, node, {})


def _among(names: Mapping[str, Any]) -> str:
    return f"; there are {', '.join(names)}" if names else ""


def _config_in(hint: Any) -> tuple[Any, Any]:
    """The config class that a type is, or is made of, and the container that it stands in."""
    if isinstance(hint, type) and get_origin(hint) is None:
        return (hint, None) if issubclass(hint, Described) else (None, None)
    origin = get_origin(hint)
    for each in get_args(hint):
        cls, inner = _config_in(each)
        if cls is not None:
            return cls, origin if origin in (list, tuple, set, frozenset, dict) else inner
    return None, None


def _admitted(cls: Any, name: str, value: Any, node: Node) -> Any:
    return told(node, lambda: schema_of(cls).admit(name, value))


def _tags(step: Mapping[str, Node]) -> dict[str, Node]:
    if "tags" not in step:
        return {}
    node = step["tags"]
    nodes = node.value if isinstance(node.value, list) else [node]
    return {text_of(each): each for each in nodes}


def _options(node: Node) -> dict[str, Any]:
    """The options of `submit`."""
    given = {name: each.plain() for name, each in mapping(node, "submit", _SUBMIT).items()}
    if isinstance(given.get("retries"), dict):
        inner = node.mapping("submit")["retries"]
        values = {name: each.plain() for name, each in mapping(inner, "retries", _RETRIES).items()}
        if "times" not in values:
            raise inner.wrong("retries: needs times: how many")
        if isinstance(values.get("on"), list):
            values["on"] = tuple(values["on"])
        given["retries"] = _submittable(inner, lambda: Retries(**values))
    ordered: Any = tuple(given.get(name, () if name == "requires" else None) for name in NAMES)
    _submittable(node, lambda: options_of(ordered, {}))
    return given


def _submittable(node: Node, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except SubmissionError as wrong:
        raise node.wrong(f"submit: {wrong}") from None
