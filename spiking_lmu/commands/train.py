"""``spiking-lmu train``: train an LMU in NengoDL and write it as a rate ``.slmu`` file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
#: Training images on which activity is measured for conversion.
ACTIVITY_SAMPLES = 1000
TRAINING_SET, PIXELS = 60_000, 784


def run(options: Namespace) -> int:
    """Train, measure, and write the model, its learning curve and its checkpoint."""
    from rich.console import Console

    from .. import datasets
    from ..artifact import save
    from ..conversion import measure_activity
    from ..model import Model
    from ..train.curve import plot_curve
    from ..train.loop import Schedule
    from .common import command_line, environment, require_folder

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
    if options.cell == "feedforward":
        settings |= {"dropout": options.dropout, "shift": options.shift}
    train = _feedforward if options.cell == "feedforward" else _recurrent
    graph, curve = train(options, spec, schedule, settings)
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
    if (kind == "tanh") != (options.cell == "recurrent"):
        raise SpecError(
            "--neuron",
            got=f"{kind} for the {options.cell} cell",
            expected="relu or lif for feedforward, tanh for recurrent",
            fix="leave --neuron out for the default",
        )
    return LmuSpec(
        order=order if options.order is None else options.order,
        units=units if options.units is None else options.units,
        theta=float(PIXELS),
        cell=options.cell,
        neuron=Neuron("tanh") if kind == "tanh" else hidden_neuron(kind),
    )


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise SpecError(
            name, got=str(value), expected="at least 1", fix="leave it out for the default"
        )
    return value


def _check(options: Namespace) -> None:
    most = TRAINING_SET - options.batch_size
    ranges = {"--dropout": (0, 0.95), "--shift": (0, 8), "--held-out": (0, most)}
    for name, (least, largest) in ranges.items():
        value = getattr(options, name.strip("-").replace("-", "_"))
        if not least <= value <= largest:
            raise SpecError(
                name,
                got=str(value),
                expected=f"{least} to {largest}",
                fix="leave it out for the default",
            )


def _feedforward(
    options: Namespace, spec: LmuSpec, schedule: Any, settings: dict[str, Any]
) -> tuple[Graph, list[dict[str, float]]]:
    import numpy as np

    from .. import datasets
    from ..train.feedforward import MemoryEpochs, build_trainable, trained_graph
    from ..train.loop import fit

    family = "fashion-mnist" if options.data == "psfashion" else "mnist"
    data = datasets.load(family, "train", folder=options.folder)
    permutation = np.arange(PIXELS) if options.data == "smnist" else datasets.permutation(0)
    epochs = MemoryEpochs(
        data.x.reshape(-1, 28, 28),
        data.y,
        permutation,
        spec,
        shift=options.shift,
        held_out=options.held_out,
    )
    network, parts = build_trainable(spec, options.dropout, schedule.seed)
    with (
        _quiet_simulator(
            network, minibatch_size=schedule.batch_size, seed=schedule.seed
        ) as simulator,
        _Bars(schedule.epochs) as report,
    ):
        steps = epochs.samples // schedule.batch_size
        checkpoint = _checkpoint(options)
        memory = parts["memory"]
        curve = fit(simulator, memory, epochs, schedule, steps, checkpoint, settings, report)
        return trained_graph(spec, simulator, parts), curve


def _recurrent(
    options: Namespace, spec: LmuSpec, schedule: Any, settings: dict[str, Any]
) -> tuple[Graph, list[dict[str, float]]]:
    from dataclasses import replace

    from .. import datasets
    from ..importers import from_nengo_dl
    from ..train.loop import fit
    from ..train.recurrent import SequenceEpochs, build_trainable

    data = datasets.load(options.data, "train", folder=options.folder)
    samples = None if options.steps is None else options.steps * schedule.batch_size
    if samples is not None:
        schedule = replace(schedule, epochs=1)
    epochs = SequenceEpochs(data.x, data.y, held_out=options.held_out, samples=samples)
    network, x = build_trainable(spec, schedule.seed)
    with (
        _quiet_simulator(
            network,
            minibatch_size=schedule.batch_size,
            unroll_simulation=16,
            seed=schedule.seed,
        ) as simulator,
        _Bars(schedule.epochs) as report,
    ):
        steps = epochs.samples // schedule.batch_size
        curve = fit(simulator, x, epochs, schedule, steps, _checkpoint(options), settings, report)
        return from_nengo_dl(network, simulator), curve


@contextmanager
def _quiet_simulator(network: Any, **options: Any) -> Iterator[Any]:
    """A NengoDL simulator that says nothing while it is built (it warns where there is no GPU)."""
    from ..compat import import_nengo_dl
    from ..compat.quiet import quiet_import

    nengo_dl = import_nengo_dl()
    with quiet_import():
        simulator = nengo_dl.Simulator(network, progress_bar=False, **options)
    with simulator:
        yield simulator


def _checkpoint(options: Namespace) -> Path:
    return Path(options.output).with_suffix(".checkpoint.npz")


class _Bars:
    """A bar of batches; called after every batch."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console

        from ..progress import bars

        self._epochs, self._bars, self._task = epochs, bars(Console(stderr=True), "batches"), None

    def __enter__(self) -> Callable[[int, int, int, dict[str, float]], None]:
        self._bars.start()
        return self._report

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def _report(self, epoch: int, step: int, steps: int, values: dict[str, float]) -> None:
        text = f"epoch {epoch + 1}/{self._epochs}  loss {values['loss']:.4f}"
        done, total = epoch * steps + step, self._epochs * steps
        if self._task is None:
            self._task = self._bars.add_task(text, total=total, completed=done - 1)  # type: ignore[assignment]
        self._bars.update(self._task, completed=done, description=text)  # type: ignore[arg-type]


def _count_correct(graph: Graph, test: Any) -> int:
    from ..simulate import run_reference

    correct = 0
    for start in range(0, len(test.y), 500):
        outputs = run_reference(graph, test.x[start : start + 500])[:, -1]
        correct += int((outputs.argmax(axis=1) == test.y[start : start + 500]).sum())
    return correct
