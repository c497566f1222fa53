"""Learning while it runs in NengoDL: a plain Nengo network with PES."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from spiking_lmu.backends.target import OnlineLearning
from spiking_lmu.compat import import_nengo_dl
from spiking_lmu.compat.quiet import quiet_import

Array = np.ndarray


@contextmanager
def _simulator(network: Any, dt: float, seed: int, decoder_range: float) -> Iterator[Any]:
    nengo_dl = import_nengo_dl()
    with quiet_import():
        simulator = nengo_dl.Simulator(network, dt=dt, seed=seed, progress_bar=False)
    with simulator:
        yield _Plain(simulator)


class _Plain:
    """A NengoDL simulator whose ``run_steps`` shows no bar."""

    def __init__(self, simulator: Any) -> None:
        self.simulator, self.data = simulator, simulator.data

    def run_steps(self, steps: int) -> None:
        """Go on for ``steps``."""
        self.simulator.run_steps(steps, progress_bar=False)


def _decoders(simulator: Any, connection: Any) -> Array:
    return np.array(simulator.data[connection].weights, dtype=float)


NENGO_DL = OnlineLearning(_simulator, _decoders)
