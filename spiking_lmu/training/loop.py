"""The training loop: epochs, checkpoints, a learning curve; and NengoDL's simulator in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from .checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint

Array = np.ndarray
#: Called after every step with epoch, step, steps an epoch, and values.
Report = Callable[[int, int, int, dict[str, float]], None]


@dataclass(frozen=True)
class TrainingSchedule:
    """How long and how fast to train.

    Parameters
    ----------
    epochs, batch_size
        Passes over the data and samples a step.
    learning_rate
        Adam's, falling to zero on a half cosine over all steps.
    seed
        Decides initial weights, order of samples and augmentation.
    """

    epochs: int = 20
    batch_size: int = 100
    learning_rate: float = 2e-3
    seed: int = 0


class Epochs(Protocol):
    """Where an epoch's data comes from."""

    def training(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Inputs (samples, steps, size) and labels (samples,) in this epoch's order."""

    def held_out(self) -> tuple[Array, Array]:
        """The same for samples that are never trained on; may be empty."""


class Learner(Protocol):
    """What is trained, an epoch at a time."""

    def prepare(self, epoch: int) -> None:
        """Make ready to go on with epoch ``epoch``; called once, before anything is restored."""

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train for one epoch; loss and accuracies, on held-out samples too if there are any."""

    @property
    def variables(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """TensorFlow's variables of the network and of the optimizer."""


def train(
    learner: Learner, epochs: int, checkpoint: Path, settings: dict[str, Any]
) -> list[dict[str, float]]:
    """Train until ``epochs`` epochs are done; returns the learning curve.

    Goes on from ``checkpoint`` if it belongs to the same ``settings``, and writes it after
    each epoch.

    Raises
    ------
    FileError
        The checkpoint is damaged or of another run.
    """
    start = load_checkpoint(checkpoint, settings)
    curve = list(start.curve) if start else []
    learner.prepare(len(curve))
    if start:
        restore(checkpoint, start, learner.variables)
    for epoch in range(len(curve), epochs):
        began = perf_counter()
        entry = learner.epoch(epoch)
        curve.append({**entry, "seconds": perf_counter() - began})
        weights, optimizer = ([v.numpy() for v in part] for part in learner.variables)
        save_checkpoint(checkpoint, Checkpoint(settings, curve, weights, optimizer))
    return curve


def fit(
    simulator: Any,
    node: Any,
    epochs: Epochs,
    schedule: TrainingSchedule,
    steps_an_epoch: int,
    checkpoint: Path,
    settings: dict[str, Any],
    report: Report,
) -> list[dict[str, float]]:
    """Train ``simulator`` (NengoDL), fed at ``node``, as a classifier; see :func:`train`.

    ``report(epoch, step, steps, values)`` is called after every step.
    """
    learner = _Simulation(simulator, node, epochs, schedule, steps_an_epoch, report)
    return train(learner, schedule.epochs, checkpoint, settings)


def cosine_adam(learning_rate: float, steps: int) -> Any:
    """TensorFlow's Adam, whose rate falls to zero along a cosine in so many steps.

    Where there is a GPU, Keras has XLA compile the update, which then fails for variables on the
    CPU: its own counter of steps is on the GPU.
    """
    import tensorflow as tf

    rate = tf.keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    return tf.keras.optimizers.Adam(rate, jit_compile=False)


@dataclass
class _Simulation:
    """A NengoDL simulator as a `Learner`."""

    simulator: Any
    node: Any
    epochs: Epochs
    schedule: TrainingSchedule
    steps: int
    report: Report

    def prepare(self, epoch: int) -> None:
        import tensorflow as tf

        self._optimizer = cosine_adam(
            self.schedule.learning_rate, self.schedule.epochs * self.steps
        )
        self.simulator.compile(
            optimizer=self._optimizer,
            loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        self._optimizer.build(self.simulator.keras_model.trainable_variables)

    @property
    def variables(self) -> tuple[Sequence[Any], Sequence[Any]]:
        return self.simulator.keras_model.variables, self._optimizer.variables

    def epoch(self, epoch: int) -> dict[str, float]:
        import tensorflow as tf

        report, steps = self.report, self.steps
        x, y = self.epochs.training(np.random.default_rng([self.schedule.seed, epoch]))
        tf.keras.utils.set_random_seed(self.schedule.seed + 1000 * (epoch + 1))

        class Reporting(tf.keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                report(epoch, batch + 1, steps, {k: float(v) for k, v in logs.items()})

        history = self.simulator.fit(
            {self.node: x},
            y[:, None, None],
            epochs=1,
            shuffle=False,
            verbose=0,
            callbacks=[Reporting()],
        ).history
        entry = {"loss": history["loss"][-1], "accuracy": history["probe_accuracy"][-1]}
        x, y = self.epochs.held_out()
        if len(y):
            found = self.simulator.evaluate({self.node: x}, y[:, None, None], verbose=0)
            entry |= {
                "held_out_accuracy": found["probe_accuracy"],
                "held_out_loss": found["loss"],
            }
        return {name: float(value) for name, value in entry.items()}
