"""The part of a network that runs on the emulated chip, as vectors and matrices on a batch."""
