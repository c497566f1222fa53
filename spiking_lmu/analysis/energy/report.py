"""Operations and energy of a spiking model on each target, beside its rate model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from spiking_lmu.errors import SpecError
from spiking_lmu.graph.front_end import split
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.model import Model
from spiking_lmu.runs.result import Result

from .counts import Counts
from .devices import Device
from .operations import (
    NOTHING,
    Operations,
    ProjectionOperations,
    connection_sparsity,
    count_operations,
    footprint,
    parameter_count,
)

RATE = "rate model"
RATE_LAST_STEP = "rate model, last step only"
RATE_FOLDED = "rate model, memory folded"
#: What is added to a chip's name where neurons in which nothing can happen cost nothing.
ACTIVE_ONLY = "alone, active neurons only"
#: The same with the figure that was published for the update of an inactive neuron.
IDLE_CHEAPER = "alone, idle neurons at their own price"
#: What is added to it for what the spikes take that code numbers on their way from the host.
HOST_SPIKES = "for host spikes"


@dataclass(frozen=True)
class Entry:
    """One model's cost.

    Parameters
    ----------
    label
        A target's name, or one of RATE, RATE_LAST_STEP and RATE_FOLDED.
    samples
        Samples whose spikes were counted; 0 for a rate model.
    spikes
        Mean spikes of a sample.
    operations
        Those of one sample.
    macs_by_place, acs_by_place
        Effective operations by where they are done: MACs where the values that they read come
        from, ACs where the spikes go to.
    joules
        Estimates for one sample by device; None where a device cannot run it.
    connection_sparsity, parameters, footprint
        Of the graph: share of zero weights, number of parameters, their bytes in float32.
    """

    label: str
    samples: int
    spikes: float
    operations: Operations
    macs_by_place: Mapping[str, float]
    acs_by_place: Mapping[str, float]
    joules: Mapping[str, float | None]
    connection_sparsity: float
    parameters: int
    footprint: int


@dataclass(frozen=True)
class EnergyReport(Result):
    """All entries, the rate model's last, and the devices that the estimates are for."""

    entries: tuple[Entry, ...]
    devices: tuple[Device, ...]
    model: str = "model"


def energy_report(
    model: Model,
    counts: Iterable[Counts],
    devices: Sequence[Device],
    shares: Mapping[str, float] = NOTHING,
) -> EnergyReport:
    """Cost of ``model`` for each run that was counted, and of the rate graph it came from.

    The rate graph runs one step an input.  Where only the last answer counts there is a second
    entry for it, which computes hidden layer and readout once, if nothing remembers them; and
    where its memory is linear and only the input drives it a third, the cheapest: one product
    of the whole sequence with the memory's impulse response, folded with what reads it.

    Parameters
    ----------
    counts
        Runs of this model, see `counts_of` and `read_counts`.
    devices
        See `load_devices`.
    shares
        Shares of nonzero outputs in the rate graph, see `active_shares`; without them, rate
        neurons and linear populations count as never zero.

    Raises
    ------
    SpecError
        The model does not spike; nothing was counted, or not all that spikes.
    """
    runs = tuple(counts)
    if not model.graph.spiking or not runs:
        raise SpecError(
            "energy",
            got="a model that does not spike" if runs else "no counted run",
            expected="counted spikes of a spiking model",
            fix="convert the model, and compare it on data",
        )
    entries = []
    for run in runs:
        # Where all is in one place, no host sends anything.
        sent = run.host_spikes
        sent = {} if sent is None and len(set(run.placement.values())) == 1 else sent
        operations = count_operations(model.graph, run.steps, run.spikes, shares, host_spikes=sent)
        entries.append(_entry(run.target, model, run, operations, devices))
    timing = model.timing
    inputs = max(1.0, (runs[0].steps - timing.settle_steps) / timing.steps_per_input)
    rate = count_operations(model.rate, inputs, shares=shares)
    entries.append(_entry(RATE, model, None, rate, devices))
    last = count_operations(model.rate, inputs, shares=shares, last_step_only=True)
    if not model.task.every and last.dense < rate.dense:
        entries.append(_entry(RATE_LAST_STEP, model, None, last, devices))
    folded = None if model.task.every else folded_operations(model.rate, inputs, shares)
    if folded is not None:
        entries.append(_entry(RATE_FOLDED, model, None, folded, devices))
    return EnergyReport(tuple(entries), tuple(devices))


def folded_operations(
    graph: Graph, inputs: float, shares: Mapping[str, float] = NOTHING
) -> Operations | None:
    """Of the last answer of a rate graph, with its linear memory as one product; None without one.

    The product has a weight for each input, channel and value that the memory delivers.
    """
    front = split(graph)
    if front is None or not all(p.immediate for p in front.rest.projections):
        return None
    rest = count_operations(front.rest, 1, shares=shares)
    weights = float(inputs * graph.input_size * front.size)
    product = ProjectionOperations(
        "memory folded",
        graph.input,
        front.boundaries[0].first.post,
        False,
        weights,
        weights * shares.get(graph.input, 1.0),
    )
    kept = tuple(row for row in rest.projections if row.pre != graph.input)
    return replace(rest, projections=(product, *kept))


def estimate(operations: Operations, devices: Sequence[Device]) -> dict[str, float | None]:
    """Joules for one sample by device.

    A device that is not event-driven computes every weight at every step.  An event-driven one
    has the spikes and the spiking neurons only; the rest (the memory, sums of graded values,
    rate neurons, neurons that stay on the host) is left to a host: ``"loihi alone"`` is the
    chip's part, ``"loihi with cpu"`` all of it.  ``"loihi alone, active neurons only"`` leaves
    out updates in which nothing can happen, where there are any: a bound for a chip that skips
    them.  ``"loihi alone, idle neurons at their own price"`` has them at what was published for
    inactive neurons.  ``"loihi for host spikes"`` is what the chip does for spikes that
    code numbers on their way from the host, where they were counted: not in the first, but in all
    with a host.
    """
    hosts = [device for device in devices if not device.event_driven]
    joules: dict[str, float | None] = {}
    for device in hosts:
        joules[device.name] = (
            operations.dense * device.joules_per_synop
            + operations.neuron_updates * device.joules_per_neuron_update
        )
    for device in devices:
        if not device.event_driven:
            continue
        staying = sum(p.effective for p in operations.projections if p.on_host)
        chip = (operations.effective_acs - staying) * device.joules_per_synop + (
            operations.spiking_updates - operations.host_updates
        ) * device.joules_per_neuron_update
        spikes = operations.spiking_updates > 0
        joules[f"{device.name} alone"] = chip if spikes else None
        if operations.idle_updates:
            active = chip - operations.idle_updates * device.joules_per_neuron_update
            if device.joules_per_idle_update is not None:
                idle = operations.idle_updates * device.joules_per_idle_update
                joules[f"{device.name} {IDLE_CHEAPER}"] = active + idle
            joules[f"{device.name} {ACTIVE_ONLY}"] = active
        coding = operations.coding_synops * device.joules_per_synop
        if operations.coding_synops:
            joules[f"{device.name} {HOST_SPIKES}"] = coding
        for host in hosts:
            rest = (operations.dense_macs + staying) * host.joules_per_synop + (
                operations.rate_updates + operations.host_updates + operations.coding_updates
            ) * host.joules_per_neuron_update
            joules[f"{device.name} with {host.name}"] = chip + coding + rest if spikes else None
    return joules


def _entry(
    label: str, model: Model, run: Counts | None, operations: Operations, devices: Sequence[Device]
) -> Entry:
    graph = model.rate if run is None else model.graph
    placement = {} if run is None else run.placement
    macs: dict[str, float] = {}
    acs: dict[str, float] = {}
    for row in operations.projections:
        if row.comparison:
            continue
        found, end = (acs, row.post) if row.spikes else (macs, row.pre)
        place = placement.get(end, "anywhere")
        found[place] = found.get(place, 0.0) + row.effective
    return Entry(
        label,
        0 if run is None else run.samples,
        0.0 if run is None else sum(run.spikes.get(p.name, 0.0) for p in graph.spiking),
        operations,
        macs,
        acs,
        estimate(operations, devices),
        connection_sparsity(graph),
        parameter_count(graph),
        footprint(graph),
    )
