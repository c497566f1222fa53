"""What is read off a run: one row of numbers for each sample.

A worker hands back such rows alone, and the journal keeps them; whole outputs and spike trains
would be a thousand times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from spiking_lmu.backends.target import Run
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.model import Model


class Measure(Protocol):
    """Turns the run of a batch into rows.  Travels between processes."""

    @property
    def key(self) -> dict[str, Any]:
        """What decides the rows besides the run, JSON-safe: part of what they are kept under."""

    @property
    def raster(self) -> bool:
        """Whether it needs to know when each neuron fired."""

    @property
    def batch(self) -> int | None:
        """Samples that may be run at once, at most; None leaves it to the target."""

    def width(self, model: Model) -> int:
        """Numbers in a row."""

    def rows(self, model: Model, run: Run) -> Array:
        """Shape (samples, width), float64."""


@dataclass(frozen=True)
class LastOutput:
    """The output at the last step, which decides a classification."""

    raster = False
    batch = None

    @property
    def key(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def width(self, model: Model) -> int:
        """The graph's outputs."""
        return model.graph.output_size

    def rows(self, model: Model, run: Run) -> Array:
        """Shape (samples, outputs)."""
        return np.array(run.outputs[:, -1], dtype=float)


LAST_OUTPUT = LastOutput()


@dataclass(frozen=True)
class EveryOutput:
    """The output at the end of each presentation, one after another.

    ``steps`` are the inputs of the longest sample; rows of shorter ones end in zeros.
    """

    steps: int
    raster = False
    batch = None

    @property
    def key(self) -> dict[str, Any]:
        """What tells these rows from the last outputs alone."""
        return {"outputs": "every", "steps": self.steps}

    def width(self, model: Model) -> int:
        """The graph's outputs, for each input."""
        return self.steps * model.graph.output_size

    def rows(self, model: Model, run: Run) -> Array:
        """Shape (samples, steps · outputs)."""
        timing = model.timing
        inputs = (run.outputs.shape[1] - timing.settle_steps) // timing.steps_per_input
        answers = run.outputs[:, timing.presentation_ends(inputs)]
        rows = np.zeros((len(answers), self.steps, answers.shape[2]))
        rows[:, :inputs] = answers
        return rows.reshape(len(rows), -1)


def answers_of(model: Model, steps: int) -> Measure:
    """What a model's task needs of a run: its last output, or one for each of ``steps`` inputs."""
    return EveryOutput(steps) if model.task.every else LAST_OUTPUT
