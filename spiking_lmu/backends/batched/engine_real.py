"""One step of the chip for a batch where numbers are real.  Every array is (neurons, batch).

Source: nengo-loihi 1.1.0, ``emulator/interface.py``, ``CompartmentState.update`` with its
``decay_float``; nothing overflows.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from .input_sums import InputSums
from .learning import Learner
from .real import RealProgram

Array = np.ndarray


class RealEngine:
    """The chip's state without quantisation, for ``batch`` samples that start at rest.

    The emulator's operations in its order, in its float32, but for the inputs of a step: BLAS
    adds them in another order.  Sums, and then voltages, differ by some units of 2**-24, so a
    spike can differ where a voltage comes that near to its threshold.

    Attributes are those of :class:`~spiking_lmu.backends.batched.engine.Engine`.
    """

    name = "real"
    number = np.float32

    def __init__(self, program: RealProgram, batch: int) -> None:
        self.program, self.batch = program, batch
        shape = (program.neurons, batch)
        self.learners: list[Learner] = []
        self.current, self.voltage = np.zeros((2, *shape), np.float32)
        self.spiked, self._wait = np.zeros(shape, bool), np.zeros(shape, np.int32)
        self._inputs = InputSums(program, program.wiring, batch, np.float32)
        part = program.compartments
        column = {f.name: getattr(part, f.name)[:, None] for f in fields(part)}
        self._keep_u, self._gain_u = column["keep_u"], column["gain_u"]
        self._keep_v, self._gain_v = column["keep_v"], column["gain_v"]
        self._bias, self._vth = column["bias"], column["vth"]
        self._vmin, self._vmax = column["vmin"], column["vmax"]
        self._refractory = column["refractory"]

    def step(self, input_spikes: Array) -> None:
        """Advance by one step.

        Parameters
        ----------
        input_spikes
            bool (inputs, batch): what the host sent in the step before.
        """
        self._inputs.add_up(self.spiked, input_spikes)
        u, v, total = self.current, self.voltage, self._inputs.sums
        u *= self._keep_u
        total *= self._gain_u
        u += total
        np.add(u, self._bias, out=total)
        v *= self._keep_v
        total *= self._gain_v
        v += total
        np.clip(v, self._vmin, self._vmax, out=v)
        v[self._wait > 0] = 0
        np.greater(v, self._vth, out=self.spiked)
        v[self.spiked] = 0
        np.copyto(self._wait, self._refractory, where=self.spiked)
        np.maximum(self._wait - 1, 0, out=self._wait)
