"""A plain import of NengoDL or nengo-loihi after this package is mended; nothing comes before."""

import importlib.util

import pytest

from spiking_lmu.compat import hook, running

from ..helpers.fresh_python import needs, ok


@needs("nengo-dl", "tensorflow")
def test_a_plain_import_of_nengo_dl_is_mended():
    done = ok(
        """
        import sys
        import spiking_lmu
        assert not {"nengo", "nengo_dl", "tensorflow", "numpy"} & set(sys.modules)
        import nengo_dl
        import tensorflow as tf
        assert nengo_dl.process_builders.LinearFilterBuilder.build_pre.mended is True
        assert tf.keras.Model.__module__.endswith(".engine.training")
        from spiking_lmu.compat import import_nengo_dl
        assert import_nengo_dl() is nengo_dl
        """,
        "-Werror",
    )
    assert done.stderr == ""


@needs("nengo-loihi")
def test_a_plain_import_of_nengo_loihi_is_mended():
    ok(
        """
        import sys
        sys.modules["tensorflow"] = None  # takes seconds, and is not needed here
        import spiking_lmu
        import nengo_loihi
        import numpy as np
        assert nengo_loihi.block.np.array([0], dtype=float, copy=False).dtype == float
        assert nengo_loihi.__spec__.loader.get_filename("nengo_loihi")
        """,
        "-Werror",
    )


def test_the_hook_is_there_once_and_finds_nothing_else():
    import sys

    hook.install()
    finders = [finder for finder in sys.meta_path if isinstance(finder, hook.MendingFinder)]
    assert len(finders) == 1
    assert finders[0].find_spec("json", None) is None
    assert finders[0].find_spec("nengo.utils", ["nowhere"]) is None
    assert tuple(name for name in hook.PACKAGES if callable(vars(running)[name])) == hook.PACKAGES


def test_what_cannot_be_mended_is_an_import_error(monkeypatch):
    """So that whoever imports NengoDL where it can goes on without."""
    from spiking_lmu.errors import SpikingLmuError

    def refuse(execute):
        raise SpikingLmuError("a", got="b", expected="c", fix="d")

    monkeypatch.setattr(running, "nengo", refuse)
    spec = importlib.util.find_spec("nengo")
    loader = hook.MendingLoader(spec.loader, hook._run_of("nengo"))
    module = importlib.util.module_from_spec(spec)
    with pytest.raises(ImportError, match="a: got b, expected c; d") as caught:
        loader.exec_module(module)
    assert isinstance(caught.value.__cause__, SpikingLmuError)
