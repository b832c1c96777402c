"""The command line: choose, call, show; nothing is computed here."""

if __name__ != "rocmoe.cli":
    raise ImportError(
        "import rocmoe.cli, not cli: a module imported under two names registers twice"
    )
