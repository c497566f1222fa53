"""``spiking-lmu convert --calibrate``: the images, the search, and the table of what was tried."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import SpecError, require_at_least

if TYPE_CHECKING:
    from rich.table import Table

    from spiking_lmu.analysis.calibration import Calibration
    from spiking_lmu.analysis.tradeoff import Point
    from spiking_lmu.conversion import Options
    from spiking_lmu.datasets import Dataset
    from spiking_lmu.graph.model import Model

#: Training images on which timings and rates are compared.
SAMPLES = 256


def require_consistent(options: Namespace) -> None:
    """Raise a SpecError unless the options of a calibration fit together."""
    if not options.calibrate:
        if options.pick is not None or options.calibration_samples is not None:
            raise SpecError(
                "--pick, --calibration-samples",
                got="one of them without --calibrate",
                expected="--calibrate too",
                fix="add it, or leave them out",
            )
    elif len(options.target) != 1:
        raise SpecError(
            "--calibrate",
            got=f"{len(options.target)} targets",
            expected="one --target: what suits one does not suit another",
            fix="pass --target loihi, and convert again for others",
        )
    else:
        require_at_least("seed", options.seed, 0)
        if options.calibration_samples is not None:
            require_at_least("calibration_samples", options.calibration_samples, 1)


def calibrate(model: Model, usual: Options, options: Namespace) -> tuple[Options, dict[str, Any]]:
    """Search what ``options`` leave open, for their one target; say what was found.

    Returns the options of the conversion, and a JSON-safe record of the search.

    Raises
    ------
    SpikingLmuError
        A model that spikes or does not classify; the target cannot run here or refuses it; no
        training data.
    """
    from rich.console import Console

    from spiking_lmu.analysis.calibration import Plan, search
    from spiking_lmu.analysis.calibration_run import TargetEvaluator, searchable
    from spiking_lmu.analysis.tradeoff_run import Grid
    from spiking_lmu.backends.registry import get_target
    from spiking_lmu.runs.progress import RichProgress

    _require_classifier(model)
    target = get_target(options.target[0])
    data = training_images(model, options)
    grid = Grid(**_timings(usual, options))
    open_rates = () if options.max_rate is not None else searchable(model)
    plan = Plan(open_rates, usual.max_rate, samples=len(data.y))
    how = options.pick or "best"
    with RichProgress() as progress:
        evaluator = TargetEvaluator(
            model,
            usual,
            target,
            data.x,
            data.y,
            grid,
            seed=options.seed,
            advance=progress.advance,
        )

        def report(text: str, total: int | None) -> None:
            progress.start(text, 0, total, "images")

        found = search(plan, evaluator, how, report)
    record = {
        "target": target.name,
        "data": f"{data.name} train",
        "samples": len(data.y),
        "seed": options.seed,
        "pick": how,
        "grid": asdict(grid),
        **found.to_dict(),
    }
    Console(highlight=False).print(table(found, target.name, len(data.y)))
    return chosen_options(usual, found), record


def _require_classifier(model: Model) -> None:
    got = "a spiking model" if model.graph.spiking else f"a model for {model.task}"
    if model.graph.spiking or model.task.identity != "classification":
        raise SpecError(
            "--calibrate",
            got=got,
            expected="a rate model for classification",
            fix="leave --calibrate out, or choose the rate model",
        )


def chosen_options(usual: Options, found: Calibration) -> Options:
    """``usual`` with what was found; a rate that all populations have is the one for all."""
    rates = set(found.rates.values())
    same = rates.pop() if len(rates) == 1 else None
    return replace(
        usual,
        max_rate=usual.max_rate if same is None else same,
        rates=found.rates if same is None else {},
        settle_steps=found.point.settle_steps,
        readout_tau=found.point.readout_tau,
    )


def _timings(usual: Options, options: Namespace) -> dict[str, Any]:
    """What is tried: the fixed value, or a grid that has the usual one in it."""
    from spiking_lmu.analysis.tradeoff_run import READOUT_TAUS, SETTLE_STEPS

    settle, tau = options.settle_steps, options.readout_tau
    return {
        "settle_steps": (*SETTLE_STEPS, usual.settle_steps) if settle is None else (settle,),
        "readout_taus": (*READOUT_TAUS, usual.readout_tau) if tau is None else (tau,),
    }


def training_images(model: Model, options: Namespace) -> Dataset:
    """Images drawn from the training set: from those that were held out of training, if any.

    Raises
    ------
    SpecError
        Neither the options nor the model say of which data set.
    DatasetError, FileError
        It cannot be loaded.
    """
    from spiking_lmu import datasets

    training = model.provenance.get("training")
    settings = training.get("settings") if isinstance(training, dict) else None
    settings = settings if isinstance(settings, dict) else {}
    name = options.data or settings.get("data")
    if not isinstance(name, str):
        raise SpecError(
            "--calibrate",
            got="a model that does not say what it was trained on",
            expected="the name of its training data",
            fix="pass --data " + " or ".join(datasets.DATASETS[:3]),
        )
    samples = SAMPLES if options.calibration_samples is None else options.calibration_samples
    held_out = settings.get("held_out")
    if isinstance(held_out, bool) or not isinstance(held_out, int) or held_out < samples:
        return datasets.load(
            name, "train", folder=options.folder, samples=samples, seed=options.seed
        )
    return _held_out(name, held_out, samples, options)


def _held_out(name: str, held_out: int, samples: int, options: Namespace) -> Dataset:
    """Training leaves the last images of the file out (:mod:`spiking_lmu.training.images`)."""
    import numpy as np

    from spiking_lmu import datasets

    data = datasets.load(name, "train", folder=options.folder)
    drawn = np.random.default_rng(options.seed).permutation(min(held_out, data.total))[:samples]
    kept = data.total - 1 - drawn
    return data.subset(kept)


def table(found: Calibration, target: str, samples: int) -> Table:
    """What was tried, a row for each rate in each round; the chosen row is marked."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
        title_justify="left",
        title=Text(f"Calibration for {target} on {samples:,} training images", style="bold"),
    )
    for heading in ("", "Tried on", "Rates, Hz"):
        shown.add_column(heading)
    for heading in ("Settle", "Filter", "Lost", "Error", "Spikes"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for screened in found.screened:
        error = f"{screened.relative_error:.4f}"
        shown.add_row(
            "", "response curve", _rates(screened.rates), "", "", str(screened.lost), error, ""
        )
    for trials in found.rounds:
        shown.add_section()
        for trial in trials:
            chosen = trials is found.rounds[-1] and trial.rates == found.rates
            point = found.point if chosen else trial.best
            shown.add_row(
                "→" if chosen else "",
                f"{trial.samples} images",
                _rates(trial.rates),
                *_timing_cells(point),
                style="bold" if chosen else "",
            )
    return shown


def _timing_cells(point: Point) -> tuple[str, ...]:
    return (
        str(point.settle_steps),
        f"{1000 * point.readout_tau:g} ms",
        str(point.lost),
        f"{point.relative_error:.4f}",
        f"{point.spikes:,.0f}",
    )


def _rates(rates: dict[str, float]) -> str:
    values = [f"{rate:g}" for rate in rates.values()]
    if len(set(values)) <= 1:
        return values[0] if values else "as given"
    return ", ".join(f"{name} {value}" for name, value in zip(rates, values, strict=True))
