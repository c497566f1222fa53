"""Trained parameters: from a live NengoDL simulator, or from a file that it saved.

``Simulator.save_params`` writes the model's Keras variables by position
(``arr_0``, ``arr_1``, …), without names, so a file says nothing about which network it
belongs to but the number and shapes of its arrays.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import FileError, ImportNetworkError, ImportNetworkWarning
from spiking_lmu.files.archive import Wanted, open_archive
from spiking_lmu.graph.graph import DEFAULT_DT

Array = np.ndarray
EXPECTED = "an intact file that NengoDL's save_params wrote"


class TrainedParameters:
    """The parameters that a simulator computes with.

    Source: ``nengo_dl/simulator.py`` and ``nengo/builder/connection.py``.  Connection weights,
    encoders and biases are variables.  The gain of connections to ``.neurons`` is a constant
    of the built model, never trained; ``sim.data[ens].gain`` is something else, worked back
    from the length of the trained encoders.
    """

    def __init__(self, simulator: Any) -> None:
        import tensorflow as tf

        self._simulator, self._keras = simulator, tf.keras.backend

    def weights(self, connection: Any) -> Array | None:
        """Weights as Nengo has them: None, shape (), (n,) or (post, pre)."""
        weights = self._simulator.data[connection].weights
        return None if weights is None else np.asarray(weights)

    def places(self, connection: Any) -> tuple[Array, Array]:
        """Rows and columns of the weights of a sparse transform, in their order."""
        matrix = self._simulator.model.sig[connection]["weights"].initial_value
        if hasattr(matrix, "indices") and matrix.indices.ndim == 2:  # Nengo's own
            return matrix.indices[:, 0], matrix.indices[:, 1]
        matrix = matrix.tocoo()
        return matrix.row, matrix.col

    def trainable(self, connection: Any) -> bool:
        """Whether NengoDL would train the weights."""
        signal = self._simulator.model.sig[connection]["weights"]
        return bool(getattr(signal, "trainable", False))

    def bias(self, ensemble: Any) -> Array:
        """Bias currents, shape (n_neurons,)."""
        return np.asarray(self._simulator.data.get_params((ensemble, "bias"))[0])

    def encoders(self, ensemble: Any) -> Array:
        """Encoders with gain and radius rolled in, shape (n_neurons, dimensions)."""
        return np.asarray(self._simulator.data.get_params((ensemble, "scaled_encoders"))[0])

    def gain(self, ensemble: Any) -> Array:
        """Gain on connections to the neurons, shape (n_neurons,)."""
        return np.asarray(self._simulator.model.params[ensemble].gain)

    def probe_connection(self, probe: Any) -> Any:
        """The decoded connection that Nengo made for the probe of an Ensemble."""
        for part in self._simulator.model.params:
            if getattr(part, "post_obj", None) is probe:
                return part
        raise KeyError(probe)

    def seeded(self, part: Any) -> bool:
        """Whether what is drawn at random for ``part`` is the same in every build."""
        return bool(self._simulator.model.seeded[part])

    def layer(self, layer: Any) -> tuple[Array, Array | None]:
        """Kernel (in, units) and bias (units,) of a Dense layer."""
        values = self._keras.batch_get_value(layer.weights)
        return values[0], values[1] if layer.use_bias else None


@contextmanager
def loaded_simulator(
    network: Any, params: Any, nengo_dl: Any, *, dt: float = DEFAULT_DT
) -> Iterator[Any]:
    """A simulator of ``network`` with the parameters of a file or list, closed at the end.

    Keras layers are used through copies, because a Simulator takes over the variables of the
    layers it is built with and another one may be alive.

    Raises
    ------
    FileError
        A file or list that is not what ``save_params`` writes for this network.
    """
    name, arrays = "list of parameters", params
    if isinstance(params, str | Path):
        name, arrays = Path(params).name, read_params(params)
    if not isinstance(arrays, list | tuple):
        raise ImportNetworkError(
            "trained parameters",
            got=type(params).__name__,
            expected="a nengo_dl.Simulator, a file of its save_params, or a list of arrays",
            fix="pass one of these",
        )
    with built_simulator(network, nengo_dl, dt=dt) as simulator:
        check_params(name, arrays, simulator)
        import tensorflow as tf

        for note in _notes(network, simulator, arrays):
            warnings.warn(f"{name}: {note}", ImportNetworkWarning, stacklevel=4)
        tf.keras.backend.batch_set_value(
            list(zip(simulator.keras_model.weights, arrays, strict=True))
        )
        yield simulator


def _notes(network: Any, simulator: Any, arrays: Sequence[Any]) -> tuple[str, ...]:
    """What to know of arrays that fit the simulator, which still has its own."""
    if not hasattr(network, "layer_map"):
        return ()
    # Only here: that package stands on this one.
    from ..parameters.layout import layout
    from ..parameters.mismatch import scale_notes

    slots, built = layout(simulator), simulator.keras_model.get_weights()
    own, read = (
        {slot.name: slot.filled([np.asarray(array) for array in values]) for slot in slots}
        for values in (built, arrays)
    )
    return scale_notes(network, own, read)


@contextmanager
def built_simulator(
    network: Any, nengo_dl: Any, *, dt: float = DEFAULT_DT, minibatch_size: int = 1
) -> Iterator[Any]:
    """A simulator of ``network`` with copies of its Keras layers, closed at the end.

    Raises
    ------
    ImportNetworkError
        NengoDL does not build it: a part that leads nowhere, say, which an import leaves out.
    """
    from nengo.exceptions import NengoException

    with _copied_layers(network, nengo_dl), _quiet():
        try:
            simulator = nengo_dl.Simulator(
                network,
                dt=dt,
                minibatch_size=minibatch_size,
                progress_bar=False,
                seed=network.seed or 0,
            )
        except NengoException as error:
            raise ImportNetworkError(
                "network",
                got=f"one that NengoDL does not build: {error}",
                expected="one that nengo_dl.Simulator(network) builds here",
                fix="do what that says, or leave the part out if it does not lead to the output",
            ) from error
        with simulator:
            yield simulator


@contextmanager
def rebuilt_simulator(
    network: Any, simulator: Any, parts: Sequence[Any], nengo_dl: Any
) -> Iterator[tuple[Any, dict[Any, Any]]]:
    """A second simulator with the same parameters that can be trained, and probes of ``parts``.

    The network gets its own probes, seed and settings back at the end.
    """
    from spiking_lmu.compat import import_nengo

    nengo = import_nengo()
    configured = nengo.Network in network.config.params
    settings: Any = network.config[nengo.Network] if configured else None
    inference_only = getattr(settings, "inference_only", None)
    own, seed = list(network.probes), network.seed
    try:
        if inference_only:
            settings.inference_only = False
        # What no variable holds, such as gains, is drawn from the same seed once more.
        network.seed = simulator.model.seeds[network]
        with network:
            probes = {
                part: nengo.Probe(part.neurons if isinstance(part, nengo.Ensemble) else part)
                for part in parts
            }
        with built_simulator(
            network, nengo_dl, dt=simulator.dt, minibatch_size=simulator.minibatch_size or 1
        ) as again:
            again.keras_model.set_weights(simulator.keras_model.get_weights())
            yield again, probes
    finally:
        network.seed = seed
        network.probes[:] = own
        if inference_only:
            settings.inference_only = inference_only


def read_params(path: str | Path) -> list[Array]:
    """The arrays of a ``save_params`` file in order; the ending ``.npz`` may be left out.

    Raises
    ------
    FileError
        Missing, damaged, or with anything else in it than numbers.
    """
    given, path = path, Path(path)
    if not path.is_file() and path.suffix != ".npz":
        path = Path(f"{path}.npz")
    wanted = Wanted(Path(given).name, EXPECTED, "save the parameters again with sim.save_params")
    if not path.exists():
        path = Path(given)
    with open_archive(path, wanted) as archive:
        expected = [f"arr_{i}.npy" for i in range(len(archive.names))]
        strange = sorted(set(archive.names) - set(expected))
        if strange:
            raise wanted.refused(
                f"the entry {strange[0][:80]!r}", "arr_0.npy, arr_1.npy, … and no other"
            )
        return [archive.array(name) for name in expected]


def check_params(name: str, arrays: Sequence[Any], simulator: Any, *, finite: bool = True) -> None:
    """Raise a FileError unless ``arrays`` fit the simulator's variables one by one.

    What does not fit is named and explained (:mod:`spiking_lmu.importers.parameters.mismatch`).
    """
    # Only here: that package stands on this one.
    from ..parameters.layout import contents
    from ..parameters.mismatch import explain

    expected = contents(simulator)
    which = [
        f"{name}: arr_{i} ({expected[i].label if i < len(expected) else 'more than expected'})"
        for i in range(len(arrays))
    ]
    checked = [_numbers(*pair) for pair in zip(which, arrays, strict=True)]
    found = explain([a.shape for a in checked], expected, len(simulator.tensor_graph.saved_state))
    if found is not None:
        where = name if found.position is None else which[found.position]
        raise _bad(where, found.got, found.expected, fix=found.fix)
    for where, array in zip(which, checked, strict=True):
        if finite and not np.isfinite(array).all():
            raise _bad(where, "NaN or infinity", "finite numbers", fix="train the network again")


def _numbers(which: str, array: Any) -> Array:
    try:
        array = np.asarray(array)
    except ValueError as error:
        raise _bad(which, f"something else ({error})", "an array of numbers") from error
    if array.dtype.kind not in "fiu":
        raise _bad(which, f"dtype {array.dtype}", "real numbers")
    return array


@contextmanager
def _copied_layers(network: Any, nengo_dl: Any) -> Iterator[None]:
    import tensorflow as tf

    slot = nengo_dl.TensorNode.tensor_func
    originals = {
        node: node.tensor_func
        for node in network.all_nodes
        if isinstance(node, nengo_dl.TensorNode)
        and isinstance(node.tensor_func, tf.keras.layers.Layer)
    }
    copies = {id(layer): _copy(layer) for layer in originals.values()}
    try:
        for node, layer in originals.items():
            # As NengoDL itself does: past the attribute, which would compute shapes anew.
            slot.data[node] = copies[id(layer)]
        yield
    finally:
        for node, layer in originals.items():
            slot.data[node] = layer


def _copy(layer: Any) -> Any:
    """An unbuilt layer of the same configuration, or the layer itself where it has none.

    The latter is the user's own class: it does not lead to the output, or the network would
    have been refused.
    """
    try:
        return type(layer).from_config(layer.get_config())
    except (TypeError, ValueError, NotImplementedError):
        return layer


@contextmanager
def _quiet() -> Iterator[None]:
    """Without NengoDL's warning that there is no GPU, which matters only to training."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No GPU support detected")
        yield


def _bad(
    name: str,
    got: str,
    expected: str = EXPECTED,
    fix: str = "save the parameters again with sim.save_params",
) -> FileError:
    return FileError(name, got=got, expected=expected, fix=fix)
