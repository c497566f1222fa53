"""Adapters of the targets that come with spiking-lmu, installed as ``spiking_lmu.targets``."""
