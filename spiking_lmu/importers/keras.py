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
from dataclasses import dataclass, replace
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
    AveragePool,
    Convolution,
    Dense,
    OneToOne,
    Sparse,
    Transform,
    Windows,
)

from . import keras_lmu
from .keras_file import Layer, Saved, Source, class_of, read_saved

Array = np.ndarray
#: Largest difference to a live model, relative to its largest output; Keras has float32.
TOLERANCE = 1e-4
#: Values of one layer, far above any network that could be simulated.
MAX_VALUES = 1 << 24
#: Layers that do nothing after training.
PASSING = {
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "InputLayer",
    "SpatialDropout1D",
    "SpatialDropout2D",
}
#: Rate neurons by name of the activation.
NEURONS = {"linear": "linear", "relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}
#: Layers that are refused, and what to use instead.
INSTEAD = {
    **dict.fromkeys(
        ("MaxPooling1D", "MaxPooling2D", "MaxPooling3D"),
        "train with AveragePooling, or a convolution with strides; a maximum of rates is no sum "
        "of spikes",
    ),
    **dict.fromkeys(
        ("GlobalMaxPooling1D", "GlobalMaxPooling2D"), "train with GlobalAveragePooling"
    ),
    **dict.fromkeys(keras_lmu.GATED, keras_lmu.RETRAIN + "; gates multiply activities"),
    **dict.fromkeys(
        ("Attention", "AdditiveAttention", "MultiHeadAttention", "Multiply", "Dot"),
        "use layers without products of activities",
    ),
    **dict.fromkeys(
        ("LayerNormalization", "GroupNormalization", "UnitNormalization"),
        "train with BatchNormalization, which is constant after training",
    ),
    **dict.fromkeys(("Lambda", "TFOpLambda"), "use layers of Keras; code is not run"),
    **dict.fromkeys(("Embedding", "Masking"), "do that to the data before"),
}


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


class Refusal(Exception):
    """A layer that has no counterpart: what it has, and what to do."""

    def __init__(self, got: str, fix: str) -> None:
        super().__init__(got)
        self.got, self.fix = got, fix


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
            layer.kind in (*keras_lmu.LAYERS, "TimeDistributed") for layer in _every(saved)
        )
        self._softmax = False
        #: Layers whose work is done to the data; linear populations that have a meaning.
        self._at_entry: set[str] = set()
        self.kept: set[str] = set()

    # -- what is refused ---------------------------------------------------------------------

    def problems(self, saved: Saved, end: Source) -> Iterator[str]:
        """A line for each thing in the configuration that has no counterpart."""
        for layer in _every(saved):
            try:
                found = list(_layer_problems(layer, layer.name == end.layer))
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
                shape = _target(reader.config["target_shape"], prod(whole))
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
            inner = _wrapped(layer)
            x = inputs[0]
            made = self._layer(inner, [replace(x, timed=False)], name, last)
            return replace(made, timed=True, steps=x.steps)
        return _HANDLERS[layer.kind](self, layer, inputs, name, last)

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


def _every(saved: Saved) -> Iterator[Layer]:
    """All layers, those of inner models and wrappers included."""
    for layer in saved.layers:
        yield layer
        if layer.inner is not None:
            yield from _every(layer.inner)
        if layer.kind == "TimeDistributed":
            yield _wrapped(layer)


def _wrapped(layer: Layer) -> Layer:
    """The layer inside a wrapper, with its arrays."""
    spec = layer.config["layer"]
    arrays = {path.removeprefix("layer/"): array for path, array in layer.arrays.items()}
    return Layer(class_of(spec), layer.name, dict(spec["config"]), layer.calls, arrays)


@dataclass(frozen=True)
class Piece:
    """``weight · max(gain · x + bias, 0)``, one straight piece of an activation."""

    gain: float
    bias: float
    weight: float


def leaky(slope: float, largest: float | None = None) -> tuple[Piece, ...]:
    """``max(x, 0) + slope · min(x, 0)``, and no more than ``largest``."""
    pieces = [Piece(1.0, 0.0, 1.0)]
    if largest is not None:
        pieces.append(Piece(1.0, -largest, -1.0))
    if slope:
        pieces.append(Piece(-1.0, 0.0, -slope))
    return tuple(pieces)


def parse_activation(value: Any) -> tuple[str, tuple[Piece, ...] | None]:
    """The neuron's kind, and the pieces of an activation that is a sum of several.

    A softmax is linear here; who asks has seen to it that it is the last.

    Raises
    ------
    Refusal
        An activation without a counterpart.
    """
    name, config = activation_name(value)
    if name in NEURONS:
        return NEURONS[name], None
    if name == "softmax":
        return "linear", None
    if name == "relu6":
        return "relu", leaky(0.0, 6.0)
    if name in ("leaky_relu", "leakyrelu"):
        return "relu", leaky(float(config.get("negative_slope", 0.2)))
    raise Refusal(
        f"the activation {name}", "train with relu, leaky_relu, relu6, tanh, sigmoid or none"
    )


def activation_name(value: Any) -> tuple[str, dict[str, Any]]:
    """``"relu"``, or what a serialised function or layer is called."""
    if value is None:
        return "linear", {}
    if isinstance(value, str):
        return value.split(">")[-1], {}
    config = value.get("config")
    if isinstance(config, str):
        return config, {}
    name = str((config or {}).get("name") or value.get("class_name"))
    return str(value.get("class_name", name)).lower(), dict(config or {})


def _layer_problems(layer: Layer, last: bool) -> Iterator[tuple[str, str]]:
    """What in the layer's configuration has no counterpart, and what to do."""
    if layer.inner is not None:
        if len(layer.inner.outputs) != 1:
            yield f"{len(layer.inner.outputs)} outputs", "give models inside a model one output"
        return
    if layer.kind in INSTEAD:
        yield "no counterpart", INSTEAD[layer.kind]
        return
    if layer.kind in keras_lmu.LAYERS:
        yield from keras_lmu.problems(layer)
        cell = keras_lmu.cell_of(layer)
        hidden = keras_lmu.hidden_of(cell.config)
        config = cell.config if cell.kind == "SimpleRNNCell" else (hidden or ("", {}))[1]
        yield from _activation_problems(config.get("activation"), False)
        return
    if layer.kind == "TimeDistributed" or layer.kind in PASSING:
        return
    if layer.kind not in _HANDLERS:
        yield "no counterpart", "use one of: " + ", ".join(sorted(_HANDLERS))
        return
    if layer.config.get("data_format") == "channels_first":
        yield "channels first", "train with data_format='channels_last'"
    if layer.kind not in ("LeakyReLU", "ReLU", "PReLU"):
        yield from _activation_problems(layer.config.get("activation"), last)
    if layer.kind == "ReLU" and layer.config.get("threshold"):
        yield f"the threshold {layer.config['threshold']}", "train without one"
    if layer.kind == "Normalization" and layer.config.get("invert"):
        yield "invert=True", "train without"
    if layer.kind.startswith("UpSampling") and layer.config.get("interpolation") not in (
        None,
        "nearest",
    ):
        yield f"interpolation {layer.config['interpolation']}", "train with nearest"


def _activation_problems(value: Any, last: bool) -> Iterator[tuple[str, str]]:
    try:
        parse_activation(value)
    except Refusal as error:
        yield error.got, error.fix
    if activation_name(value)[0] == "softmax" and not last:
        yield "a softmax before the output", "keep it for the end"


# -- one function a layer ----------------------------------------------------------------------

Handler = Callable[[Builder, Layer, list[Tensor], str, bool], Tensor]


def _bias_name(config: dict[str, Any]) -> list[str]:
    return ["bias"] if config.get("use_bias", True) else []


def _weighted(
    builder: Builder,
    layer: Layer,
    x: Tensor,
    transform: Transform,
    shape: tuple[int, ...],
    bias: Array | None,
    name: str,
    last: bool,
) -> Tensor:
    """A transform, a bias for each channel, and the layer's activation."""
    require_size(prod(shape), name)
    activation = layer.config.get("activation")
    if activation_name(activation)[0] == "softmax":
        builder.softmax_left_out(name, last)
    if bias is not None:
        bias = np.tile(bias, prod(shape) // len(bias))
    made = builder.activated(name, prod(shape), bias, activation, [(x.population, transform, "")])
    return replace(x, population=made.population, shape=shape, padding=())


def _dense(builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    arrays = builder.arrays(layer, ["kernel", *_bias_name(layer.config)])
    kernel, units = arrays["kernel"], int(layer.config["units"])
    builder.check_shapes(layer, arrays, {"kernel": (x.shape[-1], units), "bias": (units,)})
    transform: Transform = Dense(kernel.T)
    if len(x.shape) > 1:
        # The same at every place: a convolution with a window of one.
        places = x.shape[:-1]
        transform = Convolution(x.shape, kernel.reshape(*(1 for _ in places), *kernel.shape))
    shape = (*x.shape[:-1], units)
    return _weighted(builder, layer, x, transform, shape, arrays.get("bias"), name, last)


def _convolution(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    config, (x,) = layer.config, inputs
    if x.timed:
        return _convolution_in_time(builder, layer, x, name, last)
    channels = x.shape[-1]
    groups = int(config.get("groups") or 1)
    window = _numbers(config["kernel_size"], len(x.shape) - 1)
    if layer.kind.startswith("Separable"):
        kernel, bias = _separable(builder, layer, channels, window)
    elif layer.kind.startswith("Depthwise"):
        names = [_depthwise_name(layer), *_bias_name(config)]
        arrays = builder.arrays(layer, names)
        multiplier = int(config.get("depth_multiplier", 1))
        groups = channels
        builder.check_shapes(
            layer,
            arrays,
            {names[0]: (*window, channels, multiplier), "bias": (channels * multiplier,)},
        )
        kernel = arrays[names[0]].reshape(*window, 1, channels * multiplier)
        bias = arrays.get("bias")
    else:
        filters = int(config["filters"])
        arrays = builder.arrays(layer, ["kernel", *_bias_name(config)])
        builder.check_shapes(
            layer,
            arrays,
            {"kernel": (*window, channels // groups, filters), "bias": (filters,)},
        )
        kernel, bias = arrays["kernel"], arrays.get("bias")
    strides = _numbers(config.get("strides", 1), len(window))
    dilation = _numbers(config.get("dilation_rate", 1), len(window))
    x, padding = _conv_padding(builder, x, layer, window, strides, dilation, name)
    transform = Convolution(x.shape, kernel, strides, padding, groups, dilation)
    return _weighted(builder, layer, x, transform, transform.output_shape, bias, name, last)


def _conv_padding(
    builder: Builder,
    x: Tensor,
    layer: Layer,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    name: str,
) -> tuple[Tensor, Any]:
    """Padding of a ZeroPadding layer before and of the convolution itself, in one."""
    own = str(layer.config.get("padding", "valid"))
    if own == "causal":
        reach = (window[0] - 1) * dilation[0]
        own_pairs: Any = ((reach, 0),)
    elif own == "same":
        padded = builder.materialised(x, f"{name}.padded")
        return padded, Windows.of(padded.shape[:-1], window, strides, own, dilation).padding
    else:
        own_pairs = ((0, 0),) * len(window)
    if x.padding:
        own_pairs = tuple(
            (a + c, b + d) for (a, b), (c, d) in zip(x.padding, own_pairs, strict=True)
        )
    return replace(x, padding=()), own_pairs


def _depthwise_name(layer: Layer) -> str:
    """Keras 2 calls it ``depthwise_kernel``, Keras 3 ``kernel``."""
    return next((p for p in layer.arrays if p.startswith("depthwise")), "kernel")


def _separable(
    builder: Builder, layer: Layer, channels: int, window: tuple[int, ...]
) -> tuple[Array, Array | None]:
    """A depthwise convolution and one over channels, as the one convolution that they are."""
    config = layer.config
    arrays = builder.arrays(layer, ["depthwise_kernel", "pointwise_kernel", *_bias_name(config)])
    multiplier, filters = int(config.get("depth_multiplier", 1)), int(config["filters"])
    ones = (1,) * len(window)
    builder.check_shapes(
        layer,
        arrays,
        {
            "depthwise_kernel": (*window, channels, multiplier),
            "pointwise_kernel": (*ones, channels * multiplier, filters),
            "bias": (filters,),
        },
    )
    points = arrays["pointwise_kernel"].reshape(channels, multiplier, filters)
    return np.einsum("...cm,cmf->...cf", arrays["depthwise_kernel"], points), arrays.get("bias")


def _convolution_in_time(
    builder: Builder, layer: Layer, x: Tensor, name: str, last: bool
) -> Tensor:
    """Conv1D along the time axis: a chain of populations that remember earlier inputs."""
    config = layer.config
    if layer.kind != "Conv1D" or len(x.shape) != 1:
        raise Refusal(f"{name} ({layer.kind}) along time", "put it into TimeDistributed")
    if str(config.get("padding")) != "causal" or _numbers(config.get("strides", 1), 1) != (1,):
        raise Refusal(
            f"{name} with padding {config.get('padding')!r} and strides {config.get('strides')} "
            "before a recurrent layer",
            "train with padding='causal' and strides=1: no step may wait for later ones",
        )
    groups, filters = int(config.get("groups") or 1), int(config["filters"])
    (window,), (dilation,) = (
        _numbers(config["kernel_size"], 1),
        _numbers(config.get("dilation_rate", 1), 1),
    )
    arrays = builder.arrays(layer, ["kernel", *_bias_name(config)])
    shapes = {"kernel": (window, x.size // groups, filters), "bias": (filters,)}
    builder.check_shapes(layer, arrays, shapes)
    links, source = [], x.population
    for back in range((window - 1) * dilation + 1):
        if back:
            past = f"{name}.past{back}"
            builder.populations.append(Population(past, x.size))
            builder.projections.append(Projection(source, past, delay=1, trainable=False))
            source = past
        if back % dilation == 0:
            tap = arrays["kernel"][window - 1 - back // dilation]
            whole = Convolution((1, x.size), tap[None], groups=groups).matrix(0)
            links.append((source, Dense(whole), f"{name}.tap{back}"))
    if activation_name(config.get("activation"))[0] == "softmax":
        builder.softmax_left_out(name, last)
    made = builder.activated(name, filters, arrays.get("bias"), config.get("activation"), links)
    return replace(x, population=made.population, shape=(filters,))


def _average(builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    if layer.kind.startswith("Global"):
        return _global_average(builder, layer, x, name)
    if x.timed:
        raise Refusal(f"{name} along time", "pool inside TimeDistributed, or with strides before")
    axes = len(x.shape) - 1
    pool = _numbers(layer.config["pool_size"], axes)
    strides = _numbers(layer.config.get("strides") or pool, axes)
    transform = AveragePool(x.shape, pool, strides, str(layer.config.get("padding", "valid")))
    made = builder.linear(name, x, transform)
    return replace(x, population=made, shape=transform.output_shape)


def _global_average(builder: Builder, layer: Layer, x: Tensor, name: str) -> Tensor:
    if not x.timed:
        transform = AveragePool(x.shape, x.shape[:-1])
        made = builder.linear(name, x, transform)
        kept = transform.output_shape if layer.config.get("keepdims") else x.shape[-1:]
        return replace(x, population=made, shape=kept)
    if x.steps is None or len(x.shape) != 1 or layer.config.get("keepdims"):
        raise Refusal(f"{name} over a time axis of unknown length", "fix the length in keras.Input")
    # The mean over time is what has been added up by the last step.
    share = OneToOne(np.full(x.size, 1.0 / x.steps))
    made = builder.linear(name, x, share)
    builder.projections.append(
        Projection(made, made, delay=1, name=f"{name}.kept", trainable=False)
    )
    return replace(x, population=made, timed=False, steps=None)


def _flatten(builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    if x.timed:
        raise Refusal(f"{name} over the time axis", "use the last step: return_sequences=False")
    if layer.kind == "Flatten":
        return replace(x, shape=(x.size,))
    if layer.kind == "Reshape":
        return replace(x, shape=_target(layer.config["target_shape"], x.size))
    order = [int(n) - 1 for n in layer.config["dims"]]
    return builder.picked(x, np.arange(x.size).reshape(x.shape).transpose(order), name)


def _zero_padding(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.before")
    if x.timed:
        raise Refusal(f"{name} along time", "use Conv1D with padding='causal'")
    pairs = _pairs(layer.config["padding"], len(x.shape) - 1)
    return replace(x, padding=pairs)


def _cropping(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    if x.timed:
        raise Refusal(f"{name} along time", "cut the data instead")
    index = np.arange(x.size).reshape(x.shape)
    pairs = _pairs(layer.config["cropping"], len(x.shape) - 1)
    inside = tuple(slice(a, n - b) for (a, b), n in zip(pairs, x.shape, strict=False))
    return builder.picked(x, index[inside], name)


def _up_sampling(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    if x.timed:
        raise Refusal(f"{name} along time", "repeat the data instead")
    index = np.arange(x.size).reshape(x.shape)
    sizes = _numbers(layer.config["size"], len(x.shape) - 1)
    require_size(x.size * prod(sizes), name)
    for axis, times in enumerate(sizes):
        index = np.repeat(index, times, axis)
    return builder.picked(x, index, name)


def _batch_norm(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    config = layer.config
    x = builder.materialised(inputs[0], f"{name}.padded")
    _require_last_axis(config.get("axis", -1), x, name)
    names = [
        *(["gamma"] if config.get("scale", True) else []),
        *(["beta"] if config.get("center", True) else []),
        "moving_mean",
        "moving_variance",
    ]
    arrays = builder.arrays(layer, names)
    channels = (x.shape[-1],)
    builder.check_shapes(layer, arrays, dict.fromkeys(names, channels))
    variance = arrays["moving_variance"] + float(config.get("epsilon", 1e-3))
    gain = arrays.get("gamma", np.ones(channels)) / np.maximum(_deviation(variance, name), 1e-30)
    offset = arrays.get("beta", np.zeros(channels)) - gain * arrays["moving_mean"]
    return _affine(builder, x, gain, offset, name)


def _rescaling(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x = builder.materialised(inputs[0], f"{name}.padded")
    gain = np.asarray(layer.config["scale"], float)
    offset = np.asarray(layer.config.get("offset", 0.0), float)
    return _affine(builder, x, gain, offset, name)


def _normalization(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    config = layer.config
    x = builder.materialised(inputs[0], f"{name}.padded")
    axis = config.get("axis", -1)
    if axis not in (None, [], ()):
        _require_last_axis(axis, x, name)
    if config.get("mean") is not None:
        mean, variance = (np.asarray(config[key], float).ravel() for key in ("mean", "variance"))
    else:
        arrays = builder.arrays(layer, ["mean", "variance", "count"])
        mean, variance = arrays["mean"].ravel(), arrays["variance"].ravel()
    # Keras divides by no less than its epsilon.
    gain = 1.0 / np.maximum(_deviation(variance, name), 1e-7)
    return _affine(builder, x, gain, -mean * gain, name)


def _deviation(variance: Array, name: str) -> Array:
    if not (np.isfinite(variance).all() and (variance >= 0).all()):
        raise Refusal(f"{name} with a variance below 0", "save the model again")
    return np.sqrt(variance)


def _affine(builder: Builder, x: Tensor, gain: Array, offset: Array, name: str) -> Tensor:
    """Each channel by a factor, and an offset added."""
    gain, offset = (np.broadcast_to(a, x.shape).ravel() for a in (gain, offset))
    made = builder.linear(name, x, OneToOne(np.array(gain)), np.array(offset))
    return replace(x, population=made)


def _activation(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    x, config = builder.materialised(inputs[0], f"{name}.padded"), layer.config
    if layer.kind == "Softmax":
        builder.softmax_left_out(name, last)
        return x
    if layer.kind == "Activation" and activation_name(config.get("activation"))[0] == "softmax":
        builder.softmax_left_out(name, last)
        return x
    if layer.kind == "Activation":
        value: Any = config.get("activation")
        made = builder.activated(name, x.size, None, value, [(x.population, OneToOne(), "")])
        return replace(x, population=made.population)
    if layer.kind == "LeakyReLU":
        pieces = leaky(float(config.get("negative_slope", config.get("alpha", 0.3))))
    else:
        largest = config.get("max_value")
        pieces = leaky(
            float(config.get("negative_slope") or 0.0), None if largest is None else float(largest)
        )
    return _in_pieces(builder, x, pieces, name)


def _in_pieces(builder: Builder, x: Tensor, pieces: tuple[Piece, ...], name: str) -> Tensor:
    if len(pieces) == 1:
        made = builder.activated(name, x.size, None, "relu", [(x.population, OneToOne(), "")])
        return replace(x, population=made.population)
    builder.populations.append(Population(name, x.size))
    for i, piece in enumerate(pieces):
        part = f"{name}.part{i + 1}"
        builder.populations.append(
            Population(part, x.size, Neuron("relu"), np.array(piece.gain), np.array(piece.bias))
        )
        builder.projections.append(Projection(x.population, part))
        builder.projections.append(Projection(part, name, np.full(x.size, piece.weight)))
    return replace(x, population=name)


def _sum(builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
    parts = [builder.materialised(x, f"{name}.padded{i}") for i, x in enumerate(inputs)]
    if len({(p.shape, p.timed) for p in parts}) != 1:
        raise Refusal(f"{name} of different shapes", "give all the same shape")
    weights = [1.0] * len(parts)
    if layer.kind == "Subtract":
        weights = [1.0, -1.0]
    if layer.kind == "Average":
        weights = [1.0 / len(parts)] * len(parts)
    builder.populations.append(Population(name, parts[0].size))
    for i, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        array = None if weight == 1 else np.full(part.size, weight)
        builder.projections.append(
            Projection(part.population, name, array, name=f"{name}.term{i + 1}", trainable=False)
        )
    return replace(parts[0], population=name)


def _concatenate(
    builder: Builder, layer: Layer, inputs: list[Tensor], name: str, last: bool
) -> Tensor:
    parts = [builder.materialised(x, f"{name}.padded{i}") for i, x in enumerate(inputs)]
    if len({p.timed for p in parts}) != 1:
        raise Refusal(f"{name} of a sequence and a single value", "give all the same time axis")
    axis, batch = int(layer.config.get("axis", -1)), 2 if parts[0].timed else 1
    if axis >= 0:
        axis -= batch
    if axis < -len(parts[0].shape) or axis >= len(parts[0].shape):
        raise Refusal(f"{name} along time", "concatenate features")
    return builder.concatenated(parts, name, axis)


def _require_last_axis(axis: Any, x: Tensor, name: str) -> None:
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    rank = len(x.shape) + (2 if x.timed else 1)
    if not isinstance(axis, int) or axis not in (-1, rank - 1):
        raise Refusal(f"{name} along axis {axis}", "normalise the channels, axis=-1")


def _numbers(value: Any, count: int) -> tuple[int, ...]:
    values = value if isinstance(value, list | tuple) else [value] * count
    return tuple(int(v) for v in values)


def _pairs(value: Any, axes: int) -> tuple[tuple[int, int], ...]:
    """``1``, ``[1, 2]`` (by axis, or both ends of the only one) or ``[[1, 1], [2, 0]]``."""
    if isinstance(value, int):
        return ((value, value),) * axes
    if axes == 1 and len(value) == 2 and isinstance(value[0], int):
        return ((int(value[0]), int(value[1])),)
    pairs = [(v, v) if isinstance(v, int) else (v[0], v[1]) for v in value]
    if len(pairs) != axes:
        raise ValueError(f"padding {value} for {axes} axes")
    return tuple((int(a), int(b)) for a, b in pairs)


def _target(shape: Sequence[int], size: int) -> tuple[int, ...]:
    """A shape in which one number may be -1."""
    known = prod(n for n in shape if n != -1)
    target = tuple(size // known if n == -1 else int(n) for n in shape)
    if prod(target) != size:
        raise Refusal(f"a Reshape of {size} values to {tuple(shape)}", "save the model again")
    return target


_HANDLERS: dict[str, Handler] = {
    "Activation": _activation,
    "Add": _sum,
    "Average": _sum,
    "AveragePooling1D": _average,
    "AveragePooling2D": _average,
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Cropping1D": _cropping,
    "Cropping2D": _cropping,
    "Dense": _dense,
    "DepthwiseConv1D": _convolution,
    "DepthwiseConv2D": _convolution,
    "Flatten": _flatten,
    "GlobalAveragePooling1D": _average,
    "GlobalAveragePooling2D": _average,
    "LeakyReLU": _activation,
    "Normalization": _normalization,
    "Permute": _flatten,
    "ReLU": _activation,
    "Rescaling": _rescaling,
    "Reshape": _flatten,
    "SeparableConv1D": _convolution,
    "SeparableConv2D": _convolution,
    "Softmax": _activation,
    "Subtract": _sum,
    "UpSampling1D": _up_sampling,
    "UpSampling2D": _up_sampling,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
}


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
