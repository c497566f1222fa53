"""The host part of a nengo-loihi simulator, for a batch of samples.

It runs the operators of the built ``nengo.Simulator`` in that simulator's own order
(``nengo/simulator.py``, ``_step_order``), so sums are added in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .feeds import Feed, as_feed
from .host_operators import make_step
from .host_sums import Plan
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
        For input Nodes, what they output: (batch, steps, size), or a :class:`Feed`.
    strict
        One matrix-vector product a sample, as the stock simulator does, in place of one
        matrix product a batch: slower, and equal to the last bit.
    compiled
        Run neurons with numba.
    margin
        How far a voltage has to be from its threshold, in units of the threshold, for
        rounding not to matter.

    Attributes
    ----------
    step_count, time
        Steps done, and the time of the last one in seconds.
    sent
        For each process that sends to the chip (by ``id``): bool (size, batch), the spikes.
    received
        For each process that receives from the chip (by ``id``): (size, batch), to be set.
    margins
        ``margin`` for samples in which a sum may have been rounded otherwise than by the stock
        simulator, 0 for those in which every number is still the same, (batch,).
    near
        Samples in which a voltage was nearer to its threshold than that, bool (batch,).
    """

    def __init__(
        self,
        simulator: Any,
        batch: int,
        feeds: Mapping[Any, Array | Feed],
        *,
        strict: bool = False,
        compiled: bool = False,
        margin: float = 0.0,
    ) -> None:
        self.model, self.batch = simulator.model, batch
        self.strict, self.compiled = strict, compiled
        self._margin, self._all_rounded = margin, strict
        self.margins, self.near = np.zeros(batch), np.zeros(batch, bool)
        self.dt = float(self.model.dt)
        self.step_count, self.time = 0, 0.0
        self.sent: dict[int, Array] = {}
        self.received: dict[int, Array] = {}
        for probe in self.model.probes:
            if probe.sample_every is not None:
                raise unsupported(f"probe {probe}", "sample_every", "one sample every step")
        operators = simulator._step_order
        plan = Plan([] if strict else operators)
        self.signals = Signals(operators, batch, plan.same)
        self.fed = {
            self.model.sig[node]["out"]: as_feed(data)
            for node, data in feeds.items()
            if node in self.model.sig
        }
        written = {signal for operator in operators for signal in operator.sets}
        for signal in self.fed:
            if signal not in written:
                raise unsupported(
                    f"feed of {signal.name}", "a Node with a constant output", "a Node's function"
                )
        made = (make_step(self, part) for part in (operators if strict else plan.steps))
        self._steps: list[Callable[[], None]] = [step for step in made if step is not None]

    def rounded(self, values: Array | None = None) -> None:
        """Say that what is computed from ``values`` (size, batch) can be rounded otherwise.

        Zeros are not: whatever the order, they add up to zero.  None is all samples.
        """
        if not self._all_rounded:
            new = True if values is None else (values != 0).any(axis=0)
            self.margins[new] = self._margin
            self._all_rounded = bool((self.margins == self._margin).all())

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
