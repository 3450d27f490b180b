"""Classes and parameters that were replaced."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from sessions import Recorder

from xpm import (  # fmt: skip
    Config,
    ConfigError,
    InstanceConfig,
    Meta,
    Param,
    PathGenerator,
    Task,
    deprecate,
    field,
    identifier,
    provenance,
    tag,
)
from xpm.core.config import reference
from xpm.core.submission import prepare

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Network(Config):
    sizes: Param[list[int]]
    bias: Param[bool] = True

    @deprecate
    def size(self, value: int) -> None:
        """The size of the only layer."""
        self.sizes = [value]


@deprecate
class Net(Network): ...


@deprecate
class Oldest(Net): ...


@deprecate(to=Network)
class Layered(Config):
    layers: Param[int]
    broken: Param[bool] = field(default=False, ignore_default=True)

    def __convert__(self) -> Any:
        return 3 if self.broken else Net.C(sizes=[8] * self.layers)


@deprecate(Layered, replace=True)
class Deep(Config):
    depth: Param[int]

    def __convert__(self) -> Layered:
        return Layered.C(layers=self.depth)


class Lab(Config):
    main: Param[Config]
    others: Param[list[Config]] = field(default_factory=list)


class Part(InstanceConfig):
    n: Param[int]


@deprecate
class Piece(Part): ...


class Two(Config):
    left: Param[Part]
    right: Param[Part]


class Train(Task):
    net: Param[Network]
    log: Meta[Path] = field(default_factory=PathGenerator("log"))

    def execute(self) -> int:
        return len(self.net.sizes)


@deprecate
class Fit(Train): ...


class Now(Task):
    def execute(self) -> None: ...


class Check(Task):
    train: Param[Train]

    def execute(self) -> None: ...


SAME = [
    lambda: Network.C(sizes=[8, 8]),
    lambda: Net.C(sizes=[8, 8]),
    lambda: Oldest.C(sizes=[8, 8]),
    lambda: Layered.C(layers=2),
    lambda: Deep.C(depth=2),
]


@pytest.mark.parametrize("make", SAME)
def test_a_deprecated_description_is_the_one_that_it_stands_for(make: Any) -> None:
    expected = identifier(Network.C(sizes=[8, 8]))
    assert identifier(make()) == identifier(make().seal()) == identifier(make().copy()) == expected
    assert identifier(pickle.loads(pickle.dumps(make()))) == expected
    lab = Lab.C(main=Network.C(sizes=[8, 8]), others=[Network.C(sizes=[8, 8])])
    assert identifier(Lab.C(main=make(), others=[make()])) == identifier(lab)


def test_what_may_change_is_converted_anew() -> None:
    layered = Layered.C(layers=2)
    before = identifier(layered)
    layered.layers = 3
    assert identifier(layered) != before
    assert identifier(layered) == identifier(Network.C(sizes=[8, 8, 8]))


def test_deprecated_configs_are_told_apart() -> None:
    one, two = Piece.C(n=1), Piece.C(n=1)
    part, other = Part.C(n=1), Part.C(n=1)
    assert identifier(Two.C(left=one, right=one)) == identifier(Two.C(left=part, right=part))
    assert identifier(Two.C(left=one, right=two)) == identifier(Two.C(left=part, right=other))
    assert identifier(Two.C(left=one, right=one)) != identifier(Two.C(left=one, right=two))


def test_the_live_object_of_a_deprecated_config_is_its_own() -> None:
    layered = Layered.C(layers=2).instance()
    assert (type(layered), layered.layers) == (Layered, 2)


def test_replaced_at_once() -> None:
    made = Deep.C(depth=tag(2))
    assert type(made).__name__ == "Layered"
    assert dict(made.tags) == {"depth": 2}
    assert Path(__file__).name in str(provenance(made))


def test_the_old_name_of_a_parameter() -> None:
    assert Network.C(size=3, bias=False).sizes == [3]
    assert Net.C(size=tag(3)).tags == {"size": 3}
    network = Network.C(sizes=[])
    network.size = 4
    assert network.sizes == [4]
    with pytest.raises(ConfigError, match=r"^Network.size: is the old name of sizes, which is given, too$"):
        Network.C(size=3, sizes=[3])
    with pytest.raises(ConfigError, match=r"^Network.sizes\[0\]: expected int, got 'a'$"):
        Network.C(size="a")


@pytest.mark.filterwarnings("default::DeprecationWarning")
def test_warnings_tell_the_line_once() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(3):
            line = 1 + test_warnings_tell_the_line_once.__code__.co_firstlineno + 5
            Oldest.C(sizes=[])
            Network.C(size=3)
            Deep.C(depth=1)
    assert [(Path(each.filename), each.lineno - line, str(each.message)) for each in told] == [
        (Path(__file__), 0, "Oldest is deprecated; use Network"),
        (Path(__file__), 1, "Network.size: the parameter is deprecated"),
        (Path(__file__), 2, "Deep is deprecated; use Network"),
    ]


def test_a_deprecated_task_is_submitted_as_the_one_that_it_stands_for() -> None:
    with Recorder() as session:
        new = Train.C(net=Network.C(sizes=[8])).submit()
        old = Fit.C(net=Network.C(sizes=[8]).copy()).submit()
        Check.C(train=old).submit()
    first, second, third = session.prepared
    assert second._replace(former=()) == first._replace(former=())
    assert (second.task, second.id) == reference(old)[::-1] == reference(new)[::-1]
    assert third.dependencies == (reference(new),)
    assert old.log == new.log
    assert prepare(old) == second


def test_jobs_of_former_names_are_known() -> None:
    with Recorder() as session:
        Fit.C(net=Network.C(sizes=[8])).submit()
        Train.C(net=Net.C(sizes=[8])).submit()
        Check.C(train=Train.C(net=Network.C(sizes=[8])).submit()).submit()
    by_fit, by_net, by_train, by_test = session.prepared
    assert [each.task.rpartition(".")[2] for each in by_fit.former] == ["Fit", "Fit", "Fit"]
    names = [each.task.rpartition(".")[2] for each in by_train.former]
    assert names == ["Fit", "Fit"]  # with Net, and with Oldest
    assert set(by_train.former) < set(by_fit.former)
    assert by_net.former[0].task == by_net.task
    assert len(by_test.former) == 2


def test_a_former_class_without_a_name_is_no_obstacle() -> None:
    @deprecate
    class Then(Now): ...

    with Recorder() as session:
        Now.C().submit()
    assert session.last.former == ()
    assert issubclass(Then, Now)


def wrong_target() -> Any:
    @deprecate(to=Network)
    class Wrong(Config):
        n: Param[int]

    return Wrong.C(n=3)


def wrong_parameter() -> Any:
    @deprecate
    class Wrong(Network):
        more: Param[int] = 3

    return Wrong.C(sizes=[])


def wrong_base() -> Any:
    @deprecate
    class Wrong(Config): ...

    return Wrong


def wrong_kind() -> Any:
    @deprecate(to=Train)
    class Wrong(Config): ...

    return Wrong


def twice() -> Any:
    return deprecate(to=Train)(Fit)


WRONG = [
    (
        wrong_target,
        "Wrong: is deprecated in favour of Network: derive it from that, or give it a method __convert__(self)",
    ),
    (
        wrong_parameter,
        "Wrong.more: a deprecated class with parameters of its own needs a method __convert__(self) that gives a "
        "description of Network",
    ),
    (
        wrong_base,
        "Wrong: deprecated in favour of what? Derive it from the class that replaces it, or write "
        "@deprecate(to=New) and give it a method __convert__(self)",
    ),
    (wrong_kind, "Wrong: a task can only be replaced by a task, a config by a config"),
    (twice, "Fit: is deprecated already"),
    (lambda: deprecate(3), "deprecate: expected a config class or a method of one, got 3"),
    (lambda: deprecate(to=int)(Lab), "deprecate: expected a config class, got <class 'int'>"),
    (
        lambda: identifier(Layered.C(layers=1, broken=True)),
        "Layered.__convert__: expected a description of Network, got 3",
    ),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_wrong_deprecations(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make()


def test_a_parameter_that_is_missing_is_told_by_its_own_name() -> None:
    with pytest.raises(ConfigError, match=r"^Layered\.layers: is missing \("):
        identifier(Layered.C())
