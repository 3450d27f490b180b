"""Classes of parameters, and what varies in them."""

from __future__ import annotations

import dataclasses
from enum import Enum

import pytest

from xpm import ConfigError, configuration, field
from xpm.describe.configuration import Varied, combinations, is_configuration, parameters_of


class Kind(Enum):
    SGD = "sgd"
    ADAM = "adam"


@configuration
class Model:
    layers: int = 2
    sizes: list[int] = [8]  # noqa: RUF012 - as people write it


@configuration()
class Params:
    lr: float = field(default=0.1, gt=0)
    seed: int
    model: Model = Model(layers=3)
    models: dict[str, Model] = field(default_factory=dict)
    kind: Kind = Kind.SGD


@configuration
class More(Params):
    extra: str = "x"


class Undecorated(Params):
    pass


@configuration
class Unresolved:
    lr: Nowhere  # noqa: F821 - a name that isn't there


def test_it_is_a_frozen_dataclass_by_name() -> None:
    cfg = Params(seed=1)
    assert (cfg.lr, cfg.model, cfg.models) == (0.1, Model(layers=3), {})
    assert dataclasses.replace(cfg, lr=0.5) == Params(seed=1, lr=0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        cfg.lr = 3
    with pytest.raises(TypeError):
        Params(1)


def test_mutable_defaults_are_copied() -> None:
    assert Model().sizes == Model().sizes == [8]
    assert Model().sizes is not Model().sizes


def test_a_subclass_is_one_when_it_is_decorated() -> None:
    assert is_configuration(More)
    assert not is_configuration(Undecorated)
    assert not is_configuration(Params(seed=1))
    assert [*parameters_of(More)] == ["lr", "seed", "model", "models", "kind", "extra"]


def test_what_it_cannot_declare() -> None:
    with pytest.raises(ConfigError, match=r"^A.x: ignore_default is for identifiers, and this has none$"):

        @configuration
        class A:
            x: int = field(default=1, ignore_default=True)

    with pytest.raises(ConfigError, match=r"^configuration: expected a class, got 3$"):
        configuration(3)
    with pytest.raises(ConfigError, match=r"^B: cannot inherit frozen dataclass from a non-frozen one$"):

        @dataclasses.dataclass
        class Plain:
            x: int = 1

        @configuration
        class B(Plain):
            y: int = 2

    with pytest.raises(
        ConfigError, match=r"^Unresolved: .* can't be resolved: name 'Nowhere' is not defined$"
    ):
        parameters_of(Unresolved)


def varied(*values: object) -> Varied:
    return Varied(values, "p.yaml:3")


def test_where_nothing_varies_there_is_one() -> None:
    cfg = Params(seed=1)
    assert combinations(cfg) == [(cfg, {})]


def test_the_last_parameter_changes_fastest() -> None:
    cfg = Params(lr=varied(0.1, 0.2), seed=varied(1, 2))
    found = combinations(cfg)
    assert [(each.lr, each.seed) for each, _ in found] == [(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2)]
    assert [tags for _, tags in found][1] == {"lr": 0.1, "seed": 2}
    assert isinstance(cfg.lr, Varied)


def test_what_varies_inside_is_called_by_its_last_name_or_all_of_its_way() -> None:
    inner = Model(layers=varied(1, 2), sizes=varied([1], [2, 3]))
    found = combinations(Params(seed=1, model=inner))
    assert found[1][0] == Params(seed=1, model=Model(layers=1, sizes=[2, 3]))
    assert found[1][1] == {"layers": 1, "sizes": "[2, 3]"}
    both = Params(seed=1, model=Model(layers=varied(1, 2)), models={"a": Model(layers=varied(3, 4))})
    assert combinations(both)[2][1] == {"model.layers": 2, "models.a.layers": 3}
    listed = Model(sizes=[varied(1, 2), 5])
    assert combinations(listed)[1] == (Model(sizes=[2, 5]), {"sizes[0]": 2})


def test_tags_are_scalars() -> None:
    found = combinations(Params(seed=1, kind=varied(Kind.SGD, Kind.ADAM)))
    assert [tags for _, tags in found] == [{"kind": "SGD"}, {"kind": "ADAM"}]
    whole = combinations(Params(seed=1, model=varied(Model(layers=1), Model(layers=2))))
    assert whole[0][1] == {"model": "Model(layers=1, sizes=[8])"}


def test_descriptions_share_no_list() -> None:
    (one, _), (other, _) = combinations(Params(seed=varied(1, 2), model=Model(sizes=[1])))
    one.model.sizes.append(2)
    assert other.model.sizes == [1]


def test_what_varies_is_no_value() -> None:
    with pytest.raises(ConfigError, match=r"^p.yaml:3: varies: take its values from helper.grid\(cfg\)$"):
        bool(varied(True, False))
    assert repr(varied(1, 2)) == "what varies (see helper.grid) over [1, 2]"
