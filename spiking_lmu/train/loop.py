"""The training loop: epochs of a NengoDL simulator, checkpoints, a learning curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint

Array = np.ndarray


@dataclass(frozen=True)
class Schedule:
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


def fit(
    simulator: Any,
    node: Any,
    epochs: Epochs,
    schedule: Schedule,
    steps_an_epoch: int,
    checkpoint: Path,
    settings: dict[str, Any],
    report: Callable[[int, int, int, dict[str, float]], None],
) -> list[dict[str, float]]:
    """Train ``simulator`` (NengoDL), fed at ``node``, as a classifier; returns the learning curve.

    Goes on from ``checkpoint`` if it belongs to the same ``settings``, and writes it after
    each epoch.  ``report(epoch, step, steps, values)`` is called after every step.

    Raises
    ------
    FileError
        The checkpoint is damaged or of another run.
    """
    import tensorflow as tf

    rate = tf.keras.optimizers.schedules.CosineDecay(
        schedule.learning_rate, schedule.epochs * steps_an_epoch
    )
    optimizer = tf.keras.optimizers.Adam(rate)
    simulator.compile(
        optimizer=optimizer,
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model = simulator.keras_model
    start = load_checkpoint(checkpoint, settings)
    curve = list(start.curve) if start else []
    if start:
        optimizer.build(model.trainable_variables)
        for variable, value in zip(model.variables, start.weights, strict=True):
            variable.assign(value)
        for variable, value in zip(optimizer.variables, start.optimizer, strict=True):
            variable.assign(value)
    for epoch in range(len(curve), schedule.epochs):
        began = perf_counter()
        x, y = epochs.training(np.random.default_rng([schedule.seed, epoch]))
        tf.keras.utils.set_random_seed(schedule.seed + 1000 * (epoch + 1))

        class Report(tf.keras.callbacks.Callback):  # type: ignore[misc, name-defined]
            def on_train_batch_end(self, batch: int, logs: Any = None, epoch: int = epoch) -> None:
                report(epoch, batch + 1, steps_an_epoch, {k: float(v) for k, v in logs.items()})

        history = simulator.fit(
            {node: x},
            y[:, None, None],
            epochs=1,
            shuffle=False,
            verbose=0,
            callbacks=[Report()],
        ).history
        entry = {"loss": history["loss"][-1], "accuracy": history["probe_accuracy"][-1]}
        entry |= _held_out(simulator, node, epochs)
        curve.append({**{k: float(v) for k, v in entry.items()}, "seconds": perf_counter() - began})
        save_checkpoint(
            checkpoint,
            Checkpoint(
                settings,
                curve,
                [variable.numpy() for variable in model.variables],
                [variable.numpy() for variable in optimizer.variables],
            ),
        )
    return curve


def _held_out(simulator: Any, node: Any, epochs: Epochs) -> dict[str, float]:
    x, y = epochs.held_out()
    if not len(y):
        return {}
    found = simulator.evaluate({node: x}, y[:, None, None], verbose=0)
    return {"held_out_accuracy": found["probe_accuracy"], "held_out_loss": found["loss"]}
