"""Spikes that the host sends to the chip: counted by every engine, kept, and told."""

import json
from dataclasses import replace

import numpy as np
import pytest

import spiking_lmu
from spiking_lmu.analysis.comparison import compare
from spiking_lmu.analysis.energy import counts_of, energy_report, load_devices, read_counts
from spiking_lmu.backends.contract import small_lmu
from spiking_lmu.conversion import Options, convert, measure_activity
from spiking_lmu.datasets import from_arrays
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.graph import Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Model
from spiking_lmu.report.energy_table import remarks
from spiking_lmu.runs.journal import Journal, RunRecord

from .test_on_host import INPUTS, installed
from .test_on_host import made as on_host

SETTINGS = {"workers": 1, "progress": False}


def memory_on_host(cell):
    """A small LMU whose memory the host computes and codes for the chip."""
    rng = np.random.default_rng(0)
    graph = build(LmuSpec(order=3, theta=6.0, units=5, output_size=2, cell=cell))
    x = rng.uniform(0, 1, (3, 6, 1))
    spiking = convert(
        Model(graph, activity=measure_activity(graph, x)),
        Options(steps_per_input=4, settle_steps=5, max_rate=200.0),
    )
    return spiking, x


def level_model():
    """Level coded: the comparators are on the chip, and values reach them in between."""
    rng = np.random.default_rng(1)
    graph = build(LmuSpec(1, 3, 5, 6.0, 4), seed=1)
    back = Projection("lmu.h", "lmu.u", 0.1 * np.ones((1, 4)), delay=1, name="back")
    graph = replace(graph, projections=(*graph.projections, back))
    x = rng.uniform(0, 1, (3, 6, 1))
    return convert(Model(graph), Options(code="level", levels=3), training_inputs=x), x


MADE = {
    "front end": lambda: small_lmu(),
    "feedforward": lambda: memory_on_host("feedforward"),
    "recurrent": lambda: memory_on_host("recurrent"),
    "levels": level_model,
    "spikes from the host": lambda: (on_host(), np.random.default_rng(0).normal(size=(3, 12, 3))),
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("raster", [False, True])
def test_batched_and_stock_count_the_same(name, raster):
    installed("loihi")
    model, x = MADE[name]()
    target = spiking_lmu.get_target("loihi")
    with target.deploy(model, x.shape[1], engine="stock") as deployment:
        stock = deployment.run(x[:2])
    with target.deploy(model, x.shape[1], engine="batched") as deployment:
        run = deployment.run(x, raster=raster)
    assert run.host_spikes
    assert run.host_spikes.keys() == stock.host_spikes.keys()
    for connection, counts in stock.host_spikes.items():
        assert counts.shape == (2,)
        np.testing.assert_array_equal(run.host_spikes[connection][:2], counts)
    taken = run.take([2, 0]).host_spikes
    for connection, counts in run.host_spikes.items():
        np.testing.assert_array_equal(taken[connection], counts[[2, 0]])


def test_spikes_of_populations_on_the_host_are_those_that_are_sent():
    """One neuron, one spike a step at most: the connection carries what the population has."""
    installed("loihi")
    model, x = on_host(), np.random.default_rng(5).normal(size=(4, INPUTS, 3))
    run = run_on_loihi(model, x)
    assert list(run.host_spikes) == ["code_to_chip"]
    np.testing.assert_array_equal(run.host_spikes["code_to_chip"], run.spikes["code"].sum(axis=1))


def test_a_pair_of_on_and_off_neurons_fires_about_once_a_step():
    """Current c of at most 1 drives them by (1 ± c) / 2 of a spike a step."""
    installed("loihi")
    model, x = memory_on_host("feedforward")
    run = run_on_loihi(model, x)
    pairs, steps = model.graph["lmu.h"].size, model.timing.total_steps(x.shape[1])
    assert list(run.host_spikes) == ["lmu.h.current"]
    counts = run.host_spikes["lmu.h.current"]
    assert np.abs(counts - pairs * steps).max() <= 2 * pairs


def run_on_loihi(model, x, **options):
    target = spiking_lmu.get_target("loihi")
    with target.deploy(model, x.shape[1], engine="batched", **options) as deployment:
        return deployment.run(x)


def test_verification_finds_another_count():
    installed("loihi")
    model, x = memory_on_host("recurrent")
    target = spiking_lmu.get_target("loihi")
    with target.deploy(model, x.shape[1], engine="batched") as deployment:
        run = deployment.run(x[:1])
        deployment.verify(x[:1], run)
        more = {name: counts + 1 for name, counts in run.host_spikes.items()}
        for wrong in (more, {}):
            with pytest.raises(TargetError, match="another result"):
                deployment.verify(x[:1], replace(run, host_spikes=wrong))


@pytest.mark.parametrize("target", ["reference", "nengo-dl"])
def test_there_are_none_without_a_chip(target):
    installed(target)
    model, x = memory_on_host("feedforward")
    with spiking_lmu.get_target(target).deploy(model, x.shape[1]) as deployment:
        assert deployment.run(x).host_spikes == {}


def test_the_journal_keeps_them_and_reads_records_without(tmp_path):
    key = {"target": "loihi", "model": "abc"}
    old = RunRecord(1, (0.25, 1.0), {"h": 7}, 0.5)
    new = RunRecord(2, (0.25, 1.0), {"h": 7}, 0.5, host_spikes={"h.current": 900})
    none = RunRecord(3, (0.25, 1.0), {"h": 7}, 0.5, host_spikes={})
    Journal(tmp_path, key, 2).append([old, new, none])
    assert Journal(tmp_path, key, 2).read() == {1: old, 2: new, 3: none}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    installed("loihi")
    folder = tmp_path_factory.mktemp("journal")
    model, x = memory_on_host("feedforward")
    data = from_arrays(x, np.array([0, 1, 0]), test=(x, np.array([0, 1, 0])), name="made-up")
    result = compare(
        {"small": model}, data.test, ["reference", "loihi"], **SETTINGS, journal=folder
    )
    return model, x, data, folder, result


def test_a_comparison_tells_them(compared, tmp_path):
    model, x, _, _, result = compared
    reference, loihi = result.outcomes
    wanted = run_on_loihi(model, x).host_spikes["lmu.h.current"]
    np.testing.assert_array_equal(loihi.host_spikes["lmu.h.current"], wanted)
    assert reference.host_spikes == {}
    assert reference.host_spikes_per_sample is None
    mean = wanted.mean()
    document = json.loads(result.to_json())
    rate, of_reference, of_loihi = document["rows"]
    assert of_loihi["host_spikes_per_sample"] == pytest.approx(mean)
    assert of_loihi["host_spikes_per_sample_by_connection"] == {"lmu.h.current": mean}
    assert rate["host_spikes_per_sample"] is of_reference["host_spikes_per_sample"] is None
    shown = f"{mean:,.0f}"
    table = str(result)
    assert "Host" in table
    assert shown in table
    assert f"| {shown} |" in result.to_markdown()
    result.to_html(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert f'data-label="Host spikes a sample">{shown}<' in page
    assert "Spikes from the host" in page


def test_the_same_counts_come_out_of_the_journal(compared):
    model, _, data, folder, result = compared
    again = compare({"small": model}, data.test, ["loihi"], **SETTINGS, journal=folder)
    found, first = again.outcomes[0].host_spikes, result.outcomes[1].host_spikes
    np.testing.assert_array_equal(found["lmu.h.current"], first["lmu.h.current"])


def test_samples_of_a_version_that_did_not_count_make_the_number_unknown(compared, tmp_path):
    """Their records are taken as they are, and the report says that it does not know."""
    model, _, data, folder, _ = compared
    for old in folder.iterdir():
        (tmp_path / old.name).write_bytes(old.read_bytes())
    original = Journal._parse
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Journal, "_parse", lambda self, row: replace(original(self, row), host_spikes=None)
        )
        result = compare({"small": model}, data.test, ["loihi"], **SETTINGS, journal=tmp_path)
    outcome = result.outcomes[0]
    assert outcome.host_spikes is outcome.host_spikes_per_sample is None
    assert any("did not count the spikes of the host" in note for note in outcome.notes)
    assert json.loads(result.to_json())["rows"][1]["host_spikes_per_sample_by_connection"] is None
    report = energy_report(model, [counts_of(outcome)], load_devices())
    assert any("were not counted" in line for line in remarks(report))


def test_energy_of_coding_numbers_as_spikes(compared, tmp_path):
    """One accumulate on the chip for each spike, and two updates on the host for each number."""
    model, x, _, _, result = compared
    outcome = result.outcomes[1]
    report = energy_report(model, [counts_of(outcome)], load_devices())
    entry = report.entries[0]
    sent = outcome.host_spikes_per_sample
    steps = model.timing.total_steps(x.shape[1])
    assert entry.operations.host_spikes == entry.operations.coding_synops == sent
    assert entry.operations.coding_updates == 2 * model.graph["lmu.h"].size * steps
    assert entry.joules["loihi for host spikes"] == pytest.approx(sent * 23.6e-12)
    unknown = replace(counts_of(outcome), host_spikes=None)
    without = energy_report(model, [unknown], load_devices()).entries[0]
    assert "loihi for host spikes" not in without.joules
    assert entry.joules["loihi alone"] == without.joules["loihi alone"]
    more = entry.joules["loihi with cpu"] - without.joules["loihi with cpu"]
    updates = entry.operations.coding_updates * 8.6e-9
    assert more == pytest.approx(sent * 23.6e-12 + updates)
    # The same from the file, and from a file of a version that did not count them.
    path = tmp_path / "report.json"
    result.to_json(path)
    counts = {c.target: c for c in read_counts(path, model)}
    assert counts["loihi"] == counts_of(outcome)
    document = json.loads(path.read_text())
    for row in document["rows"]:
        del row["host_spikes_per_sample_by_connection"], row["host_spikes_per_sample"]
    path.write_text(json.dumps(document))
    old = {c.target: c for c in read_counts(path, model)}
    assert old["loihi"] == unknown


def test_spikes_of_populations_on_the_host_are_not_counted_twice():
    """Their accumulates are among the synops of the graph."""
    installed("loihi")
    model, x = on_host(), np.random.default_rng(5).normal(size=(3, INPUTS, 3))
    data = from_arrays(x, np.array([0, 1, 0]), test=(x, np.array([0, 1, 0])), name="made-up")
    outcome = compare({"m": model}, data.test, ["loihi"], **SETTINGS, verify=0).outcomes[0]
    operations = energy_report(model, [counts_of(outcome)], load_devices()).entries[0].operations
    assert operations.host_spikes == outcome.spikes["code"].mean()
    assert (operations.coding_synops, operations.coding_updates) == (0, 0)
