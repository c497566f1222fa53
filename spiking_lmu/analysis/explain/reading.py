"""What one rung shows of each sample: outputs, decoded activity and firing rates at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.backends.target import Run
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.graph import Graph, Population
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.timing import Timing, lowpass_decay

#: Steps over which rates are averaged where presentations are short and nothing settles.
SHORTEST_WINDOW = 50
#: Samples run at once; rasters and a sequence's currents have to fit.
BATCH = 50


@dataclass(frozen=True, eq=False)
class Reading:
    """All samples on one rung.

    Parameters
    ----------
    outputs
        At the last step, (samples, outputs); or at the end of each presentation,
        (samples, inputs, outputs), where there is an answer at every input.
    activity
        Of each population of neurons, in the units of the rate network, through the readout's
        filter at the last step: (samples, size).
    rates
        Spikes a second of each neuron in the last :func:`window` steps, (samples, size).
    """

    outputs: Array
    activity: Mapping[str, Array]
    rates: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class ReadingRun(Run):
    """The run of a rung that knows activity and rates itself; its neurons need not spike."""

    reading: Reading | None = None


@dataclass(frozen=True)
class LayerReading:
    """Measures a `Reading`, a row for each sample.

    Parameters
    ----------
    answers
        So many a sample at most: 1, or the inputs of the longest.
    rate
        Of the rate graph, whose neurons have no spikes to count.
    """

    answers: int = 1
    rate: bool = False
    batch = BATCH

    @property
    def key(self) -> dict[str, Any]:
        """Name of the measure, and how many answers there are."""
        return {"layers": "rate" if self.rate else "spiking", "answers": self.answers}

    @property
    def raster(self) -> bool:
        """Spikes at the end are told from others."""
        return not self.rate

    def width(self, model: Model) -> int:
        """Outputs, activity, rates."""
        sizes = sum(p.size for p in self._populations(model))
        return self.answers * model.graph.output_size + (sizes if self.rate else 2 * sizes)

    def rows(self, model: Model, run: Run) -> Array:
        """Shape (samples, width); answers of shorter samples end in zeros."""
        found = run.reading if isinstance(run, ReadingRun) else None
        reading = read_run(model, run) if found is None else found
        said = reading.outputs.reshape(len(reading.outputs), -1)
        missing = self.answers * model.graph.output_size - said.shape[1]
        parts = [np.pad(said, ((0, 0), (0, missing)))]
        for by_name in (reading.activity, reading.rates)[: 1 if self.rate else 2]:
            parts += [by_name[p.name] for p in self._populations(model)]
        return np.concatenate(parts, axis=1)

    def reading(self, model: Model, rows: Array) -> Reading:
        """The rows of all samples as a `Reading`."""
        names = [(p.name, p.size) for p in self._populations(model)]
        sizes = [self.answers * model.graph.output_size, *(size for _, size in names)]
        sizes += [] if self.rate else [size for _, size in names]
        outputs, *rest = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
        if model.task.every:
            outputs = outputs.reshape(len(rows), self.answers, -1)
        found = [dict(zip((n for n, _ in names), rest[i:], strict=False)) for i in (0, len(names))]
        return Reading(outputs, found[0], {} if self.rate else found[1])

    def _populations(self, model: Model) -> tuple[Population, ...]:
        return hidden(model.rate) if self.rate else model.graph.spiking


def hidden(graph: Graph) -> tuple[Population, ...]:
    """The populations of neurons."""
    return tuple(p for p in graph.populations if p.neuron.kind != "linear")


def window(timing: Timing, inputs: int) -> int:
    """Steps at the end over which rates are averaged: the last presentation, if that is long."""
    last = timing.steps_per_input + timing.settle_steps
    return min(timing.total_steps(inputs), max(last, SHORTEST_WINDOW))


def answers_in(model: Model, outputs: Array) -> Array:
    """The answers among outputs of all steps: the last, or one for each input."""
    if not model.task.every:
        return outputs[:, -1]
    timing = model.timing
    inputs = (outputs.shape[1] - timing.settle_steps) // timing.steps_per_input
    return outputs[:, timing.presentation_ends(inputs)]


def read_run(model: Model, run: Run) -> Reading:
    """The same of what a target gave, from its rasters."""
    timing = model.timing
    steps, dt = run.outputs.shape[1], timing.dt
    inputs = (steps - timing.settle_steps) // timing.steps_per_input
    first = steps - window(timing, inputs)
    decay = lowpass_decay(timing.readout_tau, dt)
    # A spike of the last step counts with 1 - decay, one of k steps before decay**k of that.
    kept = (1.0 - decay) * decay ** np.arange(steps)[::-1]
    activity, rates = {}, {}
    for p in model.graph.spiking:
        filtered, late = (np.zeros((len(run.outputs), p.size)) for _ in range(2))
        for sample, raster in enumerate(run.rasters):
            step, neuron = raster[p.name].T
            np.add.at(filtered[sample], neuron, kept[step])
            np.add.at(late[sample], neuron[step >= first], 1.0)
        activity[p.name] = filtered * p.spike_size(dt)
        rates[p.name] = late / ((steps - first) * dt)
    return Reading(answers_in(model, run.outputs), activity, rates)
