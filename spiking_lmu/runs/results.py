"""What came out of running models on targets: plain data, no statistics, no drawing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.model import ONE_STEP
from spiking_lmu.graph.timing import Timing


@dataclass(frozen=True, eq=False)
class Trace:
    """One sample in full, for pictures.

    Parameters
    ----------
    index
        The sample's number in its data set.
    readout
        Filtered output over time, shape (steps, outputs).
    spikes
        By population, shape (spikes, 2): step and neuron of each spike.
    """

    index: int
    readout: Array
    spikes: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Outcome:
    """One model on one target, for the ``n`` wanted samples that are finished.

    Parameters
    ----------
    model
        Name of the model's file.
    neuron
        The spiking neuron's name, for people: ``SpikingRectifiedLinear``.
    target
        ``reference``, ``nengo-dl``, ``loihi`` or a third party's; ``rate`` is the rate model.
    indices
        Numbers of the samples in their data set, shape (n,).
    outputs
        Output at each sample's last step, shape (n, outputs); or at the end of each
        presentation, shape (n, inputs, outputs), where a sample has an answer for each.
    spikes
        Spikes of each sample by population, each of shape (n,).
    placement
        Where each population ran, by population: ``"chip emulator"``, ``"host"``.
    seconds
        Time spent simulating these samples.
    steps
        Simulation steps of the longest sample.
    wanted
        Samples that were asked for; fewer finished means an interrupted run.
    problem
        Why the target could not run or stopped, in one line, or empty.
    traces
        A few samples in full.
    options
        The target's own, JSON-safe.
    model_digest
        Of the model that ran.
    notes
        Remarks of the target, such as which engine ran.
    seed
        Of the run; None for a rate model, which has none.
    versions
        Of the packages that decide the result.
    verified
        So many samples had the same spikes in every neuron on the backend's own simulator.
    until
        Points either way within which the difference to the rate model was to be known, or
        None for a fixed number of samples.  Then the samples are the first of a random order.
    until_reached
        Whether it came to be known.
    timing
        How inputs were presented.
    host_spikes
        Spikes of each sample that the host sent to a chip, by connection, each of shape (n,);
        empty without a chip, None if they were not counted.
    lengths
        Inputs of each sample, shape (n,), if they differ.
    """

    model: str
    neuron: str
    target: str
    indices: Array
    outputs: Array
    spikes: dict[str, Array]
    placement: dict[str, str]
    seconds: float
    steps: int
    wanted: int
    problem: str = ""
    traces: tuple[Trace, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    verified: int = 0
    until: float | None = None
    until_reached: bool = False
    model_digest: str = ""
    notes: tuple[str, ...] = ()
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    timing: Timing = ONE_STEP
    host_spikes: dict[str, Array] | None = field(default_factory=dict)
    lengths: Array | None = None

    @property
    def mean_steps(self) -> float:
        """Simulation steps of a sample, the mean over those that are finished."""
        if self.lengths is None or not len(self.lengths):
            return self.steps
        mean = float(self.lengths.mean())
        return mean * self.timing.steps_per_input + self.timing.settle_steps

    @property
    def decisions(self) -> Array:
        """The class of the largest output, shape (n,) or (n, inputs)."""
        decided: Array = self.outputs.argmax(axis=-1)
        return decided

    @property
    def spikes_per_sample(self) -> float:
        """Mean over samples of the spikes of all populations; 0 without samples."""
        return float(sum(counts.mean() for counts in self.spikes.values() if counts.size))

    @property
    def host_spikes_per_sample(self) -> float | None:
        """Mean over samples of the spikes that the host sent to a chip.

        None without a chip, without samples, or if they were not counted.
        """
        if not self.host_spikes or not len(self.indices):
            return None
        return float(sum(counts.mean() for counts in self.host_spikes.values()))

    @property
    def record(self) -> dict[str, Any]:
        """Options, digests, seed and versions of the run, JSON-safe, for reports."""
        record: dict[str, Any] = {**self.options, "model_digest": self.model_digest}
        if self.seed is not None:
            record |= {"notes": list(self.notes), "seed": self.seed}
        record |= {"versions": self.versions}
        if self.until is not None:
            stopped = {"points": self.until, "reached": self.until_reached}
            record["until"] = {**stopped, "samples": len(self.indices)}
        return record
