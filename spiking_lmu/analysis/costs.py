"""``energy``: what a sample costs on each target, from the spikes of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

from spiking_lmu.datasets import Dataset, require_dataset
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.model import Model, require_model

from .comparison import Comparison
from .energy import (
    Counts,
    Device,
    EnergyReport,
    active_shares,
    counts_of,
    energy_report,
    load_devices,
    read_counts,
)
from .samples import draw, name_of


def energy(
    model: Model,
    runs: Comparison | str | PathLike[str] | Sequence[Counts],
    data: Dataset | None = None,
    *,
    devices: str | PathLike[str] | Sequence[Device] | None = None,
    samples: int = 20,
    name: str = "",
) -> EnergyReport:
    """Operations and energy of a spiking model, beside the rate model that it came from.

    ``energy(spiking, compare(spiking, data.test))`` says what a sample takes on a CPU, a GPU,
    an ARM core and Loihi, by published figures.

    Parameters
    ----------
    model
        The spiking model.
    runs
        A comparison in which it ran, the JSON file of one, or counted spikes.
    data, samples
        Samples on which it is measured how often rate neurons are zero, at most so many of
        them; without data they count as never zero.
    devices
        More devices, or other figures for those that are known: a JSON file, or all devices.
    name
        Of the model, for tables.

    Raises
    ------
    SpecError
        The model does not spike, or did not run; or what is no run.
    FileError
        A file that cannot be read, or is something else.
    """
    require_model(model)
    known = load_devices(Path(devices)) if isinstance(devices, str | PathLike) else devices
    known = load_devices(None) if known is None else known
    counts: Sequence[Counts]
    if isinstance(runs, str | PathLike):
        counts = read_counts(Path(runs), model)
    elif isinstance(runs, Comparison):
        mine = (o for o in runs.outcomes if o.model_digest == model.digest and len(o.indices))
        counts = [counts_of(outcome) for outcome in mine]
    elif isinstance(runs, list | tuple):
        counts = runs
    else:
        raise SpecError(
            "runs",
            got=type(runs).__name__,
            expected="a comparison in which the model ran, or its JSON file",
            fix="pass compare(model, data.test), and data, if any, after it",
        )
    shares: dict[str, float] = {}
    if data is not None:
        require_dataset(data)
        drawn = draw(data, min(samples, len(data)), 0)
        shares = active_shares(model.rate, model.scaled(drawn.x), lengths=drawn.lengths)
    return replace(energy_report(model, counts, known, shares), model=name or name_of(model))
