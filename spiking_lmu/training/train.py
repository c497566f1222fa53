"""``train``: a network for a data set, with the cell and the trainer of choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from spiking_lmu import datasets
from spiking_lmu.analysis.metrics import Metric, Score, metric_of, score_of
from spiking_lmu.analysis.statistics import Accuracy, accuracy
from spiking_lmu.backends.rate import last_step_alone
from spiking_lmu.compat import environment
from spiking_lmu.conversion import measure_activity
from spiking_lmu.conversion.line import MOST_BITS
from spiking_lmu.datasets import Dataset, Splits
from spiking_lmu.errors import SpecError, require_at_least, with_choices
from spiking_lmu.graph.arrays import Array
from spiking_lmu.graph.graph import Graph
from spiking_lmu.graph.lmu import LmuSpec
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.runs.progress import Progress, shown
from spiking_lmu.runs.result import Result

from .dense import DenseSpec
from .fast_loop import FastSchedule
from .loop import Report, TrainingSchedule
from .tuned import FineTuningSettings

#: Data sets by whether a sample is a sequence of pixels, or one input.
SEQUENCES, IMAGES = ("psmnist", "smnist", "psfashion"), ("mnist", "fashion-mnist")
CELLS = ("feedforward", "recurrent", "dense")
#: Sizes of the two LMU cells: Chilkuri & Eliasmith (2021) and the NengoDL example.
SIZES = {"feedforward": (468, 346), "recurrent": (256, 212)}
DENSE_UNITS, LINE_UNITS = 128, 512
EPOCHS = {"feedforward": 30, "recurrent": 10, "dense": 20}
LEARNING_RATE = {"feedforward": 2e-3, "recurrent": 1e-3, "dense": 1e-3}
DROPOUT = {"feedforward": 0.2, "recurrent": 0.0, "dense": 0.0}
SHIFT = {"feedforward": 1, "recurrent": 1, "dense": 0}
WARM_UP = 20
#: Training images on which activity is measured for conversion.
ACTIVITY_SAMPLES = 1000
TRAINING_SET, PIXELS = 60_000, 784
#: Images a step.
BATCH_SIZE = 100
#: Settings that only training on images has, and those that only other sequences have.
ONLY_IMAGES = (
    "steps",
    "shift",
    "held_out",
    "warm_up",
    "current_tau",
    "recurrence_tau",
    "trace_noise",
    "clip",
    "memory",
)
ONLY_SEQUENCES = ("theta", "memories", "gather", "patience", "balance")
#: Batches with activations rounded to levels, after the usual training.
LEVEL_BATCHES = 500
#: Test images that are run at once.
BATCH = 500

Curve = list[dict[str, float]]


@dataclass(frozen=True)
class TrainingSettings:
    """What is trained, and how; None is the usual value for the cell.

    Parameters
    ----------
    cell
        ``feedforward`` or ``recurrent``, an LMU's; or ``dense``, without a memory, for samples
        that are one input.
    neuron
        Of the hidden layer: ``relu``, ``lif`` or ``tanh``.
    order, units
        Dimensions of the memory, and hidden neurons.
    epochs, batch_size, learning_rate
        Passes over the training set, samples a step (100 of images), and Adam's rate at the
        start.
    steps
        Recurrent: stop after so many batches.
    dropout, shift, held_out
        Share of hidden outputs that the readout does not see; the largest random shift in
        pixels; training images that are never trained on.
    trainer
        Recurrent: ``fast`` (TensorFlow, the memory computed at once) or ``nengo-dl``.
    warm_up, current_tau, recurrence_tau, trace_noise, clip
        Fast: epochs on the memory alone, first; lowpass filters in inputs; noise on what the
        hidden layer sees of itself, a standard deviation; the largest norm of a gradient.
    theta, memories, gather, patience, balance
        For sequences that are not images; see
        :class:`spiking_lmu.training.sequences.SequenceSettings`.
    memory, bits, whole_window, smoothing
        ``line`` trains the feedforward cell for a memory as a line of spikes
        (:mod:`spiking_lmu.training.line`), in NumPy: bits of an input; whether the hidden layer
        has a free weight for every input of the window in the place of a Legendre memory; and
        the share of a label that is spread over all classes.  ``host`` is the usual training.
    levels
        Afterwards the network is trained on with its activations rounded to so many values
        (:func:`spiking_lmu.fine_tune`), for a conversion with ``code="level"`` and as many.
    seed
        Decides initial weights, order of samples and augmentation.

    Raises
    ------
    SpecError
        A value outside its range, or one that does not go with the cell.

    >>> TrainingSettings(cell="recurrent", order=64).units is None
    True
    """

    cell: str = "feedforward"
    neuron: str | None = None
    order: int | None = None
    units: int | None = None
    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    dropout: float | None = None
    shift: int | None = None
    held_out: int = 0
    trainer: str = "fast"
    warm_up: int | None = None
    current_tau: float = 0.0
    recurrence_tau: float = 0.0
    trace_noise: float = 0.0
    clip: float | None = None
    theta: float | None = None
    memories: int | None = None
    gather: bool | None = None
    patience: int | None = None
    balance: bool | None = None
    memory: str = "host"
    bits: int = 1
    whole_window: bool = False
    smoothing: float = 0.0
    levels: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _choice("cell", self.cell, CELLS)
        _choice("trainer", self.trainer, ("fast", "nengo-dl"))
        _choice("memory", self.memory, ("host", "line"))
        for name in ("epochs", "batch_size", "steps", "memories", "patience"):
            if getattr(self, name) is not None:
                require_at_least(name, getattr(self, name), 1)
        ranges = {
            "dropout": (0, 0.95),
            "shift": (0, 8),
            "held_out": (0, TRAINING_SET - self._batch),
            "warm_up": (0, 10_000),
            "trace_noise": (0, 10),
            "clip": (1e-6, 1e6),
            "learning_rate": (1e-9, 10),
            "theta": (1e-3, 1e9),
            "bits": (1, MOST_BITS),
            "smoothing": (0, 0.5),
        }
        for name, (least, largest) in ranges.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= largest:
                raise SpecError(
                    name,
                    got=str(value),
                    expected=f"{least} to {largest}",
                    fix="leave it out for the default",
                )
        if self.neuron is not None and self.neuron not in self.neurons:
            raise SpecError(
                "neuron",
                got=f"{self.neuron} for the {self.cell} cell",
                expected=" or ".join(self.neurons),
                fix="leave it out for the default",
            )
        filtered = bool(self.current_tau or self.recurrence_tau)
        if not self.fast and (filtered or self.trace_noise or self.warm_up or self.clip):
            raise SpecError(
                "current_tau, recurrence_tau, trace_noise, warm_up, clip",
                got=f"one of them for the {self.cell} cell and trainer={self.trainer}",
                expected="cell=recurrent with trainer=fast",
                fix="leave them out",
            )
        if self.memory == "line" and (self.cell, self.neuron or "relu") != ("feedforward", "relu"):
            raise SpecError(
                "memory",
                got=f"line for the {self.cell} cell of {self.neuron or self.neurons[0]} neurons",
                expected="the feedforward cell of relu neurons",
                fix="leave cell and neuron out",
            )
        if self.memory == "host" and (self.bits != 1 or self.whole_window or self.smoothing):
            raise SpecError(
                "bits, whole_window, smoothing",
                got="one of them with memory='host'",
                expected="memory='line'",
                fix="leave them out",
            )
        if self.levels is not None:
            FineTuningSettings(levels=self.levels)
            if self.memory == "line" or self.neuron == "lif":
                raise SpecError(
                    "levels",
                    got=f"{self.levels} with "
                    + ("memory='line'" if self.memory == "line" else "neuron='lif'"),
                    expected="relu or tanh neurons, and a memory on the host",
                    fix="leave one of the two out",
                )
        if self.cell == "dense" and not (self.order is None and self.steps is None):
            raise SpecError(
                "order, steps",
                got="one of them for the dense cell",
                expected="neither: it has no memory, and trains whole epochs",
                fix="leave them out",
            )

    @property
    def fast(self) -> bool:
        """Whether TensorFlow trains the recurrent cell with the memory computed at once."""
        return self.cell == "recurrent" and self.trainer == "fast"

    @property
    def neurons(self) -> tuple[str, ...]:
        """Hidden neurons that can be trained; the first is the usual one."""
        if self.cell != "recurrent":
            return "relu", "lif"
        return ("tanh", "relu") if self.fast else ("tanh",)

    @property
    def schedule(self) -> TrainingSchedule:
        """Epochs, batch size, learning rate and seed."""
        return TrainingSchedule(
            EPOCHS[self.cell] if self.epochs is None else self.epochs,
            self._batch,
            self.learning_rate or LEARNING_RATE[self.cell],
            self.seed,
        )

    @property
    def extra(self) -> FastSchedule:
        """What only the fast trainer knows."""
        return FastSchedule(
            warm_up=WARM_UP if self.warm_up is None else self.warm_up,
            dropout=self._dropout,
            trace_noise=self.trace_noise,
            clip=self.clip,
        )

    @property
    def _batch(self) -> int:
        return BATCH_SIZE if self.batch_size is None else self.batch_size

    @property
    def _dropout(self) -> float:
        return DROPOUT[self.cell] if self.dropout is None else self.dropout

    @property
    def _shift(self) -> int:
        return SHIFT[self.cell] if self.shift is None else self.shift

    def spec(self) -> LmuSpec | DenseSpec:
        """The network."""
        from .feedforward import hidden_neuron

        kind = self.neuron or self.neurons[0]
        neuron = Neuron("tanh") if kind == "tanh" else hidden_neuron(kind)
        if self.cell == "dense":
            return DenseSpec(DENSE_UNITS if self.units is None else self.units, neuron)
        order, units = SIZES[self.cell]
        if self.memory == "line":
            units = LINE_UNITS
        return LmuSpec(
            order=order if self.order is None else self.order,
            units=units if self.units is None else self.units,
            theta=float(PIXELS),
            cell=self.cell,
            neuron=neuron,
            current_tau=self.current_tau,
            recurrence_tau=self.recurrence_tau,
        )

    def record(self, data: str) -> dict[str, Any]:
        """Everything that decides the run, JSON-safe; a checkpoint belongs to one of these."""
        spec = self.spec()
        found = {"data": data, **asdict(spec), **asdict(self.schedule)}
        found |= {"steps": self.steps, "held_out": self.held_out}
        found |= {"dropout": self._dropout, "shift": self._shift}
        if self.memory == "line":
            line = ("memory", "bits", "whole_window", "smoothing")
            found |= {name: getattr(self, name) for name in line}
        if self.levels is not None:
            found["levels"] = self.levels
        if isinstance(spec, DenseSpec):
            found["cell"] = "dense"
        elif self.fast:
            found |= asdict(self.extra) | {"trainer": "fast"}
        return found


@dataclass(frozen=True, eq=False)
class TrainingResult(Result):
    """A trained rate model, and how it went.

    Parameters
    ----------
    model
        With its activity measured, ready to convert.
    data
        Name of the data set.
    curve
        Loss and accuracies by epoch.
    score
        The task's metric on the test set, with its interval.
    settings
        As in :meth:`TrainingSettings.record`.
    shape
        Samples, inputs, channels and task of the training data, in words; empty for images.
    """

    model: Model
    data: str
    curve: Curve
    score: Accuracy | Score
    settings: dict[str, Any]
    shape: str = ""

    @property
    def metric(self) -> Metric:
        """What the score is in."""
        return metric_of(self.score)


def train(
    data: str | Splits,
    settings: TrainingSettings | None = None,
    *,
    folder: str | PathLike[str] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    progress: bool | Progress = True,
    command: str = "",
    **choices: Any,
) -> TrainingResult:
    """Train a network on a data set, and measure it on the test set.

    ``train("psmnist", cell="recurrent", epochs=2)`` trains the recurrent cell for two epochs.

    Parameters
    ----------
    data
        A data set (:func:`spiking_lmu.datasets.from_arrays`), or the name of one, as
        :func:`spiking_lmu.datasets.load` takes it.  Images have a training of their own:
        ``psmnist``, ``smnist`` and ``psfashion`` for an LMU, ``mnist`` and ``fashion-mnist`` for
        the dense cell.
    settings, choices
        See :class:`TrainingSettings`; a choice is one of its fields by name.
    folder
        Of the data set's files.
    checkpoint
        File from which a run that was stopped goes on; None keeps nothing.
    progress
        Show bars, be silent, or tell one's own.
    command
        For the record; the call itself if not given.

    Raises
    ------
    SpecError
        A value outside its range, or one that does not go with the cell or the data.
    DatasetError, FileError
        The data or the checkpoint cannot be read.
    MissingExtraError
        TensorFlow or NengoDL is not installed.
    """
    settings = with_choices(settings or TrainingSettings(), choices)
    if not isinstance(data, Splits | str | PathLike):
        raise SpecError(
            "data",
            got=type(data).__name__,
            expected="all parts of a data set, or its name",
            fix="pass datasets.from_arrays(x, y), or what datasets.load gives",
        )
    if isinstance(data, Splits) or data not in (*IMAGES, *SEQUENCES):
        splits = data if isinstance(data, Splits) else datasets.load(data, folder=folder)
        name = data.name if isinstance(data, Splits) else data
        return _on_sequences(name, splits, settings, progress, command)
    _require_usual(settings, ONLY_SEQUENCES, "images")
    possible = IMAGES if settings.cell == "dense" else SEQUENCES
    if data not in possible:
        raise SpecError(
            f"data for the {settings.cell} cell",
            got=str(data),
            expected=" or ".join(possible),
            fix="choose one, or another cell: cell=dense for images, which come at once",
        )
    record = settings.record(data)
    with shown(progress) as told, _checkpoint(checkpoint) as path:
        trainer = _line if settings.memory == "line" else _TRAINERS[settings.cell]
        graph, curve = trainer(
            _Run(settings, data, folder, path, record, _report(told, settings, data))
        )
        if settings.levels is not None:
            whole = datasets.load(data, "train", folder=folder)
            kept = whole.subset(np.arange(len(whole) - settings.held_out))
            rounded = path.with_name(f"{path.stem}.levels.npz")
            graph = _for_levels(Model(graph, task=kept.task), kept, settings, told, rounded)
    measured = datasets.load(
        data, "train", folder=folder, samples=ACTIVITY_SAMPLES, seed=settings.seed
    )
    test = datasets.load(data, "test", folder=folder)
    score = accuracy(_decisions(graph, test), test.y)
    training = {
        "command": command or _call(data, settings),
        "settings": record,
        "curve": curve,
        "test": {"correct": score.correct, "samples": len(test.y), "data": f"{data} test"},
        **environment(),
    }
    # A line's hidden neurons see the memory once, after the last input.
    at_end = last_step_alone(graph, PIXELS) if settings.memory == "line" else (graph, lambda x: x)
    model = Model(
        graph,
        task=test.task,
        activity=measure_activity(at_end[0], at_end[1](measured.x)),
        provenance={"training": training},
    )
    return TrainingResult(model, data, curve, score, record)


def _on_sequences(
    name: str,
    data: Splits,
    settings: TrainingSettings,
    progress: bool | Progress,
    command: str,
) -> TrainingResult:
    """Any data but images: see :mod:`.sequences`."""
    from .sequences import SequenceSettings, fit, rate_outputs

    _require_usual(
        settings,
        ONLY_IMAGES,
        "data that are no images",
        {"memory": "leave it out: convert and fine_tune take memory='line' afterwards"},
    )
    if settings.trainer != "fast":
        _choice("trainer for data that are no images", settings.trainer, ("fast",))
    shared = [f.name for f in fields(SequenceSettings) if hasattr(settings, f.name)]
    chosen = {name: getattr(settings, name) for name in shared}
    spec = SequenceSettings(**{key: value for key, value in chosen.items() if value is not None})
    with shown(progress) as told:

        def report(epoch: int, epochs: int, values: dict[str, float]) -> None:
            if epoch == 1:  # Several networks are trained where one of them is chosen.
                told.start(name, 0, epochs, "epochs")
            told.advance(1, f"epoch {epoch}/{epochs}  loss {values['loss']:.4f}")

        found = fit(data, spec, report)
        train_part, test = data.train, data.test
        model = Model(found.graph, task=train_part.task, scaling=found.scaling)
        record = {"data": name, **asdict(spec), **found.spec}
        if settings.levels is not None:
            record["levels"] = settings.levels
            model = replace(model, graph=_for_levels(model, train_part, settings, told))
    some = train_part.draw(min(len(train_part), ACTIVITY_SAMPLES), settings.seed)
    model = replace(
        model,
        activity=measure_activity(model.graph, model.scaled(some.x), some.lengths),
    )
    score = score_of(test.task, test.y, rate_outputs(model, test), test.lengths)
    training = {
        "command": command or _call(name, settings),
        "settings": record,
        "data_digest": train_part.digest,
        "curve": found.curve,
        "test": {**asdict(score), "value": score.value, "data": test.what},
        **environment(),
    }
    model = replace(model, provenance={"training": training})
    return TrainingResult(model, name, found.curve, score, record, shape=train_part.shape_in_words)


def _for_levels(
    model: Model,
    data: Dataset,
    settings: TrainingSettings,
    progress: Progress,
    checkpoint: Path | None = None,
) -> Graph:
    """The graph of ``model``, trained on with its activations rounded."""
    from .fine_tune import fine_tune

    tuning = FineTuningSettings(settings.levels, batches=LEVEL_BATCHES, seed=settings.seed)
    return fine_tune(model, data, tuning, checkpoint=checkpoint, progress=progress).model.graph


def _require_usual(
    settings: TrainingSettings,
    names: Sequence[str],
    what: str,
    ways: Mapping[str, str] | None = None,
) -> None:
    """Raise a SpecError for a setting that training on ``what`` does not have.

    ``ways`` are other ways to the same, by setting.
    """
    usual = TrainingSettings()
    chosen = [name for name in names if getattr(settings, name) != getattr(usual, name)]
    if chosen:
        raise SpecError(
            chosen[0],
            got=f"{getattr(settings, chosen[0])!r} for {what}",
            expected="none",
            fix=(ways or {}).get(chosen[0], "leave it out"),
        )


def _call(data: str, settings: TrainingSettings) -> str:
    usual = TrainingSettings()
    chosen = {f.name: getattr(settings, f.name) for f in fields(settings)}
    given = [f"{n}={v!r}" for n, v in chosen.items() if v != getattr(usual, n)]
    return f"spiking_lmu.train({', '.join([repr(data), *given])})"


@dataclass(frozen=True)
class _Run:
    settings: TrainingSettings
    data: str
    folder: str | PathLike[str] | None
    checkpoint: Path
    record: dict[str, Any]
    report: Report

    def epochs(self, kind: Any, *arguments: Any, **limits: Any) -> Any:
        """Training images as ``kind`` presents them."""
        family = "fashion-mnist" if self.data in ("psfashion", "fashion-mnist") else "mnist"
        data = datasets.load(family, "train", folder=self.folder)
        images = data.x.reshape(-1, 28, 28)
        permuted = self.data in ("psmnist", "psfashion")
        permutation = datasets.permutation(0) if permuted else np.arange(28 * 28)
        limits |= {"shift": self.record["shift"], "held_out": self.settings.held_out}
        return kind(images, data.y, permutation, *arguments, **limits)

    @property
    def samples(self) -> int | None:
        """An epoch's, where the number of batches is limited."""
        steps = self.settings.steps
        return None if steps is None else steps * self.settings.schedule.batch_size

    @property
    def schedule(self) -> TrainingSchedule:
        """With a limit of batches, one epoch of so many."""
        schedule = self.settings.schedule
        return schedule if self.settings.steps is None else replace(schedule, epochs=1)


Trained = tuple[Graph, Curve]


def _feedforward(run: _Run) -> Trained:
    """Hidden layer and readout on the memory alone, in NengoDL."""
    from .feedforward import MemoryEpochs, build_trainable, trained_graph

    spec = run.settings.spec()
    assert isinstance(spec, LmuSpec)
    network, parts = build_trainable(spec, run.record["dropout"], run.settings.seed)
    with _trained_layer(run, run.epochs(MemoryEpochs, spec), network, parts) as (simulator, curve):
        return trained_graph(spec, simulator, parts), curve


def _line(run: _Run) -> Trained:
    """Hidden layer and readout on the spikes of a line."""
    from .images import shifted
    from .line import LineSchedule, LineSpec, train_line

    settings, spec, schedule = run.settings, run.settings.spec(), run.settings.schedule
    assert isinstance(spec, LmuSpec)
    data = datasets.load(run.data, "train", folder=run.folder)
    permuted = run.data in ("psmnist", "psfashion")
    permutation = datasets.permutation(0) if permuted else np.arange(PIXELS)
    back, most = np.argsort(permutation), run.record["shift"]

    def moved(x: Array, rng: np.random.Generator) -> Array:
        images = shifted(x[:, back, 0].reshape(-1, 28, 28), most, rng)
        return images.reshape(len(x), PIXELS)[:, permutation, None]

    order = None if settings.whole_window else spec.order
    result = train_line(
        data.x,
        data.y,
        LineSpec(PIXELS, order, None, spec.units, spec.output_size, settings.bits),
        LineSchedule(
            schedule.epochs,
            schedule.batch_size,
            schedule.learning_rate,
            run.record["dropout"],
            settings.smoothing,
            seed=schedule.seed,
        ),
        held_out=settings.held_out,
        augment=moved if most else None,
        report=lambda epoch, values: run.report(epoch, 1, 1, values),
        checkpoint=run.checkpoint,
        settings=run.record,
    )
    return result.graph, result.curve


def _dense(run: _Run) -> Trained:
    """A hidden layer and a readout on whole images, in NengoDL."""
    from .dense import DenseEpochs, build_trainable, trained_graph

    spec = run.settings.spec()
    assert isinstance(spec, DenseSpec)
    network, parts = build_trainable(spec, run.record["dropout"], run.settings.seed)
    with _trained_layer(run, run.epochs(DenseEpochs), network, parts) as (simulator, curve):
        return trained_graph(spec, simulator, parts), curve


@contextmanager
def _trained_layer(
    run: _Run, epochs: Any, network: Any, parts: dict[str, Any]
) -> Iterator[tuple[Any, Curve]]:
    """The simulator of a network of one hidden layer, trained, and its learning curve."""
    from .loop import fit

    schedule = run.settings.schedule
    with _quiet_simulator(
        network, minibatch_size=schedule.batch_size, seed=schedule.seed
    ) as simulator:
        steps = epochs.samples // schedule.batch_size
        fitted = (schedule, steps, run.checkpoint, run.record, run.report)
        yield simulator, fit(simulator, parts["input"], epochs, *fitted)


def _recurrent(run: _Run) -> Trained:
    """The recurrent cell through time; in NengoDL as the public example does, if asked to."""
    from .fast import FastCell
    from .fast_loop import fit_fast
    from .images import ImageEpochs

    if not run.settings.fast:
        return _step_by_step(run)
    spec, schedule = run.settings.spec(), run.schedule
    assert isinstance(spec, LmuSpec)
    cell = FastCell(spec, int(spec.theta), schedule.seed)
    epochs = run.epochs(ImageEpochs, samples=run.samples)
    fitted = (schedule, run.settings.extra, run.checkpoint, run.record, run.report)
    curve = fit_fast(cell, epochs, *fitted)
    return cell.graph(), curve


def _step_by_step(run: _Run) -> Trained:
    from spiking_lmu.importers import from_nengo_dl

    from .loop import fit
    from .recurrent import SequenceEpochs, build_trainable

    spec, schedule = run.settings.spec(), run.schedule
    assert isinstance(spec, LmuSpec)
    epochs = run.epochs(SequenceEpochs, samples=run.samples)
    network, x = build_trainable(spec, schedule.seed)
    with _quiet_simulator(
        network,
        minibatch_size=schedule.batch_size,
        unroll_simulation=16,
        seed=schedule.seed,
    ) as simulator:
        steps = epochs.samples // schedule.batch_size
        fitted = (schedule, steps, run.checkpoint, run.record, run.report)
        curve = fit(simulator, x, epochs, *fitted)
        return from_nengo_dl(network, simulator), curve


_TRAINERS = {"feedforward": _feedforward, "recurrent": _recurrent, "dense": _dense}


@contextmanager
def _quiet_simulator(network: Any, **options: Any) -> Iterator[Any]:
    """A NengoDL simulator that says nothing while it is built (it warns where there is no GPU)."""
    from spiking_lmu.compat import import_nengo_dl
    from spiking_lmu.compat.quiet import quiet_import

    nengo_dl = import_nengo_dl()
    with quiet_import():
        simulator = nengo_dl.Simulator(network, progress_bar=False, **options)
    with simulator:
        yield simulator


@contextmanager
def _checkpoint(path: str | PathLike[str] | None) -> Iterator[Path]:
    if path is not None:
        yield Path(path)
        return
    with TemporaryDirectory() as folder:
        yield Path(folder, "checkpoint.npz")


def _report(progress: Progress, settings: TrainingSettings, data: str) -> Report:
    """Tells ``progress`` of every batch."""
    epochs = settings.schedule.epochs if settings.steps is None else 1
    epochs += settings.extra.warm_up if settings.fast else 0
    started = False

    def report(epoch: int, step: int, steps: int, values: dict[str, float]) -> None:
        nonlocal started
        if not started:
            progress.start(f"{data}", epoch * steps + step - 1, epochs * steps, "batches")
            started = True
        progress.advance(1, f"epoch {epoch + 1}/{epochs}  loss {values['loss']:.4f}")

    return report


def _decisions(graph: Graph, test: Dataset) -> Array:
    found = []
    short, fed = last_step_alone(graph, test.x.shape[1])
    for start in range(0, len(test.y), BATCH):
        outputs = run_reference(short, fed(test.x[start : start + BATCH]))
        found.append(outputs[:, -1].argmax(axis=1))
    return np.concatenate(found)


def _choice(name: str, value: str, known: Any) -> None:
    if value not in known:
        raise SpecError(
            name, got=repr(value), expected="one of " + ", ".join(known), fix="choose one"
        )
