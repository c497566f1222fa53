"""Where samples are run: in this process, in several, or on a Dask cluster.

All three take *shards*, each at most one batch of samples, and give their results back in
any order.  Each worker deploys the model itself; the caller alone writes files.
"""

from .protocol import Crew, Workers
from .shards import Facts, Setup, Shard, ShardResult
from .single import ThisProcess

__all__ = ["Crew", "Facts", "Setup", "Shard", "ShardResult", "ThisProcess", "Workers"]
