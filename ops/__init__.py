"""What can be run: one module an op, beside the machinery they share (core, backends, harms)."""

if __name__ != "rocmoe.ops":
    raise ImportError(
        "import rocmoe.ops, not ops: a module imported under two names registers twice"
    )
