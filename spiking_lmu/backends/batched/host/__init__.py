"""The part of a network that runs on the host: Nengo's operators on a batch."""

from .host import BatchedHost

__all__ = ["BatchedHost"]
