"""Every result of all runs, a row each, and one a cache state and stage where it was timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rocmoe.profiles.artifact import Result
from rocmoe.profiles.bench_report import list_columns, list_rows
from rocmoe.profiles.reporting.document import Section
from rocmoe.profiles.reporting.sources import Run
from rocmoe.profiles.tables.table import Table

#: What rows are chosen by.
CHOICES = ("run", "op", "backend", "device", "status", "cache", "measured")
_FIRST = ("status", "op", "shape", "backend", "error / limit")
_LAST = ("device", "run", "reason", "case", "launch")
_NOTHING = "-"


def make_results(runs: Sequence[Run]) -> Section:
    """One table of everything; columns that no row has anything in are left out."""
    rows = [row for run in runs for row in _list_rows(run)]
    found = dict.fromkeys(name for row in rows for name in row)
    middle = [name for name in found if name not in (*_FIRST, *_LAST, "judged")]
    names = [name for name in (*_FIRST, *middle, *_LAST) if _has(rows, name)]
    if len(runs) < 2:
        names = [name for name in names if name != "run"]
    cells = [[row.get(name, _NOTHING) for name in names] for row in rows]
    notes = (
        "floor us: a kernel that only moves the same bytes; x floor: how many times as long",
        "(us) does not count, being faster than a floor or wrong after timing",
        "error / limit: the worst error as a share of its limit, so that 1 is the line",
        "launch: the kernels that ran in the first call, with their launch parameters",
    )
    timed = "x floor" in names
    table = Table("Every result", tuple(names), cells, notes=notes if timed else notes[2:])
    choices = tuple(name for name in CHOICES if name in names)
    return Section("results", "Results", tables=(table,) if rows else (), choices=choices)


def _list_rows(run: Run) -> Iterator[dict[str, str]]:
    columns = ["launch" if each == "variant" else each for each in list_columns(run.artifact)]
    told = iter(list_rows(run.artifact))
    for result in run.artifact.results:
        for _ in range(_count_rows(result)):
            yield {
                "run": run.name,
                **_describe(result),
                **dict(zip(columns, next(told), strict=True)),
            }


def _count_rows(result: Result) -> int:
    """As many as `list_rows` has of it."""
    taken = {(each.stage, each.cache) for each in result.measurements or ()}
    return len(taken) or 1


def _describe(result: Result) -> dict[str, str]:
    ratio = result.error_ratio
    return {
        "device": result.device,
        "status": result.status,
        "error / limit": _NOTHING if ratio is None else f"{ratio:.3g}",
        "reason": result.reason or _NOTHING,
        "case": result.case.id,
    }


def _has(rows: Sequence[dict[str, str]], name: str) -> bool:
    return any(row.get(name, _NOTHING) not in ("", _NOTHING) for row in rows)
