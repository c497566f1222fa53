"""nengo-loihi: what is broken without a patch is shown broken, and mended with it.

What is imported, and in which order, is the subject here, so most tests run a new
interpreter, with warnings as errors.
"""

import textwrap

import pytest

from spiking_lmu import compat
from spiking_lmu.compat import patches
from spiking_lmu.errors import MissingExtraError

from ..helpers.fresh_python import needs, ok, python, release

LOIHI = needs("nengo-loihi")
EMULATOR = """
    import warnings
    warnings.simplefilter("ignore")
    import nengo
    import nengo_loihi
    import numpy as np
    from nengo_loihi.dvs import EventsFileIO
    with nengo.Network(seed=0) as net:
        stimulus = nengo.Node([0.5])
        ensemble = nengo.Ensemble(10, 1)
        nengo.Connection(stimulus, ensemble)
        probe = nengo.Probe(ensemble.neurons)
    """
RUN = """
    with nengo_loihi.Simulator(net, target="sim", progress_bar=False) as sim:
        sim.run_steps(10)
        assert sim.data[probe].shape == (10, 10)
        assert sim.data[probe].any()
    """
# one event: four times y and twice x in two bytes each, then the time
READ = """
    with open("events", "wb") as file:
        file.write(bytes([12, 0, 10, 0, 7, 0, 0, 0]))
    (event,) = EventsFileIO("events").read_events().events
    assert (event["y"], event["x"], event["t"]) == (3, 5, 7)
    """
# nengo-loihi by itself imports TensorFlow if it can, which takes seconds
RAW = "import sys; sys.modules['tensorflow'] = None"
MENDED = f"{RAW}; from spiking_lmu.compat import import_nengo_loihi; import_nengo_loihi()"


def emulator(run, tmp_path, statement, imports=""):
    parts = (f"import os; os.chdir({str(tmp_path)!r})", imports, EMULATOR, statement)
    return run("\n".join(map(textwrap.dedent, parts)))


@LOIHI
def test_the_emulator_runs(tmp_path):
    if release("numpy") < (2, 0):
        pytest.skip("this NumPy copies if needed with copy=False")
    before = emulator(python, tmp_path, RUN, RAW)
    assert "Unable to avoid copy" in before.stderr
    emulator(ok, tmp_path, RUN, MENDED)


@LOIHI
def test_event_files_are_read(tmp_path):
    emulator(ok, tmp_path, READ, MENDED)
    if release("numpy") < (2, 3):
        pytest.skip("this NumPy still reads bytes with fromstring")
    assert "fromstring" in emulator(python, tmp_path, READ, RAW).stderr


@LOIHI
def test_neurons_on_the_way_to_the_chip_are_built_without_a_decomposition(tmp_path):
    spikes = """
        import nengo.dists
        looked = []
        inner = nengo.dists.ScatteredHypersphere.sample
        def sample(self, n, d=1, rng=np.random):
            looked.append(d)
            return inner(self, n, d, rng)
        nengo.dists.ScatteredHypersphere.sample = sample
        with net:
            wide = nengo.Node(np.linspace(-1, 1, 7))
            target = nengo.Ensemble(7, 1)
            nengo.Connection(wide, target.neurons)
            probe = nengo.Probe(target.neurons)
        with nengo_loihi.Simulator(net, target="sim", progress_bar=False) as sim:
            sim.run_steps(30)
        print(7 in looked, sim.data[probe].sum(axis=0).tolist())
        """
    unmended = f"{MENDED}; from nengo_loihi.decode_neurons import OnOffDecodeNeurons as o; "
    unmended += "o.get_ensemble = o.get_ensemble.__closure__[0].cell_contents"
    before = emulator(ok, tmp_path, spikes, unmended).stdout
    after = emulator(ok, tmp_path, spikes, MENDED).stdout
    assert before.startswith("True ")
    assert after.startswith("False ")
    assert before.split(" ", 1)[1] == after.split(" ", 1)[1]


@needs("nengo-loihi", "nengo-dl", "tensorflow")
def test_nengo_dl_that_comes_later_knows_loihis_neurons():
    ok(
        """
        import sys
        from spiking_lmu.compat import import_nengo_dl, import_nengo_loihi
        loihi = import_nengo_loihi()
        assert not {"tensorflow", "nengo_dl"} & set(sys.modules)
        neurons = loihi.neurons
        neurons.LoihiLIF()
        assert not neurons.install_dl_builders.installed
        builders = import_nengo_dl().neuron_builders.SimNeuronsBuilder.TF_NEURON_IMPL
        assert builders[neurons.LoihiLIF] is neurons.LoihiLIFBuilder
        assert neurons.tf is sys.modules["tensorflow"] and loihi.compat.HAS_DL
        """
    )


@LOIHI
def test_nengo_extras_has_nengo_loihi_import_what_it_needs(monkeypatch):
    imported = []
    monkeypatch.setattr(patches, "installed", lambda module: True)
    monkeypatch.setattr(patches.importlib, "import_module", imported.append)
    with patches.nengo_dl_later():
        assert imported == ["nengo_dl"]


def test_nengo_loihi_absent(monkeypatch):
    monkeypatch.setattr(patches, "installed", lambda module: module != "nengo_loihi")
    with pytest.raises(MissingExtraError, match=r"pip install 'spiking-lmu\[loihi\]'"):
        compat.import_nengo_loihi()
