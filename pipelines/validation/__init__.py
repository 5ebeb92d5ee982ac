"""Is it good? Reports on datasets, collections, and zoos."""
