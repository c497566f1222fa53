"""The fast trainer: warm-up on the memory alone, then through time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .fast import FastCell
from .images import ImageEpochs
from .loop import Report, TrainingSchedule, cosine_adam, train

Array = np.ndarray
#: Held-out samples evaluated at once.
EVALUATED = 250


@dataclass(frozen=True)
class FastSchedule:
    """What the fast trainer does besides a :class:`TrainingSchedule`.

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
    clip
        Largest norm of the gradient through time; a longer one is shortened to it.  Where no
        warm-up made the recurrence idle, a few batches with gradients of many times the usual
        length undo an epoch's work.
    """

    warm_up: int = 20
    warm_up_rate: float = 4e-3
    dropout: float = 0.2
    trace_noise: float = 0.0
    clip: float | None = None


def fit_fast(
    cell: FastCell,
    epochs: ImageEpochs,
    schedule: TrainingSchedule,
    extra: FastSchedule,
    checkpoint: Path,
    settings: dict[str, Any],
    report: Report,
) -> list[dict[str, float]]:
    """Train ``cell`` as a classifier; returns the learning curve, warm-up included.

    See :func:`spiking_lmu.training.loop.train`.  ``report(epoch, step, steps, values)`` is called
    after every step.
    """
    learner = _Fast(cell, epochs, schedule, extra, report)
    return train(learner, extra.warm_up + schedule.epochs, checkpoint, settings)


@dataclass
class _Fast:
    """Warm-up, then training through time, as one `Learner`."""

    cell: FastCell
    epochs: ImageEpochs
    schedule: TrainingSchedule
    extra: FastSchedule
    report: Report

    def prepare(self, epoch: int) -> None:
        recurrent = self.cell.weights["lmu.h_to_h"]
        if self.extra.warm_up and epoch == 0:
            recurrent.assign(np.zeros(recurrent.shape))
        self._begin(warm=epoch < self.extra.warm_up)

    def _begin(self, warm: bool) -> None:
        self._steps = self.epochs.samples // self.schedule.batch_size
        self._trainer = Trainer(self.cell, self.schedule, self.extra, self._steps, warm)

    @property
    def variables(self) -> tuple[Sequence[Any], Sequence[Any]]:
        return self.cell.variables, self._trainer.optimizer.variables

    def epoch(self, epoch: int) -> dict[str, float]:
        if epoch and epoch == self.extra.warm_up:
            self._begin(warm=False)
        size, steps = self.schedule.batch_size, self._steps
        x, y = self.epochs.training(np.random.default_rng([self.schedule.seed, epoch]))
        loss, correct = 0.0, 0
        for step in range(steps):
            chosen = slice(step * size, (step + 1) * size)
            seed = (self.schedule.seed, epoch * steps + step)
            found = self._trainer.step(x[chosen], y[chosen], seed)
            loss, correct = loss + float(found[0]), correct + int(found[1])
            self.report(epoch, step + 1, steps, {"loss": loss / (step + 1)})
        entry = {"loss": loss / steps, "accuracy": correct / (steps * size)}
        return entry | _held_out(self._trainer, self.epochs)


def _optimizer(schedule: TrainingSchedule, extra: FastSchedule, steps: int, warm: bool) -> Any:
    first, epochs = (
        (extra.warm_up_rate, extra.warm_up) if warm else (schedule.learning_rate, schedule.epochs)
    )
    return cosine_adam(first, epochs * steps)


class Trainer:
    """One compiled step of Adam: through time, or (``warm``) on the memory alone.

    Parameters
    ----------
    cell, schedule, extra
        What is trained, and how.
    steps
        Batches an epoch; the learning rate falls to zero over all of them.
    warm
        Recurrent weights are left alone, and only the last input counts.
    """

    def __init__(
        self,
        cell: FastCell,
        schedule: TrainingSchedule,
        extra: FastSchedule,
        steps: int,
        warm: bool,
    ) -> None:
        import tensorflow as tf

        self.cell, self._extra, self._warm = cell, extra, warm
        self._shape = (schedule.batch_size, cell.spec.units)
        self.optimizer = _optimizer(schedule, extra, steps, warm)
        self.optimizer.build(cell.variables)
        self._step = tf.function(self._update)
        self._predict = tf.function(cell.logits_from_memory if warm else cell.logits)

    def step(self, x: Array, y: Array, seed: tuple[int, int]) -> tuple[Any, Any]:
        """One update; loss and number of samples that were right."""
        import tensorflow as tf

        result: tuple[Any, Any] = self._step(
            tf.constant(x, tf.float32), tf.constant(y), tf.constant(seed)
        )
        return result

    def predict(self, x: Array) -> Array:
        """Logits without dropout or noise."""
        import tensorflow as tf

        logits: Array = self._predict(tf.constant(x, tf.float32)).numpy()
        return logits

    def _update(self, x: Any, y: Any, seed: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        cell, extra, shape, warm = self.cell, self._extra, self._shape, self._warm
        seen = tf.random.stateless_uniform(shape, seed) >= extra.dropout
        dropped = tf.cast(seen, tf.float32) / (1.0 - extra.dropout)
        variables = [v for n, v in cell.weights.items() if not (warm and n == "lmu.h_to_h")]
        with tf.GradientTape() as tape:
            if warm:
                logits = cell.logits_from_memory(x, dropped)
            else:
                noise = tf.random.stateless_normal(shape, seed + 1)
                logits = cell.logits(x, 1.0 + extra.trace_noise * noise, dropped)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, variables)
        if extra.clip is not None and not warm:
            gradients, _ = tf.clip_by_global_norm(gradients, extra.clip)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        right = tf.argmax(logits, axis=1) == tf.cast(y, tf.int64)
        return loss, tf.reduce_sum(tf.cast(right, tf.int32))


def _held_out(trainer: Trainer, epochs: ImageEpochs) -> dict[str, float]:
    x, y = epochs.held_out()
    if not len(y):
        return {}
    starts = range(0, len(y), EVALUATED)
    logits = np.concatenate([trainer.predict(x[i : i + EVALUATED]) for i in starts])
    likelihood = logits[np.arange(len(y)), y] - np.logaddexp.reduce(logits, axis=1)
    return {
        "held_out_accuracy": float((logits.argmax(axis=1) == y).mean()),
        "held_out_loss": -float(likelihood.mean()),
    }
