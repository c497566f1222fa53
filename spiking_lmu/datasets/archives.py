"""Public archives through their own packages: aeon's time series, tonic's spiking speech."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from spiking_lmu.errors import DatasetError, missing_extra

from .arrays import from_arrays
from .dataset import Splits
from .request import COMMON, Request

Array = np.ndarray

#: Seconds of one input, and inputs of one channel, of what tonic has as single events.
SHD_BIN, SHD_POOL = 0.010, 10


def aeon(request: Request) -> Splits:
    """``aeon:NAME``: a data set of the UCR/UEA archive, in its own training and test parts.

    JapaneseVowels, BasicMotions, GunPoint, ArrowHead, OSULeaf, ItalyPowerDemand, ACSF1,
    PickupGestureWiimoteZ and Covid3Month (regression) come with the package; others are
    downloaded by it.  Series are as in the archive, neither padded nor normalised.
    """
    request.require(COMMON, argument=True)
    try:
        from aeon import datasets
    except ImportError as error:
        raise missing_extra("data of aeon", "aeon", "aeon") from error
    name = request.argument
    if not name.isidentifier():
        raise DatasetError(
            "data set of aeon", got=repr(name), expected="a name of the archive", fix="correct it"
        )
    regression = _is_regression(Path(datasets.__file__).parent, name, request)
    load = datasets.load_regression if regression else datasets.load_classification
    parts = [load(name, split=split) for split in ("train", "test")]
    (x, y), (xt, yt) = [(_by_step(values), answers) for values, answers in parts]
    chosen = {**request.arrays}
    if regression:
        y, yt = y.astype(float), yt.astype(float)
        chosen.setdefault("task", "regression last")
    return from_arrays(x, y, test=(xt, yt), name=name, source=f"aeon's {name}", **chosen)


def _is_regression(folder: Path, name: str, request: Request) -> bool:
    """Whether the archive's file says that its targets are numbers, or the user does."""
    if "task" in request.options:
        return request.options["task"].startswith("regression")
    path = folder / "data" / name / f"{name}_TRAIN.ts"
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.lower().split()
            if words[:1] == ["@targetlabel"]:
                return words[1:2] == ["true"]
            if words[:1] == ["@data"]:
                return False
    return False


def _by_step(series: Any) -> Any:
    """From aeon's (channels, steps) to (steps, channels)."""
    if isinstance(series, np.ndarray):
        return np.swapaxes(series, 1, 2)
    return [np.asarray(one).T for one in series]


def tonic(request: Request) -> Splits:
    """``tonic:SHD`` or ``tonic:SSC``: spoken digits or words as spikes of an artificial ear.

    Its 700 channels of single events become counts: ``bin`` seconds an input (0.010), ``pool``
    neighbouring channels added up (10).  Options: ``bin``, ``pool``, ``folder`` to keep the
    download in (the user's cache).

    Source: B. Cramer et al., "The Heidelberg spiking data sets for the systematic evaluation
    of spiking neural networks", IEEE Trans. Neural Netw. Learn. Syst. 33 (2022) 2744-2757.
    """
    request.require(COMMON | {"bin", "pool"}, argument=True)
    try:
        import tonic
    except ImportError as error:
        raise missing_extra("data of tonic", "tonic", "tonic") from error
    name = request.argument
    if name not in ("SHD", "SSC"):
        raise DatasetError(
            "data set of tonic", got=repr(name), expected="SHD or SSC", fix="choose one"
        )
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = str(request.folder or Path(cache) / "spiking-lmu" / "tonic")
    width, pool = request.number("bin", SHD_BIN), request.whole("pool", SHD_POOL)
    kind = getattr(tonic.datasets, name)
    channels = int(kind.sensor_size[0])
    if not 1e-4 <= width <= 1 or pool < 1 or channels % pool:
        raise DatasetError(
            f"bins of {name}",
            got=f"{width:g} s, {pool} channels",
            expected=f"0.0001 to 1 s, and a divisor of {channels}",
            fix=f"leave them out for {SHD_BIN} s and {SHD_POOL}",
        )
    found = []
    parts: tuple[dict[str, Any], ...] = ({"train": True}, {"train": False})
    if name == "SSC":
        parts = ({"split": "train"}, {"split": "test"})
    for which in parts:
        events = kind(save_to=folder, **which)
        pairs = [(_counts(e, width, channels, pool), int(label)) for e, label in events]
        found.append(([x for x, _ in pairs], np.array([y for _, y in pairs])))
    classes = getattr(kind, "classes", None)
    names = None if classes is None else [str(c) for c in classes]
    return from_arrays(
        *found[0],
        test=found[1],
        name=name,
        names=names,
        source=f"tonic's {name}",
        **{"dt": width, **request.arrays},
    )


def _counts(events: Array, width: float, channels: int, pool: int) -> Array:
    """Events with times ``t`` in microseconds and places ``x``, as counts (steps, channels)."""
    step = (np.asarray(events["t"], dtype=float) / (1e6 * width)).astype(int)
    counts = np.zeros((int(step.max(initial=0)) + 1, channels // pool), dtype=np.float32)
    np.add.at(counts, (step, np.asarray(events["x"], dtype=int) // pool), 1)
    return counts
