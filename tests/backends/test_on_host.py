"""Spiking populations that stay on the host: their spikes enter the chip as they are."""

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu.conversion import Options, convert, default_options
from spiking_lmu.errors import SpecError
from spiking_lmu.files import slmu
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Model
from spiking_lmu.graph.neurons import Neuron
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.timing import Timing

from ..helpers.faulty import two_layers

DT = 0.001
#: A neuron that forgets in a step and spikes where its current is above one.
COMPARATOR = Neuron("lif", amplitude=DT, tau_rc=DT / 10, tau_ref=0.0)
INPUTS = 12


def installed(target):
    if problem := spiking_lmu.get_target(target).available():
        pytest.skip(problem)


def made(feedback=True):
    """Input → comparators on the host → comparators on the chip, which hear themselves."""
    rng = np.random.default_rng(3)
    parts = [
        Population("x", 3),
        Population(
            "code", 9, COMPARATOR, gain=np.full(9, 4.0), bias=rng.normal(size=9), on_host=True
        ),
        Population("chip", 7, COMPARATOR, bias=rng.normal(size=7)),
        Population("out", 2),
    ]
    links = [
        Projection("x", "code", rng.normal(size=(9, 3))),
        Projection("code", "chip", rng.normal(size=(7, 9))),
        Projection("chip", "out", rng.normal(size=(2, 7))),
    ]
    if feedback:
        links.append(Projection("chip", "chip", rng.normal(size=(7, 7)), tau=0.0, name="back"))
    return Model(Graph(tuple(parts), tuple(links), "x", "out"), timing=Timing(1, 0, 0.0, DT))


def spikes_of_definition(model, x):
    counts = {}

    def observe(step, values, totals):
        for p in model.graph.spiking:
            counts[p.name] = counts.get(p.name, 0) + values[p.name]

    return run_reference(model.graph, x, model.timing, observe), counts


@pytest.mark.parametrize("target", ["reference", "nengo-dl"])
def test_other_targets_take_no_notice(target):
    installed(target)
    model, x = made(), np.random.default_rng(0).normal(size=(5, INPUTS, 3))
    outputs, counts = spikes_of_definition(model, x)
    with spiking_lmu.get_target(target).deploy(model, INPUTS) as deployment:
        run = deployment.run(x)
    np.testing.assert_allclose(run.outputs, outputs, atol=1e-5)
    for name, count in counts.items():
        np.testing.assert_array_equal(run.spikes[name], count)


@pytest.mark.parametrize("feedback", [False, True])
def test_spikes_enter_the_chip_exactly(feedback):
    installed("loihi")
    model, x = made(feedback), np.random.default_rng(0).normal(size=(6, INPUTS, 3))
    _, counts = spikes_of_definition(model, x)
    assert counts["code"].sum() > 50
    target = spiking_lmu.get_target("loihi")
    assert not [p for p in target.check(model) if p.severity == "error"]
    with target.deploy(model, INPUTS, engine="batched") as deployment:
        assert deployment.placement["code"] == "host"
        assert deployment.placement["chip"] == "chip emulator"
        run = deployment.run(x, raster=True)
        deployment.verify(x, run)
    np.testing.assert_array_equal(run.spikes["code"], counts["code"])
    # On the chip weights have eight bits: what was sent is known from the other direction.
    stock = target.deploy(model, INPUTS, engine="stock").run(x[:2], raster=True)
    for name in ("code", "chip"):
        for ours, theirs in zip(run.rasters[:2], stock.rasters, strict=True):
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_the_layout_has_an_axon_for_each_neuron_on_the_host():
    installed("loihi")
    (core,) = spiking_lmu.get_target("loihi").cores(made())
    assert core.used["compartments"] == 7
    assert core.used["in axons"] == 9 + 7


def test_only_neurons_that_spike_can_stay():
    with pytest.raises(SpecError, match="on_host of p"):
        Population("p", 3, on_host=True)


def test_the_file_keeps_it(tmp_path):
    model = made()
    slmu.save(model, tmp_path / "m.slmu")
    loaded = slmu.load(tmp_path / "m.slmu")
    assert loaded.graph["code"].on_host
    assert loaded.digest == model.digest
    everywhere = [Population("code", 9, COMPARATOR, np.full(9, 4.0), model.graph["code"].bias)]
    assert Model(model.graph.with_populations(everywhere), model.timing).digest != model.digest


def test_a_layer_that_the_host_keeps_is_named_and_can_be_on_the_chip():
    installed("loihi")
    rate, x = two_layers(), np.random.default_rng(0).uniform(size=(2, 1, 784))
    target = spiking_lmu.get_target("loihi")
    found, name = {}, next(p.name for p in rate.graph.populations if p.neuron.kind == "relu")
    for place in ("host", "chip"):
        model = convert(rate, default_options(rate, first_layer=place, settle_steps=20))
        with target.deploy(model, 1) as deployment:
            counts = deployment.run(x).spikes
            found[place] = (
                dict(deployment.placement)[name],
                [note for note in deployment.notes if note.startswith(f"on the host: {name}")],
                [p for p in target.check(model) if p.where == name and "on the host" in p.got],
                len([core for core in target.cores(model) if core.name.startswith(name)]),
            )
            assert counts[name].sum() > 0
    assert found["host"][0] == "host"
    assert len(found["host"][1]) == len(found["host"][2]) == 1
    assert found["host"][3] == 0
    assert found["chip"] == ("chip emulator", [], [], 1)


def test_convert_names_the_layers_that_the_host_keeps():
    from spiking_lmu.cli.convert import neurons_of

    rate = two_layers()
    first, second = (p.name for p in rate.graph.populations if p.neuron.kind == "relu")
    said = list(neurons_of(convert(rate, default_options(rate))))
    assert said[0].startswith(f"{first}: ")
    assert said[0].endswith(" spiking_relu (beside a chip: on the host)")
    assert said[1].startswith(f"{second}: ")
    assert said[1].endswith(" spiking_relu")
    # What makes the bits of numbers there is not worth a word.
    assert list(neurons_of(made())) == ["chip: 7 lif"]


def test_another_place_for_the_first_layer_is_refused():
    with pytest.raises(SpecError, match="first_layer: got 'cpu', expected host or chip"):
        Options(first_layer="cpu")
