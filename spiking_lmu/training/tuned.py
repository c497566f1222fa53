"""What training a network on gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spiking_lmu.graph.model import Model
from spiking_lmu.runs.result import Result

if TYPE_CHECKING:
    from spiking_lmu.datasets.dataset import Dataset


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


def with_record(model: Model, data: Dataset, **settings: Any) -> dict[str, Any]:
    """The provenance of a model after training on: what it had, what was done, and on what."""
    record = {
        **settings,
        "data": f"{data.name} {data.split}",
        "data_digest": data.digest,
        "source_digest": model.digest,
    }
    return {**model.provenance, "fine_tuning": record}
