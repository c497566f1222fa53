"""The ways in which ``spiking-lmu train`` trains: data, network, loop and progress."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spiking_lmu.graph.graph import Graph
    from spiking_lmu.graph.lmu import LmuSpec
    from spiking_lmu.training.dense import DenseSpec
    from spiking_lmu.training.fast_loop import FastSchedule
    from spiking_lmu.training.loop import Schedule

Curve = list[dict[str, float]]
Trained = tuple["Graph", Curve]


def train_feedforward(
    options: Namespace, spec: LmuSpec, schedule: Schedule, settings: dict[str, Any]
) -> Trained:
    """Hidden layer and readout on the memory alone, in NengoDL."""
    from spiking_lmu.training.feedforward import MemoryEpochs, build_trainable, trained_graph

    epochs = _epochs(MemoryEpochs, options, spec)
    network, parts = build_trainable(spec, settings["dropout"], schedule.seed)
    with _trained_layer(options, schedule, settings, epochs, network, parts) as (simulator, curve):
        return trained_graph(spec, simulator, parts), curve


def train_dense(
    options: Namespace, spec: DenseSpec, schedule: Schedule, settings: dict[str, Any]
) -> Trained:
    """A hidden layer and a readout on whole images, in NengoDL."""
    from spiking_lmu.training.dense import DenseEpochs, build_trainable, trained_graph

    epochs = _epochs(DenseEpochs, options)
    network, parts = build_trainable(spec, settings["dropout"], schedule.seed)
    with _trained_layer(options, schedule, settings, epochs, network, parts) as (simulator, curve):
        return trained_graph(spec, simulator, parts), curve


@contextmanager
def _trained_layer(
    options: Namespace,
    schedule: Schedule,
    settings: dict[str, Any],
    epochs: Any,
    network: Any,
    parts: dict[str, Any],
) -> Iterator[tuple[Any, Curve]]:
    """The simulator of a network of one hidden layer, trained, and its learning curve."""
    from spiking_lmu.training.loop import fit

    with (
        _quiet_simulator(
            network, minibatch_size=schedule.batch_size, seed=schedule.seed
        ) as simulator,
        _Bars(schedule.epochs) as report,
    ):
        steps = epochs.samples // schedule.batch_size
        checkpoint = _checkpoint(options)
        node = parts["input"]
        yield simulator, fit(simulator, node, epochs, schedule, steps, checkpoint, settings, report)


def train_recurrent(
    options: Namespace, spec: LmuSpec, schedule: Schedule, settings: dict[str, Any]
) -> Trained:
    """The recurrent cell through time in NengoDL, as the public example does."""
    from spiking_lmu.importers import from_nengo_dl
    from spiking_lmu.training.loop import fit
    from spiking_lmu.training.recurrent import SequenceEpochs, build_trainable

    epochs = _epochs(SequenceEpochs, options, samples=_samples(options, schedule))
    schedule = _shortened(options, schedule)
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


def train_fast(
    options: Namespace,
    spec: LmuSpec,
    schedule: Schedule,
    extra: FastSchedule,
    settings: dict[str, Any],
) -> Trained:
    """The recurrent cell through time, the memory computed at once."""
    from spiking_lmu.training.fast import FastCell
    from spiking_lmu.training.fast_loop import fit_fast
    from spiking_lmu.training.images import ImageEpochs

    epochs = _epochs(ImageEpochs, options, samples=_samples(options, schedule))
    schedule = _shortened(options, schedule)
    cell = FastCell(spec, int(spec.theta), schedule.seed)
    with _Bars(extra.warm_up + schedule.epochs) as report:
        curve = fit_fast(cell, epochs, schedule, extra, _checkpoint(options), settings, report)
    return cell.graph(), curve


def _epochs(kind: Any, options: Namespace, *arguments: Any, **limits: Any) -> Any:
    """Training images as ``kind`` presents them."""
    import numpy as np

    from spiking_lmu import datasets

    family = "fashion-mnist" if options.data in ("psfashion", "fashion-mnist") else "mnist"
    data = datasets.load(family, "train", folder=options.folder)
    images = data.x.reshape(-1, 28, 28)
    permuted = options.data in ("psmnist", "psfashion")
    permutation = datasets.permutation(0) if permuted else np.arange(28 * 28)
    limits |= {"shift": options.shift, "held_out": options.held_out}
    return kind(images, data.y, permutation, *arguments, **limits)


def _samples(options: Namespace, schedule: Schedule) -> int | None:
    return None if options.steps is None else options.steps * schedule.batch_size


def _shortened(options: Namespace, schedule: Schedule) -> Schedule:
    """With ``--steps``, one epoch of so many batches."""
    return schedule if options.steps is None else replace(schedule, epochs=1)


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


def _checkpoint(options: Namespace) -> Path:
    return Path(options.output).with_suffix(".checkpoint.npz")


class _Bars:
    """A bar of batches; called after every batch."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console

        from spiking_lmu.runs.progress import bars

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
