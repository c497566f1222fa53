"""From a Keras model, in a file or in memory, to a rate model.

A model with a recurrent layer reads a sequence: each step of its time axis is one presentation,
and Conv1D along time must be causal.  Any other model reads its whole input in one presentation,
flattened as it is: with the channels first where the model takes them first.

Layers that compute something linear become linear populations and are folded into their
neighbours where that leaves no more connections (:mod:`spiking_lmu.graph.fold`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.compat.precision import whole_float32
from spiking_lmu.errors import ImportNetworkError, SpikingLmuError
from spiking_lmu.files.archive import Refused
from spiking_lmu.graph.fold import cheaper, fold_linear
from spiking_lmu.graph.graph import Graph, Population
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Task

from . import keras_lmu, keras_ops, keras_spiking
from .binary import answering
from .keras_activations import Refusal
from .keras_builder import Builder, Tensor, require_size
from .keras_file import CallOutput, Layer, Saved, read_saved
from .keras_layers import (
    HANDLERS,
    PASSING,
    every,
    layer_problems,
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
        TensorFlow is needed); or a model in memory.  With one of one input and one output the
        result is then compared on random inputs.
    task
        What the outputs mean.  Unless given, classes after a softmax or with a cross-entropy
        as loss, else numbers; at every step if the model gives out sequences.
    output
        The name of the layer whose output counts, for a model with several outputs.

    Returns
    -------
    A rate model.  Its provenance has the file and ``notes``: what was left out or changed, and
    in which shape data are expected.  A softmax at the end is left out: the largest output
    stays the largest.  One output for two classes (binary cross-entropy) becomes two.

    Raises
    ------
    FileError
        A file that is missing, damaged, hostile, or holds weights alone.
    ImportNetworkError
        Layers without a counterpart in a graph, all of them in one line; or a live model
        that computes something else than the result.
    MissingExtraError
        h5py is not installed.

    ``from_keras("model.keras")`` gives a model that can be saved and converted.
    """
    saved = read_saved(path_or_model)
    ends = _chosen(saved, output)
    builder = Walk(saved)
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
    if model.task.classifies and model.graph.output_size == 1:
        builder.notes.append("Its output becomes two, of the classes 0 and 1: the larger decides.")
        model = answering(model, model.task)
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


def _chosen(saved: Saved, output: str) -> CallOutput:
    names = [end.layer for end in saved.outputs]
    if output:
        if output not in {layer.name for layer in saved.layers}:
            raise ImportNetworkError(
                "output", got=repr(output), expected="a layer", fix="one of: " + ", ".join(names)
            )
        return CallOutput(output, 0, 0)
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


class Walk(Builder):
    """Goes through a model, layer after layer, each of which adds its parts."""

    def __init__(self, saved: Saved) -> None:
        super().__init__()
        self.saved = saved
        self.sequence = any(
            layer.kind in (*keras_lmu.LAYERS, *keras_spiking.LAYERS, "TimeDistributed")
            for layer in every(saved)
        )
        #: Layers whose work is done to the data.
        self._at_entry: set[str] = set()

    # -- what is refused ---------------------------------------------------------------------

    def problems(self, saved: Saved, end: CallOutput) -> Iterator[str]:
        """A line for each thing in the configuration that has no counterpart."""
        for layer in every(saved):
            try:
                found = list(layer_problems(layer, layer.name == end.layer))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                found = [(f"a configuration that is not Keras's ({error})", "save it again")]
            for got, fix in found:
                yield f"{layer.name} ({layer.kind}) has {got}: {fix}"

    # -- building ----------------------------------------------------------------------------

    def build(self, end: CallOutput) -> tuple[Graph, bool, bool]:
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
        return graph, out.timed, self.softmax

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
        inputs = "1 input" if self.steps == 1 else f"{self.steps or 'any number of'} inputs"
        described = f"({inputs}, {sum(sizes)} values each)"
        self.notes.append(f"Data are samples of {described}.")
        if len(shapes) == 1:
            return [Tensor(name, shapes[0][1], self.sequence, self.steps)]
        parts, start = [], 0
        for source, (_, shape), size in zip(saved.inputs, shapes, sizes, strict=True):
            index = np.arange(start, start + size)
            part = self.picked_values(name, sum(sizes), index, source.layer)
            parts.append(Tensor(part, shape, self.sequence, self.steps))
            start += size
        names = ", ".join(source.layer for source in saved.inputs)
        self.notes.append(f"Its inputs are side by side: {names}.")
        return parts

    def _entering_shape(
        self, saved: Saved, source: CallOutput, shape: tuple[int | None, ...]
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
        self, saved: Saved, source: CallOutput, shape: tuple[int | None, ...]
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
            source = CallOutput(reader.name, 0, 0)

    def _run(
        self, saved: Saved, entries: Sequence[Tensor], prefix: str, end: CallOutput | None
    ) -> dict[CallOutput, Tensor]:
        """All outputs of the layers that can be computed from ``entries``."""
        known = dict(zip(saved.inputs, entries, strict=True))
        waiting = [
            (layer, call, sources)
            for layer in saved.layers
            for call, sources in enumerate(layer.calls)
            if CallOutput(layer.name, call, 0) not in known
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
                known[CallOutput(layer.name, call, 0)] = self._layer(layer, inputs, name, last)
        if end is not None and end not in known:
            raise Refusal("layers that are connected in a loop", "connect each to those before")
        return known

    def _layer(self, layer: Layer, inputs: list[Tensor], name: str, last: bool) -> Tensor:
        if not inputs:
            raise Refusal(f"{name} without an input", "connect it to a layer before")
        if layer.name in self._at_entry or layer.kind in PASSING:
            return inputs[0]
        if layer.inner is not None:
            end = layer.inner.outputs[0]
            if layer.kind != "TimeDistributed":
                return self._run(layer.inner, inputs, f"{name}.", end)[end]
            # One step after the other; what is in time is one presentation of the model inside.
            made = self._run(
                layer.inner, [replace(x, timed=False) for x in inputs], f"{name}.", end
            )
            return replace(made[end], timed=True, steps=inputs[0].steps)
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
            step = self._layer(inner, [replace(x, timed=False)], name, last)
            return replace(step, timed=True, steps=x.steps)
        if layer.kind in keras_spiking.LAYERS:
            x = self.materialised(inputs[0], f"{name}.padded")
            return keras_spiking.add(self, layer, x, name)
        if layer.kind.startswith("ops."):
            return keras_ops.add(self, layer, inputs, name, HANDLERS, last)
        if layer.config.get("data_format") == "channels_first" and len(inputs[0].shape) > 1:
            return self._channels_first(layer, inputs[0], name, last)
        return HANDLERS[layer.kind](self, layer, inputs, name, last)

    def _channels_first(self, layer: Layer, x: Tensor, name: str, last: bool) -> Tensor:
        """Channels to the end, what the layer does, and channels back to the front."""
        if x.timed:
            raise Refusal(f"{name} along time with channels first", "train with channels last")
        x = self.materialised(x, f"{name}.padded")
        axes = len(x.shape)
        index = np.arange(x.size).reshape(x.shape)
        x = self.picked(x, np.moveaxis(index, 0, -1), f"{name}.channels_last")
        made = self.materialised(
            HANDLERS[layer.kind](self, layer, [x], name, last), f"{name}.padding"
        )
        if len(made.shape) != axes:
            return made
        index = np.arange(made.size).reshape(made.shape)
        return self.picked(made, np.moveaxis(index, -1, 0), f"{name}.channels_first")


def _compare(model: Model, keras_model: Any, steps: int | None, softmax: bool, output: str) -> None:
    """Run both on random inputs; a difference beyond float32's is an error of the import."""
    if output or len(keras_model.inputs) != 1:
        model.provenance["notes"].append(
            "Its outputs were not compared with Keras's: only a model of one input is, with its "
            "own output."
        )
        return
    shape = [n or 12 for n in tuple(keras_model.inputs[0].shape)[1:]]
    x = np.random.default_rng(0).uniform(-1, 1, (3, *shape)).astype(np.float32)
    with whole_float32():
        want = np.asarray(keras_model.predict(x, verbose=0), float).reshape(3, -1)
    inputs = 1 if steps == 1 else (steps or shape[0])
    got = run_reference(model.graph, x.reshape(3, inputs, -1))
    got = got if model.task.every else got[:, -1]
    if softmax:
        powers = np.exp(got - got.max(axis=-1, keepdims=True))
        got = powers / powers.sum(axis=-1, keepdims=True)
    got = got.reshape(3, -1)
    difference = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-12))
    if difference > TOLERANCE:
        raise ImportNetworkError(
            "the imported model",
            got=f"outputs that differ from Keras's by {difference:.2g} of the largest",
            expected=f"at most {TOLERANCE}",
            fix="save it to a file, import that, and report what layers it has",
        )
