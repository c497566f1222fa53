"""What came out: comparisons, statistics, ladders, trade-offs, calibration and energy."""
