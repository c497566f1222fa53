"""NengoDL 3.6.0 and nengo-loihi 1.1.0 on the Python, NumPy and TensorFlow of today.

Both were last released for nengo 3.2, NumPy 1 and TensorFlow 2.10.  What has changed since
is mended here, in memory, and only where the installed versions need it::

    function            mends                                             needed with
    import_nengo        ``cont2discrete`` of systems of order 200 and up  NumPy >= 1.25
    import_nengo_dl     imports of ``keras.engine``                       TensorFlow >= 2.13
                        Keras 2 behind ``tf.keras``                       TensorFlow >= 2.16
                        filters with a passthrough                        nengo >= 4
                        a second TensorFlow, to look for a GPU            no GPU here
    import_nengo_loihi  ``np.array(copy=False)``, ``np.fromstring``       NumPy >= 2
                        an import of TensorFlow that it has no use for    TensorFlow

Importing ``spiking_lmu`` is enough: a plain ``import nengo_dl`` after it is mended too
(:mod:`.hook`).  Everything in this package that needs one of the three gets it from here.
Importing this module imports none of them.  Call :func:`import_nengo_dl` before anything else
imports TensorFlow: which Keras ``tf.keras`` means is decided at that moment, for the whole process.
"""

from __future__ import annotations

import importlib
import platform
import sys
from importlib import metadata
from types import ModuleType
from typing import Any

from spiking_lmu.errors import MissingExtraError, SpikingLmuError, missing_extra

from . import hook, patches
from .quiet import no_warnings, quiet_import

__all__ = ["environment", "import_nengo", "import_nengo_dl", "import_nengo_loihi", "versions"]

DISTRIBUTIONS = (
    "spiking-lmu",
    "numpy",
    "nengo",
    "nengo-dl",
    "nengo-loihi",
    "tensorflow",
    "tf-keras",
)
NENGO_DL_INSTALL = (
    "pip install 'setuptools<81' wheel && pip install --no-build-isolation nengo-dl==3.6.0"
)


def versions() -> dict[str, str]:
    """Installed versions by distribution name, ``"not installed"`` where there is none.

    Read from the installed metadata: nothing is imported.

    >>> sorted(versions())[:3]
    ['nengo', 'nengo-dl', 'nengo-loihi']
    """
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def environment() -> dict[str, Any]:
    """Versions and machine, JSON-safe, for the record of a result.

    >>> sorted(environment())
    ['machine', 'system', 'versions']
    """
    return {"versions": versions(), "machine": platform.machine(), "system": platform.system()}


def import_nengo() -> ModuleType:
    """nengo, with a ``cont2discrete`` that works on the installed NumPy."""
    nengo = _mended("nengo")
    with no_warnings():
        # Where it was imported before the hook was there.
        patches.mend_expm()
    return nengo


def import_nengo_dl() -> ModuleType:
    """NengoDL, on TensorFlow 2.15 to 2.21.

    TensorFlow's start-up messages are held back (shown if the import fails) unless
    ``TF_CPP_MIN_LOG_LEVEL`` is set.

    Raises
    ------
    MissingExtraError
        If TensorFlow, tf-keras (TensorFlow 2.16 and later) or NengoDL is not installed.
    SpikingLmuError
        If TensorFlow was imported earlier with Keras 3.
    """
    import_nengo()
    if not patches.installed("tensorflow"):
        raise missing_extra("TensorFlow", "tensorflow", "dl")
    if not patches.installed("nengo_dl"):
        raise _missing_nengo_dl()
    with quiet_import():
        patches.keras_2_engine()
        nengo_dl = _mended("nengo_dl")
    # Where it was imported before the hook was there.
    patches.mend_linear_filter()
    patches.tell_nengo_loihi()
    return nengo_dl


def import_nengo_loihi() -> ModuleType:
    """nengo-loihi, with an emulator that runs on the installed NumPy.

    TensorFlow and NengoDL, which only training with Loihi's neurons needs, are not imported with
    it; once NengoDL is, it knows these neurons.

    Raises
    ------
    MissingExtraError
        If nengo-loihi is not installed.
    """
    import_nengo()
    if not patches.installed("nengo_loihi"):
        raise missing_extra("nengo-loihi", "nengo_loihi", "loihi")
    with quiet_import():
        nengo_loihi = _mended("nengo_loihi")
        # Where it was imported before the hook was there.
        patches.mend_nengo_loihi()
        patches.mend_decode_neurons()
        patches.mend_splitting()
        patches.mend_discretising()
        patches.tell_nengo_loihi()
    return nengo_loihi


def _mended(package: str) -> ModuleType:
    """Import a package, which the hook mends; an error of ours comes out as what it is."""
    hook.install()
    try:
        return importlib.import_module(package)
    except ImportError as error:
        if isinstance(error.__cause__, SpikingLmuError):
            raise error.__cause__ from None
        raise


def _missing_nengo_dl() -> MissingExtraError:
    if sys.version_info < (3, 12):
        return missing_extra("NengoDL", "nengo_dl", "dl")
    # its build asks for a setuptools that Python 3.12 cannot run
    return MissingExtraError(
        "NengoDL",
        got="no module 'nengo_dl'",
        expected="NengoDL 3.6.0, which pip cannot build by itself on Python 3.12 and later",
        fix=f"run: {NENGO_DL_INSTALL}",
    )
