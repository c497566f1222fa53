"""Loihi's neurons by themselves against nengo-loihi's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.targets.loihi.cells import LoihiCells

CELLS = LoihiCells()
STEPS, SIZE = 40, 5


def currents(low, high, shape):
    number = st.floats(low, high, width=32, allow_subnormal=False)
    return arrays(np.float64, shape, elements=number)


relu = st.just(Neuron("spiking_relu"))
lif = st.builds(
    lambda tau_rc, tau_ref: Neuron("lif", tau_rc=tau_rc, tau_ref=tau_ref),
    st.floats(0.001, 1.0),
    st.floats(0.0, 0.01),
)
#: A neuron, currents of some steps, and dt: currents of LIF neurons have their threshold at 1.
cases = st.one_of(
    st.tuples(relu, currents(-100, 3000, (STEPS, SIZE)), st.sampled_from([0.001, 0.0004])),
    st.tuples(lif, currents(-3, 50, (STEPS, SIZE)), st.sampled_from([0.001, 0.0004])),
)


def upstream(neuron):
    """nengo-loihi's neurons of the same kind and constants."""
    import_nengo_loihi()
    from nengo_loihi.neurons import LoihiLIF, LoihiSpikingRectifiedLinear

    if neuron.kind == "lif":
        return LoihiLIF(tau_rc=neuron.tau_rc, tau_ref=neuron.tau_ref)
    return LoihiSpikingRectifiedLinear()


@settings(deadline=None)
@given(cases)
def test_response_is_that_of_nengo_loihi(case):
    neuron, current, dt = case
    flat = current.ravel()
    theirs = upstream(neuron).rates(np.zeros((1, flat.size)), np.ones(flat.size), flat, dt=dt)
    np.testing.assert_allclose(
        CELLS.response(neuron, current, dt), theirs.reshape(current.shape), rtol=1e-12
    )


@settings(deadline=None)
@given(cases)
def test_steps_are_those_of_nengo_loihi(case):
    neuron, current, dt = case
    theirs, step = upstream(neuron), CELLS.stepper(neuron, (SIZE,), dt)
    state = {"voltage": np.zeros(SIZE)}
    if neuron.kind == "lif":
        state["refractory_time"] = np.zeros(SIZE)
    for now in current:
        output = np.zeros(SIZE)
        theirs.step(dt, now, output, **state)
        np.testing.assert_array_equal(step(now), output * dt)


@pytest.mark.parametrize("neuron", [Neuron("spiking_relu"), Neuron("lif", tau_ref=0.003)])
def test_a_constant_current_fires_at_its_response(neuron):
    """Every interval is 1 / (rate · dt) steps, the first without a refractory period."""
    current = np.linspace(10.03, 2500.7, 40) / (1 if neuron.kind == "spiking_relu" else 300)
    step = CELLS.stepper(neuron, current.shape, 0.001)
    trains = np.array([step(current) for _ in range(400)])
    rates = CELLS.response(neuron, current, 0.001)
    assert len(np.unique(rates)) > 5
    for train, rate in zip(trains.T, rates, strict=True):
        intervals = set(np.diff(np.flatnonzero(train)).tolist())
        assert intervals == ({round(1000 / rate)} if rate else set())


def test_what_is_left_over_at_a_spike_is_forgotten():
    """0.7 of the threshold a step: two steps each time, where Nengo fires seven times in ten."""
    step = CELLS.stepper(Neuron("spiking_relu"), (1,), 0.001)
    assert [int(step(np.array([700.0]))[0]) for _ in range(6)] == [0, 1, 0, 1, 0, 1]
    assert CELLS.response(Neuron("spiking_relu"), np.array([700.0, 5000.0]), 0.001).tolist() == [
        500.0,
        1000.0,
    ]


@pytest.mark.parametrize("tau_rc", [0.02, 1e-4])
@pytest.mark.parametrize(("tau_ref", "rate"), [(0.0, 1000), (0.003, 250)])
def test_no_neuron_fires_twice_in_a_step(tau_rc, tau_ref, rate):
    """A membrane of 0.1 ms follows its current at once."""
    neuron, current = Neuron("lif", tau_rc=tau_rc, tau_ref=tau_ref), np.array([1e20])
    assert CELLS.response(neuron, current, 0.001).tolist() == [rate]
    step = CELLS.stepper(neuron, (1,), 0.001)
    assert sum(step(current)[0] for _ in range(1000)) == rate


def test_amplitude_plays_no_part():
    current = np.array([[2.5, 0.5]])
    np.testing.assert_array_equal(
        CELLS.response(Neuron("lif", amplitude=0.1), current, 0.001),
        CELLS.response(Neuron("lif"), current, 0.001),
    )


def test_refuses_neurons_that_the_chip_does_not_have():
    with pytest.raises(TargetError, match="tanh"):
        CELLS.response(Neuron("tanh"), np.ones(2), 0.001)
    with pytest.raises(TargetError, match="relu"):
        CELLS.stepper(Neuron("relu"), (2,), 0.001)
