"""What goes between host and chip: spikes' values up, errors for learning down.

Source: nengo-loihi 1.1.0, ``simulator.py`` (``StepRunner._host2chip``) and
``emulator/interface.py`` (``SynapseState.update_pes_errors``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .chip.engine import ChipEngine
from .chip.learning import LearningState
from .chip.probes import ChipReader
from .host import BatchedHost
from .unsupported import unsupported

Array = np.ndarray


class Receiver:
    """Passes what the chip did in one step to a host process."""

    def __init__(self, reader: ChipReader, buffer: Array, strict: bool) -> None:
        if reader.probe.synapse is not None:
            raise unsupported("chip to host connection", "a filter on the chip side", "none")
        self.reader, self._buffer, self._strict = reader, buffer, strict

    def pass_on(self, engine: ChipEngine) -> None:
        """Read the chip and set what the process outputs in the host's next step."""
        if self._strict:
            self.set(self.reader.weigh_one_by_one(self.reader.read(engine)))
        else:
            self._buffer[...] = self.reader.weighed(engine)

    def set(self, values: Array) -> None:
        """Set what the process outputs: (batch, size)."""
        self._buffer[...] = values.T


class ErrorLinks:
    """All connections from the host to learning rules on the chip.

    Raises
    ------
    Unsupported
        An error for weights that are not one synapse on the chip.
    """

    def __init__(
        self, model: Any, host: BatchedHost | None, learners: Iterable[LearningState]
    ) -> None:
        self._host, self._scale = host, model.pes_error_scale
        by_synapse = {learner.rule.synapse: learner for learner in learners}
        self._parts: dict[LearningState, list[Array]] = {}
        for sender, to in model.host2chip_pes_senders.items():
            connection = model.nengo_probe_conns[to.error_target]
            synapse = model.objs[connection]["decoders"]
            if host is None or synapse not in by_synapse:
                raise unsupported(
                    f"error for {connection}", "learned weights in several blocks", "one block"
                )
            sent = host.signals[host.model.sig[sender]["in"]]
            self._parts.setdefault(by_synapse[synapse], []).append(sent)

    def send(self) -> None:
        """Pass on what the host computed in its last step; several errors add up.

        Marks samples in :attr:`BatchedHost.near` whose error is so near to half a unit that it
        might be rounded otherwise by the stock simulator.
        """
        for learner, parts in self._parts.items():
            error = parts[0].copy()
            for part in parts[1:]:
                error += part
            learner.set_error(error, self._scale)
            if self._host is not None:
                units = self._scale * error
                near = np.abs(units % 1 - 0.5) < self._scale * self._host.margins
                self._host.near |= near.any(axis=0)
