"""A nengo-loihi model that is not discretised (``target="simreal"``), and one step of it.

Source: nengo-loihi 1.1.0, ``emulator/interface.py``, ``CompartmentState.update`` for float32 with
its ``decay_float``, where nothing overflows; ``builder/discretize.py``.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..unsupported import unsupported
from .learning import LearningState
from .places import Places, find_places
from .wiring import InputSums, Wiring, arrivals_at_synapses, wire

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


def round_weights(model: Any) -> None:
    """Replace the weights and biases of a ``nengo_loihi.builder.Model`` by those of the chip.

    nengo-loihi discretises a copy of each block: weights of 7 bits and a sign with an exponent
    for each synapse, biases of 12 bits, a sign and an exponent.  Divided by the block's scale
    they are in the network's units again.  Thresholds and decays stay as they are.  Weights of a
    synapse that would need an exponent below -6, being 64 or 128 times below the largest of
    their block, come out too large, as on the chip (``discretize_synapse``).

    Raises
    ------
    Unsupported
        The model is discretised already, or learns.
    """
    from nengo_loihi.block import LoihiBlock, SynapseConfig
    from nengo_loihi.builder.discretize import discretize_block

    for block in model.blocks:
        require_real(block)
        chip = LoihiBlock(block.n_neurons, label=block.label)
        chip.compartment = deepcopy(block.compartment)
        chip.synapses = deepcopy(block.synapses)
        discretize_block(chip)
        info = chip.discretize_info
        # All neurons of a block have one scale (asserted in ``discretize_compartment``).
        unit = float(np.ravel(info["w_scale"])[0]) * SynapseConfig.get_scale(info["w_exp"])
        block.compartment.bias = (chip.compartment.bias / info["b_scale"]).astype(np.float32)
        for synapse, rounded in zip(block.synapses, chip.synapses, strict=True):
            synapse.weights = [(w / unit).astype(np.float32) for w in rounded.weights]


class RealEngine:
    """The chip's state without quantisation, for ``batch`` samples that start at rest.

    The emulator's operations in its order, in its float32, but for the inputs of a step: BLAS
    adds them in another order.  Sums, and then voltages, differ by some units of 2**-24, so a
    spike can differ where a voltage comes that near to its threshold.

    Attributes are those of :class:`~spiking_lmu.backends.batched.chip.engine.ChipEngine`.
    """

    name = "real"
    number = np.float32

    def __init__(self, program: RealProgram, batch: int) -> None:
        self.program, self.batch = program, batch
        shape = (program.neurons, batch)
        self.learners: list[LearningState] = []
        self.current, self.voltage = np.zeros((2, *shape), np.float32)
        self.spiked, self._wait = np.zeros(shape, bool), np.zeros(shape, np.int32)
        self._inputs = InputSums(program, program.wiring, batch, np.float32)
        part = program.compartments
        column = {f.name: getattr(part, f.name)[:, None] for f in fields(part)}
        self._keep_u, self._gain_u = column["keep_u"], column["gain_u"]
        self._keep_v, self._gain_v = column["keep_v"], column["gain_v"]
        self._bias, self._vth = column["bias"], column["vth"]
        self._vmin, self._vmax = column["vmin"], column["vmax"]
        self._refractory = column["refractory"]

    def step(self, input_spikes: Array) -> None:
        """Advance by one step.

        Parameters
        ----------
        input_spikes
            bool (inputs, batch): what the host sent in the step before.
        """
        self._inputs.add_up(self.spiked, input_spikes)
        u, v, total = self.current, self.voltage, self._inputs.sums
        u *= self._keep_u
        total *= self._gain_u
        u += total
        np.add(u, self._bias, out=total)
        v *= self._keep_v
        total *= self._gain_v
        v += total
        np.clip(v, self._vmin, self._vmax, out=v)
        v[self._wait > 0] = 0
        np.greater(v, self._vth, out=self.spiked)
        v[self.spiked] = 0
        np.copyto(self._wait, self._refractory, where=self.spiked)
        np.maximum(self._wait - 1, 0, out=self._wait)
