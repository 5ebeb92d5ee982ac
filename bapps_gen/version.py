"""The version of this package, as datasets record it."""

__version__ = "0.1.0"
