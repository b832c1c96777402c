"""Harms that the ops of one family, or all ops, can have; made from an op's own implementation."""
