"""How a sequence of inputs is laid out over simulation steps.

Each input is *presented* for ``steps_per_input`` steps; the last one stays for
``settle_steps`` more.  A projection with a delay reads what its source had at the end of
the previous presentation, so a rate network gives the same values whatever the timing,
and its memory holds still while the readout settles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spiking_lmu.errors import SpecError

#: Steps for which an input may be presented or held: a hundred seconds at 1 ms.
MAX_STEPS = 100_000


@dataclass(frozen=True)
class Timing:
    """Timing that every target obeys.

    Parameters
    ----------
    steps_per_input
        Simulation steps for which each input is presented (at least 1).
    settle_steps
        Further steps for which the last input is held (at least 0).
    readout_tau
        Time constant of the lowpass on the output, in seconds; 0 is no filter.  It is a
        synapse like any other: the output of a step is filtered up to the step before.
    dt
        Simulation step in seconds.

    Raises
    ------
    SpecError
        A value outside its range.

    >>> Timing(steps_per_input=2, settle_steps=1).presented(3).tolist()
    [0, 0, 1, 1, 2, 2, 2]
    """

    steps_per_input: int = 1
    settle_steps: int = 0
    readout_tau: float = 0.0
    dt: float = 0.001

    def __post_init__(self) -> None:
        whole = (
            ("steps_per_input", self.steps_per_input, 1),
            ("settle_steps", self.settle_steps, 0),
        )
        for name, value, least in whole:
            if (
                isinstance(value, bool)
                or not isinstance(value, int)
                or not least <= value <= MAX_STEPS
            ):
                raise SpecError(
                    name.replace("_", " "),
                    got=repr(value),
                    expected=f"a whole number from {least} to {MAX_STEPS}",
                    fix=f"pass --{name.replace('_', '-')} {max(least, 1)}",
                )
        if not (np.isfinite(self.readout_tau) and 0 <= self.readout_tau <= 1000):
            raise SpecError(
                "readout filter",
                got=repr(self.readout_tau),
                expected="seconds from 0 to 1000",
                fix="pass readout_tau=0.01",
            )
        if not (np.isfinite(self.dt) and 1e-7 <= self.dt <= 10):
            raise SpecError(
                "simulation step dt",
                got=repr(self.dt),
                expected="seconds from 1e-7 to 10",
                fix="use 0.001",
            )

    def total_steps(self, inputs: int) -> int:
        """Simulation steps of one sample of ``inputs`` inputs."""
        return inputs * self.steps_per_input + self.settle_steps

    def presented(self, inputs: int) -> np.ndarray:
        """Which input is present at each step, shape (total_steps,)."""
        index = np.arange(self.total_steps(inputs)) // self.steps_per_input
        return np.minimum(index, inputs - 1)

    def starts_presentation(self, step: int, inputs: int) -> bool:
        """Whether ``step`` (from 0) is the first of a presentation."""
        return step % self.steps_per_input == 0 and step // self.steps_per_input < inputs

    def averaged(self, step: int, first: int) -> bool:
        """Whether ``step`` (from 0) belongs to the mean over a presentation from ``first`` on."""
        return step % self.steps_per_input >= first

    def averaged_steps(self, first: int) -> int:
        """Steps of the mean over a presentation, from its step ``first`` (from 0) on.

        Raises
        ------
        SpecError
            A presentation is over before.

        >>> Timing(steps_per_input=20).averaged_steps(2)
        18
        """
        if first >= self.steps_per_input:
            raise SpecError(
                "mean over a presentation",
                got=f"one without its first {first} steps, where an input takes "
                f"{self.steps_per_input}",
                expected="steps that are left",
                fix=f"use steps_per_input={first + 1} or more, or skip fewer steps",
            )
        return self.steps_per_input - first

    def pulses(self, inputs: int, every: int) -> np.ndarray:
        """One at single steps, else zero, shape (total_steps,).

        At the first step of every ``every``-th presentation; with 0 at the step that follows the
        last one, if there is any.

        >>> Timing(settle_steps=2).pulses(3, every=0).tolist()
        [0.0, 0.0, 0.0, 1.0, 0.0]
        >>> Timing(settle_steps=2).pulses(4, every=2).tolist()
        [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
        """
        pulses = np.zeros(self.total_steps(inputs))
        last = inputs * self.steps_per_input
        if every:
            pulses[(every - 1) * self.steps_per_input : last : every * self.steps_per_input] = 1.0
        else:
            pulses[last : last + 1] = 1.0
        return pulses

    def presentation_ends(self, inputs: int) -> np.ndarray:
        """The last step of each presentation, settle steps included, shape (inputs,)."""
        ends = (np.arange(inputs) + 1) * self.steps_per_input - 1
        ends[-1] += self.settle_steps
        return ends


def lowpass_decay(tau: float, dt: float) -> float:
    """Share of a lowpass filter's value that is kept from one step to the next.

    Source: ``nengo/synapses.py``, ``Lowpass`` with zero-order hold; a tau of at most
    0.03 dt is no filter, as there.
    """
    return 0.0 if tau <= 0.03 * dt else float(np.exp(-dt / tau))
