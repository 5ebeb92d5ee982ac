"""Distances of rows, and their evaluation against people's judgements."""
