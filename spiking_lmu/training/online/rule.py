"""A learning rule of one's own: one NumPy function, run by nengo's reference and by NengoDL.

Nengo adds a signal *delta* to a connection's weights at the beginning of each step; a rule's
operator computes it at the end of the step before.  That operator is in :mod:`.rule_operators`
for the reference, and in :mod:`.rule_nengo_dl` for NengoDL.

Imports Nengo: import this module only where Nengo is wanted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from spiking_lmu.compat import import_nengo
from spiking_lmu.errors import SpecError

nengo = import_nengo()

from nengo.builder import Builder, Signal  # noqa: E402  (after import_nengo)
from nengo.builder.connection import slice_signal  # noqa: E402
from nengo.builder.learning_rules import build_or_passthrough  # noqa: E402
from nengo.builder.operator import Reset  # noqa: E402
from nengo.learning_rules import LearningRuleType  # noqa: E402
from nengo.params import Default  # noqa: E402
from nengo.synapses import Lowpass, SynapseParam  # noqa: E402

from .rule_operators import SimNothing, SimRule  # noqa: E402

Array = np.ndarray
#: What a rule may read beside the activity before the connection and the weights.
READS = ("error", "post")


class LearningRule(LearningRuleType):
    """Base of rules without memory; write :meth:`change`.

    ``reads`` says what the second argument is: ``"error"``, which is what is connected to
    ``connection.learning_rule``, one number for each row of the weights; or ``"post"``, the
    activity of the neurons that the connection ends at.

    A subclass may also have ``change_tf``: the same function of the same arguments on
    tensors.  NengoDL then runs that one; else it calls NumPy from TensorFlow, which gives the
    same numbers and cannot run on a GPU.

    Parameters
    ----------
    pre_synapse
        Filter of the activity that the rule sees, or a time constant in seconds; None is no
        filter.
    """

    modifies = "decoders"
    probeable: tuple[str, ...] = ("activities", "signal", "delta")
    reads: ClassVar[str] = "error"
    change_tf: ClassVar[Callable[..., Any] | None] = None
    pre_synapse = SynapseParam("pre_synapse", default=Lowpass(tau=0.005), readonly=True)

    def __init__(self, pre_synapse: Any = Default) -> None:
        if self.reads not in READS:
            raise SpecError(
                f"{type(self).__name__}.reads",
                got=repr(self.reads),
                expected=" or ".join(map(repr, READS)),
                fix="change the class attribute",
            )
        super().__init__(size_in="post" if self.reads == "error" else 0)
        self.pre_synapse = pre_synapse

    # Nengo compares frozen objects by the parameters that it knows of; a subclass has others.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def change(self, pre: Array, signal: Array, weights: Array, dt: float) -> Array:
        """What this step adds to the weights.

        Parameters
        ----------
        pre
            Filtered activity before the connection, (batch, pre); spikes have height 1/dt.
        signal
            Error, or activity after the connection, (batch, post).
        weights
            (batch, post, pre).  None of the three may be written to.
        dt
            Simulation step in seconds.

        Returns
        -------
        change
            (batch, post, pre).
        """
        raise NotImplementedError(f"{type(self).__name__} has to define change")


class StatefulRule(LearningRule):
    """Base of rules with arrays of their own beside the weights; write start and step.

    A subclass may have ``step_tf``: :meth:`step` on tensors.
    """

    probeable = (*LearningRule.probeable, "state")
    step_tf: ClassVar[Callable[..., Any] | None] = None

    def start(self, weights: Array) -> Array:
        """State (arrays, post, pre) that belongs to weights (post, pre).

        Called once at the beginning, and again when somebody writes the weights.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define start")

    def step(
        self, pre: Array, signal: Array, weights: Array, state: Array, dt: float
    ) -> tuple[Array, Array]:
        """As :meth:`LearningRule.change`, with the state (batch, arrays, post, pre).

        Returns the change (batch, post, pre) and the state after it.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define step")


class Writable(LearningRuleType):
    """Changes nothing: for connections whose weights :func:`.live.write_weights` is to write.

    Simulators keep the weights of a connection that learns apart from constants; without a
    rule Nengo shares them with the built model and forbids writing.
    """

    modifies = "decoders"

    def __init__(self) -> None:
        super().__init__(size_in=0)


@Builder.register(LearningRule)
def build_rule(model: Any, rule_type: LearningRule, rule: Any) -> None:
    """Add the operator; what the rule reads can be probed.

    Raises
    ------
    SpecError
        A connection without a row of weights for each number of the signal, or a rule whose
        arrays have other shapes than its weights.
    """
    connection = rule.connection
    weights, delta = model.sig[connection]["weights"], model.sig[rule]["delta"]
    pre = build_or_passthrough(
        model, rule_type.pre_synapse, _activity(model, connection.pre_obj, connection.pre_slice)
    )
    signal = _signal(model, rule_type, rule)
    if weights.shape != (signal.size, pre.size):
        raise SpecError(
            str(connection),
            got=f"weights of shape {weights.shape}",
            expected=f"({signal.size}, {pre.size}) for {type(rule_type).__name__}",
            fix="connect an Ensemble to a Node or Ensemble, or use a dense matrix between neurons",
        )
    state = None
    if isinstance(rule_type, StatefulRule):
        values = np.asarray(rule_type.start(weights.initial_value), dtype=weights.dtype)
        if values.shape[1:] != weights.shape:
            raise _shape_error(rule_type, "start", values, ("arrays", *weights.shape))
        state = Signal(values, name="state")
        model.sig[rule]["state"] = state
    _check_batch(rule_type, pre, signal, weights, state, model.dt)
    model.add_op(SimRule(rule_type, (pre, signal, weights), delta, state))
    model.sig[rule]["activities"], model.sig[rule]["signal"] = pre, signal
    _register_nengo_dl()


@Builder.register(Writable)
def build_writable(model: Any, rule_type: Writable, rule: Any) -> None:
    """Claim the change, which stays the zero that it starts with."""
    model.add_op(SimNothing(model.sig[rule]["delta"]))
    _register_nengo_dl()


def _register_nengo_dl() -> None:
    """Teach NengoDL the operator, if it is NengoDL that may be building: it is loaded then."""
    if "nengo_dl" in sys.modules:
        from . import rule_nengo_dl  # noqa: F401  (importing registers)


def _activity(model: Any, population: Any, part: Any) -> Signal:
    output = model.sig[population]["out"]
    if isinstance(population, nengo.ensemble.Neurons):
        return slice_signal(model, output, part)
    return output


def _signal(model: Any, rule_type: LearningRule, rule: Any) -> Signal:
    if rule_type.reads == "error":
        error = Signal(shape=(rule.size_in,), name="error")
        model.add_op(Reset(error))
        model.sig[rule]["in"] = error
        return error
    post = rule.connection.post_obj
    if isinstance(post, nengo.Node):
        raise SpecError(
            str(rule.connection),
            got="a Node at its end",
            expected=f"neurons, whose activity {type(rule_type).__name__} reads",
            fix='connect to neurons, or use a rule that reads "error"',
        )
    return _activity(model, post, rule.connection.post_slice)


def _check_batch(
    rule: LearningRule, pre: Signal, signal: Signal, weights: Signal, state: Any, dt: float
) -> None:
    """Call the rule once on a batch of two, so that wrong shapes show before anything runs."""
    inputs = np.zeros((2, *pre.shape)), np.zeros((2, *signal.shape)), _twice(weights)
    if not isinstance(rule, StatefulRule):
        change = np.asarray(rule.change(*inputs, dt))
    else:
        changed, after = rule.step(*inputs, _twice(state), dt)
        change = np.asarray(changed)
        if np.shape(after) != (2, *state.shape):
            raise _shape_error(rule, "step's state", np.asarray(after), (2, *state.shape))
    if change.shape != (2, *weights.shape):
        raise _shape_error(rule, "the change", change, (2, *weights.shape))


def _twice(signal: Signal) -> Array:
    return np.stack([signal.initial_value] * 2)


def _shape_error(rule: LearningRule, what: str, got: Array, expected: tuple[Any, ...]) -> SpecError:
    return SpecError(
        f"{type(rule).__name__}, {what}",
        got=f"shape {got.shape}",
        expected=f"({', '.join(map(str, expected))})",
        fix="keep the batch as the first axis: error[:, :, None] * pre[:, None, :]",
    )
