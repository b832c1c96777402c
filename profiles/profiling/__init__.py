"""What profilers saw: readers of their files, metrics from their counters, and what follows."""
