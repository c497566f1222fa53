"""What is learned: a delay of band-limited white noise, and with which numbers.

The preset ``published`` has those of the public Nengo example *Legendre Memory Units in Nengo*
(nengo/nengo, ``docs/examples/learning/lmu.ipynb``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from spiking_lmu.errors import SpecError

NEURONS = ("relu", "lif")
SCALINGS = ("none", "rms")


@dataclass(frozen=True)
class DelaySpec:
    """One network that learns a delay, and how long it learns.

    Parameters
    ----------
    theta, order
        Window of the memory in seconds, and its Legendre polynomials.
    delay
        What is learned: the input this many seconds ago.
    frequency, rms
        Highest frequency of the white noise in Hz, and its root mean square.
    neurons, neuron
        Size of the ensemble; ``relu`` (SpikingRectifiedLinear) or ``lif``.
    learning_rate
        Of PES, as Nengo counts it: divided by the number of neurons, multiplied by dt.
    duration, off
        Seconds of simulation, and when learning is switched off.
    synapse
        Time constant in seconds of the lowpass on the output, and of the one on the activities
        that PES sees: with both equal the rule follows the gradient of the filtered output.
    scaling
        ``rms`` divides each dimension of the memory by its root mean square; ``none`` does not.
    radius
        What is divided by next: the ensemble's encoders and intercepts are laid out for
        vectors of length 1.
    max_rates
        Lowest and highest firing rate in Hz where a neuron's input is 1.
    intercepts
        Lowest and highest input at which a neuron begins to fire.
    seed, dt
        Of the noise and the network; the simulation step in seconds.

    Raises
    ------
    SpecError
        A value outside its range, or a delay that the noise's window does not hold.
    """

    theta: float = 1.0
    order: int = 8
    delay: float = 0.5
    frequency: float = 2.0
    rms: float = 0.3
    neurons: int = 1000
    neuron: str = "relu"
    learning_rate: float = 2e-4
    duration: float = 100.0
    off: float = 80.0
    synapse: float = 0.005
    scaling: str = "none"
    radius: float = 1.0
    max_rates: tuple[float, float] = (200.0, 400.0)
    intercepts: tuple[float, float] = (-1.0, 0.9)
    seed: int = 0
    dt: float = 0.001

    def __post_init__(self) -> None:
        _choice("neuron", self.neuron, NEURONS)
        _choice("scaling", self.scaling, SCALINGS)
        for name, most in (("order", 256), ("neurons", 10**6), ("seed", 2**31 - 1)):
            value = getattr(self, name)
            least = 0 if name == "seed" else 1
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise _spec(name, repr(value), f"a whole number from {least} to {most}")
        for name in (
            "theta",
            "delay",
            "frequency",
            "rms",
            "learning_rate",
            "duration",
            "off",
            "synapse",
            "radius",
            "dt",
        ):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise _spec(name, repr(value), "a positive number")
        low, high = self.max_rates
        if not (isfinite(high) and 0 < low <= high):
            raise _spec("max_rates", f"{low!r}, {high!r}", "two rates in Hz, the lower one first")
        low, high = self.intercepts
        if not -1 <= low <= high < 1:
            raise _spec("intercepts", f"{low!r}, {high!r}", "two numbers from -1 to below 1")
        self._check_times()

    def _check_times(self) -> None:
        for name, least, most in (
            ("dt", 1e-6, 0.01),
            ("duration", 10 * self.dt, 1e6),
            ("delay", self.dt, self.theta),
            ("off", self.delay + self.dt, self.duration - self.dt),
            ("frequency", 1.0 / self.duration, 0.5 / self.dt),
            ("synapse", self.dt, inf),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise _spec(name, f"{value:g}", f"a number from {least:g} to {most:g}")

    @property
    def steps(self) -> int:
        """Simulation steps in all."""
        return round(self.duration / self.dt)

    @property
    def learning_steps(self) -> int:
        """Simulation steps until learning is switched off."""
        return round(self.off / self.dt)

    @property
    def decoder_range(self) -> float:
        """About the largest decoder that will be learned.

        With a thousand neurons it was 16 to 24 times what a decoder would be if all fired at
        their highest rate and shared the output equally.
        """
        return 30.0 / (self.neurons * 0.5 * sum(self.max_rates))

    @property
    def delay_steps(self) -> int:
        """The delay in simulation steps."""
        return round(self.delay / self.dt)


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise _spec(name, repr(value), " or ".join(choices))


def _spec(name: str, got: str, expected: str) -> SpecError:
    return SpecError(name, got=got, expected=expected, fix=f"choose another {name}")


#: docs/learning-delay.md says how the numbers of ``tuned`` and ``one-second`` were found.
PRESETS = {
    "published": DelaySpec(),
    "tuned": DelaySpec(
        learning_rate=3e-3,
        synapse=0.05,
        scaling="rms",
        radius=3.5,
        max_rates=(100.0, 250.0),
        intercepts=(-0.6, 0.6),
    ),
    "one-second": DelaySpec(
        theta=1.3,
        order=6,
        delay=1.0,
        frequency=1.0,
        learning_rate=4e-4,
        synapse=0.1,
        scaling="rms",
        radius=3.0,
        max_rates=(200.0, 400.0),
        intercepts=(-0.6, 0.6),
    ),
}
