"""What became of things from before a change to after it: runs, serving benchmarks, accuracy."""

from __future__ import annotations

from rocmoe.profiles.comparing.diff import Diff
from rocmoe.profiles.comparing.diff_report import (
    COLUMNS,
    GROUPS,
    describe_change,
    group_changes,
    tell_notes,
)
from rocmoe.profiles.reporting.accuracy import tabulate_scores
from rocmoe.profiles.reporting.document import Section
from rocmoe.profiles.reporting.serving import tabulate_serving
from rocmoe.profiles.reporting.sources import Sources
from rocmoe.profiles.tables.table import Table

#: What heads the table of each group.
_TITLES = {
    "regression": "Worse", "ambiguous": "Ambiguous", "improvement": "Better", "other": "Other",
    "unchanged": "Unchanged",
}  # fmt: skip


def make_changes(diff: Diff | None) -> Section:
    """Tables of what changed, worse first, and a line on all of it; empty without a comparison."""
    if diff is None:
        return Section("changes", "Before and after")
    groups = group_changes(diff)
    tables = [
        Table(_TITLES[name], COLUMNS, [describe_change(change) for change in groups[name]])
        for name in GROUPS
        if groups[name]
    ]
    missed = [f"inconclusive: {line}" for line in diff.inconclusive]
    # The outcome is in the headline.
    lead = (*missed, *tell_notes(diff, every=True))
    return Section("changes", "Before and after", lead, tuple(tables))


def make_serving(sources: Sources) -> Section:
    """Tables of the serving benchmark before and after; empty where it was not given."""
    tables = tabulate_serving(*sources.serving) if sources.serving else []
    return Section("serving", "Serving benchmark", tables=tuple(tables))


def make_accuracy(sources: Sources) -> Section:
    """A table of accuracy before and after; empty where it was not given."""
    tables = (tabulate_scores(*sources.scores),) if sources.scores else ()
    return Section("accuracy", "Accuracy", tables=tables)
