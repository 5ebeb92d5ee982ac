"""Mapping jobs over processes: in this process, over local processes, or over a Ray cluster."""
