"""NIR graphs: there and back, and each node against its equation."""

from itertools import pairwise

import numpy as np
import pytest

from spiking_lmu.conversion import Options, convert
from spiking_lmu.errors import FileError, ImportNetworkError, SpecError
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.transforms import Convolution, Dense
from spiking_lmu.importers.nir import from_nir, to_nir

nir = pytest.importorskip("nir", reason="needs: pip install 'spiking-lmu[nir]'")
RNG = np.random.default_rng(0)
DT = 0.001


def graph_of(shape, *nodes, edges=None):
    """Input → nodes → output."""
    named = {"input": nir.Input({"input": np.array(shape)})}
    named |= {f"n{i}": node for i, node in enumerate(nodes)}
    named["output"] = nir.Output({"output": np.array([1])})
    names = list(named)
    links = edges or list(pairwise(names))
    return nir.NIRGraph(named, links, type_check=False)


def outputs(model, x):
    return run_reference(model.graph, x, model.timing)


def image(neuron):
    rng = np.random.default_rng(4)
    convolution = Convolution((4, 4, 1), rng.normal(size=(3, 3, 1, 2)))
    populations = (
        Population("x", 16),
        Population("h", 8, Neuron(neuron), bias=rng.uniform(0, 1, 8)),
        Population("out", 2, bias=np.array([0.5, 0.0])),
    )
    projections = (
        Projection("x", "h", convolution),
        Projection("h", "out", Dense(rng.normal(size=(2, 8)))),
    )
    return Model(Graph(populations, projections, "x", "out"))


@pytest.mark.parametrize("neuron", ["relu", "lif"])
@pytest.mark.parametrize(
    "make", [lambda: image("relu"), lambda: Model(build(LmuSpec(order=3, theta=8.0, units=4)))]
)
def test_there_and_back(tmp_path, make, neuron):
    """In a file; what comes back spikes as what went."""
    rate = make()
    x = RNG.uniform(size=(3, 40, rate.graph.input_size))
    options = Options(
        neuron=neuron, max_rate=300.0, steps_per_input=1, settle_steps=0, readout_tau=0.0
    )
    model = convert(rate, options, training_inputs=x)
    if neuron == "lif":
        # NIR's LIF is never refractory.
        model = Model(
            model.graph.with_populations(
                Population(
                    p.name, p.size, Neuron("lif", p.neuron.amplitude, tau_ref=0.0), p.gain, p.bias
                )
                for p in model.graph.spiking
            ),
            model.timing,
        )
    to_nir(model, tmp_path / "model.nir")
    again = from_nir(tmp_path / "model.nir")
    want = outputs(model, x)
    assert np.abs(want).max() > 0
    np.testing.assert_allclose(outputs(again, x), want, rtol=1e-9, atol=1e-9)


def test_weights_and_scales():
    weight, bias, scale = RNG.normal(size=(2, 3)), np.array([1.0, -1.0]), np.array([2.0, 3.0])
    model = from_nir(
        graph_of([3], nir.Affine(weight, bias), nir.Scale(scale), nir.Linear(weight.T))
    )
    x = RNG.normal(size=(2, 1, 3))
    want = ((x @ weight.T + bias) * scale) @ weight
    np.testing.assert_allclose(outputs(model, x), want, atol=1e-12)


def test_images_have_their_channels_first_in_nir():
    """Against a loop over NIR's layout: channels, rows, columns."""
    weight, bias = RNG.normal(size=(4, 2, 2, 3)), RNG.normal(size=4)
    dense = RNG.normal(size=(3, 4 * 2 * 2))
    pool = nir.SumPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0]))
    convolution = nir.Conv2d((5, 4), weight, 1, 0, 1, 1, bias)
    flatten = nir.Flatten({"input": np.array([4, 2, 2])}, 0)
    model = from_nir(graph_of([2, 5, 4], convolution, pool, flatten, nir.Linear(dense)))
    x = RNG.normal(size=(2, 5, 4))
    y = np.zeros((4, 4, 2))
    for f, i, j in np.ndindex(*y.shape):
        y[f, i, j] = (weight[f] * x[:, i : i + 2, j : j + 3]).sum() + bias[f]
    want = dense @ y.reshape(4, 2, 2, 2).sum(axis=2).ravel()
    shown = np.moveaxis(x, 0, -1).reshape(1, 1, -1)
    np.testing.assert_allclose(outputs(model, shown)[0, 0], want, atol=1e-12)


def test_a_leaky_integrator_is_its_equation():
    """tau dv/dt = v_leak - v + r I, of a constant input: v_leak + r I (1 - exp(-t/tau))."""
    ones = np.ones(2)
    node = nir.LI(0.01 * ones, np.array([2.0, 3.0]), np.array([0.5, 0.0]))
    got = outputs(from_nir(graph_of([2], node)), np.ones((1, 30, 2)))[0]
    rise = 1 - np.exp(-DT * np.arange(30)[:, None] / 0.01)
    np.testing.assert_allclose(got, [0.5, 0.0] + rise * [2.0, 3.0], atol=1e-12)


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_firing_rates(kind):
    """Of a constant current, by the closed form; one spike has area 1."""
    ones, current, threshold = np.ones(1), 300.0, 2.0
    if kind == "IF":
        node = nir.IF(ones, threshold * ones, 0 * ones)
        rate = current / threshold
    elif kind == "LIF":
        current = 5.0
        node = nir.LIF(0.02 * ones, ones, 0 * ones, threshold * ones, 0 * ones)
        rate = 1 / (0.02 * np.log(current / (current - threshold)))
    else:
        current = 5.0
        node = nir.CubaLIF(
            0.002 * ones, 0.02 * ones, ones, 0 * ones, threshold * ones, 0 * ones, ones
        )
        rate = 1 / (0.02 * np.log(current / (current - threshold)))
    got = outputs(from_nir(graph_of([1], node)), np.full((1, 2000, 1), current))
    # What is left of a step after a spike is lost, but for IF.
    slowest = rate if kind == "IF" else 1 / (1 / rate + DT)
    assert 0.98 * slowest < got.mean() < 1.01 * rate


def test_a_delay_and_a_loop():
    delay = nir.Delay(np.full(1, 3 * DT))
    got = outputs(from_nir(graph_of([1], delay)), np.arange(1.0, 7).reshape(1, 6, 1))
    assert got.ravel().tolist() == [0, 0, 0, 1, 2, 3]
    edges = [("input", "n0"), ("n0", "n1"), ("n1", "n0"), ("n0", "output")]
    loop = graph_of([1], nir.Scale(np.ones(1)), nir.Scale(np.full(1, 0.5)), edges=edges)
    model = from_nir(loop)
    assert outputs(model, np.ones((1, 3, 1))).ravel().tolist() == [1.0, 1.5, 1.75]
    assert any("closes a loop" in note for note in model.provenance["notes"])


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (nir.I(np.ones(2)), "integrator"),
        (nir.Threshold(np.ones(2)), "threshold"),
        (nir.IF(np.ones(2), np.ones(2), np.full(2, 0.1)), "v_reset"),
        (
            nir.LIF(np.array([0.1, 0.2]), np.ones(2), np.zeros(2), np.ones(2), np.zeros(2)),
            "several values of tau",
        ),
        (nir.Delay(np.full(2, 0.0015)), "whole number of steps"),
    ],
)
def test_refused(node, expected):
    with pytest.raises(ImportNetworkError, match=expected):
        from_nir(graph_of([2], node))


def test_weights_take_over_factors_beside_them():
    """What libraries read: matrices and neurons, with an r of 1."""
    rng = np.random.default_rng(2)
    hidden = Population("h", 4, Neuron("lif", 0.5, tau_ref=0.0), np.arange(1.0, 5), np.ones(4))
    graph = Graph(
        (Population("x", 3), hidden, Population("y", 2)),
        (Projection("x", "h", rng.normal(size=(4, 3))), Projection("h", "y", np.ones((2, 4)))),
        "x",
        "y",
    )
    made = to_nir(Model(graph))
    kinds = sorted(type(node).__name__ for node in made.nodes.values())
    assert kinds == ["Input", "LIF", "Linear", "Linear", "Output"]
    (lif,) = (node for node in made.nodes.values() if isinstance(node, nir.LIF))
    assert (lif.r == 1).all()
    x = rng.normal(2, 1, size=(2, 50, 3))
    want = outputs(Model(graph), x)
    assert np.abs(want).max() > 0
    np.testing.assert_allclose(outputs(from_nir(made), x), want, rtol=1e-9, atol=1e-9)


def test_rate_neurons_have_no_node():
    with pytest.raises(SpecError, match="convert the model first"):
        to_nir(image("relu"))


def test_from_the_command_line(tmp_path, capsys):
    from spiking_lmu.cli.main import main
    from spiking_lmu.files.slmu import save

    rate = image("relu")
    np.savez(tmp_path / "data.npz", x=RNG.uniform(size=(6, 1, 16)), y=np.arange(6) % 2)
    save(rate, tmp_path / "rate.slmu")
    names = [str(tmp_path / n) for n in ("rate.slmu", "spiking.slmu", "spiking.nir", "data.npz")]
    options = ["--data", names[3], "--training-samples", "4"]
    assert main(["convert", names[0], "-o", names[1], "--to", names[2], *options]) == 0
    assert "IF does not" in capsys.readouterr().out
    assert from_nir(names[2]).graph.spiking


def test_damaged_files(tmp_path):
    (tmp_path / "a.nir").write_bytes(b"no")
    with pytest.raises(FileError):
        from_nir(tmp_path / "a.nir")
    with pytest.raises(FileError, match="nothing there"):
        from_nir(tmp_path / "b.nir")
