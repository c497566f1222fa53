"""Learning while it runs in Nengo: a plain network with PES."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from spiking_lmu.backends.target import OnlineLearning
from spiking_lmu.compat import import_nengo

Array = np.ndarray


@contextmanager
def _simulator(network: Any, dt: float, seed: int, decoder_range: float) -> Iterator[Any]:
    with import_nengo().Simulator(network, dt=dt, seed=seed, progress_bar=False) as simulator:
        yield simulator


def _decoders(simulator: Any, connection: Any) -> Array:
    return np.array(simulator.signals[simulator.model.sig[connection]["weights"]])


def _assign(simulator: Any, signal: Any, values: Array) -> None:
    simulator.signals[signal] = values


REFERENCE = OnlineLearning(_simulator, _decoders, package="nengo", assign=_assign, own_rules=True)
