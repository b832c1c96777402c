"""A report as the Markdown of a pull request or comment: short, long tables folded.

The order is that of the pull requests whose tables `profiles/tables` repeats: what passed, before
and after, times by op, what they ran on, and how to run them again.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.github import escape_markdown, fold, list_lines
from rocmoe.profiles.reporting.cells import find_numeric
from rocmoe.profiles.reporting.document import Section
from rocmoe.profiles.reporting.posted import list_posted_tables
from rocmoe.profiles.reporting.report import Report
from rocmoe.profiles.reporting.sources import Sources
from rocmoe.profiles.tables.table import Table

#: Tables with more rows are folded.
MOST_ROWS = 16
#: Lines of what was not tested that are not folded.
MOST_GAPS = 8


@dataclass(frozen=True)
class Part:
    """A part of a post.  heading: in front of it, empty for none; a needed one is never left out.

    title: of what is folded, or left out.
    """

    heading: str
    title: str
    body: str
    folded: bool = False
    needed: bool = False

    def render(self) -> str:
        """Markdown of it, without its heading."""
        return fold(html.escape(self.title), self.body) if self.folded else self.body


def render_post(report: Report, sources: Sources, max_chars: int | None = None) -> str:
    """The Markdown, with a line feed at its end.

    max_chars: that it may have: the longest parts are left out until it does, with a line in place
    of each.  Raises `RocmoeError` where what is needed has more.
    """
    parts = list(_list_parts(report, sources))
    text = _join(parts)
    while max_chars is not None and len(text) > max_chars:
        spare = [n for n, part in enumerate(parts) if not part.needed]
        if not spare:
            raise RocmoeError(
                f"--max-chars {max_chars}: the summary alone has {len(text)} characters; "
                "give more, or fewer artifacts"
            )
        longest = max(spare, key=lambda n: len(parts[n].render()))
        parts[longest] = _leave_out(parts[longest])
        text = _join(parts)
    return text


def _leave_out(part: Part) -> Part:
    line = f"_Left out, {len(part.render())} characters: {escape_markdown(part.title)}._"
    return Part(part.heading, part.title, line, needed=True)


def _join(parts: Sequence[Part]) -> str:
    lines: list[str] = []
    heading = ""
    for part in parts:
        if part.heading and part.heading != heading:
            lines.append(f"### {part.heading}")
        heading = part.heading
        lines.append(part.render())
    return "\n\n".join(lines) + "\n"


def _list_parts(report: Report, sources: Sources) -> Iterator[Part]:
    head = report.headline
    rest = escape_markdown(" — ".join(filter(None, [head.cases, head.machines])))
    lines = [f"**{head.outcome}** — {rest}"] if head.outcome else []
    lines += [f"**Change** — {escape_markdown(head.change)}"] if head.change else []
    if lines:
        yield Part("", "", "\n\n".join(lines), needed=True)
    sections = {section.key: section for section in report.sections}
    yield from _list_section(sections.get("accuracy"), "Accuracy Tests")
    yield from _list_section(sections.get("serving"), "Serving Benchmark")
    yield from _list_section(sections.get("changes"), "Before and after", every=False)
    yield from _list_times(sources)
    yield from _list_tests(report)
    if environment := sections.get("environment"):
        yield Part("Environment", "Environment", render_table(environment.tables[0]),
                   len(environment.tables[0].rows) > MOST_ROWS)  # fmt: skip
    if commands := sections.get("reproduce"):
        code = "```sh\n" + "\n\n".join(commands.commands) + "\n```"
        yield Part("Reproduce", "Commands", code, code.count("\n") > MOST_ROWS)


def _list_section(section: Section | None, heading: str, *, every: bool = True) -> Iterator[Part]:
    """The lead as a list, and each table; not the unchanged ones unless `every`."""
    if section is None:
        return
    if section.lead:
        yield Part(heading, "notes", list_lines(section.lead), needed=len(section.lead) < MOST_GAPS)
    for table in section.tables:
        if every or table.title != "Unchanged":
            title = table.title or heading
            yield Part(heading, title, _head(table), len(table.rows) > MOST_ROWS * 2)


def _list_times(sources: Sources) -> Iterator[Part]:
    """A table a shape of each op and run; notes that several share are told below the last."""
    for run in sources.runs:
        for op, tables in list_posted_tables(run.artifact).items():
            shared = set(tables[0].notes).intersection(*(table.notes for table in tables))
            for table in tables:
                own = tuple(note for note in table.notes if note not in shared)
                plain = Table(table.title, table.columns, table.rows, table.summary, own)
                title = f"{table.title} ({len(table.rows)} rows)"
                yield Part(f"Benchmark: `{op}`", title, _head(plain), len(table.rows) > MOST_ROWS)
            if shared:
                told = [note for note in tables[0].notes if note in shared]
                yield Part(f"Benchmark: `{op}`", "notes", list_lines(told))


def _list_tests(report: Report) -> Iterator[Part]:
    tables = report.summary.tables
    for table in tables:
        rows = len(table.rows)
        yield Part("Tests", f"{table.title} ({rows} rows)", render_table(table), rows > MOST_ROWS,
                   needed=rows <= MOST_ROWS)  # fmt: skip
    if report.failures:
        # A fence longer than any in the text ends where it should.
        fence = "`" * max(3, 1 + max(line.count("`") for line in report.failures))
        code = "\n".join([fence, *report.failures, fence])
        yield Part("What went wrong", "What went wrong", code, len(report.failures) > MOST_ROWS)
    if report.gaps:
        told = list_lines(report.gaps)
        yield Part("Not tested", f"{len(report.gaps)} lines", told, len(report.gaps) > MOST_GAPS,
                   needed=True)  # fmt: skip


def _head(table: Table) -> str:
    """A table below its title, its summary and notes behind it."""
    title = [f"**{escape_markdown(table.title)}**"] if table.title else []
    notes = [list_lines((*table.summary, *table.notes))] if table.summary or table.notes else []
    return "\n\n".join([*title, render_table(table), *notes])


def render_table(table: Table) -> str:
    """A table in GitHub's Markdown, in which nothing of a cell is a mark.

    Cells are not padded: a comment holds 65536 characters, and blanks would be a third of them.
    """
    rule = ["--:" if numeric else "---" for numeric in find_numeric(table)]
    rows = [[escape_markdown(cell) for cell in row] for row in (table.columns, *table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))
