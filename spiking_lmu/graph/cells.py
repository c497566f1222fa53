"""Neuron models by themselves: what one does with a current, apart from any network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from .neurons import Neuron, SpikingState, response

Array = np.ndarray


class Cells(Protocol):
    """A target's neuron models by themselves, to find out what they alone change."""

    def response(self, neuron: Neuron, current: Array, dt: float) -> Array:
        """Spikes a second at a constant ``current``, any shape; ``dt`` in seconds."""

    def stepper(
        self, neuron: Neuron, shape: tuple[int, ...], dt: float
    ) -> Callable[[Array], Array]:
        """Neurons at rest: a function from one step's current to its number of spikes."""


class NengoCells:
    """Nengo's neurons, which every target has that names no others."""

    def response(self, neuron: Neuron, current: Array, dt: float) -> Array:
        """Spikes a second; dt plays no part."""
        return response(replace(neuron, amplitude=1.0), current)

    def stepper(
        self, neuron: Neuron, shape: tuple[int, ...], dt: float
    ) -> Callable[[Array], Array]:
        """Nengo's update of one step."""
        return SpikingState(neuron, shape, dt).step
