"""Spec to plan to pixels: what a row is and how it is rendered."""
