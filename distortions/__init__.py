"""The traditional distortions: records, the table of atoms, compositions, plugins."""
