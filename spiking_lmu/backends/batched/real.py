"""A nengo-loihi model that is not discretised (``target="simreal"``) as vectors and matrices.

Source: nengo-loihi 1.1.0, ``emulator/interface.py``, ``CompartmentState`` for float32.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .places import Places, find_places
from .unsupported import unsupported
from .wiring import Wiring, arrivals_at_synapses, wire

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class RealCompartments:
    """Parameters of all compartments, block after block, each (neurons,), float32.

    Parameters
    ----------
    keep_u, keep_v
        Share of the current and voltage kept from step to step.
    gain_u, gain_v
        Share of the inputs that enters the current, and of the current that enters the
        voltage: one less what is kept, or 1 where nothing decays.
    bias, vth, vmin, vmax
        Bias current, threshold and limits of the voltage, in the units of the network.
    refractory
        Steps for which the voltage stays at zero, the step of the spike included; int32.
    """

    keep_u: Array
    gain_u: Array
    keep_v: Array
    gain_v: Array
    bias: Array
    vth: Array
    vmin: Array
    vmax: Array
    refractory: Array


@dataclass(frozen=True, eq=False)
class RealProgram(Places):
    """All that one step needs where numbers are real, besides its :class:`Places`."""

    compartments: RealCompartments
    wiring: Wiring


def extract_real(model: Any) -> RealProgram:
    """Read the chip part of a ``nengo_loihi.builder.Model`` built with ``target="simreal"``.

    Raises
    ------
    Unsupported
        The model is discretised, learns, or has noise.
    """
    places = find_places(model)
    for block in places.blocks:
        require_real(block)
        if block.compartment.enable_noise.any():
            raise unsupported(f"block {block}", "noise in real numbers", "a discretised model")
    return RealProgram(
        **vars(places),
        compartments=_compartments(places),
        wiring=wire(places, arrivals_at_synapses(places.origins), np.float32),
    )


def _compartments(places: Places) -> RealCompartments:
    vectors = {f.name: np.zeros(places.neurons, np.float32) for f in fields(RealCompartments)}
    vectors["refractory"] = np.zeros(places.neurons, np.int32)
    for block, place in places.blocks.items():
        part = block.compartment
        values = {
            "keep_u": 1 - part.decay_u,
            "gain_u": part.decay_u if part.scale_u else 1,
            "keep_v": 1 - part.decay_v,
            "gain_v": part.decay_v if part.scale_v else 1,
            "bias": part.bias,
            "vth": part.vth,
            "vmin": part.vmin,
            "vmax": part.vmax,
            "refractory": part.refract_delay,
        }
        for name, value in values.items():
            vectors[name][place] = value
    return RealCompartments(**vectors)


def require_real(block: Any) -> None:
    """Refuse a ``LoihiBlock`` that is discretised or learns."""
    if block.compartment.vth.dtype != np.float32:
        raise unsupported(f"block {block}", "a discretised model", "target='simreal'")
    if any(synapse.learning for synapse in block.synapses):
        raise unsupported(f"block {block}", "learning in real numbers", "a discretised model")
