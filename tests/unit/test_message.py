from __future__ import annotations

import math
from enum import Enum
from pathlib import Path
from types import FunctionType
from typing import Any

import msgpack
import pytest
from sessions import Recorder

from xpm.core.config import Config, Constant, Meta, Param, PathGenerator, Task, field, reference
from xpm.core.counting import setmeta
from xpm.core.identifier import identifier
from xpm.core.info import own_info
from xpm.core.instances import InstanceConfig
from xpm.core.live import bind
from xpm.core.message import JobRef, TypeInfo, build, describe, later, parameters, references, type_keys
from xpm.core.outputs import Output, describe_output, places
from xpm.core.submission import Prepared, prepare
from xpm.errors import ConfigError, MessageError


class Kind(Enum):
    A = "a"


class Model(Config):
    layers: Param[int] = 2
    file: Meta[Path] = field(default_factory=PathGenerator("m.bin"))
    started = 0

    def __init__(self) -> None:
        self.made = []
        type(self).started += 1

    def __post_init__(self) -> None:
        self.made.append(self.layers)


class Source(Task):
    seed: Param[int]
    model: Param[Model | None] = None

    def execute(self) -> int:
        return self.seed


class Everything(Task):
    none: Param[int | None]
    flag: Param[bool]
    number: Param[int]
    real: Param[float]
    nan: Param[float]
    text: Param[str]
    path: Param[Path]
    kind: Param[Kind]
    many: Param[list[list[int]]]
    pair: Param[tuple[int, str]]
    some: Param[set[int]]
    fixed: Param[frozenset[str]]
    table: Param[dict[Kind, float]]
    model: Param[Model]
    models: Param[list[Model]]
    source: Param[Source]
    sources: Param[dict[str, list[Source]]]
    version: Constant[str] = "3"
    threads: Meta[int] = 4
    weights: Meta[Path] = field(default_factory=PathGenerator("sub/w.npz"))

    def execute(self) -> None: ...


class Merge(Task):
    sources: Param[set[Source]]

    def execute(self) -> None: ...


class Given(Config):
    model: Param[Model]


class Produce(Task):
    model: Param[Model]

    def task_outputs(self, dep: Any) -> Any:
        return dep(Given.C(model=self.model))

    def latest(self, dep: Any, layers: int) -> Any:
        assert layers == self.model.layers
        return Given.C(model=self.model)  # without `dep`, it is marked all the same

    def execute(self) -> None: ...


class Consume(Task):
    output: Param[Given]

    def execute(self) -> None: ...


class Call(Task):
    function: Param[FunctionType]

    def execute(self) -> None: ...


class Maybe(Config):
    function: Param[FunctionType | None]


class Encoder(InstanceConfig):
    size: Param[int] = 8


class Encode(Task):
    left: Param[Encoder]
    right: Param[Encoder]
    logger: Param[Model | None] = None
    checked: Meta[Encoder | None] = None

    def execute(self) -> None: ...


def called() -> int:
    return 3


CLASSES = {
    cls.__name__: cls
    for cls in (
        Kind,
        Model,
        Source,
        Everything,
        Given,
        Produce,
        Consume,
        Call,
        Encoder,
        Encode,
        Merge,
        called,
    )
}


def find_class(info: TypeInfo) -> Any:
    assert (info.module, info.script) == (__name__, None)
    return CLASSES[info.qualname]


def everything() -> tuple[Prepared, list[JobRef]]:
    model = Model.C(layers=5)
    with Recorder() as session:
        one, two = Source.C(seed=1).submit(), Source.C(seed=2).submit()
        Everything.C(
            none=None,
            flag=True,
            number=-(2**70),
            real=1,
            nan=float("nan"),
            text="é\udcc3\udca9\ud800\0",
            path="a/b",
            kind=Kind.A,
            many=[[1], []],
            pair=(1, "x"),
            some={3, 4},
            fixed=frozenset({"q"}),
            table={Kind.A: 1},
            model=model,
            models=[model, Model.C()],
            source=two,
            sources={"k": [one, two]},
        ).submit()
    return session.last, [reference(two), reference(one)]


def test_round_trip() -> None:
    prepared, refs = everything()
    before = Model.started
    live = build(prepared.payload, prepared.types, find_class, lambda ref: ref, lambda ref: "/j")
    assert type(live) is Everything
    assert math.isnan(live.nan)
    assert (live.none, live.flag, live.number, live.real) == (None, True, -(2**70), 1.0)
    assert live.text == "é\udcc3\udca9\ud800\0"
    assert (live.path, live.kind, live.many, live.pair) == (Path("a/b"), Kind.A, [[1], []], (1, "x"))
    assert (live.some, live.fixed, live.table) == ({3, 4}, frozenset({"q"}), {Kind.A: 1.0})
    assert type(live.some) is set
    assert type(live.many) is list
    assert live.model is live.models[0]
    assert live.models[1].layers == 2
    assert (live.source, live.sources) == (refs[0], {"k": [refs[1], refs[0]]})
    assert (live.version, live.threads, live.weights) == ("3", 4, Path("/j/sub/w.npz"))
    assert live.model.file == Path("/j/out/model/m.bin")
    assert live.models[1].file == Path("/j/out/models/1/m.bin")
    assert (live.model.made, Model.started - before) == ([5], 2)


def test_what_needs_no_code() -> None:
    prepared, refs = everything()
    assert list(references(prepared.payload)) == refs == list(prepared.dependencies)
    assert set(type_keys(prepared.payload)) == set(prepared.types)
    found = parameters(prepared.payload, prepared.types)
    assert found["sources"] == {"k": [{"$job": ref.id, "$task": ref.task} for ref in reversed(refs)]}
    assert found["model"] == {"$type": f"{__name__}.Model", "layers": 5, "file": "out/model/m.bin"}
    assert (found["kind"], found["table"], found["path"]) == ("A", {"A": 1.0}, "a/b")
    assert (found["number"], found["weights"], found["threads"]) == (-(2**70), "sub/w.npz", 4)


def test_the_payload_is_one_for_redis() -> None:
    prepared, _ = everything()
    assert b"weights" not in prepared.payload, "no field names"
    # cmsgpack refuses bin 8, 16 and 32; none is at the top level.
    again = msgpack.packb(msgpack.unpackb(prepared.payload, raw=True), use_bin_type=False)
    assert again == prepared.payload


def test_types_travel() -> None:
    prepared, _ = everything()
    for key, info in prepared.types.items():
        assert TypeInfo.unpack(info.pack()) == info
        assert info.key == key
        assert len(key) == 12
    with pytest.raises(MessageError):
        TypeInfo.unpack(b"\x93\x01")
    with pytest.raises(MessageError):
        TypeInfo.unpack(b"\x01")


def test_a_newer_payload_is_refused() -> None:
    prepared, _ = everything()
    newer = msgpack.packb([2, "what", "ever"])
    for read in (references, type_keys, lambda payload: parameters(payload, prepared.types)):
        with pytest.raises(MessageError, match="has version 2, this xpm reads 1: upgrade"):
            read(newer)


@pytest.mark.parametrize("damaged", [b"", b"\xc1", b"\x01", b"\x91\x01", b"\x96\x01\x01\x01\x01\x01\x01"])
def test_a_damaged_payload(damaged: bytes) -> None:
    with pytest.raises(MessageError, match="can't be read"):
        references(damaged)


def test_a_cut_payload() -> None:
    prepared, _ = everything()
    for at in range(0, len(prepared.payload), 7):
        with pytest.raises(MessageError):
            parameters(prepared.payload[:at], prepared.types)


def test_an_unknown_type() -> None:
    prepared, _ = everything()
    with pytest.raises(MessageError, match="isn't known"):
        parameters(prepared.payload, {})


def test_built_later() -> None:
    with Recorder() as session:
        Source.C(seed=3, model=Model.C(layers=8)).submit()
    prepared, before = session.last, Model.started
    live = later(prepared.payload, prepared.types, find_class, lambda ref: ref, lambda ref: "/j")
    assert isinstance(live, Source)
    bind(live, session, JobRef(prepared.id, prepared.task))
    assert live.jobpath == Path("/ws/jobs", prepared.id)
    assert Model.started == before
    assert live.execute() == 3
    assert type(live) is Source
    assert Model.started == before + 1
    assert live.model.layers == 8
    assert live.result() == (prepared.id, None)
    with pytest.raises(AttributeError):
        live.nothing


def test_outputs_of_a_task() -> None:
    with Recorder() as session:
        produce = Produce.C(model=Model.C())
        Consume.C(output=produce.submit()).submit()
    prepared = session.last
    assert references(prepared.payload) == (reference(produce),)
    live = build(
        prepared.payload,
        prepared.types,
        find_class,
        lambda ref: ref,
        lambda ref: "/j" if ref is None else "/producer",
    )
    assert live.output.model.file == Path("/producer/out/model/m.bin")


def test_the_same_task_gives_the_same_bytes() -> None:
    assert everything()[0].payload == everything()[0].payload


def test_a_class_that_no_worker_finds() -> None:
    class Local(Task):
        __xpmid__ = "local"

        def execute(self) -> None: ...

    with Recorder(), pytest.raises(ConfigError, match="defined inside a function"):
        Local.C().submit()


def test_a_set_of_tasks_gives_its_inputs_in_one_order_in_every_process():
    orders: set[tuple[JobRef, ...]] = set()
    for turn in range(8):
        with Recorder() as session:
            sources = [Source.C(seed=n) for n in range(8)]
            for source in sources[turn:] + sources[:turn]:
                source.submit()
            Merge.C(sources=set(sources)).submit()
            orders.add(session.last.dependencies)
    assert len(orders) == 1 and len(orders.pop()) == 8


class Keyed(Task):
    named: Param[dict[int | str, int]]

    def execute(self) -> None: ...


def test_keys_of_one_text_are_both_shown():
    with Recorder() as session:
        Keyed.C(named={1: 1, "1": 2}).submit()
    assert parameters(session.last.payload, session.last.types) == {"named": [[1, 1], ["1", 2]]}


def test_a_function_is_found_by_its_name():
    with Recorder() as session:
        Call.C(function=called).submit()
    prepared = session.last
    live = build(prepared.payload, prepared.types, find_class, lambda ref: ref, lambda ref: "/j")
    assert live.function is called and live.function() == 3
    ref = JobRef(prepared.id, prepared.task)
    described = describe(prepared.payload, prepared.types, find_class, lambda ref: ref, ref)
    assert described.instance().function is called
    assert parameters(prepared.payload, prepared.types) == {"function": f"{__name__}.called"}
    assert [info.function for info in prepared.types.values()] == [False, True]
    assert all(TypeInfo.unpack(info.pack()) == info for info in prepared.types.values())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: 0, "it is a lambda"),
        (Model, "the class Model"),
        (3, "got 3"),
        ([].append, "no function of a module"),
    ],
)
def test_what_no_worker_can_import_is_no_function(given: Any, said: str):
    with pytest.raises(ConfigError, match=said):
        Call.C(function=given)
    with pytest.raises(
        ConfigError, match="a lambda" if "lambda" in said else r"expected function \| None, got"
    ):
        Maybe.C(function=given)


def test_the_description_of_a_payload_is_the_submitted_one():
    prepared, _ = everything()
    session = Recorder()

    def stand_in(ref: JobRef) -> Any:
        live = Source.C(seed=0).instance()
        bind(live, session, ref)
        return live.__xpm_stand_in__()

    ref = JobRef(prepared.id, prepared.task)
    again = describe(prepared.payload, prepared.types, find_class, stand_in, ref)
    own_info(again).session = session
    assert again.model.file == session.root / prepared.id / "out/model/m.bin"
    assert again.weights == session.root / prepared.id / "sub/w.npz"
    own_info(again).digest = None  # it is computed from the values now
    assert prepare(again) == prepared


def test_what_is_told_apart_or_set_not_to_count_is_so_after_a_journey():
    left, right = Encoder.C(), Encoder.C()
    with Recorder() as session:
        Encode.C(
            left=left, right=right, logger=setmeta(Model.C(), True), checked=setmeta(Encoder.C(), False)
        ).submit()
    prepared = session.last
    live = build(prepared.payload, prepared.types, find_class, lambda ref: ref, lambda ref: "/j")
    assert live.left is not live.right
    ref = JobRef(prepared.id, prepared.task)
    again = describe(prepared.payload, prepared.types, find_class, lambda ref: ref, ref)
    assert identifier(again.copy()) == prepared.id
    copy = again.copy()
    copy.right = copy.left
    assert identifier(copy) != prepared.id
    assert identifier(again.copy(logger=None)) != prepared.id
    assert parameters(prepared.payload, prepared.types)["left"] == {"$type": f"{__name__}.Encoder", "size": 8}


@pytest.mark.parametrize("order", [(None, True), (True, None)])
def test_a_dependency_that_was_set_not_to_count_is_so_after_a_journey(order: tuple[bool | None, ...]):
    with Recorder() as session:
        one, two = (setmeta(Source.C(seed=1), flag) for flag in order)
        one.submit()
        two.submit()
        Merge.C(sources={one, two}).submit()
    first, _, prepared = session.prepared

    def stand_in(ref: JobRef) -> Any:
        return describe(first.payload, first.types, find_class, pytest.fail, ref)

    ref = JobRef(prepared.id, prepared.task)
    again = describe(prepared.payload, prepared.types, find_class, stand_in, ref)
    assert {own_info(each).meta for each in again.sources} == {None, True}
    assert identifier(again.copy()) == prepared.id
    left_out = {each for each in again.sources if own_info(each).meta}
    assert identifier(again.copy(sources=left_out)) == identifier(Merge.C(sources=set()))


def test_a_config_that_a_running_job_gave_out_is_no_dependency():
    with Recorder() as session:
        produce = Produce.C(model=Model.C(layers=4))
        hard = produce.submit()
        soft = describe_output(produce, Output("", "latest", '{"layers": 4}'))
        assert soft is not hard
        Consume.C(output=hard).submit()
        Consume.C(output=soft).submit()
    waiting, loose = session.prepared[-2:]
    assert loose.id == waiting.id, "who waits for what makes it no other job"
    assert (waiting.dependencies, loose.dependencies) == ((reference(produce),), ())
    assert references(loose.payload) == ()
    asked: list[JobRef | None] = []

    def folder(ref: JobRef | None) -> str:
        asked.append(ref)
        return "/there"

    live = build(loose.payload, loose.types, find_class, lambda ref: pytest.fail("waits"), folder)
    assert live.output.model.file == Path("/there/out/model/m.bin")
    assert asked == [reference(produce)]


def test_what_a_running_job_gave_out_stays_so_in_what_is_made_of_it():
    with Recorder() as session:
        produce = Produce.C(model=Model.C(layers=4))
        produce.submit()
        Consume.C(output=describe_output(produce, Output("", "latest", '{"layers": 4}'))).submit()
        first = session.last

        def stand_in(ref: JobRef) -> Any:
            assert ref == reference(produce)
            return produce

        ref = JobRef(first.id, first.task)
        again = describe(first.payload, first.types, find_class, stand_in, ref)
        Consume.C(output=again.output).submit()
    assert session.last == first


@pytest.mark.parametrize(("method", "arguments"), [("nothing", "{}"), ("latest", '{"other": 1}')])
def test_an_output_that_the_task_can_not_describe(method: str, arguments: str):
    with Recorder():
        produce = Produce.C(model=Model.C())
        produce.submit()
        with pytest.raises((ConfigError, TypeError), match=r"no such method|other"):
            describe_output(produce, Output("", method, arguments))


class Part(Config):
    n: Param[int]


class Holder(Config):
    one: Param[Part]
    many: Param[list[Part]]
    table: Param[dict[str, Part]]


def test_a_place_leads_to_a_config_and_back():
    holder = Holder.C(one=Part.C(n=1), many=[Part.C(n=2)], table={"k": Part.C(n=3)})
    found = {place: each.n for place, each in places(holder) if place}
    assert found == {".one": 1, ".many[0]": 2, ".table['k']": 3}
    assert [place for place, _ in places(holder.instance())] == ["", *found]


def test_a_copy_of_what_a_running_job_gave_out_is_no_dependency_either():
    with Recorder() as session:
        produce = Produce.C(model=Model.C(layers=4))
        produce.submit()
        soft = describe_output(produce, Output("", "latest", '{"layers": 4}'))
        Consume.C(output=soft).submit()
        Consume.C(output=soft.copy()).submit()
    assert session.prepared[-1] == session.prepared[-2]
