"""Two operators of our own for NengoDL: a held value, and a count of spikes.

NengoDL's documentation, *Extending NengoDL*, describes what happens here: a process is built
into an operator (``NengoBuilder``), and the operator into TensorFlow (``Builder``).

Both could be written without, as TensorNodes fed back to themselves.  Then the fed-back value
and the new one are two parts of one signal, and TensorFlow writes parts of an array element by
element: more than half of the whole simulation's time.

Imports NengoDL: import this module only where NengoDL is wanted.
"""

from __future__ import annotations

from typing import Any

from spiking_lmu.compat import import_nengo, import_nengo_dl
from spiking_lmu.graph.timing import Timing

nengo, nengo_dl = import_nengo(), import_nengo_dl()

import tensorflow as tf  # noqa: E402  (after import_nengo_dl, which decides on its Keras)
from nengo.builder import Operator  # noqa: E402
from nengo_dl.builder import Builder, NengoBuilder, OpBuilder  # noqa: E402


class Hold(nengo.Process):  # type: ignore[name-defined]
    """Shows, for a whole presentation, what its input was at the end of the one before.

    Parameters
    ----------
    size
        Numbers that are held.
    timing, inputs
        Layout of one sample.
    begins
        The first presentation that shows anything.
    """

    def __init__(self, size: int, timing: Timing, inputs: int, begins: int) -> None:
        super().__init__(default_size_in=size, default_size_out=size)
        self.timing, self.inputs, self.begins = timing, inputs, begins


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


def hold(source: Any, size: int, timing: Timing, inputs: int, begins: int, label: str) -> Any:
    """A Node that holds ``source``; a ``HoldFactory`` of :mod:`spiking_lmu.backends.network`."""
    node = nengo.Node(Hold(size, timing, inputs, begins), label=label)
    nengo.Connection(source, node, synapse=None)
    return node


class SimUpdate(Operator):
    """Writes the process' output when everything else in the step has read the one before."""

    def __init__(self, process: Any, step: Any, value: Any, output: Any) -> None:
        super().__init__(tag=type(process).__name__)
        self.process = process
        self.sets: list[Any] = []
        self.incs: list[Any] = []
        self.reads, self.updates = [step, value], [output]


class SimHold(SimUpdate):
    """Of a :class:`Hold`."""


class SimCount(SimUpdate):
    """Of a :class:`Count`."""


@NengoBuilder.register(Hold)
@NengoBuilder.register(Count)
def build_process(model: Any, process: Any, value: Any, output: Any, mode: str) -> None:
    """Add the process' operator to the model; its output starts at zero, as signals do."""
    operator = SimHold if isinstance(process, Hold) else SimCount
    model.add_op(operator(process, model.step, value, output))


class UpdateBuilder(OpBuilder):
    """What both operators read and write, (batch, size), and the number of the step, from 1."""

    def build_pre(self, signals: Any, config: Any) -> None:
        """Find the signals."""
        super().build_pre(signals, config)
        (operator,) = self.ops
        self.process = operator.process
        self.step, self.value = (signals[signal] for signal in operator.reads)
        self.output = signals[operator.updates[0]]


@Builder.register(SimHold)
class HoldBuilder(UpdateBuilder):
    """Takes the input over where the next step begins a presentation."""

    def build_step(self, signals: Any) -> None:
        """One step; either branch is passed on as it is, without a copy."""
        upcoming = tf.reshape(signals.gather(self.step), ())
        process, steps = self.process, self.process.timing.steps_per_input
        starts = tf.logical_and(upcoming % steps == 0, upcoming // steps < process.inputs)
        if process.begins:
            starts = tf.logical_and(starts, upcoming >= process.begins * steps)
        value, held = signals.gather(self.value), signals.gather(self.output)
        signals.scatter(self.output, tf.cond(starts, lambda: value, lambda: held))


@Builder.register(SimCount)
class CountBuilder(UpdateBuilder):
    """Adds this step's spikes."""

    def build_step(self, signals: Any) -> None:
        """One step; rounded, so that what is added are whole numbers."""
        spikes = tf.round(signals.gather(self.value) * (1.0 / self.process.spike))
        signals.scatter(self.output, signals.gather(self.output) + spikes)
