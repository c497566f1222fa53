"""From a Keras model, in a file or in memory, to a rate model.

A model with a recurrent layer reads a sequence: each step of its time axis is one presentation,
and Conv1D along time must be causal.  Any other model reads its whole input in one presentation,
flattened with the channels last, as Keras flattens it.

Layers that compute something linear become linear populations and are folded into their
neighbours where that leaves no more connections (:mod:`spiking_lmu.graph.fold`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import ImportNetworkError, SpikingLmuError
from spiking_lmu.files.archive import Refused
from spiking_lmu.graph.fold import cheaper, fold_linear
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import LINEAR, Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task
from spiking_lmu.graph.transforms import (
    OneToOne,
    Sparse,
    Transform,
)

from . import keras_lmu
from .keras_activations import Refusal, parse_activation
from .keras_file import Layer, Saved, Source, read_saved
from .keras_layers import (
    HANDLERS,
    PASSING,
    Tensor,
    every,
    layer_problems,
    require_size,
    target_shape,
    wrapped,
)

Array = np.ndarray
#: Largest difference to a live model, relative to its largest output; Keras has float32.
TOLERANCE = 1e-4


def from_keras(path_or_model: Any, *, task: Task | str | None = None, output: str = "") -> Model:
    """Import a trained Keras model, KerasLMU's layers included.

    Parameters
    ----------
    path_or_model
        A ``.keras`` or ``.h5`` file, which is read and not executed (neither Keras nor
        TensorFlow is needed); or a model in memory, with which the result is then compared.
    task
        What the outputs mean.  Unless given, classes after a softmax or with a cross-entropy
        as loss, else numbers; at every step if the model gives out sequences.
    output
        The name of the layer whose output counts, for a model with several outputs.

    Returns
    -------
    A rate model.  Its provenance has the file and ``notes``: what was left out or changed, and
    in which shape data are expected.  A softmax at the end is left out: the largest output
    stays the largest.

    Raises
    ------
    FileError
        A file that is missing, damaged, hostile, or holds weights alone.
    ImportNetworkError
        Layers without a counterpart in a graph, all of them in one line; or a live model
        that computes something else than the result.
    MissingExtraError
        h5py is not installed.

    ``from_keras(model)`` gives a graph; ``Model(from_keras(model))`` can be saved and converted.
    """
    saved = read_saved(path_or_model)
    ends = _chosen(saved, output)
    builder = Builder(saved)
    with _refusing(saved):
        found = list(builder.problems(saved, ends))
    if found:
        raise _refused(saved, found)
    with _refusing(saved):
        graph, timed, softmax = builder.build(ends)
        graph = fold_linear(
            graph, lambda p, *costs: p.name not in builder.kept and cheaper(p, *costs)
        )
    model = Model(
        graph,
        task=_task(task, saved, graph, timed, softmax),
        provenance={
            "imported_from": {"file": saved.source or "a Keras model in memory"},
            "notes": builder.notes,
        },
    )
    if not isinstance(path_or_model, str | Path):
        _compare(model, path_or_model, builder.steps, softmax, output)
    return model


@contextmanager
def _refusing(saved: Saved) -> Iterator[None]:
    """Whatever does not fit together in a configuration is an error of the model."""
    try:
        yield
    except ImportNetworkError:
        raise
    except Refusal as error:
        raise _refused(saved, [f"{error.got}: {error.fix}"]) from error
    except SpikingLmuError as error:
        raise _refused(saved, [f"{error.what} with {error.got}, not {error.expected}"]) from error
    except (Refused, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        got = f"a configuration that does not fit together ({type(error).__name__}: {error})"
        raise _refused(saved, [got]) from error


def _refused(saved: Saved, found: Sequence[str]) -> ImportNetworkError:
    return ImportNetworkError(
        f"Keras model {saved.source or saved.name}",
        got="; ".join(found),
        expected="layers that a graph of neurons and linear maps can compute",
        fix="docs/keras.md lists them",
    )


def _chosen(saved: Saved, output: str) -> Source:
    names = [end.layer for end in saved.outputs]
    if output:
        if output not in {layer.name for layer in saved.layers}:
            raise ImportNetworkError(
                "output", got=repr(output), expected="a layer", fix="one of: " + ", ".join(names)
            )
        return Source(output, 0, 0)
    if len(names) != 1:
        raise ImportNetworkError(
            f"Keras model {saved.source or saved.name}",
            got=f"{len(names)} outputs: {', '.join(names)}",
            expected="one",
            fix=f"name it: from_keras(…, output={names[0]!r})" if names else "give it one",
        )
    return saved.outputs[0]


def _task(task: Task | str | None, saved: Saved, graph: Graph, timed: bool, softmax: bool) -> Task:
    if task is not None:
        return Task.parse(task) if isinstance(task, str) else task
    classes = softmax or "crossentropy" in saved.loss or (not saved.loss and graph.output_size > 1)
    return Task("classification" if classes else "regression", "every" if timed else "last")


class Builder:
    """Populations and projections of one model, layer after layer.

    Attributes
    ----------
    populations, projections
        What there is so far.
    notes
        What the user should know, a sentence each.
    steps
        Length of sequences, if the model fixes it; 1 for a model that reads all at once.
    """

    def __init__(self, saved: Saved) -> None:
        self.saved = saved
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.notes: list[str] = []
        self.steps: int | None = None
        self.sequence = any(
            layer.kind in (*keras_lmu.LAYERS, "TimeDistributed") for layer in every(saved)
        )
        self._softmax = False
        #: Layers whose work is done to the data; linear populations that have a meaning.
        self._at_entry: set[str] = set()
        self.kept: set[str] = set()

    # -- what is refused ---------------------------------------------------------------------

    def problems(self, saved: Saved, end: Source) -> Iterator[str]:
        """A line for each thing in the configuration that has no counterpart."""
        for layer in every(saved):
            try:
                found = list(layer_problems(layer, layer.name == end.layer))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                found = [(f"a configuration that is not Keras's ({error})", "save it again")]
            for got, fix in found:
                yield f"{layer.name} ({layer.kind}) has {got}: {fix}"

    # -- building ----------------------------------------------------------------------------

    def build(self, end: Source) -> tuple[Graph, bool, bool]:
        """The graph, whether its output has a time axis, and whether a softmax was left out."""
        entries = self._enter(self.saved)
        results = self._run(self.saved, entries, "", end)
        out = self.materialised(results[end], f"{end.layer}.padded")
        if out.population == self.populations[0].name:
            raise Refusal("a model without layers", "give it a layer with weights")
        graph = Graph(
            tuple(self.populations),
            tuple(self.projections),
            self.populations[0].name,
            out.population,
        )
        return graph, out.timed, self._softmax

    def _enter(self, saved: Saved) -> list[Tensor]:
        """One input population; of several inputs each is a part of it."""
        shapes = []
        for source in saved.inputs:
            layer = saved[source.layer]
            shape = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
            if not isinstance(shape, list) or len(shape) < 2:
                raise Refusal(f"{layer.name} without a shape", "start with keras.Input(shape)")
            shapes.append(self._entering_shape(saved, source, tuple(shape[1:])))
        steps = {s for s, _ in shapes}
        if len(steps) > 1:
            raise Refusal("inputs of different lengths", "give all the same time axis")
        self.steps = steps.pop() if self.sequence else 1
        sizes = [prod(shape) for _, shape in shapes]
        require_size(sum(sizes), "the input")
        name = saved.inputs[0].layer if len(shapes) == 1 else "input"
        self.populations.append(Population(name, sum(sizes)))
        described = f"({self.steps or 'any number of'} inputs, {sum(sizes)} values each)"
        self.notes.append(f"Data are samples of {described}.")
        if len(shapes) == 1:
            return [Tensor(name, shapes[0][1], self.sequence, self.steps)]
        parts, start = [], 0
        for source, (_, shape), size in zip(saved.inputs, shapes, sizes, strict=True):
            index = np.arange(start, start + size)
            part = self._picked(name, sum(sizes), index, source.layer)
            parts.append(Tensor(part, shape, self.sequence, self.steps))
            start += size
        names = ", ".join(source.layer for source in saved.inputs)
        self.notes.append(f"Its inputs are side by side: {names}.")
        return parts

    def _entering_shape(
        self, saved: Saved, source: Source, shape: tuple[int | None, ...]
    ) -> tuple[int | None, tuple[int, ...]]:
        """Steps, and the shape of one presentation, of an input with this shape in Keras."""
        if self.sequence:
            steps, *rest = self._reshaped_entry(saved, source, shape)
        else:
            steps, rest = 1, list(shape)
        if not rest or not all(isinstance(n, int) and n > 0 for n in rest):
            raise Refusal(f"{source.layer} of shape {shape}", "fix all sizes but the time axis")
        return steps, tuple(int(n) for n in rest if n)

    def _reshaped_entry(
        self, saved: Saved, source: Source, shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """What a Reshape or Permute right behind the input makes of its shape.

        It lays out the data, and data come as they are after it.
        """
        while True:
            readers = [
                layer for layer in saved.layers if any(source in call for call in layer.calls)
            ]
            reader = readers[0] if len(readers) == 1 else None
            if reader is None or reader.kind not in ("Reshape", "Permute", *PASSING):
                return shape
            if reader.kind == "Reshape":
                if None in shape:
                    raise Refusal(f"{reader.name} of {shape}", "fix the shape of the input")
                whole = tuple(int(n) for n in shape if n)
                shape = target_shape(reader.config["target_shape"], prod(whole))
                self.notes.append(f"{reader.name} is done to the data: shape {shape}.")
            elif reader.kind == "Permute":
                shape = tuple(shape[int(n) - 1] for n in reader.config["dims"])
                self.notes.append(f"{reader.name} is done to the data: swap axes, shape {shape}.")
            self._at_entry.add(reader.name)
            source = Source(reader.name, 0, 0)

    def _run(
        self, saved: Saved, entries: Sequence[Tensor], prefix: str, end: Source | None
    ) -> dict[Source, Tensor]:
        """All outputs of the layers that can be computed from ``entries``."""
        known = dict(zip(saved.inputs, entries, strict=True))
        waiting = [
            (layer, call, sources)
            for layer in saved.layers
            for call, sources in enumerate(layer.calls)
            if Source(layer.name, call, 0) not in known
        ]
        while waiting:
            ready = [w for w in waiting if all(s in known for s in w[2])]
            if not ready:
                break
            waiting = [w for w in waiting if w not in ready]
            for layer, call, sources in ready:
                name = f"{prefix}{layer.name}" + (f"_{call + 1}" if call else "")
                inputs = [known[s] for s in sources]
                last = end is not None and layer.name == end.layer
                known[Source(layer.name, call, 0)] = self._layer(layer, inputs, name, last)
        if end is not None and end not in known:
            raise Refusal("layers that are connected in a loop", "connect each to those before")
        return known

    def _layer(self, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
        if not inputs:
            raise Refusal(f"{name} without an input", "connect it to a layer before")
        if layer.name in self._at_entry or layer.kind in PASSING:
            return inputs[0]
        if layer.inner is not None:
            results = self._run(layer.inner, inputs, f"{name}.", layer.inner.outputs[0])
            return results[layer.inner.outputs[0]]
        if layer.kind in keras_lmu.LAYERS:
            x = self.materialised(inputs[0], f"{name}.padded")
            if not x.timed or len(x.shape) != 1:
                raise Refusal(f"{name} on {x.shape}", "give it (steps, features)")
            result = keras_lmu.add(self, layer, x, name)
            timed = bool(layer.config.get("return_sequences"))
            return replace(result, timed=timed, steps=x.steps if timed else None)
        if layer.kind == "TimeDistributed":
            inner = wrapped(layer)
            x = inputs[0]
            made = self._layer(inner, [replace(x, timed=False)], name, last)
            return replace(made, timed=True, steps=x.steps)
        return HANDLERS[layer.kind](self, layer, inputs, name, last)

    # -- what layers are made of -------------------------------------------------------------

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

    def _picked(self, source: str, size: int, index: Array, name: str) -> str:
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
        made = self._picked(x.population, x.size, index, name)
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
        self._softmax = True
        self.notes.append(f"The softmax of {name} is left out: the largest output stays so.")


def _compare(model: Model, keras_model: Any, steps: int | None, softmax: bool, output: str) -> None:
    """Run both on random inputs; a difference beyond float32's is an error of the import."""
    if output or len(keras_model.inputs) != 1:
        return
    shape = [n or 12 for n in tuple(keras_model.inputs[0].shape)[1:]]
    x = np.random.default_rng(0).uniform(-1, 1, (3, *shape)).astype(np.float32)
    want = np.asarray(keras_model.predict(x, verbose=0), float).reshape(3, -1)
    inputs = 1 if steps == 1 else (steps or shape[0])
    got = run_reference(model.graph, x.reshape(3, inputs, -1))
    got = (got if model.task.every else got[:, -1]).reshape(3, -1)
    if softmax:
        powers = np.exp(got - got.max(axis=1, keepdims=True))
        got = powers / powers.sum(axis=1, keepdims=True)
    difference = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-12))
    if difference > TOLERANCE:
        raise ImportNetworkError(
            "the imported model",
            got=f"outputs that differ from Keras's by {difference:.2g} of the largest",
            expected=f"at most {TOLERANCE}",
            fix="save it to a file, import that, and report what layers it has",
        )
