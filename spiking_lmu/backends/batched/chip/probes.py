"""What leaves the chip: values for the host, and recordings of probes.

Source: nengo-loihi 1.1.0, ``probe.py`` (``LoihiProbe.weight_outputs``, ``ProbeFilter``) and
``emulator/interface.py`` (``ProbeState``).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from ..unsupported import unsupported
from .engine import ChipEngine
from .places import Places

Array = np.ndarray

#: Weights of which a smaller share than this is not 0 are multiplied one by one.
SPARSE_SHARE = 0.1
#: State that a probe can read.
KEYS = ("spiked", "voltage", "current")


class ChipReader:
    """Reads the state that one ``LoihiProbe`` selects."""

    def __init__(self, probe: Any, places: Places) -> None:
        if probe.key not in KEYS:
            raise unsupported("chip probe", repr(probe.key), " or ".join(KEYS))
        self.probe = probe
        self._places = [places.blocks[block] for block in probe.target]
        sizes = [
            len(np.arange(place.stop - place.start)[chosen])
            for place, chosen in zip(self._places, probe.slice, strict=True)
        ]
        #: Values that the probe gives.  (``LoihiProbe.output_size`` cannot read slices that
        #: are arrays, as those of neurons in several blocks are.)
        self.size = probe.weights[0].shape[1] if probe.is_transformed else sum(sizes)

    def read(self, engine: ChipEngine) -> list[Array]:
        """For each block probed, a copy (batch, size): bool for spikes, else the chip's numbers."""
        kind = bool if self.probe.key == "spiked" else engine.number
        return [np.array(values.T, kind, order="C") for values in self.look(engine)]

    def look(self, engine: ChipEngine) -> list[Array]:
        """As :meth:`read`, but (size, batch), in the engine's numbers, and maybe no copies."""
        state = getattr(engine, self.probe.key)
        return [
            state[place][chosen]
            for place, chosen in zip(self._places, self.probe.slice, strict=True)
        ]

    def weigh(self, values: list[Array]) -> Array:
        """(batch, size) of each block → (batch, outputs) with the probe's weights."""
        return self.probe.weight_outputs(values)

    @cached_property
    def _sparse(self) -> sparse.csr_matrix | None:
        """The weights of all blocks beside each other, (outputs, size), if most of them are 0."""
        if not self.probe.is_transformed:
            return None
        weights = [np.asarray(part) for part in self.probe.weights]
        entries = sum(part.size for part in weights)
        if sum(np.count_nonzero(part) for part in weights) >= SPARSE_SHARE * entries:
            return None
        return sparse.csr_matrix(np.concatenate(weights).T)

    def weighed(self, engine: ChipEngine) -> Array:
        """(outputs, batch): :meth:`weigh` of what :meth:`read` reads, but for the order of sums.

        Spikes of comparators are decoded unit by unit, and of the weights from hundreds of units
        nearly all are 0.
        """
        if self._sparse is None:
            return self.weigh(self.read(engine)).T
        product: Array = self._sparse @ np.concatenate(self.look(engine)).astype(self._sparse.dtype)
        return product

    def weigh_one_by_one(self, values: list[Array]) -> Array:
        """As :meth:`weigh`, with the shapes of a stock simulator that runs step by step."""
        rows = [
            self.probe.weight_outputs([[v[b].copy()] for v in values])[0]
            for b in range(len(values[0]))
        ]
        return np.stack(rows)

    def weigh_runs(self, steps: list[list[Array]]) -> Array:
        """As :meth:`weigh`, with the shapes of a stock simulator that ran all steps at once.

        ``steps`` has :meth:`read` of each step; the result is (batch, steps, outputs).
        """
        blocks = [np.stack(block) for block in zip(*steps, strict=True)]
        batch = blocks[0].shape[1]
        return np.stack(
            [
                self.probe.weight_outputs([np.ascontiguousarray(b[:, i]) for b in blocks])
                for i in range(batch)
            ]
        )
