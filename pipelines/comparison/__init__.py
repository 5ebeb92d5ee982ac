"""Metrics compared on judged sets: which is better, by how much, and where it is wrong."""
