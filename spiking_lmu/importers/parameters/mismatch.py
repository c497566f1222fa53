"""Why a ``save_params`` file does not fit a network, or fits and is wrong all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from .layout import Content
from .parameter import Parameter

Shape = tuple[int, ...]
USE = "use the network that the file was saved from"


@dataclass(frozen=True)
class Mismatch:
    """The first thing that does not fit: ``position`` is None for the file as a whole."""

    position: int | None
    got: str
    expected: str
    fix: str


def explain(shapes: Sequence[Shape], expected: Sequence[Content], states: int) -> Mismatch | None:
    """What does not fit, and probably why; None if every shape does.

    Parameters
    ----------
    shapes
        Of the file's arrays.
    expected
        The simulator's variables.
    states
        How many arrays ``include_state=True`` adds.
    """
    want = [content.shape for content in expected]
    if list(shapes) == want:
        return None
    if len(shapes) != len(want):
        return _other_number(shapes, expected, states)
    position = next(
        i for i, (got, shape) in enumerate(zip(shapes, want, strict=True)) if got != shape
    )
    return Mismatch(
        position,
        f"shape {shapes[position]}",
        f"shape {want[position]}",
        f"{_reason(shapes, expected, position)}; {USE}",
    )


def _other_number(shapes: Sequence[Shape], expected: Sequence[Content], states: int) -> Mismatch:
    got, want = f"{len(shapes)} arrays", f"{len(expected)}, as many as the network has"
    if states and len(shapes) == len(expected) + states:
        return Mismatch(
            None,
            got,
            want,
            "the file holds the simulator's state too: save again with include_state=False",
        )
    missing, extra = [], []
    matcher = SequenceMatcher(None, [c.shape for c in expected], list(shapes), autojunk=False)
    for operation, i, i_end, j, j_end in matcher.get_opcodes():
        if operation != "equal":
            missing += [f"{c.label} {c.shape}" for c in expected[i:i_end]]
            extra += [f"arr_{k} {shapes[k]}" for k in range(j, j_end)]
    parts = []
    if missing:
        parts.append(f"nothing in the file fits {_some(missing)}")
    if extra:
        parts.append(f"nothing in the network fits {_some(extra)}")
    cause = "a layer or a bias that only one of them has"
    if sum(block.size for block in matcher.get_matching_blocks()) <= len(expected) // 2:
        cause = "a file of another network"
    return Mismatch(None, got, want, f"{'; '.join(parts)}: probably {cause}; {USE}")


def _reason(shapes: Sequence[Shape], expected: Sequence[Content], position: int) -> str:
    want = [content.shape for content in expected]
    pairs = [(w, g) for w, g in zip(want, shapes, strict=True) if w != g]
    if sorted(want) == sorted(shapes):
        return (
            "the same shapes in another order: probably the network's parts were made in another "
            "order, or another version of NengoDL saved the file"
        )
    if all(
        e.minibatched and e.shape[1:] == g[1:]
        for e, g in zip(expected, shapes, strict=True)
        if e.shape != g
    ):
        return (
            "a learning rule keeps weights for each sample of the minibatch: probably saved with "
            f"minibatch_size={shapes[position][0]}; load it with sim.load_params in a simulator of "
            "that size and look at the simulator, or save with minibatch_size=1"
        )
    if all(w == g[::-1] for w, g in pairs):
        return "the same shape the other way round: probably transposed"
    sizes = _sizes(pairs)
    if sizes:
        told = [f"{g:,} where the network has {w:,}" for w, g in sizes.items()]
        return f"probably another number of units or inputs: {_some(told)}"
    return "probably a file of another network"


def _sizes(pairs: list[tuple[Shape, Shape]]) -> dict[int, int]:
    """One size for each other size, if that explains all pairs of shapes; else nothing."""
    sizes: dict[int, int] = {}
    for want, got in pairs:
        if len(want) != len(got):
            return {}
        for w, g in zip(want, got, strict=True):
            if w != g and sizes.setdefault(w, g) != g:
                return {}
    return sizes


def _some(parts: list[str]) -> str:
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return ", ".join(parts[:3]) + more


def scale_notes(
    network: Any, own: Mapping[str, Parameter], read: Mapping[str, Parameter]
) -> tuple[str, ...]:
    """What to know of a file for a network that ``nengo_dl.Converter`` scaled.

    The Converter makes ``scale_firing_rates`` the gain of the neurons, which no file holds, and
    multiplies their biases by it, which are in the file (``nengo_dl/converter.py``,
    ``LayerConverter.add_nengo_obj``).  A file of another scale fits, and is wrong.

    Parameters
    ----------
    own, read
        The network's parameters as it is built, and with the file's values.
    """
    if not hasattr(network, "layer_map"):
        return ()
    biased = {p.post for p in own.values() if p.kind == "bias" and p.place is not None}
    gains = {
        p.post: float(p.value.flat[0])
        for p in own.values()
        if p.kind == "gain" and p.post in biased
    }
    notes = []
    if any(gain != 1 for gain in gains.values()):
        scales = ", ".join(f"{name} {gain:g}" for name, gain in gains.items())
        notes.append(
            f"the network multiplies what reaches its neurons by scale_firing_rates ({scales}), "
            "but not their biases: the file's have to be trained at that scale, and it does not "
            "say at which they were; at another one the network computes something else"
        )
    for name, parameter in own.items():
        factor = _factor(parameter.value, read[name].value)
        if parameter.kind == "bias" and parameter.post in gains and factor is not None:
            gain = gains[parameter.post]
            notes.append(
                f"{name} is about {factor:g} times what the network is built with: probably saved "
                f"with scale_firing_rates={gain * factor:.2g} where the network has {gain:g}; make "
                "the network with that scale"
            )
    return tuple(notes)


def _factor(before: np.ndarray, after: np.ndarray) -> float | None:
    """The factor that most numbers have about in common, if it is far from 1.

    Training moves biases from what they started with; another scale moves all of them together.
    """
    known = before != 0
    if not known.any():
        return None
    factors = after[known] / before[known]
    factor = float(np.median(factors))
    near = (factors > factor / 2) & (factors < factor * 2)
    if factor <= 0 or near.mean() < 0.9 or 0.5 < factor < 2:
        return None
    return float(f"{factor:.2g}")
