"""Models with one thing wrong, digests made to fit: each command refuses each in one line."""

from __future__ import annotations

import hashlib
import json
import zipfile

import numpy as np
import pytest

from spiking_lmu.cli.main import UNFORESEEN, main
from spiking_lmu.conversion import Options, convert
from spiking_lmu.files import slmu
from spiking_lmu.files.archive import npy
from spiking_lmu.graph.graph import Graph, Population, Projection
from spiking_lmu.graph.model import Activity, Model
from spiking_lmu.graph.neurons import Neuron

RNG = np.random.default_rng(0)
GRAPH = Graph(
    (Population("x", 4), Population("h", 3, Neuron("relu")), Population("y", 2)),
    (Projection("x", "h", RNG.normal(size=(3, 4))), Projection("h", "y", RNG.normal(size=(2, 3)))),
    "x",
    "y",
)
MODEL = Model(GRAPH, activity={"h": Activity(3.0, 4.0, 3.0, 4.0)}, provenance={"note": "tiny"})


def activity(value):
    """Every number of every activity is ``value``, which may be raw JSON."""

    def change(manifest):
        for entry in manifest["activity"].values():
            entry.update(dict.fromkeys(entry, value))

    return change


def provenance(**entries):
    return lambda manifest: manifest.update(provenance=entries)


def part(manifest, name, graph="graph"):
    return next(p for p in manifest["graphs"][graph] if p.get("name") == name)


def size(number):
    def change(manifest):
        extra = {**part(manifest, "h"), "name": "huge", "size": number}
        extra["arrays"] = {"gain": scalar(manifest), "bias": scalar(manifest)}
        manifest["graphs"]["graph"].insert(2, extra)

    return change


def scalar(manifest):
    """The name of an array of one number."""
    return next(name for name, entry in manifest["arrays"].items() if entry["shape"] == [])


def chain(number):
    def change(manifest):
        plain = {"gain": scalar(manifest), "bias": scalar(manifest)}
        first = {**part(manifest, "x"), "size": 1, "arrays": plain}
        graph = [{"part": "graph", "input": "p0", "output": f"p{number - 1}", "arrays": {}}]
        graph += [{**first, "name": f"p{i}"} for i in range(number)]
        link = {**part(manifest, "h_to_y"), "arrays": {}}
        for i in range(number - 1):
            graph.append({**link, "name": f"q{i}", "pre": f"p{i}", "post": f"p{i + 1}"})
        manifest["graphs"]["graph"] = graph

    return change


def renamed(new):
    def change(manifest):
        text = json.dumps(manifest).replace('"h"', json.dumps(new))
        manifest.clear()
        manifest.update(json.loads(text))

    return change


def nested(levels):
    return "RAW" + '{"a":' * levels + "1" + "}" * levels


def other_rate_graph(manifest):
    alone = {**part(manifest, "x", "rate_graph"), "name": "z", "size": 3}
    head = {"part": "graph", "input": "z", "output": "z", "arrays": {}}
    manifest["graphs"]["rate_graph"] = [head, alone]


HOSTILE = {
    "activity is infinite": activity("RAW1e999"),
    "activity is a large integer": activity("RAW1" + "0" * 400),
    "activity is true": activity(True),
    "activity is a list": activity([1]),
    "activity is negative": activity(-1),
    "activity is null": activity(None),
    "activity is text": activity("x"),
    "activity is tiny": activity(5e-324),
    "activity is 0 everywhere": activity(0),
    "activity of nobody": lambda m: m.update(activity={"nobody": m["activity"]["h"]}),
    "bytes are infinite": lambda m: m["arrays"][scalar(m)].update(bytes="RAW1e999"),
    "another digest of an array": lambda m: m["arrays"][scalar(m)].update(sha256="0" * 64),
    "another digest of the model": lambda m: m.update(digest="0" * 64),
    "2,000 populations": chain(2_000),
    "10,000 populations": chain(10_000),
    "a loop": lambda m: part(m, "h_to_y").update(pre="y", arrays={}),
    "a name twice in an object": lambda m: m["timing"].update(steps_per_input='RAW1,"dt":0.5'),
    "a size below one": lambda m: part(m, "h").update(size=-1),
    "control characters": renamed("h\x1b]0;pwn\x07<script>\"'&\n\n\u202e"),
    "a name of 300 characters": renamed("h" * 300),
    "a number for a name": lambda m: part(m, "h_to_y").update(name=5),
    "a future version": lambda m: m.update(format_version=3),
    "version 2 with a task of version 1": lambda m: m.update(task="classification"),
    "provenance that is no record": provenance(conversion=5, training=5),
    "provenance 900 deep": provenance(a=nested(900)),
    "provenance that is infinite": provenance(a="RAW1e999"),
    "provenance with half a surrogate pair": provenance(a='RAW"\\ud800"'),
    "provenance of 2 MB": provenance(a="x" * 2_000_000),
    "a rate graph of something else": other_rate_graph,
    **{f"a size of {n:.0e}": size(n) for n in (10**8, 10**9, 10**12, 5 * 10**18, 10**30)},
    "a million steps an input": lambda m: m["timing"].update(steps_per_input=10**6),
    "a mean over more steps than there are": lambda m: part(m, "h_to_y").update(
        delay=1, mean_from=10**9
    ),
    "a mean from a step that is none": lambda m: part(m, "h_to_y").update(delay=1, mean_from=True),
    "an unknown field": lambda m: part(m, "h").update(colour="red"),
    "an unused array": lambda m: m.update(extra=True),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A rate model and a spiking one, intact."""
    folder = tmp_path_factory.mktemp("whole")
    slmu.save(MODEL, folder / "rate.slmu")
    slmu.save(convert(MODEL, Options(settle_steps=2)), folder / "spiking.slmu")
    return folder


def forge(source, path, change):
    """A file with its manifest changed, and digests that fit."""
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(entries.pop("manifest.json"))
    if "digest" not in change.__code__.co_consts:
        manifest.pop("digest")  # it may be left out, and would tell
    change(manifest)
    if manifest.pop("extra", False):
        data = npy(np.zeros(3))
        digest = hashlib.sha256(data).hexdigest()
        name = f"arrays/{digest[:24]}.npy"
        entries[name] = data
        entry = {"sha256": digest, "bytes": len(data), "shape": [3], "dtype": "<f8"}
        manifest["arrays"][name] = entry
    text = json.dumps(manifest)
    start = 0
    while (start := text.find('"RAW', start)) >= 0:
        end = start + 1
        while text[end] != '"' or text[end - 1] == "\\":
            end += 1
        raw = json.loads(text[start : end + 1])[3:]
        text = text[:start] + raw + text[end + 1 :]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", text)
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("kind", ["rate", "spiking"])
def test_what_was_not_changed_is_read(whole, tmp_path, kind):
    """Or each refusal below could be the forger's fault."""
    path = forge(whole / f"{kind}.slmu", tmp_path / "a.slmu", lambda manifest: None)
    assert slmu.load(path).digest == slmu.load(whole / f"{kind}.slmu").digest


@pytest.mark.parametrize("name", HOSTILE)
def test_each_command_refuses_it_in_one_line(whole, tmp_path, capsys, name):
    kind = "spiking" if name == "a rate graph of something else" else "rate"
    path = str(forge(whole / f"{kind}.slmu", tmp_path / "a.slmu", HOSTILE[name]))
    out = tmp_path / "out"
    out.mkdir()
    for command in (
        ["inspect", path],
        ["inspect", path, "--json"],
        ["convert", path, "-o", f"{out}/c.slmu"],
        ["check", path, "--target", "reference"],
        ["compare", path, "--targets", "reference", "--journal", f"{out}/j"],
        ["export", path, "-o", f"{out}/e.npz"],
    ):
        assert main(command) == 1, command
        shown, line = capsys.readouterr()
        assert shown == ""
        assert line.startswith("spiking-lmu: a.slmu: got ")
        assert line[:-1].isprintable()
        assert UNFORESEEN not in line
    assert list(out.iterdir()) == []
