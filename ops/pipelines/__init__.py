"""Pipelines: ops that follow each other, judged end to end and timed by stage."""
