"""What the arrays of a ``save_params`` file could be, from their shapes alone.

Other networks can have the same shapes, so these are readings and not facts.
"""

from __future__ import annotations

from collections.abc import Sequence

Shape = tuple[int, ...]


def readings(shapes: Sequence[Shape]) -> list[str]:
    """One line for each array.

    >>> for line in readings([(7,), (1, 1), (1,), (2, 2), (2,), (2, 3), (3,), (3, 4), (4,)])[:3]:
    ...     print(line)
    7 = 2 + 2 + 3 inputs of the later Dense layers: biases of the neurons between them?
    kernel of a Dense(1) that reads 1?
    bias of that Dense(1)?
    """
    dense = [i for i in range(len(shapes) - 1) if _is_dense(shapes[i], shapes[i + 1])]
    lines = []
    for i, shape in enumerate(shapes):
        if i in dense:
            before = [j for j in dense if j < i]
            lines.append(_kernel(shape, shapes[before[-1]] if before else None))
        elif i - 1 in dense:
            lines.append(f"bias of that Dense({shape[0]})?")
        else:
            lines.append(_other(shape, [shapes[j][0] for j in dense[1:]]))
    return lines


def _is_dense(kernel: Shape, bias: Shape) -> bool:
    """Keras saves a Dense layer as its kernel (in, units) and then its bias (units,)."""
    return len(kernel) == 2 and bias == kernel[1:]


def _kernel(shape: Shape, before: Shape | None) -> str:
    text = f"kernel of a Dense({shape[1]}) that reads {shape[0]:,}"
    if before is not None and shape[0] != before[1] and shape[0] % before[1] == 0:
        positions = shape[0] // before[1]
        text += f" = {positions:,} positions of the {before[1]} units before it"
    return text + "?"


def _other(shape: Shape, later_inputs: list[int]) -> str:
    if len(shape) == 1:
        if later_inputs and sum(later_inputs) == shape[0]:
            total = " + ".join(f"{n:,}" for n in later_inputs)
            total = f"{shape[0]:,} = {total}" if len(later_inputs) > 1 else f"{shape[0]:,}"
            return f"{total} inputs of the later Dense layers: biases of the neurons between them?"
        return "biases of neurons, of several layers in one vector? or other vectors"
    if len(shape) == 2:
        square = "recurrent weights or a memory's matrix? " if shape[0] == shape[1] else ""
        return (
            f"{square}weights (post, pre) from {shape[1]:,}, of several connections one below "
            "the other? encoders? a Dense without bias?"
        )
    if len(shape) == 4:
        return "kernel of a 2-D convolution (height, width, channels in, filters)?"
    return "not a shape that NengoDL's own parameters have"
