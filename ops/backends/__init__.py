"""Where implementations come from: one adapter a library.

Each module, or package of several, has `NAME`, `SUMMARY`, `DEVICES`, `find_absence()` (why the
library cannot be used here, or None), `serves(op)` and `find(spec, variant)`, which gives an
`Implementation`, or None where it does not have the op; see `ops.core.backend.Backend`.
"""
