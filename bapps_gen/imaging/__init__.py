"""Pictures: decoding files, encoding PNG, contact sheets."""
