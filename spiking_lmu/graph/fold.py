"""Linear populations folded away: fewer populations, the same function.

What a linear population without neurons passes on is a linear function of its sources, so the
transforms before and after it can be multiplied and its bias moved on::

    y = T₂ · (g · (T₁ · x) + b)  =  (T₂ · g · T₁) · x + T₂ · b
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from .arrays import repeated_rows
from .graph import Graph, Population, Projection
from .transforms import (
    AveragePool,
    Convolution,
    Dense,
    OneToOne,
    Sparse,
    Transform,
)

Array = np.ndarray
#: After a projection's name: the sums that its neurons share.
SUMS = ".sums"
#: Whether to fold a population, from the connections before and after.
Worth = Callable[[Population, int, int], bool]


def cheaper(population: Population, before: int, after: int) -> bool:
    """Fold where that leaves no more connections."""
    return after <= before


def fold_linear(graph: Graph, worth: Worth = cheaper) -> Graph:
    """Fold those linear populations away that ``worth`` says yes to.

    Only those that are neither input nor output, and whose projections, in and out, are
    immediate, so that no time passes on the way.  Names of what stays do not change; a
    projection that takes the place of two has the name of the second, unless that is taken.
    """
    for name in graph.order:
        folded = _without(graph, name, worth)
        graph = folded or graph
    return graph


def _without(graph: Graph, name: str, worth: Worth) -> Graph | None:
    population = graph[name]
    incoming, outgoing = graph.incoming(name), graph.outgoing(name)
    kept = name in (graph.input, graph.output) or population.neuron.kind != "linear"
    now = all(p.immediate for p in (*incoming, *outgoing))
    if kept or not now or not incoming or not outgoing or {p.post for p in outgoing} & {name}:
        return None
    sizes = {p.name: p.size for p in graph.populations}
    composed = {
        (first.name, second.name): compose(
            first.transform.scaled(population.gain), second.transform, population.size
        )
        for first, second in product(incoming, outgoing)
    }
    before = sum(p.transform.connections(sizes[p.pre]) for p in (*incoming, *outgoing))
    after = sum(
        composed[first.name, second.name].connections(sizes[first.pre])
        for first, second in product(incoming, outgoing)
    )
    if not worth(population, before, after):
        return None
    projections: list[Projection] = []
    taken = {p.name for p in graph.projections}
    for projection in graph.projections:
        if projection in incoming:
            continue
        if projection not in outgoing:
            projections.append(projection)
            continue
        for i, first in enumerate(incoming):
            label = projection.name if i == 0 else f"{first.pre}_to_{projection.post}"
            if i and label in taken:
                label = f"{first.name}.{projection.name}"
            taken.add(label)
            projections.append(
                replace(
                    projection,
                    pre=first.pre,
                    transform=composed[first.name, projection.name],
                    name=label,
                    trainable=projection.trainable or first.trainable,
                )
            )
    populations = []
    for other in graph.populations:
        moved = sum(
            p.transform.apply(population.bias) for p in outgoing if p.post == other.name
        ) + np.zeros(other.size)
        if other.name != name:
            bias = other.bias + other.gain * moved
            populations.append(replace(other, bias=bias) if moved.any() else other)
    return replace(graph, populations=tuple(populations), projections=tuple(projections))


def compose(first: Transform, second: Transform, between: int) -> Transform:
    """One transform that does ``first``, then ``second``; ``between`` numbers are in between.

    >>> both = compose(Dense([[1.0, 2.0]]), Dense([[3.0], [4.0]]), 1)
    >>> both.matrix(2).tolist()
    [[3.0, 6.0], [4.0, 8.0]]
    """
    if isinstance(second, OneToOne):
        return first if second.array is None else first.scaled(second.array)
    if isinstance(first, OneToOne):
        return second if first.array is None else _columns_scaled(second, first.array)
    if isinstance(first, AveragePool) and isinstance(second, Convolution):
        merged = _pooled_convolution(first, second)
        if merged is not None:
            return merged
    if isinstance(second, Dense):
        return Dense((first.sparse(0).T @ second.array.T).T)
    if isinstance(first, Dense):
        return Dense(second.sparse(0) @ first.array)
    return Sparse.from_matrix(second.sparse(0) @ first.sparse(0))


def _columns_scaled(transform: Transform, factors: Array) -> Transform:
    if isinstance(transform, Dense):
        return Dense(transform.array * factors)
    if isinstance(transform, Convolution):
        by_place = factors.reshape(-1, transform.input_shape[-1])
        if (by_place == by_place[0]).all():
            channels, filters = transform.kernel.shape[-2:]
            # Of each filter the channels that its group reads.
            own = filters // transform.groups
            reads = np.arange(channels)[:, None] + channels * (np.arange(filters) // own)
            return replace(transform, kernel=transform.kernel * by_place[0][reads])
    entries = transform.sparse(0).copy()
    entries.data = entries.data * factors[entries.indices]
    return Sparse.from_matrix(entries)


def _pooled_convolution(pool: AveragePool, convolution: Convolution) -> Convolution | None:
    """A convolution of what was averaged as one with a larger kernel and larger strides.

    None where there is none: at padding of the average, dilation, padding that is larger than
    the windows' overlap allows, or values that the average leaves out and padding would bring
    back.
    """
    windows, taken = convolution.windows, pool.windows
    if convolution.input_shape != pool.output_shape:  # the same numbers on other axes
        return None
    if taken.padding_name != "valid" or set(windows.dilation) != {1}:
        return None
    if any(t > p for p, t in zip(taken.kernel, taken.strides, strict=True)):
        return None
    padding, size = [], list[int]()
    for axis, (before, after) in enumerate(windows.padding):
        pooled, stride, kernel = taken.kernel[axis], taken.strides[axis], windows.kernel[axis]
        left = taken.grid[axis] - ((taken.places[axis] - 1) * stride + pooled)
        if (before or after) and (pooled != stride or left):
            return None
        padding.append((before * stride, after * stride))
        size.append((kernel - 1) * stride + pooled)
    whole = np.zeros((*size, *convolution.kernel.shape[-2:]))
    share = 1.0 / np.prod(taken.kernel)
    for at in product(*map(range, windows.kernel)):
        place = tuple(
            slice(k * t, k * t + p) for k, t, p in zip(at, taken.strides, taken.kernel, strict=True)
        )
        whole[place] += share * convolution.kernel[at]
    strides = tuple(s * t for s, t in zip(windows.strides, taken.strides, strict=True))
    return Convolution(pool.input_shape, whole, strides, padding, convolution.groups)


def share_sums(graph: Graph) -> Graph:
    """Let neurons whose weights are the same but for a sign read one sum, in place of a sum each.

    The comparators of a level-coded unit hear the same current, those of negative levels its
    negative.  The sums become a linear
    population ``<projection>.sums``, with the projection's synapse or delay before it, from which
    each neuron reads one.  The function is the same, and the products are as many times smaller
    as there are comparators in a unit.
    """
    from scipy.sparse import csr_matrix

    populations, projections = list(graph.populations), list[Projection]()
    taken = {population.name for population in populations}
    for projection in graph.projections:
        shared, name = None, projection.name + SUMS
        if isinstance(projection.transform, Dense) and name not in taken:
            shared = repeated_rows(projection.transform.array)
        if shared is None:
            projections.append(projection)
            continue
        distinct, which, signs = shared
        taken.add(name)
        populations.append(Population(name, len(distinct)))
        projections.append(replace(projection, post=name, transform=Dense(distinct)))
        each = np.arange(len(which) + 1)
        reading = csr_matrix((signs, which, each), (len(which), len(distinct)))
        projections.append(Projection(name, projection.post, Sparse.from_matrix(reading)))
    return replace(graph, populations=tuple(populations), projections=tuple(projections))
