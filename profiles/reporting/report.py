"""A report: its headline and sections, selected from all that it is of."""

from __future__ import annotations

from dataclasses import dataclass

from rocmoe.profiles.reporting.changes import make_accuracy, make_changes, make_serving
from rocmoe.profiles.reporting.commands import make_commands
from rocmoe.profiles.reporting.document import Section
from rocmoe.profiles.reporting.heat import make_heat
from rocmoe.profiles.reporting.history import make_history
from rocmoe.profiles.reporting.insights import (
    make_counts,
    make_findings,
    make_graphs,
    make_profiles,
)
from rocmoe.profiles.reporting.latency import make_latency, make_rooflines
from rocmoe.profiles.reporting.machine import make_environment
from rocmoe.profiles.reporting.results import make_results
from rocmoe.profiles.reporting.sources import Sources
from rocmoe.profiles.reporting.summary import (
    Headline,
    list_all_gaps,
    list_failures,
    make_headline,
    make_summary,
)


@dataclass(frozen=True)
class Report:
    """What is told.  failures: lines on what went wrong; gaps: on what was not tested."""

    headline: Headline
    summary: Section
    failures: tuple[str, ...]
    gaps: tuple[str, ...]
    sections: tuple[Section, ...]
    created: str


def make_report(sources: Sources) -> Report:
    """All sections of a page that have something to show, in the order of reading."""
    runs = sources.runs
    sections = (
        make_changes(sources.diff),
        make_serving(sources),
        make_accuracy(sources),
        make_results(runs),
        make_latency(runs),
        make_heat(runs),
        make_rooflines(runs),
        make_findings(runs),
        make_counts(runs),
        make_graphs(runs),
        make_profiles(runs),
        make_history(runs),
        make_environment(runs),
        make_commands(runs),
    )
    dates = sorted({run.artifact.created[:10] for run in runs})
    return Report(
        make_headline(runs, sources.diff),
        make_summary(runs),
        tuple(list_failures(runs)),
        tuple(list_all_gaps(runs)),
        tuple(section for section in sections if not section.is_empty),
        " to ".join(dict.fromkeys([*dates[:1], *dates[-1:]])),
    )
