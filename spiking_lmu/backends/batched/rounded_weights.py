"""Weights and biases as the chip has them, in a model whose numbers are real.

Source: nengo-loihi 1.1.0, ``builder/discretize.py``.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from .real import require_real


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
