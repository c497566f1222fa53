"""What ``compare --explain`` finds out for the report, after the comparison itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..energy import EnergyReport
    from ..model import Model
    from ..progress import RichProgress
    from ..report.explanation import Explanation
    from ..results import Comparison
    from ..target import Target

Models = Sequence[tuple[str, "Model"]]


def costs(models: Models, comparison: Comparison) -> tuple[tuple[str, EnergyReport], ...]:
    """Operations and energy of every model that ran, from the spikes that were counted."""
    from ..energy import counts_of, energy_report, load_devices

    devices = load_devices(None)
    found = []
    for name, model in models:
        ran = [o for o in comparison.outcomes if o.model == name and len(o.indices)]
        if ran:
            found.append((name, energy_report(model, [counts_of(o) for o in ran], devices)))
    return tuple(found)


def explain(
    models: Models,
    targets: Sequence[Target],
    dataset: Dataset,
    comparison: Comparison,
    *,
    seed: int,
    progress: RichProgress,
) -> Explanation:
    """Climb the ladder and draw the trade-off of every model on every target that ran it."""
    from ..energy import load_devices
    from ..explain import advise, climb
    from ..report.explanation import Explanation
    from ..tradeoff_run import run_tradeoff

    ladders, tradeoffs, devices = [], [], load_devices(None)
    ran = {(o.model, o.target) for o in comparison.outcomes if len(o.indices)}
    for name, model in models:
        for target in targets:
            if (name, target.name) not in ran:
                continue
            ladder = climb(name, model, target, dataset, seed=seed, progress=progress)
            ladders.append((ladder, advise(ladder, model)))
            progress.start(f"{name} · {target.name} · settle times", 0, len(dataset.y))
            curve = run_tradeoff(
                model, target, dataset.x, dataset.y, seed=seed, devices=devices,
                advance=progress.advance,
            )  # fmt: skip
            tradeoffs.append((name, curve))
    return Explanation(tuple(ladders), tuple(tradeoffs), costs(models, comparison))
