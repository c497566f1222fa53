"""Nengo and NengoDL: what is broken without a patch is shown broken, and mended with it.

What is imported, and in which order, is the subject here, so most tests run a new
interpreter, with warnings as errors.
"""

import re
import sys
import textwrap

import pytest

from spiking_lmu import compat
from spiking_lmu.compat import patches
from spiking_lmu.errors import MissingExtraError

from ..helpers.fresh_python import INSTALLED, needs, ok, python, release

# A of a Legendre memory of order 256 and 0.784 s, from its definition (Voelker et al. 2019)
LARGE = """
    import warnings
    warnings.simplefilter("ignore")
    import nengo
    import numpy as np
    from nengo.utils.filter_design import cont2discrete
    i = np.arange(256)
    sign = np.where(i[:, None] < i, -1.0, (-1.0) ** (i[:, None] - i + 1))
    A = (2 * i[:, None] + 1) / 0.784 * sign
    cont2discrete((A, np.ones((256, 1)), np.eye(256), np.zeros((256, 1))), 1e-3)
    """


def test_cont2discrete_of_a_large_system():
    before = python(LARGE)
    if before.returncode == 0:
        pytest.skip(f"NumPy {INSTALLED['numpy']} still has what nengo's expm uses")
    assert "find_common_type" in before.stderr
    ok(
        """
        from spiking_lmu.compat import import_nengo
        assert import_nengo() is import_nengo()
        import numpy as np
        from nengo.utils.filter_design import cont2discrete
        # by hand: exp(-5e3 dt), and the integral of it over one step of 1 ms
        a, b, c, d = -5e3 * np.eye(256), np.ones((256, 1)), np.eye(256), np.zeros((256, 1))
        a_d, b_d, *_ = cont2discrete((a, b, c, d), 1e-3)
        np.testing.assert_allclose(a_d, np.exp(-5) * np.eye(256), atol=1e-15)
        np.testing.assert_allclose(b_d, (1 - np.exp(-5)) / 5e3 * np.ones((256, 1)), rtol=1e-12)
        """,
        "-Werror",
    )


def test_a_nengo_that_works_is_left_alone(monkeypatch):
    nengo = compat.import_nengo()
    filter_design = nengo.utils.filter_design

    def works(matrix):
        return matrix

    monkeypatch.setattr(filter_design, "expm", works)
    patches.mend_expm()
    assert filter_design.expm is works


# NengoDL starts a second TensorFlow to look for a GPU, which takes seconds
NO_GPU_CHECK = "import subprocess; subprocess.call = lambda command: 1"
DL = needs("nengo-dl", "tensorflow")


@DL
def test_nengo_dl_imports_silently():
    done = ok(
        """
        import os, sys
        from spiking_lmu.compat import import_nengo_dl
        nengo_dl = import_nengo_dl()
        assert import_nengo_dl() is nengo_dl
        left = {"keras.engine", "keras.engine.functional"} & set(sys.modules)
        import tensorflow as tf
        assert not left or tf.__version__ < "2.13", left
        assert tf.keras.Model.__module__.endswith(".engine.training")
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
        assert nengo_dl.process_builders.LinearFilterBuilder.build_pre.mended is True
        """,
        "-Werror",
    )
    assert done.stderr == ""
    assert done.stdout == ""


@DL
def test_nengo_dl_does_not_import_without_the_names_in_keras():
    if release("tensorflow") < (2, 13):
        pytest.skip("this TensorFlow has keras.engine")
    done = python(f"{NO_GPU_CHECK}; import nengo_dl", **{patches.LEGACY_KERAS: "1"})
    assert done.returncode == 1
    assert re.search(r"keras\.engine|BatchNormalizationV1", done.stderr)


@needs("nengo-dl", "tensorflow", "tf-keras")
def test_tensorflow_imported_earlier_with_keras_3():
    if release("tensorflow") < (2, 16):
        pytest.skip("this TensorFlow comes with Keras 2")
    done = ok(
        """
        import tensorflow
        from spiking_lmu.compat import import_nengo_dl
        from spiking_lmu.errors import SpikingLmuError
        try:
            import_nengo_dl()
        except SpikingLmuError as error:
            print(error)
        """
    )
    assert done.stdout.startswith("TensorFlow: got an earlier import of it, with Keras 3, expected")
    assert done.stdout.count("\n") == 1
    assert "call import_nengo_dl() before anything imports TensorFlow" in done.stdout


@DL
def test_filters_with_a_passthrough_in_nengo_dl():
    if release("nengo") < (4, 0):
        pytest.skip("this nengo has a one-dimensional D")
    ok(
        f"{NO_GPU_CHECK}\n"
        + textwrap.dedent("""
        import warnings
        from spiking_lmu.compat import import_nengo, import_nengo_dl, patches
        mend, patches.mend_linear_filter = patches.mend_linear_filter, lambda: None
        nengo, nengo_dl = import_nengo(), import_nengo_dl()
        import numpy as np
        warnings.simplefilter("ignore")

        def outputs(simulator, synapse):
            with nengo.Network() as net:
                stimulus = nengo.Node(lambda t: [np.sin(40 * t), np.cos(90 * t)])
                probe = nengo.Probe(stimulus, synapse=synapse)
            with simulator(net, progress_bar=False) as sim:
                sim.run_steps(50)
                return np.squeeze(sim.data[probe])

        filters = [
            nengo.LinearFilter([3], [1], analog=False),  # no state
            nengo.LinearFilter([0.02, 2], [0.01, 1]),  # one state
            nengo.LinearFilter([1e-4, 0.02, 2], [2e-4, 0.03, 1]),  # two
            nengo.LinearFilter([2], [2e-4, 0.03, 1]),  # two, and no passthrough
        ]
        for synapse in filters[:3]:
            try:
                outputs(nengo_dl.Simulator, synapse)
            except (AssertionError, ValueError):
                pass
            else:
                raise SystemExit(f"{synapse} is not broken")
        mend()
        mended = nengo_dl.process_builders.LinearFilterBuilder.build_pre
        mend()
        assert nengo_dl.process_builders.LinearFilterBuilder.build_pre is mended
        for synapse in filters:
            expected = outputs(nengo.Simulator, synapse)
            assert np.abs(expected).max() > 0.1
            np.testing.assert_allclose(outputs(nengo_dl.Simulator, synapse), expected, atol=1e-5)
        """)
    )


@pytest.mark.parametrize(
    ("absent", "minor", "line"),
    [
        ("tensorflow", 11, "TensorFlow: got no module 'tensorflow'"),
        ("nengo_dl", 11, "run: pip install 'spiking-lmu[dl]'"),
        (
            "nengo_dl",
            12,
            "run: pip install 'setuptools<81' wheel && "
            "pip install --no-build-isolation nengo-dl==3.6.0",
        ),
    ],
)
def test_nengo_dl_absent(monkeypatch, absent, minor, line):
    monkeypatch.setattr(patches, "installed", lambda module: module != absent)
    monkeypatch.setattr(compat.sys, "version_info", (3, minor, 0, "final", 0))
    with pytest.raises(MissingExtraError, match=re.escape(line)) as caught:
        compat.import_nengo_dl()
    assert "\n" not in str(caught.value)


def test_tf_keras_absent(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(patches, "installed", lambda module: module != "tf_keras")
    monkeypatch.setattr(patches, "_tensorflow_version", lambda: (2, 16))
    with pytest.raises(MissingExtraError, match=r"tf_keras.*pip install 'spiking-lmu\[dl\]'"):
        patches.keras_2_engine()
