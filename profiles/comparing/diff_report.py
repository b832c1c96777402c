"""A comparison as people and their tools read it: table, Markdown, annotations of GitHub."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from rocmoe.profiles.bench_report import format_us
from rocmoe.profiles.comparing.comparability import DIMENSIONS
from rocmoe.profiles.comparing.diff import Diff
from rocmoe.profiles.comparing.diff_changes import Change
from rocmoe.profiles.github import (
    Annotation,
    add_to_summary,
    escape_markdown,
    fold,
    list_lines,
    make_commands,
    render_code,
)
from rocmoe.profiles.outcome import Exit

COLUMNS = ("verdict", "result", "device", "what", "base", "new", "change", "note")
Group = Literal["regression", "ambiguous", "improvement", "other", "unchanged"]
#: Worst first; what is unchanged is only counted.
GROUPS: tuple[Group, ...] = ("regression", "ambiguous", "improvement", "other", "unchanged")
#: Of more than one.
PLURALS = {"regression": "regressions", "improvement": "improvements", "other": "others"}
#: Rows that a group shows unless all are asked for.  A comment on a pull request holds 65536
#: characters, and a row some 300.
TOLD = 40


def choose_group(change: Change) -> Group:
    """What a change is told among."""
    if change.regression:
        return "regression"
    if change.verdict in ("FASTER", "FIXED", "BETTER"):
        return "improvement"
    if change.verdict in ("GONE", "FAILING", "NEW"):
        return "other"
    return "ambiguous" if change.verdict == "AMBIGUOUS" else "unchanged"


def group_changes(diff: Diff) -> dict[Group, list[Change]]:
    """The changes by group, each the worst first: wrong ones ahead, then the slowest."""
    ordered = sorted(
        diff.changes, key=lambda each: (DIMENSIONS.index(each.dimension), -_size(each))
    )
    return {
        group: [change for change in ordered if choose_group(change) == group] for group in GROUPS
    }


def _size(change: Change) -> float:
    """How far the ratio is from one: of times upwards, of what has no interval either way, as more
    occupancy is better; nothing is further than growth from zero."""
    if change.ratio is None or change.ratio <= 0.0:
        return math.inf if change.base != change.new else 0.0
    size = math.log(change.ratio)
    return size if change.dimension == "slower" else abs(size)


def list_rows(diff: Diff, *, every: bool = False) -> list[list[str]]:
    """Rows of `COLUMNS`, the worst first; with `every` those that are unchanged too."""
    groups = group_changes(diff)
    shown = GROUPS if every else GROUPS[:-1]
    return [
        describe_change(change)
        for group in shown
        for change in (groups[group] if every else groups[group][:TOLD])
    ]


def describe_change(change: Change) -> list[str]:
    """The cells of a row."""
    return [
        change.verdict,
        f"{change.case}@{change.backend}",
        change.device,
        change.what or change.dimension,
        _format_value(change, change.base),
        _format_value(change, change.new),
        _format_ratio(change),
        " ".join(change.note.split()),
    ]


def _format_value(change: Change, value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{format_us(value)} us" if change.dimension == "slower" else f"{value:.10g}"


def _format_ratio(change: Change) -> str:
    if change.ratio is None:
        return "-"
    told = f"{change.ratio - 1.0:+.1%}"
    if change.low is None or change.high is None:
        return told
    return f"{told} [{change.low - 1.0:+.1%}, {change.high - 1.0:+.1%}]"


def summarize(diff: Diff) -> str:
    """One line: the outcome, and how many changes of each kind there are."""
    groups = group_changes(diff)
    counted = [_count(len(groups[name]), name) for name in GROUPS if groups[name]]
    aside = sum(not diff.fails_on(each) for each in groups["regression"])
    asides = [f"{aside} of the regressions not among --fail-on"] if aside else []
    outcome = Exit(diff.exit)
    return f"{outcome.name.lower()} (exit {int(outcome)}): " + ", ".join(
        [*counted, *asides] or ["nothing was compared"]
    )


def _count(number: int, group: Group) -> str:
    return f"{number} {group if number == 1 else PLURALS.get(group, group)}"


def tell_notes(diff: Diff, *, every: bool = False) -> list[str]:
    """Lines behind the table: what else differs, what was not compared, what is not shown."""
    lines = [each.tell() for each in diff.differences]
    lines += [f"not compared: {line}" for line in diff.gaps]
    return [*lines, *([] if every else _tell_cut(diff))]


def tell_lines(diff: Diff, *, every: bool = False) -> list[str]:
    """All that is told behind the table, the outcome last."""
    missed = [f"inconclusive: {line}" for line in diff.inconclusive]
    notes = [*missed, *tell_notes(diff, every=every)]
    return [*notes, *([""] if notes else []), summarize(diff)]


def _tell_cut(diff: Diff) -> list[str]:
    cut = {name: len(changes) - TOLD for name, changes in group_changes(diff).items()}
    return [
        f"not shown without --all: {_count(number, name)}"
        for name, number in cut.items()
        if name != "unchanged" and number > 0
    ]


def render_markdown(diff: Diff, *, every: bool = False) -> str:
    """A comment for a pull request: the outcome, regressions, and the rest folded up."""
    groups = group_changes(diff)
    parts = [f"**rocmoe diff** {summarize(diff)}"]
    if diff.inconclusive:
        parts.append(list_lines(diff.inconclusive))
    for name in GROUPS if every else GROUPS[:-1]:
        if shown := groups[name] if every else groups[name][:TOLD]:
            title, table = _count(len(groups[name]), name), _render_table(shown)
            parts.append(table if name == "regression" else fold(title, table))
    if notes := tell_notes(diff, every=every):
        parts.append(fold(f"{len(notes)} note(s)", list_lines(notes)))
    return "\n\n".join(parts)


def _render_table(changes: Sequence[Change]) -> str:
    from tabulate import tabulate

    rows = []
    for change in changes:
        verdict, result, *cells = describe_change(change)
        rows.append([verdict, render_code(result), *map(escape_markdown, cells)])
    return str(tabulate(rows, COLUMNS, tablefmt="github", disable_numparse=True))


def annotate_diff(diff: Diff, summary: str | None = None) -> list[str]:
    """Commands for GitHub's runner: an error for what fails, a warning for what may.

    That is a regression that the gate leaves alone, and a time that only noise may have made slow.
    summary: the file that GitHub shows behind a step, which gets the Markdown.
    """
    add_to_summary(summary, render_markdown(diff))
    groups = group_changes(diff)
    errors = [Annotation("inconclusive", line) for line in diff.inconclusive]
    errors += [_annotate(each) for each in groups["regression"] if diff.fails_on(each)]
    warnings = [_annotate(each) for each in groups["regression"] if not diff.fails_on(each)]
    warnings += [_annotate(each) for each in groups["ambiguous"] if _looks_slow(each)]
    return [
        *make_commands("error", "rocmoe diff", errors),
        *make_commands("warning", "rocmoe diff", warnings),
    ]


def _looks_slow(change: Change) -> bool:
    return change.ratio is not None and change.ratio > 1.0 + (change.margin or 0.0)


def _annotate(change: Change) -> Annotation:
    verdict, result, device, what, base, new, ratio, note = describe_change(change)
    told = f"{result} on {device}, {what}: {base} -> {new}"
    told += f", {ratio}" if ratio != "-" else ""
    return Annotation(verdict, told + (f" ({note})" if note else ""))
