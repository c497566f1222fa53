"""NengoDL 3.6.0 and nengo-loihi 1.1.0 on the Python, NumPy and TensorFlow of today.

Both were last released for nengo 3.2, NumPy 1 and TensorFlow 2.10.  What has changed since
is mended here, in memory, and only where the installed versions need it::

    function            mends                                             needed with
    import_nengo        ``cont2discrete`` of systems of order 200 and up  NumPy >= 1.25
    import_nengo_dl     imports of ``keras.engine``                       TensorFlow >= 2.13
                        Keras 2 behind ``tf.keras``                       TensorFlow >= 2.16
                        filters with a passthrough                        nengo >= 4
    import_nengo_loihi  ``np.array(copy=False)``, ``np.fromstring``       NumPy >= 2

Everything in this package that needs one of the three gets it from here.  Importing this
module imports none of them.  Call :func:`import_nengo_dl` before anything else imports
TensorFlow: which Keras ``tf.keras`` means is decided at that moment, for the whole process.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from types import ModuleType
from typing import Any

from .errors import MissingExtraError, SpikingLmuError, missing_extra

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
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # 2 hides what TensorFlow's C++ side calls INFO and WARNING
LEGACY_KERAS = "TF_USE_LEGACY_KERAS"


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


def import_nengo() -> ModuleType:
    """nengo, with a ``cont2discrete`` that works on the installed NumPy."""
    with _no_warnings():  # nengo 4.1.0 reads numpy.core, an old name from NumPy 2 on
        nengo = importlib.import_module("nengo")
        _mend_expm()
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
    if not _installed("tensorflow"):
        raise missing_extra("TensorFlow", "tensorflow", "dl")
    if not _installed("nengo_dl"):
        raise _missing_nengo_dl()
    with _quiet_import():
        engine = _keras_2_engine()
        with _keras_engine_names(engine):
            nengo_dl = importlib.import_module("nengo_dl")
    _mend_linear_filter()
    return nengo_dl


def import_nengo_loihi() -> ModuleType:
    """nengo-loihi, with an emulator that runs on the installed NumPy.

    nengo-loihi imports NengoDL by itself where it can, so a NengoDL that works here is
    imported, and mended, first.  Without one the emulator works all the same; only
    training with Loihi's neurons needs it.

    Raises
    ------
    MissingExtraError
        If nengo-loihi is not installed.

    Warns
    -----
    RuntimeWarning
        If nengo-loihi was imported earlier and could not import NengoDL then: NengoDL
        would train Loihi's neurons without their own gradients.
    """
    import_nengo()
    if not _installed("nengo_loihi"):
        raise missing_extra("nengo-loihi", "nengo_loihi", "loihi")
    came_first = "nengo_loihi" in sys.modules
    with contextlib.suppress(SpikingLmuError):
        import_nengo_dl()
    with _quiet_import():
        nengo_loihi = importlib.import_module("nengo_loihi")
        _mend_nengo_loihi()
    if came_first and "nengo_dl" in sys.modules and not sys.modules["nengo_loihi.compat"].HAS_DL:
        warnings.warn(
            "nengo-loihi was imported before spiking_lmu.compat and found no NengoDL: networks "
            "run, but Loihi's neurons cannot be trained; call import_nengo_loihi() first",
            RuntimeWarning,
            stacklevel=2,
        )
    return nengo_loihi


def _mend_expm() -> None:
    """Stand in for the copy of SciPy 0.18's ``expm`` that nengo carries.

    Upstream: nengo 4.1.0, ``nengo/_vendor/scipy/sparse/linalg_expm.py``,
    ``ProductOperator.__init__`` calls ``np.find_common_type`` (deprecated in NumPy 1.25,
    removed in 2.0) and ``linalg_onenormest.py``, ``_onenormest_core`` calls ``np.in1d``
    (deprecated in 2.0, removed in 2.4), for matrices of 200 rows and more, such as that of a
    Legendre memory of order 256.  ``nengo/utils/filter_design.py``, ``cont2discrete`` uses
    it.  SciPy's own ``expm`` takes its place; the two agree to about 1e-13.

    Can go when nengo stops using those two names, or the copy.
    """
    import numpy as np
    from nengo.utils import filter_design

    # the smallest matrix whose norms are estimated, and too large to be left unscaled
    if _raises(lambda: filter_design.expm(np.eye(200) * 5.0)):
        from scipy.linalg import expm

        filter_design.expm = expm


def _keras_2_engine() -> str:
    """Import TensorFlow with Keras 2 and return the module path of Keras's ``engine``.

    Upstream: NengoDL 3.6.0 is written for Keras 2; TensorFlow 2.16 and later gives
    ``tf.keras`` that meaning only with tf-keras and with TF_USE_LEGACY_KERAS set before its
    first import (``tensorflow/__init__.py`` and ``python/util/lazy_loader.py``,
    ``KerasLazyLoader._initialize``).

    Can go when NengoDL supports Keras 3.
    """
    if "tensorflow" not in sys.modules and _tensorflow_version() >= (2, 16):
        if not _installed("tf_keras"):
            raise missing_extra("Keras 2", "tf_keras", "dl")
        os.environ[LEGACY_KERAS] = "1"
    importlib.import_module("tensorflow")
    # imported by name: the attribute tf.keras follows the environment even afterwards, and
    # Keras 2 and 3 would then be mixed
    keras = importlib.import_module("tensorflow.keras")
    engine = keras.Model.__module__.rpartition(".")[0]
    if not engine.endswith(".engine"):
        raise SpikingLmuError(
            "TensorFlow",
            got="an earlier import of it, with Keras 3",
            expected="Keras 2",
            fix="import spiking_lmu.compat and call import_nengo_dl() before anything imports "
            f"TensorFlow, or set {LEGACY_KERAS}=1 in the environment",
        )
    return engine


@contextlib.contextmanager
def _keras_engine_names(engine: str) -> Iterator[None]:
    """While NengoDL is imported, the module names that it asks Keras for.

    Upstream: NengoDL 3.6.0, ``nengo_dl/compat.py`` imports ``Functional`` and ``_build_map``
    from ``keras.engine.functional`` and ``BatchNormalizationV1`` and ``V2`` from
    ``keras.layers``.  They are in ``keras.src`` from TensorFlow 2.13 and in
    ``tf_keras.src`` from 2.16.

    Can go when NengoDL imports them from where they are.
    """
    if engine == "keras.engine" or "nengo_dl" in sys.modules:
        yield
        return
    import tensorflow as tf

    layers: Any = ModuleType("keras.layers")
    layers.BatchNormalizationV1 = tf.compat.v1.keras.layers.BatchNormalization
    layers.BatchNormalizationV2 = tf.keras.layers.BatchNormalization
    names = {
        "keras": sys.modules.get("keras") or ModuleType("keras"),
        "keras.engine": ModuleType("keras.engine"),
        "keras.engine.functional": importlib.import_module(f"{engine}.functional"),
        "keras.layers": layers,
    }
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(names)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _mend_linear_filter() -> None:
    """Give NengoDL's filter builder the one-dimensional ``D`` that it expects.

    Upstream: NengoDL 3.6.0, ``nengo_dl/process_builders.py``, ``LinearFilterBuilder.build_pre``
    asserts the shape of ``step.D``, which from nengo 4.0 on has two dimensions
    (``nengo/synapses.py``, ``LinearFilter.Step.__init__``): any filter with a passthrough
    stops there.

    Can go with the first NengoDL after 3.6.0, whose sources have the change.
    """
    import nengo_dl
    from nengo.synapses import LinearFilter
    from nengo_dl.process_builders import LinearFilterBuilder

    passthrough = LinearFilter([1], [1], analog=False)
    state = passthrough.make_state((1,), (1,), dt=0.001)
    step = passthrough.make_step((1,), (1,), dt=0.001, rng=None, state=state)
    build_pre = LinearFilterBuilder.build_pre
    mended = getattr(build_pre, "mended", False)
    if step.D.ndim == 1 or mended or nengo_dl.version.version_info > (3, 6, 0):
        return

    def with_flat_d(process: Any) -> Any:
        def make_step(*args: Any, **kwargs: Any) -> Any:
            step = process.make_step(*args, **kwargs)
            step.D = step.D.ravel()
            return step

        return _View(process, make_step=make_step)

    def mended_build_pre(self: Any, signals: Any, config: Any) -> None:
        ops = self.ops
        self.ops = [_View(op, process=with_flat_d(op.process)) for op in ops]
        try:
            build_pre(self, signals, config)
        finally:
            self.ops = ops

    mended_build_pre.mended = True  # type: ignore[attr-defined]
    LinearFilterBuilder.build_pre = mended_build_pre


def _mend_nengo_loihi() -> None:
    """Give nengo-loihi the NumPy 1 meaning of two calls.

    Upstream: nengo-loihi 1.1.0.  ``nengo_loihi/neurons.py``, ``_broadcast_rates_inputs`` and
    ``nengo_loihi/block.py``, ``Synapse._set_weights_indices`` and ``set_weights`` call
    ``np.array(..., copy=False)`` for "copy if needed", which NumPy 2 reads as "never copy".
    ``nengo_loihi/dvs.py``, ``EventsFileIO.read_events`` reads bytes with ``np.fromstring``
    (deprecated in NumPy 1.14, an error from 2.3).

    Can go when nengo-loihi uses ``np.asarray`` and ``np.frombuffer``.
    """
    import numpy as np
    from nengo_loihi import block, dvs, neurons

    def array(*args: Any, copy: bool | None = True, **kwargs: Any) -> Any:
        return np.array(*args, copy=copy or None, **kwargs)

    if _raises(lambda: np.array([0], dtype=float, copy=False)):
        block.np = neurons.np = _View(np, array=array)
    if _raises(lambda: np.fromstring(b"0", np.uint8)):  # type: ignore[call-overload]
        dvs.np = _View(np, fromstring=np.frombuffer)


class _View:
    """An object seen with some of its attributes replaced; the object itself is untouched."""

    def __init__(self, seen: Any, **replaced: Any) -> None:
        self.__dict__.update(replaced, _seen=seen)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seen, name)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


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


def _tensorflow_version() -> tuple[int, int]:
    try:
        major, minor = metadata.version("tensorflow").split(".")[:2]
    except metadata.PackageNotFoundError:  # another distribution of the same module
        return (2, 16)
    return int(major), int(minor)


def _raises(call: Callable[[], object]) -> bool:
    """Whether a call fails, or warns that it will."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            call()
        except (AttributeError, ValueError, TypeError, DeprecationWarning):
            return True
    return False


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _quiet_import() -> Iterator[None]:
    """Hold back warnings, and what TensorFlow's C++ side writes to the error stream.

    NengoDL and nengo-loihi warn on import that they do not know nengo 4; TensorFlow writes
    to file descriptor 2 before it reads its log level.
    """
    level = os.environ.get(LOG_LEVEL)
    os.environ.setdefault(LOG_LEVEL, "2")
    hold = contextlib.nullcontext() if level is not None else _hold_stderr()
    try:
        with _no_warnings(), hold:
            yield
    finally:
        os.environ[LOG_LEVEL] = level or "2"  # NengoDL sets it to 1


@contextlib.contextmanager
def _hold_stderr() -> Iterator[None]:
    """Write file descriptor 2 to a temporary file; pass it on if the block raises."""
    try:
        saved = os.dup(2)
    except OSError:  # there is no error stream
        yield
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            os.dup2(saved, 2)
            if not isinstance(error, SpikingLmuError):
                held.seek(0)
                os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
