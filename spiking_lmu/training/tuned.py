"""How a network is trained on, and what that gave."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from spiking_lmu.conversion.levels import LEVELS
from spiking_lmu.conversion.line import MOST_BITS
from spiking_lmu.errors import SpecError, require_whole
from spiking_lmu.graph.model import Model
from spiking_lmu.runs.result import Result

if TYPE_CHECKING:
    from spiking_lmu.datasets.dataset import Dataset


@dataclass(frozen=True)
class FineTuningSettings:
    """What a conversion will do to a network, and how it is trained for that.

    Parameters
    ----------
    levels
        Activations are rounded to so many values, for a conversion with ``code="level"`` and as
        many levels; None leaves them as they are.
    noise
        Standard deviation of what is added to each activation, in units of its 99.9th percentile;
        for a conversion with ``code="rate"``, or for any number of levels from about 9.
    memory, bits
        ``line`` trains hidden layer and readout on the spikes of a line of so many bits, with
        8-bit weights and neurons that forget what is above the threshold
        (:mod:`spiking_lmu.training.line`), for a conversion with ``memory="line"``.  ``host`` is
        the usual place of a memory.
    target
        With ``memory="line"``, its name: a target without a chip has weights of any precision and
        neurons that forget nothing, and so has the training for it.
    batches, batch_size
        Steps of the optimizer, and samples in each.
    learning_rate
        Adam's at the start; it falls linearly to 0.
    seed
        Of the order of samples, the noise, and which samples are held out.

    Raises
    ------
    SpecError
        A value outside its range, or values that do not go together.

    >>> FineTuningSettings(levels=5).batches
    1000
    """

    levels: int | None = None
    noise: float = 0.0
    memory: str = "host"
    bits: int = 1
    target: str | None = None
    batches: int = 1000
    batch_size: int = 100
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.levels is not None and self.levels not in LEVELS:
            expected = f"{LEVELS[0]} to {LEVELS[-1]}, or None"
            raise SpecError("levels", got=repr(self.levels), expected=expected, fix="try 9")
        require_whole("batches", self.batches, 1, 10**7)
        require_whole("batch_size", self.batch_size, 1, 10**5)
        require_whole("seed", self.seed, 0, 2**63 - 1)
        require_whole("bits", self.bits, 1, MOST_BITS)
        for name, least, most in (("noise", 0.0, 10.0), ("learning_rate", 1e-9, 10.0)):
            value = getattr(self, name)
            if not (isinstance(value, float | int) and isfinite(value) and least <= value <= most):
                expected = f"{least:g} to {most:g}"
                raise SpecError(name, got=repr(value), expected=expected, fix="leave it out")
        if self.memory not in ("host", "line"):
            raise SpecError(
                "memory", got=repr(self.memory), expected="host or line", fix="choose one"
            )
        if self.memory == "line" and (self.levels is not None or self.noise):
            raise SpecError(
                "levels, noise",
                got="one of them with memory='line'",
                expected="neither",
                fix="leave them out",
            )
        if self.memory == "host" and (self.bits != 1 or self.target is not None):
            raise SpecError(
                "bits, target",
                got="one of them with memory='host'",
                expected="memory='line'",
                fix="leave them out",
            )


@dataclass(frozen=True, eq=False)
class FineTuningResult(Result):
    """A rate model that was trained on, and what that brought.

    Parameters
    ----------
    model
        The rate model with its new weights.
    before, after
        On held-out samples, with activations as in training (rounded, or with noise): the share of
        right decisions, or of a regression the error's root mean square over that of the answers.
    exact_before, exact_after
        The same with activations as they are.
    held_out
        So many samples.
    losses
        Training loss after each batch.
    """

    model: Model
    before: float
    after: float
    exact_before: float
    exact_after: float
    held_out: int
    losses: tuple[float, ...]


def with_record(
    model: Model, data: Dataset, settings: FineTuningSettings, **more: Any
) -> dict[str, Any]:
    """The provenance of a model after training on: what it had, what was done, and on what."""
    record = {
        **asdict(settings),
        **more,
        "data": f"{data.name} {data.split}",
        "data_digest": data.digest,
        "source_digest": model.digest,
    }
    return {**model.provenance, "fine_tuning": record}
