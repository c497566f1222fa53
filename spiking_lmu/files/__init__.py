"""Bytes on disk: the ``.slmu`` format, the models that ship, and how files are written."""
