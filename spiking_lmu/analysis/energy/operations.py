"""Operations of one sample, counted on the graph.

Names and definitions are those of NeuroBench (Yik et al., 2025, "The neurobench framework for
benchmarking neuromorphic computing algorithms and systems", Nature Communications 16, and its
code, ``neurobench/benchmarks/metrics``):

- *dense* synaptic operations: every weight of every projection at every step;
- *effective* ones: neither the weight nor the value that it multiplies is zero.  They are
  accumulates (*ACs*, synops) where the values are spikes, multiply-accumulates (*MACs*) else;
- *activation sparsity*: zeros among the outputs of all neurons at all steps.  Linear
  populations have no neurons and do not count;
- *connection sparsity*: zeros among the weights;
- *footprint*: bytes of the parameters.

As there, biases are no synaptic operations; nor are lowpass filters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spiking_lmu.backends.network import CURRENT
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

FLOAT32_BYTES = 4
#: A membrane of at most so many seconds forgets its voltage within a step of 1 ms.
MEMORYLESS_TAU = 1.5e-4
NOTHING: Mapping[str, float] = {}


@dataclass(frozen=True)
class ProjectionOperations:
    """One projection's operations in one sample.

    Parameters
    ----------
    name, pre, post
        As in the graph.
    spikes
        Whether it carries spikes, so that its effective operations are ACs, else MACs.
    dense, effective
        Mean numbers in a sample.
    on_host
        Whether a host has to compute it even beside a chip, although it carries spikes: they
        come from neurons that stay on the host, and do not enter the chip.
    comparison
        Whether each neuron on the host reads one value through it, and compares that with a
        threshold; the weight then belongs to the threshold, and there is no multiplication.
    """

    name: str
    pre: str
    post: str
    spikes: bool
    dense: float
    effective: float
    on_host: bool = False
    comparison: bool = False


@dataclass(frozen=True)
class Operations:
    """All operations of one sample.

    Parameters
    ----------
    steps
        Simulation steps of a sample, the mean where samples differ in length.
    projections
        Synaptic operations, projection by projection.
    spiking_updates, rate_updates
        Neurons times steps, of spiking neurons and of nonlinear rate neurons.
    activation_sparsity
        Share of zeros among the outputs of all neurons, from 0 to 1; None where it was not
        measured, or without neurons.
    host_updates
        Those of ``spiking_updates`` that are of neurons that stay on the host beside a chip.
    idle_updates
        Those of ``spiking_updates`` on a chip in which nothing can happen: of neurons that keep
        nothing from one step to the next, in steps in which no spike arrives.
    host_spikes
        Spikes that a host sends to the chip; None if they were not counted.
    coding_synops, coding_updates
        What coding numbers as spikes takes besides all of the above: accumulates on the chip
        for the spikes of on/off neurons, and updates of these neurons on the host.
    """

    steps: float
    projections: tuple[ProjectionOperations, ...]
    spiking_updates: float
    rate_updates: float
    activation_sparsity: float | None
    host_updates: float = 0.0
    idle_updates: float = 0.0
    host_spikes: float | None = None
    coding_synops: float = 0.0
    coding_updates: float = 0.0

    @property
    def dense(self) -> float:
        """Synaptic operations with zeros included."""
        return sum(p.dense for p in self.projections)

    @property
    def effective_acs(self) -> float:
        """Accumulates, or synops: each spike times its neuron's fan-out."""
        return sum(p.effective for p in self.projections if p.spikes)

    @property
    def effective_macs(self) -> float:
        """Multiply-accumulates without zeros; the memory's matrix products are among them."""
        return sum(p.effective for p in self.projections if not p.spikes and not p.comparison)

    @property
    def dense_macs(self) -> float:
        """Multiply-accumulates with zeros included."""
        return sum(p.dense for p in self.projections if not p.spikes and not p.comparison)

    @property
    def comparisons(self) -> float:
        """Values that neurons on the host compare with their thresholds."""
        return sum(p.dense for p in self.projections if p.comparison)

    @property
    def neuron_updates(self) -> float:
        """Updates of neurons of either kind."""
        return self.spiking_updates + self.rate_updates


def count_operations(
    graph: Graph,
    steps: float,
    spikes: Mapping[str, float] = NOTHING,
    shares: Mapping[str, float] = NOTHING,
    *,
    last_step_only: bool = False,
    host_spikes: Mapping[str, float] | None = None,
) -> Operations:
    """Count the operations of one sample of ``steps`` steps, or of their mean over samples.

    Every value counts once for each step in which it was put out, and every population is
    computed at every step, as all targets do.  Effective counts are exact where the neurons of
    a population have the same fan-out; else they are those of its mean fan-out.

    Parameters
    ----------
    spikes
        Spikes in a sample by spiking population.
    shares
        Share of nonzero outputs by other population, as `active_shares` measures it; those
        left out count as never zero, which makes effective MACs an upper bound.
    last_step_only
        What nothing later depends on is computed in the last step alone: enough for a
        rate graph's decision.
    host_spikes
        Spikes in a sample that a host sends to a chip, by connection; None if not counted.

    Raises
    ------
    SpecError
        The spikes of a spiking population are missing.
    """
    lasting = _remembered(graph) if last_step_only else {p.name for p in graph.populations}
    steps_of = {p.name: steps if p.name in lasting else 1 for p in graph.populations}
    rows, on_chip = [], {p.name for p in graph.on_chip}
    for projection in graph.projections:
        pre = graph[projection.pre]
        if pre.neuron.spiking:
            active = _spikes(spikes, pre.name)
        else:
            active = shares.get(pre.name, 1.0) * pre.size * steps_of[projection.post]
        transform = projection.transform
        rows.append(
            ProjectionOperations(
                projection.name,
                pre.name,
                projection.post,
                pre.neuron.spiking,
                float(transform.connections(pre.size) * steps_of[projection.post]),
                active * int(transform.fan_out(pre.size).sum()) / pre.size,
                pre.on_host and projection.post not in on_chip,
                _is_comparison(graph, projection),
            )
        )
    updates = {
        p.name: p.size * steps_of[p.name] for p in graph.populations if p.neuron.kind != "linear"
    }
    spiking = {p.name for p in graph.spiking}
    return Operations(
        steps,
        tuple(rows),
        float(sum(n for name, n in updates.items() if name in spiking)),
        float(sum(n for name, n in updates.items() if name not in spiking)),
        _activation_sparsity(updates, spiking, spikes, shares),
        float(sum(n for name, n in updates.items() if name in spiking - on_chip)),
        float(sum(_idle(graph, graph[name], updates[name], rows) for name in on_chip)),
        None if host_spikes is None else float(sum(host_spikes.values())),
        *_coding(graph, steps, host_spikes or {}),
    )


def _coding(graph: Graph, steps: float, host_spikes: Mapping[str, float]) -> tuple[float, float]:
    """Synops of on/off neurons' spikes, and the updates of these neurons.

    Each number has a pair of them (nengo-loihi 1.1.0, ``builder/connection.py``,
    ``build_host_to_chip``).  A connection that is no projection of the graph brings a
    population its current, one number a neuron.  Spikes of the graph's own populations that
    stay on the host are in its projections already.
    """
    projections = {p.name: p for p in graph.projections}
    sizes = {p.name + CURRENT: p.size for p in graph.populations}
    synops = updates = 0.0
    for name, spikes in host_spikes.items():
        projection = projections.get(name)
        if projection is None:
            synops += spikes
            updates += 2 * sizes.get(name, 0) * steps
        elif not graph[projection.pre].neuron.spiking or projection.delay:
            size = graph[projection.pre].size
            synops += spikes * int(projection.transform.fan_out(size).sum()) / size
            updates += 2 * size * steps
    return synops, updates


def _is_comparison(graph: Graph, projection: Projection) -> bool:
    pre, post = graph[projection.pre], graph[projection.post]
    if pre.neuron.spiking or not post.on_host:
        return False
    entries = projection.transform.sparse(pre.size)
    others = [p for p in graph.incoming(post.name) if not graph[p.pre].neuron.spiking]
    return len(others) == 1 and bool((entries.getnnz(axis=1) <= 1).all())


def _idle(
    graph: Graph, population: Population, updates: float, rows: list[ProjectionOperations]
) -> float:
    """Updates without any spike that arrives, of neurons that keep nothing for the next step.

    Neither their voltage nor, behind a synapse with a time constant, their current.
    """
    neuron = population.neuron
    if neuron.kind != "lif" or neuron.tau_rc > MEMORYLESS_TAU or population.bias.any():
        return 0.0
    if any(projection.tau for projection in graph.incoming(population.name)):
        return 0.0
    arriving = sum(row.effective for row in rows if row.post == population.name)
    return max(0.0, updates - arriving)


def active_shares(
    graph: Graph, x: Array, timing: Timing | None = None, lengths: Array | None = None
) -> dict[str, float]:
    """Share of nonzero outputs of each population on inputs of shape (batch, inputs, size).

    ``lengths`` are the inputs of each sample, if they differ: padding, which may be silent, does
    not count.

    Raises
    ------
    SpecError
        As :func:`spiking_lmu.graph.reference.run_reference`.
    """
    nonzero = {p.name: 0 for p in graph.populations}
    total = dict(nonzero)

    def observe(_: int, values: dict[str, Array], __: dict[str, Array]) -> None:
        for name, outputs in values.items():
            nonzero[name] += int(np.count_nonzero(outputs))
            total[name] += outputs.size

    ends = np.full(len(x), x.shape[1]) if lengths is None else np.asarray(lengths)
    for last in np.unique(ends).tolist():
        run_reference(graph, x[ends == last, :last], timing, observe)
    return {name: nonzero[name] / total[name] for name in nonzero}


def connection_sparsity(graph: Graph) -> float:
    """Share of zeros among all weights; 0 without weights."""
    weights = [p.weights for p in graph.projections if p.weights is not None]
    total = sum(w.size for w in weights)
    return sum(int((w == 0).sum()) for w in weights) / total if total else 0.0


def parameter_count(graph: Graph) -> int:
    """Weights, and the biases of populations that have any; gains are part of the weights."""
    weights = sum(p.weights.size for p in graph.projections if p.weights is not None)
    return weights + sum(p.size for p in graph.populations if p.bias.any())


def footprint(graph: Graph, bytes_per_parameter: int = FLOAT32_BYTES) -> int:
    """Bytes of the parameters, in float32 if nothing else is said."""
    return parameter_count(graph) * bytes_per_parameter


def _remembered(graph: Graph) -> set[str]:
    """Populations on which a later step depends: all upstream of a delay or a synapse."""
    found = {p.pre for p in graph.projections if not p.immediate}
    while more := {p.pre for p in graph.projections if p.post in found} - found:
        found |= more
    return found


def _activation_sparsity(
    updates: Mapping[str, float],
    spiking: set[str],
    spikes: Mapping[str, float],
    shares: Mapping[str, float],
) -> float | None:
    active = 0.0
    for name, outputs in updates.items():
        if name in spiking:
            # At most one nonzero output a step, however many spikes it stands for.
            active += min(_spikes(spikes, name), outputs)
        elif name in shares:
            active += shares[name] * outputs
        else:
            return None
    return 1.0 - active / sum(updates.values()) if updates else None


def _spikes(spikes: Mapping[str, float], name: str) -> float:
    if name not in spikes:
        raise SpecError(
            f"spikes of {name}",
            got="no count",
            expected="a number for each spiking population",
            fix="compare the model on data, which counts them",
        )
    return float(spikes[name])
