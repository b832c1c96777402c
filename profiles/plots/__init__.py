"""Figures of runs: what is in them is selected apart from how they are drawn."""
