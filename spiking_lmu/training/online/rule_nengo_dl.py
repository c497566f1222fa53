"""NengoDL's side of :mod:`.rule_operators`: each sample of a batch has weights of its own.

Imports NengoDL: import this module only where NengoDL is wanted.
"""

from __future__ import annotations

from typing import Any

from spiking_lmu.compat import import_nengo_dl

import_nengo_dl()

import tensorflow as tf  # noqa: E402  (after import_nengo_dl, which decides on its Keras)
from nengo_dl.builder import Builder, OpBuilder  # noqa: E402

from .rule_operators import SimNothing, SimRule  # noqa: E402


@Builder.register(SimRule)
class RuleBuilder(OpBuilder):
    """Runs the rule's function on tensors if it has one, else its NumPy function."""

    def build_pre(self, signals: Any, config: Any) -> None:
        """Find the signals; NengoDL gives an operator that does not merge one at a time."""
        super().build_pre(signals, config)
        (operator,) = self.ops
        self.rule, self.stateful = operator.rule, operator.state is not None
        self.inputs = [signals[signal] for signal in operator.reads]
        self.outputs = [signals[signal] for signal in operator.updates]

    def build_step(self, signals: Any) -> None:
        """One step of the whole batch."""
        rule, stateful, dt = self.rule, self.stateful, signals.dt_val
        values = [signals.gather(signal) for signal in self.inputs]
        values += [signals.gather(signal) for signal in self.outputs[1:]]
        on_tensors = rule.step_tf if stateful else rule.change_tf
        if on_tensors is not None:
            results = on_tensors(*values, dt)
        else:
            function = rule.step if stateful else rule.change
            types = [signals.dtype] * len(self.outputs)

            def call(*arrays: Any) -> Any:
                found = function(*arrays, dt)
                parts = found if stateful else (found,)
                return [part.astype(signals.dtype.as_numpy_dtype) for part in parts]

            results = tf.numpy_function(call, values, types, stateful=False)
        parts = results if stateful or on_tensors is None else [results]
        for output, part in zip(self.outputs, parts, strict=True):
            signals.scatter(output, tf.ensure_shape(part, output.full_shape))


@Builder.register(SimNothing)
class NothingBuilder(OpBuilder):
    """The signal keeps its value."""

    def build_step(self, signals: Any) -> None:
        """Nothing to do."""
