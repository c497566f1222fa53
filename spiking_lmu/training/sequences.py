"""Training on any sequences, for every task: one hidden layer on Legendre memories.

The memories are linear and fixed, so that what they hold at each input is computed once for all
samples; only what follows them is trained, in TensorFlow.  The recurrent cell's loop over time
is what remains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spiking_lmu.analysis.metrics import METRIC, value_of
from spiking_lmu.compat import import_nengo_dl
from spiking_lmu.conversion.measure import run_rate
from spiking_lmu.datasets import Dataset, Splits
from spiking_lmu.datasets.arrays import part_of, split_in_time, stratified
from spiking_lmu.errors import DatasetError, SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build, memory_matrices
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.task import Scaling
from spiking_lmu.runs.memory import free_bytes

from .loop import cosine_adam

Array = np.ndarray
Curve = list[dict[str, float]]
#: Told epoch, epochs and the losses after each epoch.
Report = Callable[[int, int, dict[str, float]], None]

#: Share of the training set that decides when to stop, if no validation part was given.
VALIDATION_SHARE = 0.2
#: As many channels as this have a memory each; more are mixed into so many by a trained encoder.
MOST_MEMORIES = 16
#: Bytes that training may take where the system does not say what is free.
UNKNOWN_MEMORY = 4 << 30
#: Orders and windows chosen from a spectrum.
ORDERS, SHORTEST = (6, 64), 4


@dataclass(frozen=True)
class SequenceSettings:
    """How a network for sequences is made and trained; None is chosen from the data.

    Parameters
    ----------
    cell
        ``feedforward`` or ``recurrent``, an LMU's; ``dense``: no memory, a hidden layer on one
        input alone.
    neuron
        Of the hidden layer: ``relu``, or ``tanh`` for the recurrent cell.
    order, theta, memories
        Dimensions of each memory; the window that it remembers, in inputs; and their number: one
        for each channel up to :data:`MOST_MEMORIES`, else so many trained mixtures.
    units
        Hidden neurons.
    gather
        With one answer a sequence: whether every input adds what it says to the answer, which
        goes by what happens, rather than when; or the last alone speaks, whose memory has the
        whole sequence.  None lets the validation loss decide.
    epochs, patience
        At most so many passes over the training set; stop after so many without a better
        validation loss.
    batch_size, learning_rate
        Samples a step, and Adam's rate, which falls to zero on a half cosine.
    dropout, decay
        Share of hidden outputs that the readout does not see; weight decay.
    balance
        Weigh classes by how rare they are.  Done for metrics that count classes alike.
    refit
        After validation has said how long to train, train again on all training samples for as
        long; not if a validation part was given.
    seed
        Decides initial weights, the order of samples and the split.
    """

    cell: str = "feedforward"
    neuron: str = "relu"
    order: int | None = None
    theta: float | None = None
    memories: int | None = None
    units: int | None = None
    gather: bool | None = None
    epochs: int = 200
    patience: int = 40
    batch_size: int | None = None
    learning_rate: float = 3e-3
    dropout: float | None = None
    decay: float = 1e-4
    balance: bool | None = None
    refit: bool = True
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network, and how it went.

    ``curve`` has the losses and the task's metric by epoch, on training and validation;
    ``spec`` what was chosen.
    """

    graph: Graph
    scaling: Scaling
    curve: Curve
    spec: dict[str, Any] = field(default_factory=dict)


def fit(data: Splits, settings: SequenceSettings, report: Report | None = None) -> Fitted:
    """Train a network on ``data.train``; nothing of ``data.test`` is looked at.

    Raises
    ------
    SpecError
        A network that cannot be for these data.
    DatasetError
        Too few samples to split a validation part off, or more than fit into memory.
    """
    report = report or (lambda epoch, epochs, values: None)
    whole = data.train
    _require_room(whole, choose(whole, settings).order)
    scaling = Scaling.measured(whole.x, whole.lengths)
    given = data.validation
    training, validation = (whole, given) if given else _held_out(whole, settings.seed)
    tried = [
        _tried(s, whole, training, validation, scaling, report) for s in _ways(whole, settings)
    ]
    curve, best, cell = min(tried, key=lambda found: _lowest(found[0]))
    if given is None and settings.refit:
        # A validation part of a small training set is dear: train on it too, as long.
        cell = _Cell(cell.spec, whole, scaling, cell.settings)
        again, _ = cell.train(whole, None, max(1, best), report)
        curve = [*curve, *({**entry, "refit": 1.0} for entry in again)]
    spec = cell.spec
    chosen = {
        "order": spec.order,
        "theta": spec.theta,
        "memories": spec.memories,
        "units": spec.units,
        "neuron": spec.neuron.kind,
        "gather": cell.gathers,
        "stopped_after": best,
        "validation_losses": {str(c.gathers): _lowest(curve) for curve, _, c in tried},
    }
    return Fitted(cell.graph(), scaling, curve, chosen)


def _require_room(data: Dataset, order: int) -> None:
    """Raise a DatasetError unless the memories of all samples fit into half of what is free.

    They are computed once, in single precision, and standardised; the inputs are there twice in
    double precision.
    """
    each = data.x.size // len(data) * (16 + 8 * order)
    free = free_bytes()
    most = UNKNOWN_MEMORY if free is None else free // 2
    if len(data) * each > most:
        fewer = most // each
        raise DatasetError(
            f"memory to train on {data.what}",
            got=f"{len(data):,} samples that take {len(data) * each / 2**30:.1f} GiB",
            expected=f"at most {most / 2**30:.1f} GiB, half of what is free",
            fix=f"train on {fewer:,} of them: x[:{fewer}] and y[:{fewer}]"
            if fewer
            else "train on shorter samples",
        )


def rate_outputs(model: Model, data: Dataset, batch: int = 100) -> Array:
    """A rate model's answers as its task has them; padded where it answers at every input."""
    found = []
    for start in range(0, len(data), batch):
        rows = slice(start, start + batch)
        outputs = run_rate(model.rate, model.scaled(data.x[rows]))
        if not model.task.every:
            outputs = outputs[np.arange(len(outputs)), data.lengths[rows] - 1]
        found.append(outputs)
    return np.concatenate(found)


def _ways(data: Dataset, settings: SequenceSettings) -> list[SequenceSettings]:
    """The settings to try, of which the validation loss chooses."""
    if data.task.every or data.x.shape[1] == 1:
        return [replace(settings, gather=False)]
    if settings.gather is not None:
        return [settings]
    return [replace(settings, gather=gather) for gather in (False, True)]


def _tried(
    settings: SequenceSettings,
    whole: Dataset,
    training: Dataset,
    validation: Dataset,
    scaling: Scaling,
    report: Report,
) -> tuple[Curve, int, _Cell]:
    cell = _Cell(choose(whole, settings), training, scaling, settings)
    curve, best = cell.train(training, validation, settings.epochs, report)
    return curve, best, cell


def _lowest(curve: Curve) -> float:
    return min(entry["validation_loss"] for entry in curve)


def choose(data: Dataset, settings: SequenceSettings) -> LmuSpec:
    """The network for ``data``: what the settings leave open follows from lengths and spectrum.

    Raises
    ------
    SpecError
        A value outside its range, or a dense network for sequences with one answer.
    """
    steps = int(np.quantile(data.lengths, 0.95))
    if settings.cell == "dense":
        if not data.task.every and data.x.shape[1] > 1:
            raise SpecError(
                "cell",
                got=f"dense for sequences of {data.x.shape[1]} inputs",
                expected="samples of one input: a dense network has no memory",
                fix="use cell=feedforward",
            )
        return LmuSpec(data.channels, data.outputs, 1, 1.0, settings.units or 128)
    window, order = _window(data, steps, bool(settings.gather))
    theta = settings.theta or window
    most = data.channels if data.channels <= MOST_MEMORIES else MOST_MEMORIES
    memories = settings.memories or most
    if memories > data.channels:
        raise SpecError(
            "memories",
            got=str(memories),
            expected=f"at most one for each of {data.channels} channels",
            fix="leave it out",
        )
    recurrent = settings.cell == "recurrent"
    if settings.neuron not in (("relu", "tanh") if recurrent else ("relu",)):
        raise SpecError(
            "neuron",
            got=f"{settings.neuron} for the {settings.cell} cell",
            expected="relu" + (" or tanh" if recurrent else ""),
            fix="leave it out for the default",
        )
    return LmuSpec(
        input_size=data.channels,
        output_size=data.outputs,
        order=settings.order or max(1, min(order, round(theta))),
        theta=float(theta),
        units=settings.units or (64 if recurrent else 128),
        cell=settings.cell,
        neuron=Neuron(settings.neuron),
        memories=memories,
    )


def _window(data: Dataset, steps: int, gather: bool) -> tuple[float, int]:
    """θ and order: for one answer by the last input, all of it; otherwise by the spectrum.

    A window for an answer at every step is two periods of the mean frequency of the inputs.  A
    memory of order q keeps frequencies up to about q / (2 θ) periods an input: it gets what
    keeps 95 % of the power.
    """
    mean, high = spectrum(data)
    theta = float(steps)
    if (data.task.every or gather) and mean > 0:
        theta = float(np.clip(round(2 / mean), min(SHORTEST, steps), steps))
    order = int(np.clip(np.ceil(2 * theta * high) + ORDERS[0], *ORDERS))
    return theta, order


def spectrum(data: Dataset) -> tuple[float, float]:
    """Mean frequency of the inputs, and that below which 95 % of the power lies; per input.

    Channels count alike, and means do not count.
    """
    power: Array = np.zeros(0)
    size = data.x.shape[1]
    frequency = np.fft.rfftfreq(size)
    x = np.asarray(data.x[:256], dtype=float)
    inside = data.mask[:256, :, None]
    mean = (x * inside).sum(axis=1, keepdims=True) / data.lengths[:256, None, None]
    power = (np.abs(np.fft.rfft(np.where(inside, x - mean, 0), axis=1)) ** 2).sum(axis=0)
    total = power.sum(axis=0)
    shares = (power / np.where(total > 0, total, 1)).sum(axis=1)
    if not shares.sum() > 0:
        return 0.0, 0.0
    shares /= shares.sum()
    high = frequency[min(int(np.searchsorted(np.cumsum(shares), 0.95)), len(frequency) - 1)]
    return float(frequency @ shares), float(high)


def memories_of(x: Array, spec: LmuSpec) -> Array:
    """What a memory for each channel holds after each input: (samples, steps, channels, order)."""
    a, b = memory_matrices(spec.order, spec.theta)
    state = np.zeros((len(x), x.shape[2], spec.order))
    held = np.empty((*x.shape, spec.order), dtype=np.float32)
    for step in range(x.shape[1]):
        state = state @ a.T + x[:, step, :, None] * b[:, 0]
        held[:, step] = state
    return held


def _held_out(data: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Training and validation parts of a training set."""
    if len(data) == 1:
        return split_in_time(data, VALIDATION_SHARE)
    chosen = stratified(data, VALIDATION_SHARE, seed)
    return part_of(data, "train", ~chosen), part_of(data, "validation", chosen)


class _Cell:
    """Variables, and one compiled step of Adam."""

    def __init__(
        self, spec: LmuSpec, data: Dataset, scaling: Scaling, settings: SequenceSettings
    ) -> None:
        import_nengo_dl()  # makes tf.keras mean Keras 2
        import tensorflow as tf

        self.spec, self.scaling, self.settings, self.task = spec, scaling, settings, data.task
        rng = np.random.default_rng(settings.seed)
        features = self._features(data)
        self._middle, self._spread = _standard(features, data)
        if self._mixes:
            # A mixture goes before the memory: no offset, and one factor for all features.
            self._middle = np.zeros_like(self._middle)
            self._spread = np.full_like(self._spread, np.sqrt(np.mean(self._spread**2)))
        self._answers = _answer_scale(data)
        #: What every input says is added up; so many of them are as one answer.
        self._share = 1 / float(data.lengths.mean()) if self.gathers else 1.0
        usual = np.zeros(spec.output_size)
        if self.gathers and np.ptp(data.lengths) > 0:
            # A sum over more inputs has more of what each of them adds, the mean answer too.
            middle, spread = self._answers
            usual, self._answers = middle / spread, (np.zeros_like(middle), spread)
        self._classes = class_weights(data, settings.balance)
        width = features.shape[-1]
        shapes = {"hidden": (width, spec.units), "readout": (spec.units, spec.output_size)}
        if settings.cell == "recurrent":
            shapes["direct"] = (spec.input_size, spec.units)
            shapes["again"] = (spec.units, spec.units)
        if self._mixes:
            # What the mixtures of memories feed; the encoder itself mixes channels.
            shapes["hidden"] = (spec.memories * spec.order, spec.units)
            shapes["encoder"] = (spec.input_size, spec.memories)
        self.weights = {}
        for name, (pre, post) in shapes.items():
            limit = np.sqrt(6 / (pre + post)) * (0.5 if name == "again" else 1.0)
            drawn = rng.uniform(-limit, limit, (pre, post))
            self.weights[name] = tf.Variable(drawn, dtype=tf.float32)
        for name, bias in (("hidden_bias", np.zeros(spec.units)), ("readout_bias", usual)):
            self.weights[name] = tf.Variable(bias, dtype=tf.float32)

    @property
    def gathers(self) -> bool:
        """Whether every input adds to the one answer."""
        return bool(self.settings.gather)

    @property
    def _mixes(self) -> bool:
        spec = self.spec
        return self.settings.cell != "dense" and 1 <= spec.memories < spec.input_size

    def _features(self, data: Dataset) -> Array:
        """What the hidden layer sees besides itself: memories, or for a dense network inputs.

        Shape (samples, steps, size); with one answer and no recurrence, only the last step.
        """
        x = self.scaling.apply(np.asarray(data.x, dtype=float))
        if self.settings.cell == "dense":
            return x.astype(np.float32)
        held = memories_of(x, self.spec).reshape(len(x), x.shape[1], -1)
        if data.task.every or self.gathers or self.settings.cell == "recurrent":
            return held
        return held[np.arange(len(x)), data.lengths - 1][:, None]

    def _inputs(self, data: Dataset) -> dict[str, Array]:
        """Features, standardised, with the direct inputs of a recurrent cell, and lengths."""
        features = (self._features(data) - self._middle) / self._spread
        found = {"features": features.astype(np.float32), "ends": data.lengths - 1}
        if self.gathers:
            found["inside"] = data.mask.astype(np.float32)
        if self.settings.cell == "recurrent":
            found["x"] = self.scaling.apply(np.asarray(data.x, dtype=float)).astype(np.float32)
        return found

    def _targets(self, data: Dataset) -> tuple[Array, Array]:
        """Answers as (samples, answers, …) and their weights (samples, answers)."""
        y = data.y if self.task.every else data.y[:, None]
        weight = data.mask.astype(np.float32) if self.task.every else np.ones((len(data), 1), "f4")
        if self.task.classifies:
            return y.astype(np.int32), (weight * self._classes[y]).astype(np.float32)
        middle, spread = self._answers
        return ((y - middle) / spread).astype(np.float32), weight

    def outputs(self, part: dict[str, Any], dropped: Any = None) -> Any:
        """Readout at each answer, shape (batch, answers, outputs)."""
        import tensorflow as tf

        w, spec = self.weights, self.spec
        features = part["features"]
        if self._mixes:
            shape = tf.concat([tf.shape(features)[:2], [spec.input_size, spec.order]], 0)
            mixed = tf.einsum("btcq,cm->btmq", tf.reshape(features, shape), w["encoder"])
            features = tf.reshape(mixed, tf.concat([shape[:2], [spec.memories * spec.order]], 0))
        current = features @ w["hidden"] + w["hidden_bias"]
        activate = tf.tanh if spec.neuron.kind == "tanh" else tf.nn.relu
        if self.settings.cell != "recurrent":
            hidden = activate(current)
        else:
            drive = tf.transpose(current + part["x"] @ w["direct"], (1, 0, 2))
            first = tf.zeros_like(drive[0])
            every = tf.scan(lambda h, d: activate(d + h @ w["again"]), drive, first)
            hidden = tf.transpose(every, (1, 0, 2))
            if not (self.task.every or self.gathers):
                hidden = tf.gather(hidden, part["ends"], batch_dims=1)[:, None]
        if dropped is not None:
            hidden = hidden * dropped
        said = hidden @ w["readout"] + w["readout_bias"]
        if self.gathers:
            said = tf.reduce_sum(said * part["inside"][:, :, None], axis=1, keepdims=True)
        return said * self._share

    def _loss(self, outputs: Any, y: Any, weight: Any) -> Any:
        import tensorflow as tf

        if self.task.classifies:
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(y, outputs)
        else:
            each = tf.reduce_mean((outputs - y) ** 2, axis=-1)
        return tf.reduce_sum(weight * each) / tf.maximum(tf.reduce_sum(weight), 1e-9)

    def train(
        self, data: Dataset, validation: Dataset | None, epochs: int, report: Report
    ) -> tuple[Curve, int]:
        """Train; keeps the weights of the best validation loss, and says after which epoch."""
        import tensorflow as tf

        settings = self.settings
        batch = settings.batch_size or int(np.clip(len(data) // 8, 4, 100))
        steps = -(-len(data) // batch)
        # Validation decides the length of training, so that its rate must not depend on it.
        optimizer = cosine_adam(settings.learning_rate, settings.epochs * steps)
        variables = list(self.weights.values())
        optimizer.build(variables)
        usual = 0.2 if self.task.classifies else 0.0
        dropout = usual if settings.dropout is None else settings.dropout

        @tf.function(reduce_retracing=True)
        def update(part: Any, y: Any, weight: Any, seed: Any) -> Any:
            shape = (tf.shape(y)[0], 1, self.spec.units)
            seen = tf.random.stateless_uniform(shape, seed) >= dropout
            dropped = tf.cast(seen, tf.float32) / (1.0 - dropout) if dropout else None
            with tf.GradientTape() as tape:
                loss = self._loss(self.outputs(part, dropped), y, weight)
                sizes = [tf.reduce_sum(self.weights[n] ** 2) for n in self._decaying]
                total = loss + settings.decay * tf.add_n(sizes)
            gradients = [tf.clip_by_norm(g, 1.0) for g in tape.gradient(total, variables)]
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return loss

        inputs, (y, weight) = self._inputs(data), self._targets(data)
        held = None if validation is None else (self._inputs(validation), validation)
        curve: Curve = []
        best, kept, lowest = 0, None, np.inf
        for epoch in range(epochs):
            order = np.random.default_rng([settings.seed, epoch]).permutation(len(data))
            losses = []
            for step in range(steps):
                rows = order[step * batch : (step + 1) * batch]
                part = {name: tf.constant(values[rows]) for name, values in inputs.items()}
                seed = tf.constant([settings.seed, epoch * steps + step])
                losses.append(float(update(part, y[rows], weight[rows], seed)))
            entry = {"loss": float(np.mean(losses))}
            if held is not None:
                entry |= self._judge(*held)
                if entry["validation_loss"] < lowest:
                    lowest, best = entry["validation_loss"], epoch + 1
                    kept = [v.numpy() for v in variables]
            curve.append(entry)
            report(epoch + 1, epochs, entry)
            if held is not None and epoch + 1 - best >= settings.patience:
                break
        if kept is not None:
            for variable, values in zip(variables, kept, strict=True):
                variable.assign(values)
        return curve, best

    @property
    def _decaying(self) -> list[str]:
        return [name for name in self.weights if not name.endswith("bias")]

    def _judge(self, inputs: dict[str, Array], data: Dataset) -> dict[str, float]:
        """Loss and metric on the validation part."""
        outputs = self.predict(inputs)
        y, weight = self._targets(data)
        loss = float(self._loss(outputs, y, weight))
        if not self.task.every:
            outputs = outputs[:, 0]
        middle, spread = self._answers
        scaled = outputs if self.task.classifies else outputs * spread + middle
        metric = value_of(self.task, data.y, scaled, data.lengths)
        return {"validation_loss": loss, f"validation_{METRIC[self.task.metric].name}": metric}

    def predict(self, inputs: dict[str, Array], batch: int = 64) -> Array:
        """Outputs without dropout, as the network is trained on them."""
        import tensorflow as tf

        parts = []
        for start in range(0, len(inputs["features"]), batch):
            part = {n: tf.constant(v[start : start + batch]) for n, v in inputs.items()}
            parts.append(self.outputs(part).numpy())
        return np.concatenate(parts)

    def graph(self) -> Graph:
        """The network: what features and answers were scaled by is in the weights now."""
        w = {name: v.numpy().astype(float) for name, v in self.weights.items()}
        spread, middle = self._spread.astype(float), self._middle.astype(float)
        hidden_bias, hidden = w["hidden_bias"], w["hidden"]
        if not self._mixes:
            hidden_bias = hidden_bias - (middle / spread) @ hidden
            hidden = hidden / spread[:, None]
        else:
            hidden = hidden / spread[0]
        low, factor = self._answers
        readout, readout_bias = w["readout"] * factor, w["readout_bias"] * factor + low
        readout, readout_bias = readout * self._share, readout_bias * self._share
        if self.settings.cell == "dense":
            return _dense_graph(self.spec, hidden, hidden_bias, readout, readout_bias)
        graph = build(self.spec)
        learned = {"lmu.m_to_h": hidden.T, "readout_weights": readout.T}
        if self._mixes:
            learned["lmu.x_to_u"] = w["encoder"].T
        if self.settings.cell == "recurrent":
            learned |= {"lmu.x_to_h": w["direct"].T, "lmu.h_to_h": w["again"].T}
        biased = graph.with_populations(
            [
                replace(graph["lmu.h"], bias=hidden_bias),
                replace(graph["readout"], bias=readout_bias),
            ]
        )
        learnt = replace(
            biased,
            projections=tuple(
                Projection(p.pre, p.post, learned[p.name], p.tau, p.delay, p.name, p.trainable)
                if p.name in learned
                else p
                for p in graph.projections
            ),
        )
        return gathering(learnt) if self.gathers else learnt


def gathering(graph: Graph) -> Graph:
    """The graph whose answer is the sum of what it says at every input.

    What was the output is ``evidence`` now; the output adds to it what it was one input earlier.
    """
    said = graph[graph.output]
    populations = [replace(p, name="evidence") if p is said else p for p in graph.populations]
    projections = [
        replace(p, post="evidence") if p.post == said.name else p for p in graph.projections
    ]
    populations.append(Population(said.name, said.size))
    projections += [
        Projection("evidence", said.name, name="evidence_to_readout", trainable=False),
        Projection(
            said.name, said.name, np.ones(said.size), delay=1, name="gathered", trainable=False
        ),
    ]
    return Graph(tuple(populations), tuple(projections), graph.input, said.name)


def _dense_graph(
    spec: LmuSpec, hidden: Array, hidden_bias: Array, readout: Array, readout_bias: Array
) -> Graph:
    return Graph(
        (
            Population("x", spec.input_size),
            Population("hidden", spec.units, spec.neuron, bias=hidden_bias),
            Population("readout", spec.output_size, bias=readout_bias),
        ),
        (
            Projection("x", "hidden", hidden.T, name="hidden_weights"),
            Projection("hidden", "readout", readout.T, name="readout_weights"),
        ),
        "x",
        "readout",
    )


def _standard(features: Array, data: Dataset) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature over true steps."""
    values = features[data.mask] if features.shape[1] == data.x.shape[1] else features[:, 0]
    middle, spread = values.mean(axis=0), values.std(axis=0)
    usual = float(np.sqrt((spread.astype(float) ** 2).mean())) or 1.0
    # A feature that hardly changes is left small: scaled up, it would be noise on a chip.
    return middle, np.maximum(spread, 0.1 * usual).astype(np.float32)


def _answer_scale(data: Dataset) -> tuple[Array, Array]:
    """Mean and standard deviation of each output of a regression; 0 and 1 of classes."""
    if data.task.classifies:
        return np.zeros(data.outputs), np.ones(data.outputs)
    y = data.y[data.mask] if data.task.every else data.y
    spread = y.std(axis=0)
    return y.mean(axis=0), np.where(spread > 0, spread, 1.0)


def class_weights(data: Dataset, balance: bool | None) -> Array:
    """One for each class; with ``balance`` so that all classes weigh alike."""
    if not data.task.classifies:
        return np.ones(1)
    wanted = data.task.metric in ("balanced_accuracy", "f1") if balance is None else balance
    if not wanted:
        return np.ones(data.classes)
    y = data.y[data.mask] if data.task.every else data.y
    counts = np.bincount(y, minlength=data.classes)
    present = counts > 0
    weights: Array = np.where(present, y.size / (present.sum() * np.maximum(counts, 1)), 1.0)
    return weights
