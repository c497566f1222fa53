"""Recordings of probes that keep only what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiking_lmu.errors import TargetError

from .chip.engine import ChipEngine
from .chip.probes import ChipReader
from .host import BatchedHost

Array = np.ndarray


@dataclass(frozen=True)
class Record:
    """What to keep of one probe.

    Parameters
    ----------
    keep
        Steps to keep, counted from 0, as a slice of the run; None is all of them.
    count_only
        For a probe of spikes: the number of spikes of each neuron in those steps, uint32
        (batch, size), in place of (batch, steps, size).
    """

    keep: slice | None = None
    count_only: bool = False

    def steps(self, run: int) -> range:
        """The steps to keep of a run of ``run`` steps."""
        return range(run)[self.keep or slice(None)]


class _Steps:
    """Values of the steps kept, in one array of (steps kept, *shape of a step)."""

    def __init__(self, record: Record, steps: int) -> None:
        self._at = {step: i for i, step in enumerate(record.steps(steps))}
        self._data: Array | None = None

    def __contains__(self, step: int) -> bool:
        return step in self._at

    def add(self, step: int, value: Array) -> None:
        if self._data is None:
            self._data = np.zeros((len(self._at), *value.shape), value.dtype)
        self._data[self._at[step]] = value

    def array(self, empty: tuple[int, ...]) -> Array:
        return np.zeros((0, *empty)) if self._data is None else self._data


class HostRecorder:
    """Records a probe of the host."""

    def __init__(self, probe: Any, host: BatchedHost, record: Record, steps: int) -> None:
        self.host, self._probe, self._steps = host, probe, _Steps(record, steps)

    def add(self, step: int) -> None:
        """Take the values of ``step``, counted from 0."""
        if step in self._steps:
            self._steps.add(step, self.host.probed(self._probe))

    def data(self) -> Array:
        """(batch, steps kept, size)."""
        return np.moveaxis(self._steps.array(self.host.probed(self._probe).shape), -1, 0)


class HostCountRecorder:
    """Counts the spikes of neurons on the host, which put out ``amplitude / dt`` for each."""

    def __init__(self, probe: Any, host: BatchedHost, record: Record, steps: int) -> None:
        ensemble: Any = getattr(probe.target, "ensemble", None)
        if ensemble is None or not ensemble.neuron_type.spiking or probe.attr != "output":
            raise _not_countable(probe, "what are not spikes")
        if probe.synapse is not None:
            raise _not_countable(probe, "filtered spikes")
        self.host, self._probe, self._kept = host, probe, record.steps(steps)
        self._height = ensemble.neuron_type.amplitude / host.dt
        self._total: Array | None = None

    def add(self, step: int) -> None:
        """Take the spikes of ``step``, counted from 0."""
        now = self.host.probed(self._probe)
        if self._total is None:
            self._total = np.zeros(now.shape)
        if step in self._kept:
            self._total += now

    def data(self) -> Array:
        """Number of spikes, uint32 (batch, size)."""
        total = self.host.probed(self._probe) * 0 if self._total is None else self._total
        return np.rint(total.T / self._height).astype(np.uint32)


class CountRecorder:
    """Counts the spikes of each neuron on the chip."""

    def __init__(self, probe: Any, reader: ChipReader, record: Record, steps: int) -> None:
        chip = reader.probe
        if chip.key != "spiked" or chip.is_transformed or chip.synapse is not None:
            raise _not_countable(probe, "filtered, weighted or not spikes")
        self._reader, self._kept = reader, record.steps(steps)
        self._counts: list[Array] | None = None

    def add(self, step: int, engine: ChipEngine) -> None:
        """Take the spikes of ``step``, counted from 0."""
        spikes = self._reader.look(engine)
        if self._counts is None:
            self._counts = [np.zeros(s.shape, np.uint32) for s in spikes]
        if step in self._kept:
            for count, spiked in zip(self._counts, spikes, strict=True):
                np.add(count, spiked, out=count)

    def data(self) -> Array:
        """Number of spikes, uint32 (batch, size)."""
        counts = np.concatenate(self._counts or [], axis=0).T
        order = self._reader.probe.reindexing
        return counts if order is None else counts[:, order]


class SentCounter:
    """Counts the spikes that one connection carries from host to chip.

    Parameters
    ----------
    spikes
        What it carries in the step at hand, bool (neurons, batch).
    steps
        Those to count, from 0.
    """

    def __init__(self, spikes: Array, steps: range) -> None:
        self._spikes, self._steps = spikes, steps
        self._counts = np.zeros(spikes.shape, np.uint32)

    def add(self, step: int) -> None:
        """Take the spikes of ``step``, counted from 0."""
        if step in self._steps:
            np.add(self._counts, self._spikes, out=self._counts)

    def data(self) -> Array:
        """Number of spikes, uint64 (batch,)."""
        return self._counts.sum(axis=0, dtype=np.uint64)


class ChipRecorder:
    """Records a probe of the chip, filtered in float32 as nengo-loihi does.

    Where the result could depend on the shape of an array (matrix products, filters of
    higher order), the raw state of all steps is kept and nengo-loihi's own code runs on
    one sample after the other.
    """

    def __init__(
        self, reader: ChipReader, record: Record, steps: int, dt: float, strict: bool
    ) -> None:
        from nengo.synapses import Lowpass

        self._reader, self._record, self._dt = reader, record, dt
        self._steps = _Steps(record, steps)
        synapse, size = reader.probe.synapse, reader.size
        by_column = synapse is None or (type(synapse) is Lowpass and size > 1)
        self._whole = not by_column or (strict and reader.probe.is_transformed)
        self._raw: list[list[Array]] = []
        self._filter: Callable[..., Array] | None = None

    def add(self, step: int, engine: ChipEngine) -> None:
        """Take the state of ``step``, counted from 0."""
        filtered = self._reader.probe.synapse is not None
        if self._whole:
            self._raw.append(self._reader.read(engine))
        elif filtered or step in self._steps:
            value = self._reader.weigh(self._reader.read(engine))
            if filtered:
                value = self._filtered(step, value)
            if step in self._steps:
                self._steps.add(step, value)

    def _filtered(self, step: int, value: Array) -> Array:
        if self._filter is None:
            synapse = self._reader.probe.synapse
            state = synapse.make_state(value.shape, value.shape, self._dt, dtype=np.float32)
            self._filter = synapse.make_step(value.shape, value.shape, self._dt, None, state)
        # ``ProbeFilter`` stores the filtered float32 values in an array of the data's type.
        return self._filter(step * self._dt, value).astype(value.dtype)

    def data(self) -> Array:
        """(batch, steps kept, size)."""
        if not self._whole:
            return np.moveaxis(self._steps.array((0, self._reader.size)), 1, 0)
        from nengo_loihi.probe import ProbeFilter

        weighed = self._reader.weigh_runs(self._raw)
        runs = [ProbeFilter(self._dt)(self._reader.probe, run) for run in weighed]
        return np.stack(runs)[:, self._record.keep or slice(None)]


def record_step(step: int, host: Any, chip: Any, engine: ChipEngine) -> None:
    """Let recorders of the host and of the chip, by probe, take the values of ``step``."""
    for recorder in host.values():
        recorder.add(step)
    for recorder in chip.values():
        recorder.add(step, engine)


def _not_countable(probe: Any, got: str) -> TargetError:
    return TargetError(
        f"record of {probe}",
        got=f"count_only for {got}",
        expected="an unfiltered probe of spikes",
        fix="record its values, without count_only",
    )
