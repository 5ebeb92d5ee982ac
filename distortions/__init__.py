"""The traditional distortions: records, the table of atoms, compositions, plugins.

A plugin needs `Distortion`, `SeverityParameter` and `RandomParameter`;
`bapps_gen.distortions.registry` gives everything there is to apply.
"""

from bapps_gen.distortions.definition import Distortion, Patch, RandomParameter, SeverityParameter

__all__ = ["Distortion", "Patch", "RandomParameter", "SeverityParameter"]
