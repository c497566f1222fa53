"""nengo-loihi: what is broken without a patch is shown broken, and mended with it.

What is imported, and in which order, is the subject here, so most tests run a new
interpreter, with warnings as errors.
"""

import textwrap
import warnings

import numpy as np
import pytest
from scipy import sparse

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


def split_network():
    """Two populations in blocks of 5 and 7 neurons, dense, sparse and from the host."""
    nengo, loihi = compat.import_nengo(), compat.import_nengo_loihi()
    rng = np.random.default_rng(0)
    with nengo.Network(seed=0) as net:
        loihi.add_params(net)
        stimulus = nengo.Node([0.5, -0.5])
        first, second = (
            nengo.Ensemble(n, 1, gain=np.ones(n), bias=np.arange(float(n))) for n in (17, 23)
        )
        for ensemble, size in ((first, 5), (second, 7)):
            net.config[ensemble].block_shape = loihi.BlockShape((size,), (ensemble.n_neurons,))
        few = rng.normal(size=(23, 17)) * (rng.random((23, 17)) < 0.2)
        nengo.Connection(stimulus, first.neurons, transform=rng.normal(size=(17, 2)))
        nengo.Connection(first.neurons, second.neurons, transform=rng.normal(size=(23, 17)))
        nengo.Connection(
            first.neurons,
            second.neurons,
            transform=nengo.Sparse((23, 17), init=sparse.csr_matrix(few)),
        )
        # Rows that are alike share their place in the memory of a block.
        nengo.Connection(second.neurons, second.neurons, transform=np.ones((23, 23)))
    return net


def synapses(loihi, network):
    """All of the chip, as nengo-loihi builds them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with loihi.Simulator(network, target="sim", progress_bar=False) as sim:
            return [synapse for block in sim.model.blocks for synapse in block.synapses]


@LOIHI
def test_dense_synapses_are_split_as_upstream_splits_them(monkeypatch):
    loihi = compat.import_nengo_loihi()
    from nengo_loihi.builder import split_blocks

    mended, network = split_blocks.set_new_synapse_weights, split_network()

    found = synapses(loihi, network)
    monkeypatch.setattr(split_blocks, "set_new_synapse_weights", mended.mended)
    upstream = synapses(loihi, network)
    assert split_blocks.set_new_synapse_weights is mended.mended
    assert len(found) == len(upstream) > 10
    for ours, theirs in zip(found, upstream, strict=True):
        assert (ours.label, ours.n_axons) == (theirs.label, theirs.n_axons)
        assert np.array_equal(ours.axon_to_weight_map, theirs.axon_to_weight_map)
        assert np.array_equal(ours.axon_compartment_bases, theirs.axon_compartment_bases)
        for name in ("weights", "indices"):
            pairs = zip(getattr(ours, name), getattr(theirs, name), strict=True)
            assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
    patches.mend_splitting()
    assert split_blocks.set_new_synapse_weights.mended is mended.mended


@LOIHI
def test_weights_are_rounded_as_upstream_rounds_them(monkeypatch):
    loihi = compat.import_nengo_loihi()
    from nengo_loihi.builder import discretize

    mended, network = discretize.discretize_synapse, split_network()

    found = synapses(loihi, network)
    monkeypatch.setattr(discretize, "discretize_synapse", mended.mended)
    upstream = synapses(loihi, network)
    assert len(found) == len(upstream) > 10
    for ours, theirs in zip(found, upstream, strict=True):
        assert vars(ours.synapse_cfg) == vars(theirs.synapse_cfg)
        pairs = list(zip(ours.weights, theirs.weights, strict=True))
        assert all(a.dtype == b.dtype == np.int32 for a, b in pairs)
        assert all(np.array_equal(a, b) for a, b in pairs)
        assert any(a.any() for a, _ in pairs)
    patches.mend_discretising()
    assert discretize.discretize_synapse.mended is mended.mended


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
