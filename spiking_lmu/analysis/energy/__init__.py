"""What a model costs: operations from counted spikes, and energy by published figures."""

from .counts import Counts, counts_of, read_counts
from .devices import Device, load_devices
from .operations import (
    Operations,
    ProjectionOperations,
    active_shares,
    connection_sparsity,
    count_operations,
    footprint,
    parameter_count,
)
from .report import EnergyReport, Entry, energy_report, estimate

__all__ = [
    "Counts",
    "Device",
    "EnergyReport",
    "Entry",
    "Operations",
    "ProjectionOperations",
    "active_shares",
    "connection_sparsity",
    "count_operations",
    "counts_of",
    "energy_report",
    "estimate",
    "footprint",
    "load_devices",
    "parameter_count",
    "read_counts",
]
