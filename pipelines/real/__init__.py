"""Rows made from the outputs of real algorithms."""
