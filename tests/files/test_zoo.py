"""Models by name: the package's own, and those of packages of models."""

import shutil
from pathlib import Path

import pytest

from spiking_lmu.errors import FileError
from spiking_lmu.files import zoo
from spiking_lmu.files.slmu import load
from spiking_lmu.importers.parameters.source import open_source

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of one model, as an installer leaves it; importing it would fail."""
    folder = tmp_path / "more_models"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('nobody runs this')")
    shutil.copy(zoo.FOLDER / "mnist-dense.slmu", folder / "theirs.slmu")
    shutil.copy(zoo.FOLDER / "mnist-dense.slmu", folder / "psmnist-ff-relu.slmu")
    info = tmp_path / "more_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: more-models\nVersion: 1.0\n")
    entries = "[spiking_lmu.models]\nmore = more_models\nodd = no.such.module\ngone = nowhere\n"
    (info / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_package_of_models_is_found_and_not_run(installed):
    assert zoo.shipped()["theirs"] == installed / "theirs.slmu"
    assert zoo.find_model("theirs") == installed / "theirs.slmu"
    assert zoo.load_model("theirs").graph.output_size == 10


def test_no_package_takes_the_place_of_a_shipped_model(installed):
    assert zoo.shipped()["psmnist-ff-relu"].parent == zoo.FOLDER


def test_a_model_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr(zoo, "entry_points", lambda group: [])
    with pytest.raises(FileError, match=r"pip install 'spiking-lmu\[models\]'"):
        zoo.find_model("psmnist-window-line")
    with pytest.raises(FileError, match="no file and no shipped model"):
        zoo.find_model("nobody")


def test_a_file_of_another_kind_says_what_reads_it(tmp_path):
    made = tmp_path / "model.keras"
    made.write_bytes((ROOT / "tests/importers/fixtures/keras/lmu-dense.keras").read_bytes())
    with pytest.raises(FileError, match=r"a Keras file.*from_keras, or .*with spiking-lmu convert"):
        zoo.load_model(made)
    with pytest.raises(FileError, match=r"a Keras file.*with spiking-lmu convert"):
        open_source(made)
    script = tmp_path / "network.py"
    script.write_text("import nengo_dl")
    with pytest.raises(FileError, match=r"a Python file.*network=module:function"):
        zoo.load_model(script)
    (tmp_path / "model.slmu").write_bytes(made.read_bytes())
    with pytest.raises(FileError, match=r"no entry 'manifest.json'"):
        zoo.load_model(tmp_path / "model.slmu")


def test_the_larger_models_are_in_the_repository_and_load():
    files = {path.stem: path for path in (ROOT / "models").rglob("*.slmu")}
    assert set(files) == set(zoo.ELSEWHERE)
    assert load(files["psmnist-window-line"]).graph["lmu.h"].size == 1024
    declared = (ROOT / "models/pyproject.toml").read_text("utf-8")
    assert 'spiking-lmu-models = "spiking_lmu_models"' in declared


def test_the_wheel_has_room_for_what_ships():
    """Compressed already; the code adds less than a megabyte."""
    kept = [*zoo.FOLDER.glob("*.slmu"), *(ROOT / "spiking_lmu/datasets/data").rglob("*.gz")]
    assert sum(path.stat().st_size for path in kept) < 13 * 10**6
