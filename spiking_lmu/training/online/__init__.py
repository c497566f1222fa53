"""Learning while a network runs: decoders that PES changes at every step."""
