"""Spiking neurons against Nengo's own, spike for spike; curves against Nengo's rates."""

import numpy as np
import pytest

from spiking_lmu.compat import import_nengo
from spiking_lmu.errors import SpecError
from spiking_lmu.graph.neurons import Neuron, SpikingState, response
from spiking_lmu.graph.timing import Timing

nengo = import_nengo()
CURRENTS = np.linspace(-2, 4, 61)


@pytest.mark.parametrize(
    ("kind", "upstream"),
    [
        ("relu", nengo.RectifiedLinear()),
        ("lif_rate", nengo.LIFRate()),
        ("tanh", nengo.Tanh(tau_ref=1.0)),
        ("sigmoid", nengo.Sigmoid(tau_ref=1.0)),
    ],
)
def test_response_curves_are_nengos(kind, upstream):
    expected = upstream.rates(CURRENTS, gain=1.0, bias=0.0).ravel()
    np.testing.assert_allclose(response(Neuron(kind), CURRENTS), expected, rtol=1e-10, atol=1e-12)


def test_soft_lif_follows_its_equation_and_tends_to_lif():
    hard, soft = Neuron("lif_rate"), Neuron("soft_lif", sigma=0.02)
    above = np.array([1.5, 2.0, 4.0])
    np.testing.assert_allclose(response(soft, above), response(hard, above), rtol=1e-3)
    middle = 0.02 * np.log(2.0)
    expected = 1 / (0.002 + 0.02 * np.log1p(1 / middle))
    assert response(soft, np.array([1.0]))[0] == pytest.approx(expected)
    assert np.isfinite(response(soft, np.array([-1e4, 1e4]))).all()


@pytest.mark.parametrize(
    ("neuron", "upstream"),
    [
        (Neuron("spiking_relu"), nengo.SpikingRectifiedLinear()),
        (Neuron("lif"), nengo.LIF()),
        (Neuron("lif", tau_rc=0.01, tau_ref=0.0035), nengo.LIF(tau_rc=0.01, tau_ref=0.0035)),
    ],
)
def test_spikes_are_nengos(neuron, upstream):
    rng = np.random.default_rng(0)
    currents = rng.normal(1.0, 3.0, (400, 30)) * (300 if neuron.kind == "spiking_relu" else 1)
    state = SpikingState(neuron, (30,), 0.001)
    theirs = {name: np.zeros(30) for name in upstream.state}
    output, fired = np.zeros(30), 0
    for current in currents:
        upstream.step(0.001, current, output, **theirs)
        np.testing.assert_array_equal(state.step(current) / 0.001, output)
        fired += np.count_nonzero(output)
    assert fired > 100


@pytest.mark.parametrize(
    "bad", [{"steps_per_input": 0}, {"settle_steps": -1}, {"readout_tau": np.nan}, {"dt": 0.0}]
)
def test_timing_refuses(bad):
    with pytest.raises(SpecError):
        Timing(**bad)
