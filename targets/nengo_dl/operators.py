"""Operators of our own for NengoDL: a held value, a mean that is held, and a count of spikes.

NengoDL's documentation, *Extending NengoDL*, describes what happens here: a process is built
into an operator (``NengoBuilder``), and the operator into TensorFlow (``Builder``).

They could be written without, as TensorNodes fed back to themselves.  Then the fed-back value
and the new one are two parts of one signal, and TensorFlow writes parts of an array element by
element: more than half of the whole simulation's time.

Imports NengoDL: import this module only where NengoDL is wanted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo, import_nengo_dl
from spiking_lmu.graph.graph import Projection
from spiking_lmu.graph.timing import Timing

nengo, nengo_dl = import_nengo(), import_nengo_dl()

import tensorflow as tf  # noqa: E402  (after import_nengo_dl, which decides on its Keras)
from nengo.builder import Operator, Signal  # noqa: E402
from nengo_dl.builder import Builder, NengoBuilder, OpBuilder  # noqa: E402


class Hold(nengo.Process):  # type: ignore[name-defined]
    """Shows, for a whole presentation, what is read of its input in the one before.

    Parameters
    ----------
    size
        Numbers that are held.
    timing, inputs
        Layout of one sample.
    projection
        Says what is read, the last value or the mean, and from which presentation on.
    """

    def __init__(self, size: int, timing: Timing, inputs: int, projection: Projection) -> None:
        super().__init__(default_size_in=size, default_size_out=size)
        self.timing, self.inputs = timing, inputs
        self.begins, self.mean_from = projection.begins, projection.mean_from


class Count(nengo.Process):  # type: ignore[name-defined]
    """How many spikes each neuron has fired so far; exact up to 2^24, as float32 is.

    Parameters
    ----------
    size
        Number of neurons.
    spike
        What one spike in one step puts out: amplitude / (scale · dt).
    """

    def __init__(self, size: int, spike: float) -> None:
        super().__init__(default_size_in=size, default_size_out=size)
        self.spike = spike


def hold(source: Any, size: int, timing: Timing, inputs: int, projection: Projection) -> Any:
    """A Node that holds ``source``; a ``HoldFactory`` of :mod:`spiking_lmu.backends.network`."""
    node = nengo.Node(Hold(size, timing, inputs, projection), label=f"{projection.name}.hold")
    nengo.Connection(source, node, synapse=None)
    return node


class SimUpdate(Operator):
    """Writes the process' output when everything else in the step has read the one before."""

    def __init__(self, process: Any, step: Any, value: Any, *updates: Any) -> None:
        super().__init__(tag=type(process).__name__)
        self.process = process
        self.sets: list[Any] = []
        self.incs: list[Any] = []
        self.reads, self.updates = [step, value], list(updates)


class SimHold(SimUpdate):
    """Of a :class:`Hold` of the last value."""


class SimMean(SimUpdate):
    """Of a :class:`Hold` of the mean; the sum so far is a signal of its own."""


class SimCount(SimUpdate):
    """Of a :class:`Count`."""


@NengoBuilder.register(Hold)
@NengoBuilder.register(Count)
def build_process(model: Any, process: Any, value: Any, output: Any, mode: str) -> None:
    """Add the process' operator to the model; its output starts at zero, as signals do."""
    if isinstance(process, Count):
        model.add_op(SimCount(process, model.step, value, output))
    elif process.mean_from is None:
        model.add_op(SimHold(process, model.step, value, output))
    else:
        total = Signal(np.zeros(output.shape), name=f"{process}.total")
        model.add_op(SimMean(process, model.step, value, output, total))


class UpdateBuilder(OpBuilder):
    """What the operators read and write, (batch, size), and the number of the step, from 1."""

    def build_pre(self, signals: Any, config: Any) -> None:
        """Find the signals."""
        super().build_pre(signals, config)
        (operator,) = self.ops
        self.process = operator.process
        self.step, self.value = (signals[signal] for signal in operator.reads)
        self.output = signals[operator.updates[0]]

    def starts(self, upcoming: Any) -> Any:
        """Whether the step of this number, from 0, is the first of a presentation."""
        process, steps = self.process, self.process.timing.steps_per_input
        return tf.logical_and(upcoming % steps == 0, upcoming // steps < process.inputs)


@Builder.register(SimHold)
class HoldBuilder(UpdateBuilder):
    """Takes the input over where the next step begins a presentation."""

    def build_step(self, signals: Any) -> None:
        """One step; either branch is passed on as it is, without a copy."""
        upcoming = tf.reshape(signals.gather(self.step), ())
        takes = tf.logical_and(self.starts(upcoming), upcoming >= first_step(self.process))
        value, held = signals.gather(self.value), signals.gather(self.output)
        signals.scatter(self.output, tf.cond(takes, lambda: value, lambda: held))


def first_step(process: Hold) -> int:
    """The step, from 0, from which on it shows what it reads."""
    return int(process.begins * process.timing.steps_per_input)


@Builder.register(SimMean)
class MeanBuilder(UpdateBuilder):
    """Adds the input up; takes the mean over where the next step begins a presentation."""

    def build_pre(self, signals: Any, config: Any) -> None:
        """Find the sum so far too."""
        super().build_pre(signals, config)
        self.total = signals[self.ops[0].updates[1]]

    def build_step(self, signals: Any) -> None:
        """One step."""
        upcoming = tf.reshape(signals.gather(self.step), ())
        process, first = self.process, self.process.mean_from
        counts = (upcoming - 1) % process.timing.steps_per_input >= first
        value, before = signals.gather(self.value), signals.gather(self.total)
        total = tf.cond(counts, lambda: before + value, lambda: before)
        starts = self.starts(upcoming)
        takes = tf.logical_and(starts, upcoming >= first_step(process))
        mean, held = total / process.timing.averaged_steps(first), signals.gather(self.output)
        signals.scatter(self.output, tf.cond(takes, lambda: mean, lambda: held))
        signals.scatter(self.total, tf.cond(starts, lambda: tf.zeros_like(total), lambda: total))


@Builder.register(SimCount)
class CountBuilder(UpdateBuilder):
    """Adds this step's spikes."""

    def build_step(self, signals: Any) -> None:
        """One step; rounded, so that what is added are whole numbers."""
        spikes = tf.round(signals.gather(self.value) * (1.0 / self.process.spike))
        signals.scatter(self.output, signals.gather(self.output) + spikes)
