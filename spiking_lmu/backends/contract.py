"""The contract that every target keeps, as tests that anybody can run over theirs.

In a test file of your own::

    from spiking_lmu.backends.contract import TargetContract
    from my_package.adapter import TARGET

    class TestMyTarget(TargetContract):
        target = TARGET

Tolerances come from what is measured: a spike is the smallest difference that a rate can
show, 1/T Hz over T seconds; a target that quantises may set :attr:`TargetContract.relative`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from spiking_lmu.compat import import_nengo
from spiking_lmu.conversion import Options, convert, default_options, measure_activity
from spiking_lmu.errors import SpikingLmuError, TargetError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

from .options import check_options, options_of
from .target import Problem, Run, Target, blocking

Array = np.ndarray
SEVERITIES = {"error", "hardware", "warning"}


def small_lmu(
    neuron: str = "relu", cell: str = "feedforward", seed: int = 3
) -> tuple[Model, Array]:
    """A spiking LMU small enough for any target, and four samples (4, 12, 1) for it."""
    model, x = rate_lmu(cell, seed)
    options = Options(neuron=neuron, max_rate=200.0, settle_steps=250, readout_tau=0.05)
    return convert(model, options), x


def rate_lmu(cell: str = "feedforward", seed: int = 3) -> tuple[Model, Array]:
    """The rate model of :func:`small_lmu`, and its samples."""
    rng = np.random.default_rng(seed)
    graph = build(LmuSpec(order=4, theta=8.0, units=20, output_size=3, cell=cell), seed)
    x = rng.uniform(0.0, 1.0, (4, 12, 1))
    return Model(graph, activity=measure_activity(graph, x)), x


def driven_neurons(currents: Array, kind: str, steps: int) -> Model:
    """One neuron for each current in Hz, driven by its bias alone; amplitude 1, no filter."""
    neurons = Population("neurons", len(currents), Neuron(kind), bias=np.asarray(currents, float))
    graph = Graph(
        (Population("x", 1), neurons, Population("out", len(currents))),
        (Projection("x", "neurons", np.zeros((len(currents), 1))), Projection("neurons", "out")),
        "x",
        "out",
    )
    activity = measure_activity(graph, np.ones((1, 1, 1))) | {}
    return Model(graph, Timing(steps_per_input=steps), activity=_at_least_one(activity))


def _at_least_one(activity: Any) -> Any:
    return {name: replace(a, current=1.0, largest_current=1.0) for name, a in activity.items()}


def _refusal(call: Callable[..., Any]) -> str:
    """What the TargetError says that ``call`` raises; it has to."""
    try:
        call()
    except TargetError as error:
        return str(error)
    raise AssertionError("nothing was refused")


class TargetContract:
    """Tests of one target; subclass it and set :attr:`target`."""

    #: The adapter under test.
    target: Target
    #: Relative error of a rate that the target's own arithmetic may cause.
    relative = 0.02
    #: Options for ``deploy``.
    options: dict[str, Any] = {}  # noqa: RUF012

    def deploy_and_run(self, model: Model, x: Array, *, raster: bool = False) -> Run:
        """Run ``x`` on the target."""
        with self.target.deploy(model, x.shape[1], seed=0, **self.options) as deployment:
            return deployment.run(x, raster=raster)

    def test_describes_itself(self) -> None:
        """Name, summary, extra and availability are plain text."""
        target = self.target
        assert isinstance(target, Target)
        for text in (target.name, target.summary, target.extra):
            assert isinstance(text, str)
            assert text.isprintable()
        assert target.name
        assert target.available() == ""

    def test_options_have_a_type_and_a_help(self) -> None:
        """The command line can offer each, and its default is one of its values."""
        for name, option in options_of(self.target).items():
            assert option.help, f"deploy's docstring says nothing of {name}"
            if option.kind is not None and option.default is not None:
                assert option.parse(str(option.default)) == option.default

    def test_another_option_is_refused(self) -> None:
        """By its name, before anything is built."""
        said = _refusal(lambda: check_options(self.target, {"no_such_option": 1}))
        assert "no_such_option" in said

    def test_defaults_suit_the_target(self) -> None:
        """A conversion takes them, and the target runs what comes out."""
        rate, x = rate_lmu()
        spiking = convert(
            rate,
            default_options(
                rate, self.target.defaults.chosen(), on_chip=self.target.capabilities.on_chip
            ),
        )
        assert not blocking(self.target.check(spiking))
        assert np.isfinite(self.deploy_and_run(spiking, x).outputs).all()

    def test_what_it_checks_is_what_it_deploys(self) -> None:
        """A model with an error is refused in one line, any other runs."""
        for model, x in (rate_lmu(), small_lmu(), small_lmu("lif")):
            problems = self.target.check(model)
            assert all(isinstance(problem, Problem) for problem in problems)
            assert {problem.severity for problem in problems} <= SEVERITIES
            if not blocking(problems):
                assert np.isfinite(self.deploy_and_run(model, x).outputs).all()
                continue
            said = _refusal(lambda model=model, x=x: self.deploy_and_run(model, x))
            assert "\n" not in said

    def test_cores_hold_what_they_say(self) -> None:
        """Where a target has cores: whole numbers, and a limit for each resource."""
        for core in self.target.cores(small_lmu()[0]):
            assert set(core.used) == set(core.limits)
            assert all(number >= 0 for number in core.used.values())

    def test_cells_fire_as_their_response_curve_says(self) -> None:
        """Its neurons by themselves: spikes of a second of constant current, to two of them."""
        cells, dt = self.target.cells, 0.001
        driven = {"spiking_relu": [0.0, 12.0, 75.0, 180.0], "lif": [0.5, 1.5, 3.0]}
        for kind, currents in driven.items():
            neuron, current = Neuron(kind), np.array(currents)
            step = cells.stepper(neuron, current.shape, dt)
            counted = sum(step(current) for _ in range(1000))
            expected = cells.response(neuron, current, dt)
            assert (np.abs(counted - expected) <= 2.0).all(), (kind, counted, expected)

    def test_rungs_run_what_the_target_runs(self) -> None:
        """Where a target has rungs: each has a name of its own and gives a run of that shape."""
        model, x = small_lmu()
        rungs = self.target.rungs(model, x.shape[1], seed=0)
        assert len({rung.name for rung in rungs}) == len(rungs)
        for rung in rungs:
            with rung.deploy() as deployment:
                run = deployment.run(x, raster=True)
            assert run.outputs.shape == (len(x), model.timing.total_steps(x.shape[1]), 3)
            assert len(run.rasters) == len(x)

    def test_learns_while_it_runs(self) -> None:
        """Where a target learns: PES moves the decoders, and they can be read."""
        online = self.target.online_learning
        if online is None:
            return
        nengo = import_nengo()
        with nengo.Network(seed=0) as network:
            ensemble = nengo.Ensemble(30, 1)
            output, error = nengo.Node(size_in=1), nengo.Node(size_in=1)
            learned = nengo.Connection(
                ensemble,
                output,
                function=lambda x: 0,
                learning_rule_type=nengo.PES(1e-3),
                synapse=0.01,
            )
            nengo.Connection(nengo.Node(-1.0), error, synapse=None)
            nengo.Connection(output, error, synapse=None)
            nengo.Connection(error, learned.learning_rule, synapse=None)
        with online.simulator(network, 0.001, 0, 1e-3) as simulator:
            simulator.run_steps(100)
            decoders = np.atleast_2d(online.decoders(simulator, learned))
        assert decoders.shape == (1, 30)
        assert np.isfinite(decoders).all()
        assert decoders.mean() > 0

    def test_shapes_and_counts(self) -> None:
        """Outputs and spikes have the documented shapes; rasters hold the counted spikes."""
        model, x = small_lmu()
        run = self.deploy_and_run(model, x, raster=True)
        steps = model.timing.total_steps(x.shape[1])
        assert run.outputs.shape == (len(x), steps, 3)
        assert np.isfinite(run.outputs).all()
        assert run.spikes["lmu.h"].shape == (len(x), 20)
        assert run.seconds > 0
        for i, raster in enumerate(run.rasters):
            spikes = raster["lmu.h"]
            assert (spikes[:, 0] < steps).all()
            # Several spikes of one neuron in one step are one mark in a raster.
            assert len(spikes) <= run.spikes["lmu.h"][i].sum()
            assert set(spikes[:, 1]) == set(np.flatnonzero(run.spikes["lmu.h"][i]))

    def test_other_lengths_are_refused(self) -> None:
        """Shorter, longer or ragged samples: an error of the family, and no numbers."""
        model, x = small_lmu("relu")
        with self.target.deploy(model, x.shape[1]) as deployed:
            ragged: Any = [x[0], x[1, :-1]]
            for other in (x[:, :-1], np.concatenate([x, x], axis=1), ragged):
                try:
                    deployed.run(other)
                except SpikingLmuError:
                    continue
                raise AssertionError("samples of another length were run")

    def test_places_every_population(self) -> None:
        """A report can say where each population ran."""
        model, x = small_lmu()
        with self.target.deploy(model, x.shape[1], seed=0, **self.options) as deployment:
            assert set(deployment.placement) == {p.name for p in model.graph.populations}
            assert deployment.batch_size >= 1

    def test_every_sample_starts_from_rest(self) -> None:
        """A sample's result depends neither on what ran before nor on its neighbours."""
        model, x = small_lmu()
        with self.target.deploy(model, x.shape[1], seed=0, **self.options) as deployment:
            first = deployment.run(x)
            again = deployment.run(x[::-1])
        np.testing.assert_array_equal(first.outputs, again.outputs[::-1])
        np.testing.assert_array_equal(first.spikes["lmu.h"], again.spikes["lmu.h"][::-1])

    def test_memory_decides_the_batch_and_no_result(self) -> None:
        """Any bound leaves at least one sample a batch, and the same spikes."""
        model, x = small_lmu()
        ample, tight = self._with_memory(model, x, None), self._with_memory(model, x, 1)
        assert 1 <= tight[0] <= ample[0]
        np.testing.assert_array_equal(tight[1].spikes["lmu.h"], ample[1].spikes["lmu.h"])
        largest = np.abs(ample[1].outputs).max()
        np.testing.assert_allclose(tight[1].outputs, ample[1].outputs, atol=1e-5 * largest)

    def _with_memory(self, model: Model, x: Array, memory_limit: int | None) -> tuple[int, Run]:
        with self.target.deploy(
            model, x.shape[1], seed=0, memory_limit=memory_limit, **self.options
        ) as deployment:
            return deployment.batch_size, deployment.run(x)

    def test_verification_passes_what_ran_and_nothing_else(self) -> None:
        """A single spike more, or another output, is an error where the target verifies."""
        model, x = small_lmu()
        with self.target.deploy(model, x.shape[1], seed=0, **self.options) as deployment:
            run = deployment.run(x).take([2, 0])
            deployment.verify(x[[2, 0]], run)
            if not deployment.verifies:
                return
            more = run.spikes["lmu.h"].copy()
            more[1, 3] += 1
            other = run.outputs.copy()
            other[1, -1] += 1e-6 * np.abs(other).max()
            undefined = np.where(np.arange(other.shape[1])[:, None] == 0, np.nan, run.outputs)
            for wrong in (
                replace(run, spikes={"lmu.h": more}),
                replace(run, outputs=other),
                replace(run, outputs=undefined),
            ):
                _refusal(lambda wrong=wrong: deployment.verify(x[[2, 0]], wrong))

    def test_rectified_linear_rates(self) -> None:
        """A constant current of J Hz gives J spikes a second, to one spike."""
        self._check_rates("spiking_relu", np.array([0.0, 10.0, 50.0, 100.0, 125.0, 200.0]))

    def test_lif_rates(self) -> None:
        """A constant current gives the rate of the LIF response curve, to two spikes."""
        self._check_rates("lif", np.array([0.5, 1.5, 2.0, 3.0]), spikes=2.0, relative=0.06)

    def _check_rates(
        self, kind: str, currents: Array, spikes: float = 1.0, relative: float | None = None
    ) -> None:
        from spiking_lmu.graph.neurons import response

        steps = 1000
        model = driven_neurons(currents, kind, steps)
        counted = self.deploy_and_run(model, np.zeros((1, 1, 1))).spikes["neurons"][0]
        expected = response(Neuron(kind), currents) * steps * model.timing.dt
        allowed = spikes + (self.relative if relative is None else relative) * expected
        assert (np.abs(counted - expected) <= allowed).all(), (counted, expected)

    def test_output_lines_up_with_the_input(self) -> None:
        """Neurons that a presentation silences stop at that presentation, to two steps."""
        neurons = Population("h", 1, Neuron("spiking_relu"), scale=200.0)
        graph = Graph(
            (Population("x", 1), neurons, Population("out", 1)),
            (Projection("x", "h", np.ones((1, 1))), Projection("h", "out", np.ones((1, 1)))),
            "x",
            "out",
        )
        x = np.array([[[1.0], [-1.0]]])
        model = Model(graph, Timing(200), activity=measure_activity(graph, np.abs(x)))
        active = np.flatnonzero(self.deploy_and_run(model, x).outputs[0, :, 0])
        # One interspike interval (5 steps) and one synapse of the input (5 ms) of slack.
        assert 0 < active[0] <= 20
        assert 190 <= active[-1] <= 220

    def test_follows_the_rate_model(self) -> None:
        """The settled output is the rate model's, to the noise of counting spikes."""
        for neuron in ("relu", "lif"):
            model, x = small_lmu(neuron)
            got = self.deploy_and_run(model, x).outputs[:, -1]
            want = run_reference(model.rate, x)[:, -1]
            error = np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2))
            assert error < 0.15, (neuron, error)
