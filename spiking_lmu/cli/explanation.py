"""What ``compare --explain`` finds out for the report, after the comparison itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spiking_lmu.analysis.energy import EnergyReport
    from spiking_lmu.analysis.explain import Advice, Ladder
    from spiking_lmu.analysis.tradeoff import Tradeoff
    from spiking_lmu.backends.target import Target
    from spiking_lmu.datasets import Dataset
    from spiking_lmu.graph.model import Model
    from spiking_lmu.runs.progress import RichProgress
    from spiking_lmu.runs.results import Comparison

    Models = Sequence[tuple[str, Model]]
    Explained = tuple[Ladder, tuple[Advice, ...]]


def costs(models: Models, comparison: Comparison) -> tuple[tuple[str, EnergyReport], ...]:
    """Operations and energy of every model that ran, from the spikes that were counted."""
    from spiking_lmu.analysis.energy import counts_of, energy_report, load_devices

    devices = load_devices(None)
    found = []
    for name, model in models:
        ran = [o for o in comparison.outcomes if o.model == name and len(o.indices)]
        if ran:
            found.append((name, energy_report(model, [counts_of(o) for o in ran], devices)))
    return tuple(found)


def explain(
    models: Models, targets: Sequence[Target], dataset: Dataset, comparison: Comparison, seed: int
) -> tuple[tuple[Explained, ...], tuple[tuple[str, Tradeoff], ...]]:
    """Ladder, advice and trade-off of every model on every target that ran it.

    What cannot be explained is said, and left out.
    """
    from rich.console import Console

    from spiking_lmu.runs.progress import RichProgress
    from spiking_lmu.runs.shards import one_line

    ladders, tradeoffs = [], []
    ran = {(o.model, o.target) for o in comparison.outcomes if len(o.indices)}
    pairs = [(name, model, target) for name, model in models for target in targets]
    with RichProgress(Console(stderr=True)) as progress:
        for name, model, target in pairs:
            if (name, target.name) not in ran:
                continue
            try:
                ladder, curve = _one(name, model, target, dataset, seed, progress)
            except Exception as error:
                print(f"{name} on {target.name} is not explained: {one_line(error)}")
                continue
            ladders.append(ladder)
            tradeoffs.append((name, curve))
    return tuple(ladders), tuple(tradeoffs)


def _one(
    name: str, model: Model, target: Target, dataset: Dataset, seed: int, progress: RichProgress
) -> tuple[Explained, Tradeoff]:
    from spiking_lmu.analysis.energy import load_devices
    from spiking_lmu.analysis.explain import advise, climb
    from spiking_lmu.analysis.tradeoff_run import run_tradeoff

    ladder = climb(name, model, target, dataset, seed=seed, progress=progress)
    progress.start(f"{name} · {target.name} · settle times", 0, len(dataset.y))
    curve = run_tradeoff(
        model,
        target,
        dataset.x,
        dataset.y,
        seed=seed,
        devices=load_devices(None),
        advance=progress.advance,
    )
    return (ladder, advise(ladder, model)), curve
