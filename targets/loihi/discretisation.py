"""Whether weights, biases and thresholds fit Loihi's integers, and how finely.

Follows nengo-loihi 1.1.0, ``builder/discretize.py``, ``discretize_compartment``, in every
operation, since a limit is met or missed in the last bit.  All neurons of a core share one
scale.  It is as fine as an 8-bit weight allows; if that makes the threshold or a bias too
large, weights give up a bit after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spiking_lmu.graph.neurons import Neuron

Array = np.ndarray

#: Mantissa of a threshold in units of 2**6, largest bias, and bits of a current, sign apart.
VTH_MANTISSA, VTH_UNIT, BIAS_MAX, CURRENT_BITS = 2**17 - 1, 2**6, (2**12 - 1) * 2**7, 23
#: Bits of what arrives in one step.
INPUT_BITS = 21
#: Share of a current or voltage that has to decay in a step (half a unit of the chip's).
LEAST_DECAY = 0.5 / 2**12
#: Decays are whole numbers of 1/4096, and weights whole numbers up to 255.
DECAY_UNITS, WEIGHT_MAX = 2**12 - 1, 255.0
#: Exponents of weights, from the finest to the coarsest.
EXPONENTS, LEAST_EXPONENT = range(0, -8, -1), -6
#: Weights and biases of at most this size count as none.
NOTHING = 1e-8


@dataclass(frozen=True)
class Fault:
    """What does not fit: number, limit, and what to do."""

    got: str
    limit: str
    fix: str


@dataclass(frozen=True)
class Scale:
    """The integers of one core.

    Parameters
    ----------
    units
        Integer current for a current of 1; 0 if there is a fault.
    largest_current
        Where the sum of inputs or the current overflows and changes its sign, if the sum is
        the same in every step.
    lost_bits
        For each group of synapses, the bits that its largest weight does not use.
    enlarged
        For each group, how many times too large its weights come out: nengo-loihi does not
        go below an exponent of -6, and does not take back what it multiplied by for a lower one
        (``discretize_synapse``).
    """

    units: float = 0.0
    largest_current: float = np.inf
    lost_bits: tuple[int, ...] = ()
    enlarged: tuple[int, ...] = ()
    fault: Fault | None = None


def find_scale(
    neuron: Neuron, bias: Array, largest: Sequence[np.float32], tau: float, dt: float
) -> Scale:
    """Choose the scale of a block.

    Parameters
    ----------
    neuron
        ``spiking_relu`` or ``lif``.
    bias
        Bias current of each neuron, (neurons,).
    largest
        Largest weight of each group of synapses, without its sign; -inf for a group of none.
    tau
        Lowpass of the current, in seconds.
    """
    leaky = neuron.kind == "lif"
    decay_u = 1.0 if tau == 0 else float(-np.expm1(-dt / tau))
    if decay_u <= LEAST_DECAY:
        return Scale(fault=_too_slow("synapse", tau, dt, "convert with a shorter synapse_tau"))
    decay_v = np.float32(-np.expm1(-dt / neuron.tau_rc)) if leaky else np.float32(0)
    if leaky and decay_v <= LEAST_DECAY:
        return Scale(fault=_too_slow("membrane", neuron.tau_rc, dt, "train with a shorter tau_rc"))
    with np.errstate(all="ignore"):
        return _find_scale(
            np.float32(1.0 if leaky else 1.0 / dt),
            bias.astype(np.float32),
            largest,
            _infactor(np.clip(np.float32(decay_u) * DECAY_UNITS - 1, 0, DECAY_UNITS), 1),
            _infactor(decay_v * DECAY_UNITS, 0) if leaky else np.float64(1.0),
        )


def _find_scale(
    vth: np.float32, bias: Array, largest: Sequence[np.float32], u: np.float64, v: np.float64
) -> Scale:
    """With threshold, biases, weights, and what undoes the sums of decaying currents (u, v)."""
    w_max, b_max = max(largest, default=np.float32(0)), np.abs(bias).max()
    if w_max > NOTHING:
        return _by_weights(vth, b_max, largest, w_max, u, v)
    if b_max > NOTHING:
        return _by_bias(vth, b_max, v)
    return Scale(float((2**INPUT_BITS - 1) / (vth + 1) * v))


def _by_weights(
    vth: np.float32,
    b_max: np.float32,
    largest: Sequence[np.float32],
    w_max: np.float32,
    u: np.float64,
    v: np.float64,
) -> Scale:
    w_scale, s_scale = WEIGHT_MAX / w_max, 1.0 / (u * v)
    for exponent in EXPONENTS:
        v_scale = s_scale * w_scale * 2 ** (6 + exponent)
        fits = np.round(vth * v_scale) <= VTH_MANTISSA * VTH_UNIT
        biased = np.round(b_max * (v_scale * v)) <= BIAS_MAX
        if fits and biased:
            break
    if not fits:
        least = v_scale * w_max / (VTH_MANTISSA * VTH_UNIT)
        return Scale(
            fault=Fault(
                f"largest weight {w_max / vth:.3g} of the threshold",
                f"at least {least:.3g}, or the threshold is too large a number",
                "raise max_rate, or train the network with larger weights before it",
            )
        )
    if not biased:
        return Scale(
            fault=Fault(
                f"largest bias {b_max / w_max:.3g} times the largest weight",
                f"{BIAS_MAX / (v_scale * v * w_max):.3g} times",
                "train with larger weights or a smaller bias",
            )
        )
    if not _threshold(vth * v_scale):
        most = v_scale * w_max / (VTH_UNIT / 2)
        return Scale(
            fault=Fault(
                f"largest weight {w_max / vth:.3g} times the threshold",
                f"{most:.3g} times, or the threshold rounds to 0",
                "lower max_rate, or look for a single huge weight",
            )
        )
    exponents = [_exponent(exponent, w_max, w) for w in largest]
    return Scale(
        v_scale * v,
        min(2**CURRENT_BITS, 2**INPUT_BITS / u) / (v_scale * v),
        # Of 7 bits and a sign; an exponent of -1 still has them all (``discretize_weights``).
        tuple(max(0, -1 - max(e, LEAST_EXPONENT)) for e in exponents),
        tuple(2 ** max(0, LEAST_EXPONENT - e) for e in exponents),
    )


def _by_bias(vth: np.float32, b_max: np.float32, v: np.float64) -> Scale:
    """Without weights: halve the scale until the threshold fits."""
    b_scale = BIAS_MAX / b_max
    while b_scale * b_max > 1:
        threshold = vth * (b_scale / v)
        if np.round(threshold) <= VTH_MANTISSA * VTH_UNIT:
            if _threshold(float(threshold)):
                return Scale(float(b_scale))
            break
        b_scale = b_scale / 2.0
    return Scale(
        fault=Fault(
            f"largest bias {b_max / vth:.3g} times the threshold",
            f"{1 / (v * VTH_MANTISSA * VTH_UNIT):.2g} to {2 * BIAS_MAX / (VTH_UNIT * v):.2g} "
            "times, where no weights are",
            "give the population inputs, or leave it out",
        )
    )


def _threshold(vth: float) -> bool:
    """Whether a threshold is a whole number from 1 in units of 2**6."""
    return bool(np.round(np.round(vth) / VTH_UNIT) > 0)


def _exponent(exponent: int, w_max: np.float32, w: np.float32) -> int:
    """Of a group whose largest weight is ``w``; that of the largest of all is ``exponent``."""
    return exponent - int(np.floor(np.log2(w_max / w))) if w > 0 else 0


def _infactor(decay: np.float32, offset: int) -> np.float64:
    """One over the sum of a unit that decays by ``decay`` 4096ths a step, as the chip rounds.

    Source: ``decay_magnitude`` in nengo-loihi, with its measured loss by rounding.
    """
    q, start = 0.494, 2**21
    r = (2**12 - offset - np.round(decay).astype(np.int32)) / 2**12
    n = -(np.log1p(start * (1 - r) / q)) / np.log(r)
    whole = (1 - r ** (n + 1)) / (1 - r)
    loss = q / ((1 - r) * start) * (n + 1 - (1 - r ** (n + 1)) / (1 - r))
    return np.float64(1.0 / (whole - loss))


def _too_slow(what: str, tau: float, dt: float, fix: str) -> Fault:
    longest = -dt / np.log1p(-LEAST_DECAY)
    return Fault(f"a {what} of {tau:.3g} s", f"{longest:.3g} s at dt {dt:g} s", fix)
