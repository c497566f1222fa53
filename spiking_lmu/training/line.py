"""Hidden layer and readout trained on the spikes that leave a line (docs/memory-on-chip.md).

What the hidden layer will see is known before training: the bits of the last inputs, through
8-bit weights, with neurons that spike once a step at most and forget what is left over.  So it
is trained on that, in NumPy; gradients pass through rounding and through the neurons' steps
as if these were straight lines.

The weights are those of a Legendre memory, W·H with H[:, j] = A^j B
(:func:`spiking_lmu.graph.lmu.impulse_response`), or free ones on the whole window.  The latter
network is no longer an LMU: its window has as many dimensions as it has inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spiking_lmu.backends.rate import last_step_alone
from spiking_lmu.backends.registry import load_target
from spiking_lmu.conversion.line import LineCode
from spiking_lmu.conversion.measure import measure_activity
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.front_end import Boundary, FrontEnd, split
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build, impulse_response, window
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.transforms import Dense
from spiking_lmu.runs.progress import Progress, shown

from .adam import Adam
from .checkpoint import Checkpoint, load_checkpoint, require_alike, save_checkpoint
from .tuned import FineTuningResult, FineTuningSettings, with_record

if TYPE_CHECKING:
    from spiking_lmu.datasets.dataset import Dataset

Array = np.ndarray
#: Changes a batch of inputs (samples, length, channels) before it is trained on.
Augment = Callable[[Array, np.random.Generator], Array]


@dataclass(frozen=True)
class LineSpec:
    """A network of one hidden layer on a line.

    Parameters
    ----------
    length
        Inputs in the window: stages of the line.
    order
        Of the Legendre memory; None for free weights on the whole window.
    theta
        Window of the Legendre memory, in inputs; ``length`` if not given.
    units, output_size
        Hidden neurons, and numbers in an output.
    bits
        Of an input.
    """

    length: int = 784
    order: int | None = 468
    theta: float | None = None
    units: int = 512
    output_size: int = 10
    bits: int = 1


@dataclass(frozen=True)
class LineSchedule:
    """How it is trained.

    Parameters
    ----------
    epochs, batch_size, learning_rate
        Adam with a rate that falls along half a cosine.
    dropout
        Share of hidden outputs.
    smoothing
        Share of a label that is spread over all classes.
    quantised
        Share of the epochs, the last, that see 8-bit weights and the neurons' spikes; before
        that, the line's bits alone.
    weight_bits
        Of a weight, sign included.
    max_rate, hold, settle_steps
        Of the conversion: spikes a step at the 99.9th percentile of activation times 1000,
        steps after which the current has fallen to 1/e, and steps for which spikes are counted.
    seed
        Of weights, order and dropout.
    """

    epochs: int = 30
    batch_size: int = 200
    learning_rate: float = 1.5e-3
    dropout: float = 0.2
    smoothing: float = 0.0
    quantised: float = 0.25
    weight_bits: int = 8
    max_rate: float = 500.0
    hold: float = 50.0
    settle_steps: int = 150
    seed: int = 0


@dataclass(frozen=True, eq=False)
class TrainedLine:
    """A trained network and its learning curve.

    Parameters
    ----------
    graph
        The rate graph: an LMU, or a window of inputs, with hidden layer and readout.
    curve
        For each epoch, mean loss, accuracy in training, and on held-out samples if there are any.
    """

    graph: Graph
    curve: list[dict[str, float]] = field(default_factory=list)


def train_line(
    x: Array,
    y: Array,
    spec: LineSpec,
    schedule: LineSchedule | None = None,
    *,
    held_out: int = 0,
    augment: Augment | None = None,
    start: Graph | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    settings: dict[str, Any] | None = None,
) -> TrainedLine:
    """Train hidden layer and readout for a line of ``spec.bits`` bits.

    Parameters
    ----------
    x
        Inputs from -1 to 1, (samples, length, 1).
    y
        Classes, (samples,).
    held_out
        The last so many samples are never trained on; accuracy is measured on them.
    augment
        Called on each batch of training samples.
    start
        Trained network whose hidden layer and readout to go on from, with the names that
        :func:`build` and :func:`window` give.
    report
        Called after each epoch with its number and its entry of the curve.
    checkpoint
        Written after each epoch; a run that was stopped goes on from it, and ends with the same
        weights.
    settings
        JSON-safe: whatever decides the run; a checkpoint of others is refused.  ``spec`` and
        ``schedule`` if not given.

    Raises
    ------
    SpecError
        Data of another shape or range.
    FileError
        The checkpoint is damaged, or of another run.
    """
    schedule = schedule or LineSchedule()
    x, y = np.asarray(x, np.float32), np.asarray(y)
    _check(x, y, spec, held_out)
    theta = spec.length if spec.theta is None else spec.theta
    response = None
    if spec.order is not None:
        response = impulse_response(spec.order, theta, spec.length).T
    layers = None if start is None else Layers.of(start, "lmu.m_to_h", "readout_weights")
    network = Network(spec.bits, schedule, response, x[: min(len(x), 5000)])
    network.begin(spec.units, spec.output_size, layers)
    kept = None
    if checkpoint is not None:
        settings = settings or {**asdict(spec), **asdict(schedule), "held_out": held_out}
        kept = Kept(Path(checkpoint), settings)
    curve = network.fit(x, y, held_out, augment, report, kept)
    if spec.order is None:
        graph = window(spec.length, spec.units, spec.output_size)
    else:
        graph = build(LmuSpec(1, spec.output_size, spec.order, float(theta), spec.units))
    return TrainedLine(network.layers().put_into(graph, "lmu.m_to_h", "readout_weights"), curve)


@dataclass(frozen=True, eq=False)
class Layers:
    """Hidden layer and readout: weights (post, pre) and biases (post,), gains folded in."""

    into: Array
    bias: Array
    out: Array
    offset: Array

    @classmethod
    def of(cls, graph: Graph, into: str, out: str) -> Layers:
        """Those of ``graph`` behind the projections ``into`` and ``out``."""
        first, second = (next(p for p in graph.projections if p.name == n) for n in (into, out))
        hidden, readout = graph[first.post], graph[second.post]
        return cls(
            hidden.gain[:, None] * first.transform.matrix(graph[first.pre].size),
            np.array(hidden.bias),
            readout.gain[:, None] * second.transform.matrix(hidden.size),
            np.array(readout.bias),
        )

    def put_into(self, graph: Graph, into: str, out: str) -> Graph:
        """``graph`` with these behind its projections ``into`` and ``out``."""
        changed = {into: (self.into, self.bias), out: (self.out, self.offset)}
        projections, populations = [], []
        for projection in graph.projections:
            if projection.name in changed:
                weights, bias = changed[projection.name]
                projection = replace(projection, transform=weights)
                post = graph[projection.post]
                populations.append(replace(post, gain=np.ones(()), bias=bias))
            projections.append(projection)
        return replace(graph.with_populations(populations), projections=tuple(projections))


def tune_line(
    model: Model, data: Dataset, settings: FineTuningSettings, progress: bool | Progress = True
) -> FineTuningResult:
    """Train the hidden layer and the readout of a trained network on a line's spikes.

    See :func:`spiking_lmu.training.fine_tune.fine_tune`, which calls this for ``memory="line"``.

    Raises
    ------
    SpecError
        A network or a task that is not trained here, or sequences of different lengths.
    """
    seed, target = settings.seed, settings.target
    on_chip = target is None or load_target(target).capabilities.on_chip
    front, into, out = _trainable(model)
    x = np.asarray(data.x if model.scaling is None else model.scaling.apply(data.x), np.float32)
    if (
        model.task.kind != "classification"
        or model.task.every
        or (data.lengths != x.shape[1]).any()
    ):
        raise SpecError(
            "data to train for a line",
            got=f"{model.task}, sequences of {data.lengths.min()} to {data.lengths.max()} inputs",
            expected="one class a sequence, all of the same length",
            fix="train with memory='host'",
        )
    order = np.random.default_rng(seed).permutation(len(x))
    held = min(1000, max(1, len(x) // 10))
    x, y = x[order], np.asarray(data.y)[order]
    size = min(settings.batch_size, len(x) - held)
    epochs = -(-settings.batches // max(1, (len(x) - held) // size))
    quantised = float(on_chip)
    schedule = LineSchedule(
        epochs, size, settings.learning_rate, 0.0, quantised=quantised, seed=seed
    )
    # The memory's dimensions after the last input, by input.
    length, channels = x.shape[1:]
    behind = replace(front, boundaries=(Boundary((_plain(into, model.graph),), slice(0, None)),))
    behind = replace(behind, rest=_delivering(front.rest, model.graph[into.pre].size))
    response = np.moveaxis(behind.impulse_response(length)[0][::-1], 1, 2)
    # Bits are of inputs from -1 to 1.
    spans = LineCode.fitting(settings.bits, x).spans.astype(np.float32)
    coded, response = x / spans, response * spans[:, None]
    network = Network(
        settings.bits, schedule, response.reshape(length * channels, -1), coded[:5000]
    )
    layers = Layers.of(model.graph, into.name, out.name)
    network.begin(len(layers.bias), len(layers.offset), layers)
    exact = [_exact(model, x[-held:], y[-held:])]
    network.quantised = on_chip
    before = float((network.decide(coded[-held:]) == y[-held:]).mean())

    with shown(progress) as told:
        told.start(f"training on {data.name}", 0, epochs, "epochs")

        def report(epoch: int, entry: dict[str, float]) -> None:
            told.advance(1, f"loss {entry['loss']:.4f}")

        curve = network.fit(coded, y, held, None, report)
    graph = network.layers().put_into(model.graph, into.name, out.name)
    short, fed = last_step_alone(graph, length)
    tuned = replace(
        model,
        graph=graph,
        activity=measure_activity(short, fed(x[:1000])),
        provenance=with_record(model, data, settings, batch_size=size),
    )
    exact.append(_exact(tuned, x[-held:], y[-held:]))
    losses = tuple(entry["loss"] for entry in curve)
    after = curve[-1]["held_out_accuracy"]
    return FineTuningResult(tuned, before, after, exact[0], exact[1], held, losses)


def _trainable(model: Model) -> tuple[FrontEnd, Projection, Projection]:
    """The memory, the projection that reads it, and the readout's."""
    graph, front = model.graph, split(model.graph)
    fits = front is not None and len(front.boundaries) == 1 and len(front.rest.projections) == 2
    if fits and front is not None:
        into = front.boundaries[0].projections
        (out,) = (p for p in graph.projections if p.post == graph.output)
        hidden = graph[into[0].post]
        dense = all(isinstance(p.transform, Dense) for p in (*into, out))
        plain = not any(p.bias.any() for p in front.linear.populations)
        chained = out.pre == hidden.name and out.immediate and hidden.neuron.kind == "relu"
        if len(into) == 1 and dense and plain and chained and hidden.neuron.amplitude == 1:
            return front, into[0], out
    raise SpecError(
        "model to train for a line",
        got=", ".join(p.name for p in graph.populations),
        expected="a linear memory that only the input drives, one layer of relu neurons, a readout",
        fix="train with memory='host'",
    )


def _plain(into: Projection, graph: Graph) -> Projection:
    """In the place of ``into``, which delivers the memory as it is."""
    return replace(into, transform=np.eye(graph[into.pre].size))


def _delivering(graph: Graph, size: int) -> Graph:
    """A graph that only says how much is delivered to it."""
    return Graph((Population(graph.input, size),), (), graph.input, graph.input)


def _exact(model: Model, x: Array, y: Array) -> float:
    short, fed = last_step_alone(model.graph, x.shape[1])
    return float((run_reference(short, fed(x))[:, -1].argmax(axis=1) == y).mean())


def bits_of(x: Array, bits: int) -> Array:
    """The bits of numbers from -1 to 1, least first: (…) → (…, bits); those of a sign have it.

    >>> bits_of(np.array([0.0, 0.34, -1.0]), 2).tolist()
    [[0.0, 0.0], [1.0, 0.0], [-1.0, -1.0]]
    """
    levels = np.floor(np.clip(np.abs(x), 0.0, 1.0) * (2**bits - 1) + 0.5).astype(np.int64)
    found = np.stack([(levels >> k) & 1 for k in range(bits)], axis=-1).astype(np.float32)
    if (np.asarray(x) < 0).any():
        found *= np.sign(x)[..., None].astype(np.float32)
    return found


def bit_values(bits: int) -> Array:
    """What each bit of a number in [0, 1] is worth, least first."""
    return (2.0 ** np.arange(bits) / (2**bits - 1)).astype(np.float32)


def count_curve(max_rate: float, hold: float, settle_steps: int) -> tuple[Array, Array]:
    """What a neuron that resets to zero makes of a current that decays.

    Activations from 0 to 4 in units of the 99.9th percentile, and for each the one that
    the number of spikes in ``settle_steps`` steps stands for, (n,) each.  ``max_rate`` in Hz at
    steps of 1 ms, ``hold`` in steps.
    """
    activation = np.linspace(0.0, 4.0, 4001)
    current = activation * max_rate * 1e-3
    keep = np.exp(-1.0 / hold)
    voltage, spikes = np.zeros_like(current), np.zeros_like(current)
    for _ in range(settle_steps):
        voltage += current
        fired = voltage > 1.0
        spikes += fired
        voltage[fired] = 0.0
        current = current * keep
    per_unit = max_rate * 1e-3 * (1.0 - keep**settle_steps) / (1.0 - keep)
    return activation.astype(np.float32), (spikes / per_unit).astype(np.float32)


@dataclass(frozen=True)
class Kept:
    """Where a run is kept from epoch to epoch, and what decides it."""

    path: Path
    settings: dict[str, Any]


class Network:
    """Hidden layer and readout on a line: parameters and gradients, float32.

    Parameters
    ----------
    bits
        Of an input.
    response
        What the memory has of each input of the window, (length · channels, dimensions), the
        newest input last; None where the hidden layer reads the window itself.
    x
        Samples (samples, length, channels) by which the memory's dimensions are made alike.
    """

    def __init__(self, bits: int, schedule: LineSchedule, response: Array | None, x: Array) -> None:
        self.bits, self.schedule, self.quantised = bits, schedule, False
        self._rng = np.random.default_rng(schedule.seed)
        self._values = bit_values(bits)
        self._curve = count_curve(schedule.max_rate, schedule.hold, schedule.settle_steps)
        self._top = 0.0
        length = x.shape[1] * x.shape[2]
        self._response = None
        self._mean, self._deviation = np.zeros(length, np.float32), np.ones(length, np.float32)
        if response is not None:
            self._response = response.astype(np.float32)
            features = (self._bits(x) @ self._values) @ self._response
            self._mean = features.mean(axis=0)
            self._deviation = features.std(axis=0) + np.float32(1e-6)
        self._parameters: list[Array] = []
        self._adam = Adam(())

    def begin(self, units: int, outputs: int, layers: Layers | None = None) -> None:
        """With random weights, or those of ``layers``."""
        size = len(self._deviation)
        shapes = (size, units), (units, outputs)
        first, second = (self._rng.standard_normal(s).astype(np.float32) for s in shapes)
        self._parameters = [
            first * np.float32(np.sqrt(2.0 / size)),
            np.zeros(units, np.float32),
            second * np.float32(np.sqrt(1.0 / units)),
            np.zeros(outputs, np.float32),
        ]
        if layers is not None:
            scaled = layers.into.T * self._deviation[:, None]
            bias = layers.bias + layers.into @ self._mean
            given = (scaled, bias, layers.out.T, layers.offset)
            self._parameters = [np.array(p, np.float32) for p in given]
        self._adam = Adam(self._parameters)

    def fit(
        self,
        x: Array,
        y: Array,
        held_out: int,
        augment: Augment | None,
        report: Callable[[int, dict[str, float]], None] | None,
        kept_in: Kept | None = None,
    ) -> list[dict[str, float]]:
        """Train on all but the last ``held_out`` samples; returns the learning curve."""
        schedule, kept = self.schedule, len(x) - held_out
        epochs = _Epochs(x[:kept], y[:kept], schedule, augment)
        curve = [] if kept_in is None else self._restore(kept_in)
        for epoch in range(len(curve), schedule.epochs):
            self.quantised = epoch >= schedule.epochs * (1.0 - schedule.quantised)
            # From the epoch's number, so that a run that goes on draws the same.
            self._rng = np.random.default_rng([schedule.seed, 2, epoch])
            seen = np.array([self.learn(*batch) for batch in epochs.batches(epoch)])
            loss, share = seen.mean(axis=0)
            entry = {"loss": float(loss), "accuracy": float(share)}
            if held_out:
                right = self.decide(x[kept:]) == y[kept:]
                entry["held_out_accuracy"] = float(right.mean())
            curve.append(entry)
            if kept_in is not None:
                state = Checkpoint(kept_in.settings, curve, self._parameters, self._optimizer)
                save_checkpoint(kept_in.path, state)
            if report is not None:
                report(epoch, entry)
        return curve

    @property
    def _optimizer(self) -> list[Array]:
        """Adam's state, and the largest activation of late."""
        return [*self._adam.state, np.array(self._top, np.float64)]

    def _restore(self, kept: Kept) -> list[dict[str, float]]:
        """Take over what a checkpoint holds, if there is one; returns its learning curve."""
        found = load_checkpoint(kept.path, kept.settings)
        if found is None:
            return []
        require_alike(kept.path, found, (self._parameters, self._optimizer))
        self._parameters = [np.array(a) for a in found.weights]
        *state, top = (np.array(a) for a in found.optimizer)
        self._adam, self._top = Adam(self._parameters, state=state), float(top)
        self.quantised = found.epochs > self.schedule.epochs * (1.0 - self.schedule.quantised)
        return list(found.curve)

    def _bits(self, x: Array) -> Array:
        """(samples, length, channels) → (samples, length · channels, bits)."""
        return bits_of(x.reshape(len(x), -1), self.bits)

    def learn(self, x: Array, y: Array, progress: float) -> tuple[float, float]:
        """One batch; returns its loss and the share of right decisions."""
        schedule = self.schedule
        second, offset = self._parameters[2:]
        bits = self._bits(x)
        features, activation = self._activation(bits)
        active = activation > 0
        hidden = self._response_to(np.maximum(activation, 0.0))
        if schedule.dropout:
            keep = np.float32(1.0 - schedule.dropout)
            active_share = (self._rng.random(hidden.shape, np.float32) < keep) / keep
            hidden = hidden * active_share
        logits = hidden @ second + offset
        logits -= logits.max(axis=1, keepdims=True)
        share = np.exp(logits)
        share /= share.sum(axis=1, keepdims=True)
        wanted = np.full_like(share, schedule.smoothing / share.shape[1])
        wanted[np.arange(len(y)), y] += np.float32(1.0 - schedule.smoothing)
        error = (share - wanted) / np.float32(len(y))
        back = (error @ second.T) * active
        if schedule.dropout:
            back *= active_share
        gradients = [
            features.T @ back,
            back.sum(axis=0),
            hidden.T @ error,
            error.sum(axis=0),
        ]
        rate = schedule.learning_rate * 0.5 * (1.0 + np.cos(np.pi * progress))
        self._adam.step(gradients, rate)
        loss = -np.mean(np.log(share[np.arange(len(y)), y] + 1e-12))
        return float(loss), float(np.mean(share.argmax(axis=1) == y))

    def _activation(self, bits: Array) -> tuple[Array, Array]:
        """Features (for the gradient) and what each hidden neuron sums up, both (samples, …)."""
        first, bias = self._parameters[:2]
        inputs = bits @ self._values
        if self._response is None:
            features = inputs
        else:
            features = (inputs @ self._response - self._mean) / self._deviation
        if not self.quantised:
            return features, features @ first + bias
        folded, constant = self._folded()
        planes = self._values[:, None, None] * folded
        unit = np.abs(planes).max() / np.float32(2 ** (self.schedule.weight_bits - 1) - 1)
        rounded = np.rint(planes / unit) * unit
        # BLAS wants each bit's array in one piece.
        pieces = (np.ascontiguousarray(bits[:, :, k]) for k in range(self.bits))
        total = sum(piece @ weights for piece, weights in zip(pieces, rounded, strict=True))
        return features, total + constant

    def _folded(self) -> tuple[Array, Array]:
        """Weights from each input of the window (length, units), and the biases with them."""
        first, bias = self._parameters[:2]
        scaled = first / self._deviation[:, None]
        constant = bias - self._mean @ scaled
        return (scaled if self._response is None else self._response @ scaled), constant

    def _response_to(self, activation: Array) -> Array:
        if not self.quantised:
            return activation
        top = float(np.percentile(activation[:: max(1, len(activation) // 50)], 99.9))
        self._top = top if not self._top else 0.95 * self._top + 0.05 * top
        scale = np.float32(max(self._top, 1e-6))
        spikes = np.interp(activation / scale, *self._curve).astype(np.float32)
        return spikes * scale

    def decide(self, x: Array) -> Array:
        """Classes of (samples, length, 1)."""
        parts = []
        for start in range(0, len(x), 1000):
            bits = self._bits(x[start : start + 1000])
            activation = np.maximum(self._activation(bits)[1], 0.0)
            if self.quantised and self._top:
                scale = np.float32(self._top)
                activation = np.interp(activation / scale, *self._curve) * scale
            parts.append((activation @ self._parameters[2] + self._parameters[3]).argmax(axis=1))
        return np.concatenate(parts)

    def layers(self) -> Layers:
        """As they are now, in float64."""
        first, bias, second, offset = (p.astype(float) for p in self._parameters)
        scaled = first / self._deviation[:, None].astype(float)
        constant = bias - self._mean.astype(float) @ scaled
        return Layers(scaled.T, constant, second.T, offset)


class _Epochs:
    """Batches of samples, shuffled anew in every epoch."""

    def __init__(self, x: Array, y: Array, schedule: LineSchedule, augment: Augment | None) -> None:
        self._x, self._y, self._schedule, self._augment = x, y, schedule, augment

    def batches(self, epoch: int) -> Iterator[tuple[Array, Array, float]]:
        """Inputs, classes, and how far training has come, 0 to 1."""
        rng = np.random.default_rng([self._schedule.seed, 1, epoch])
        size = min(self._schedule.batch_size, len(self._x))
        count = len(self._x) // size
        order = rng.permutation(len(self._x))
        for i in range(count):
            chosen = order[i * size : (i + 1) * size]
            x = self._x[chosen]
            if self._augment is not None:
                x = self._augment(x, rng)
            yield x, self._y[chosen], (epoch + i / count) / self._schedule.epochs


def _check(x: Array, y: Array, spec: LineSpec, held_out: int) -> None:
    if x.ndim != 3 or x.shape[1:] != (spec.length, 1) or len(x) != len(y):
        raise SpecError(
            "training inputs",
            got=f"shape {x.shape} and {len(y)} classes",
            expected=f"(samples, {spec.length}, 1) and as many classes",
            fix="pass sequences of the window's length",
        )
    if not (np.isfinite(x).all() and np.abs(x).max() <= 1):
        raise SpecError(
            "training inputs",
            got="numbers outside -1 to 1",
            expected="-1 to 1",
            fix="scale the data",
        )
    if not 0 <= held_out < len(x):
        raise SpecError(
            "held_out",
            got=repr(held_out),
            expected=f"0 to {len(x) - 1}",
            fix="hold fewer samples out",
        )
