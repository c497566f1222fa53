"""Data sets by name: found, verified, permuted, sampled."""

from .mnist import DATASETS, SPLITS, Dataset, load, permutation

__all__ = ["DATASETS", "SPLITS", "Dataset", "load", "permutation"]
