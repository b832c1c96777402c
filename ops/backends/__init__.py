"""Where implementations come from: one adapter a library.

Each module has `NAME`, `SUMMARY`, `find_absence() -> str | None` (why the library cannot be used
here) and `find(spec, variant) -> Implementation | None` (None where it does not have the op).
"""
