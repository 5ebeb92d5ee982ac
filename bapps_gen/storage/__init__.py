"""Where bytes are: local paths and URLs, files that appear whole, folders that one run writes."""
