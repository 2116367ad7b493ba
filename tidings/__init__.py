"""Tidings: e-mail lists and digests for communities of practice that work in shifts."""

__version__ = "0.2.0"
