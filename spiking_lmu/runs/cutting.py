"""Which samples are verified, and how samples are cut into shards."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import islice

import numpy as np

#: From so many samples on, a worker of their own is worth its start even for part of a batch.
WORTH_A_WORKER = 64


def to_verify(seed: int, samples: int, number: int) -> list[int]:
    """``number`` random positions of ``samples``; more include fewer.

    >>> set(to_verify(0, 100, 3)) < set(to_verify(0, 100, 5))
    True
    """
    # A stream of its own: the plain seed has drawn the samples themselves.
    scores = np.random.default_rng([seed, 1]).random(samples)
    return [int(position) for position in np.argsort(scores)[:number]]


def cut(todo: Sequence[int], batch: int, workers: int, special: Set[int]) -> list[list[int]]:
    """Shards of about equal size for ``workers`` workers, of at most ``batch`` samples each.

    There are as few shards as batches allow, unless more workers could have
    `WORTH_A_WORKER` samples each.  The ``special`` samples, which take longer, are spread
    over the first shards.

    >>> cut(range(7), 3, 2, {5, 6})
    [[5, 0], [6, 1], [2, 3], [4]]
    """
    if not todo:
        return []
    number = max(-(-len(todo) // batch), min(workers, len(todo) // WORTH_A_WORKER))
    if number > workers:
        number = min(len(todo), -(-number // workers) * workers)
    longer = [position for position in todo if position in special]
    others = iter([position for position in todo if position not in special])
    each = -(-len(longer) // number)
    shards = []
    for i in range(number):
        size = len(todo) // number + (i < len(todo) % number)
        head = longer[i * each : (i + 1) * each]
        shards.append(head + list(islice(others, max(0, size - len(head)))))
    return [shard for shard in shards if shard]
