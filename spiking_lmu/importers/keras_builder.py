"""What layers of Keras are made of: populations, projections and arrays, added one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.graph import Population, Projection
from spiking_lmu.graph.neurons import LINEAR, Neuron
from spiking_lmu.graph.transforms import OneToOne, Sparse, Transform

from .keras_activations import Refusal, parse_activation
from .keras_file import Layer

#: Values of one layer, far above any network that could be simulated.
MAX_VALUES = 1 << 24


@dataclass(frozen=True)
class Tensor:
    """What a layer gives out: a population's values.

    Parameters
    ----------
    population
        Its name.
    shape
        Of one presentation: (features,), (steps, channels), (height, width, channels).
    timed
        Whether there is one for each step of a sequence, and Keras's shape has a time axis.
    steps
        Length of the sequence, if the model fixes it.
    padding
        Zeros to be put around it, by axis, by the layer that reads it.
    """

    population: str
    shape: tuple[int, ...]
    timed: bool = False
    steps: int | None = None
    padding: tuple[tuple[int, int], ...] = ()

    @property
    def size(self) -> int:
        """Numbers in one presentation."""
        return prod(self.shape)


def require_size(size: int, name: str) -> None:
    """Refuse a layer of no or more values than any network that could be simulated."""
    if not 0 < size <= MAX_VALUES:
        raise Refusal(f"{name} with {size:,} values", f"give it 1 to {MAX_VALUES:,}")


class Builder:
    """The parts of a graph so far, and how a layer adds its own.

    Attributes
    ----------
    populations, projections
        What there is so far.
    notes
        What the user should know, a sentence each.
    kept
        Linear populations that have a meaning of their own and are not folded away.
    steps
        Length of sequences, if the model fixes it; 1 for a model that reads all at once.
    softmax
        Whether a softmax at the end was left out.
    """

    def __init__(self) -> None:
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.notes: list[str] = []
        self.kept: set[str] = set()
        self.steps: int | None = None
        self.softmax = False

    def size(self, population: str) -> int:
        """Neurons of a population."""
        return next(p.size for p in self.populations if p.name == population)

    def tensor(self, population: str) -> Tensor:
        """The values of a population at every step, as features."""
        return Tensor(population, (self.size(population),), True, self.steps)

    def linear(
        self, name: str, source: Tensor, transform: Transform | None, bias: Array | None = None
    ) -> str:
        """A linear population that reads ``source``; returns its name."""
        made = transform if transform is not None else OneToOne()
        size = source.size if made.shape is None else made.shape[0]
        return self.activated(name, size, bias, None, [(source.population, made, "")]).population

    def activated(
        self,
        name: str,
        size: int,
        bias: Array | None,
        activation: Any,
        links: Sequence[tuple[str, Transform, str]],
    ) -> Tensor:
        """Neurons with a Keras activation that read ``links``: (source, transform, name)."""
        require_size(size, name)
        kind, pieces = parse_activation(activation)
        offset = np.zeros(size) if bias is None else np.asarray(bias, float)
        if pieces is None:
            self.populations.append(Population(name, size, Neuron(kind), bias=offset))
            self.projections += [Projection(pre, name, t, name=label) for pre, t, label in links]
            return Tensor(name, (size,), True, self.steps)
        self.populations.append(Population(f"{name}.sum", size, LINEAR, bias=offset))
        self.projections += [
            Projection(pre, f"{name}.sum", t, name=label) for pre, t, label in links
        ]
        self.populations.append(Population(name, size))
        for i, piece in enumerate(pieces):
            part = f"{name}.part{i + 1}"
            self.populations.append(
                Population(part, size, Neuron("relu"), np.array(piece.gain), np.array(piece.bias))
            )
            self.projections.append(Projection(f"{name}.sum", part))
            self.projections.append(Projection(part, name, np.full(size, piece.weight)))
        return Tensor(name, (size,), True, self.steps)

    def feed_back(self, output: Tensor, name: str, weights: Array, label: str) -> None:
        """Let neurons read what they put out in the presentation before."""
        into = f"{name}.sum" if any(p.name == f"{name}.sum" for p in self.populations) else name
        self.projections.append(Projection(output.population, into, weights, delay=1, name=label))

    def picked_values(self, source: str, size: int, index: Array, name: str) -> str:
        """A linear population whose value k is value ``index[k]`` of the source; 0 where -1."""
        rows = np.flatnonzero(index.ravel() >= 0)
        columns = index.ravel()[rows]
        transform = Sparse((index.size, size), rows, columns, np.ones(len(rows)))
        self.populations.append(Population(name, index.size))
        self.projections.append(Projection(source, name, transform, trainable=False))
        return name

    def picked(self, x: Tensor, index: Array, name: str) -> Tensor:
        """``x`` in another order or shape; ``index`` is -1 where there is nothing."""
        require_size(index.size, name)
        made = self.picked_values(x.population, x.size, index, name)
        return replace(x, population=made, shape=index.shape, padding=())

    def materialised(self, x: Tensor, name: str) -> Tensor:
        """``x`` with its padding in a population of its own, if it has any."""
        if not x.padding:
            return x
        sides = [n + a + b for n, (a, b) in zip(x.shape, x.padding, strict=False)]
        require_size(prod(sides) * x.shape[-1], name)
        index = np.arange(x.size).reshape(x.shape)
        return self.picked(x, np.pad(index, (*x.padding, (0, 0)), constant_values=-1), name)

    def concatenated(self, parts: Sequence[Tensor], name: str, axis: int = -1) -> Tensor:
        """Side by side along an axis of one presentation."""
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(p.size for p in parts)])
        numbered = [
            np.arange(start, start + p.size).reshape(p.shape)
            for start, p in zip(starts, parts, strict=False)
        ]
        order = np.concatenate(numbered, axis)
        self.populations.append(Population(name, order.size))
        for start, part in zip(starts, parts, strict=False):
            flat = order.ravel() - start
            rows = np.flatnonzero((flat >= 0) & (flat < part.size))
            transform = Sparse((order.size, part.size), rows, flat[rows], np.ones(len(rows)))
            label = f"{part.population}_to_{name.rpartition('.')[2]}"
            taken = sum(p.name.startswith(label) for p in self.projections)
            label += f"_{taken + 1}" if taken else ""
            self.projections.append(
                Projection(part.population, name, transform, name=label, trainable=False)
            )
        return replace(parts[0], population=name, shape=order.shape)

    # -- arrays of a layer -------------------------------------------------------------------

    def arrays(self, layer: Layer, names: Sequence[str]) -> dict[str, Array]:
        """All arrays of a layer, which should be these, in this order."""
        return self.named(layer, names, lambda _: True)

    def named(
        self, layer: Layer, names: Sequence[str], belongs: Callable[[str], bool]
    ) -> dict[str, Array]:
        """Those arrays whose path ``belongs``; by name, or by place where they have none."""
        found = [(path, array) for path, array in layer.arrays.items() if belongs(path)]
        last = [path.rpartition("/")[2] for path, _ in found]
        if all(part.isdecimal() for part in last):
            if len(found) != len(names):
                raise Refusal(
                    f"{len(found)} arrays in {layer.name} instead of {len(names)} "
                    f"({', '.join(names)})",
                    "save the model again",
                )
            return {name: np.asarray(a, float) for name, (_, a) in zip(names, found, strict=True)}
        if len(set(last)) != len(last):
            raise Refusal(f"two arrays of one name in {layer.name}", "save it as .keras")
        by_name = {name: np.asarray(a, float) for name, (_, a) in zip(last, found, strict=True)}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise Refusal(f"no {missing[0]} in {layer.name}", "save the model again")
        return {name: by_name[name] for name in names}

    def check_shapes(
        self, layer: Layer, arrays: dict[str, Array], shapes: dict[str, tuple[int, ...]]
    ) -> None:
        """Refuse arrays that do not fit one another."""
        for name, array in arrays.items():
            if array.shape != shapes[name]:
                raise Refusal(
                    f"{layer.name}: {name} of shape {array.shape} where its configuration says "
                    f"{shapes[name]}",
                    "save the model again",
                )

    def softmax_left_out(self, name: str, last: bool) -> None:
        """Note that the softmax ``name`` is left out, which only the last one may be."""
        if not last:
            raise Refusal(f"a softmax at {name}, before the output", "keep it for the end")
        self.softmax = True
        self.notes.append(f"The softmax of {name} is left out: the largest output stays so.")
