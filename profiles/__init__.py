"""Running, timing, counting and writing down."""

if __name__ != "rocmoe.profiles":
    raise ImportError(
        "import rocmoe.profiles, not profiles: a module imported under two names registers twice"
    )
