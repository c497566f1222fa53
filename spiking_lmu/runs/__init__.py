"""Where samples are run: in this process, in several, or on a Dask cluster.

:mod:`.service` is the way in, and :mod:`.runner` runs one model on one target.  The three kinds
of workers (:mod:`.single`, :mod:`.processes`, :mod:`.cluster`) take *shards*, each at most one
batch of samples, and give their results back in any order.  Each worker deploys the model
itself; the caller alone writes files.
"""
