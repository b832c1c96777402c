"""What the judges share: verdicts, limits, and the comparisons of each kind of answer."""
