"""bapps-gen regenerates and extends BAPPS, the perceptual patch similarity dataset."""

__version__ = "0.1.0"
