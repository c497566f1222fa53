"""The host part of a nengo-loihi simulator, for a batch of samples.

It runs the operators of the built ``nengo.Simulator`` in that simulator's own order
(``nengo/simulator.py``, ``_step_order``), so sums are added in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .host_operators import make_step
from .signals import Signals
from .unsupported import unsupported

Array = np.ndarray


class BatchedHost:
    """One host simulator with the batch on the last axis of every signal.

    Parameters
    ----------
    simulator
        A ``nengo.Simulator`` that nengo-loihi built (``host_pre`` or ``host``).
    batch
        Number of samples.
    feeds
        For input Nodes, what they output: (batch, steps, size).
    strict
        One matrix-vector product a sample, as the stock simulator does, in place of one
        matrix product a batch: slower, and equal to the last bit.
    compiled
        Run spiking rectified linear neurons with numba.

    Attributes
    ----------
    step_count, time
        Steps done, and the time of the last one in seconds.
    sent
        For each process that sends to the chip (by ``id``): bool (size, batch), the spikes.
    received
        For each process that receives from the chip (by ``id``): (size, batch), to be set.
    """

    def __init__(
        self,
        simulator: Any,
        batch: int,
        feeds: Mapping[Any, Array],
        *,
        strict: bool = False,
        compiled: bool = False,
    ) -> None:
        self.model, self.batch, self.strict, self.compiled = (
            simulator.model,
            batch,
            strict,
            compiled,
        )
        self.dt = float(self.model.dt)
        self.step_count, self.time = 0, 0.0
        self.sent: dict[int, Array] = {}
        self.received: dict[int, Array] = {}
        for probe in self.model.probes:
            if probe.sample_every is not None:
                raise unsupported(f"probe {probe}", "sample_every", "one sample every step")
        operators = simulator._step_order
        self.signals = Signals(operators, batch)
        self.fed = {
            self.model.sig[node]["out"]: _steps_first(data)
            for node, data in feeds.items()
            if node in self.model.sig
        }
        written = {signal for operator in operators for signal in operator.sets}
        for signal in self.fed:
            if signal not in written:
                raise unsupported(
                    f"feed of {signal.name}", "a Node with a constant output", "a Node's function"
                )
        made = (make_step(self, operator) for operator in operators)
        self._steps: list[Callable[[], None]] = [step for step in made if step is not None]

    def step(self) -> None:
        """Run every operator once."""
        self.step_count += 1
        # As ``TimeUpdate`` computes it; processes get a Python float.
        self.time = self.step_count * self.dt
        for step in self._steps:
            step()

    def probed(self, probe: Any) -> Array:
        """What ``probe`` sees after the last step, (size, batch); valid until the next."""
        return self.signals[self.model.sig[probe]["in"]]


def _steps_first(data: Array) -> Array:
    """(batch, steps, size) → (steps, size, batch)."""
    return np.moveaxis(np.asarray(data, np.float64), 0, -1)
