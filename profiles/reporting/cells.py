"""What cells of tables are: numbers, and words that say good or bad."""

from __future__ import annotations

import re

from rocmoe.profiles.tables.table import Table

#: Words of verdicts by what they say.
_TONES = {
    "good": ("pass", "passed", "ok", "safe", "faster", "fixed", "better"),
    "bad": (
        "fail", "failed", "error", "crash", "timeout", "slower", "broken", "worse", "invalid",
        "gone", "failing", "regressed", "stale", "wrong", "differs",
    ),
    "doubt": (
        "refused", "unavailable", "ambiguous", "throttled", "unverified", "inconclusive", "not",
    ),
}  # fmt: skip
_TONE = {word: tone for tone, words in _TONES.items() for word in words}
_NUMBER = re.compile(r"[(]?[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?[)%x*?]*", re.IGNORECASE)
_NOTHING = ("", "-", "N/A", "exact")


def find_tone(text: str) -> str:
    """What the first word of a verdict says: good, bad, doubt; empty for any other."""
    first = text.partition(" ")[0].casefold()
    return _TONE.get(first, "")


def find_numeric(table: Table) -> list[bool]:
    """Which columns hold numbers and nothing else."""
    found = []
    for number in range(len(table.columns)):
        cells = {row[number] for row in table.rows} - {*_NOTHING}
        words = [cell for cell in cells if not _NUMBER.fullmatch(cell)]
        # A time may be missing with a word of why.
        found.append(
            bool(cells) and all(cell in _TONE for cell in words) and len(words) < len(cells)
        )
    return found
