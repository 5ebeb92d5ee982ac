"""Votes, and the judgments of rows that come of them."""
