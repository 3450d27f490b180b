"""The graphs of case T4: for each job its number and the numbers of its inputs."""

from __future__ import annotations

from collections.abc import Iterator

Graph = Iterator[tuple[int, list[int]]]
LAYERS = 10


def independent(size: int) -> Graph:
    """`size` jobs without inputs."""
    return ((n, []) for n in range(size))


def fan_in(size: int) -> Graph:
    """`size` jobs, and one that needs them all."""
    yield from independent(size)
    yield size, list(range(size))


def wide(size: int) -> Graph:
    """One job, `size` that need it, one that needs them all."""
    yield 0, []
    for n in range(1, size + 1):
        yield n, [0]
    yield size + 1, list(range(1, size + 1))


def layers(size: int) -> Graph:
    """Ten layers of `size` jobs; each but those of the first needs three of the layer before."""
    for n in range(LAYERS * size):
        layer, place = divmod(n, size)
        below = {(place * 7 + step) % size + (layer - 1) * size for step in (0, 1, 3)} if layer else set()
        yield n, sorted(below)


def chain(size: int) -> Graph:
    """`size` jobs, each of which needs the one before."""
    for n in range(size):
        yield n, [n - 1] if n else []


SHAPES = {
    "independent": independent,
    "fan-in": fan_in,
    "wide": wide,
    "layers": layers,
    "chain": chain,
}


def graph(shape: str, size: int) -> list[tuple[int, list[int]]]:
    """The whole graph, inputs before what needs them."""
    return list(SHAPES[shape](size))
