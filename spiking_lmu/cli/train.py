"""``spiking-lmu train``: train a network and write it as a rate ``.slmu`` file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiking_lmu.errors import SpecError

if TYPE_CHECKING:
    from spiking_lmu.graph.graph import Graph
    from spiking_lmu.graph.lmu import LmuSpec
    from spiking_lmu.graph.neurons import Neuron
    from spiking_lmu.training.dense import DenseSpec

#: Data sets by whether a sample is a sequence of pixels, or one input.
SEQUENCES, IMAGES = ("psmnist", "smnist", "psfashion"), ("mnist", "fashion-mnist")
#: Sizes of the two LMU cells: Chilkuri & Eliasmith (2021) and the NengoDL example.
SIZES = {"feedforward": (468, 346), "recurrent": (256, 212)}
DENSE_UNITS = 128
DEFAULT_EPOCHS = {"feedforward": 30, "recurrent": 10, "dense": 20}
DEFAULT_RATE = {"feedforward": 2e-3, "recurrent": 1e-3, "dense": 1e-3}
DEFAULT_DROPOUT = {"feedforward": 0.2, "recurrent": 0.0, "dense": 0.0}
DEFAULT_SHIFT = {"feedforward": 1, "recurrent": 1, "dense": 0}
DEFAULT_WARM_UP = 20
#: Training images on which activity is measured for conversion.
ACTIVITY_SAMPLES = 1000
TRAINING_SET, PIXELS = 60_000, 784


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("data", choices=[*SEQUENCES, *IMAGES], help="data set")
    parser.add_argument(
        "--cell",
        choices=["feedforward", "recurrent", "dense"],
        default="feedforward",
        help=f"an LMU's, for sequences; or dense, without a memory, for {' and '.join(IMAGES)}",
    )
    parser.add_argument("--neuron", choices=["relu", "lif", "tanh"], help="hidden neurons")
    parser.add_argument("--order", type=int, help="dimensions of the memory")
    parser.add_argument("--units", type=int, help="hidden neurons")
    parser.add_argument("--epochs", type=int, help="passes over the training set")
    parser.add_argument("--steps", type=int, help="stop after this many batches (recurrent)")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, help="Adam's, at the start")
    parser.add_argument("--dropout", type=float, help="share of hidden outputs (by cell)")
    parser.add_argument("--shift", type=int, help="largest random shift in pixels (by cell)")
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

    from spiking_lmu import datasets
    from spiking_lmu.conversion import measure_activity
    from spiking_lmu.files.slmu import save
    from spiking_lmu.graph.model import Model
    from spiking_lmu.training.curve import plot_curve
    from spiking_lmu.training.dense import DenseSpec
    from spiking_lmu.training.fast_loop import FastSchedule
    from spiking_lmu.training.loop import Schedule

    from .common import command_line, environment, require_folder
    from .train_runs import train_dense, train_fast, train_feedforward, train_recurrent

    require_folder(options.output)
    if options.shift is None:
        options.shift = DEFAULT_SHIFT[options.cell]
    spec = _spec(options)
    schedule = Schedule(
        epochs=_positive("--epochs", options.epochs or DEFAULT_EPOCHS[options.cell]),
        batch_size=_positive("--batch-size", options.batch_size),
        learning_rate=options.learning_rate or DEFAULT_RATE[options.cell],
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
    if isinstance(spec, DenseSpec):
        settings["cell"] = "dense"
        graph, curve = train_dense(options, spec, schedule, settings)
    elif options.cell == "feedforward":
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


def _spec(options: Namespace) -> LmuSpec | DenseSpec:
    """The network that is asked for; an error if an option does not apply to it."""
    from spiking_lmu.graph.neurons import Neuron
    from spiking_lmu.training.feedforward import hidden_neuron

    fast = options.cell == "recurrent" and options.trainer == "fast"
    possible = ["tanh", "relu"] if fast else ["tanh"]
    if options.cell != "recurrent":
        possible = ["relu", "lif"]
    kind = options.neuron or possible[0]
    if kind not in possible:
        raise SpecError(
            "--neuron",
            got=f"{kind} for the {options.cell} cell",
            expected=" or ".join(possible),
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
    neuron = Neuron("tanh") if kind == "tanh" else hidden_neuron(kind)
    return _dense_spec(options, neuron) if options.cell == "dense" else _lmu_spec(options, neuron)


def _dense_spec(options: Namespace, neuron: Neuron) -> DenseSpec:
    from spiking_lmu.training.dense import DenseSpec

    if options.data not in IMAGES:
        raise _wrong_data(options, IMAGES, "choose one, or leave --cell out")
    if options.order is not None or options.steps is not None:
        raise SpecError(
            "--order, --steps",
            got="one of them for the dense cell",
            expected="neither: it has no memory, and trains whole epochs",
            fix="leave them out",
        )
    return DenseSpec(DENSE_UNITS if options.units is None else options.units, neuron)


def _lmu_spec(options: Namespace, neuron: Neuron) -> LmuSpec:
    from spiking_lmu.graph.lmu import LmuSpec

    if options.data not in SEQUENCES:
        raise _wrong_data(options, SEQUENCES, "choose one, or pass --cell dense")
    order, units = SIZES[options.cell]
    return LmuSpec(
        order=order if options.order is None else options.order,
        units=units if options.units is None else options.units,
        theta=float(PIXELS),
        cell=options.cell,
        neuron=neuron,
        current_tau=options.current_tau,
        recurrence_tau=options.recurrence_tau,
    )


def _wrong_data(options: Namespace, expected: tuple[str, ...], fix: str) -> SpecError:
    return SpecError(
        f"data for the {options.cell} cell",
        got=options.data,
        expected=" or ".join(expected),
        fix=fix,
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
    from spiking_lmu.graph.reference import run_reference

    correct = 0
    for start in range(0, len(test.y), 500):
        outputs = run_reference(graph, test.x[start : start + 500])[:, -1]
        correct += int((outputs.argmax(axis=1) == test.y[start : start + 500]).sum())
    return correct
