"""What a target is, how targets are found, and the exact engines that they share."""
