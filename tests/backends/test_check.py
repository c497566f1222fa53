"""What the check says about Loihi against what nengo-loihi builds and runs."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiking_lmu.backends.contract import small_lmu
from spiking_lmu.backends.target import blocking
from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec
from spiking_lmu.graph.lmu import build as build_lmu
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.timing import Timing
from spiking_lmu.graph.transforms import Sparse
from spiking_lmu.targets.loihi.layout import lay_out
from spiking_lmu.targets.loihi.synapses import Synapses, count_distinct
from spiking_lmu.targets.loihi.target import TARGET

from ..helpers.chip_models import (
    LIF,
    RELU,
    SEEN,
    TINY,
    build,
    disagreement,
    driven,
    found,
    limits,
    random_model,
    two,
)


def test_random_networks_build_where_the_check_passes_them():
    """And each block has the compartments, axons, bits and scale that were counted."""
    built = []
    with limits(TINY):
        for seed in range(12):
            model = random_model(seed)
            assert disagreement(model) == "", seed
            built.append(not blocking(TARGET.check(model)))
    assert 3 <= sum(built) <= 9


def test_divided_populations():
    """Equal rows of a divided block share memory; one-to-one axons reach their part alone."""
    alike, one_to_one = np.ones((24, 20)), np.arange(24) % 3.0
    with limits(TINY):
        for weights in (alike, one_to_one):
            assert disagreement(two(weights)) == ""
            assert found(two(weights), "error") == []
        first = lay_out(two(alike)).of("b")[0]
        assert (first.compartments, first.in_axons, first.synapse_bits) == (12, 20, 128)
        out = [b.out_axons for b in lay_out(two(one_to_one)).of("a")]
        assert out == [8, 8]


def test_the_lmu_is_counted_as_it_is_built():
    for cell in ("feedforward", "recurrent"):
        for neuron in ("relu", "lif"):
            assert disagreement(small_lmu(neuron, cell)[0]) == ""


@pytest.mark.parametrize(("neurons", "problem"), [(4096, ""), (4097, "4,097 axons into a core")])
def test_a_core_has_4096_axons(neurons, problem):
    model = two(np.ones((2, neurons)))
    assert disagreement(model) == ""
    said = found(model, "error")
    assert len(said) == bool(problem)
    assert problem in " ".join(said)
    # Its two neurons are on two cores already.
    assert not problem or "no division of b helps" in said[0]


def test_equal_parts_that_are_still_too_large_are_made_smaller():
    """1,639 x 132 weights are 2 % more than one core holds, and words of each half are filled up."""
    rng = np.random.default_rng(0)
    model = two(rng.normal(size=(132, 1639)))
    assert disagreement(model) == ""
    assert found(model, "error") == []
    assert [b.compartments for b in lay_out(model).of("b")] == [44, 44, 44]


def test_what_leads_to_divided_populations_is_divided_for_its_axons():
    """Each of 900 neurons has an axon to each of the five cores that its target takes."""
    model = two(np.random.default_rng(0).normal(size=(600, 900)))
    assert disagreement(model) == ""
    assert found(model, "error") == []
    use = lay_out(model)
    assert len(use.of("b")) == 5
    assert [b.out_axons for b in use.of("a")] == [2250, 2250]


def test_sparse_weights_take_memory_for_those_that_are_there():
    size = 40
    shift = Sparse((size, size), np.arange(1, size), np.arange(size - 1), np.ones(size - 1))
    assert disagreement(two(shift)) == ""
    (block,) = lay_out(two(shift)).of("b")
    assert (block.in_axons, block.synapse_bits) == (size, 64 * (size - 1))
    with limits(TINY):
        for seed in range(4):
            rng = np.random.default_rng(seed)
            entries = rng.normal(size=(24, 20)) * (rng.random((24, 20)) < 0.2)
            assert disagreement(two(Sparse.from_matrix(entries))) == "", seed


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (two([[1.0]], tau=9.0), "synapse of 9 s, limit 8.19 s"),
        (two([[1.0]], post=replace(LIF, tau_rc=9.0)), "membrane of 9 s, limit 8.19 s"),
        (two([[1e-6]]), "largest weight 1e-06 of the threshold, limit at least 8.39e-05"),
        (two([[1e5]]), "largest weight 1e+05 times the threshold, limit 2.82e+03"),
        (two([[1.0]], offset=1e9), "largest bias 1e+06 times the largest weight, limit 745"),
        (two([[1.0]], bias=1e9), "largest bias 1e+06 times the threshold"),
        (two([0.0, 0.0]), "one-to-one weights that are all 0"),
        (driven(1.0, neuron=Neuron("relu")), "relu neurons"),
    ],
)
def test_each_limit(model, said):
    (problem,) = found(model, "error")
    assert said in problem
    assert build(model)[0] is None


def test_a_population_without_current_in_training_is_built_and_said():
    assert not found(driven(0.0), "error")
    assert any("no current from the host in training" in w for w in found(driven(0.0), "warning"))
    assert disagreement(driven(0.0)) == ""


@pytest.mark.parametrize(
    ("low", "high", "make"),
    [
        (1e-6, 1e-3, lambda weight: two([[weight]])),
        (1e5, 1e2, lambda weight: two([[weight]])),
        (1e9, 1e3, lambda offset: two([[1.0]], offset=offset)),
        (9.0, 1.0, lambda tau: two([[1.0]], tau=tau)),
        (9.0, 1.0, lambda tau: two([[1.0]], post=replace(LIF, tau_rc=tau))),
    ],
)
def test_on_both_sides_of_a_limit(low, high, make):
    """As near to it as numbers of 32 bits can tell: ``low`` fails, ``high`` does not."""
    while abs(high - low) > 3e-7 * low:
        middle = (low + high) / 2
        fails = bool(found(make(middle), "error"))
        low, high = (middle, high) if fails else (low, middle)
    assert disagreement(make(low)) == ""
    assert disagreement(make(high)) == ""
    assert found(make(low), "error")
    assert not found(make(high), "error")


def test_several_errors_at_once():
    model = two([[1.0]], tau=9.0, post=replace(LIF, tau_rc=9.0), pre=replace(LIF, tau_rc=9.0))
    assert len(found(model, "error")) == 2
    unmeasured = replace(driven(1.0), activity={})
    assert "no measured currents" in found(unmeasured, "error")[0]
    with pytest.raises(TargetError, match="no measured currents"):
        TARGET.deploy(unmeasured, 1)
    silent = Graph(
        (Population("x", 1), Population("out", 1)), (Projection("x", "out"),), "x", "out"
    )
    assert "no spiking population" in found(Model(silent), "error")[0]
    assert "No neurons marked" in build(Model(silent))[1]


def test_deploy_is_not_stopped_by_warnings():
    model, x = small_lmu()
    assert found(model, "warning")
    with TARGET.deploy(model, x.shape[1]) as deployment:
        assert deployment.run(x[:1]).outputs.shape[0] == 1


def test_rates_above_one_a_step():
    """Twice 1/dt is said with the rate that keeps all below; half of it is not."""
    said = found(driven(10.0, scale=200.0), "warning")[0]
    assert "2,000 Hz at most, 2,000 Hz at the 99.9th percentile, limit 1,000 Hz" in said
    assert "max_rate=1000 keeps" in said
    assert "Hz" not in " ".join(found(driven(10.0, scale=50.0), "warning"))


def test_of_spikes_of_the_host_in_one_step_one_arrives():
    """Which is said: half of them are lost without it."""

    def sending(hertz, reader_on_host=False):
        populations = (
            Population("x", 1),
            Population("a", 1, RELU, on_host=True, scale=hertz),
            Population("b", 1, RELU, on_host=reader_on_host, scale=100.0),
            Population("c", 1, RELU, scale=100.0),
            Population("y", 1),
        )
        pairs = zip("xabc", "abcy", strict=True)
        links = tuple(Projection(pre, post, np.ones((1, 1))) for pre, post in pairs)
        one = Activity(1.0, 1.0, 1.0, 1.0)
        timing = Timing(settle_steps=50)
        graph = Graph(populations, links, "x", "y")
        return Model(graph, timing=timing, activity=dict.fromkeys("abc", one))

    def received(model):
        with TARGET.deploy(model, 1) as deployment:
            return int(deployment.run(np.ones((1, 1, 1))).spikes["b"].sum())

    assert received(sending(2000.0)) < 0.6 * received(sending(1000.0))
    said = found(sending(2000.0), "warning")
    assert any("a: got 2,000 Hz at most" in line and "one spike a step" in line for line in said)
    assert "Hz" not in " ".join(found(sending(500.0), "warning"))
    assert "Hz" not in " ".join(found(sending(2000.0, reader_on_host=True), "warning"))


def test_current_that_the_host_cannot_code():
    (said,) = (w for w in found(driven(1.0, 2.0), "warning") if "from the host" in w)
    assert "a current of 2 from the host, limit 1.1" in said
    assert "from the host" not in " ".join(found(driven(1.0, 1.05), "warning"))


def test_one_lowpass_for_all_neurons_of_a_population():
    """The longest, as nengo-loihi builds it."""
    model = two(np.ones((2, 2)), tau=0.02)
    both = (*model.graph.projections, Projection("a", "b", np.ones((2, 2)), tau=0.01, name="fast"))
    mixed = replace(model, graph=replace(model.graph, projections=both))
    assert not [w for w in found(model, "warning") if "lowpass" in w]
    (said,) = (w for w in found(mixed, "warning") if "lowpass" in w)
    assert "fast: got a lowpass of 10 ms, limit 20 ms" in said
    simulator, _ = build(mixed)
    with simulator:
        decays = list(simulator.model.blocks)[1].compartment.decay_u
    assert set(decays) == {round(4095 * (1 - np.exp(-1 / 20)) - 1)}


def test_weights_far_below_the_largest_come_out_too_large():
    """1/512 of the largest weight is 6 times what it should be on the chip."""
    model = two(np.ones((4, 4)))
    small = Projection("a", "b", np.full((4, 4), 1 / 512), tau=0.005, name="small")
    model = replace(
        model, graph=replace(model.graph, projections=(*model.graph.projections, small))
    )
    (said,) = (w for w in found(model, "warning") if "too large" in w)
    assert said.startswith("small: got weights about 8 times too large")
    simulator, _ = build(model)
    with simulator:
        (large,), (little,) = (
            {int(w) for row in s.weights for w in row.ravel()}
            for s in list(simulator.model.blocks)[1].synapses
        )
    assert 4 < little / (large / 512) <= 8


@pytest.mark.parametrize(("neurons", "overflows"), [(60, False), (200, True)])
def test_overflow_is_foreseen(neurons, overflows):
    """``neurons`` spikes a step of 50 each: the emulator's sum of 21 bits, or current of 23."""
    current = 50.0 * neurons
    activity = {"b": Activity(1.0, 1.0, current, current)}
    model = two(np.full((1, neurons), 0.05), bias=2000.0, activity=activity)
    assert bool([w for w in found(model, "warning") if "sign flips" in w]) == overflows
    simulator, _ = build(model)
    with warnings.catch_warnings(record=True) as caught, simulator:
        warnings.simplefilter("always")
        simulator.run_steps(60)
    assert any("Overflow" in str(w.message) for w in caught) == overflows


def test_hardware_has_256_cores_where_the_emulator_has_any_number():
    import_nengo_loihi()
    from nengo_loihi.block import LoihiBlock
    from nengo_loihi.builder import Model as ChipModel
    from nengo_loihi.hardware.allocators import Greedy

    for cores, fits in ((256, True), (257, False)):
        populations = [Population(f"n{i}", 1, RELU) for i in range(cores)]
        graph = Graph((Population("x", 1), *populations), (), "x", "n0")
        said = [p for p in TARGET.check(Model(graph)) if p.severity == "hardware"]
        assert [p.got for p in said] == ([] if fits else ["257 cores"])
        chip = ChipModel()
        for _ in range(cores):
            block = LoihiBlock(1)
            block.compartment.vth[:] = 64
            chip.add_block(block)
        if fits:
            Greedy()(chip, 2)
        else:
            with pytest.raises(AssertionError):
                Greedy()(chip, 2)


@pytest.mark.parametrize(("tau_ref", "fits"), [(0.062, True), (0.063, False)])
def test_refractory_period_of_the_hardware(tau_ref, fits):
    import_nengo_loihi()
    from nengo_loihi.hardware.allocators import Greedy
    from nengo_loihi.hardware.validate import validate_board

    model = two([[1.0]], post=replace(LIF, tau_ref=tau_ref))
    assert bool(found(model, "hardware")) != fits
    simulator, _ = build(model)
    with simulator:
        board = Greedy()(simulator.model, 2)
    if fits:
        validate_board(board)
    else:
        with pytest.raises(AssertionError):
            validate_board(board)


def test_spikes_from_a_host_that_waits_for_the_chip():
    model, _ = small_lmu(cell="recurrent")
    assert not found(model, "hardware")
    graph = build_lmu(LmuSpec(order=4, units=60, cell="recurrent"))
    hidden = replace(graph["lmu.h"], neuron=RELU)
    wide = Model(graph.with_populations([hidden]), Timing(2), activity={"lmu.h": SEEN})
    assert "about 120 spikes a step" in found(wide, "hardware")[0]
    alone = build_lmu(LmuSpec(order=4, units=60))
    wide = Model(alone.with_populations([hidden]), Timing(2), activity={"lmu.h": SEEN})
    assert not found(wide, "hardware")


def test_the_memory_of_a_block_is_counted_once(monkeypatch):
    """However often another population has to be divided again: a dense layer took minutes."""
    counted = []
    bits = Synapses.bits

    def count(self, neurons, size, divided):
        counted.append((self.name, neurons.start, neurons.stop))
        return bits(self, neurons, size, divided)

    monkeypatch.setattr(Synapses, "bits", count)
    rng = np.random.default_rng(0)
    with limits(TINY):
        use = lay_out(two(rng.normal(size=(60, 60))))
    assert len(use.of("a")) > 2
    assert len(use.of("b")) > 2
    assert len(counted) == len(set(counted))


@given(st.integers(0, 2**32 - 1))
def test_equal_rows_are_counted_once(seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, 2, rng.integers(1, 12, 2)).astype(np.float32)
    rows *= rng.choice(np.array([1.0, -1.0, 0.0], np.float32), (len(rows), 1))
    assert count_distinct(rows) == len({row.tobytes() for row in rows})
