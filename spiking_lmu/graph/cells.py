"""Nengo's neurons by themselves, and those of any target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .neurons import Neuron, SpikingState, response

if TYPE_CHECKING:
    from spiking_lmu.backends.target import Cells, Target

Array = np.ndarray


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


def cells_of(target: Target) -> Cells:
    """The target's own neurons, or else Nengo's."""
    return getattr(target, "cells", None) or NengoCells()
