"""Where the parts of a chip are in the arrays of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..unsupported import unsupported


@dataclass(frozen=True, eq=False)
class Places:
    """The compartments of a nengo-loihi model one after another, and the sources of spikes.

    Parameters
    ----------
    neurons, inputs
        Number of compartments, and of spike inputs that the host drives.
    blocks
        The compartments of each ``LoihiBlock``.
    input_slices
        The spike inputs of each ``SpikeInput``.
    """

    neurons: int
    inputs: int
    blocks: dict[Any, slice]
    input_slices: dict[Any, slice]

    @property
    def origins(self) -> dict[Any, slice]:
        """The sources of spikes in each block and input: compartments, then inputs."""
        moved = {
            item: slice(place.start + self.neurons, place.stop + self.neurons)
            for item, place in self.input_slices.items()
        }
        return {**self.blocks, **moved}


def find_places(model: Any) -> Places:
    """Those of a ``nengo_loihi.builder.Model``.

    Raises
    ------
    Unsupported
        Spikes that the host does not send.
    """
    blocks = _slices((block, block.n_neurons) for block in model.blocks)
    input_slices = _slices((spikes, _input_size(spikes)) for spikes in model.inputs)
    neurons = sum(block.n_neurons for block in blocks)
    inputs = sum(spikes.n_neurons for spikes in input_slices)
    return Places(neurons, inputs, blocks, input_slices)


def _slices(sizes: Any) -> dict[Any, slice]:
    found, start = {}, 0
    for item, size in sizes:
        found[item] = slice(start, start + size)
        start += size
    return found


def _input_size(spikes: Any) -> int:
    if type(spikes).__name__ != "SpikeInput":
        raise unsupported("chip input", type(spikes).__name__, "a SpikeInput")
    if spikes.permanent:
        raise unsupported(
            f"chip input {spikes.label}", "spikes fixed when built", "spikes from the host"
        )
    return int(spikes.n_neurons)
