"""On-chip learning: weights that differ between samples, changed by spikes and an error.

Every ``learn_epoch`` steps a weight changes in proportion to the trace of its axon's spikes
and to the error that the host sends (PES; Bekolay, Kolbeck, Eliasmith 2013).  The chip keeps
both as small integers and rounds up or down at random.  The random numbers do not depend on
spikes or errors, so all samples see the same ones, as stock runs with one seed do.

Source: nengo-loihi 1.1.0, ``emulator/interface.py`` (``SynapseState``), ``discretize.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..unsupported import unsupported
from .wiring import Arrival

Array = np.ndarray

#: Largest magnitude of a trace (``SynapseState``, ``trace_round``).
TRACE_MAX = 127
#: Bits of a weight's magnitude on the chip.
WEIGHT_BITS = 8


@dataclass(frozen=True, eq=False)
class LearningSynapse:
    """A synapse that learns, as it was built.

    Parameters
    ----------
    synapse
        nengo-loihi's ``Synapse``.
    compartments
        Where its block is among all compartments.
    sources, axons
        Each source (a neuron, or an input behind the neurons) and the axon that it spikes
        on, (connections,).
    weights
        int32 (axons, compartments).
    trace_keep, trace_step
        Share of a trace that is kept in an epoch, and what a spike adds.
    trace_epoch, learn_epoch
        Steps between changes of traces, and of weights.
    rate, rate_shift
        A weight changes by trace · error · rate · 2**rate_shift, rounded down.
    weight_shift
        Weights are shifted left by this while they change.
    round_bits
        Bits that are rounded away afterwards.
    unit_bits
        Learned weights are multiples of 2**unit_bits.
    limit
        Largest magnitude of a learned weight, in that unit.
    """

    synapse: Any
    compartments: slice
    sources: Array
    axons: Array
    weights: Array
    trace_keep: float
    trace_step: float
    trace_epoch: int
    learn_epoch: int
    rate: int
    rate_shift: int
    weight_shift: int
    round_bits: int
    unit_bits: int
    limit: int

    @property
    def unit(self) -> int:
        """The largest power of two that divides every weight, now and later."""
        bits = int(np.bitwise_or.reduce(np.abs(self.weights), axis=None)) | (1 << self.unit_bits)
        return bits & -bits

    @property
    def bound(self) -> Array:
        """(compartments,) largest magnitude that the spikes of one step can add up to."""
        largest = np.maximum(np.abs(self.weights).astype(np.int64), self.limit << self.unit_bits)
        return largest[self.axons].sum(axis=0)


def learning_synapses(
    blocks: dict[Any, slice], arrivals: dict[Any, list[Arrival]]
) -> tuple[LearningSynapse, ...]:
    """The synapses of a model that learn, in the emulator's order.

    Raises
    ------
    Unsupported
        A synapse whose weights are shared, split, or not a whole matrix.
    """
    return tuple(
        _read(synapse, place, arrivals.get(synapse, []))
        for block, place in blocks.items()
        for synapse in block.synapses
        if synapse.learning
    )


def _read(synapse: Any, place: slice, arrivals: list[Arrival]) -> LearningSynapse:
    from nengo_loihi.builder.discretize import LEARN_FRAC, learn_overflow_bits

    sources = np.concatenate([np.zeros(0, np.int64), *(s for s, _, _ in arrivals)])
    axons = np.concatenate([np.zeros(0, np.int64), *(a for _, a, _ in arrivals)])
    whole = np.arange(place.stop - place.start)[None]
    plain = (
        synapse.pop_type == 0
        and synapse.axon_to_weight_map is None
        and synapse.axon_compartment_bases is None
        and all(np.array_equal(index, whole) for index in synapse.indices)
        and len(np.unique(axons)) == len(axons)
    )
    exponent, dropped = synapse.synapse_cfg.real_weight_exp, synapse.synapse_cfg.shift_bits
    if not plain or exponent + dropped < 0:
        raise unsupported(
            f"learning synapse {synapse.label}",
            "weights that are shared or in parts, or finer than a whole number",
            "a weight from each neuron to each compartment",
        )
    return LearningSynapse(
        synapse=synapse,
        compartments=place,
        sources=sources,
        axons=axons,
        # Copies: a stock run changes them in place.
        weights=np.concatenate(synapse.weights).astype(np.int32),
        trace_keep=float(np.exp(-synapse.train_epoch / synapse.tracing_tau)),
        trace_step=float(synapse.tracing_mag),
        trace_epoch=synapse.train_epoch,
        learn_epoch=synapse.learn_epoch,
        rate=synapse._lr_int,
        rate_shift=LEARN_FRAC + synapse._lr_exp - learn_overflow_bits(n_factors=2),
        weight_shift=LEARN_FRAC - exponent,
        round_bits=LEARN_FRAC + dropped,
        unit_bits=exponent + dropped,
        limit=2 ** (WEIGHT_BITS - dropped) - 1,
    )


class LearningState:
    """The state of a learning synapse for a batch of samples.

    Attributes
    ----------
    weights
        int32 (axons, compartments, batch).
    trace
        int32 (axons, batch): how much each axon spiked lately.
    error
        int32 (compartments / 2, batch), -127 to 127: set by :meth:`set_error`.
    """

    def __init__(self, rule: LearningSynapse, batch: int) -> None:
        self.rule = rule
        axons, compartments = rule.weights.shape
        self.weights = np.repeat(rule.weights[..., None], batch, axis=-1)
        self.trace = np.zeros((axons, batch), np.int32)
        # On and off neurons in pairs: half as many errors as compartments.
        self.error = np.zeros((compartments // 2, batch), np.int32)
        self._arrived, self._seen = np.zeros((2, axons, batch), bool)

    def set_error(self, error: Array, scale: float) -> None:
        """Round and clip what the host sends, (size, batch), as the chip takes it."""
        from nengo_loihi.builder.discretize import scale_pes_errors

        self.error[...] = scale_pes_errors(error, scale=scale)

    def add_inputs(self, spikes: Array, sums: Array) -> None:
        """Add the weights of this step's ``spikes`` to ``sums``, both of the whole chip."""
        self._arrived[self.rule.axons] = spikes[self.rule.sources] > 0
        self._seen |= self._arrived
        self._add(sums[self.rule.compartments])

    def update_trace(self, step: int, rng: np.random.RandomState) -> None:
        """Let the traces decay and take up the spikes since the last time."""
        if step % self.rule.trace_epoch:
            return
        value = self.rule.trace_keep * self.trace
        np.add(value, self.rule.trace_step, where=self._seen, out=value)
        part, whole = np.modf(value)
        up = part > rng.rand(len(value))[:, None]
        np.minimum(whole.astype(np.int32) + up, TRACE_MAX, out=self.trace)
        self._seen[...] = False

    def update_weights(self, step: int, rng: np.random.RandomState) -> None:
        """Change the weights by trace and error."""
        if step % self.rule.learn_epoch:
            return
        drawn = rng.rand(*self.rule.weights.shape)
        # Of the bits that are rounded away: above how many of them to round up.
        self._change(drawn * 2**self.rule.round_bits, np.concatenate([-self.error, self.error]))

    def _add(self, sums: Array) -> None:
        sums += np.einsum("ab,acb->cb", self._arrived, self.weights)

    def _change(self, above: Array, error: Array) -> None:
        rule = self.rule
        product = self.trace[:, None] * error * rule.rate
        value = _shift(self.weights, rule.weight_shift) + _shift(product, rule.rate_shift)
        size = np.abs(value)
        up = (size & (2**rule.round_bits - 1)) > above[..., None]
        rounded = np.minimum((size >> rule.round_bits) + up, rule.limit)
        self.weights[...] = (np.sign(value) * rounded) << rule.unit_bits


def _shift(x: Array, bits: int) -> Array:
    """``x`` · 2**bits, rounded down."""
    return x << bits if bits >= 0 else x >> -bits
