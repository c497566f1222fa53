"""The fast trainer's loop: warm-up on the memory alone, then through time; checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .fast import FastCell
from .images import ImageEpochs
from .loop import Schedule

Array = np.ndarray
#: Held-out samples evaluated at once.
EVALUATED = 250


@dataclass(frozen=True)
class FastSchedule:
    """What the fast trainer does besides a :class:`Schedule`.

    Parameters
    ----------
    warm_up
        Epochs with recurrent weights at zero, where only the memory at the last input counts:
        seconds each.  They have a cosine decay of their own, from ``warm_up_rate``.
    dropout
        Share of hidden outputs that the readout does not see.
    trace_noise
        Standard deviation of the factors, drawn for each sequence and unit, on what the hidden
        layer sees of itself: on a chip that comes as spikes, and is never quite what it was.
    """

    warm_up: int = 20
    warm_up_rate: float = 4e-3
    dropout: float = 0.2
    trace_noise: float = 0.0


def fit_fast(
    cell: FastCell,
    epochs: ImageEpochs,
    schedule: Schedule,
    extra: FastSchedule,
    checkpoint: Path,
    settings: dict[str, Any],
    report: Callable[[int, int, int, dict[str, float]], None],
) -> list[dict[str, float]]:
    """Train ``cell`` as a classifier; returns the learning curve, warm-up included.

    Goes on from ``checkpoint`` if it belongs to the same ``settings``, and writes it after
    each epoch.  ``report(epoch, step, steps, values)`` is called after every step.

    Raises
    ------
    FileError
        The checkpoint is damaged or of another run.
    """
    import tensorflow as tf

    steps = epochs.samples // schedule.batch_size
    start = load_checkpoint(checkpoint, settings)
    curve = list(start.curve) if start else []
    if extra.warm_up and not curve:
        cell.weights["lmu.h_to_h"].assign(tf.zeros_like(cell.weights["lmu.h_to_h"]))
    optimizer = _optimizer(schedule, extra, steps, warm=len(curve) < extra.warm_up)
    if start:
        _restore(cell, optimizer, start)
    trainer = _Trainer(cell, optimizer, schedule, extra)
    for epoch in range(len(curve), extra.warm_up + schedule.epochs):
        if epoch == extra.warm_up and epoch:
            optimizer = _optimizer(schedule, extra, steps, warm=False)
            trainer = _Trainer(cell, optimizer, schedule, extra)
        began = perf_counter()
        x, y = epochs.training(np.random.default_rng([schedule.seed, epoch]))
        loss, correct = 0.0, 0
        for step in range(steps):
            chosen = slice(step * schedule.batch_size, (step + 1) * schedule.batch_size)
            seed = (schedule.seed, epoch * steps + step)
            found = trainer.step(x[chosen], y[chosen], seed, epoch < extra.warm_up)
            loss, correct = loss + float(found[0]), correct + int(found[1])
            report(epoch, step + 1, steps, {"loss": loss / (step + 1)})
        entry = {"loss": loss / steps, "accuracy": correct / (steps * schedule.batch_size)}
        entry |= _held_out(trainer, epochs, epoch < extra.warm_up)
        curve.append({**entry, "seconds": perf_counter() - began})
        save_checkpoint(
            checkpoint,
            Checkpoint(
                settings,
                curve,
                [variable.numpy() for variable in cell.variables],
                [variable.numpy() for variable in optimizer.variables],
            ),
        )
    return curve


def _optimizer(schedule: Schedule, extra: FastSchedule, steps: int, warm: bool) -> Any:
    import tensorflow as tf

    first, epochs = (
        (extra.warm_up_rate, extra.warm_up) if warm else (schedule.learning_rate, schedule.epochs)
    )
    rate = tf.keras.optimizers.schedules.CosineDecay(first, epochs * steps)
    return tf.keras.optimizers.Adam(rate)


def _restore(cell: FastCell, optimizer: Any, start: Checkpoint) -> None:
    for variable, value in zip(cell.variables, start.weights, strict=True):
        variable.assign(value)
    optimizer.build(cell.variables)
    for variable, value in zip(optimizer.variables, start.optimizer, strict=True):
        variable.assign(value)


class _Trainer:
    """The two compiled steps, through time and on the memory alone."""

    def __init__(
        self, cell: FastCell, optimizer: Any, schedule: Schedule, extra: FastSchedule
    ) -> None:
        import tensorflow as tf

        self._cell, self._optimizer, self._extra = cell, optimizer, extra
        self._units, self._batch = cell.spec.units, schedule.batch_size
        optimizer.build(cell.variables)
        self._through_time = tf.function(partial(self._update, warm=False))
        self._on_memory = tf.function(partial(self._update, warm=True))
        self._predict = tf.function(cell.logits)
        self._predict_from_memory = tf.function(cell.logits_from_memory)

    def step(self, x: Array, y: Array, seed: tuple[int, int], warm: bool) -> tuple[Any, Any]:
        """One update; loss and number of samples that were right."""
        import tensorflow as tf

        step = self._on_memory if warm else self._through_time
        result: tuple[Any, Any] = step(
            tf.constant(x, tf.float32), tf.constant(y), tf.constant(seed)
        )
        return result

    def predict(self, x: Array, warm: bool) -> Array:
        """Logits without dropout or noise."""
        import tensorflow as tf

        predict = self._predict_from_memory if warm else self._predict
        logits: Array = predict(tf.constant(x, tf.float32)).numpy()
        return logits

    def _update(self, x: Any, y: Any, seed: Any, warm: bool) -> tuple[Any, Any]:
        import tensorflow as tf

        extra, shape = self._extra, (self._batch, self._units)
        seen = tf.random.stateless_uniform(shape, seed) >= extra.dropout
        dropped = tf.cast(seen, tf.float32) / (1.0 - extra.dropout)
        variables = [v for n, v in self._cell.weights.items() if not (warm and n == "lmu.h_to_h")]
        with tf.GradientTape() as tape:
            if warm:
                logits = self._cell.logits_from_memory(x, dropped)
            else:
                noise = tf.random.stateless_normal(shape, seed + 1)
                logits = self._cell.logits(x, 1.0 + extra.trace_noise * noise, dropped)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            loss = tf.reduce_mean(losses)
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        right = tf.argmax(logits, axis=1) == tf.cast(y, tf.int64)
        return loss, tf.reduce_sum(tf.cast(right, tf.int32))


def _held_out(trainer: _Trainer, epochs: ImageEpochs, warm: bool) -> dict[str, float]:
    x, y = epochs.held_out()
    if not len(y):
        return {}
    starts = range(0, len(y), EVALUATED)
    logits = np.concatenate([trainer.predict(x[i : i + EVALUATED], warm) for i in starts])
    likelihood = logits[np.arange(len(y)), y] - np.logaddexp.reduce(logits, axis=1)
    return {
        "held_out_accuracy": float((logits.argmax(axis=1) == y).mean()),
        "held_out_loss": -float(likelihood.mean()),
    }
