"""Rows to shards to a dataset: making, verifying, replaying, exporting."""
