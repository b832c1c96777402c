"""The YAML of `.amdgpu_metadata`: maps and lists by indentation, and one-line values.

Not YAML at large: anchors, tags, multi-line strings and multi-line brackets are refused.
"""

from __future__ import annotations

import re
from typing import Any

from rocmoe.ops.gcn.source import Line, split_list

_KEY = re.compile(r"""('[^']*'|"[^"]*"|[^\s:'"\[{&*!|>][^:]*?)\s*:(?:\s+(.*))?$""")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


def read_yaml(lines: list[Line]) -> Any:
    """The value of a block. `Line.code` keeps its indentation. Raises RocmoeError."""
    kept = [line for line in lines if line.code.strip() not in ("", "---", "...")]
    if not kept:
        return None
    reader = _Block(kept)
    value = reader.value(_indent(kept[0].code))
    if reader.at < len(kept):
        raise kept[reader.at].error("metadata is not indented as what it belongs to")
    return value


def _indent(code: str) -> int:
    return len(code) - len(code.lstrip(" "))


class _Block:
    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.at = 0

    def here(self, indent: int) -> str | None:
        """The line here without its indentation, or None where another block begins."""
        if self.at == len(self.lines) or _indent(self.lines[self.at].code) != indent:
            return None
        return self.lines[self.at].code.strip()

    def value(self, indent: int) -> Any:
        text = self.here(indent) or ""
        if text == "-" or text.startswith("- "):
            return self.sequence(indent)
        return self.mapping(indent)

    def sequence(self, indent: int) -> list[Any]:
        items = []
        while (text := self.here(indent)) is not None and (text == "-" or text.startswith("- ")):
            line = self.lines[self.at]
            rest = line.code[indent + 1 :]
            inner = indent + 1 + _indent(rest)
            if _KEY.match(rest.strip()) or rest.strip().startswith("- "):
                # The item's own first line is read as one of the block that it opens.
                self.lines[self.at] = Line(line.file, line.number, " " * inner + rest.strip())
                items.append(self.value(inner))
            elif rest.strip():
                items.append(_read_scalar(rest.strip(), line))
                self.at += 1
            else:
                items.append(self.nested(indent))
        return items

    def mapping(self, indent: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while (text := self.here(indent)) is not None and not text.startswith("- "):
            line = self.lines[self.at]
            found = _KEY.match(text)
            if not found:
                raise line.error("metadata wants KEY: VALUE")
            key = found[1].strip("'\"")
            if key in values:
                raise line.error(f"metadata gives {key} twice")
            if found[2]:
                values[key] = _read_scalar(found[2].strip(), line)
                self.at += 1
            else:
                values[key] = self.nested(indent)
        return values

    def nested(self, indent: int) -> Any:
        """The block below a key or a dash; a list may stand at its key's own indentation."""
        self.at += 1
        if self.at == len(self.lines):
            return None
        code = self.lines[self.at].code
        below = _indent(code)
        return self.value(below) if below > indent or self._opens_list(below, indent) else None

    def _opens_list(self, below: int, indent: int) -> bool:
        before = self.lines[self.at - 1].code.strip()
        text = self.lines[self.at].code.strip()
        return below == indent and text.startswith("-") and not before.startswith("-")


def _read_scalar(text: str, line: Line) -> Any:
    if found := re.fullmatch(r"\[(.*)\]|(\{\s*\})", text):
        return {} if found[2] else [_read_scalar(part, line) for part in split_list(found[1])]
    if found := re.fullmatch(r"'((?:[^']|'')*)'", text):
        return found[1].replace("''", "'")
    if found := re.fullmatch(r'"((?:[^"\\]|\\["\\])*)"', text):
        return re.sub(r"\\(.)", r"\1", found[1])
    if text in _WORDS:
        return _WORDS[text]
    if re.fullmatch(r"-?(0x[0-9a-fA-F]+|0|[1-9]\d*)", text):
        return int(text, 0)
    if text[0] in "&*!|>{['\"%@`":
        raise line.error("metadata value cannot be read")
    return text
