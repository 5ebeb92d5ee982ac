"""Distances of rows, and their evaluation against human judgments."""
