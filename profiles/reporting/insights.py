"""What simulators counted and sanitizers found, what became of graphs, what profilers told."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.bench_report import COUNTED, describe_shape, format_count
from rocmoe.profiles.graphs.report import list_graph_tables
from rocmoe.profiles.profiling.report import list_artifact_tables
from rocmoe.profiles.reporting.document import Listing, Section
from rocmoe.profiles.reporting.sources import Run
from rocmoe.profiles.sanitize_report import Told, gather_findings
from rocmoe.profiles.tables.table import Table

#: Counts of whole runs that are shown beside those by token.
TOTALS = ("instructions", "load_bytes", "store_bytes", "lds_cycles", "waves")
#: How a finding says where it is: the kernel, its line or offset, and the instruction.
_WHERE = re.compile(r"(?P<kernel>.*?):(?P<line>\d+): (?P<text>.*?)(?: \((?P<source>[^()]*)\))?")
#: Lines of a kernel between two findings that make a gap in its listing.
_NEAR = 1


def make_counts(runs: Sequence[Run]) -> Section:
    """A row a simulated result: what it did a token or row, and in all."""
    results = [(run, each) for run in runs for each in run.artifact.results if each.counts]
    totals = [name for name in TOTALS if any(name in (r.counts or {}) for _, r in results)]
    reduced = {run.name: _keep_counted(run.artifact) for run in runs}
    rows = [
        [
            result.case.op,
            describe_shape(reduced[run.name], result.case),
            result.selector,
            result.device,
            *(format_count(result, name) for name in COUNTED.values()),
            *(format_count(result, name) for name in totals),
        ]
        for run, result in results
    ]
    columns = ("op", "shape", "backend", "device", *COUNTED, *(t.replace("_", " ") for t in totals))
    lead = (
        "Counted in the simulator, instruction by instruction: exact for the inputs drawn, and no "
        "times.",
    )
    table = Table("Counts of simulated runs", columns, rows)
    return Section("counts", "Simulator counts", lead if rows else (), (table,) if rows else (),
                   choices=("op", "backend", "device"))  # fmt: skip


def _keep_counted(artifact: Artifact) -> Artifact:
    return msgspec.structs.replace(
        artifact, results=[each for each in artifact.results if each.counts]
    )


def make_findings(runs: Sequence[Run]) -> Section:
    """Each finding of a sanitizer once, and the instructions that they are about, in the order of
    the code, with the findings below them."""
    told = [each for run in runs for each in gather_findings(run.artifact.results)]
    rows = [
        [
            each.finding.check,
            each.finding.output,
            each.finding.where,
            each.finding.found,
            each.finding.place,
            ", ".join(filter(None, each.orders)) or "-",
            str(len(each.cases)),
        ]
        for each in told
    ]
    columns = ("check", "kernel", "instruction", "what happened", "where first", "orders", "cases")
    tables = (Table("Findings of sanitizers", columns, rows),) if rows else ()
    return Section("findings", "Sanitizer findings", tables=tables, listings=_annotate(told))


def _annotate(told: Sequence[Told]) -> tuple[Listing, ...]:
    kernels: dict[str, dict[int, tuple[str, list[str]]]] = {}
    for each in told:
        finding = each.finding
        if found := _WHERE.fullmatch(finding.where):
            source = f"    ; {found['source']}" if found["source"] else ""
            code = f"{found['line']:>6}  {found['text']}{source}"
            lines = kernels.setdefault(finding.output, {})
            _, remarks = lines.setdefault(int(found["line"]), (code, []))
            remarks.append(f"        ^ {finding.check}: {finding.found}; {finding.place}")
    return tuple(
        Listing(f"{kernel}: the instructions at fault", tuple(_list_lines(lines)))
        for kernel, lines in kernels.items()
    )


def _list_lines(lines: dict[int, tuple[str, list[str]]]) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    last = None
    for number in sorted(lines):
        code, remarks = lines[number]
        if last is not None and number > last + _NEAR:
            found.append(("   ...", False))
        found += [(code, False), *((remark, True) for remark in remarks)]
        last = number
    return found


def make_graphs(runs: Sequence[Run]) -> Section:
    """The tables of runs that examined graphs."""
    tables = [
        table
        for run in runs
        if run.artifact.request.command == "graph"
        for table in list_graph_tables(run.artifact)
    ]
    return Section("graphs", "In a graph", tables=tuple(tables))


def make_profiles(runs: Sequence[Run]) -> Section:
    """The tables of runs that were profiled."""
    tables = [table for run in runs for table in list_artifact_tables(run.artifact)]
    return Section("profiles", "Profiles", tables=tuple(tables))
