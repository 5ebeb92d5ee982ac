"""Every distortion at every level."""
