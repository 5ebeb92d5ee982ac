"""From photos to datasets: sources, plans, rendering, and what is done with the result."""
