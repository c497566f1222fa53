"""Faults planted in batched execution: a comparison with stock must notice them.

Each takes the program and a random generator, changes the program in place, and says whether
it could: not every network has what is to be broken.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spiking_lmu.backends.batched import ChipProgram

Control = Callable[[ChipProgram, np.random.Generator], bool]


def flip_weight_bit(program: ChipProgram, rng: np.random.Generator) -> bool:
    """The lowest bit of one weight."""
    wiring = program.wiring
    parts = [tile.weights.reshape(-1) for tile in wiring.tiles] + [wiring.rest.data]
    part = next((part for part in parts if part.any()), None)
    if part is None:
        return False
    part[rng.choice(np.flatnonzero(part))] ^= wiring.unit
    return True


def drop_refractory_period(program: ChipProgram, rng: np.random.Generator) -> bool:
    """Neurons that may spike again at once."""
    refractory = program.compartments.refractory
    if refractory.max() <= 1:
        return False
    refractory[:] = 0
    return True


def slow_current(program: ChipProgram, rng: np.random.Generator) -> bool:
    """One unit, 2**-12, in how much of the current is kept."""
    keep = program.compartments.keep_u
    keep[keep < 4096] += 1
    return True


def change_bias(program: ChipProgram, rng: np.random.Generator) -> bool:
    """One unit more in every bias."""
    program.compartments.bias[:] += 1
    return True


def change_noise(program: ChipProgram, rng: np.random.Generator) -> bool:
    """Noise of other neurons at each neuron."""
    if program.noise is None:
        return False
    program.noise.offset[:] += 1
    return True


def change_learned_weight(program: ChipProgram, rng: np.random.Generator) -> bool:
    """The lowest bit of one weight that learns."""
    if not program.learning:
        return False
    rule = program.learning[0]
    place = rng.integers(rule.weights.size)
    rule.weights.reshape(-1)[place] ^= rule.unit
    return True


def slow_trace(program: ChipProgram, rng: np.random.Generator) -> bool:
    """Traces that grow by a little more at each spike."""
    if not program.learning:
        return False
    for rule in program.learning:
        object.__setattr__(rule, "trace_step", rule.trace_step + 1 / 128)
    return True


CONTROLS: dict[str, Control] = {
    "one bit of a weight": flip_weight_bit,
    "no refractory period": drop_refractory_period,
    "decay of currents by one unit": slow_current,
    "bias by one unit": change_bias,
    "noise by one unit": change_noise,
    "one bit of a learned weight": change_learned_weight,
    "traces by one unit": slow_trace,
}
