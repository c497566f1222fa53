"""``convert`` for a target: the passes of :mod:`spiking_lmu.conversion` with what it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from spiking_lmu.compat import environment
from spiking_lmu.conversion.convert import Options, default_options
from spiking_lmu.conversion.convert import convert as convert_with
from spiking_lmu.datasets import Dataset
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.model import Model

from .registry import load_target
from .target import Target, common_defaults

#: Training samples on which activity is measured.
SAMPLES = 1000


def convert(
    model: Model,
    target: str | Target | Sequence[str | Target] = (),
    data: Dataset | None = None,
    *,
    training_samples: int = SAMPLES,
    seed: int = 0,
    source: str = "",
    **choices: Any,
) -> Model:
    """Make a trained rate model spike.

    ``convert(rate, target="loihi", data=data.train)`` takes the rates and timing that suit the
    Loihi emulator; ``convert(rate, max_rate=125, settle_steps=200)`` takes one's own.

    Parameters
    ----------
    model
        A rate model.
    target
        One or several, whose defaults are taken: the lowest rate and the longest times.
    data
        Training samples on which activity is measured, never test samples; without them the
        activity that the model brings is used.
    training_samples, seed
        So many of them, drawn with the seed.
    source
        Name of the model, for the record.
    choices
        Fields of :class:`spiking_lmu.conversion.Options` by name.

    Returns
    -------
    The spiking model; its ``rate_graph`` is the graph that it was converted from.

    Raises
    ------
    SpecError
        The model spikes already, has neurons without a spiking counterpart, or no activity is
        known; or a choice that there is not.
    TargetError
        An unknown target.
    """
    if isinstance(target, Options):
        raise SpecError(
            "target",
            got="an Options",
            expected="a target or its name",
            fix="pass its fields by name, such as max_rate=125",
        )
    several = [target] if isinstance(target, str | Target) else list(target)
    places = [load_target(one) if isinstance(one, str) else one for one in several]
    options = choose_options(model, places, choices)
    measured = None
    if data is not None:
        count = min(training_samples, len(data.y))
        measured = data.draw(count, seed)
    spiking = convert_with(
        model,
        options,
        training_inputs=measured,
        source=source,
    )
    spiking.provenance["conversion"] |= {
        "environment": environment(),
        "training_data": None if data is None else f"{data.name} {data.split}",
        "seed": seed,
    }
    return spiking


def choose_options(model: Model, targets: Sequence[Target], choices: Mapping[str, Any]) -> Options:
    """Options of a conversion: the choices, or what suits the targets and the model.

    A choice of None is none.

    Raises
    ------
    SpecError
        A choice that there is not, or a value outside its range.
    """
    known = [field.name for field in fields(Options)]
    for name in choices:
        if name not in known:
            raise SpecError(
                name,
                got=repr(choices[name]),
                expected="an option of the conversion: " + ", ".join(known),
                fix="leave it out",
            )
    on_chip = any(target.capabilities.on_chip for target in targets)
    return default_options(model, common_defaults(targets).chosen(), on_chip=on_chip, **choices)
