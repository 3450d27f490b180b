"""Which classifier reads handwritten digits best? A grid of trainings, each evaluated, all compared.

    python examples/digits.py        or        xpm run examples/digits.py

The 1,797 images of 8 x 8 pixels come with scikit-learn, so nothing is downloaded. The first run takes less
than a minute on two cores; a second one finds everything done.
"""

from __future__ import annotations

import csv
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from xpm import Config, Meta, Param, PathGenerator, Task, experiment, field, progress, tag


class Split(Task):
    """Splits the images into two parts and gives every pixel mean 0 and deviation 1."""

    test_share: Param[float] = 0.3
    seed: Param[int] = 0
    arrays: Meta[Path] = field(default_factory=PathGenerator("digits.npz"))

    def execute(self) -> dict[str, int]:
        images, labels = load_digits(return_X_y=True)
        train, test, train_labels, test_labels = train_test_split(
            images, labels, test_size=self.test_share, random_state=self.seed, stratify=labels
        )
        scaler = StandardScaler().fit(train)
        np.savez(
            self.arrays,
            train=scaler.transform(train),
            test=scaler.transform(test),
            train_labels=train_labels,
            test_labels=test_labels,
        )
        return {"train": len(train), "test": len(test)}


class Model(Config):
    """A family of classifiers; what it fits can be pickled and has `predict`."""

    family = ""

    def describe(self) -> str:
        return " ".join([self.family, *(f"{name}={getattr(self, name)}" for name in FAMILIES[self.family])])

    def fit(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Any:
        raise NotImplementedError


class SupportVectors(Model):
    """Support vectors with a Gaussian kernel."""

    family = "svm"
    penalty: Param[float]
    gamma: Param[float]

    def fit(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Any:
        return SVC(C=self.penalty, gamma=self.gamma, random_state=seed).fit(images, labels)


class Network(Model):
    """A perceptron with hidden layers, trained in epochs."""

    family = "network"
    layers: Param[int]
    width: Param[int]
    rate: Param[float]
    epochs: Param[int] = 60

    def fit(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Any:
        network = MLPClassifier((self.width,) * self.layers, learning_rate_init=self.rate, random_state=seed)
        for epoch in range(self.epochs):
            network.partial_fit(images, labels, classes=np.unique(labels))
            progress((epoch + 1) / self.epochs, f"epoch {epoch + 1}, loss {network.loss_:.3f}")
        return network


class Linear(Model):
    """A linear classifier, trained in epochs."""

    family = "linear"
    loss: Param[str]
    alpha: Param[float]
    epochs: Param[int] = 60

    def fit(self, images: np.ndarray, labels: np.ndarray, seed: int) -> Any:
        linear = SGDClassifier(loss=self.loss, alpha=self.alpha, random_state=seed)
        for epoch in range(self.epochs):
            linear.partial_fit(images, labels, classes=np.unique(labels))
            progress((epoch + 1) / self.epochs, f"epoch {epoch + 1}")
        return linear


class Train(Task):
    """Fits a model to the first part."""

    data: Param[Split]
    model: Param[Model]
    seed: Param[int] = 0
    fitted: Meta[Path] = field(default_factory=PathGenerator("model.pkl"))

    def execute(self) -> dict[str, float]:
        arrays = np.load(self.data.arrays)
        images, labels = arrays["train"], arrays["train_labels"]
        fitted = self.model.fit(images, labels, self.seed)
        self.fitted.write_bytes(pickle.dumps(fitted))
        accuracy = float(np.mean(fitted.predict(images) == labels))
        print(f"{type(self.model).__name__}: {accuracy:.2%} of the {len(labels)} training images")
        return {"accuracy": accuracy}


class Evaluate(Task):
    """Measures a fitted model on the other part, 20 times on images drawn anew, for a deviation."""

    trained: Param[Train]
    draws: Param[int] = 20

    def execute(self) -> dict[str, Any]:
        arrays = np.load(self.trained.data.arrays)
        images, labels = arrays["test"], arrays["test_labels"]
        fitted = pickle.loads(self.trained.fitted.read_bytes())
        right = fitted.predict(images) == labels
        random = np.random.default_rng(0)
        scores = []
        for draw in range(self.draws):
            scores.append(right[random.integers(0, len(right), len(right))].mean())
            progress((draw + 1) / self.draws, "drawing")
        return {
            "accuracy": right.mean(),
            "deviation": np.std(scores),
            "confusion": confusion_matrix(labels, fitted.predict(images)),
        }


class Compare(Task):
    """Ranks all evaluations, draws them, and draws what the best one confuses."""

    evaluations: Param[list[Evaluate]]
    table: Meta[Path] = field(default_factory=PathGenerator("comparison.csv"))
    plot: Meta[Path] = field(default_factory=PathGenerator("comparison.png"))

    def execute(self) -> dict[str, Any]:
        found = [(each.trained.model, each.result()) for each in self.evaluations]
        found.sort(key=lambda pair: -pair[1]["accuracy"])
        names = [model.describe() for model, _ in found]
        with self.table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["model", "accuracy", "deviation"])
            writer.writerows(
                (name, result["accuracy"], result["deviation"])
                for name, (_, result) in zip(names, found, strict=True)
            )
        progress(0.3, "drawing")
        self._draw(names, [result for _, result in found])
        return {"best": names[0], "accuracy": found[0][1]["accuracy"]}

    def _draw(self, names: list[str], results: list[dict[str, Any]]) -> None:
        # Here, since this task alone needs it: what stands above is loaded by every run, and once for all jobs.
        from matplotlib.figure import Figure  # noqa: PLC0415

        figure = Figure(figsize=(14, 0.25 * len(names) + 2), layout="tight")
        bars, matrix = figure.subplots(1, 2, width_ratios=(3, 2))
        scores = [result["accuracy"] for result in results]
        bars.barh(names, scores, xerr=[result["deviation"] for result in results], color="tab:blue")
        bars.invert_yaxis()
        bars.set_xlim(max(0.0, min(scores) - 0.05), 1)
        bars.set_xlabel("accuracy on the test images")
        matrix.imshow(results[0]["confusion"], cmap="Blues")
        matrix.set_title(f"the best: {names[0]}", fontsize=10)
        matrix.set_xlabel("read as")
        matrix.set_ylabel("digit")
        matrix.set_xticks(range(10))
        matrix.set_yticks(range(10))
        figure.savefig(self.plot, dpi=120)


FAMILIES = {"svm": ("penalty", "gamma"), "network": ("layers", "width", "rate"), "linear": ("loss", "alpha")}
"""The families of models, and the parameters of each that are under study."""


def models() -> list[Model]:
    """The grid: 12 support vector machines, 12 networks, 8 linear classifiers."""
    return [
        *(
            SupportVectors.C(penalty=tag(penalty), gamma=tag(gamma)).tag("model", "svm")
            for penalty in (0.1, 1.0, 10.0, 100.0)
            for gamma in (0.001, 0.01, 0.1)
        ),
        *(
            Network.C(layers=tag(layers), width=tag(width), rate=tag(rate)).tag("model", "network")
            for layers in (1, 2)
            for width in (32, 128)
            for rate in (0.0003, 0.001, 0.003)
        ),
        *(
            Linear.C(loss=tag(loss), alpha=tag(alpha)).tag("model", "linear")
            for loss in ("hinge", "log_loss")
            for alpha in (1e-5, 1e-4, 1e-3, 1e-2)
        ),
    ]


def show(rows: list[dict[str, Any]]) -> None:
    """A table per family: the tags, and how well they did, the best first."""
    console = Console()
    rows = sorted(rows, key=lambda row: -row["result.accuracy"])
    for family in dict.fromkeys(row["model"] for row in rows):
        tags = FAMILIES[family]
        table = Table(box=None, pad_edge=False)  # no lines: plain text in a pipe
        for name in (*tags, "accuracy", "deviation", "job"):
            table.add_column(name, justify="right")
        for row in rows:
            if row["model"] == family:
                values = [row[name] for name in tags]
                table.add_row(
                    *(value if isinstance(value, str) else f"{value:g}" for value in values),
                    f"{row['result.accuracy']:.2%}",
                    f"{row['result.deviation']:.2%}",
                    row["job"][:8],
                )
        console.print(f"{family}: accuracy on the test images", style="bold", highlight=False)
        console.print(table, "")


if __name__ == "__main__":
    with experiment("digits") as xp:
        data = Split.C().submit()
        evaluations = [
            Evaluate.C(trained=Train.C(data=data, model=model).submit()).submit() for model in models()
        ]
        compared = Compare.C(evaluations=evaluations).submit()

    show(xp.rows(Evaluate))
    best = compared.result()
    print(f"the best:   {best['best']}, {best['accuracy']:.2%}")
    print(f"its plot:   {compared.plot}")
    print(f"as a table: {compared.table}")
    print(f"all files:  {xp.workspace}")
    print()
    print("to look closer:")
    xpm = "xpm" if shutil.which("xpm") else os.path.relpath(Path(sys.executable).with_name("xpm"))
    print(f"    {xpm} jobs -e digits       all its jobs")
    print(f"    {xpm} show {compared.job.id[:8]}        one job: parameters, times, files")
    print(f"    {xpm} experiments          all experiments of this workspace")
