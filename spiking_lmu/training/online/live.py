"""The weights of a connection while a simulation runs, between two calls of ``run_steps``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spiking_lmu.backends.registry import find_targets
from spiking_lmu.backends.target import OnlineLearning
from spiking_lmu.errors import SpecError, TargetError

Array = np.ndarray


def read_weights(simulator: Any, connection: Any) -> Array:
    """What the last step used, as a copy; before the first step, what was built.

    Parameters
    ----------
    simulator
        An open simulator of a target's package: ``nengo.Simulator``, ``nengo_dl.Simulator``.
        On a chip only a connection that learns there can be read, in Nengo's units.
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
        The simulator is of another kind, or does not hold these weights.
    """
    simulator, target = _opened(simulator)
    online = target.online_learning
    if online.assign is not None:  # Any connection has weights that can be read.
        _weights(simulator, connection)
    return np.atleast_2d(online.decoders(simulator, connection))


def write_weights(simulator: Any, connection: Any, weights: Array) -> None:
    """Make these the weights that the next step uses; a rule goes on from them.

    What the rule was about to add is dropped, and a rule with a state of its own begins anew
    with the one that belongs to these weights.

    Parameters
    ----------
    simulator
        An open simulator of a target's package.
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
        A target on which only its own rules write weights.
    """
    simulator, target = _opened(simulator)
    assign = target.online_learning.assign
    if assign is None:
        raise TargetError(
            str(connection),
            got=f"weights to be written on {target.name}",
            expected="its own learning rules, which alone change weights while it runs",
            fix=f"learn there, or write on {_others(lambda online: online.assign is not None)}",
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
    for part, new in changes:
        assign(simulator, part, new)


def _opened(simulator: Any) -> tuple[Any, Any]:
    """The upstream simulator, and the target whose simulator it is."""
    simulator = getattr(simulator, "upstream", simulator)
    package = type(simulator).__module__.partition(".")[0]
    owner = next((t for t in _learners() if t.online_learning.package == package), None)
    if owner is None:
        raise TargetError(
            f"a simulator of {package}",
            got=type(simulator).__name__,
            expected="one of " + ", ".join(t.online_learning.package for t in _learners()),
            fix=f"run the network on {_others(lambda online: True)}",
        )
    if simulator.closed:
        raise SpecError(
            "live weights",
            got="a closed simulator",
            expected="one that can still run",
            fix="read and write inside its with block",
        )
    return simulator, owner


def _learners() -> list[Any]:
    """Targets on which networks learn, whether or not they can run here."""
    targets = [found.target for found in find_targets()]
    return [t for t in targets if t is not None and t.online_learning is not None]


def _others(able: Callable[[OnlineLearning], bool]) -> str:
    return " or ".join(t.name for t in _learners() if able(t.online_learning))


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
