"""Live objects: what runs, as against descriptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any, TypeVar

from xpm.core.frozen import thaw
from xpm.core.functions import Function
from xpm.core.identifier import digest
from xpm.core.info import HIDDEN, Description, Info, JobRef, Submittable, allocate, info_of, own_info
from xpm.core.places import folders_in
from xpm.core.provenance import made_at
from xpm.core.schema import Schema, schema_of
from xpm.core.session import Session
from xpm.core.valued import config_class, live_class
from xpm.errors import ConfigError

T = TypeVar("T")


def animate(config: Any, values: Mapping[str, Any]) -> None:
    """Makes the bare object `config` a live one: `__init__()`, attributes, `__post_init__()`."""
    hidden = info_of(config)
    config.__init__()
    if hidden is not None:
        config.__dict__[HIDDEN] = hidden
    for name, value in values.items():
        setattr(config, name, value)
    after = getattr(config, "__post_init__", None)
    if after is not None:
        after()


def bind(config: Any, session: Session, ref: JobRef) -> None:
    """Makes the live object `config` stand for the job `ref`: its `.result()` and `.jobpath` ask `session`."""
    info = own_info(config)
    info.session, info.ref = session, ref


def author_class(config: Any) -> type[Any]:
    """The class of a live object as its author wrote it, be the object filled or not."""
    classes: tuple[type[Any], ...] = config.__class__.__mro__
    return config_class(next(each for each in classes if not issubclass(each, _Deferred)))


def deferred(cls: type[T], fill: Callable[[T], None]) -> T:
    """A live object of `cls` that is built when it is first looked into.

    A job has its dependencies at hand, they have theirs, and so on to the first job of the experiment;
    built at once, all of these would be read from the disk by every job.

    Args:
        cls: the class of the object.
        fill: called with the bare object when an attribute is missing that `animate` would have set.
    """
    live = live_class(cls)
    config = allocate(_deferring(live))
    config.__dict__[_FILL] = (live, fill)
    return config


def is_filled(config: Any) -> bool:
    """Whether a live object has its attributes already."""
    return _FILL not in config.__dict__


@cache
def _deferring(cls: type[Any]) -> Any:
    schema_of(cls)  # takes the defaults off the class, where they would be found instead of the values
    make: Any = type(cls)
    return make(cls.__name__, (_Deferred, cls), {"__module__": cls.__module__})


_FILL = "__xpm_fill__"


class _Deferred:
    """Goes before the author's class until the object is built."""

    def __init_subclass__(cls) -> None:
        # Not passed on: the author's own hooks must not meet the generated class.
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _fill(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        _fill(self)
        setattr(self, name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        _fill(self)  # nothing else of it can go to another process
        return self.__reduce_ex__(protocol)

    def __deepcopy__(self, memo: object) -> Any:
        copy = allocate(self.__class__)
        copy.__dict__.update(self.__dict__)
        return copy


def filled(config: T) -> T:
    """`config`, with its attributes if it is a live object that had none yet."""
    live: Any = config
    if _FILL in live.__dict__:
        _fill(live)
    return config


def _fill(config: Any) -> None:
    cls, fill = config.__dict__.pop(_FILL)
    object.__setattr__(config, "__class__", cls)
    fill(config)


class DirectoryContext:
    """A directory for the generated paths of descriptions that have no job: `model.instance(DirectoryContext("trial"))`.

    They lie in it as in the directory of a job: those of the description itself directly, those of its parameter
    `model` in `out/model`. Nothing is made there.

    Args:
        path: the directory.
    """

    def __init__(self, path: str | PurePath) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"DirectoryContext({str(self.path)!r})"


class ObjectStore:
    """Live objects that several calls of `.instance(objects=store)` share: one description is one object in all.

    Example:
        ```python
        store = ObjectStore()
        model = train.model.instance(objects=store)
        assert train.instance(objects=store).model is model
        ```
    """

    def __init__(self) -> None:
        # With the description, whose `id` another one could have when it is gone.
        self._made: dict[int, tuple[Any, Any]] = {}
        self._executed: set[int] = set()

    def get(self, config: Any) -> Any:
        """The live object of the description `config`; None if there is none yet."""
        found = self._made.get(id(config))
        return None if found is None else found[1]

    def add(self, config: Any, live: Any) -> None:
        """Notes the live object of a description."""
        self._made[id(config)] = (config, live)

    def execute(self, live: Any) -> None:
        """Executes a live init task, once."""
        if id(live) not in self._executed:
            self._executed.add(id(live))
            live.execute()

    def __len__(self) -> int:
        return len(self._made)


def instance_of(config: Any) -> Any:
    """The live object that the description `config` describes; shared descriptions give shared objects."""
    return Instances().leaf(config)


class Instances:
    """Makes live objects of descriptions, of each one.

    Args:
        context: where generated paths lie that are not known otherwise.
        objects: takes the objects, and has those that were made before.
        bare_jobs: tasks of which nothing but the job is known are objects without attributes.
    """

    def __init__(
        self,
        context: DirectoryContext | None = None,
        objects: ObjectStore | None = None,
        *,
        bare_jobs: bool = False,
    ) -> None:
        self.context = context
        self.bare_jobs = bare_jobs
        self.objects = ObjectStore() if objects is None else objects
        self.open: set[int] = set()
        self.folders: dict[int, str] = {}
        """Where in the context's directory the paths of descriptions lie."""

    def root(self, config: Any, *, init: bool) -> Any:
        """The live object of a description on its own, and with `init`, after its init tasks were executed."""
        if self.context is not None:
            self.folders = folders_in(config)
        live = self.leaf(config)
        info = info_of(config)
        for each in info.init if info is not None and init else ():
            self.objects.execute(self.leaf(each))
        return live

    def leaf(self, value: Any) -> Any:
        """The live object of a description; any other value itself."""
        if type(value) is Function:
            return value.itself
        if not isinstance(value, Description):
            return value
        live = self.objects.get(value)
        if live is None:
            live = self._live(value)
            self.objects.add(value, live)
        return live

    def _live(self, config: Any) -> Any:
        schema: Schema = config.__xpm_schema__
        if id(config) in self.open:
            raise ConfigError(f"{schema.label}: contains itself")
        self.open.add(id(config))
        info = info_of(config)
        if info is not None and info.promise:
            raise ConfigError(
                f"{schema.label}: what a task returns is known when it is done; take its result()"
            )
        missing = schema.missing(config.__dict__)
        if missing and self.bare_jobs and info is not None and info.ref is not None:
            return _bare(schema.cls, info)
        if missing:
            raise ConfigError(f"{schema.label}.{missing[0]}: is missing{made_at(config)}")
        values = {name: thaw(config.__dict__[name], self.leaf) for name in schema.stored}
        if schema.generated:
            values.update(self._paths(config, schema))
        if info is None or not info.sealed:
            schema.judge(config, lambda: schema.label, made_at)
        live = (
            allocate(live_class(schema.cls))
            if info is None or info.asked is None or not isinstance(config, Submittable)
            else _bare(schema.cls, info)
        )
        cls: type[Any] = live.__class__
        if schema_of(cls).keyed:
            own_info(live).digest = digest(config)
        animate(live, values)
        self.open.discard(id(config))
        return live

    def _paths(self, config: Any, schema: Schema) -> dict[str, Path]:
        """The generated paths of a description: those of its job, or in the context's directory."""
        try:
            return {name: getattr(config, name) for name in schema.generated}
        except AttributeError as wrong:
            if self.context is None:
                raise ConfigError(f"{wrong}, or with .instance(DirectoryContext(...))") from None
        folder = self.folders.get(id(config), "")
        names = schema.path_names(config, folder).items()
        return {name: config.__dict__.get(name, self.context.path / folder / each) for name, each in names}


def _bare(cls: type[Any], info: Info) -> Any:
    """A live object of the task `cls` without attributes, which stands for the job of a description, if there is one."""
    live = allocate(live_class(cls))
    hidden = own_info(live)
    hidden.session, hidden.past, hidden.ref = info.session, info.past, info.ref
    return live
