"""convert of a save_params file: inputs and probes by name, and what an error advises."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from spiking_lmu.cli.main import main
from spiking_lmu.files import slmu

from ..helpers import networks

MODULE = """
import numpy as np
from spiking_lmu.compat import import_nengo, import_nengo_dl

nengo_dl, nengo = import_nengo_dl(), import_nengo()


def two():
    with nengo.Network(seed=0) as network:
        nengo_dl.configure_settings(trainable=None, stateful=False)
        a, b = nengo.Node(np.ones(2), label="a"), nengo.Node(np.zeros(1), label="b")
        h = nengo.Ensemble(
            5, 1, neuron_type=nengo.SpikingRectifiedLinear(), gain=np.ones(5), bias=np.ones(5),
            label="h",
        )
        for node in (a, b):
            nengo.Connection(node, h.neurons, transform=nengo_dl.dists.Glorot(), synapse=None)
        for name in ("first", "second"):
            out = nengo.Node(size_in=2, label=name)
            nengo.Connection(h.neurons, out, transform=nengo_dl.dists.Glorot(), synapse=0.01)
            nengo.Probe(out, label=f"{name}_p")
    return network
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "several.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import several

    with networks.simulate(several.two()) as simulator:
        simulator.save_params(tmp_path / "params")
    rng = np.random.default_rng(0)
    np.savez("data.npz", x=rng.normal(size=(40, 6, 3)).astype(np.float32), y=np.arange(40) % 2)
    yield tmp_path
    sys.modules.pop("several", None)


def test_what_the_errors_advise_works(folder, capsys):
    command = ["convert", "params.npz", "--network", "several:two", "-o", "spiking.slmu"]
    assert main(command) == 1
    message = capsys.readouterr().err
    assert "name the output with --probe" in message
    assert "name the input with --input" in message
    assert main([*command, "--probe", "first_p", "--input", "a"]) == 1
    assert "--input 'a' --input 'b'" in capsys.readouterr().err
    inputs = ["--input", "a", "--input", "b", "--data", "data.npz"]
    assert main([*command, "--probe", "second_p", *inputs]) == 0
    first = slmu.load("spiking.slmu")
    assert first.rate.output == "second"
    assert first.rate.input_size == 3
    assert not (folder / "spiking.slmu.tmp").exists()
    more = ["--no-check", "--trained-dt", "0.01"]
    assert main([*command, "--probe", "second_p", *inputs, *more]) == 0
    kept = [
        {p.name: p.weights for p in model.rate.projections}["h.lowpass.kept"]
        for model in (first, slmu.load("spiking.slmu"))
    ]
    np.testing.assert_allclose(kept[0], np.exp(-0.1))
    np.testing.assert_allclose(kept[1], np.exp(-1.0))


def test_options_of_an_import_are_refused_where_nothing_is_imported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["--network", "module:function", "--trained-dt", "0.01"]
    assert main(["convert", "mnist-dense", "--max-rate", "250", *given, "-o", "spikes.slmu"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--network, --trained-dt" in line
    assert "mnist-dense.slmu" in line
    assert not list(tmp_path.iterdir())
