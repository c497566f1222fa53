"""The weights of a connection while a simulation runs, between two calls of ``run_steps``."""

from __future__ import annotations

from typing import Any

import numpy as np

from spiking_lmu.errors import SpecError, TargetError

Array = np.ndarray


def read_weights(simulator: Any, connection: Any) -> Array:
    """What the last step used, as a copy; before the first step, what was built.

    Parameters
    ----------
    simulator
        An open ``nengo.Simulator`` or ``nengo_dl.Simulator``; of ``nengo_loihi`` only with a
        connection that learns by PES on the chip, in Nengo's units.
    connection
        One with weights.

    Returns
    -------
    weights
        (post, pre), for decoded connections (post, neurons); with NengoDL's ``minibatch_size``
        and a connection that learns (batch, post, pre).

    Raises
    ------
    SpecError
        The connection has no weights, is not of this network, or the simulator is closed.
    TargetError
        The simulator is of another kind, or the emulator does not hold these weights.
    """
    simulator, kind = _kind(simulator)
    if kind == "nengo_loihi":
        return _read_chip(simulator, connection)
    signal = _weights(simulator, connection)
    if kind == "nengo":
        return np.array(simulator.signals[signal])
    return np.array(simulator.data[connection].weights)


def write_weights(simulator: Any, connection: Any, weights: Array) -> None:
    """Make these the weights that the next step uses; a rule goes on from them.

    What the rule was about to add is dropped, and a rule with a state of its own begins anew
    with the one that belongs to these weights.

    Parameters
    ----------
    simulator
        An open ``nengo.Simulator`` or ``nengo_dl.Simulator``.
    connection
        One with a learning rule, be it :class:`.rule.Writable`.
    weights
        As :func:`read_weights` gives them; without the batch axis all samples get the same.

    Raises
    ------
    SpecError
        As for reading; also a connection without a rule, another shape, or numbers that are
        not finite.
    TargetError
        The emulator: on the chip only its own learning engine writes weights.
    """
    simulator, kind = _kind(simulator)
    if kind == "nengo_loihi":
        raise TargetError(
            str(connection),
            got="weights to be written on the Loihi emulator",
            expected="PES: while it runs, only the chip's learning engine changes weights",
            fix="learn with PES there, or write on reference or nengo-dl",
        )
    signal = _weights(simulator, connection)
    rules = _rules(connection)
    if not rules:
        raise SpecError(
            str(connection),
            got="no learning rule, so that its weights are constants",
            expected="a connection with one",
            fix="set learning_rule_type=Writable() before the simulator is made",
        )
    values = _checked(weights, read_weights(simulator, connection).shape, signal.shape)
    changes = [(signal, values)]
    for rule in rules:
        own = simulator.model.sig[rule]
        changes.append((own["delta"], np.zeros(own["delta"].shape)))
        if "state" in own and hasattr(rule.learning_rule_type, "start"):
            start = rule.learning_rule_type.start
            samples = values.reshape(-1, *signal.shape)
            states = np.stack([np.asarray(start(sample)) for sample in samples])
            changes.append((own["state"], states if values.ndim > signal.ndim else states[0]))
    for target, new in changes:
        _assign(simulator, kind, target, new)


def _kind(simulator: Any) -> tuple[Any, str]:
    """The upstream simulator, and the package that it is of."""
    if type(simulator).__module__.endswith("targets.learning"):
        simulator = simulator.simulator
    kind = type(simulator).__module__.partition(".")[0]
    if kind not in ("nengo", "nengo_dl", "nengo_loihi"):
        raise TargetError(
            f"a simulator of {kind}",
            got=type(simulator).__name__,
            expected="one of nengo, nengo_dl or nengo_loihi",
            fix="run the network on the target reference or nengo-dl",
        )
    if simulator.closed:
        raise SpecError(
            "live weights",
            got="a closed simulator",
            expected="one that can still run",
            fix="read and write inside its with block",
        )
    return simulator, kind


def _weights(simulator: Any, connection: Any) -> Any:
    signal = simulator.model.sig[connection].get("weights")
    if signal is None:
        raise SpecError(
            str(connection),
            got="no weights in this simulator",
            expected="a connection with a transform, of the simulator's network",
            fix="give it a transform, or take the simulator that it was built for",
        )
    return signal


def _rules(connection: Any) -> list[Any]:
    rule = connection.learning_rule
    if rule is None:
        return []
    if isinstance(rule, dict):
        return list(rule.values())
    return list(rule) if isinstance(rule, list) else [rule]


def _checked(weights: Array, batched: tuple[int, ...], single: tuple[int, ...]) -> Array:
    values = np.asarray(weights, dtype=float)
    if values.shape not in (batched, single):
        raise SpecError(
            "live weights",
            got=f"shape {values.shape}",
            expected=" or ".join(dict.fromkeys((str(batched), str(single)))),
            fix="give an array of that shape",
        )
    if not np.isfinite(values).all():
        raise SpecError(
            "live weights",
            got="infinite or undefined numbers",
            expected="finite ones",
            fix="look for a division by zero where they were made",
        )
    return values


def _assign(simulator: Any, kind: str, signal: Any, values: Array) -> None:
    if kind == "nengo":
        simulator.signals[signal] = values
        return
    import tensorflow as tf

    # NengoDL keeps signals of equal row length in one variable, (batch, rows, ...).
    graph = simulator.tensor_graph
    part = graph.signals[signal]
    variables = {**graph.base_params, **graph.saved_state}
    variable = variables[part.key]
    new = np.array(tf.keras.backend.get_value(variable))
    rows = np.concatenate([np.arange(start, stop) for start, stop in part.slices])
    new[:, rows] = values
    tf.keras.backend.set_value(variable, new)


def _read_chip(simulator: Any, connection: Any) -> Array:
    from spiking_lmu.compat import import_nengo

    from .delay import online_learning

    learns = isinstance(connection.learning_rule_type, import_nengo().PES)
    on_chip = learns and connection.learning_rule in simulator.model.needs_sender
    if not on_chip:
        raise TargetError(
            str(connection),
            got="weights to be read on the Loihi emulator",
            expected="a connection that learns by PES there; others are integers, set at the start",
            fix="read the weights on reference or nengo-dl",
        )
    return np.atleast_2d(online_learning("loihi").decoders(simulator, connection))
