"""``check``: what a target would say about a model, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spiking_lmu.backends.registry import given_target, load_target
from spiking_lmu.backends.target import CoreUse, Problem, Target, blocking
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.model import Model, require_model
from spiking_lmu.runs.result import Result

from .samples import name_of


@dataclass(frozen=True, eq=False)
class CheckResult(Result):
    """What stands against running a model on a target.

    Parameters
    ----------
    model, target
        Their names.
    problems
        All of them, as the target lists them.
    cores
        What each core of its chip would hold; empty without a chip.
    """

    model: str
    target: str
    problems: tuple[Problem, ...]
    cores: tuple[CoreUse, ...]

    @property
    def can_run(self) -> bool:
        """Whether no problem is an error."""
        return not blocking(self.problems)


def check(model: Model, target: str | Target | None = None, *, name: str = "") -> CheckResult:
    """Everything that ``target`` cannot do with ``model`` or does differently.

    ``check(spiking, "loihi").can_run`` tells in an instant what a run would tell after minutes.
    What the target runs on need not be installed.

    Parameters
    ----------
    model
        A spiking model; of a rate model it says what would have to be converted.
    target
        Its name or itself; the one that changes a model most if not given.
    name
        Of the model, for tables; what it was converted from if not given.

    Raises
    ------
    TargetError
        The target is unknown or broken.
    """
    require_model(model)
    place = load_target(target) if isinstance(target, str) else given_target(target)
    problems, cores = place.check(model), place.cores(model)
    return CheckResult(name or name_of(model), place.name, tuple(problems), tuple(cores))


def require_possible(models: Mapping[str, Model], targets: Sequence[Target]) -> None:
    """Raise a TargetError if no target can run any model; before long work."""
    refused: list[Problem] = []
    for model in models.values():
        for target in targets:
            errors = blocking(target.check(model))
            if not errors:
                return
            refused.append(errors[0])
    if refused:
        first = refused[0]
        raise TargetError(first.where, got=first.got, expected=first.limit, fix=first.fix)
