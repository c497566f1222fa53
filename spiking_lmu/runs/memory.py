"""Sizes of memory: as people write them, what is free, and what each worker may take."""

from __future__ import annotations

import re
from pathlib import Path

from spiking_lmu.errors import SpecError

UNITS = {"": 1} | {
    f"{prefix}{suffix}".lower(): base**power
    for power, prefix in enumerate(("", "k", "M", "G", "T"))
    for suffix, base in (("B", 1000), ("iB", 1024))
}
#: What a target may take unasked for a batch; more does not make it faster.
ENOUGH = 1 << 30
MEMINFO = Path("/proc/meminfo")
#: Limit and use of this container (control groups, version 2).
CGROUP = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def parse_size(text: str, option: str = "memory_limit") -> int:
    """Bytes from a number and a unit.

    Raises
    ------
    SpecError
        Not a size, or less than a byte.

    >>> parse_size("500MB"), parse_size("1.5 GiB")
    (500000000, 1610612736)
    """
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([a-z]*)", text.strip().lower())
    size = int(float(found[1]) * UNITS.get(found[2], 0)) if found else 0
    if size < 1:
        raise SpecError(
            option,
            got=repr(text),
            expected="a number with a unit: 500MB, 2GiB",
            fix="try 2GiB",
        )
    return size


def share(limit: int | None, workers: int, *, here: bool = True) -> int | None:
    """Bytes that one of ``workers`` may take for a batch; None leaves it to the target.

    Unasked, half of what is free is divided among workers on this machine, and a share that
    is enough for any target is left to the target.
    """
    if limit is not None:
        return max(1, limit // workers)
    free = free_bytes() if here else None
    if free is None or free // 2 // workers >= ENOUGH:
        return None
    return max(1, free // 2 // workers)


def free_bytes() -> int | None:
    """Memory that can be had without swapping; None if the system does not say."""
    found = []
    try:
        available = re.search(r"^MemAvailable:\s+(\d+) kB$", MEMINFO.read_text(), re.MULTILINE)
        if available:
            found.append(1024 * int(available[1]))
    except OSError:
        pass
    try:
        limit, used = (path.read_text().strip() for path in CGROUP)
        if limit != "max":
            found.append(max(0, int(limit) - int(used)))
    except OSError:
        pass
    return min(found, default=None)
