"""One implementation against another, and one run against another."""
