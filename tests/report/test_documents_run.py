"""Every command and every block of Python in README.md and on the site runs, or is named here.

A document's blocks run in their order, in one folder and one namespace, on small made-up models
and few samples.  What a block takes for granted (``x``, ``mine.npz``, a trained network) is made
before.  What runs elsewhere is in `ELSEWHERE`; a block that is neither fails.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spiking_lmu as sl
from spiking_lmu.cli.main import main
from spiking_lmu.datasets import mnist
from spiking_lmu.graph.lmu import LmuSpec, build

from ..helpers.fresh_python import needs

ROOT = Path(__file__).parents[2]
KERAS = ROOT / "tests/importers/fixtures/keras"
#: Pages that only draw together what is written elsewhere, docstrings and parsers among it.
GATHERED = (
    "docs/changelog.md",
    "docs/contributing.md",
    "docs/reference/api.md",
    "docs/reference/cli.md",
)
DOCUMENTS = [
    name
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")))
    if (name := str(path.relative_to(ROOT))) not in GATHERED
]

#: Documents whose blocks run in a test of their own, or when the site is built.
WHOLE = {
    "docs/learning-rules.md": "tests/training/test_learning_rules_docs.py",
    "docs/parameters.md": "tests/importers/test_parameters_docs.py",
    "docs/targets.md": "tests/backends/test_third_party.py",
    **{name: "scripts/docs" for name in DOCUMENTS if "/tutorials/" in name},
}
#: Commands that run elsewhere, by how they begin, and where.
ELSEWHERE = {
    "scripts/demo": "tests/report/test_docs.py",
    "scripts/test": "what runs this",
    "scripts/check": "scripts/test",
    "scripts/check-exactness": "tests/backends/test_batched_exact.py, on networks of the same kind",
    ".venv/bin/python -m pytest": "scripts/test",
    "scripts/setup_env": "scripts/test",
    "scripts/docs": "scripts/test",
    "scripts/release": "scripts/release, before a release",
    "scripts/gpu-check": "tests/backends/test_gpu_check.py",
    "pip install": "scripts/release",
    "python3 -m venv": "scripts/release",
    "pre-commit install": "nowhere: it puts a hook into a person's own checkout",
}
#: A picture of boxes and arrows.
DRAWN = re.compile("[─►│]")
#: Smaller numbers, and what is made here in the place of trained models and training images.
SMALLER = [
    (r"(samples[= ])\d[\d_]*", r"\g<1>2"),
    (r"cell=\"feedforward\"\)", 'cell="feedforward", epochs=2)'),
    (r"(train mine\.npz .*)", r"\1 --epochs 2"),
    (r"--epochs \d{2,}", "--epochs 1"),
    (r"--held-out \d+", "--held-out 50"),
    (r"--units \d+", "--units 20"),
    (r"neurons=\d+, duration=[\d.]+, off=[\d.]+", "neurons=20, duration=2.0, off=1.5"),
    (r"(learn delay(?! .*line).*)", r"\1 --neurons 20 --duration 2 --off 1.5"),
    (r"(learn delay.*line.*)--duration 20 --off 10", r"\1--duration 2 --off 1.5"),
    (r"(--calibrate)", r"\1 --calibration-samples 16"),
    (r"convert (psmnist-rec-tanh|MODEL|model\.slmu)", "convert trained.slmu"),
    (r"(convert params\.npz .*)", r"\1 --max-rate 200"),
    (r"(compare line\.slmu)", r"\1 --targets reference"),
    (r"(fine_tune\(.*)\)$", r"\1, batches=2)"),
]


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block, those inside tabs and lists too."""
    found = re.findall(r"^( *)```([^\n`]*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [
        (language.strip(), re.sub(rf"^{indent}", "", body, flags=re.MULTILINE))
        for indent, language, body in found
    ]


def commands(body: str) -> list[str]:
    """Its lines without prompts and comments; ``a && b`` is two, and a backslash joins two."""
    joined = re.sub(r"\\\n\s*", "", body)
    lines = [re.sub(r"\s+#.*", "", line.removeprefix("$ ")) for line in joined.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


def runs_elsewhere(line: str) -> bool:
    return f"{line} ".startswith((*(f"{known} " for known in ELSEWHERE), "source "))


def unknown(text: str) -> list[str]:
    """What nobody runs."""
    found = []
    for language, body in blocks(text):
        if language in ("python", "json") or language.startswith("{") or DRAWN.search(body):
            continue
        known = language in ("", "bash", "console")
        found += [
            line
            for line in commands(body)
            if not (known and (line.startswith("spiking-lmu ") or runs_elsewhere(line)))
        ]
    return found


@pytest.mark.parametrize("name", [n for n in DOCUMENTS if n not in WHOLE])
def test_every_block_is_python_or_commands_that_are_known(name):
    assert unknown((ROOT / name).read_text("utf-8")) == []


def test_a_block_that_nobody_runs_is_found():
    text = "* x\n\n  ```\n  spiking-lmu models  # all\n  $ rm -r models && scripts/test\n  ```\n"
    assert unknown(text) == ["rm -r models"]
    assert unknown("```toml\na = 1\n```\n") == ["a = 1"]
    assert unknown("```\nscripts/check-all\nscripts/check a \\\n  --b\n```\n") == [
        "scripts/check-all"
    ]


def smaller(text: str) -> str:
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def waves(samples: int = 24, steps: int = 11, channels: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = np.arange(samples) % 3
    phase = np.arange(steps) / steps * np.array([1, 2, 4])[y][:, None] + rng.random((samples, 1))
    return np.repeat(np.sin(2 * np.pi * phase)[:, :, None], channels, 2), y


def prepare(space: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What documents take for granted: arrays, files and models."""
    # Without training images nothing is measured, which would take a minute.
    monkeypatch.setenv("SPIKING_LMU_DATA", str(Path.cwd()))
    x, y = waves()
    space |= {"sl": sl, "spiking_lmu": sl, "x": x, "y": y, "xt": x[:6], "yt": y[:6]}
    np.savez("mine.npz", x=x, y=y)
    rate = sl.Model(build(LmuSpec(order=4, units=6, theta=12.0), 0))
    some = sl.datasets.load("psmnist", "test", samples=40)
    spiking = sl.convert(rate, settle_steps=5, data=some)
    space |= {"model": rate, "rate": rate, "spiking": spiking}
    sl.save(rate, "trained.slmu")
    sl.save(spiking, "spiking.slmu")


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training images do not ship: some of the test images take their place."""
    load = mnist.load_mnist

    def shipped(name: str, split: str, *, samples: int | None = None, **options: Any) -> Any:
        if split == "test":
            return load(name, split, samples=samples, **options)
        taken = load(name, "test", samples=min(samples or 300, 300), **options)
        return type(taken)(name, split, taken.x, taken.y, taken.task, picture=taken.picture)

    monkeypatch.setattr(mnist, "load_mnist", shipped)


def nengo_dl_network(space: dict[str, Any]) -> None:
    """A network of one input and ten outputs, and what NengoDL and a user's module have of it."""
    from spiking_lmu.compat import import_nengo_dl

    nengo_dl = import_nengo_dl()
    import tensorflow as tf

    Path("module.py").write_text(
        "import numpy as np, nengo\n"
        "def function():\n"
        "    with nengo.Network(seed=0) as network:\n"
        "        x = nengo.Node(np.zeros(1))\n"
        "        h = nengo.Ensemble(6, 1, neuron_type=nengo.RectifiedLinear(),\n"
        "                           gain=nengo.dists.Choice([1]), bias=nengo.dists.Choice([0.1]))\n"
        "        out = nengo.Node(size_in=10)\n"
        "        nengo.Connection(x, h.neurons, transform=np.ones((6, 1)), synapse=None)\n"
        "        nengo.Connection(h.neurons, out, transform=np.ones((10, 6)), synapse=None)\n"
        "        nengo.Probe(out)\n"
        "    return network\n"
    )
    sys.modules.pop("module", None)
    import module

    space["network"] = module.function()
    space["simulator"] = nengo_dl.Simulator(space["network"], progress_bar=False)
    space["simulator"].save_params("params")
    entry = tf.keras.Input((4,))
    layer = tf.keras.layers.Dense(3, activation="relu")(entry)
    space["converter"] = nengo_dl.Converter(tf.keras.Model(entry, layer))
    space["other"] = nengo_dl.Simulator(space["converter"].net, progress_bar=False)
    # One input of four numbers, and three classes.
    space["data"] = sl.datasets.from_arrays(*waves(samples=60, steps=1, channels=4))


def _readme(space: dict[str, Any]) -> None:
    nengo_dl_network(space)


def _keras(space: dict[str, Any]) -> None:
    shutil.copy(KERAS / "lmu-dense.keras", "model.keras")
    np.savez("mine.npz", x=waves(channels=3)[0], y=waves()[1])


def _nir(space: dict[str, Any]) -> None:
    nir = pytest.importorskip("nir", reason="needs: pip install 'spiking-lmu[nir]'")
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "affine": nir.Affine(np.ones((3, 2)), np.zeros(3)),
        "if": nir.IF(np.ones(3), np.ones(3)),
        "output": nir.Output({"output": np.array([3])}),
    }
    nir.write("network.nir", nir.NIRGraph(nodes, list(pairwise(nodes))))
    # Without a memory, whose delay of one input NIR holds only where an input is one step.
    dense = sl.load("mnist-dense")
    sl.save(dense, "trained.slmu")
    space["spiking"] = sl.convert(dense, settle_steps=5)


def _memory_on_chip(space: dict[str, Any]) -> None:
    space["data"] = sl.datasets.load("psmnist")


def _recurrence(space: dict[str, Any]) -> None:
    some = sl.datasets.from_arrays(*waves())
    graph = build(LmuSpec(order=4, units=6, theta=11.0, output_size=3, cell="recurrent"), 0)
    model = sl.Model(graph, task=some.train.task)
    sl.save(model, "trained.slmu")
    space |= {"model": model, "data": some}


#: What else a document takes for granted.
BEFORE: dict[str, Callable[[dict[str, Any]], None]] = {
    "README.md": _readme,
    "docs/keras.md": _keras,
    "docs/nir.md": _nir,
    "docs/nengo-dl.md": nengo_dl_network,
    "docs/memory-on-chip.md": _memory_on_chip,
    "docs/recurrence.md": _recurrence,
}
#: Documents that train on images.
TRAINED = ("README.md", "docs/explain.md", "docs/nengo-dl.md", "docs/memory-on-chip.md")
#: Substitutions of one document's own.
OWN = {
    "docs/nengo-dl.md": [(r"converter, simulator", "converter, other")],
    "docs/memory-on-chip.md": [
        (r'data\.train, "loihi"$', 'data.train, "loihi", samples=4, bits=(1,)'),
        (
            r"convert psmnist-ff-relu (.*--memory auto.*)",
            r"convert trained.slmu \1 --calibration-samples 4",
        ),
        (r"(--bits 2 --units 20)", r"\1 --order 20"),
        (r"--bits 6", "--bits 2"),
        (r"(--levels 5 --data psmnist)", r"\1 --training-samples 20"),
    ],
    "docs/recurrence.md": [
        (r"mackey-glass\?ahead=1", "mackey-glass?ahead=1&length=60&samples=8"),
        (r"--cell recurrent -o rate", "--cell recurrent --epochs 1 --units 6 --order 4 -o rate"),
        (r"--prompt 500", "--prompt 30"),
        (r"tune psmnist-recurrent", "tune trained.slmu --data mine.npz --batches 2"),
        (r"train psmnist", "train mine.npz --epochs 1"),
        (r"--data psmnist", "--data mine.npz"),
        (r"(convert trained\.slmu --target loihi)", r"\1 --data mine.npz"),
    ],
}
RUN = [
    name
    for name in DOCUMENTS
    if name not in WHOLE and re.search("^ *```(?!{)", (ROOT / name).read_text("utf-8"), re.M)
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:No GPU support detected")
@needs("nengo-dl", "nengo-loihi")
@pytest.mark.parametrize("name", RUN)
def test_a_documents_blocks_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    space: dict[str, Any] = {"__name__": name}
    prepare(space, monkeypatch)
    if name in TRAINED:
        stand_in(monkeypatch)
    monkeypatch.setattr("spiking_lmu.training.train.LEVEL_BATCHES", 2)
    BEFORE.get(name, lambda space: None)(space)
    ran = 0
    document = (ROOT / name).read_text("utf-8")
    if name == "README.md":  # tests/report/test_docs.py runs the first screen
        document = document.partition("\n## ")[2]
    for language, body in blocks(document):
        text = smaller(body)
        for pattern, replacement in OWN.get(name, ()):
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, name, "exec"), space)
            ran += 1
        elif language == "json":
            Path("devices.json").write_text(json.dumps(json.loads(text)))
            spiking = space["spiking"]
            result = sl.compare(spiking, sl.datasets.load("psmnist").test, "reference", samples=2)
            assert "my board" in str(sl.energy(spiking, result, devices="devices.json"))
            ran += 1
        elif language in ("", "bash", "console") and not DRAWN.search(body):
            for line in commands(text):
                if not runs_elsewhere(line):
                    assert main(shlex.split(line)[1:]) == 0, line
                    ran += 1
    for key in ("simulator", "other"):
        if key in space:
            space[key].close()
    sys.modules.pop("module", None)
    assert ran or name == "CONTRIBUTING.md" or name == "docs/architecture.md"
