"""What runs amount to: the outcome of each, counts by op, what failed, what was not tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.bench import judge_bench
from rocmoe.profiles.bench_report import tell_measurements
from rocmoe.profiles.comparing.diff import Diff
from rocmoe.profiles.comparing.diff_report import summarize as summarize_diff
from rocmoe.profiles.graphs.report import judge_graphs
from rocmoe.profiles.outcome import BAD, RAN, Exit, judge_run, list_gaps
from rocmoe.profiles.report import COLUMNS, summarize, tell_failures
from rocmoe.profiles.reporting.document import Section
from rocmoe.profiles.reporting.machine import describe_machine
from rocmoe.profiles.reporting.sources import Run
from rocmoe.profiles.sanitize_report import judge_sanitized, list_untested
from rocmoe.profiles.tables.table import Table

#: From the outcome that is told first of several.
_WORST = (Exit.FAILED, Exit.REGRESSED, Exit.INCONCLUSIVE, Exit.PASSED)
_JUDGES = {"bench": judge_bench, "sanitize": judge_sanitized, "graph": judge_graphs}


@dataclass(frozen=True)
class Headline:
    """What a report begins with: the outcome in a word, what it is of, and what a change made of
    it, with the outcome of that.  Empty is what there is nothing to say of."""

    outcome: str
    cases: str
    machines: str
    change: str = ""
    change_outcome: str = ""


def judge(artifact: Artifact) -> Exit:
    """The outcome of a run by the rules of its command."""
    return Exit(_JUDGES.get(artifact.request.command, judge_run)(artifact))


def make_headline(runs: Sequence[Run], diff: Diff | None = None) -> Headline:
    """The worst outcome of some runs, how many results passed of those that ran, and the outcome
    of a comparison."""
    change = f"{diff.base} against {diff.new}: {summarize_diff(diff)}" if diff else ""
    told = (change, Exit(diff.exit).name if diff else "")
    if not runs:
        return Headline("", "", "", *told)
    outcomes = {judge(run.artifact) for run in runs}
    results = [result for run in runs for result in run.artifact.results]
    ran = [result for result in results if result.status in RAN]
    passed = sum(result.status == "pass" for result in ran)
    ops = len({result.case.op for result in ran})
    cases = f"{passed} of {len(ran)} results pass, {ops} op{'s' if ops != 1 else ''}"
    machines = dict.fromkeys(describe_machine(run.artifact) for run in runs)
    worst = next(outcome for outcome in _WORST if outcome in outcomes)
    return Headline(worst.name, cases, "; ".join(machines), *told)


def make_summary(runs: Sequence[Run]) -> Section:
    """The outcomes and counts, what failed, and what was not tested."""
    tables = []
    if len(runs) > 1:
        tables.append(Table("Runs", _RUNS, [_describe_run(run) for run in runs]))
    rows = [
        [*row[-1:], *row[:-1], *([run.name] if len(runs) > 1 else [])]
        for run in runs
        for row in summarize(run.artifact)
    ]
    # The verdict ahead, where a narrow screen shows it.
    columns = (*COLUMNS[-1:], *COLUMNS[:-1], *(("run",) if len(runs) > 1 else ()))
    if rows:
        tables.append(Table("Tests by op", columns, rows))
    return Section("summary", "Summary", tables=tuple(tables))


_RUNS = ("outcome", "run", "command", "results", "machine", "date")


def _describe_run(run: Run) -> list[str]:
    artifact = run.artifact
    return [
        judge(artifact).name.lower(),
        run.name,
        artifact.request.command,
        str(len(artifact.results)),
        describe_machine(artifact),
        artifact.created[:10],
    ]


def list_failures(runs: Sequence[Run]) -> list[str]:
    """Lines that say what went wrong, by run."""
    lines = []
    for run in runs:
        if any(result.status in BAD for result in run.artifact.results):
            lines += [f"{run.name}:"] if len(runs) > 1 else []
            lines += tell_failures(run.artifact)
    return lines


def list_all_gaps(runs: Sequence[Run]) -> list[str]:
    """What was not tested or measured, each line once, with the runs where not all have it."""
    found: dict[str, list[str]] = {}
    for run in runs:
        sanitized = run.artifact.request.command == "sanitize"
        gaps = list_untested(run.artifact) if sanitized else list_gaps(run.artifact)
        for line in [*tell_measurements(run.artifact), *gaps]:
            found.setdefault(line, []).append(run.name)
    return [
        line if len(names) == len(runs) else f"{', '.join(names)}: {line}"
        for line, names in found.items()
    ]
