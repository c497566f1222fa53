"""Train a rate network on, so that it bears being converted; in plain NumPy, without TensorFlow.

What a conversion does to activations is done to them in training: they are rounded to levels, or
noise of the size that a rate read from few spikes has is added.  Backwards, rounding counts as if
it were not there, with the slope of the activation itself (the straight-through estimator;
Bengio, Léonard & Courville, 2013, arXiv 1308.3432).  The gradient is that of backpropagation
through time (Werbos, 1990, *Backpropagation through time: what it does and how to do it*), the
optimizer Adam (:mod:`.adam`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spiking_lmu.analysis.fitting import require_fit
from spiking_lmu.analysis.samples import name_of
from spiking_lmu.conversion.levels import Levels, fit_levels, levels_at, rounding
from spiking_lmu.conversion.measure import measure_activity, run_rate
from spiking_lmu.errors import DatasetError, SpecError, with_choices
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model, require_model
from spiking_lmu.graph.trainable import untrainable
from spiking_lmu.runs.progress import Progress, shown

from .adam import Adam, clipped
from .checkpoint import Checkpoint, load_checkpoint, refused, require_alike, save_checkpoint
from .line import tune_line
from .tuned import FineTuningResult, FineTuningSettings, with_record

if TYPE_CHECKING:
    from spiking_lmu.datasets.dataset import Dataset

Array = np.ndarray
#: Norm at which a gradient is cut off.
MAX_NORM = 1.0
#: Added to the root in Adam.
EPSILON = 1e-8
#: Batches after which levels are fitted to the activations anew, and a checkpoint is written.
REFIT = 50
#: Share of the samples that is held out, and how many of them at most.
HELD_OUT, MOST_HELD_OUT = 0.1, 1000
#: From output and current of a neuron with amplitude one: the slope of its response.
SLOPES: dict[str, Callable[[Array], Array]] = {
    "relu": lambda output: (output > 0).astype(output.dtype),
    "tanh": lambda output: 1 - output**2,
    "sigmoid": lambda output: output * (1 - output),
}
RESPONSES: dict[str, Callable[[Array], Array]] = {
    "relu": lambda current: np.maximum(current, 0),
    "tanh": np.tanh,
    "sigmoid": lambda current: 0.5 + 0.5 * np.tanh(0.5 * current),
}


def fine_tune(
    model: Model,
    data: Dataset,
    settings: FineTuningSettings | None = None,
    *,
    checkpoint: str | PathLike[str] | None = None,
    progress: bool | Progress = True,
    **choices: Any,
) -> FineTuningResult:
    """Train ``model`` on with its activations rounded to ``levels`` values, or with noise on them.

    ::

        tuned = fine_tune(rate, data.train, noise=0.05)
        spiking = convert(tuned.model, code="level", levels=17, data=data.train)

    Weights of projections that may be trained change, and the biases of all neurons and outputs.
    A tenth of ``data`` is held out to say what it brought; test data has no place here.

    Parameters
    ----------
    model
        A rate model of relu, tanh or sigmoid neurons, or a spiking one whose rate model is.
    data
        Training samples.
    settings, choices
        See :class:`FineTuningSettings`; a choice is one of its fields by name.
    checkpoint
        File from which a run that was stopped goes on, to the same weights as without the stop;
        None keeps nothing.  Not for a line, whose training takes a minute or two.
    progress
        Show a bar, be silent, or tell one's own of each batch.

    Raises
    ------
    SpecError
        Neurons or transforms that are not trained here, or settings out of range.
    DatasetError
        Data that are not what the model takes and answers.
    FileError
        The checkpoint is damaged, or of another run.

    ``fine_tune(rate, data.train, levels=5).model`` bears ``convert(..., code="level", levels=5)``.
    """
    require_model(model)
    settings = with_choices(settings or FineTuningSettings(), choices)
    require_fit(name_of(model), model, data)
    if model.graph.spiking:
        origin = {k: v for k, v in model.provenance.items() if k != "conversion"}
        model = replace(model.rate_model, provenance=origin)
    if len(data) < 2:
        raise DatasetError(
            data.what,
            got="1 sample",
            expected="at least 2, of which one is held out",
            fix="train on with more samples",
        )
    if settings.memory == "line":
        if checkpoint is not None:
            raise SpecError(
                "checkpoint",
                got="one with memory='line'",
                expected="none: that training takes a minute or two",
                fix="leave it out",
            )
        return tune_line(model, data, settings, progress)
    _require_trainable(model)
    batches, batch_size = settings.batches, settings.batch_size
    rng = np.random.default_rng(settings.seed)
    scaled = model.scaling.apply if model.scaling is not None else (lambda x: x)
    held = min(MOST_HELD_OUT, max(1, int(HELD_OUT * len(data))))
    order = rng.permutation(len(data))
    kept, used = data.subset(order[:held]), order[held:]
    first = np.sort(used[: min(len(used), batch_size)])
    change = _Change(settings.levels, settings.noise, rng)
    change.fit(model.graph, scaled(np.asarray(data.x[first], np.float32)), data.lengths[first])
    network = Unrolled(model.graph, change)
    names = list(network.parameters)
    adam = Adam([network.parameters[name] for name in names], epsilon=EPSILON)
    before = _score(model, kept, scaled, change), _score(model, kept, scaled, None)
    run = _Progress(network, names, adam, change, rng, np.zeros(0, np.int64), [])
    place = None
    if checkpoint is not None:
        sources = {"model": model.digest, "data": data.digest}
        place = Path(checkpoint), {**asdict(settings), **sources}
        run = run.restored(*place, samples=len(data))
    adam, losses, queue = run.adam, run.losses, run.queue
    # What overflows is noticed where gradients are cut off, and refused there in one line.
    with shown(progress) as told, np.errstate(over="ignore", invalid="ignore"):
        told.start(f"training on {data.name}", len(losses), batches, "batches")
        for batch in range(len(losses), batches):
            if len(queue) < min(batch_size, len(used)):
                queue = np.concatenate([queue, rng.permutation(used)])
            chosen, queue = queue[:batch_size], queue[batch_size:]
            x = scaled(np.asarray(data.x[chosen], np.float32))
            outputs = network.forward(x)
            loss, slope = loss_and_slope(model.task, outputs, data.y[chosen], data.lengths[chosen])
            gradient = network.backward(slope)
            adam.step(
                clipped([gradient[name] for name in names], MAX_NORM),
                settings.learning_rate * (1.0 - batch / batches),
            )
            losses.append(loss)
            if (batch + 1) % REFIT == 0:
                change.refit(network, data.lengths[chosen])
                if place is not None:
                    replace(run, queue=queue).save(*place)
            told.advance(1, f"loss {loss:.4f}")
    graph = network.graph_now()
    sample = scaled(np.asarray(data.x[first], np.float32))
    tuned = replace(
        model,
        graph=graph,
        activity=measure_activity(graph, sample, data.lengths[first]),
        provenance=with_record(model, data, settings),
    )
    change.fit(graph, sample, data.lengths[first])
    after = _score(tuned, kept, scaled, change), _score(tuned, kept, scaled, None)
    return FineTuningResult(tuned, before[0], after[0], before[1], after[1], held, tuple(losses))


@dataclass(frozen=True, eq=False)
class _Progress:
    """Where a run is: all that its next batch depends on."""

    network: Unrolled
    #: Of the parameters, in the optimizer's order.
    names: list[str]
    adam: Adam
    change: _Change
    rng: np.random.Generator
    #: Samples that come next, before the order is drawn anew.
    queue: Array
    losses: list[float]

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write it to a checkpoint."""
        curve = [{"loss": loss} for loss in self.losses]
        weights = [self.network.parameters[name] for name in self.names]
        save_checkpoint(path, Checkpoint(settings, curve, weights, self._state))

    @property
    def _state(self) -> list[Array]:
        levels = self.change.state
        return [*self.adam.state, *levels, generator_state(self.rng), self.queue]

    def restored(self, path: Path, settings: dict[str, Any], samples: int) -> _Progress:
        """The progress that a checkpoint holds; this one if there is none.

        Raises
        ------
        FileError
            The checkpoint is damaged, or of another run.
        """
        found = load_checkpoint(path, settings)
        if found is None:
            return self
        *state, queue = found.optimizer
        weights = [self.network.parameters[name] for name in self.names]
        whole = replace(found, optimizer=state)
        require_alike(path, whole, (weights, self._state[:-1]))
        # The queue alone is of any length, and says which samples are taken.
        alike = replace(found, optimizer=[queue[:0]], weights=[])
        require_alike(path, alike, ([], [self.queue[:0]]))
        if queue.size and not 0 <= queue.min() <= queue.max() < samples:
            raise refused(path, "samples that the data do not have")
        for parameter, value in zip(weights, found.weights, strict=True):
            parameter[...] = value
        moments = len(self.adam.state)
        adam = Adam(weights, EPSILON, [np.array(a) for a in state[:moments]])
        self.change.restore(self.network.graph, state[moments:-1])
        restore_generator(self.rng, state[-1])
        losses = [entry["loss"] for entry in found.curve]
        return replace(self, adam=adam, queue=np.array(queue), losses=losses)


def generator_state(rng: np.random.Generator) -> Array:
    """The state of NumPy's usual generator as (6,) 64-bit numbers."""
    state = rng.bit_generator.state
    inner, word = state["state"], 2**64
    halves = [part for n in (inner["state"], inner["inc"]) for part in divmod(n, word)]
    return np.array([*halves, state["has_uint32"], state["uinteger"]], np.uint64)


def restore_generator(rng: np.random.Generator, numbers: Array) -> None:
    """Make ``rng`` go on as the one of `generator_state`.

    >>> rng = np.random.default_rng(1)
    >>> kept, wanted = generator_state(rng), rng.normal()
    >>> restore_generator(rng, kept)
    >>> rng.normal() == wanted
    True
    """
    high, low, more, less, has, spare = (int(n) for n in numbers)
    rng.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": (high << 64) + low, "inc": (more << 64) + less},
        "has_uint32": has & 1,
        "uinteger": spare & 0xFFFFFFFF,
    }


def _require_trainable(model: Model) -> None:
    """Raise a SpecError for a network that is not trained here."""
    found = untrainable(model.graph)
    if found is not None:
        what, got, expected = found
        fix = "train it with the framework that it comes from"
        raise SpecError(what, got=got, expected=expected, fix=fix)


class _Change:
    """What a conversion does to activations."""

    def __init__(self, levels: int | None, noise: float, rng: np.random.Generator) -> None:
        self._count, self._noise, self._rng = levels, noise, rng
        self._levels: dict[str, Levels] = {}
        self._spread: dict[str, float] = {}

    def fit(self, graph: Graph, x: Array, lengths: Array) -> None:
        """Set levels and the size of noise by the activations of a rate graph, without padding."""
        seen: dict[str, list[Array]] = {p.name: [] for p in _neurons(graph)}

        def observe(step: int, values: dict[str, Array], totals: dict[str, Array]) -> None:
            for name, parts in seen.items():
                parts.append(values[name].astype(np.float32))

        for last in np.unique(lengths).tolist():
            run_rate(graph, x[lengths == last, :last], observe=observe)
        self._fit(graph, {name: np.concatenate(parts) for name, parts in seen.items()})

    def refit(self, network: Unrolled, lengths: Array) -> None:
        """The same by the activations of the last batch, as they were before they were changed."""
        self._fit(network.graph, {n: network.plain(n, lengths) for n in self._spread})

    def _fit(self, graph: Graph, outputs: dict[str, Array]) -> None:
        for name, values in outputs.items():
            self._spread[name] = float(np.percentile(np.abs(values), 99.9)) * self._noise
            if self._count is not None and np.ptp(values) > 0:
                self._levels[name] = fit_levels(graph[name].neuron, values, self._count)

    @property
    def state(self) -> list[Array]:
        """For each population the size of its noise, and its levels, (1, L) or (1, 0)."""
        none = np.zeros((1, 0))
        return [
            part
            for name, spread in self._spread.items()
            for part in (
                np.array(spread),
                self._levels[name].values if name in self._levels else none,
            )
        ]

    def restore(self, graph: Graph, state: list[Array]) -> None:
        """Take over what :attr:`state` was."""
        for name, spread, values in zip(list(self._spread), state[::2], state[1::2], strict=True):
            self._spread[name] = float(spread)
            if values.size:
                self._levels[name] = levels_at(graph[name].neuron, np.sort(values))

    def __call__(self, name: str, values: Array) -> Array:
        """Activations of a population in one step as others see them."""
        if name in self._levels:
            values = self._levels[name].round(values).astype(values.dtype)
        if self._spread[name] > 0:
            drawn = self._rng.standard_normal(values.shape, dtype=np.float32)
            values = values + np.float32(self._spread[name]) * drawn
        return values

    def alterations(self) -> dict[str, Callable[[Array], Array]]:
        """For :func:`run_rate`."""
        if self._levels:
            return dict(rounding(self._levels))

        def noisy(name: str) -> Callable[[Array], Array]:
            return lambda values: self(name, values)

        return {name: noisy(name) for name in self._spread}


def _neurons(graph: Graph) -> list[Population]:
    return [p for p in graph.populations if p.neuron.kind != "linear"]


class Unrolled:
    """A graph over all inputs of a batch, in float32, and the gradient of its parameters.

    ``parameters`` are float32 arrays that may be changed in place: weights by the name of their
    projection, biases by ``bias of`` and the name of their population.
    """

    def __init__(self, graph: Graph, change: Callable[[str, Array], Array]) -> None:
        self.graph, self._change = graph, change
        self._incoming = {p.name: graph.incoming(p.name) for p in graph.populations}
        self._weights: dict[str, Array | None] = {}
        self.parameters: dict[str, Array] = {}
        self._trained = [p for p in graph.projections if p.trainable and p.weights is not None]
        for p in graph.projections:
            weights = p.weights
            self._weights[p.name] = None if weights is None else weights.astype(np.float32)
        for p in self._trained:
            self.parameters[p.name] = self._weights[p.name]  # type: ignore[assignment]
        biased = {p.name for p in _neurons(graph)} | {graph.output}
        self._bias = {p.name: p.bias.astype(np.float32) for p in graph.populations}
        self.parameters |= {f"bias of {name}": self._bias[name] for name in sorted(biased)}
        self._gain = {p.name: p.gain.astype(np.float32) for p in graph.populations}
        self._carrying = self._find_carrying(biased)

    def _find_carrying(self, biased: set[str]) -> set[str]:
        """Populations whose values depend on a parameter."""
        found = biased | {p.post for p in self._trained}
        while more := {p.post for p in self.graph.projections if p.pre in found} - found:
            found |= more
        return found

    def _apply(self, projection: Projection, values: Array) -> Array:
        weights = self._weights[projection.name]
        if weights is None:
            return values
        return values @ weights.T if weights.ndim == 2 else values * weights

    def forward(self, x: Array) -> Array:
        """Outputs (inputs, batch, outputs) for ``x`` (batch, inputs, size); all values are kept."""
        batch, inputs, _ = x.shape
        graph = self.graph
        self._values = {
            p.name: np.empty((inputs, batch, p.size), np.float32) for p in graph.populations
        }
        self._plain = {p.name: np.empty_like(self._values[p.name]) for p in _neurons(graph)}
        for t in range(inputs):
            for name in graph.order:
                population = graph[name]
                total: Any = x[:, t] if name == graph.input else np.float32(0)
                for p in self._incoming[name]:
                    if p.immediate or t:
                        total = total + self._apply(p, self._values[p.pre][t - p.delay])
                current = self._gain[name] * total + self._bias[name]
                if population.neuron.kind == "linear":
                    self._values[name][t] = current
                    continue
                output = RESPONSES[population.neuron.kind](current)
                self._plain[name][t] = output
                output = np.float32(population.neuron.amplitude) * output
                self._values[name][t] = self._change(name, output)
        return self._values[graph.output]

    def plain(self, name: str, lengths: Array) -> Array:
        """A population's activations in the last batch, unchanged and without padding.

        Shape (inputs of all samples, size); ``lengths`` (batch,) are the inputs of each sample.
        """
        amplitude, values = np.float32(self.graph[name].neuron.amplitude), self._plain[name]
        return amplitude * values[np.arange(len(values))[:, None] < lengths]

    def backward(self, slope: Array) -> dict[str, Array]:
        """The gradient of each parameter from that of the outputs (inputs, batch, outputs)."""
        graph, inputs = self.graph, len(slope)
        zero = np.zeros(slope.shape[1:2], np.float32)[:, None]
        totals = {p.post: np.zeros_like(self._values[p.post]) for p in self._trained}
        gradient = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        later: dict[str, Any] = {}
        for t in reversed(range(inputs)):
            now, later = later, {}
            now[graph.output] = now.get(graph.output, zero) + slope[t]
            for name in reversed(graph.order):
                if name not in self._carrying or name not in now:
                    continue
                g, neuron = now[name], graph[name].neuron
                if neuron.kind != "linear":
                    steep = SLOPES[neuron.kind](self._plain[name][t])
                    g = g * steep * np.float32(neuron.amplitude)
                if f"bias of {name}" in gradient:
                    gradient[f"bias of {name}"] += g.sum(axis=0)
                g = g * self._gain[name]
                if name in totals:
                    totals[name][t] = g
                for p in self._incoming[name]:
                    if p.pre not in self._carrying or (p.delay and t == 0):
                        continue
                    weights = self._weights[p.name]
                    back = (
                        g if weights is None else g @ weights if weights.ndim == 2 else g * weights
                    )
                    into = later if p.delay else now
                    into[p.pre] = into[p.pre] + back if p.pre in into else back
        for p in self._trained:
            g, source = totals[p.post][p.delay :], self._values[p.pre][: inputs - p.delay]
            g, source = g.reshape(-1, g.shape[-1]), source.reshape(-1, source.shape[-1])
            dense = self.parameters[p.name].ndim == 2
            gradient[p.name] = g.T @ source if dense else (g * source).sum(axis=0)
        return gradient

    def graph_now(self) -> Graph:
        """The graph with the parameters as they are."""
        projections = [
            p.with_weights(self.parameters[p.name].astype(float))
            if p.name in self.parameters
            else p
            for p in self.graph.projections
        ]
        populations = [
            replace(p, bias=self.parameters[f"bias of {p.name}"].astype(float))
            if f"bias of {p.name}" in self.parameters
            else p
            for p in self.graph.populations
        ]
        return replace(self.graph, populations=tuple(populations), projections=tuple(projections))


def loss_and_slope(
    task: Any, outputs: Array, answers: Array, lengths: Array
) -> tuple[float, Array]:
    """Mean loss, and its slope, for outputs (inputs, batch, outputs)."""
    inputs, batch, _ = outputs.shape
    slope = np.zeros_like(outputs)
    if task.every:
        counted = np.arange(inputs)[:, None] < lengths
        places = np.nonzero(counted)
        wanted = np.moveaxis(answers[:, :inputs], 1, 0)[places]
    else:
        places = (lengths - 1, np.arange(batch))
        wanted = answers
    seen = outputs[places].astype(float)
    number = len(seen)
    if task.classifies:
        shifted = seen - seen.max(axis=1, keepdims=True)
        share = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        right = share[np.arange(number), wanted]
        share[np.arange(number), wanted] -= 1.0
        slope[places] = share / number
        return float(-np.log(np.maximum(right, 1e-30)).mean()), slope
    error = seen - wanted.reshape(seen.shape)
    slope[places] = 2.0 * error / error.size
    return float((error**2).mean()), slope


def _score(
    model: Model, data: Dataset, scaled: Callable[[Array], Array], change: _Change | None
) -> float:
    """Share of right decisions, or the relative error of numbers."""
    alter = None if change is None else change.alterations()
    outputs = run_rate(model.graph, scaled(np.asarray(data.x)), alter=alter)
    if model.task.every:
        seen, wanted = outputs[data.mask], data.y[data.mask]
    else:
        seen, wanted = outputs[np.arange(len(outputs)), data.lengths - 1], data.y
    if model.task.classifies:
        return float((seen.argmax(axis=1) == wanted).mean())
    wanted = wanted.reshape(seen.shape)
    return float(np.linalg.norm(seen - wanted) / (np.linalg.norm(wanted) or 1.0))
