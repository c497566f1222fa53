"""``explain``: the ladder of one model on one target, and the advice that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spiking_lmu.backends.registry import given_target
from spiking_lmu.backends.target import Target
from spiking_lmu.datasets import Dataset, require_dataset
from spiking_lmu.graph.model import Model, require_model
from spiking_lmu.runs.result import Result
from spiking_lmu.runs.runner import Job
from spiking_lmu.runs.service import RunService, RunSettings, open_service

from ..check import require_possible
from ..samples import draw, name_of
from .advice import Advice, advise
from .ladder import Ladder, climb

#: Samples, unless told otherwise.
SAMPLES = 200


@dataclass(frozen=True, eq=False)
class Explanation(Result):
    """Where accuracy is lost, and what to turn.

    Parameters
    ----------
    ladder
        All rungs, from the rate model to the target.
    advice
        What to try, most promising first; empty where nothing is lost.
    """

    ladder: Ladder
    advice: tuple[Advice, ...]


def explain(
    model: Model,
    data: Dataset,
    target: str | Target | None = None,
    *,
    samples: int | None = None,
    name: str = "",
    settings: RunSettings | None = None,
    **choices: Any,
) -> Explanation:
    """Run the same samples on rungs between the rate model and a target.

    ``explain(spiking, data.test, target="loihi")`` says which of response curve, synapses,
    spikes, chip dynamics and quantised weights costs how much, and which option to turn.

    Parameters
    ----------
    model
        A spiking model with the rate graph that it was converted from.
    data
        Samples, such as ``data.test``.
    samples
        So many of them, drawn with the seed; 200, or all if there are fewer.
    target
        Its name or itself; the one that changes a model most if not given.
    name
        Of the model, for tables; what it was converted from if not given.
    settings, choices
        How samples are run: see :class:`spiking_lmu.runs.service.RunSettings`; a choice is one
        of its fields by name, such as ``workers=1``.

    Raises
    ------
    SpecError
        Another kind of model, data of another shape, or a setting outside its range.
    TargetError
        The target is unknown, cannot run here, or refuses the model.
    """
    require_model(model)
    settings = RunSettings.of(settings, choices)
    place = given_target(target)
    (options,) = settings.options_for([place])
    require_possible({"": model}, [place])
    require_dataset(data)
    drawn = draw(data, min(SAMPLES, len(data)) if samples is None else samples, settings.seed)
    with open_service(settings) as service:
        job = Job(place, options=options, verify=settings.verify)
        return explained(name or name_of(model), model, job, drawn, service)


def explained(name: str, model: Model, job: Job, data: Dataset, service: RunService) -> Explanation:
    """The same for those who have a run service already."""
    model = job.target.adapted(model)
    ladder = climb(name, model, job, data, service)
    return Explanation(ladder, advise(ladder, model))
