"""Describing: configs of ten parameters and three levels, built, validated, sealed and identified, as in an open experiment, but without one.

`--jobs`: how many at the top; each has a config of its own below it, and that another. Run as
`python -m benchmarks.describing [--jobs N] [--profile] [--plain]`; prints seconds of the processor and the most memory.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import resource
import time
from enum import Enum
from pathlib import Path

from xpm import Config, Meta, Param, field, identifier
from xpm.experiment import collector

TARGET = 4.0
"""Seconds, for 100,000 at the top."""


class Kind(Enum):
    SGD = 1
    ADAM = 2


class Optimiser(Config):
    lr: Param[float] = field(gt=0)
    kind: Param[Kind] = Kind.ADAM
    betas: Param[tuple[float, float]] = (0.9, 0.99)
    eps: Param[float] = 1e-8
    weight_decay: Param[float] = 0.0
    nesterov: Param[bool] = False
    warmup: Param[int] = 0
    schedule: Param[str] = "cosine"
    clip: Param[float | None] = None
    fused: Meta[bool] = False

    def __validate__(self) -> None:
        if self.nesterov and self.kind is not Kind.SGD:
            raise ValueError("nesterov is for sgd")


class Model(Config):
    optimiser: Param[Optimiser]
    layers: Param[int] = 2
    width: Param[int] = 64
    heads: Param[int] = 4
    dropout: Param[float] = 0.1
    activation: Param[str] = "gelu"
    sizes: Param[list[int]] = field(default_factory=list[int])
    norm: Param[str] = "layer"
    bias: Param[bool] = field(default=True, ignore_default=True)
    cache: Meta[Path | None] = None


class Train(Config):
    model: Param[Model]
    seed: Param[int]
    batch: Param[int] = 32
    epochs: Param[int] = 10
    data: Param[str] = "mnist"
    fold: Param[int] = 0
    augment: Param[bool] = False
    crop: Param[int | None] = None
    names: Param[dict[str, int]] = field(default_factory=dict[str, int])
    threads: Meta[int] = 1


def describe(count: int) -> dict[str, float]:
    """Seconds of the processor for each step."""
    found: dict[str, float] = {}
    begin = time.process_time()
    plan = [
        Train.C(
            model=Model.C(optimiser=Optimiser.C(lr=0.1 + n), layers=n % 7, sizes=[n, n + 1]),
            seed=n,
            batch=64,
            names={"a": n},
        )
        for n in range(count)
    ]
    found["built"] = time.process_time() - begin
    for config in plan:
        config.seal()
    found["sealed"] = time.process_time() - begin - found["built"]
    identifiers = {identifier(config) for config in plan}
    found["identified"] = time.process_time() - begin - found["built"] - found["sealed"]
    assert len(identifiers) == count
    found["all"] = time.process_time() - begin
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument(
        "--plain", action="store_true", help="with the garbage collector as outside of experiments"
    )
    options = parser.parse_args()
    if not options.plain:
        collector.relax()
    describe(100)
    gc.collect()
    if options.profile:
        with cProfile.Profile() as profile:
            describe(options.jobs)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    found = describe(options.jobs)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        ", ".join(f"{name} {seconds:.2f} s" for name, seconds in found.items()), f"{memory:.2f} GB", sep=", "
    )


if __name__ == "__main__":
    main()
