"""A trained step and a spiking run through ``spiking_lmu.compat``; used by scripts/compat."""

from spiking_lmu import compat

nengo = compat.import_nengo()
nengo_dl = compat.import_nengo_dl()
nengo_loihi = compat.import_nengo_loihi()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

with nengo.Network(seed=0) as net:
    stimulus = nengo.Node(np.zeros(1))
    ensemble = nengo.Ensemble(20, 1)
    nengo.Connection(stimulus, ensemble)
    # a filter with a passthrough: NengoDL's builder is mended for it
    output = nengo.Node(size_in=1)
    nengo.Connection(ensemble, output, synapse=nengo.LinearFilter([0.01, 1], [0.02, 1]))
    probe = nengo.Probe(output)

rng = np.random.default_rng(0)
examples = rng.uniform(-1, 1, (4, 5, 1))  # examples, time steps, dimensions
with nengo_dl.Simulator(net, minibatch_size=2, seed=0, progress_bar=False) as sim:
    sim.compile(optimizer=tf.optimizers.Adam(0.01), loss={probe: "mse"})
    history = sim.fit({stimulus: examples}, {probe: examples}, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()  # two steps of two examples

with nengo_loihi.Simulator(net, target="sim", progress_bar=False) as sim:
    sim.run_steps(10)
    assert np.isfinite(sim.data[probe]).all()
    assert len(sim.data[probe]) == 10

# the discretization of a Legendre memory of order 256
A = -np.eye(256) * 5e3
discrete, *_ = nengo.utils.filter_design.cont2discrete((A, A, A, A), 1e-3)
assert np.allclose(discrete, np.exp(-5) * np.eye(256), atol=1e-12)

assert nengo_loihi.compat.HAS_DL
found = compat.versions()
print(*(found[name] for name in ("tensorflow", "tf-keras", "numpy", "nengo")))
