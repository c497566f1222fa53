"""A discretised nengo-loihi model as integer vectors and matrices.

Source: nengo-loihi 1.1.0, ``emulator/interface.py`` (``CompartmentState``, ``SynapseState``)
and ``block.py`` (``Axon``, ``Synapse``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .unsupported import unsupported
from .wiring import Wiring, wire

Array = np.ndarray

#: Bits, sign not included, of the sum of the inputs of one step, and of the current
#: (``builder/discretize.py``, ``Q_BITS`` and ``U_BITS``).
Q_BITS, U_BITS = 21, 23
#: Decay constants are in units of 2**-12 (``discretize.py``, ``decay_int``).
DECAY_BITS = 12
#: Weights × spikes must add up to less than this; stock NumPy sums are int32.
SUM_LIMIT = 2**31
#: Whole numbers up to this are exact in float32.
FLOAT32_EXACT = 2**24


@dataclass(frozen=True, eq=False)
class Compartments:
    """Parameters of all compartments, block after block, each of shape (neurons,), int32.

    Parameters
    ----------
    keep_u, keep_v
        Share of the current and voltage kept from step to step, in units of 2**-12.
    bias, vth, vmin, vmax
        Bias current, threshold and limits of the voltage, in the chip's integer units.
    refractory
        Steps for which the voltage stays at zero, the step of the spike included.
    """

    keep_u: Array
    keep_v: Array
    bias: Array
    vth: Array
    vmin: Array
    vmax: Array
    refractory: Array


@dataclass(frozen=True, eq=False)
class ChipProgram:
    """All that one step of the emulated chip needs.

    Parameters
    ----------
    neurons, inputs
        Number of compartments, and of spike inputs that the host drives.
    blocks
        The compartments of each ``LoihiBlock``.
    input_slices
        The spike inputs of each ``SpikeInput``.
    compartments
        Parameters of the compartments.
    wiring
        What a spike adds to which compartment.
    """

    neurons: int
    inputs: int
    blocks: dict[Any, slice]
    input_slices: dict[Any, slice]
    compartments: Compartments
    wiring: Wiring

    @property
    def sums_dtype(self) -> type:
        """float32 where it adds the weights of all spikes exactly, in any order; else float64.

        Every weight is a multiple of ``wiring.unit``, a power of two, so a sum is exact as
        long as it has no more than 24 bits above that unit.
        """
        worst = int(self.wiring.bound.max(initial=0)) // self.wiring.unit
        return np.float32 if worst < FLOAT32_EXACT else np.float64

    @property
    def sums_can_overflow(self) -> bool:
        """Whether the weights of the spikes of one step can add up to more than 21 bits."""
        return bool(self.wiring.bound.max(initial=0) >= 2**Q_BITS)


def extract(model: Any) -> ChipProgram:
    """Read the chip part of a ``nengo_loihi.builder.Model`` built for the emulator.

    Raises
    ------
    Unsupported
        The model is not discretised, learns, draws noise, or has a part that cannot be
        reproduced exactly.
    """
    blocks = _slices((block, block.n_neurons) for block in model.blocks)
    input_slices = _slices((spikes, _input_size(spikes)) for spikes in model.inputs)
    neurons = sum(block.n_neurons for block in blocks)
    inputs = sum(spikes.n_neurons for spikes in input_slices)
    wiring = wire(blocks, input_slices, neurons, inputs)
    if wiring.bound.max(initial=0) >= SUM_LIMIT:
        raise unsupported(
            "chip weights",
            f"a neuron whose inputs can add up to {int(wiring.bound.max())}",
            f"less than {SUM_LIMIT}",
        )
    return ChipProgram(
        neurons, inputs, blocks, input_slices, _compartments(blocks, neurons), wiring
    )


def _slices(sizes: Any) -> dict[Any, slice]:
    found, start = {}, 0
    for item, size in sizes:
        found[item] = slice(start, start + size)
        start += size
    return found


def _input_size(spikes: Any) -> int:
    if type(spikes).__name__ != "SpikeInput":
        raise unsupported("chip input", type(spikes).__name__, "a SpikeInput")
    if spikes.permanent:
        raise unsupported(
            f"chip input {spikes.label}", "spikes fixed when built", "spikes from the host"
        )
    return int(spikes.n_neurons)


def _compartments(blocks: dict[Any, slice], neurons: int) -> Compartments:
    vectors = {f.name: np.zeros(neurons, np.int32) for f in fields(Compartments)}
    for block, place in blocks.items():
        part = block.compartment
        _check(block, part)
        one = 2**DECAY_BITS
        values = {
            # The current's decay is one unit faster (``CompartmentState``, ``offset=1``).
            "keep_u": one - 1 - np.asarray(part.decay_u, np.int64),
            "keep_v": one - np.asarray(part.decay_v, np.int64),
            "bias": part.bias,
            "vth": part.vth,
            "vmin": part.vmin,
            "vmax": part.vmax,
            "refractory": part.refract_delay,
        }
        for name, value in values.items():
            vectors[name][place] = _whole(block, name, value)
        for name in ("keep_u", "keep_v"):
            if vectors[name][place].min(initial=0) < 0 or vectors[name][place].max(initial=0) > one:
                raise unsupported(f"decay of {block}", name, f"0 to {one}")
    return Compartments(**vectors)


def _check(block: Any, part: Any) -> None:
    if part.vth.dtype != np.int32:
        raise unsupported(
            f"block {block}", "real numbers (target='simreal')", "a discretised model"
        )
    if part.scale_u or part.scale_v:
        raise unsupported(f"block {block}", "currents scaled by their decay", "a discretised model")
    if np.any(part.enable_noise):
        raise unsupported(f"block {block}", "chip noise", "neurons without noise")


def _whole(block: Any, name: str, value: Any) -> Array:
    """``value`` as whole numbers of less than 31 bits, so that a step cannot leave int32."""
    numbers = np.asarray(value)
    limit = 2**30
    whole = np.clip(np.nan_to_num(numbers), -limit, limit).astype(np.int32)
    if not np.array_equal(whole, numbers):
        raise unsupported(f"{name} of {block}", "values out of range", f"integers up to {limit}")
    return whole
