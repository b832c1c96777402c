"""Observers of a run that report what a kernel does wrong even where its answer is right."""
