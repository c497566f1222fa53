"""Each patch: what is broken without it is shown broken, and mended with it.

What is imported, and in which order, is the subject here, so most tests run a new
interpreter, with warnings as errors.
"""

import os
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

from spiking_lmu import compat
from spiking_lmu.compat import patches, quiet
from spiking_lmu.errors import MissingExtraError, SpikingLmuError

ROOT = Path(__file__).parents[1]
INSTALLED = compat.versions()


def release(name):
    """(major, minor) of an installed distribution, (0, 0) without one."""
    found = re.match(r"(\d+)\.(\d+)", INSTALLED[name])
    return (int(found[1]), int(found[2])) if found else (0, 0)


def needs(*names):
    absent = [name for name in names if INSTALLED[name] == "not installed"]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


def python(code, *options, **env):
    """Run code in a new interpreter."""
    drop = {quiet.LOG_LEVEL, patches.LEGACY_KERAS, "PYTHONWARNINGS"}
    clean = {name: value for name, value in os.environ.items() if name not in drop}
    clean["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), clean.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def ok(code, *options, **env):
    done = python(code, *options, **env)
    assert done.returncode == 0, done.stderr
    return done


def test_importing_compat_and_reading_versions_imports_nothing_heavy():
    ok(
        """
        import sys
        from spiking_lmu import compat
        found = compat.versions()
        heavy = {"numpy", "scipy", "nengo", "nengo_dl", "nengo_loihi", "tensorflow", "keras"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        assert found["python"].startswith(f"{sys.version_info.major}.")
        """
    )


def test_versions_names_what_is_absent(monkeypatch):
    monkeypatch.setattr(compat, "DISTRIBUTIONS", ("nengo", "no-such-distribution"))
    found = compat.versions()
    assert list(found) == ["python", "nengo", "no-such-distribution"]
    assert found["nengo"] == INSTALLED["nengo"]
    assert found["no-such-distribution"] == "not installed"


# nengo


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


# NengoDL

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


# nengo-loihi

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
# nengo-loihi imports TensorFlow if it can, which takes seconds and is not needed here
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


@needs("nengo-loihi", "nengo-dl", "tensorflow")
def test_nengo_loihi_before_compat_is_said():
    done = ok(
        """
        import sys, warnings
        warnings.simplefilter("ignore")
        sys.modules["nengo_dl"] = None
        import nengo_loihi
        del sys.modules["nengo_dl"]
        del sys.modules["tensorflow"]
        from spiking_lmu.compat import import_nengo_loihi, patches
        import spiking_lmu.compat as compat
        compat.import_nengo_dl = lambda: sys.modules.setdefault("nengo_dl", sys)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert import_nengo_loihi() is nengo_loihi
        print([str(w.message) for w in caught])
        """,
        **{patches.LEGACY_KERAS: "1"},
    )
    assert "found no NengoDL" in done.stdout


def test_nengo_loihi_absent(monkeypatch):
    monkeypatch.setattr(patches, "installed", lambda module: module != "nengo_loihi")
    with pytest.raises(MissingExtraError, match=r"pip install 'spiking-lmu\[loihi\]'"):
        compat.import_nengo_loihi()


# the tools


def test_a_view_replaces_and_leaves_the_object_alone():
    view = patches._View(os, sep="|")
    assert (view.sep, view.linesep, os.sep) == ("|", os.linesep, os.path.sep)


def test_held_messages_come_out_only_when_the_import_fails(capfd, monkeypatch):
    monkeypatch.delenv(quiet.LOG_LEVEL, raising=False)

    def import_something(error=None):
        with quiet.quiet_import():
            os.write(2, b"chatter\n")
            warnings.warn("chatter", UserWarning, stacklevel=1)
            if error:
                raise error

    import_something()
    with pytest.raises(SpikingLmuError):
        import_something(SpikingLmuError("a", got="b", expected="c", fix="d"))
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError):
        import_something(ImportError("broken"))
    assert capfd.readouterr().err == "chatter\n"
    assert os.environ[quiet.LOG_LEVEL] == "3"


def test_messages_that_were_asked_for_are_not_held(capfd, monkeypatch):
    monkeypatch.setenv(quiet.LOG_LEVEL, "0")
    with quiet.quiet_import():
        os.write(2, b"wanted\n")
    assert capfd.readouterr().err == "wanted\n"
    assert os.environ[quiet.LOG_LEVEL] == "0"
