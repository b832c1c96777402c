"""From a failure to the smallest case that still fails: `rocmoe shrink`."""
