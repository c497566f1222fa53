import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spiking_lmu.errors import FileError
from spiking_lmu.files import slmu, writing
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.lmu import LmuSpec, build
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.reference import run_reference
from spiking_lmu.graph.task import Scaling, Task
from spiking_lmu.graph.timing import Timing

from ..helpers.strategies import graphs, transforms

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.slmu"
    graph = build(LmuSpec(order=3, theta=8.0, units=4, output_size=2))
    model = Model(graph, Timing(2, 5, 0.01), activity={"lmu.h": Activity(1.0, 2.0, 3.0, 4.0)})
    slmu.save(model, path)
    return path


@pytest.mark.parametrize(
    ("word", "when", "digest"),
    [
        (
            "classification",
            "last",
            "2287c45b621c028421136064b6b60a5a51f050dfabe75485d416c387c47c6642",
        ),
        ("regression", "every", "755798c245345cb34a9273165f65083ce5efbcd010fa5d63cca8834a75b0894d"),
    ],
)
def test_files_of_version_1_read_as_they_did(word, when, digest):
    """The digest was taken when the file was written, so that finished samples stay valid."""
    model = slmu.load(FIXTURES / f"version-1-{word}.slmu")
    assert (model.task.kind, model.task.when, model.scaling) == (word, when, None)
    assert model.digest == digest


def test_task_and_scaling_are_kept(tmp_path):
    graph = build(LmuSpec(order=3, theta=8.0, units=4, output_size=2))
    task = Task("classification", "every", ("rest", "walk"), "f1")
    model = Model(graph, task=task, scaling=Scaling((0.1,), (2.5,)))
    slmu.save(model, tmp_path / "a.slmu")
    loaded = slmu.load(tmp_path / "a.slmu")
    assert (loaded.task, loaded.scaling) == (task, model.scaling)
    digests = {Model(graph, task=task).digest, Model(graph).digest, model.digest, loaded.digest}
    assert len(digests) == 3


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(graphs(), st.integers(1, 9), st.sampled_from(["classification", "regression"]))
def test_round_trip(tmp_path, graph, steps, task):
    model = Model(graph, Timing(steps), task, provenance={"command": "made up", "ß": [1, None]})
    slmu.save(model, tmp_path / "a.slmu")
    loaded = slmu.load(tmp_path / "a.slmu")
    assert loaded.digest == model.digest
    assert loaded.provenance == model.provenance
    assert loaded.timing == model.timing
    x = np.random.default_rng(0).normal(size=(1, 3, graph.input_size))
    np.testing.assert_array_equal(
        run_reference(loaded.graph, x, loaded.timing), run_reference(graph, x, model.timing)
    )
    slmu.save(loaded, tmp_path / "b.slmu")
    assert (tmp_path / "a.slmu").read_bytes() == (tmp_path / "b.slmu").read_bytes()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damage_is_noticed_or_harmless(path, tmp_path, data):
    """Whatever bytes change, the file is refused by its own error or gives the same model."""
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(whole) // 2, len(whole)))
    broken = tmp_path / "broken.slmu"
    broken.write_bytes(bytes(whole[:cut]))
    try:
        loaded = slmu.load(broken)
    except FileError:
        return
    assert isinstance(loaded, Model)


FIXTURES = Path(__file__).parent / "fixtures"
VERSION_1 = json.loads((FIXTURES / "version-1.json").read_text())


@pytest.mark.parametrize("name", VERSION_1)
def test_files_of_version_1_are_what_they_were(name):
    """Written before there was a version 2, with the digest and outputs that the models had."""
    path, want = FIXTURES / f"{name}.slmu", VERSION_1[name]
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("manifest.json"))["format_version"] == 1
    model = slmu.load(path)
    assert model.digest == want["digest"]
    x = np.random.default_rng(1).uniform(size=(2, 6, model.graph.input_size))
    outputs = run_reference(model.graph, x, model.timing)[:, -1]
    np.testing.assert_allclose(outputs, want["outputs"], rtol=1e-12)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(transforms())
def test_round_trip_of_every_transform(tmp_path, transform):
    post, pre = transform.shape or (3, 3)
    graph = Graph(
        (Population("x", pre), Population("y", post)), (Projection("x", "y", transform),), "x", "y"
    )
    slmu.save(Model(graph), tmp_path / "a.slmu")
    loaded = slmu.load(tmp_path / "a.slmu")
    assert loaded.digest == Model(graph).digest
    again = loaded.graph.projections[0].transform
    np.testing.assert_array_equal(again.matrix(pre), transform.matrix(pre))


def rewrite(path, change, extra=None, **options):
    """The file with its manifest and entries changed by ``change(manifest, entries)``."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(entries.pop("manifest.json"))
    change(manifest, entries)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, content in entries.items():
            archive.writestr(name, content)


def declare(manifest, entries, array, **overrides):
    """Put ``array`` in the place of the first array, with a fitting declaration."""
    import hashlib

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    name = next(iter(entries))
    entries[name] = buffer.getvalue()
    manifest["arrays"][name] |= {
        "sha256": hashlib.sha256(entries[name]).hexdigest(),
        "bytes": len(entries[name]),
        **overrides,
    }


def poison(manifest, entries):
    name = next(iter(entries))
    shape = manifest["arrays"][name]["shape"]
    dtype = manifest["arrays"][name]["dtype"]
    declare(manifest, entries, np.full(shape, np.nan, dtype))


def bomb(manifest, entries):
    name = next(iter(entries))
    entries[name] = b"\0" * 50_000_000


HOSTILE = {
    "another format": (lambda m, e: m.update(format="zip"), "format 'zip'"),
    "a future version": (lambda m, e: m.update(format_version=99), "version 99"),
    "an undeclared entry": (lambda m, e: e.update({"../../etc/cron.d/x": b"x"}), "undeclared"),
    "an object array": (
        lambda m, e: declare(m, e, np.array([{"a": 1}], dtype=object), shape=[1], dtype="|O"),
        "dtype",
    ),
    "an object array that claims numbers": (
        lambda m, e: declare(m, e, np.array([None] * 40, dtype=object), shape=[40], dtype="<f8"),
        "got",
    ),
    "NaN": (poison, "NaN"),
    "a bomb": (bomb, "50,0.* bytes of entries in a file of"),
    "another array": (
        lambda m, e: e.update({next(iter(e)): e[next(iter(e))][:-1] + b"\1"}),
        "SHA-256",
    ),
    "a huge declaration": (
        lambda m, e: next(iter(m["arrays"].values())).update(
            shape=[10**9, 10**9], bytes=8 * 10**18
        ),
        "<= 1099511627776",
    ),
    "a missing array": (lambda m, e: e.pop(next(iter(e))), "no entry"),
    "a graph that is no graph": (lambda m, e: m["graphs"].update(graph=[]), "manifest"),
    "an unknown population": (lambda m, e: m["graphs"]["graph"][0].update(output="z"), "'z'"),
    "steps below one": (lambda m, e: m["timing"].update(steps_per_input=0), "steps per input"),
    "text for a number": (lambda m, e: m["timing"].update(dt="1"), "manifest"),
    "an unknown task": (lambda m, e: m.update(task="poetry"), "poetry"),
    "a task of another shape": (lambda m, e: m.update(task=["classification"]), "manifest"),
    "a task at another time": (lambda m, e: m["task"].update(when="never"), "never"),
    "names for other outputs": (lambda m, e: m["task"].update(names=["a"]), "1 names for 2"),
    "a scaling without a range": (lambda m, e: m.update(scaling={"offset": [0.0]}), "manifest"),
    "a range of zero": (
        lambda m, e: m.update(scaling={"offset": [0.0], "range": [0.0]}),
        "positive range",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_line(path, name):
    change, message = HOSTILE[name]
    rewrite(path, change)
    with pytest.raises(FileError, match=message) as caught:
        slmu.load(path)
    assert "\n" not in str(caught.value)


def test_not_a_number_in_the_manifest(path):
    with zipfile.ZipFile(path) as archive:
        text = archive.read("manifest.json").replace(b'"dt": 0.001', b'"dt": NaN')
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", text)
    with pytest.raises(FileError, match="NaN"):
        slmu.load(path)


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(TypeError), writing.write_atomically(tmp_path / "x") as file:
        file.write("text where bytes belong")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileError, match="folder"):
        slmu.save(Model(build(LmuSpec(order=2, units=2))), tmp_path / "none" / "x.slmu")


def test_single_precision_is_kept_small_and_exact(tmp_path):
    graph = build(LmuSpec(order=8, theta=8.0, units=64))
    trained = graph.projections[-1].weights.astype(np.float32)
    small = Model(graph)
    slmu.save(small, tmp_path / "wide.slmu")
    from dataclasses import replace

    narrow = replace(
        graph,
        projections=(*graph.projections[:-1], graph.projections[-1].with_weights(trained)),
    )
    slmu.save(Model(narrow), tmp_path / "narrow.slmu")
    loaded = slmu.load(tmp_path / "narrow.slmu").graph.projections[-1].weights
    np.testing.assert_array_equal(loaded, trained)
    assert (tmp_path / "narrow.slmu").stat().st_size < (tmp_path / "wide.slmu").stat().st_size
