"""Named contents of inputs, each with what it provokes and the upstream report it comes from."""

from rocmoe.ops.core.patterns.pattern import Pattern, list_patterns, table

__all__ = ["Pattern", "list_patterns", "table"]
