"""Importing the mended packages: versions, silence, and what stays as it is."""

import os
import warnings

import pytest

from spiking_lmu import compat
from spiking_lmu.compat import patches, quiet
from spiking_lmu.errors import SpikingLmuError

from ..helpers.fresh_python import INSTALLED, needs, ok


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


@needs("nengo-dl", "tensorflow")
@pytest.mark.slow
def test_nengo_dl_starts_no_second_tensorflow_where_there_is_no_gpu():
    ok(
        """
        import subprocess
        from spiking_lmu.compat import import_nengo_dl, patches
        patches.gpu_possible = lambda: False
        original, asked = subprocess.call, []
        subprocess.call = lambda *command, **_: asked.append(command) or 1
        import_nengo_dl()
        import nengo_dl
        assert not asked and nengo_dl.utils.tf_gpu_installed is False
        assert subprocess.call is not original  # it is again what it was before the import
        """
    )


@pytest.mark.slow
@needs("nengo-dl", "tensorflow")
def test_what_is_known_of_a_gpu_is_what_tensorflow_sees():
    ok(
        """
        from spiking_lmu.compat import import_nengo_dl, patches
        import_nengo_dl()
        import tensorflow as tf
        assert patches.gpu_possible() or not tf.config.list_physical_devices("GPU")
        """
    )


@needs("nengo-dl", "tensorflow")
def test_where_there_may_be_a_gpu_nengo_dl_searches(monkeypatch):
    import ctypes
    import subprocess

    patches.keras_2_engine()  # whoever is first to import TensorFlow decides on Keras
    asked = []
    monkeypatch.setattr(subprocess, "call", lambda *command, **_: asked.append(command) or 0)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: name)
    with patches.no_search_for_a_gpu():
        assert subprocess.call(["python", "-c", "list_physical_devices('GPU')"]) == 0
    assert len(asked) == 1
