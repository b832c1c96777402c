"""How times went over several runs of one machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rocmoe.profiles.artifact import Measurement
from rocmoe.profiles.bench_report import format_us
from rocmoe.profiles.comparing.diff_times import judge_times, learn_noise
from rocmoe.profiles.measuring.measurement import find_fault
from rocmoe.profiles.measuring.statistics import find_median
from rocmoe.profiles.reporting.document import Figure, Section
from rocmoe.profiles.reporting.machine import describe_machine
from rocmoe.profiles.reporting.sources import Run
from rocmoe.profiles.tables.table import Table

Key = tuple[str, str, str, str, str]
#: More lines than this on a chart are not told apart.
MOST_LINES = 24


@dataclass(frozen=True)
class Course:
    """One thing's measurements by the number of the run, oldest first; at least two."""

    key: Key
    op: str
    taken: Mapping[int, Measurement]


def make_history(runs: Sequence[Run]) -> Section:
    """A table and a chart an op for each machine that several runs have timed the same on."""
    machines: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.artifact.created):
        machines.setdefault(describe_machine(run.artifact), []).append(run)
    tables: list[Table] = []
    figures: list[Figure] = []
    for machine, mine in machines.items():
        courses = list(_list_courses(mine)) if len(mine) > 1 else []
        if courses:
            tables.append(_tabulate(machine, mine, courses))
            figures += _draw(machine, mine, courses)
    lead = (
        "Times of the same case in several runs of one machine; the verdict is of the last against "
        "the first, by the rules of rocmoe diff.",
    )
    return Section("history", "History", lead if tables else (), tuple(tables), tuple(figures))


def _list_courses(runs: Sequence[Run]) -> Iterator[Course]:
    found: dict[Key, tuple[str, dict[int, Measurement]]] = {}
    for number, run in enumerate(runs):
        for result in run.artifact.results:
            for each in result.measurements or () if result.status == "pass" else ():
                if find_fault(each) is None:
                    key = (result.case.id, result.selector, each.timer, each.cache, each.stage)
                    found.setdefault(key, (result.case.op, {}))[1][number] = each
    return (Course(key, op, taken) for key, (op, taken) in found.items() if len(taken) > 1)


def _tabulate(machine: str, runs: Sequence[Run], courses: Sequence[Course]) -> Table:
    noise = learn_noise([run.artifact for run in runs])
    rows = []
    for course in courses:
        first, last = course.taken[min(course.taken)], course.taken[max(course.taken)]
        judged = judge_times(first, last, noise)
        ratio = judged.ratio
        case, backend, *rest = course.key
        times = (course.taken.get(number) for number in range(len(runs)))
        rows.append([
            case, backend, " ".join(filter(None, rest)),
            *(format_us(find_median(each.samples_us)) if each else "-" for each in times),
            f"{ratio.value - 1:+.1%} [{ratio.low - 1:+.1%}, {ratio.high - 1:+.1%}]",
            judged.word,
        ])  # fmt: skip
    names = [f"{run.name} {run.artifact.created[:10]} us" for run in runs]
    columns = ("case", "backend", "timer", *names, "last against first", "verdict")
    return Table(machine, columns, rows)


def _draw(machine: str, runs: Sequence[Run], courses: Sequence[Course]) -> list[Figure]:
    """A chart an op, each line against its first time; of many lines those that moved most."""
    groups: dict[str, list[Course]] = {}
    for course in courses:
        groups.setdefault(course.op, []).append(course)
    return [_draw_op(op, machine, runs, group) for op, group in groups.items()]


def _draw_op(op: str, machine: str, runs: Sequence[Run], group: Sequence[Course]) -> Figure:
    shown = sorted(group, key=lambda course: -_find_swing(course))[:MOST_LINES]
    names = [f"{run.artifact.created[:10]} {run.name}" for run in runs]
    traces = [_draw_course(course, names, n) for n, course in enumerate(shown)]
    layout: dict[str, Any] = {
        "xaxis": {"type": "category", "categoryarray": names, "categoryorder": "array"},
        "yaxis": {"title": {"text": "times as long as at first"}},
    }
    rows = [[t["name"], *(f"{y:.3f}" for y in t["y"])] for t in traces]
    width = max(len(row) for row in rows)
    table = Table("", ("line", *(f"{n}." for n in range(1, width))),
                  [[*row, *["-"] * (width - len(row))] for row in rows])  # fmt: skip
    left = len(group) - len(shown)
    notes = (f"{left} lines that moved less are left out",) if left else ()
    return Figure(f"{op} on {machine}", traces, layout, table, notes, wide=True)


def _draw_course(course: Course, names: Sequence[str], look: int) -> dict[str, Any]:
    numbers = sorted(course.taken)
    times = [find_median(course.taken[number].samples_us) or 0.0 for number in numbers]
    case, backend, *rest = course.key
    return {
        "type": "scatter", "mode": "lines+markers", "meta": {"look": look},
        "name": " ".join(filter(None, [case.partition(":")[2], backend, *rest])),
        "x": [names[number] for number in numbers], "y": [us / times[0] for us in times],
        "text": [f"{format_us(us)} us" for us in times],
        "hovertemplate": "%{x}: %{text}, %{y:.3f}<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def _find_swing(course: Course) -> float:
    times = [find_median(each.samples_us) or 0.0 for each in course.taken.values()]
    return max(times) / min(times)
