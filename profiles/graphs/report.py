"""A run of graphs as a table, with the reasons of what is not safe, and its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Artifact, Measurement, Result, Timer
from rocmoe.profiles.bench_report import HEADINGS, describe_shape, describe_verdict, format_us
from rocmoe.profiles.graphs.record import GraphRecord
from rocmoe.profiles.graphs.request import TIMERS
from rocmoe.profiles.measuring.statistics import find_median
from rocmoe.profiles.outcome import Exit, judge_run
from rocmoe.profiles.tables.table import Table

COLUMNS = (
    "op", "shape", "backend", "graph", "nodes", *(HEADINGS[timer] for timer in TIMERS), "trials",
    "judged",
)  # fmt: skip


def list_graph_tables(artifact: Artifact) -> list[Table]:
    """The one table; `RocmoeError` for an artifact of another command."""
    if artifact.request.command != "graph":
        raise RocmoeError(
            f"found an artifact of rocmoe {artifact.request.command}, wanted one of rocmoe graph"
        )
    rows = [_describe(artifact, result) for result in artifact.results]
    return [Table("", COLUMNS, rows, tuple(_tell_unsafe(artifact)), tuple(_tell_gaps(artifact)))]


def judge_graphs(artifact: Artifact) -> Exit:
    """As a validation; 1 also where a graph is not safe, 4 where the trials tell nothing of one."""
    outcome = judge_run(artifact)
    verdicts = {r.graph.verdict for r in artifact.results if r.graph is not None}
    if outcome is Exit.FAILED or verdicts - {"safe", "not tried"}:
        return Exit.FAILED
    return Exit.INCONCLUSIVE if "not tried" in verdicts else outcome


def _describe(artifact: Artifact, result: Result) -> list[str]:
    graph = result.graph
    return [
        result.case.op,
        describe_shape(artifact, result.case),
        result.selector,
        graph.verdict if graph else "-",
        _tell_nodes(graph.nodes) if graph and graph.nodes else "-",
        *(_tell_us(result, timer) for timer in TIMERS),
        _count_trials(graph) if graph else "-",
        describe_verdict(result),
    ]


def _tell_nodes(nodes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in nodes.items())


def _count_trials(graph: GraphRecord) -> str:
    """How many trials passed, of those that were tried."""
    tried = [trial for trial in graph.trials if trial.ok is not None]
    return f"{sum(bool(trial.ok) for trial in tried)}/{len(tried)}"


def _tell_us(result: Result, timer: Timer) -> str:
    """The median by a timer of the whole op; in brackets where it does not count."""
    mine = [each for each in result.measurements or () if each.timer == timer and not each.stage]
    return _tell_median(mine[0]) if mine else "-"


def _tell_median(measurement: Measurement) -> str:
    told = format_us(find_median(measurement.samples_us))
    return f"({told})" if measurement.status == "invalid" else told


def _tell_unsafe(artifact: Artifact) -> list[str]:
    return [
        f"{result.graph.verdict.upper()} {result.case.id}@{result.selector}: {result.graph.reason}"
        for result in artifact.results
        if result.graph is not None and result.graph.verdict != "safe"
    ]


def _tell_gaps(artifact: Artifact) -> list[str]:
    """What was not tried or read, alike ones counted; not what follows from what is told above."""
    found: Counter[str] = Counter()
    for result in artifact.results:
        graph = result.graph
        if graph is None or graph.verdict != "safe":
            continue
        found.update(f"{t.name}: {t.detail}" for t in graph.trials if t.ok is None)
        if graph.unread is not None:
            found[f"nodes: {graph.unread}"] += 1
    return [f"not tried: {words} ({count} result(s))" for words, count in found.items()]
