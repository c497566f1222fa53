"""Trained models for spiking-lmu that its own package has no room for; it finds them by name."""
