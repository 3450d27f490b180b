"""What a config class declares, read once per class and compiled for speed.

A script may submit 100,000 tasks of a class; whatever depends on the class alone is computed here, on
its first use: forward references in annotations can be resolved by then.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from xpm.core.annotations import FIELDS, bindings, kind_of, narrows, substituted
from xpm.core.copying import copied
from xpm.core.fields import UNSET, Carried, Field, Foreign, Groups, ParameterGroup, PathGenerator, Role
from xpm.core.info import Described, Description, Submittable
from xpm.core.kinds import Holds, Kind, Mismatch, Unsupported, shown
from xpm.core.limits import limited
from xpm.core.naming import class_name
from xpm.core.rules import Declaration, Rules
from xpm.core.spelling import nearest
from xpm.errors import ConfigError

RESERVED = frozenset(
    {
        "C",
        "Live",
        "copy",
        "execute",
        "init_tasks",
        "instance",
        "job",
        "jobpath",
        "on_completed",
        "register_task_output",
        "result",
        "seal",
    }
    | {"submit", "tag", "tags", "value_class", "watch_output"}
)
"""Names that no parameter can have."""

SCHEMA = "__xpm_schema__"
"""The attribute that holds a class's schema; a description's own is reached most quickly by its name."""


DEPRECATED = "__xpm_deprecated__"
"""The attribute of a class that says what has replaced it."""

KEYED = "__xpm_keyed__"
"""The attribute of a method that needs the identifier of its live object."""


class Declared(NamedTuple):
    """One parameter of a class."""

    name: str
    role: Role
    kind: Kind
    default: Any
    factory: Callable[[], Any] | None
    ignore_default: bool
    hint: Any = None
    """Its type, as it is declared."""
    notes: tuple[Any, ...] = ()
    """What is declared of its values beside their type."""

    @property
    def carried(self) -> bool:
        """Whether its file is saved with the description."""
        return any(isinstance(note, Carried) for note in self.notes)

    @property
    def foreign(self) -> bool:
        """Whether the configs in it may have generated paths in the directory of another job."""
        return any(isinstance(note, Foreign) for note in self.notes)

    @property
    def groups(self) -> frozenset[ParameterGroup]:
        """The groups that it is in."""
        return frozenset(each for note in self.notes if isinstance(note, Groups) for each in note.groups)

    @property
    def generator(self) -> PathGenerator | None:
        """What makes its path at submission, if it has a generated one."""
        return self.factory if isinstance(self.factory, PathGenerator) else None


def _values_of(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """A function from a dict to the tuple of its values under `names`, in C where it can be."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


class Schema:
    """The parameters of one class, and what follows from them."""

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        self.label: str = cls.__name__
        self.rules: Rules = cls.__xpm_rules__
        self.deprecation: Any = cls.__dict__.get(DEPRECATED)
        """What has replaced the class: see `xpm.core.deprecation`."""
        self._name: str | None = None
        self.fields: dict[str, Declared] = {each.name: each for each in _declared(cls)}
        """All parameters, those of base classes first, in the order of the source."""
        self.validate: Callable[[Any], object] | None = getattr(cls, "__validate__", None)
        """What looks at a whole description, by the class itself."""
        self.keyed = any(
            isinstance(each, types.FunctionType) and KEYED in each.__dict__
            for base in cls.__mro__
            for each in base.__dict__.values()
        )
        """Whether a method needs the identifier of its live object."""
        self._compile_paths()
        self._compile_places()
        self._compile_identity()
        self._compile_label()
        self._compile_checks()

    def _compile_paths(self) -> None:
        self.generated: dict[str, PathGenerator] = {}
        for name, each in self.fields.items():
            if each.generator is not None:
                self.generated[name] = each.generator
        self.partials = {
            name: each.partial for name, each in self.generated.items() if each.partial is not None
        }
        """What the tasks have in common that share a generated path."""
        if self.partials and not issubclass(self.cls, Submittable):
            raise ConfigError(
                f"{self.label}.{min(self.partials)}: only a task can share a directory with others; leave out partial="
            )
        self._path_names = {name: each.fixed or "" for name, each in self.generated.items()}
        self._made_paths = tuple(name for name, each in self.generated.items() if each.fixed is None)

    def _compile_places(self) -> None:
        stored = tuple(name for name in self.fields if name not in self.generated)
        self._stored = frozenset(stored)
        self.stored = stored
        """The parameters that hold a value; a generated path does so only once its job is known."""
        self.values = _values_of(stored)
        self.rich_columns = tuple(at for at, name in enumerate(stored, 1) if not self.fields[name].kind.plain)
        """The places, in a payload's row, which begins with the type, of what can be more than a plain scalar."""
        self.closed = tuple(name for name in stored if self.fields[name].kind.holds is Holds.CLOSED)
        """The stored parameters that can hold a list, set or dict, and no path or config."""
        self.open = tuple(name for name in stored if self.fields[name].kind.holds > Holds.CLOSED)
        """Those that can hold a path or a config."""
        self.holders = tuple(name for name in stored if self.fields[name].kind.holds is Holds.CONFIGS)
        """Those that can hold a config."""

    def _compile_label(self) -> None:
        shown = tuple(
            name for name, each in self.fields.items() if each.role is Role.PARAM and each.kind.plain
        )
        self.shown = _values_of(shown)
        """The values that a label can show."""
        self.label_form = "".join(
            [
                self.label,
                *(f" {name}=%{'.6g' if self.fields[name].kind.form is float else 's'}" for name in shown),
            ]
        )
        """What a label is made of, for the values that `shown` gives."""

    def _compile_checks(self) -> None:
        self.exact = {
            name: each.kind.form
            for name, each in self.fields.items()
            if each.kind.exact and each.role is not Role.CONSTANT
        }
        """The type whose values a parameter takes unchecked."""
        self.checks = {
            name: self.fields[name].kind.check
            for name in self.stored
            if self.fields[name].role is not Role.CONSTANT
        }
        """The checks of the parameters that can be given."""
        self.fixed_defaults: dict[str, Any] = {}
        """Those that all descriptions can share."""
        self.factories: list[tuple[str, Callable[[], Any]]] = []
        for name in self.stored:
            self._take_default(self.fields[name])

    @property
    def name(self) -> str:
        """The class's name in identifiers: that of its replacement, if it is deprecated."""
        if self._name is None:
            replaced = self.deprecation
            self._name = class_name(self.cls) if replaced is None else schema_of(replaced.target).name
        return self._name

    def _compile_identity(self) -> None:
        names = tuple(sorted(name for name, each in self.fields.items() if each.role is not Role.META))
        self.identified = _values_of(names)
        """The values that the identifier is made of, in the order of their names."""
        self.template: list[Any] = [part for name in names for part in (name, None)]
        """Names and places for values, alternating."""
        places = {name: 2 * at + 1 for at, name in enumerate(names)}
        self.rich_places = tuple(place for name, place in places.items() if not self.fields[name].kind.plain)
        """The places of values that can be more than a plain scalar."""
        self.may_count = tuple(
            name
            for name, each in self.fields.items()
            if each.role is Role.META and each.generator is None and each.kind.holds is Holds.CONFIGS
        )
        """The `Meta` parameters whose value may be a description that was set to count."""
        self.ignorable = tuple(
            (place, self.fields[name]) for name, place in places.items() if self.fields[name].ignore_default
        )
        """The places whose value may be left out."""

    def default(self, declared: Declared) -> Any:
        """The value that a description gets when none is given for the parameter `declared`."""
        if declared.name in self.fixed_defaults:
            return self.fixed_defaults[declared.name]
        value = declared.default if declared.factory is None else declared.factory()
        return self.check(declared, value)

    def _take_default(self, declared: Declared) -> None:
        name, default, factory = declared.name, declared.default, declared.factory
        if factory is not None:
            self.factories.append((name, lambda: self.check(declared, factory())))
        elif default is UNSET:
            return
        elif declared.kind.holds <= Holds.FIXED or default is None:
            self.fixed_defaults[name] = self.check(declared, default)
        elif declared.kind.holds is Holds.CLOSED:
            self.check(declared, default)
            self.factories.append((name, lambda: self.check(declared, default)))  # which copies it
        else:
            self.check(declared, default)
            self.factories.append((name, lambda: self.check(declared, copied(default))))

    def check(self, declared: Declared, value: Any) -> Any:
        """The value to store for `value`.

        Raises:
            ConfigError: it doesn't fit, with its path.
        """
        try:
            return declared.kind.check(value)
        except Mismatch as wrong:
            raise ConfigError(f"{self.label}.{declared.name}{wrong.where}: {wrong.message}") from None

    def admit(self, name: str, value: Any) -> Any:
        """The value to store for `value`, given for the parameter `name`.

        Raises:
            ConfigError: there is no such parameter, it can't be set, or the value doesn't fit.
        """
        declared = self.fields.get(name)
        if declared is None:
            raise ConfigError(self.unknown(name))
        if declared.role is Role.CONSTANT:
            raise ConfigError(f"{self.label}.{name}: is a constant ({shown(declared.default)})")
        if name in self.generated:
            raise ConfigError(f"{self.label}.{name}: is made at submission, and can't be set")
        return self.check(declared, value)

    def judge(self, config: Any, place: Callable[[], str], made_at: Callable[[Any], str]) -> None:
        """Has the class itself look at `config`, a complete description of it that can't change any more.

        Raises:
            ConfigError: it raised a `ValueError`; `place` tells where the description is, `made_at` the line that
                made it.
            BaseException: any other, which is noted to have come from there.
        """
        if self.validate is None:
            return
        try:
            self.validate(config)
        except ValueError as wrong:
            raise ConfigError(f"{place()}: {str(wrong) or 'is wrong'}{made_at(config)}") from wrong
        except BaseException as error:
            error.add_note(f"in __validate__ of {place()}")
            raise

    def unknown(self, name: str) -> str:
        """The message for a parameter that doesn't exist, with the nearest name that does."""
        bare = next((own[name] for base in self.cls.__mro__ if name in (own := own_annotations(base))), None)
        if bare is not None:
            kind = bare.strip("'\"") if isinstance(bare, str) else getattr(bare, "__name__", str(bare))
            return f"{self.label}.{name}: is no parameter; write {name}: Param[{kind}]"
        hint = nearest(name, self.fields) or f"; it has {', '.join(self.fields) or 'none'}"
        return f"{self.label}.{name}: no such parameter{hint}"

    def path_names(self, config: Any, folder: str) -> Mapping[str, str]:
        """The generated paths of the complete description `config`, relative to the `folder` that they lie in.

        Raises:
            ConfigError: a function gives no such path.
        """
        if not self._made_paths:
            return self._path_names
        return {
            name: each.name_for(config, folder, f"{self.label}.{name}")
            for name, each in self.generated.items()
        }

    def complete(self, values: dict[str, Any]) -> None:
        """Adds to `values` the defaults of parameters that it has no value for."""
        for name, value in self.fixed_defaults.items():
            values.setdefault(name, value)
        for name, factory in self.factories:
            if name not in values:
                values[name] = factory()

    def missing(self, values: Mapping[str, Any]) -> list[str]:
        """The stored parameters without a value."""
        if values.keys() >= self._stored:
            return []
        return [name for name in self.stored if name not in values]


def schema_of(cls: type[Any]) -> Schema:
    """The schema of a config class, or of the class of a description.

    Raises:
        ConfigError: the class declares something impossible.
    """
    found = cls.__dict__.get(SCHEMA)
    if found is None:
        found = Schema(cls)
        setattr(cls, SCHEMA, found)
    return found


def refuse_reserved(cls: type[Any]) -> None:
    """Refuses annotations under a name that xpm needs.

    Raises:
        ConfigError: naming the first.
    """
    for name in own_annotations(cls):
        if name in RESERVED:
            raise ConfigError(f"{cls.__name__}.{name}: the name is reserved; choose another")


if sys.version_info >= (3, 14):
    import annotationlib

    def own_annotations(cls: type[Any]) -> dict[str, Any]:
        """The annotations in the body of `cls`, unresolved names as forward references."""
        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)

else:

    def own_annotations(cls: type[Any]) -> dict[str, Any]:
        """The annotations in the body of `cls`, as they stand there."""
        return cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - importing inspect takes 10 ms


def _declared(cls: type[Any]) -> Iterator[Declared]:
    found: dict[str, Declared] = {}
    bound = bindings(cls)
    for base in reversed(cls.__mro__):
        if not issubclass(base, Described) or issubclass(base, Description):
            continue
        refuse_reserved(base)
        own = {name: _bound(base, each, bound.get(base, {})) for name, each in _own(base).items()}
        for name in found.keys() & own.keys():
            _refuse_another(base, own[name], found[name])
        for name in found:
            if name in base.__dict__ and name not in own:
                raise ConfigError(
                    f"{base.__name__}.{name}: hides a parameter; write {name}: Param[...] = ... to change its default"
                )
        found.update(own)
    yield from found.values()


def _bound(base: type[Any], declared: Declared, given: Mapping[Any, Any]) -> Declared:
    """The parameter of the generic class `base` with its type variables bound as a subclass does."""
    hint = substituted(declared.hint, given)
    if hint is declared.hint:
        return declared
    return declared._replace(hint=hint, kind=_kind(base, declared.name, hint, declared.notes))


def _refuse_another(base: type[Any], new: Declared, old: Declared) -> None:
    """Refuses a parameter that takes values which those who know only the parent's don't expect."""
    if not narrows(new.hint, old.hint):
        raise ConfigError(
            f"{base.__name__}.{new.name}: is {new.kind.name} here, and {old.kind.name} in a base class; "
            "a subclass may narrow a type, not change it"
        )


def _own(base: type[Any]) -> dict[str, Declared]:
    """The parameters in the body of `base`; their defaults stop being its attributes.

    What a description or a live object holds under a parameter's name is then its value or nothing.
    """
    own: dict[str, Declared] | None = base.__dict__.get(FIELDS)
    if own is None:
        own = {
            name: each for name, note in own_annotations(base).items() if (each := _read(base, name, note))
        }
        for name in own:
            if name in base.__dict__:
                delattr(base, name)
        setattr(base, FIELDS, own)
    return own


def _resolved(base: type[Any], name: str, annotation: Any) -> Any:
    module = sys.modules.get(base.__module__)
    scope = {base.__name__: base, **(vars(module) if module else {})}
    # A class with one annotation: `get_type_hints` resolves all of a class or nothing.
    carrier = type("Carrier", (), {"__annotations__": {"it": annotation}})
    try:
        # The module's names go first, as in typing: a parameter may be called like a type.
        return get_type_hints(carrier, dict(vars(base)), scope, include_extras=True)["it"]
    except (NameError, AttributeError) as error:
        # An annotation that is no parameter may name what only a type checker imports.
        if not any(role.value in str(annotation) for role in Role):
            return None
        raise ConfigError(
            f"{base.__name__}.{name}: the annotation {annotation!r} can't be resolved: {error}"
        ) from None


def _read(base: type[Any], name: str, annotation: Any) -> Declared | None:
    """The parameter that `name: annotation` declares in the class `base`; None if it declares none."""
    hint = _resolved(base, name, annotation)
    if get_origin(hint) is not Annotated:
        return None
    of, *notes = get_args(hint)
    declaration = Declaration(of, tuple(notes), _given(base, name))
    read = base.__xpm_rules__.read
    of, notes, given = declaration if read is None else read(declaration)
    roles = [note for note in notes if isinstance(note, Role)]
    if not roles:
        return None
    if len(roles) > 1:
        raise ConfigError(f"{base.__name__}.{name}: has {len(roles)} roles; one of Param, Meta, Constant")
    others = tuple(note for note in notes if note is not roles[0])
    return _with_default(base, name, roles[0], Declaration(of, others, given))


def _given(base: type[Any], name: str) -> Any:
    """The default in the body of `base`, what `field` gave, or `UNSET`."""
    given = base.__dict__.get(name, UNSET)
    return UNSET if isinstance(given, types.MemberDescriptorType) else given


def _kind(base: type[Any], name: str, hint: Any, notes: tuple[Any, ...]) -> Kind:
    try:
        return limited(kind_of(hint), notes)
    except Unsupported as why:
        raise ConfigError(f"{base.__name__}.{name}: {why}") from None


def _with_default(base: type[Any], name: str, role: Role, declaration: Declaration) -> Declared:
    hint, notes, given = declaration
    if not isinstance(given, Field):
        given = Field(given, None, False)
    notes = (*notes, *given.notes)
    declared = Declared(
        name,
        role,
        _kind(base, name, hint, notes),
        given.default,
        given.default_factory,
        given.ignore_default,
        hint,
        notes,
    )
    if role is Role.CONSTANT and declared.default is UNSET:
        raise ConfigError(
            f"{base.__name__}.{name}: a constant needs its value, as in {name}: Constant[str] = '1'"
        )
    if declared.generator is not None and role is not Role.META:
        raise ConfigError(
            f"{base.__name__}.{name}: a generated path says nothing about the experiment; make it Meta[Path]"
        )
    return declared
