"""Trained Legendre Memory Units as spiking networks, and what accuracy was kept."""
