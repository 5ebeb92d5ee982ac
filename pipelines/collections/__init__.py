"""Many sets made with one command."""
