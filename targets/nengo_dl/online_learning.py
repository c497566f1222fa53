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
        self.upstream, self.data = simulator, simulator.data

    def run_steps(self, steps: int) -> None:
        """Go on for ``steps``."""
        self.upstream.run_steps(steps, progress_bar=False)


def _decoders(simulator: Any, connection: Any) -> Array:
    return np.array(simulator.data[connection].weights, dtype=float)


def _assign(simulator: Any, signal: Any, values: Array) -> None:
    import tensorflow as tf

    # NengoDL keeps signals of equal row length in one variable, (batch, rows, ...).
    graph = simulator.tensor_graph
    part = graph.signals[signal]
    variable = {**graph.base_params, **graph.saved_state}[part.key]
    new = np.array(tf.keras.backend.get_value(variable))
    rows = np.concatenate([np.arange(start, stop) for start, stop in part.slices])
    new[:, rows] = values
    tf.keras.backend.set_value(variable, new)


NENGO_DL = OnlineLearning(_simulator, _decoders, package="nengo_dl", assign=_assign, own_rules=True)
