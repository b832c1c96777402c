"""What GitHub's runner reads: annotations as commands on stderr, Markdown behind a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: GitHub shows ten annotations of a level in a step; the last one here counts the rest.
ANNOTATIONS = 9


@dataclass(frozen=True)
class Annotation:
    """A line on a change's page.  file: of the repository, that it is shown beside, if there is
    one."""

    title: str
    message: str
    file: str = ""


def make_commands(level: str, source: str, told: Sequence[Annotation]) -> Iterator[str]:
    """A command of GitHub's runner for each annotation, and one that counts what it would not show.

    level: error, warning or notice.  source: the command that tells, ahead of each title.  The
    escapes are those of `actions/toolkit`, packages/core/src/command.ts.
    """
    rest = len(told) - ANNOTATIONS
    more = [Annotation("more", f"{rest} more of this level")] if rest > 0 else []
    for each in [*told[:ANNOTATIONS], *more]:
        properties = f"file={escape_property(each.file)}," if each.file else ""
        title = escape_property(f"{source}: {each.title}")
        yield f"::{level} {properties}title={title}::{escape_data(each.message)}"


def add_to_summary(summary: str | None, markdown: str) -> None:
    """Add to the file that GitHub shows behind a step, where there is one; raises `OSError`."""
    if summary:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(markdown + "\n")


def escape_data(text: str) -> str:
    """The message of a command: in one line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """A property of a command, in which marks of the command have a meaning."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def fold(title: str, content: str) -> str:
    """Markdown that is folded up under a title."""
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def list_lines(lines: Sequence[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {escape_markdown(line)}" for line in lines)


def escape_markdown(text: str) -> str:
    """One line in which nothing is a mark of Markdown or HTML, and nothing calls a user."""
    line = " ".join(text.split())
    for mark in "\\`*_<>|[]#~":
        line = line.replace(mark, f"\\{mark}")
    return line.replace("@", "@\u200b")


def render_code(text: str) -> str:
    """A cell of a table as code, since `@name` would call a user of that name."""
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"
