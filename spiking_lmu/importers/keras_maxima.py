"""The largest of several values, as sums of rectified differences.

``max(a, b) = b + max(a - b, 0)``, exactly.  The largest of more comes from pairs, of those again
pairs, and so on, as in a tournament: one rectified linear neuron less than there are values, one
behind the other in as many rounds as the number can be halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.graph import Population, Projection
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.transforms import OneToOne, Sparse, Transform, Windows

from .keras_activations import Refusal
from .keras_builder import Builder, Tensor
from .keras_file import Layer

#: Values of which the largest is taken: each takes a population of its own.
MOST = 16

#: A sum, by source: factors, and of each place of the result the place in the source.
Terms = dict[str, list[tuple[float, Array]]]


def max_pool(builder: Builder, layer: Layer, x: Tensor, name: str) -> Tensor:
    """``MaxPooling1D/2D`` and the global ones: the largest of each window and channel."""
    axes = len(x.shape) - 1
    if x.timed:
        raise Refusal(f"{name} along time", "pool inside TimeDistributed, or with strides before")
    if layer.kind.startswith("Global"):
        windows = Windows.of(x.shape[:-1], x.shape[:-1], 1, "valid")
    else:
        pool = _each(layer.config["pool_size"], axes)
        strides = _each(layer.config.get("strides") or pool, axes)
        windows = Windows.of(x.shape[:-1], pool, strides, str(layer.config.get("padding", "valid")))
    number = int(np.prod(windows.kernel))
    if number > MOST:
        raise Refusal(
            f"{name} with the largest of {number} values",
            f"take that of at most {MOST}, or train with averages or strides",
        )
    places = windows.pad(np.arange(x.size).reshape(1, *x.shape), -1)
    candidates = [places[taken][0] for _, taken in windows.offsets()]
    # Padding is never the largest: another value of the window stands in for it.
    inside = np.maximum.reduce(candidates)
    entries: list[Terms] = [
        {x.population: [(1.0, np.where(index < 0, inside, index).ravel())]} for index in candidates
    ]
    largest(builder, entries, name, {x.population: x.size})
    shape = (*windows.places, x.shape[-1])
    if layer.kind.startswith("Global") and not layer.config.get("keepdims"):
        shape = x.shape[-1:]
    return replace(x, population=name, shape=shape)


def extreme(builder: Builder, layer: Layer, inputs: Sequence[Tensor], name: str) -> Tensor:
    """``Maximum`` and ``Minimum`` of layers of one shape."""
    inputs = [*{x.population: x for x in inputs}.values()]
    if len(inputs) > MOST:
        raise Refusal(f"{name} of {len(inputs)} layers", f"take that of at most {MOST}")
    sign = 1.0 if layer.kind == "Maximum" else -1.0
    index = np.arange(inputs[0].size)
    entries: list[Terms] = [{x.population: [(sign, index)]} for x in inputs]
    largest(builder, entries, name, {x.population: x.size for x in inputs}, sign)
    return replace(inputs[0], population=name)


def largest(
    builder: Builder,
    entries: list[Terms],
    name: str,
    sizes: dict[str, int],
    sign: float = 1.0,
) -> None:
    """A linear population ``name`` of ``sign`` times the largest of ``entries``."""
    size = len(next(iter(entries[0].values()))[0][1])
    sizes = dict(sizes)
    made = 0
    while len(entries) > 1:
        winners = [entries[-1]] if len(entries) % 2 else []
        for one, other in zip(entries[::2], entries[1::2], strict=False):
            made += 1
            greater = f"{name}.greater{made}"
            builder.populations.append(Population(greater, size, Neuron("relu")))
            _connect(builder, _joined(one, other, -1.0), greater, sizes, 1.0)
            sizes[greater] = size
            winners.append({**other, greater: [(1.0, np.arange(size))]})
        entries = winners
    builder.populations.append(Population(name, size))
    _connect(builder, entries[0], name, sizes, sign)


def _joined(one: Terms, other: Terms, factor: float) -> Terms:
    """``one + factor · other``."""
    joined = {source: list(terms) for source, terms in one.items()}
    for source, terms in other.items():
        joined.setdefault(source, []).extend((factor * sign, index) for sign, index in terms)
    return joined


def _connect(builder: Builder, terms: Terms, post: str, sizes: dict[str, int], sign: float) -> None:
    for source, several in terms.items():
        transform = _transform([(sign * factor, index) for factor, index in several], sizes[source])
        label = f"{source}_to_{post}"
        builder.projections.append(Projection(source, post, transform, name=label, trainable=False))


def _transform(terms: Sequence[tuple[float, Array]], size: int) -> Transform:
    """What takes value ``index[k]`` of a source of ``size`` values times a factor, added up."""
    from scipy.sparse import csr_array

    (factor, index), *more = terms
    if not more and len(index) == size and (index == np.arange(size)).all():
        return OneToOne() if factor == 1 else OneToOne(np.full(size, factor))
    rows = np.tile(np.arange(len(index)), len(terms))
    columns = np.concatenate([i for _, i in terms])
    values = np.repeat([f for f, _ in terms], len(index))
    matrix = csr_array((values, (rows, columns)), shape=(len(index), size))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return Sparse.from_matrix(matrix)


def _each(value: Any, axes: int) -> tuple[int, ...]:
    values = value if isinstance(value, list | tuple) else [value] * axes
    return tuple(int(v) for v in values)
