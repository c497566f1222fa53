"""The living definition of what a graph computes, in plain NumPy.

Slow where others are fast, and short enough to read: every target is measured against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from spiking_lmu.errors import SpecError

from .cells import NengoCells
from .graph import Graph, Population, Projection
from .neurons import Neuron, response
from .timing import Timing, lowpass_decay

Array = np.ndarray
#: Called after each step with its number and, by population, outputs and summed inputs.
Observer = Callable[[int, dict[str, Array], dict[str, Array]], None]
#: From a population's outputs to those that others see, same shape.
Alteration = Callable[[Array], Array]
#: From a spiking neuron, a shape and dt in seconds: a function from one step's current to the
#: number of spikes in that step (or its expectation), starting at rest.
MakeStepper = Callable[[Neuron, tuple[int, ...], float], Callable[[Array], Array]]


def run_reference(
    graph: Graph,
    x: Array,
    timing: Timing | None = None,
    observe: Observer | None = None,
    cells: MakeStepper | None = None,
    alter: Mapping[str, Alteration] | None = None,
) -> Array:
    """Run ``graph`` on a batch of input sequences.

    Parameters
    ----------
    graph
        Rate or spiking.
    x
        Inputs, shape (batch, inputs, input_size).
    timing
        How long each input is presented; one step of ``graph.dt`` each if not given.
    observe
        Sees every population's output and its summed input, before gain and bias, after each
        step; each (batch, size).
    cells
        What spiking neurons do with their current; Nengo's if not given.
    alter
        By population: a function of its outputs (batch, size) that gives what all others see
        in their place.  So a rate network can be run with rounded or noisy activations.

    Returns
    -------
    Outputs of shape (batch, steps, output_size), float64; with a readout filter, filtered up
    to the previous step, like every synapse.

    Raises
    ------
    SpecError
        No graph; ``x`` has another shape than its input, or is not finite; or a presentation is
        over before what a projection reads of it begins (``mean_from``).

    >>> from spiking_lmu.graph.lmu import LmuSpec, build
    >>> graph = build(LmuSpec(order=4, units=8, theta=12.0, output_size=3))
    >>> run_reference(graph, np.ones((2, 12, 1))).shape
    (2, 12, 3)
    """
    if not isinstance(graph, Graph):
        got, fix = type(graph).__name__, "pass model.graph, and model.scaled(x) for data"
        raise SpecError("graph", got=got, expected="a Graph", fix=fix)
    timing = timing or Timing(dt=graph.dt)
    x = check_input(graph, x)
    batch, inputs, _ = x.shape
    state = _State(graph, batch, timing, cells or NengoCells().stepper, alter or {})
    decay = lowpass_decay(timing.readout_tau, timing.dt)
    filtered = np.zeros((batch, graph.output_size))
    outputs = np.empty((batch, timing.total_steps(inputs), graph.output_size))
    pulses = {
        p.name: timing.pulses(inputs, p.pulse) for p in graph.populations if p.pulse is not None
    }
    shown = x[:, 0]
    for step, index in enumerate(timing.presented(inputs)):
        given = {
            name: np.full((batch, graph[name].size), each[step]) for name, each in pulses.items()
        }
        starts = timing.starts_presentation(step, inputs)
        shown = x[:, index] if starts else shown
        given[graph.input] = shown
        values = state.step(step, given, int(index) if starts else None)
        outputs[:, step] = filtered if timing.readout_tau else values[graph.output]
        filtered = decay * filtered + (1.0 - decay) * values[graph.output]
        if observe is not None:
            observe(step, values, state.totals)
    return outputs


def check_input(graph: Graph, x: Array, inputs: int | None = None) -> Array:
    """``x`` as float64 of shape (batch, inputs, input_size).

    Parameters
    ----------
    inputs
        How many inputs every sample has to have; any number if not given.

    Raises
    ------
    SpecError
        Another shape, samples of different lengths, or numbers that are not finite.
    """
    want = f"(batch, inputs, {graph.input_size})"
    try:
        x = np.asarray(x, dtype=float)
    except (TypeError, ValueError) as error:
        raise SpecError(
            "input data",
            got="samples of different lengths, or something else than numbers",
            expected=f"an array {want}",
            fix="run samples of one length at a time",
        ) from error
    if x.ndim != 3 or x.shape[2] != graph.input_size or 0 in x.shape:
        raise SpecError(
            "input data",
            got=f"shape {x.shape}",
            expected=want,
            fix="use the data that the network was trained on",
        )
    if inputs is not None and x.shape[1] != inputs:
        raise SpecError(
            "input data",
            got=f"{x.shape[1]} inputs a sample",
            expected=f"{inputs}, for which the model was deployed",
            fix=f"deploy the model for {x.shape[1]} inputs",
        )
    if not np.isfinite(x).all():
        raise SpecError(
            "input data", got="NaN or infinity", expected="finite numbers", fix="clean the data"
        )
    return x


class _State:
    """What one batch carries from step to step; everything starts at zero."""

    def __init__(
        self,
        graph: Graph,
        batch: int,
        timing: Timing,
        cells: MakeStepper,
        alter: Mapping[str, Alteration],
    ) -> None:
        self.graph, self.timing, self.dt, self.alter = graph, timing, timing.dt, alter
        sizes = {p.name: p.size for p in graph.populations}
        self.values = {name: np.zeros((batch, size)) for name, size in sizes.items()}
        self.held = {p.name: np.zeros((batch, sizes[p.pre])) for p in graph.projections if p.delay}
        #: By projection: the steps of its mean, and the sum over those of this presentation so far.
        self.averaged = {
            p.name: timing.averaged_steps(p.mean_from)
            for p in graph.projections
            if p.mean_from is not None
        }
        self.sums = {name: np.zeros_like(self.held[name]) for name in self.averaged}
        self.filtered = {
            p.name: np.zeros((batch, sizes[p.pre])) for p in graph.projections if p.tau is not None
        }
        self.neurons = {p.name: cells(p.neuron, (batch, p.size), timing.dt) for p in graph.spiking}
        self.incoming = {name: graph.incoming(name) for name in sizes}
        #: By population: the arrays that its total was added up from in the step before.
        self.sources: dict[str, list[Array]] = {}
        self.totals: dict[str, Array] = {}

    def step(self, number: int, given: dict[str, Array], begun: int | None) -> dict[str, Array]:
        """One step, with what the input and pulses show in it; ``begun`` is the presentation that
        starts with it, if one does.
        """
        graph = self.graph
        if begun is not None:
            for projection in graph.projections:
                if projection.delay:
                    ended = self._of_presentation(projection)
                    if begun >= projection.begins:
                        self.held[projection.name] = ended
        values: dict[str, Array] = {}
        # Whoever observes may keep those of the step before.
        self.totals = dict(self.totals)
        for name in graph.order:
            population = graph[name]
            changed = self._add_up(population, given, values)
            total = self.totals[name]
            if not changed and not population.neuron.spiking and name not in self.alter:
                values[name] = self.values[name]
                continue
            current = population.scale * (population.gain * total + population.bias)
            values[name] = self._output(population, current)
            if name in self.alter:
                values[name] = self.alter[name](values[name])
        self.values = values
        for projection in graph.projections:
            first = projection.mean_from
            if first is not None and self.timing.averaged(number, first):
                self.sums[projection.name] += values[projection.pre]
            if projection.tau is not None:
                keep = lowpass_decay(projection.tau, self.dt)
                old = self.filtered[projection.name]
                self.filtered[projection.name] = keep * old + (1.0 - keep) * values[projection.pre]
        return values

    def _of_presentation(self, projection: Projection) -> Array:
        """What a projection with a delay reads of the presentation that has ended."""
        name = projection.name
        if projection.mean_from is None:
            return self.values[projection.pre]
        mean: Array = self.sums[name] / self.averaged[name]
        self.sums[name][...] = 0.0
        return mean

    def _add_up(
        self, population: Population, given: dict[str, Array], values: dict[str, Array]
    ) -> bool:
        """Put the population's total into :attr:`totals`; whether it changed since the last step.

        While one input is shown, whatever that input alone decides stays the same arrays.  It is
        not computed again: in a large dense network such products take nearly all of the time.
        """
        name, incoming = population.name, self.incoming[population.name]
        shown = name in given
        sources = [given[name]] if shown else [self._source(p, values) for p in incoming]
        before = self.sources.get(name)
        if before is not None and all(a is b for a, b in zip(sources, before, strict=True)):
            return False
        self.sources[name] = sources
        if shown:
            self.totals[name] = given[name]
            return True
        total = np.zeros_like(self.values[name])
        for projection, source in zip(incoming, sources, strict=True):
            total += projection.apply(source)
        self.totals[name] = total
        return True

    def _source(self, projection: Projection, values: dict[str, Array]) -> Array:
        if projection.delay:
            return self.held[projection.name]
        if projection.tau is not None:
            return self.filtered[projection.name]
        return values[projection.pre]

    def _output(self, population: Population, current: Array) -> Array:
        neuron = population.neuron
        if not neuron.spiking:
            return response(neuron, current) / population.scale
        spikes = self.neurons[population.name](current)
        return spikes * population.spike_size(self.dt)
