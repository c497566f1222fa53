"""One step of the chip for a batch, in NumPy.  Every array is (neurons, batch).

Source: nengo-loihi 1.1.0, ``emulator/interface.py``, ``EmulatorInterface.step`` and
``CompartmentState.update``.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .learning import LearningState
from .noise import draw
from .program import DECAY_BITS, Q_BITS, U_BITS, ChipProgram
from .wiring import InputSums

Array = np.ndarray


class ChipEngine(Protocol):
    """The state of a chip for a batch of samples; every array is (neurons, batch)."""

    name: str
    #: What current and voltage are on the emulator: int32, or float32 without quantisation.
    number: Any
    spiked: Array
    current: Array
    voltage: Array
    learners: list[LearningState]

    def step(self, input_spikes: Array) -> None:
        """Advance by one step; bool (inputs, batch) is what the host sent the step before."""


class NumpyEngine:
    """The chip's state, for ``batch`` samples that start at rest.

    Noise and learning draw random numbers as ``EmulatorInterface(model, seed)`` does, once
    for all samples: each sample gets what a stock run with this ``seed`` gets.

    The inputs of a step are added by BLAS, in float32 or float64, which is exact for whole
    numbers of this size (:attr:`ChipProgram.sums_dtype`).  Current and voltage are whole
    numbers in float64: their products with a decay have at most 43 bits, so they are exact,
    and a truncated division by 2**12 is the chip's shift of the magnitude.

    Attributes
    ----------
    spiked
        Which neurons spiked in the last step, bool.
    current, voltage
        After the last step, in the chip's integer units.
    overflowed
        Neurons whose current wrapped around in any step of any sample, shape (neurons,).
    learners
        The synapses that learn, with the weights of each sample.
    number
        What current and voltage are on the emulator.
    """

    name = "numpy"
    number: type = np.int32
    learner: type[LearningState] = LearningState

    def __init__(self, program: ChipProgram, batch: int, seed: int = 0) -> None:
        self.program, self.batch = program, batch
        shape = (program.neurons, batch)
        self._inputs = InputSums(program, program.wiring, batch, program.sums_dtype)
        self._sums = self._inputs.sums
        self.spiked = np.zeros(shape, bool)
        self.overflowed = np.zeros(program.neurons, bool)
        self._refractory = bool((program.compartments.refractory > 1).any())
        self._rng = np.random.RandomState(seed)
        self._step_count = 0
        self._bias = program.compartments.bias
        self.learners = [self.learner(rule, batch) for rule in program.learning]
        self._make_state(shape)

    def _make_state(self, shape: tuple[int, int]) -> None:
        part, one = self.program.compartments, float(2**DECAY_BITS)
        self.current, self.voltage = np.zeros(shape), np.zeros(shape)
        self._input = np.zeros(shape)
        self._wait = np.zeros(shape, np.int32)
        self._keep_u, self._keep_v = part.keep_u[:, None] / one, part.keep_v[:, None] / one
        self._leaky = bool((part.keep_v != one).any())
        column = {name: value[:, None].astype(np.float64) for name, value in vars(part).items()}
        self._vth = column["vth"]
        self._vmin, self._vmax = column["vmin"], column["vmax"]

    def step(self, input_spikes: Array) -> None:
        """Advance by one step.

        Parameters
        ----------
        input_spikes
            bool (inputs, batch): what the host sent in the step before.
        """
        self._step_count += 1
        self._inputs.add_up(self.spiked, input_spikes)
        self._learn()
        self._add_noise()
        self._update()

    def _learn(self) -> None:
        """Inputs with the weights as they were, then traces, then weights."""
        for learner in self.learners:
            learner.add_inputs(self._inputs.spikes, self._sums)
        for learner in self.learners:
            learner.update_trace(self._step_count, self._rng)
        for learner in self.learners:
            learner.update_weights(self._step_count, self._rng)

    def _add_noise(self) -> None:
        if not self.program.draws:
            return
        noise, drawn = self.program.noise, draw(self.program.neurons, self._rng)
        if noise is not None:
            added = noise.scaled(drawn)
            self._sums += np.where(noise.at_membrane, 0, added)[:, None]
            membrane = np.where(noise.at_membrane, added, 0)
            self._bias = self.program.compartments.bias + membrane

    def _update(self) -> None:
        part, u, v, total = self.program.compartments, self.current, self.voltage, self._input
        if self.program.sums_can_overflow:
            self._wrap(self._sums, Q_BITS)
        u *= self._keep_u
        np.trunc(u, out=u)
        u += self._sums
        self._wrap(u, U_BITS)
        np.add(u, self._bias[:, None].astype(np.float64), out=total)
        self._wrap(total, U_BITS)
        if self._leaky:
            v *= self._keep_v
            np.trunc(v, out=v)
        v += total
        np.maximum(v, self._vmin, out=v)
        np.minimum(v, self._vmax, out=v)
        if self._refractory:
            v[self._wait > 0] = 0
        np.greater(v, self._vth, out=self.spiked)
        v[self.spiked] = 0
        if self._refractory:
            np.copyto(self._wait, part.refractory[:, None], where=self.spiked)
            np.maximum(self._wait - 1, 0, out=self._wait)

    def _wrap(self, x: Array, bits: int) -> None:
        """Keep ``bits`` bits and the sign (``builder/discretize.py``, ``overflow_signed``)."""
        limit = 2**bits
        outside = (x >= limit) | (x < -limit)
        if outside.any():
            self.overflowed |= outside.any(axis=1)
            x[...] = ((x.astype(np.int64) + limit) & (2 * limit - 1)) - limit
