"""What xpm remembers about one config object, beside its parameters.

It lies in the object's `__dict__` under one hidden key: a slot would give `Config` a layout of its
own, and then it could not be mixed with exceptions or other classes written in C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import BuiltinMethodType, CodeType, MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from xpm.core.rules import NATIVE, Rules
from xpm.types import JobId, Scalar

if TYPE_CHECKING:
    from xpm.core.session import Session

HIDDEN = "__xpm__"
"""The key of the `Info` in an object's `__dict__`."""


class JobRef(NamedTuple):
    """A job as others name it: its identifier and its task's class name."""

    id: JobId
    task: str


class Home(NamedTuple):
    """Where the generated paths of a description lie."""

    task: Any
    """The task in whose job's directory they are."""
    folder: str
    """The folder there."""
    names: Mapping[str, str]
    """The paths in that folder, by their parameters."""


class Described:
    """Marks every config class, for the modules that `Config` itself is built on."""

    __xpm_rules__: ClassVar[Rules] = NATIVE
    """What the declarations in its body mean."""

    def __xpm_stand_in__(self) -> Any:
        """For a live object, the description that stands for it as a parameter of tasks; None if there is none."""
        return None


class Submittable(Described):
    """Marks the config classes that can be submitted."""

    def __xpm_title__(self) -> str:
        """What a description calls its job, if not by its class."""
        return ""


class Resumable(Submittable):
    """Marks those whose directory is kept between attempts."""


class Instanced(Described):
    """Marks the config classes whose equal descriptions are not the same thing."""

    known: ClassVar[bool] = False
    """Whether there is any: in most processes none is, and then nobody looks for them."""

    def __init_subclass__(cls) -> None:
        Instanced.known = True


class Lightweight(Described):
    """Marks the config classes that do something in the process of a job, before it."""


class Description:
    """Marks the generated classes whose instances are descriptions, not live objects."""


class Info:
    """The hidden part of a description, or of a live object that stands for a job."""

    # Class attributes as defaults: most objects ever set three or four of these.
    sealed: bool = False
    generates: bool = False
    """Sealed, and it or a config below it has generated paths."""
    digest: bytes | None = None
    """The identifier's 32 bytes, as others refer to it; only of a sealed description, and of a live object that needs it."""
    instances: tuple[Any, ...] | None = None
    """The descriptions below it that are told apart though equal, in the document's order; once it is sealed."""
    at: tuple[CodeType, int] | None = None
    """Where in the code it was made."""
    given: tuple[str, ...] = ()
    """The parameters that it was given then."""
    places: Mapping[str, tuple[CodeType, int]] = MappingProxyType({})
    """Where parameters were set later."""
    tags: dict[str, Scalar] | None = None
    """Its own tags."""
    studied: frozenset[str] = frozenset()
    """Those of them that follow the parameter of their name."""
    apart: frozenset[str] = frozenset()
    """Tags of its parameters that are called `parameter.name` whatever their values are."""
    kept: frozenset[str] | None = frozenset()
    """Those that what has it as a parameter does not get; None is all, also those of its own parameters."""
    total: dict[str, Scalar] | None = None
    """All its tags, those of its parameters included; only of a sealed description."""
    ref: JobRef | None = None
    """The job that it describes."""
    session: Session | None = None
    """Who took it; None until then."""
    past: Session | None = None
    """Who answers for its job, if it was not submitted here but loaded from the job's directory."""
    home: Home | None = None
    """Where its generated paths lie."""
    producer: JobRef | None = None
    """The job that gave it out."""
    meant: Any = None
    """The description that it stands for, if its class is deprecated; once it is sealed."""
    former: tuple[JobRef, ...] = ()
    """The jobs that were the same before classes were renamed: of a task, or of the one that gave it out."""
    meta: bool | None = None
    """Whether it counts in the identifier of what holds it: True, no; False, yes, also for a `Meta`; None, as declared."""
    init: tuple[Any, ...] = ()
    """What is executed before it in its process, in this order: of a description that is submitted, or a live object."""
    promise: bool = False
    """It is what that job will have returned: nothing else is known of it."""
    loose: bool = False
    """Whoever uses it doesn't wait for the end of that job."""
    callbacks: tuple[Callable[[Session], Callable[[], None]], ...] = ()
    """What is to be registered when it is submitted: each is checked first, and gives what registers it."""
    output: Any = None
    """What `submit` returned, if that isn't the task (which would be a cycle for the collector)."""

    @property
    def asked(self) -> Session | None:
        """Who answers for its job."""
        return self.session or self.past

    def __reduce__(self) -> tuple[Any, ...]:
        # A session holds connections; a live object that travels between processes leaves it behind.
        return (_restored, (self.ref,))


def _restored(ref: JobRef | None) -> Info:
    info = Info()
    info.ref = ref
    return info


def info_of(config: Any) -> Info | None:
    """The hidden part of `config`, if it has one yet."""
    return config.__dict__.get(HIDDEN)


def own_info(config: Any) -> Info:
    """The hidden part of `config`, made when there is none."""
    values = config.__dict__
    info = values.get(HIDDEN)
    if info is None:
        info = values[HIDDEN] = Info()
    return info


def left_out(value: Any) -> bool:
    """Whether `value` is a description that was set to count nowhere."""
    if not isinstance(value, Description):
        return False
    info = value.__dict__.get(HIDDEN)
    return info is not None and info.meta is True


def allocator(cls: type[Any]) -> Callable[[type[Any]], Any]:
    """What makes a bare instance of `cls`, whose own `__new__` and `__init__` then don't run."""
    for base in cls.__mro__:
        new: Any = base.__dict__.get("__new__")
        if isinstance(new, BuiltinMethodType):
            return new
    raise TypeError(f"{cls.__name__} has no base")  # pragma: no cover - the last base, object, has a __new__


def allocate(cls: type[Any]) -> Any:
    """A bare instance of `cls`: neither its own `__new__` nor its `__init__` runs."""
    return allocator(cls)(cls)
