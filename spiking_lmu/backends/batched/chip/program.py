"""A discretised nengo-loihi model as integer vectors and matrices.

Source: nengo-loihi 1.1.0, ``emulator/interface.py`` (``CompartmentState``, ``SynapseState``)
and ``block.py`` (``Axon``, ``Synapse``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ..unsupported import unsupported
from .learning import LearningSynapse, learning_synapses
from .noise import Noise, read_noise
from .places import Places, find_places
from .wiring import Wiring, arrivals_at_synapses, wire

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
class ChipProgram(Places):
    """All that one step of the emulated chip needs, besides its :class:`Places`.

    Parameters
    ----------
    compartments
        Parameters of the compartments.
    wiring
        What a spike adds to which compartment.
    learning
        The synapses whose weights change.
    noise
        What the chip adds at random; None for a chip without noise.
    """

    compartments: Compartments
    wiring: Wiring
    learning: tuple[LearningSynapse, ...] = ()
    noise: Noise | None = None

    @cached_property
    def bound(self) -> int:
        """The largest magnitude that the inputs of a neuron can add up to in a step."""
        total = self.wiring.bound.copy()
        for rule in self.learning:
            total[rule.compartments] += rule.bound
        if self.noise is not None:
            total += self.noise.bound
        return int(total.max(initial=0))

    @property
    def unit(self) -> int:
        """A power of two that divides all that is added up."""
        if self.noise is not None and self.noise.on_input:
            return 1
        return min([self.wiring.unit, *(rule.unit for rule in self.learning)])

    @property
    def sums_dtype(self) -> type:
        """float32 where it adds the inputs of a step exactly, in any order; else float64.

        All are multiples of :attr:`unit`, so a sum is exact as long as it has no more than
        24 bits above that unit.
        """
        return np.float32 if self.bound // self.unit < FLOAT32_EXACT else np.float64

    @property
    def sums_can_overflow(self) -> bool:
        """Whether the inputs of a step can add up to more than 21 bits."""
        return self.bound >= 2**Q_BITS

    @property
    def draws(self) -> bool:
        """Whether a run depends on the seed of the simulator's random numbers."""
        return bool(self.learning) or self.noise is not None


def extract(model: Any) -> ChipProgram:
    """Read the chip part of a ``nengo_loihi.builder.Model`` built for the emulator.

    Raises
    ------
    Unsupported
        The model is not discretised, or has a part that cannot be reproduced exactly.
    """
    places = find_places(model)
    blocks, neurons = places.blocks, places.neurons
    arrivals = arrivals_at_synapses(places.origins)
    program = ChipProgram(
        **vars(places),
        compartments=_compartments(blocks, neurons),
        wiring=wire(places, arrivals, np.int32),
        learning=learning_synapses(blocks, arrivals),
        noise=read_noise(blocks, neurons),
    )
    if program.bound >= SUM_LIMIT:
        raise unsupported(
            "chip weights",
            f"a neuron whose inputs can add up to {program.bound}",
            f"less than {SUM_LIMIT}",
        )
    return program


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
            f"block {block}",
            "real numbers (target='simreal')",
            "a discretised model, or program=extract_real(model)",
        )
    if part.scale_u or part.scale_v:
        raise unsupported(f"block {block}", "currents scaled by their decay", "a discretised model")


def _whole(block: Any, name: str, value: Any) -> Array:
    """``value`` as whole numbers of less than 31 bits, so that a step cannot leave int32."""
    numbers = np.asarray(value)
    limit = 2**30
    whole = np.clip(np.nan_to_num(numbers), -limit, limit).astype(np.int32)
    if not np.array_equal(whole, numbers):
        raise unsupported(f"{name} of {block}", "values out of range", f"integers up to {limit}")
    return whole
