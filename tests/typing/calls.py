"""Right and wrong calls, for a type checker to tell apart; never run.

Each wrong one ends in an ignore comment: an ordinary check of the project accepts the file, and refuses an
ignore comment that hides nothing. `test_calls.py` checks the file without these comments.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUnusedVariable=false

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Generic, TypeVar, assert_type

from xpm import (
    Choices,
    Command,
    CommandTask,
    Config,
    Constant,
    Dependent,
    DirectoryContext,
    ExperimentHelper,
    Grid,
    GridSearch,
    LightweightTask,
    Meta,
    ObjectStore,
    Param,
    PathGenerator,
    Range,
    ResumableTask,
    Retries,
    Shell,
    Submission,
    Task,
    cache,
    configuration,
    deprecate,
    describe_parameters,
    each,
    field,
    flag,
    grid,
    identifier,
    initializer,
    lock,
    option,
    param_group,
    partial,
    progress,
    setmeta,
    stop_tags,
    submit_hook,
    tag,
    tagspath,
    task,
    token,
    verbatim,
    zipped,
)
from xpm.types import JobId, Scalar


class Optimiser(Enum):
    SGD = 1
    ADAM = 2


class Model(Config):
    layers: Param[int] = 2
    name: Param[str] = field(default="cnn", ignore_default=True)
    sizes: Param[list[int]] = field(default_factory=lambda: [1])


class Deep(Model):
    depth: Param[int]


class Train(Task):
    model: Param[Model]
    lr: Param[float]
    optimiser: Param[Optimiser] = Optimiser.SGD
    threads: Meta[int] = 1
    weights: Meta[Path] = field(default_factory=PathGenerator("weights.npz"))
    version: Constant[str] = "1"

    def execute(self) -> float:
        progress(0.5, "half")
        progress(0.5, level=1)
        return self.lr * self.model.layers


class Evaluate(Task):
    trained: Param[Train]
    others: Param[dict[str, Train]] = field(default_factory=dict[str, Train])
    limit: Param[int | None] = None

    def execute(self) -> dict[str, float]:
        return {"score": self.trained.result(), "path": float(len(str(self.trained.jobpath)))}


class Loaded(Config):
    path: Meta[Path]


class Pretrain(Task):
    seed: Param[int]

    def task_outputs(self, dep: Dependent) -> Loaded:
        return dep(Loaded.C(path=self.jobpath / "model"))

    def execute(self) -> None: ...


shorter = param_group("shorter")


@submit_hook
def needs_java(submission: Submission) -> None:
    submission.queue = "java"
    submission.setenv("JAVA_HOME", "/opt/java")
    submission.require(token("gpu")(1), lock("index").read())


@deprecate
class Former(Model): ...


@needs_java
@deprecate(to=Model, replace=True)
class Converted(Config):
    depth: Param[int] = field(default=1, groups=[shorter])

    def __convert__(self) -> Model:
        return Former.C(layers=self.depth)


class Grouped(Task):
    any_depth = partial(exclude_groups=[shorter])
    file: Meta[Path] = field(default_factory=PathGenerator("a", partial=any_depth))
    folder: Meta[Path] = field(default_factory=PathGenerator(partial=any_depth))

    def execute(self) -> None:
        assert_type(Former.C(layers=2), Former)
        assert_type(Converted.C(depth=2), Converted)
        assert_type(self.folder, Path)


class Limited(Config):
    lr: Param[float] = field(default=0.1, gt=0, le=1)
    kind: Annotated[Param[str], Choices(["a", "b"])] = "a"
    rows: Param[list[Annotated[int, Range(ge=1)]]] = field(default_factory=list[int])
    free: Param[int] = field(ge=0)


@configuration
class Net:
    layers: int = 2
    sizes: list[int] = [8]  # noqa: RUF012 - as people write it


@configuration()
class Params:
    lr: float = field(gt=0)
    rate: GridSearch[float] = 0.1
    net: Net = Net(layers=3)


def run(helper: ExperimentHelper, cfg: Params) -> None:
    assert_type(cfg.net.sizes, list[int])
    assert_type(cfg.rate, float)
    assert_type(helper.grid(cfg), list[tuple[Params, dict[str, Scalar]]])
    helper.xp.wait()
    Params(lr=0.1, net=Net())
    Params(lr="x")  # pyright: ignore[reportArgumentType]
    Params()  # pyright: ignore[reportCallIssue]
    Params(0.1)  # pyright: ignore[reportCallIssue]
    Params(lr=0.1, rato=2)  # pyright: ignore[reportCallIssue]
    cfg.lr = 0.5  # pyright: ignore[reportAttributeAccessIssue]
    cfg.net.layer  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


@task
def learn(lr: float, model: Model, threads: Meta[int] = 1) -> Deep:
    return Deep.C(depth=model.layers)


@task(version="2")
def judge(model: Model, fold: int = 0) -> float:
    return model.layers + fold


M = TypeVar("M", bound=Model)


class Pair(Config, Generic[M]):
    one: Param[M]
    two: Param[M]


class Pairs(Config):
    pair: Param[Pair[Deep]]


class Load(LightweightTask):
    model: Param[Model]

    def execute(self) -> None:
        self.model.layers += 1


class Long(ResumableTask):
    steps: Param[int]

    def saved(self, dep: Dependent, step: int) -> Loaded:
        return dep(Loaded.C(path=self.jobpath / str(step)))

    def execute(self) -> None:
        self.register_task_output(self.saved, step=1)


class Sort(CommandTask):
    data: Param[Train]
    key: Param[int] = 1
    sorted: Meta[Path] = field(default_factory=PathGenerator("sorted.txt"))
    command = Command("sort", option("-k", "key"), flag("-r", "key"), each("key"), verbatim("x"), Path("a"))


class Piped(CommandTask):
    text: Param[str]
    command = Shell("echo {text}", success=(0, 1), returns="stdout", environment={"A": "{text}"})


class Corpus(Config, value_class="lab.heavy:HeavyCorpus"):
    model: Param[Model | None] = field(default=None, ignore_generated=True)
    made: Meta[Path] = field(default_factory=PathGenerator(lambda context, config: f"{context.folder}.txt"))

    @initializer
    def words(self, least: int = 0) -> list[str]:
        return ["a"] * least

    @cache("lengths")
    def lengths(self, path: Path, least: int = 0) -> list[int]:
        return [len(word) for word in self.words(least)]


@Corpus.value_class()
class HeavyCorpus(Corpus):
    extra = 1


def follow(train: Train) -> None: ...


def look(saved: Loaded) -> None: ...


def right() -> None:
    model = Model.C(layers=3, sizes=[1, 2])
    assert_type(Sort.C(data=Train.C(model=model, lr=1), key=2).submit().sorted, Path)
    assert_type(Piped.C(text="a").submit(), Piped)
    assert_type(model, Model)
    train = Train.C(model=model, lr=tag(0.1), optimiser=Optimiser.ADAM, threads=4)
    assert_type(train.submit(), Train)
    assert_type(train.submit(queue="gpu", priority=2).result(), float)
    assert_type(train.result(timeout=3.0), float)
    assert_type(train.weights, Path)
    assert_type(train.jobpath, Path)
    assert_type(train.lr, float)
    assert_type(train.tag("kind", "cnn"), Train)
    assert_type(train.copy(lr=0.2), Train)
    assert_type(Deep.C(depth=3, layers=1).instance(), Deep)
    assert_type(Deep.C(depth=3).instance(DirectoryContext("here"), objects=ObjectStore(), init=True), Deep)
    corpus = Corpus.C() @ Deep.C(depth=3)
    assert_type(corpus, Corpus)
    assert_type(corpus.words(3), list[str])
    assert_type(corpus.lengths(least=3), list[int])
    assert_type(Corpus.Live, type[Corpus])
    assert_type(HeavyCorpus.extra, int)
    assert_type(describe_parameters(Corpus), dict[str, str])
    assert_type(Evaluate.C(trained=train, others={"a": train}, limit=3).submit().result(), dict[str, float])
    assert_type(Pretrain.C(seed=1).submit(), Loaded)
    assert_type(train.submit(retries=3, timeout="2h", not_before=datetime.now()), Train)
    policy = Retries(3, on=(OSError, "oom"), delay=timedelta(minutes=1))
    assert_type(Pretrain.C(seed=1).submit(retries=policy, timeout=60, not_before=30.0), Loaded)
    assert_type(train.submit(init_tasks=[Load.C(model=model)]), Train)
    assert_type(setmeta(model, True), Model)
    learned = learn(0.1, model=model, threads=2).submit()
    assert_type(learned, Deep)
    assert_type(learn(lr=0.1, model=model).result(), Deep)
    assert_type(judge(learned).submit(queue="gpu").result(), float)
    assert_type(judge.local(model, fold=3), float)
    judge(learned, fold=1).tag("a", 1).submit().jobpath.name.upper()
    assert_type(stop_tags(model), Model)
    assert_type(stop_tags(tag(0.1)), float)
    assert_type(tagspath(train), str)
    limited = Limited.C(lr=0.2, kind="b", rows=[1], free=3)
    assert_type(limited.lr, float)
    assert_type(limited.kind, str)
    assert_type(limited.rows, list[int])
    deep = Deep.C(depth=1)
    assert_type(Pair[Deep].C(one=deep, two=deep), Pair[Deep])
    assert_type(Pairs.C(pair=Pair[Deep].C(one=deep, two=deep)).pair.one, Deep)
    assert_type(identifier(model), JobId)
    Train.C(model=Deep.C(depth=1), lr=1)
    train.lr = 0.3
    assert_type(train.on_completed(follow).submit(), Train)
    train.on_completed(lambda: 0)
    train.on_completed(lambda train: train.lr)
    long = Long.C(steps=3)
    assert_type(long.watch_output(long.saved, look), Long)
    long.watch_output(long.saved, lambda saved: saved.path)
    train.job.id.upper()
    train.job.state.lower()
    models = grid(Model, layers=[2, 3]) | grid(Deep.C(depth=3), {"layers": range(3)})
    assert_type(models, Grid[Model | Deep])
    plan = grid(Train, zipped(lr=[0.1, 0.2], threads=(1, 2)), model=models, optimiser=Optimiser)
    assert_type(plan, Grid[Train])
    assert_type(plan[0], Train)
    assert_type(plan[::2], Grid[Train])
    assert_type(plan.where("lr < 0.1").where(lambda train: train.lr < 0.1), Grid[Train])
    assert_type([train.lr for train in plan], list[float])
    assert_type(plan.submit(queue="gpu", timeout="2h"), list[Train])
    assert_type(grid(Pretrain, seed=range(3)).submit(), list[Loaded])
    assert_type(grid(plan.submit(), lr=[0.1]), Grid[Train])
    assert_type(grid(plan, lr=[0.1]), Grid[Train])
    assert_type(plan.join(grid(Evaluate, trained=plan), on="lr"), list[tuple[Train, Evaluate]])
    for (layers,), part in plan.group_by("layers"):
        assert_type(layers, None | bool | int | float | str)
        assert_type(part, Grid[Train])


def wrong() -> None:
    model = Model.C()
    train = Train.C(model=model, lr=0.1)
    Train.C(model=model, lr="x")  # pyright: ignore[reportArgumentType]
    Train.C(model=model, lr=tag("x"))  # pyright: ignore[reportArgumentType]
    Train.C(model=model)  # pyright: ignore[reportCallIssue]
    Train.C(model=model, lr=0.1, rate=3)  # pyright: ignore[reportCallIssue]
    Train.C(model, 0.1)  # pyright: ignore[reportCallIssue]
    Train.C(model=3, lr=0.1)  # pyright: ignore[reportArgumentType]
    Train.C(model=train, lr=0.1)  # pyright: ignore[reportArgumentType]
    Train.C(model=model, lr=0.1, optimiser="ADAM")  # pyright: ignore[reportArgumentType]
    Model.C(sizes=["a"])  # pyright: ignore[reportArgumentType]
    Deep.C(layers=2)  # pyright: ignore[reportCallIssue]
    Evaluate.C(trained=model)  # pyright: ignore[reportArgumentType]
    Evaluate.C(trained=train, others={"a": model})  # pyright: ignore[reportArgumentType]
    train.lr = "x"  # pyright: ignore[reportAttributeAccessIssue]
    train.rate = 3  # pyright: ignore[reportAttributeAccessIssue]
    train.submit("gpu")  # pyright: ignore[reportCallIssue]
    train.submit(queue=3)  # pyright: ignore[reportArgumentType]
    train.submit(retry=3)  # pyright: ignore[reportCallIssue]
    train.submit(retries="3")  # pyright: ignore[reportArgumentType]
    Retries(3, on=int)  # pyright: ignore[reportArgumentType]
    assert_type(train.submit().result(), str)  # pyright: ignore[reportAssertTypeFailure]
    train.result(timeout=[1])  # pyright: ignore[reportCallIssue, reportArgumentType]
    model.submit()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert_type(Pretrain.C(seed=1).submit(), Pretrain)  # pyright: ignore[reportAssertTypeFailure]
    field(default=1, default_factory=int)  # pyright: ignore[reportCallIssue]
    train.on_completed(look)  # pyright: ignore[reportArgumentType]
    train.on_completed(3)  # pyright: ignore[reportArgumentType]
    Long.C(steps=1).watch_output(Long.C(steps=1).saved, follow)  # pyright: ignore[reportArgumentType]
    train.submit(init_tasks=[model])  # pyright: ignore[reportArgumentType]
    train.submit(init_tasks=Load.C(model=model))  # pyright: ignore[reportArgumentType]
    Load.C(model=model).submit()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    Limited.C(lr="x", free=1)  # pyright: ignore[reportArgumentType]
    Limited.C()  # pyright: ignore[reportCallIssue]
    field(default="a", gt="b")  # pyright: ignore[reportArgumentType]
    Pair[Deep].C(one=model, two=model)  # pyright: ignore[reportArgumentType]
    Pairs.C(pair=Pair[Model].C(one=model, two=model))  # pyright: ignore[reportArgumentType]
    learn("x", model)  # pyright: ignore[reportArgumentType]
    learn(lr=0.1)  # pyright: ignore[reportCallIssue]
    learn(lr=0.1, model=model, rate=3)  # pyright: ignore[reportCallIssue]
    judge(3)  # pyright: ignore[reportArgumentType]
    judge(model).submit(qeue="gpu")  # pyright: ignore[reportCallIssue]
    assert_type(judge(model).submit(), float)  # pyright: ignore[reportAssertTypeFailure]
    setmeta(model, "yes")  # pyright: ignore[reportArgumentType]
    grid(Train, lr=0.1)  # pyright: ignore[reportCallIssue, reportArgumentType]
    grid(3, lr=[0.1])  # pyright: ignore[reportCallIssue, reportArgumentType]
    grid(Train, [0.1])  # pyright: ignore[reportCallIssue, reportArgumentType]
    grid(Model, layers=[1]).submit()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    plan = grid(Train, lr=[0.1])
    plan.submit(queue=3)  # pyright: ignore[reportArgumentType]
    plan.submit(retry=3)  # pyright: ignore[reportCallIssue]
    plan.where(lambda train: train.rate)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownLambdaType]
    plan[0] = train  # pyright: ignore[reportIndexIssue]
    plan["lr"]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Corpus.C(model=model) @ 3  # pyright: ignore[reportOperatorIssue, reportUnusedExpression]
    Corpus.C(model=model).lengths(Path("x"))  # pyright: ignore[reportArgumentType]
    Corpus.C(model=model).words("x")  # pyright: ignore[reportArgumentType]
    model.instance("here")  # pyright: ignore[reportArgumentType]
    PathGenerator(3)  # pyright: ignore[reportArgumentType]
    progress("half")  # pyright: ignore[reportArgumentType]
    Sort.C(data=train, key="x")  # pyright: ignore[reportArgumentType]
    Command("a", 3)  # pyright: ignore[reportArgumentType]
    Shell("a", sucess=(1,))  # pyright: ignore[reportCallIssue]

    shorter.extend(3)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    needs_java(3)  # pyright: ignore[reportArgumentType]
    Former.C(layers="x")  # pyright: ignore[reportArgumentType]
    Converted.C(layers=1)  # pyright: ignore[reportCallIssue]
    deprecate(to=3)  # pyright: ignore[reportArgumentType]
    submit_hook(lambda: None)  # pyright: ignore[reportArgumentType]
    partial(exclude_groups=["shorter"])  # pyright: ignore[reportArgumentType]
    PathGenerator("a", partial=shorter)  # pyright: ignore[reportArgumentType]
    field(groups=shorter)  # pyright: ignore[reportArgumentType]


class Wrong(Config):
    layers: Param[int] = "two"  # pyright: ignore[reportAssignmentType]
    name: Param[str] = field(default=3)  # pyright: ignore[reportAssignmentType]
    sizes: Param[list[int]] = field(default_factory=lambda: ["a"])  # pyright: ignore[reportAssignmentType]
