"""Waves, registers and memory: what executes a Program."""
