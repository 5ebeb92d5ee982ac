"""The traditional distortions: records, the table of atoms, compositions, plugins.

A plugin needs `Distortion`, `Scaled` and `Free`; `bapps_gen.distortions.registry` gives
everything there is to apply.
"""

from bapps_gen.distortions.definition import Distortion, Free, Patch, Scaled

__all__ = ["Distortion", "Free", "Patch", "Scaled"]
