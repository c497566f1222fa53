"""What is mended: one function for each thing in another package that has stopped working.

Each names the line that it stands in for, tests whether the installed versions still have
the fault, does nothing where they have not or where it has run before, and says when it can go.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from spiking_lmu.errors import SpikingLmuError, missing_extra

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"


def installed(module: str) -> bool:
    """Whether a module can be found; it is not imported."""
    return importlib.util.find_spec(module) is not None


def mend_expm() -> None:
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


def keras_2_engine() -> str:
    """Import TensorFlow with Keras 2 and return the module path of Keras's ``engine``.

    Upstream: NengoDL 3.6.0 is written for Keras 2; TensorFlow 2.16 and later gives
    ``tf.keras`` that meaning only with tf-keras and with TF_USE_LEGACY_KERAS set before its
    first import (``tensorflow/__init__.py`` and ``python/util/lazy_loader.py``,
    ``KerasLazyLoader._initialize``).

    Can go when NengoDL supports Keras 3.
    """
    if _decides_on_keras():
        if not installed("tf_keras"):
            raise missing_extra("Keras 2", "tf_keras", "dl")
        os.environ[LEGACY_KERAS] = "1"
    importlib.import_module("tensorflow")
    # imported by name: the attribute tf.keras follows the environment even afterwards, and
    # Keras 2 and 3 would then be mixed
    keras = importlib.import_module("tensorflow.keras")
    engine: str = keras.Model.__module__.rpartition(".")[0]
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
def keras_engine_names(engine: str) -> Iterator[None]:
    """While NengoDL is imported, the module names that it asks Keras for.

    Upstream: NengoDL 3.6.0, ``nengo_dl/compat.py`` imports ``Functional`` and ``_build_map``
    from ``keras.engine.functional`` and ``BatchNormalizationV1`` and ``V2`` from
    ``keras.layers``.  They are in ``keras.src`` from TensorFlow 2.13 and in
    ``tf_keras.src`` from 2.16.

    Can go when NengoDL imports them from where they are.
    """
    if engine == "keras.engine":
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


def gpu_possible() -> bool:
    """Whether TensorFlow might find a GPU here; on Linux False only if it cannot.

    It sees one through NVIDIA's driver, whose library it loads by this name, through ROCm if it
    was built for that, or through a plug-in in a folder of its own.
    """
    import tensorflow as tf

    if sys.platform != "linux" or tf.test.is_built_with_rocm():
        return True
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so.1")
        return True
    packages = Path(tf.__file__).parent.parent
    return any((packages / "tensorflow-plugins").glob("*"))


@contextlib.contextmanager
def no_search_for_a_gpu() -> Iterator[None]:
    """While NengoDL is imported, the answer to its question for a GPU where there can be none.

    Upstream: NengoDL 3.6.0, ``nengo_dl/utils.py``, ``tf_gpu_installed`` imports TensorFlow a second
    time, in a process of its own, to learn whether it sees a GPU: about five seconds of every
    import, and TensorFlow's messages on the error stream.

    Can go when NengoDL asks only where the answer is used.
    """
    if gpu_possible():
        yield
        return
    call = subprocess.call

    def answered(command: Any, *args: Any, **kwargs: Any) -> int:
        asks = isinstance(command, list) and "list_physical_devices('GPU')" in str(command[-1])
        return 1 if asks else call(command, *args, **kwargs)

    subprocess.call = answered  # type: ignore[assignment]
    try:
        yield
    finally:
        subprocess.call = call


def mend_linear_filter() -> None:
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


@contextlib.contextmanager
def nengo_dl_later() -> Iterator[None]:
    """While nengo-loihi is imported, neither TensorFlow nor NengoDL is, if it was not before.

    Upstream: nengo-loihi 1.1.0, ``nengo_loihi/compat.py`` imports both where it can: seconds, and
    hundreds of megabytes, which the emulator has no use for.  Loihi's neurons trained in NengoDL
    have; :func:`tell_nengo_loihi` connects the two as soon as both are there.  Where nengo-extras
    is installed, whose builders of these neurons import NengoDL too, all is left as it is.

    Can go when nengo-loihi imports them where they are used.
    """
    if installed("nengo_extras"):
        with contextlib.suppress(ImportError):
            importlib.import_module("nengo_dl")
        yield
        return
    if _decides_on_keras() and installed("nengo_dl") and installed("tf_keras"):
        # Whoever imports TensorFlow next may want NengoDL after it.
        os.environ[LEGACY_KERAS] = "1"
    hidden = [name for name in ("tensorflow", "nengo_dl") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def tell_nengo_loihi() -> None:
    """Connect nengo-loihi to a NengoDL that was imported after it, or that it did not find.

    Upstream: nengo-loihi 1.1.0, ``nengo_loihi/neurons.py``, ``install_dl_builders`` tells NengoDL
    how Loihi's neurons are trained, when one is made.  Ones made before NengoDL came are caught
    up here.
    """
    neurons, nengo_dl = sys.modules.get("nengo_loihi.neurons"), sys.modules.get("nengo_dl")
    if neurons is None or nengo_dl is None or neurons.HAS_DL:
        return
    import tensorflow as tf

    for module in (sys.modules["nengo_loihi.compat"], neurons):
        vars(module).update(HAS_TF=True, HAS_DL=True, tf=tf, nengo_dl=nengo_dl)
    neurons.install_dl_builders()


def mend_nengo_loihi() -> None:
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


def mend_decode_neurons() -> None:
    """Let nengo-loihi's neurons on the way to the chip be built without points to decode at.

    Upstream: nengo-loihi 1.1.0, ``nengo_loihi/decode_neurons.py``, ``get_ensemble`` leaves
    ``eval_points`` to nengo, whose default for d values is a singular value decomposition of a
    random d x d matrix (nengo 4.1.0, ``nengo/dists.py``, ``random_orthogonal``): minutes for the
    2,704 values of a small convolutional layer, and nothing is ever decoded from them.  Encoders,
    gains and biases are given, so nothing else is drawn from the same generator.

    Can go when nengo-loihi gives these ensembles points of their own.
    """
    import numpy as np
    from nengo_loihi.decode_neurons import OnOffDecodeNeurons

    get_ensemble = OnOffDecodeNeurons.get_ensemble
    if getattr(get_ensemble, "mended", False):
        return

    def with_one_point(self: Any, dim: int, add_to_container: bool = True) -> Any:
        ensemble = get_ensemble(self, dim, add_to_container=add_to_container)
        ensemble.eval_points = np.zeros((1, dim))
        return ensemble

    with_one_point.mended = True  # type: ignore[attr-defined]
    OnOffDecodeNeurons.get_ensemble = with_one_point


def mend_splitting() -> None:
    """Let nengo-loihi split a dense synapse over many blocks without a look at each weight.

    Upstream: nengo-loihi 1.1.0, ``nengo_loihi/builder/split_blocks.py``,
    ``set_new_synapse_weights`` asks in Python, for each axon and each block, which of the axon's
    targets are in the block: half a minute for 7,600 axons on 57 blocks, where the answer is the
    same for all axons with the same targets.  What it makes is the same, in the same order.

    Can go when nengo-loihi asks once.
    """
    from nengo_loihi.builder import split_blocks

    stock = split_blocks.set_new_synapse_weights
    if getattr(stock, "mended", False):
        return

    def by_targets(
        old_synapse: Any,
        old_input_axons: Any,
        new_synapse: Any,
        block_comp_ids: Any,
        axon_overlaps: Any,
        axon_ids: Any,
        validate: Any = split_blocks.ValidationLevel.MINIMAL,
    ) -> None:
        import numpy as np

        shared = old_synapse.axon_to_weight_map is not None
        if shared or validate >= split_blocks.ValidationLevel.FULL:
            stock(
                old_synapse,
                old_input_axons,
                new_synapse,
                block_comp_ids,
                axon_overlaps,
                axon_ids,
                validate=validate,
            )
            return
        new_index = {old: new for new, old in enumerate(block_comp_ids)}
        chosen: dict[bytes, tuple[Any, Any, bytes]] = {}
        place: dict[tuple[bytes, bytes], int] = {}
        weights, indices, places = list[Any](), list[Any](), list[int]()
        for axon in axon_ids:
            weight, _, targets, _ = old_input_axons[axon]
            key = targets.tobytes()
            if key not in chosen:
                inside = np.flatnonzero([target in new_index for target in targets.flat])
                new = np.array([new_index[target] for target in targets[inside]])
                # Neighbours are copied at once.
                near = len(inside) == inside[-1] - inside[0] + 1
                among = slice(inside[0], inside[-1] + 1) if near else inside
                chosen[key] = among, new[None], new.tobytes()
            among, index, of_index = chosen[key]
            old = old_synapse.weights[weight]
            part = old[:, among].copy()
            known = part.tobytes(), of_index
            if known not in place:
                place[known] = len(weights)
                weights.append(part)
                indices.append(index if len(old) == 1 else np.tile(index, (len(old), 1)))
            places.append(place[known])
        new_synapse._set_weights_indices(
            weights,
            indices,
            weight_dtype=weights[0].dtype,
            compression=old_synapse.synapse_cfg.compression,
        )
        new_synapse.axon_to_weight_map = np.asarray(places)
        new_synapse.axon_compartment_bases = np.zeros(len(places), int)
        new_synapse.pop_type = old_synapse.pop_type

    by_targets.mended = stock  # type: ignore[attr-defined]
    split_blocks.set_new_synapse_weights = by_targets


def mend_discretising() -> None:
    """Let nengo-loihi round all weights of a synapse at once.

    Upstream: nengo-loihi 1.1.0, ``nengo_loihi/builder/discretize.py``, ``discretize_synapse``
    calls ``discretize_weights`` for each axon: ten seconds for 150,000 axons, of which each step
    of the arithmetic is one number after the other.  What it makes is the same.

    Can go when nengo-loihi rounds weights at once.
    """
    from nengo_loihi.builder import discretize

    stock = discretize.discretize_synapse
    if getattr(stock, "mended", False):
        return

    def at_once(synapse: Any, w_max: Any, w_scale: Any, w_exp: Any) -> None:
        import numpy as np

        weights = synapse.weights
        if synapse.learning or len(weights) < 2 or any(not w.flags.writeable for w in weights):
            stock(synapse, w_max, w_scale, w_exp)
            return
        together = np.concatenate([w.ravel() for w in weights])[None]
        index = np.concatenate([np.ravel(i) for i in synapse.indices])[None]
        # Its format is the synapse's own, which this sets.
        stock(_View(synapse, weights=[together], indices=[index]), w_max, w_scale, w_exp)
        parts = np.split(together[0], np.cumsum([w.size for w in weights])[:-1])
        for weight, part in zip(weights, parts, strict=True):
            weight.dtype = np.int32
            weight[...] = part.reshape(weight.shape)

    at_once.mended = stock  # type: ignore[attr-defined]
    discretize.discretize_synapse = at_once


class _View:
    """An object seen with some of its attributes replaced; the object itself is untouched."""

    def __init__(self, seen: Any, **replaced: Any) -> None:
        self.__dict__.update(replaced, _seen=seen)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seen, name)


def _decides_on_keras() -> bool:
    """Whether the next import of TensorFlow decides, by the environment, which Keras it has."""
    return "tensorflow" not in sys.modules and _tensorflow_version() >= (2, 16)


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
