"""On-chip learning, chip noise and convolutions in batched execution, against the emulator."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from spiking_lmu.backends.batched import BatchedSimulator, Unsupported, extract
from spiking_lmu.backends.batched.chip.learning import LearningState
from spiking_lmu.backends.batched.chip.noise import draw
from spiking_lmu.backends.batched.links import ErrorLinks
from spiking_lmu.backends.batched.simulator import engine_class
from spiking_lmu.compat import import_nengo, import_nengo_loihi

from ..helpers.controls import CONTROLS
from ..helpers.exactness import batched_run, closed_simulator, differences, quiet, stock_run
from ..helpers.random_chip_parts import BlockNoise, ChipOptions
from ..helpers.random_networks import Case, Feeder

nengo = import_nengo()
STEPS, SAMPLES = 80, 3
ENGINES = ["numpy", "numba"]


@pytest.fixture(autouse=True)
def _engine_installed(request):
    if "engine" in request.fixturenames and request.getfixturevalue("engine") == "numba":
        pytest.importorskip("numba", reason="needs: pip install 'spiking-lmu[fast]'")


def case_of(network, node, feeder, **options):
    return Case(network, node, feeder, 1, options=ChipOptions(**options))


def learning_case():
    """Two ensembles learn to scale the input; one starts from a wrong function."""
    with quiet(), nengo.Network(seed=2) as network:
        import_nengo_loihi().add_params(network)
        feeder = Feeder()
        node = nengo.Node(feeder, size_out=1)
        for size, start, target in ((40, 0.0, 1.0), (25, -1.0, -0.5)):
            ensemble = nengo.Ensemble(size, 1, max_rates=nengo.dists.Uniform(100, 250))
            nengo.Connection(node, ensemble, synapse=None)
            post, error = nengo.Node(size_in=1), nengo.Node(size_in=1)
            learned = nengo.Connection(
                ensemble,
                post,
                function=lambda x, start=start: [start],
                synapse=0.005,
                learning_rule_type=nengo.PES(learning_rate=5e-3),
            )
            nengo.Connection(post, error)
            nengo.Connection(node, error, transform=-target, synapse=None)
            nengo.Connection(error, learned.learning_rule)
            nengo.Probe(post, synapse=0.01)
            nengo.Probe(ensemble.neurons)
    return case_of(network, node, feeder)


def noise_case(at_membrane):
    with quiet(), nengo.Network(seed=3) as network:
        import_nengo_loihi().add_params(network)
        feeder = Feeder()
        node = nengo.Node(feeder, size_out=1)
        first, second = (
            nengo.Ensemble(20, 1, neuron_type=kind, max_rates=nengo.dists.Uniform(60, 150))
            for kind in (nengo.LIF(), nengo.SpikingRectifiedLinear())
        )
        nengo.Connection(node, first)
        nengo.Connection(first, second, synapse=0.005)
        nengo.Probe(second, synapse=0.01)
    noise = BlockNoise(np.arange(20) % 3 > 0, -0.5, 1, at_membrane)
    return case_of(network, node, feeder, noise={first: noise})


def image_case(channels_last, bits):
    """Host spikes → convolution → convolution, in blocks that cut through the images."""
    rng, loihi = np.random.default_rng(0), import_nengo_loihi()
    with quiet(), nengo.Network(seed=4) as network:
        loihi.add_params(network)
        feeder = Feeder()
        node = nengo.Node(feeder, size_out=1)
        shape = (8, 7, 2) if channels_last else (2, 8, 7)
        image = nengo.transforms.ChannelShape(shape, channels_last=channels_last)
        host = nengo.Ensemble(
            112,
            1,
            gain=np.ones(112),
            bias=np.full(112, 80),
            neuron_type=nengo.SpikingRectifiedLinear(
                initial_state={"voltage": nengo.dists.Choice([0])}
            ),
        )
        network.config[host].on_chip = False
        nengo.Connection(node, host.neurons, transform=80 * rng.normal(size=(112, 1)), synapse=None)
        neurons = host.neurons
        for strides in ((1, 2), (2, 1)):
            transform = nengo.Convolution(
                4,
                image,
                strides=strides,
                kernel_size=(3, 2),
                channels_last=channels_last,
                init=nengo.dists.Uniform(-0.01, 0.02),
            )
            image = transform.output_shape
            layer = nengo.Ensemble(
                image.size,
                1,
                neuron_type=nengo.SpikingRectifiedLinear(),
                gain=np.full(image.size, 50),
                bias=np.full(image.size, 10),
            )
            block = (2, 2, 4) if channels_last else (4, 2, 2)
            network.config[layer].block_shape = loihi.BlockShape(block, transform)
            connection = nengo.Connection(neurons, layer.neurons, transform=transform)
            network.config[connection].pop_type = bits
            neurons = layer.neurons
            nengo.Probe(neurons)
    return case_of(network, node, feeder)


def runs(case):
    x = case.data(1, SAMPLES, STEPS)
    return case, x, [stock_run(case, sample) for sample in x], closed_simulator(case)


@pytest.fixture(scope="module")
def learning():
    return runs(learning_case())


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("engine", ENGINES)
def test_weights_traces_and_spikes_are_the_emulators(learning, engine, strict):
    case, x, stock, sim = learning
    batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=strict)
    assert differences(stock, batched_run(batched, STEPS), strict) == []
    changed = [(one.state["weights"][-1] != one.state["weights"][0]).mean() for one in stock]
    assert min(changed) > 0.1


def test_each_sample_learns_its_own_weights(learning):
    case, x, stock, sim = learning
    batched = BatchedSimulator(sim, {case.input: x}, engine="numpy", strict=True)
    batched.run(STEPS)
    learned = list(batched.learned_weights.values())
    assert [weights.shape for weights in learned] == [(SAMPLES, 40, 2), (SAMPLES, 25, 2)]
    for i, one in enumerate(stock):
        flat = np.concatenate([weights[i].ravel() for weights in learned])
        assert np.array_equal(flat, one.state["weights"][-1])
    assert (learned[0][0] != learned[0][1]).any()
    again = BatchedSimulator(sim, {case.input: x}, engine="numpy", strict=True)
    assert not np.array_equal(next(iter(again.learned_weights.values())), learned[0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["one bit of a learned weight", "traces by one unit"])
def test_comparison_notices_a_planted_fault_in_learning(learning, engine, name):
    case, x, stock, sim = learning
    program = extract(sim.model)
    assert CONTROLS[name](program, np.random.default_rng(0))
    batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=True, program=program)
    assert differences(stock, batched_run(batched, STEPS), strict=True)


def test_rounding_of_another_seed_is_noticed(learning):
    case, x, stock, _ = learning
    other = closed_simulator(case, seed=1)
    batched = BatchedSimulator(other, {case.input: x}, engine="numpy", strict=True)
    assert differences(stock, batched_run(batched, STEPS), strict=True)


def test_errors_add_up_and_are_rounded_and_samples_near_half_a_unit_are_named(learning):
    """Two senders; 30.5 units and a little, exactly 30, too many, and 30.5 where margins are 0."""
    learner = LearningState(extract(learning[3].model).learning[0], 4)
    rule, parts = learner.rule, np.array([[[0.2, 0.2, 5.0, 0.2]], [[0.105, 0.1, 5.0, 0.105]]])
    parts[0, 0, 0] += 1e-9
    target = SimpleNamespace(error_target="probe")
    model = SimpleNamespace(
        pes_error_scale=100.0,
        host2chip_pes_senders={"first": target, "second": target},
        nengo_probe_conns={"probe": "connection"},
        objs={"connection": {"decoders": rule.synapse}},
    )
    host = SimpleNamespace(
        model=SimpleNamespace(sig={"first": {"in": 0}, "second": {"in": 1}}),
        signals=parts,
        margins=np.array([1e-6, 1e-6, 1e-6, 0.0]),
        near=np.zeros(4, bool),
    )
    with quiet():
        ErrorLinks(model, host, [learner]).send()
    assert learner.error.tolist()[0][:3] == [31, 30, 127]
    assert host.near.tolist() == [True, False, False, False]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("number", [0, 1])
def test_learned_weights_stay_in_what_is_promised(learning, engine, number):
    """Bound and unit, which decide how sums are computed, hold for the largest changes."""
    program = extract(learning[3].model)
    rule, rng = program.learning[number], np.random.RandomState(0)
    for error in (-127, 127):
        learner = engine_class(engine).learner(rule, 2)
        learner.error[:] = error
        learner.trace[:] = 127
        for _ in range(100):
            learner.update_weights(rule.learn_epoch, rng)
        assert (learner.weights % rule.unit == 0).all()
        assert (np.abs(learner.weights).max() >> rule.unit_bits) == rule.limit
        assert (np.abs(learner.weights).sum(axis=0) <= rule.bound[:, None]).all()
    fixed = dataclasses.replace(program, learning=())
    assert program.bound >= rule.bound.max() > fixed.bound
    assert rule.unit % program.unit == 0


def test_noise_counts_in_what_sums_can_reach():
    built = extract(closed_simulator(noise_case(False)).model)
    built.noise.scale[:] = built.noise.scale.max()
    program, silent = dataclasses.replace(built), dataclasses.replace(built, noise=None)
    assert program.bound > silent.bound
    assert program.unit == 1 < silent.unit
    rng = np.random.RandomState(0)
    drawn = [np.abs(program.noise.scaled(draw(program.neurons, rng))) for _ in range(1000)]
    assert (np.max(drawn, axis=0) <= program.noise.bound).all()
    assert np.max(drawn) > 0.9 * program.noise.bound.max()


def test_refuses_a_simulator_that_has_learned():
    case = learning_case()
    case.feeder.sample = np.zeros((STEPS, 1))
    with quiet():
        sim = import_nengo_loihi().Simulator(case.network, seed=0, target="sim")
        program = extract(sim.model)
        sim.run_steps(1)
        sim.close()
    feeds = {case.input: np.zeros((1, STEPS, 1))}
    with pytest.raises(Unsupported, match="a new simulator"):
        BatchedSimulator(sim, feeds, engine="numpy")
    BatchedSimulator(sim, feeds, engine="numpy", program=program)


def test_refuses_learned_weights_that_are_shared_or_in_parts():
    sim = closed_simulator(learning_case())
    synapse = extract(sim.model).learning[0].synapse
    synapse.axon_compartment_bases = np.zeros(synapse.n_axons, int)
    with pytest.raises(Unsupported, match="shared or in parts"):
        extract(sim.model)
    synapse.axon_compartment_bases = None
    program = dataclasses.replace(extract(sim.model), learning=())
    feeds = {node: np.zeros((1, 2, 1)) for node in sim.network.all_nodes if node.size_in == 0}
    with pytest.raises(Unsupported, match="several blocks"):
        BatchedSimulator(sim, feeds, engine="numpy", program=program)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("at_membrane", [False, True])
def test_noise_is_the_emulators(at_membrane, engine):
    case, x, stock, sim = runs(noise_case(at_membrane))
    batched = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=True)
    assert differences(stock, batched_run(batched, STEPS), strict=True) == []
    program = extract(sim.model)
    assert CONTROLS["noise by one unit"](program, np.random.default_rng(0))
    wrong = BatchedSimulator(sim, {case.input: x}, engine=engine, strict=True, program=program)
    assert differences(stock, batched_run(wrong, STEPS), strict=True)


def test_all_samples_see_the_noise_of_the_simulators_seed():
    case = noise_case(True)
    x = np.repeat(case.data(1, 1, STEPS), 2, axis=0)
    runs = {}
    for seed in (0, 1):
        sim = closed_simulator(case, seed)
        batched = BatchedSimulator(sim, {case.input: x}, engine="numpy", strict=True)
        runs[seed] = batched_run(batched, STEPS).state["voltage"]
    assert np.array_equal(runs[0][0], runs[0][1])
    assert not np.array_equal(runs[0][0], runs[1][0])


def test_refuses_noise_beyond_int32():
    sim = closed_simulator(noise_case(True))
    for block in sim.model.blocks:
        block.compartment.noise_offset, block.compartment.noise_exp = 2**10, 23
    with pytest.raises(Unsupported, match="chip noise"):
        extract(sim.model)


@pytest.mark.parametrize(("channels_last", "bits"), [(True, 16), (True, 32), (False, 32)])
def test_convolutions_in_several_blocks(channels_last, bits):
    case, x, stock, sim = runs(image_case(channels_last, bits))
    assert len(sim.model.blocks) > 4
    batched = BatchedSimulator(sim, {case.input: x}, engine="auto", strict=True)
    assert differences(stock, batched_run(batched, STEPS), strict=True) == []
    assert 0.01 < np.mean([one.state["spiked"].mean() for one in stock]) < 0.5
