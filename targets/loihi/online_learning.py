"""Learning while it runs on the emulator: a plain Nengo network with PES on the chip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from spiking_lmu.backends.target import OnlineLearning
from spiking_lmu.compat import import_nengo, import_nengo_loihi
from spiking_lmu.errors import TargetError

from .engines import quiet
from .updates import update_at_once

Array = np.ndarray

#: Errors reach the chip as whole numbers from -127 to 127; this many are an error of 1.
CHIP_ERROR_SCALE = 127
#: The chip shifts every product of trace and error right by this many bits, and the shift
#: rounds down, also below zero (nengo-loihi 1.1.0, ``emulator/interface.py``,
#: ``weight_update``: LEARN_FRAC - 7 - overflow bits).
CHIP_SHIFT = 2
#: Largest learned decoder that the chip holds, for spikes of height 1/dt and dt = 1 ms, if the
#: exponent of its weights is 0.  nengo-loihi's exponent is 4, which leaves decoders of a
#: thousand neurons only a few distinct values; one less doubles their number.
CHIP_DECODER_LIMIT = 8.53e-5


@contextmanager
def _simulator(network: Any, dt: float, seed: int, decoder_range: float) -> Iterator[Any]:
    loihi = import_nengo_loihi()
    from nengo_loihi.builder import Model

    model = Model(dt=dt)
    model.pes_error_scale = CHIP_ERROR_SCALE
    model.pes_wgt_exp = weight_exponent(decoder_range, dt)
    _require_pes(network)
    with quiet():
        loihi.add_params(network)
        with loihi.Simulator(network, dt=dt, seed=seed, model=model, target="sim") as simulator:
            update_at_once(simulator)
            yield simulator


def _require_pes(network: Any) -> None:
    """Refuse other rules; nengo-loihi would raise a NotImplementedError that says nothing."""
    for connection in network.all_connections:
        rules = connection.learning_rule_type
        rules = rules.values() if isinstance(rules, dict) else np.atleast_1d(rules)
        for rule in rules:
            if rule is not None and not isinstance(rule, import_nengo().PES):
                raise TargetError(
                    f"{connection} on loihi",
                    got=f"the learning rule {type(rule).__name__}",
                    expected="PES, the only rule of the chip's learning engine",
                    fix="use target=reference or nengo-dl",
                )


def weight_exponent(decoder_range: float, dt: float) -> int:
    """The smallest exponent with which learned weights can become decoders of this size."""
    exponent = int(np.ceil(np.log2(decoder_range / (CHIP_DECODER_LIMIT * dt / 0.001))))
    return int(np.clip(exponent, -6, 7))


def _decoders(simulator: Any, connection: Any) -> Array:
    """Weights on the chip in units of nengo's decoders; each is held twice, once negative."""
    from nengo_loihi.block import SynapseConfig

    model = simulator.model
    learns = isinstance(connection.learning_rule_type, import_nengo().PES)
    if not learns or connection.learning_rule not in model.needs_sender:
        raise TargetError(
            str(connection),
            got="weights to be read on the Loihi emulator",
            expected="a connection that learns by PES there; others are integers, set at the start",
            fix="read the weights on reference or nengo-dl",
        )
    probe = model.needs_sender[connection.learning_rule].error_target
    chip_connection = model.nengo_probe_conns[probe]
    (block,) = model.objs[chip_connection]["decoded"]
    (synapse,) = block.synapses
    scaling = block.compartment.discretize_info
    unit = float(np.ravel(scaling["w_scale"])[0]) * SynapseConfig.get_scale(scaling["w_exp"])
    weights = np.array([w[0] for w in synapse.weights], dtype=float).T
    half = len(weights) // 2
    return 0.5 * (weights[:half] - weights[half:]) * simulator.dt / unit


LOIHI = OnlineLearning(
    _simulator,
    _decoders,
    package="nengo_loihi",
    error_step=2**CHIP_SHIFT / CHIP_ERROR_SCALE,
    settings={
        "error scale": CHIP_ERROR_SCALE,
        "error step on the host": 2**CHIP_SHIFT / CHIP_ERROR_SCALE,
    },
)
