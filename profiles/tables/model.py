"""Tables of a model: one an op over the ladder of tokens, with a time and a verdict a backend.

Cases that differ in more than their tokens are in tables of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rocmoe.ops.core.case import format_value
from rocmoe.ops.core.device import parse_device
from rocmoe.profiles.artifact import CACHES, Artifact, CaseRecord, Measurement, Result
from rocmoe.profiles.bench_report import COUNTED, describe_verdict, format_count, format_us
from rocmoe.profiles.measuring.measurement import find_ratio
from rocmoe.profiles.measuring.statistics import find_median
from rocmoe.profiles.measuring.timers import TIMERS
from rocmoe.profiles.suites import find_axis
from rocmoe.profiles.tables.table import Table

#: What a simulator counts beside the times of others.
COUNT = "instr/token"
#: What stands around a time whose measurement is not ok, and what that says.
MARKS: Mapping[str, tuple[str, str]] = {
    "invalid": ("({})", "(us): does not count, being faster than a floor or wrong after timing"),
    "throttled": ("{}*", "us*: the GPU was held back while it was taken"),
    "unverified": ("{}?", "us?: nothing proves that the caches were cold"),
}
#: What did not run at all: a column of it is told in a note.
IDLE = ("refused", "unavailable")

Taken = tuple[str, str] | None


@dataclass(frozen=True)
class _Column:
    """One implementation on one device: its results by token count."""

    label: str
    device: str
    results: Mapping[int, Result]

    @property
    def is_counted(self) -> bool:
        return parse_device(self.device).kind == "sim"

    @property
    def is_idle(self) -> bool:
        return all(result.status in IDLE for result in self.results.values())

    def headings(self) -> tuple[str, str]:
        return f"{self.label} {COUNT if self.is_counted else 'us'}", f"{self.label} err"

    def find(self, tokens: int, taken: Taken) -> Measurement | None:
        """What was taken by a timer in a cache state, of the whole; None where nothing was."""
        result = self.results.get(tokens)
        return next((each for each in _list_whole(result) if _is_of(each, taken)), None)

    def find_us(self, tokens: int, taken: Taken) -> float | None:
        """The median that counts: of what passed and is not invalid."""
        result, measurement = self.results.get(tokens), self.find(tokens, taken)
        if result is None or measurement is None or result.status != "pass":
            return None
        return None if measurement.status == "invalid" else find_median(measurement.samples_us)

    def tell(self, tokens: int, taken: Taken) -> tuple[str, str]:
        """The time or count, or why there is none, and the verdict beside it."""
        if (result := self.results.get(tokens)) is None:
            return "-", "-"
        if result.status != "pass":
            return result.status, "-"
        if self.is_counted:
            return format_count(result, COUNTED[COUNT]), describe_verdict(result)
        return _tell_us(self.find(tokens, taken)), describe_verdict(result)


def list_model_tables(artifact: Artifact) -> list[Table]:
    """A table an op, timer and cache state: of the timers that were asked for, else of the first of
    `TIMERS` that was used.

    Columns: the tokens; a time, or a count of a simulator, and a verdict a backend; the floors of
    the fastest that passed, which that is where there are several, and the share of the streaming
    floor that it reaches.  Rows are by tokens.
    """
    used = [timer for timer in TIMERS if any(each.timer == timer for each in _list_all(artifact))]
    shown = [timer for timer in used if timer in artifact.request.timers] or used[:1]
    tables = [
        table
        for group in group_families(artifact)
        for table in _list_tables(artifact, group, shown)
    ]
    if tables and (rest := [timer for timer in used if timer not in shown]):
        note = f"also measured, and in the artifact: {', '.join(rest)}; --timer makes their tables"
        tables[-1] = _add_note(tables[-1], note)
    return tables


def _add_note(table: Table, note: str) -> Table:
    return Table(table.title, table.columns, table.rows, table.summary, (*table.notes, note))


def _list_all(artifact: Artifact) -> Iterator[Measurement]:
    return (each for result in artifact.results for each in _list_whole(result))


def _list_whole(result: Result | None) -> list[Measurement]:
    """Measurements of no single stage of a pipeline."""
    taken = (result.measurements if result else None) or ()
    return [each for each in taken if not each.stage]


def _is_of(measurement: Measurement, taken: Taken) -> bool:
    return (measurement.timer, measurement.cache) == taken


def group_families(artifact: Artifact) -> list[list[Result]]:
    """Results whose cases differ in their tokens alone."""
    groups: dict[str, list[Result]] = {}
    for result in artifact.results:
        groups.setdefault(describe_family(result.case), []).append(result)
    return list(groups.values())


def describe_family(case: CaseRecord) -> str:
    """The op, and all of a case but its tokens."""
    axis = find_axis(case)
    words = [f"{name}={size}" for name, size in case.sizes.items() if name != axis]
    words += [case.dtype]
    words += [f"{name}={format_value(value)}" for name, value in case.params.items()]
    words += [case.pattern, case.layout, *([f"seed={case.seed}"] if case.seed else [])]
    return f"{case.op}: {' '.join(words)}"


def _list_tables(
    artifact: Artifact, group: Sequence[Result], timers: Sequence[str]
) -> Iterator[Table]:
    measured = {(each.timer, each.cache) for result in group for each in _list_whole(result)}
    ordered = [(timer, cache) for timer in timers for cache in CACHES]
    shown: list[Taken] = [each for each in ordered if each in measured]
    columns = _list_columns(group)
    for taken in shown or [None]:
        yield _make_table(artifact, group, columns, taken)


def _list_columns(group: Sequence[Result]) -> list[_Column]:
    axis = find_axis(group[0].case)
    found: dict[tuple[str, str], dict[int, Result]] = {}
    for result in group:
        key = result.selector, result.device
        found.setdefault(key, {})[result.case.sizes[axis]] = result
    several = len({device for _, device in found}) > 1
    return [
        _Column(f"{selector} {device}" if several else selector, device, results)
        for (selector, device), results in found.items()
    ]


def _make_table(
    artifact: Artifact, group: Sequence[Result], columns: Sequence[_Column], taken: Taken
) -> Table:
    axis = find_axis(group[0].case)
    ladder = sorted({result.case.sizes[axis] for result in group})
    shown = [each for each in columns if not each.is_idle] or list(columns)
    floors = _list_floor_columns(shown, ladder, taken)
    rows = [
        [
            str(tokens),
            *(cell for column in shown for cell in column.tell(tokens, taken)),
            *_tell_floors(shown, tokens, taken, floors),
        ]
        for tokens in ladder
    ]
    headings = [heading for column in shown for heading in column.headings()]
    notes = [
        *_explain_marks(shown, taken),
        *(_tell_idle(each) for each in columns if each not in shown),
        *_tell_missing(artifact, axis, ladder),
    ]
    title = f"{describe_family(group[0].case)}{_tell_taken(shown, taken)}"
    return Table(title, (axis, *headings, *floors), rows, notes=tuple(notes))


def _tell_taken(columns: Sequence[_Column], taken: Taken) -> str:
    if taken:
        return f"; {', '.join(taken)}"
    devices = {column.device for column in columns if column.is_counted}
    return f"; counts of {', '.join(sorted(devices))}" if devices else ""


def _list_floor_columns(
    columns: Sequence[_Column], ladder: Sequence[int], taken: Taken
) -> tuple[str, ...]:
    """None where there is no floor, as on a CPU; `fastest` where it is one of several."""
    found = [column.find(tokens, taken) for column in columns for tokens in ladder]
    if not any(each.floors for each in found if each):
        return ()
    timed = [column for column in columns if not column.is_counted]
    fastest = ("fastest",) if len(timed) > 1 else ()
    return ("stream us", "empty us", *fastest, "floor reached")


def _tell_floors(
    columns: Sequence[_Column], tokens: int, taken: Taken, names: Sequence[str]
) -> list[str]:
    """Beside the fastest that counts; where none does, the first floors that there are."""
    timed = [(us, n) for n, each in enumerate(columns) if (us := each.find_us(tokens, taken))]
    fastest = columns[min(timed)[1]] if timed else None
    measured = [each for column in columns if (each := column.find(tokens, taken)) and each.floors]
    beside = fastest.find(tokens, taken) if fastest else next(iter(measured), None)
    floors = beside.floors if beside else {}
    medians = {name: find_median(floor.samples_us) for name, floor in floors.items()}
    ratio = find_ratio(beside) if fastest and beside else None
    told = {
        "stream us": format_us(medians.get("stream")),
        "empty us": format_us(medians.get("empty")),
        "fastest": fastest.label if fastest else "-",
        "floor reached": f"{100.0 / ratio:.0f}%" if ratio else "-",
    }
    return [told[name] for name in names]


def _tell_us(measurement: Measurement | None) -> str:
    if measurement is None:
        return "-"
    if measurement.status == "refused":
        return measurement.status
    mark, _ = MARKS.get(measurement.status, ("{}", ""))
    return mark.format(format_us(find_median(measurement.samples_us)))


def _explain_marks(columns: Sequence[_Column], taken: Taken) -> list[str]:
    found = {
        measurement.status
        for column in columns
        for tokens, result in column.results.items()
        if result.status == "pass" and (measurement := column.find(tokens, taken))
    }
    return [words for status, (_, words) in MARKS.items() if status in found]


def _tell_idle(column: _Column) -> str:
    reasons = dict.fromkeys(
        f"{result.status}: {result.reason}" for result in column.results.values()
    )
    more = f" (and {len(reasons) - 1} more reason(s))" if len(reasons) > 1 else ""
    return f"{column.label}: {next(iter(reasons))}{more}"


def _tell_missing(artifact: Artifact, axis: str, ladder: Sequence[int]) -> list[str]:
    """The tokens at which other ops of the model ran, and this one had no case."""
    if not artifact.request.models:
        return []
    every = {result.case.sizes[find_axis(result.case)] for result in artifact.results}
    missing = ", ".join(map(str, sorted(every - set(ladder))))
    return [f"not run at {axis}={missing}"] if missing else []
