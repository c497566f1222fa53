"""``convert``: chain the passes, choose the timing, and record how it was done."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from spiking_lmu.datasets.dataset import Dataset
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.graph import DEFAULT_DT, Graph
from spiking_lmu.graph.model import Activity, Model, require_model
from spiking_lmu.graph.rate_twin import on_presentations, rate_twin
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

from .levels import DIGITS, LEVELS, Recording, code_model
from .line import RESETS, LineCode, line_memory
from .line_levels import level_line
from .measure import measure_activity
from .passes import (
    add_synapses,
    clip_weights,
    first_layers_on_host,
    fold_between_neurons,
    leaky_populations,
    scale_rates,
    swap_neurons,
)

NEURONS = {"relu": "spiking_relu", "lif": "lif"}
MEMORIES = ("host", "line")
PLACES = ("host", "chip")
#: What suits a memory as a line: the current of a volley decays over 50 steps, and spikes are
#: counted for 150.
LINE_DEFAULTS: dict[str, Any] = {
    "max_rate": 500.0,
    "settle_steps": 150,
    "readout_tau": 0.5,
    "synapse_tau": 0.05,
}
#: The same where hidden neurons keep what is left above their threshold: a spike in each of nine
#: steps at the 99.9th percentile, and a filter so slow that it counts them.
SUBTRACT_DEFAULTS: dict[str, Any] = {
    "max_rate": 1000.0,
    "settle_steps": 12,
    "readout_tau": 5.0,
    "synapse_tau": 0.05,
}
CODES = ("rate", "level")
FEEDBACKS = ("lowpass", "count")
#: Inputs from one answer to the next.
EVERY = range(1, 10**6 + 1)
#: Hz at which LIF neurons in the place of rectified linear ones fire, by default: half of what
#: their refractory time of 2 ms allows.  Their curve is the less straight the higher it goes.
LIF_RATE = 250.0
#: Time constant of the lowpass on spikes that feed back, as a share of a presentation.
SYNAPSE_SHARE = 0.2
#: Until what a chip sends says what an input is: two steps on the way, and seconds in which the
#: currents that it gets as spikes of on/off neurons, with a filter of 5 ms, come to four fifths.
CHIP_STEPS, CHIP_SETTLES = 2, 0.008
#: Saturating units that are better as pairs of LIF neurons than as pieces of rectified linear ones,
#: of which each is some of a spike off: where they are counted, and on a chip.  There the pieces,
#: five times as many, lose more than a pair's curve of another shape; sigmoid units do not.
PAIRS_COUNTED, PAIRS_ON_CHIP = ("tanh", "sigmoid"), ("tanh",)
#: Inputs on which a rate model is compared under two timings.
CHECKED_INPUTS = 8


@dataclass(frozen=True)
class Options:
    """Choices of a conversion.

    Parameters
    ----------
    neuron
        ``relu`` (SpikingRectifiedLinear) or ``lif``.
    max_rate
        Firing rate in Hz at the 99.9th percentile of activation on training data.
    rates
        The same for single populations, by their name in the rate graph; LIF neurons that were
        trained as such fire as they were trained.
    steps_per_input, settle_steps, readout_tau, dt
        See :class:`spiking_lmu.graph.timing.Timing`; seconds for the filter and the step.  What
        was trained does not depend on dt: its synapses move once a presentation.
    synapse_tau
        Lowpass in seconds between spiking populations, and where spikes feed back through one.
    feedback
        How what feeds back is read from rate-coded spikes at the end of an input of several steps:
        ``lowpass``, or ``count``, the mean over the input.  A count has no memory of the inputs
        before; where a neuron keeps what is left above its threshold, N spikes at full rate tell
        its activation to a standard deviation of 1/(√6 N).
    count_from
        The step of an input, from 0, with which the count begins: spikes of a chip are late.
    clip_weights
        Weights between spiking populations are cut off at this percentile of their sizes; 100
        leaves them alone.
    first_layer
        Where a chip's host keeps the first of several rate-coded layers, if numbers drive it:
        ``host``, from where it sends its spikes, or ``chip``, which gets its currents as spikes
        of on/off neurons (:func:`spiking_lmu.conversion.passes.first_layers_on_host`).
    memory
        ``host``: linear populations stay linear.  ``line``: a linear memory becomes a line of
        spikes (:mod:`spiking_lmu.conversion.line`), and ``synapse_tau`` holds the current of the
        neurons that read it.
    bits, line_code, window
        Of the line, see :class:`spiking_lmu.conversion.line.LineCode`; not used with ``host``.
    reset
        Of the rate-coded neurons that read a line: ``zero``, they forget what is left above
        their threshold; ``subtract``, they keep it (:data:`spiking_lmu.conversion.line.RESETS`).
    code
        ``rate``: a unit's value is how often one neuron fires.  ``level``: it is which of a few
        neurons fire in one step (:mod:`spiking_lmu.conversion.levels`); then of the above only
        the memory and its line are used
        (:mod:`spiking_lmu.conversion.line_levels`).
    levels
        Values that a level-coded unit can have, 2 to 65.
    input_bits
        Binary digits, besides the sign, in which what does not spike reaches level-coded units.
    per_unit
        Whether each level-coded unit has levels of its own, or all of a layer the same.
    every
        Inputs from one answer to the next where level-coded units read a line; an answer stands
        until the next.
    free_running
        Whether the answer to an input is to be the next input, on a chip too
        (:func:`spiking_lmu.free_run`): level-coded units then take as many steps an input as it
        takes to the chip and back, and not one.  Rates have steps enough.
    """

    neuron: str = "relu"
    max_rate: float = 250.0
    steps_per_input: int = 1
    settle_steps: int = 50
    readout_tau: float = 0.010
    dt: float = DEFAULT_DT
    synapse_tau: float = 0.005
    feedback: str = "lowpass"
    count_from: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)
    clip_weights: float = 100.0
    first_layer: str = "host"
    memory: str = "host"
    bits: int = 1
    line_code: str = "magnitude"
    window: int | None = None
    reset: str = "zero"
    code: str = "rate"
    levels: int = 5
    input_bits: int = 6
    per_unit: bool = False
    every: int = 1
    free_running: bool = False

    def __post_init__(self) -> None:
        if self.neuron not in NEURONS:
            raise SpecError(
                "neuron", got=repr(self.neuron), expected=" or ".join(NEURONS), fix="choose one"
            )
        named = {f"rate of {name}": rate for name, rate in self.rates.items()}
        for name, rate in {"max_rate": self.max_rate, **named}.items():
            if not 1.0 <= rate <= 100_000.0:
                raise SpecError(name, got=f"{rate}", expected="1 to 100000 Hz", fix="try 250")
        if not 0.0 < self.synapse_tau <= 10.0:
            raise SpecError(
                "synapse_tau", got=f"{self.synapse_tau}", expected="0 to 10 s", fix="try 0.005"
            )
        self._check_feedback()
        if not 50.0 <= self.clip_weights <= 100.0:
            raise SpecError(
                "clip_weights",
                got=f"{self.clip_weights}",
                expected="a percentile of 50 to 100",
                fix="try 99",
            )
        if self.first_layer not in PLACES:
            raise SpecError(
                "first_layer",
                got=repr(self.first_layer),
                expected=" or ".join(PLACES),
                fix="choose one",
            )
        if self.memory not in MEMORIES:
            raise SpecError(
                "memory", got=repr(self.memory), expected=" or ".join(MEMORIES), fix="choose one"
            )
        if self.memory == "line" and self.code == "rate" and self.neuron != "relu":
            raise SpecError(
                "neuron",
                got=f"{self.neuron!r} with memory='line'",
                expected="relu: what a decaying current makes of it is the same at any strength",
                fix="use neuron='relu', or memory='host'",
            )
        LineCode(self.bits, code=self.line_code, window=self.window)
        if self.reset not in RESETS:
            raise SpecError(
                "reset", got=repr(self.reset), expected=" or ".join(RESETS), fix="choose one"
            )
        if self.reset == "subtract" and (self.memory, self.code) != ("line", "rate"):
            raise SpecError(
                "reset",
                got=f"'subtract' with memory={self.memory!r} and code={self.code!r}",
                expected="memory='line' and code='rate', whose neurons read one volley of spikes",
                fix="use both, or leave reset out",
            )
        if self.code not in CODES:
            raise SpecError(
                "code", got=repr(self.code), expected=" or ".join(CODES), fix="choose one"
            )
        for name, value, allowed in (
            ("levels", self.levels, LEVELS),
            ("input_bits", self.input_bits, DIGITS),
        ):
            if isinstance(value, bool) or value not in allowed:
                expected = f"a whole number from {allowed[0]} to {allowed[-1]}"
                raise SpecError(name, got=repr(value), expected=expected, fix="try 5")
        if isinstance(self.every, bool) or self.every not in EVERY:
            raise SpecError(
                "every",
                got=repr(self.every),
                expected=f"a whole number of inputs from {EVERY[0]} to {EVERY[-1]}",
                fix="try 10",
            )
        if self.every > 1 and (self.memory, self.code) != ("line", "level"):
            raise SpecError(
                "every",
                got=f"{self.every} with memory={self.memory!r} and code={self.code!r}",
                expected="memory='line' and code='level', whose units read a line through a gate",
                fix="use both, or leave every out",
            )
        if self.free_running and self.memory == "line":
            raise SpecError(
                "free_running",
                got="True with memory='line'",
                expected="memory='host', where an answer can be an input",
                fix="leave one of the two out",
            )

    def _check_feedback(self) -> None:
        if self.feedback not in FEEDBACKS:
            raise SpecError(
                "feedback",
                got=repr(self.feedback),
                expected=" or ".join(FEEDBACKS),
                fix="choose one",
            )
        first = self.count_from
        if isinstance(first, bool) or not isinstance(first, int) or first < 0:
            raise SpecError(
                "count_from",
                got=repr(first),
                expected="a whole number of steps from 0",
                fix="try 0",
            )
        if self.feedback != "count":
            if first:
                raise SpecError(
                    "count_from",
                    got=f"{first} with feedback={self.feedback!r}",
                    expected="feedback='count', with several steps an input",
                    fix="use both, or leave count_from out",
                )
            return
        if (self.memory, self.code) != ("host", "rate"):
            raise SpecError(
                "feedback",
                got=f"'count' with memory={self.memory!r} and code={self.code!r}",
                expected="memory='host' and code='rate', whose spikes are read over several steps",
                fix="use both, or leave feedback out",
            )
        if first >= self.steps_per_input or self.steps_per_input == 1:
            raise SpecError(
                "feedback",
                got=f"'count' from step {first} of {self.steps_per_input} an input",
                expected="several steps an input, and some of them left to count in",
                fix=f"use steps_per_input={max(first + 1, 2)} or more, or feedback='lowpass'",
            )


#: One answer, after the last input: five time constants of the filter that it is read with.  With
#: half of both a dense network on MNIST loses 1.8 points on Loihi, with these 0.1.
SETTLED = {"settle_steps": 100, "readout_tau": 0.020}
#: Lowpass between spiking layers as a share of the steps to settle, where nothing is remembered;
#: 5 ms at least.  A rectified linear neuron of Nengo takes the negative part of a noisy current for
#: zero in each step, so it fires too much, and no number of steps makes up for that; a current that
#: is averaged for longer is less noisy.  Neurons on a chip add negative currents too.
SETTLED_SHARE, LEAST_SYNAPSE = 0.1, 0.005
#: With an answer at every input, a filter must not reach over to the answers before: 5 ms of
#: a presentation of 20 leaves 2 % of them, where 10 ms at one step an input would average ten.
#: There is nothing to wait for after the last.
EVERY_STEP = {"steps_per_input": 20, "settle_steps": 0, "readout_tau": 0.005, "synapse_tau": 0.004}
#: What every input says is added up at the end of its presentation, after the same filter; the
#: sum averages, and needs none of its own.
GATHERED = {"steps_per_input": 20, "settle_steps": 0, "readout_tau": 0.0, "synapse_tau": 0.005}


def default_options(
    model: Model,
    suggested: Mapping[str, Any] | None = None,
    *,
    on_chip: bool = False,
    **chosen: Any,
) -> Options:
    """Options that suit ``model``, unless ``suggested`` or ``chosen`` say otherwise.

    ``suggested`` is what a target asks for
    (:meth:`spiking_lmu.backends.target.Defaults.chosen`); without it a rate is taken that every
    target can do.  A network whose hidden layer feeds back on itself needs several steps an
    input, since one step cannot carry a rate; unless it was trained with a lowpass there, which
    can.  With several steps spikes are counted, where they are ``on_chip`` from a later step of
    each input on (:func:`count_from`).  tanh and sigmoid units that are counted, and all tanh
    units on a chip, become pairs of LIF neurons (:data:`PAIRS_ON_CHIP`).  One with an answer at
    every input (:data:`EVERY_STEP`), or whose output gathers what every input says
    (:data:`GATHERED`), must have settled by the end of each presentation.  Where nothing is
    remembered, spikes between layers are averaged for a part of the time to settle, unless they
    are ``on_chip`` (:func:`settled_synapse`).  A value of None in ``chosen`` is none.
    """
    rate = rate_model(model)
    again = feeds_back(rate)
    in_pairs = PAIRS_ON_CHIP if on_chip and chosen.get("memory") != "line" else ()
    options: dict[str, Any] = {"neuron": _natural_neuron(rate, in_pairs), **SETTLED}
    if chosen.get("memory") == "line":
        # What a target suggests is for rates that go on.
        suggested = None
        options |= SUBTRACT_DEFAULTS if chosen.get("reset") == "subtract" else LINE_DEFAULTS
    elif model.task.every:
        options |= EVERY_STEP
    elif gathers(rate.graph):
        options |= GATHERED
    elif again:
        # What goes round is averaged over a part of a presentation, however long that is.
        steps = chosen.get("steps_per_input") or (suggested or {}).get("steps_per_input") or 20
        tau = SYNAPSE_SHARE * steps * (chosen.get("dt") or DEFAULT_DT) if steps > 1 else 0.005
        settle = max(steps, int(SETTLED["settle_steps"]))
        options |= {"steps_per_input": steps, "settle_steps": settle, "synapse_tau": tau}
    elif not on_chip and not any(p.delay for p in rate.graph.projections):
        options["synapse_tau"] = settled_synapse(
            chosen.get("settle_steps")
            or (suggested or {}).get("settle_steps")
            or int(SETTLED["settle_steps"]),
            chosen.get("dt") or DEFAULT_DT,
        )
    options |= suggested or {}
    given = {key: value for key, value in chosen.items() if value is not None}
    if again and _can_count(options | given):
        options |= {"feedback": "count", "neuron": _natural_neuron(rate, PAIRS_COUNTED)}
    if (options | given).get("feedback") == "count" and on_chip:
        all_of_them = options | given
        steps, dt = all_of_them.get("steps_per_input", 1), all_of_them.get("dt", DEFAULT_DT)
        options["count_from"] = count_from(steps, dt)
    if (options | given)["neuron"] == "lif" and any(
        p.neuron.kind == "relu" for p in rate.graph.populations
    ):
        # Where a target suggests more than such a neuron can fire.
        options["max_rate"] = min(options.get("max_rate", LIF_RATE), LIF_RATE)
    return Options(**(options | given))


def _can_count(options: Mapping[str, Any]) -> bool:
    """Whether there are several steps an input in which rates are read."""
    several = options.get("steps_per_input", 1) > 1
    return several and (options.get("memory", "host"), options.get("code", "rate")) == (
        "host",
        "rate",
    )


def count_from(steps_per_input: int, dt: float = DEFAULT_DT) -> int:
    """The step of an input with which a count of a chip's spikes begins.

    When they are due; but half of the steps are left to count in.

    >>> count_from(60), count_from(10)
    (10, 5)
    """
    return min(steps_per_input // 2, CHIP_STEPS + round(CHIP_SETTLES / dt))


def settled_synapse(settle_steps: int, dt: float = DEFAULT_DT) -> float:
    """Seconds of the lowpass between spiking layers that settle for so many steps.

    >>> settled_synapse(200), settled_synapse(20)
    (0.02, 0.005)
    """
    return max(LEAST_SYNAPSE, SETTLED_SHARE * settle_steps * dt)


def _natural_neuron(model: Model, in_pairs: Collection[str]) -> str:
    """LIF where the network was trained with LIF curves, which nothing else follows.

    Also where it has units that are better ``in_pairs``, and none that LIF neurons only come near.
    """
    kinds = {p.neuron.kind for p in model.graph.populations}
    pairs = not kinds.isdisjoint(in_pairs) and "relu" not in kinds
    return "lif" if pairs or kinds & {"lif_rate", "soft_lif"} else "relu"


def gathers(graph: Graph) -> bool:
    """Whether the output adds what every input says to what it was one input earlier."""
    return any(p.delay and p.pre == p.post == graph.output for p in graph.projections)


def require_unconverted(model: Model) -> None:
    """Raise a SpecError if ``model`` is none, or came out of a conversion."""
    require_model(model)
    if model.rate_graph is not None:
        raise SpecError(
            "model to convert",
            got="a spiking model",
            expected="a rate model",
            fix="convert the rate model that it was made from",
        )


def feeds_back(model: Model) -> bool:
    """Whether a rate model's neurons reach a later input other than through a trained filter."""
    linear = {p.name for p in model.graph.populations if p.neuron.kind == "linear"}
    filters = leaky_populations(model.graph)
    return any(
        p.delay and p.pre not in linear and p.post not in filters for p in model.graph.projections
    )


def convert(
    model: Model,
    options: Options | None = None,
    *,
    training_inputs: Any = None,
    recording: Recording | None = None,
    activity: Mapping[str, Activity] | None = None,
    source: str = "",
    **chosen: Any,
) -> Model:
    """Make a trained rate model spike.

    ``convert(model, memory="line", bits=3)`` takes what :func:`default_options` chooses, with
    these fields of :class:`Options` as they are given.

    Parameters
    ----------
    model
        A rate model.
    options
        See :class:`Options`; or the fields that matter, by name, without it.
    training_inputs
        Inputs (samples, inputs, input_size) on which activity is measured; without them the
        activity that the model brings is used.
    recording, activity
        What :func:`.levels.record` and :func:`.measure.measure_activity` found on these inputs, for
        those who convert a model several times.
    source
        Name of the model, for the record.

    Raises
    ------
    SpecError
        The model spikes already, has neurons without a spiking counterpart, or no activity is
        known; or a rate is for a population that it does not have.
    """
    if options is None:
        options = default_options(model, **chosen)
    elif chosen:
        raise SpecError(
            "options of a conversion",
            got=f"an Options and {next(iter(chosen))}",
            expected="one of them",
            fix="put it into the Options",
        )
    require_unconverted(model)
    trained = model
    model = rate_model(model, options.dt)
    lengths = None
    if isinstance(training_inputs, Dataset):
        lengths, inside = training_inputs.lengths, training_inputs.mask[..., None]
        # Scaled padding would look like inputs: negative ones, say, where there are none.
        training_inputs = np.where(inside, model.scaled(training_inputs.x), 0.0)
    elif training_inputs is not None:
        training_inputs = model.scaled(training_inputs)
    if options.code == "level":
        graph, timing, known = _level_coded(model, options, training_inputs, lengths, recording)
    else:
        graph, timing, known = _rate_coded(model, options, training_inputs, lengths, activity)
    require_same_rates(trained, model.graph, timing)
    record = {
        "source": source,
        "source_digest": trained.digest,
        "options": asdict(options),
        "training_samples": None if training_inputs is None else len(training_inputs),
    }
    return replace(
        model,
        graph=graph,
        timing=timing,
        activity=known,
        rate_graph=model.graph,
        provenance={**model.provenance, "conversion": record},
    )


def rate_model(model: Model, dt: float = DEFAULT_DT) -> Model:
    """The rate model to convert: its synapses move once a presentation, whatever the timing.

    Of a network that was written with spiking neurons it is the one that was trained
    (:func:`~spiking_lmu.graph.rate_twin.rate_twin`).  Its timing is one step of ``dt`` seconds an
    input.
    """
    if model.graph.spiking:
        return replace(model, graph=rate_twin(model.graph), timing=Timing(dt=dt), activity={})
    graph = on_presentations(model.graph, model.timing.dt)
    return replace(model, graph=graph, timing=replace(model.timing, dt=dt))


def require_same_rates(trained: Model, rate: Graph, timing: Timing) -> None:
    """Raise unless ``rate`` with ``timing`` gives what the trained rate model gave.

    Both are run on a few random inputs and compared at the end of each presentation, without a
    filter on the readout.

    Raises
    ------
    SpecError
        A synapse whose filter cannot be carried over, because the model was trained with
        several steps an input.
    """
    x = np.random.default_rng(0).normal(size=(3, CHECKED_INPUTS, rate.input_size))
    before, after = (
        replace(t, settle_steps=min(t.settle_steps, 3), readout_tau=0.0)
        for t in (trained.timing, timing)
    )
    if trained.graph.spiking:
        before = Timing(dt=trained.graph.dt)
    want = run_reference(trained.rate, x, before)[:, before.presentation_ends(CHECKED_INPUTS)]
    got = run_reference(rate, x, after)[:, after.presentation_ends(CHECKED_INPUTS)]
    by, largest = float(np.abs(got - want).max()), float(np.abs(want).max())
    if by > 1e-6 * max(largest, 1e-12):
        raise SpecError(
            "rate model under the new timing",
            got=f"outputs up to {by:.3g} away from those under the timing that it was trained "
            f"with, whose largest is {largest:.3g}",
            expected="the same at the end of each presentation",
            fix=f"convert with steps_per_input={before.steps_per_input}, or train with one step "
            "an input",
        )


def _line_code(options: Options, training_inputs: Any) -> LineCode:
    """With signs and spans as training inputs have them; no longer than they are."""
    if training_inputs is None:
        return LineCode(options.bits, code=options.line_code, window=options.window)
    window = options.window or training_inputs.shape[1]
    return LineCode.fitting(options.bits, training_inputs, options.line_code, window)


def _rate_coded(
    model: Model,
    options: Options,
    training_inputs: Any,
    lengths: Any,
    measured: Mapping[str, Activity] | None,
) -> tuple[Graph, Timing, dict[str, Activity]]:
    if options.memory == "line" and model.task.every:
        raise SpecError(
            "memory",
            got="'line' for a network with an answer at every input",
            expected="one answer a sequence: the window is read once, after the last input",
            fix="use code='level' too, whose units read the line at every input",
        )
    activity: Mapping[str, Activity] = measured or model.activity
    if measured is None and training_inputs is not None:
        activity = measure_activity(model.graph, training_inputs, lengths)
    graph, known = spiking_graph(model, options, activity)
    timing = Timing(options.steps_per_input, options.settle_steps, options.readout_tau, options.dt)
    if options.memory == "line":
        code = _line_code(options, training_inputs)
        graph = line_memory(graph, code, timing, options.synapse_tau, options.reset)
    else:
        count_from = options.count_from if options.feedback == "count" else None
        graph = add_synapses(
            graph,
            options.synapse_tau,
            options.steps_per_input,
            dt=options.dt,
            count_from=count_from,
        )
        graph = first_layers_on_host(graph, only_large=options.first_layer == "chip")
    return graph, timing, known


def _level_coded(
    model: Model,
    options: Options,
    training_inputs: Any,
    lengths: Any,
    recording: Recording | None,
) -> tuple[Graph, Timing, dict[str, Activity]]:
    if options.memory == "line":
        if training_inputs is None:
            raise SpecError(
                "training data for levels on a line",
                got="none",
                expected="samples that the levels are fitted to",
                fix="name training data with data=",
            )
        if options.every > 1 and not model.task.every:
            raise SpecError(
                "every",
                got=f"{options.every} for a network with one answer a sequence",
                expected="one with an answer at every input, of which it takes every n-th",
                fix="leave every out",
            )
        code = LineCode.fitting(options.bits, training_inputs, options.line_code, options.window)
        graph, timing = level_line(
            model,
            options.levels,
            code,
            training_inputs,
            digits=options.input_bits,
            per_unit=options.per_unit,
            lengths=lengths,
            every=options.every,
        )
        return graph, timing, {}
    graph, timing = code_model(
        model,
        options.levels,
        digits=options.input_bits,
        per_unit=options.per_unit,
        training_inputs=training_inputs,
        lengths=lengths,
        free_running=options.free_running,
        # One that runs by itself takes other currents from the host than were recorded.
        recording=None if options.free_running else recording,
    )
    return graph, timing, {}


def spiking_graph(
    model: Model, options: Options, activity: Mapping[str, Activity]
) -> tuple[Graph, dict[str, Activity]]:
    """The graph that spikes, with its rates and before it gets synapses; and its activity.

    Raises
    ------
    SpecError
        As `convert`.
    """
    _check_names(model, options)
    kind = NEURONS[options.neuron]
    rate = fold_between_neurons(model.graph)
    graph, known = swap_neurons(rate, kind, activity, options.max_rate, options.rates)
    if options.clip_weights < 100.0:
        graph = clip_weights(graph, options.clip_weights)
    # What took the place of a population has its rate too.
    rates = {**{f"{name}.spikes": rate for name, rate in options.rates.items()}, **options.rates}
    return scale_rates(graph, known, options.max_rate, rates), known


def _check_names(model: Model, options: Options) -> None:
    names = [p.name for p in model.graph.populations if p.neuron.kind != "linear"]
    unknown = sorted(set(options.rates) - set(names))
    if unknown:
        raise SpecError(
            "rates of single populations",
            got=repr(unknown[0]),
            expected="one of " + ", ".join(names),
            fix="correct the name",
        )
