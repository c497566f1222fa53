"""What batched execution records, what it refuses, and how it reads weights."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from spiking_lmu.backends.batched import BatchedSimulator, Record, Unsupported, extract
from spiking_lmu.backends.batched import simulator as simulator_module
from spiking_lmu.backends.batched.chip.engine import NumpyEngine
from spiking_lmu.backends.batched.chip.probes import ChipReader
from spiking_lmu.backends.batched.chip.wiring import InputSums
from spiking_lmu.backends.batched.host import BatchedHost
from spiking_lmu.compat import import_nengo, import_nengo_loihi
from spiking_lmu.errors import MissingExtraError, TargetError

from ..helpers.exactness import quiet
from ..helpers.random_networks import Feeder, hold_process

nengo = import_nengo()
STEPS, BATCH, SIZE = 40, 3, 5


class Net:
    """Input → chip population → readout; ``extend`` adds to the network before it is built."""

    def __init__(self, extend=None, target="sim", synapse=None):
        with quiet(), nengo.Network(seed=0) as self.network:
            import_nengo_loihi().add_params(self.network)
            self.input = nengo.Node(Feeder(), size_out=1)
            self.layer = nengo.Ensemble(
                SIZE,
                1,
                neuron_type=nengo.SpikingRectifiedLinear(),
                gain=np.ones(SIZE),
                bias=np.linspace(50, 200, SIZE),
            )
            nengo.Connection(
                self.input, self.layer.neurons, transform=np.full((SIZE, 1), 20), synapse=None
            )
            self.readout = nengo.Node(size_in=2)
            nengo.Connection(
                self.layer.neurons, self.readout, transform=np.ones((2, SIZE)), synapse=synapse
            )
            self.output = nengo.Probe(self.readout, synapse=0.01)
            self.spikes = nengo.Probe(self.layer.neurons)
            if extend is not None:
                extend(self)
        with quiet():
            self.sim = import_nengo_loihi().Simulator(self.network, seed=0, target=target)
            self.sim.close()

    def batched(self, record=None, **options):
        x = np.random.default_rng(0).normal(size=(BATCH, STEPS, 1))
        return BatchedSimulator(self.sim, {self.input: x}, record=record, **options)


@pytest.fixture(scope="module")
def net():
    return Net()


@pytest.fixture(scope="module")
def whole(net):
    batched = net.batched(engine="numpy")
    batched.run(STEPS)
    return batched.data


def test_shapes_of_recordings(net, whole):
    assert whole[net.output].shape == (BATCH, STEPS, 2)
    assert whole[net.spikes].shape == (BATCH, STEPS, SIZE)


@pytest.mark.parametrize("strict", [False, True])
def test_windows_and_counts_equal_the_whole_recording(net, strict):
    whole = net.batched(engine="numpy", strict=strict)
    whole.run(STEPS)
    some = net.batched(
        {net.output: Record(slice(-7, None)), net.spikes: Record(slice(2, 30), count_only=True)},
        engine="numpy",
        strict=strict,
    )
    some.run(STEPS)
    assert np.array_equal(some.data[net.output], whole.data[net.output][:, -7:])
    counts = (whole.data[net.spikes][:, 2:30] > 0).sum(axis=1)
    assert some.data[net.spikes].dtype == np.uint32
    assert np.array_equal(some.data[net.spikes], counts)
    assert counts.min() > 0


def test_probes_that_are_not_asked_for_are_not_kept(net):
    batched = net.batched({}, engine="numpy")
    batched.run(STEPS)
    assert batched.data == {}


def test_on_step_counts_the_steps(net):
    seen = []
    net.batched({}, engine="numpy").run(5, on_step=seen.append)
    assert seen == [1, 2, 3, 4, 5]


def test_batched_process_gives_what_one_state_a_sample_gives():
    def with_hold(batched):
        def extend(net):
            net.held = nengo.Node(hold_process(1, 3, batched))
            nengo.Connection(net.input, net.held, synapse=None)
            net.probe = nengo.Probe(net.held)

        net = Net(extend)
        batched = net.batched(engine="numpy")
        batched.run(STEPS)
        return batched.data[net.probe]

    one, other = with_hold(True), with_hold(False)
    assert np.array_equal(one, other)
    assert len(np.unique(one)) > BATCH


def function_node(net):
    node = nengo.Node(lambda t, x: x, size_in=1)
    nengo.Connection(net.input, node)
    nengo.Connection(node, net.readout[0])


def unseeded_noise(net):
    node = nengo.Node(nengo.processes.WhiteNoise(), size_out=1)
    nengo.Connection(node, net.readout[0], synapse=None)


def sparse_probe(net):
    nengo.Probe(net.readout, sample_every=0.002)


def sparse_chip_probe(net):
    nengo.Probe(net.layer.neurons, sample_every=0.002)


def other_neurons(net):
    ensemble = nengo.Ensemble(5, 1, neuron_type=nengo.AdaptiveLIF())
    net.network.config[ensemble].on_chip = False
    nengo.Connection(net.input, ensemble)
    nengo.Connection(ensemble, net.readout[0])


@pytest.mark.parametrize(
    ("extend", "reason"),
    [
        (function_node, "keep state between samples"),
        (unseeded_noise, "without a seed"),
        (sparse_probe, "sample_every"),
        (sparse_chip_probe, "sample_every"),
        (other_neurons, "AdaptiveLIF"),
    ],
)
def test_refuses_what_it_cannot_run_exactly(extend, reason):
    net = Net(extend)
    with pytest.raises(Unsupported, match=reason):
        net.batched(engine="numpy").run(STEPS)


def test_refuses_learning_on_the_host():
    with quiet(), nengo.Network(seed=0) as network:
        node = nengo.Node(Feeder(), size_out=1)
        ensemble = nengo.Ensemble(5, 1, neuron_type=nengo.LIF())
        target = nengo.Node(size_in=1)
        nengo.Connection(node, ensemble)
        learned = nengo.Connection(ensemble, target, learning_rule_type=nengo.PES())
        nengo.Connection(target, learned.learning_rule)
        simulator = nengo.Simulator(network, optimize=False, progress_bar=False)
        simulator.close()
    with pytest.raises(Unsupported, match="weights that change"):
        BatchedHost(simulator, BATCH, {node: np.zeros((BATCH, STEPS, 1))})


def test_refuses_a_model_that_is_not_discretised():
    with pytest.raises(Unsupported, match="simreal"):
        Net(target="simreal").batched()


def test_refuses_sums_beyond_int32():
    net = Net()
    (block,) = net.sim.model.blocks
    for weights in block.synapses[0].weights:
        weights[:] = 2**30
    with pytest.raises(Unsupported, match="add up"):
        extract(net.sim.model)


def test_refuses_a_compartment_named_twice_by_one_axon():
    net = Net()
    ((synapse,),) = [block.synapses for block in net.sim.model.blocks]
    synapse.indices[0][:] = 0
    with pytest.raises(Unsupported, match="twice"):
        extract(net.sim.model)


def test_refuses_feeds_that_do_not_fit(net):
    good = np.zeros((BATCH, STEPS, 1))
    bad = good.copy()
    bad[0, 0] = np.nan
    stranger = nengo.Node(size_in=1, add_to_container=False)
    for feeds in (
        {},
        {net.input: good[0]},
        {net.input: good[..., [0, 0]]},
        {net.input: bad},
        {net.input: good, stranger: good},
    ):
        with pytest.raises(TargetError, match="feeds"):
            BatchedSimulator(net.sim, feeds, engine="numpy")


def test_refuses_a_feed_for_a_node_with_a_constant_output():
    def extend(net):
        net.bias = nengo.Node([0.5])
        nengo.Connection(net.bias, net.readout[0], synapse=None)

    net = Net(extend)
    feeds = {node: np.zeros((BATCH, STEPS, 1)) for node in (net.input, net.bias)}
    with pytest.raises(Unsupported, match="constant output"):
        BatchedSimulator(net.sim, feeds, engine="numpy")


def test_refuses_a_second_run_and_more_steps_than_are_fed(net):
    batched = net.batched({}, engine="numpy")
    with pytest.raises(TargetError, match="41 steps"):
        batched.run(STEPS + 1)
    batched.run(1)
    with pytest.raises(TargetError, match="second run"):
        batched.run(1)


def test_refuses_counts_of_what_are_not_spikes_and_foreign_probes(net):
    with pytest.raises(TargetError, match="count_only"):
        net.batched({net.output: Record(count_only=True)}).run(1)
    with pytest.raises(TargetError, match="does not have"):
        net.batched({object(): Record()}).run(1)


def test_engines(net, monkeypatch):
    with pytest.raises(TargetError, match="abacus"):
        net.batched(engine="abacus")
    monkeypatch.setattr(simulator_module, "find_spec", lambda name: None)
    assert type(net.batched(engine="auto").engine) is NumpyEngine
    with pytest.raises(MissingExtraError, match="numba"):
        net.batched(engine="numba")


def added_by_each_spike(program):
    """(neurons, neurons + inputs) from nengo-loihi's own axons and synapses, one by one."""
    total = np.zeros((program.neurons, program.neurons + program.inputs), np.int64)
    for origin, place in program.origins.items():
        for axon in origin.axons:
            (start,) = (p.start for b, p in program.blocks.items() if axon.target in b.synapses)
            for source in range(origin.n_neurons):
                for spike in axon.map_spikes(np.array([source])):
                    weights, index = axon.target.axon_weights_indices(spike.axon_idx)
                    total[start + index, place.start + source] += weights
    return total


def check_wiring(program):
    wiring, total = program.wiring, added_by_each_spike(program)
    by_row = (wiring.weights @ wiring.incidence).toarray()
    assert np.array_equal(wiring.sign_of[:, None] * by_row[wiring.row_of], total)
    tiled = wiring.rest.toarray()
    for tile in wiring.tiles:
        tiled[tile.rows, tile.lines] += tile.weights
    assert np.array_equal(tiled, wiring.weights.toarray())
    assert sparse.issparse(wiring.rest)
    assert np.array_equal(wiring.bound, np.abs(total).sum(axis=1))
    assert all(w % wiring.unit == 0 for w in wiring.weights.data)


def check_sums(program, rng):
    """Any spikes, also where most blocks are silent, add up to their weights."""
    total, batch = added_by_each_spike(program), 5
    sums = InputSums(program, program.wiring, batch, np.float32)
    starts = sorted(place.start for place in program.origins.values())
    block = np.searchsorted(starts, np.arange(total.shape[1]), side="right")
    for _ in range(6):
        active = rng.random(len(starts) + 1)[block] < 0.5
        spikes = (rng.random((total.shape[1], batch)) < 0.3) & active[:, None]
        sums.add_up(spikes[: program.neurons], spikes[program.neurons :])
        assert np.array_equal(sums.sums, total @ spikes)


def test_wiring_folds_on_and_off_neurons_and_adds_up(net):
    """One line for each pair of on and off neurons; the product is every spike's weights."""
    program = extract(net.sim.model)
    assert program.wiring.incidence.shape[0] == 1
    assert sorted(set(program.wiring.incidence.data.tolist())) == [-1, 1]
    check_wiring(program)


@pytest.mark.parametrize("seed", range(3))
def test_wiring_shares_rows_and_lines_among_blocks(seed):
    """Compartments with the same inputs but for the sign share a row; a source has one line."""
    rng = np.random.default_rng(seed)
    units, blocks = 24, 3
    distinct = rng.choice([-1, 1], (units, SIZE)) * rng.uniform(1, 9, (units, SIZE)) * 1e-4
    unit = np.repeat(np.arange(units), rng.integers(1, 4, units))
    signs = rng.choice([-1, 1], (len(unit), 1))
    weights, among = signs * distinct[unit], signs * (distinct @ distinct.T)[np.ix_(unit, unit)]

    def extend(net):
        for part in range(blocks):
            after = nengo.Ensemble(
                len(weights),
                1,
                neuron_type=nengo.SpikingRectifiedLinear(),
                gain=np.ones(len(weights)),
                bias=np.full(len(weights), 20.0 * part),
            )
            for before in (net.layer, after):
                matrix = weights if before is net.layer else among
                nengo.Connection(
                    before.neurons, after.neurons, transform=matrix, synapse=nengo.Lowpass(0.01)
                )

    program = extract(Net(extend).sim.model)
    rows, lines = program.wiring.weights.shape
    # The largest weights become 255 or -256, which are not equal but for the sign.
    assert rows <= 1 + 1.4 * blocks * units < program.neurons
    assert lines <= 1 + SIZE + blocks * units
    # What the first layer sends to all blocks is one product, what each sends to itself another.
    assert len(program.wiring.tiles) == 1 + blocks
    check_wiring(program)
    check_sums(program, rng)


@pytest.mark.parametrize("density", [0.04, 1.0])
def test_spikes_are_weighed_where_most_weights_are_0_and_elsewhere(density):
    rng = np.random.default_rng(3)
    sizes = 30, 20
    weights = [rng.normal(size=(n, 8)) * (rng.random((n, 8)) < density) for n in sizes]
    places = {"first": slice(0, 30), "second": slice(30, 50)}
    probe = SimpleNamespace(
        key="spiked",
        target=list(places),
        slice=[slice(None)] * 2,
        weights=weights,
        is_transformed=True,
        weight_outputs=lambda values: sum(v @ w for v, w in zip(values, weights, strict=True)),
    )
    reader = ChipReader(probe, SimpleNamespace(blocks=places))
    engine = SimpleNamespace(spiked=rng.random((50, 6)) < 0.4)
    assert (reader._sparse is None) == (density == 1.0)
    expected = engine.spiked.T @ np.concatenate(weights)
    np.testing.assert_allclose(reader.weighed(engine), expected.T, rtol=1e-12, atol=1e-12)
