"""``spiking-lmu train``: train an LMU and write it as a rate ``.slmu`` file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SpecError

if TYPE_CHECKING:
    from ..graph import Graph
    from ..lmu import LmuSpec

#: Sizes of the two cells: Chilkuri & Eliasmith (2021) and the NengoDL example.
SIZES = {"feedforward": (468, 346), "recurrent": (256, 212)}
DEFAULT_EPOCHS = {"feedforward": 30, "recurrent": 10}
DEFAULT_DROPOUT = {"feedforward": 0.2, "recurrent": 0.0}
DEFAULT_WARM_UP = 20
#: Training images on which activity is measured for conversion.
ACTIVITY_SAMPLES = 1000
TRAINING_SET, PIXELS = 60_000, 784


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("data", choices=["psmnist", "smnist", "psfashion"], help="data set")
    parser.add_argument("--cell", choices=["feedforward", "recurrent"], default="feedforward")
    parser.add_argument("--neuron", choices=["relu", "lif", "tanh"], help="hidden neurons")
    parser.add_argument("--order", type=int, help="dimensions of the memory")
    parser.add_argument("--units", type=int, help="hidden neurons")
    parser.add_argument("--epochs", type=int, help="passes over the training set")
    parser.add_argument("--steps", type=int, help="stop after this many batches (recurrent)")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, help="Adam's, at the start")
    parser.add_argument("--dropout", type=float, help="share of hidden outputs (by cell)")
    parser.add_argument("--shift", type=int, default=1, help="largest random shift in pixels")
    parser.add_argument("--held-out", type=int, default=0, help="training images not trained on")
    parser.add_argument(
        "--trainer",
        choices=["fast", "nengo-dl"],
        default="fast",
        help="recurrent: TensorFlow with the memory computed at once, or NengoDL step by step",
    )
    parser.add_argument("--warm-up", type=int, help="fast: epochs on the memory alone, first")
    parser.add_argument(
        "--current-tau", type=float, default=0.0, help="fast: lowpass on the input, in inputs"
    )
    parser.add_argument(
        "--recurrence-tau", type=float, default=0.0, help="fast: lowpass on the recurrence"
    )
    parser.add_argument(
        "--trace-noise", type=float, default=0.0, help="fast: noise on the recurrence, s.d."
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="folder of the IDX files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .slmu file to write")


def run(options: Namespace) -> int:
    """Train, measure, and write the model, its learning curve and its checkpoint."""
    from rich.console import Console

    from .. import datasets
    from ..artifact import save
    from ..conversion import measure_activity
    from ..model import Model
    from ..train.curve import plot_curve
    from ..train.fast_loop import FastSchedule
    from ..train.loop import Schedule
    from .common import command_line, environment, require_folder
    from .train_runs import train_fast, train_feedforward, train_recurrent

    require_folder(options.output)
    spec = _spec(options)
    schedule = Schedule(
        epochs=_positive("--epochs", options.epochs or DEFAULT_EPOCHS[options.cell]),
        batch_size=_positive("--batch-size", options.batch_size),
        learning_rate=options.learning_rate or (2e-3 if options.cell == "feedforward" else 1e-3),
        seed=options.seed,
    )
    _check(options)
    settings: dict[str, Any] = {
        "data": options.data,
        **asdict(spec),
        **asdict(schedule),
        "steps": options.steps,
        "held_out": options.held_out,
    }
    dropout = DEFAULT_DROPOUT[options.cell] if options.dropout is None else options.dropout
    settings |= {"dropout": dropout, "shift": options.shift}
    if options.cell == "feedforward":
        graph, curve = train_feedforward(options, spec, schedule, settings)
    elif options.trainer == "nengo-dl":
        graph, curve = train_recurrent(options, spec, schedule, settings)
    else:
        warm_up = DEFAULT_WARM_UP if options.warm_up is None else options.warm_up
        extra = FastSchedule(warm_up=warm_up, dropout=dropout, trace_noise=options.trace_noise)
        settings |= asdict(extra) | {"trainer": "fast"}
        graph, curve = train_fast(options, spec, schedule, extra, settings)
    measured = datasets.load(
        options.data, "train", folder=options.folder, samples=ACTIVITY_SAMPLES, seed=options.seed
    )
    test = datasets.load(options.data, "test", folder=options.folder)
    correct = _count_correct(graph, test)
    training = {
        "command": command_line(options),
        "settings": settings,
        "curve": curve,
        "test": {"correct": correct, "samples": len(test.y), "data": f"{options.data} test"},
        **environment(),
    }
    model = Model(
        graph, activity=measure_activity(graph, measured.x), provenance={"training": training}
    )
    save(model, options.output)
    picture = options.output.with_suffix(".curve.svg")
    plot_curve(curve, f"{options.data}, {options.cell} cell, {spec.neuron.kind}", picture)
    console = Console(highlight=False, markup=False)
    console.print(f"accuracy on {len(test.y):,} test images: {100 * correct / len(test.y):.2f} %")
    console.print(f"wrote {options.output} and {picture}", soft_wrap=True)
    return 0


def _spec(options: Namespace) -> LmuSpec:
    from ..lmu import LmuSpec
    from ..neurons import Neuron
    from ..train.feedforward import hidden_neuron

    order, units = SIZES[options.cell]
    kind = options.neuron or ("relu" if options.cell == "feedforward" else "tanh")
    fast = options.cell == "recurrent" and options.trainer == "fast"
    possible = {"feedforward": ["relu", "lif"], "recurrent": ["tanh", "relu"] if fast else ["tanh"]}
    if kind not in possible[options.cell]:
        raise SpecError(
            "--neuron",
            got=f"{kind} for the {options.cell} cell",
            expected=" or ".join(possible[options.cell]),
            fix="leave --neuron out for the default",
        )
    filtered = bool(options.current_tau or options.recurrence_tau)
    if not fast and (filtered or options.trace_noise or options.warm_up):
        raise SpecError(
            "--current-tau, --recurrence-tau, --trace-noise, --warm-up",
            got=f"one of them for {options.cell}, --trainer {options.trainer}",
            expected="--cell recurrent with --trainer fast",
            fix="leave them out",
        )
    return LmuSpec(
        order=order if options.order is None else options.order,
        units=units if options.units is None else options.units,
        theta=float(PIXELS),
        cell=options.cell,
        neuron=Neuron("tanh") if kind == "tanh" else hidden_neuron(kind),
        current_tau=options.current_tau,
        recurrence_tau=options.recurrence_tau,
    )


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise SpecError(
            name, got=str(value), expected="at least 1", fix="leave it out for the default"
        )
    return value


def _check(options: Namespace) -> None:
    most = TRAINING_SET - options.batch_size
    ranges = {
        "--dropout": (0, 0.95),
        "--shift": (0, 8),
        "--held-out": (0, most),
        "--warm-up": (0, 10_000),
        "--trace-noise": (0, 10),
    }
    for name, (least, largest) in ranges.items():
        value = getattr(options, name.strip("-").replace("-", "_"))
        if value is not None and not least <= value <= largest:
            raise SpecError(
                name,
                got=str(value),
                expected=f"{least} to {largest}",
                fix="leave it out for the default",
            )


def _count_correct(graph: Graph, test: Any) -> int:
    from ..simulate import run_reference

    correct = 0
    for start in range(0, len(test.y), 500):
        outputs = run_reference(graph, test.x[start : start + 500])[:, -1]
        correct += int((outputs.argmax(axis=1) == test.y[start : start + 500]).sum())
    return correct
