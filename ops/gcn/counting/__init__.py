"""Exact counts of what a launch did: instructions, memory traffic, LDS bank conflicts."""
