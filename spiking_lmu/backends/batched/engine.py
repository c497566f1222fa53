"""What every engine of a chip has."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .learning import Learner

Array = np.ndarray


class Engine(Protocol):
    """The state of a chip for a batch of samples; every array is (neurons, batch)."""

    name: str
    #: What current and voltage are on the emulator: int32, or float32 without quantisation.
    number: Any
    spiked: Array
    current: Array
    voltage: Array
    learners: list[Learner]

    def step(self, input_spikes: Array) -> None:
        """Advance by one step; bool (inputs, batch) is what the host sent the step before."""
