"""What one rung shows of a batch: outputs, decoded activity and firing rates at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spiking_lmu.backends.target import Run
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.timing import Timing, lowpass_decay

Array = np.ndarray
#: Steps over which rates are averaged where presentations are short and nothing settles.
SHORTEST_WINDOW = 50


@dataclass(frozen=True, eq=False)
class Seen:
    """One batch on one rung.

    Parameters
    ----------
    outputs
        At the last step, (batch, outputs).
    activity
        Of each spiking population, in the units of the rate network, through the readout's
        filter at the last step: (batch, size).
    rates
        Spikes a second of each neuron in the last :func:`window` steps, (batch, size).
    """

    outputs: Array
    activity: Mapping[str, Array]
    rates: Mapping[str, Array]

    @staticmethod
    def join(parts: list[Seen]) -> Seen:
        """Batches one after another as one."""
        return Seen(
            np.concatenate([part.outputs for part in parts]),
            {n: np.concatenate([part.activity[n] for part in parts]) for n in parts[0].activity},
            {n: np.concatenate([part.rates[n] for part in parts]) for n in parts[0].rates},
        )


def window(timing: Timing, inputs: int) -> int:
    """Steps at the end over which rates are averaged: the last presentation, if that is long."""
    last = timing.steps_per_input + timing.settle_steps
    return min(timing.total_steps(inputs), max(last, SHORTEST_WINDOW))


def seen_of(model: Model, inputs: int, run: Run) -> Seen:
    """The same of what a target gave, from its rasters."""
    timing = model.timing
    steps, dt = timing.total_steps(inputs), timing.dt
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
    return Seen(run.outputs[:, -1], activity, rates)
