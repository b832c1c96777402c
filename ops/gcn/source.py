"""Lines of assembly text: comments cut off, quotes respected, an error that names its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rocmoe.ops.core.errors import RocmoeError

QUOTED = r'"(?:\\.|[^"\\])*"'
_COMMENT = re.compile(rf"{QUOTED}|(;|//)|(/\*)")
_TOKEN_END = re.compile(rf"{QUOTED}|[\[\](),]|\s+")


@dataclass(frozen=True)
class Line:
    """A line of a file, counted from one; `code` and `comment` carry no surrounding blanks."""

    file: str
    number: int
    code: str
    comment: str = ""

    def error(self, problem: str) -> RocmoeError:
        """What cannot be read here, as the one line a user sees."""
        return RocmoeError(f"{self.file}:{self.number}: {problem}: `{self.code}`")


def read_lines(text: str, file: str) -> Iterator[Line]:
    """The lines of a text that carry code.

    `;` and `//` start a comment, `/* */` may span lines, and a line whose first character is `#` is
    the preprocessor's. Raises RocmoeError for a block comment that does not end.
    """
    opened = 0
    for number, raw in enumerate(text.splitlines(), 1):
        if raw.startswith("#") and not opened:
            continue
        if opened:
            _, end, raw = raw.partition("*/")
            if not end:
                continue
            opened = 0
        code, comment, open_block = _cut_comments(raw)
        opened = number if open_block else 0
        if code:
            yield Line(file, number, code, comment)
    if opened:
        raise RocmoeError(f"{file}:{opened}: a comment starts here with /* and never ends")


def _cut_comments(raw: str) -> tuple[str, str, bool]:
    """Code, the comment after it, and whether a block comment goes on in the next line."""
    start = 0
    while found := _COMMENT.search(raw, start):
        start = found.end()
        if found[1]:
            return raw[: found.start()].strip(), raw[start:].strip(" ;/"), False
        if found[2]:
            end = raw.find("*/", start)
            if end < 0:
                return raw[: found.start()].strip(), "", True
            raw = f"{raw[: found.start()]} {raw[end + 2 :]}"
            start = found.start()
    return raw.strip(), "", False


def split_fields(text: str, line: Line) -> list[list[str]]:
    """Fields between commas, each a list of words between blanks, brackets and quotes kept whole.

    Blanks inside brackets are dropped, those around a colon too. Raises RocmoeError for a bracket
    that has no partner and for an empty field.
    """
    if not text:
        return []
    text = re.sub(rf"({QUOTED})|\s*:\s*", lambda found: found[1] or ":", text)
    fields: list[list[str]] = [[""]]
    depth = start = 0
    for found in _TOKEN_END.finditer(text):
        token, before = found[0], text[start : found.start()]
        start = found.end()
        fields[-1][-1] += before
        if token in "[(":
            depth += 1
        elif token in "])":
            depth -= 1
        if depth < 0:
            raise line.error(f"{token!r} closes nothing")
        if token == "," and not depth:
            fields.append([""])
        elif not token.isspace():
            fields[-1][-1] += token
        elif not depth:
            fields[-1].append("")
    fields[-1][-1] += text[start:]
    if depth:
        raise line.error("a bracket is not closed")
    split = [[word for word in field if word] for field in fields]
    if not all(split):
        raise line.error("nothing between two commas, or after the last one")
    return split


def split_list(text: str) -> list[str]:
    """The parts between the commas of a bracketed list that holds no brackets and no quotes."""
    return [part.strip() for part in text.split(",")] if text.strip() else []
