"""Training LMUs in NengoDL, with a checkpoint an epoch."""
