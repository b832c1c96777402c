"""Integer expressions of the assembler, and the constants that `.set` gives names to.

Precedence, from tight to loose, is the GNU one that LLVM's assembler uses: unary; * / % << >>;
| ^ &; + -. LLVM's AMDGPU backend adds max(), or(), alignto(), totalnumvgprs() and extrasgprs(),
which it writes into the resource symbols of a kernel that calls functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

NAME = r'(?:[A-Za-z_.$][\w.$]*|"[^"]+")'
_TOKEN = re.compile(
    rf"\s*(?:(0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)\b|({NAME})|(<<|>>|[-+*/%&|^~!(),]))"
)
_OPERATORS: tuple[Mapping[str, Callable[[int, int], int]], ...] = (
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"|": lambda a, b: a | b, "^": lambda a, b: a ^ b, "&": lambda a, b: a & b},
    {
        "*": lambda a, b: a * b,
        "/": lambda a, b: _divide(a, b),
        "%": lambda a, b: a - b * _divide(a, b),
        "<<": lambda a, b: a << b,
        ">>": lambda a, b: a >> b,
    },
)


class ExpressionError(ValueError):
    """An expression that is not one, or whose value is not known."""


class UnknownNameError(ExpressionError):
    """An expression that names something without a value."""


def _divide(a: int, b: int) -> int:
    """The quotient rounded towards zero, as C's."""
    if not b:
        raise ExpressionError("division by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _align(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _count_vgprs(agprs: int, vgprs: int) -> int:
    """The unified register file of gfx90a and later holds accumulators behind the others."""
    return _align(vgprs, 4) + agprs if agprs else vgprs


def _count_extra_sgprs(vcc: int, flat_scratch: int, xnack: int) -> int:
    return 6 if flat_scratch else 4 if xnack else 2 if vcc else 0


def _or(*values: int) -> int:
    result = 0
    for value in values:
        result |= value
    return result


_FUNCTIONS: Mapping[str, Callable[..., int]] = {
    "max": lambda *values: max(values),
    "or": _or,
    "alignto": _align,
    "totalnumvgprs": _count_vgprs,
    "extrasgprs": _count_extra_sgprs,
}


def parse_integer(text: str) -> int:
    """A literal: decimal, 0x, 0b, or octal behind a zero. Raises ExpressionError."""
    if text[:1] != "0" and text.isdecimal():
        return int(text)
    try:
        return int(text, 8 if re.fullmatch(r"0[0-7]+", text) else 0)
    except ValueError:
        raise ExpressionError(f"{text!r} is no number") from None


def find_names(text: str) -> tuple[str, ...]:
    """The names in an expression, in order, functions among them."""
    return tuple(name.strip('"') for name in re.findall(rf"(?<![\w.$]){NAME}", text))


@dataclass
class _Parser:
    """A position in the tokens of one expression."""

    text: str
    value_of: Callable[[str], int]
    tokens: list[tuple[str, str]] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        start, text = 0, self.text.rstrip()
        while start < len(text):
            found = _TOKEN.match(text, start)
            if not found:
                raise ExpressionError(f"{text[start:].strip()!r} is not part of an expression")
            number, name, sign = found.groups()
            kind = "number" if number else "name" if name else "sign"
            self.tokens.append((kind, number or name or sign))
            start = found.end()

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> tuple[str, str]:
        if self.at == len(self.tokens) or (wanted and self.peek() != wanted):
            raise ExpressionError(f"{self.text!r} wants {wanted or 'a value'}")
        self.at += 1
        return self.tokens[self.at - 1]

    def binary(self, level: int = 0) -> int:
        if level == len(_OPERATORS):
            return self.unary()
        value = self.binary(level + 1)
        while operate := _OPERATORS[level].get(self.peek()):
            self.take()
            value = operate(value, self.binary(level + 1))
        return value

    def unary(self) -> int:
        kind, token = self.take()
        if token == "(":
            value = self.binary()
            self.take(")")
            return value
        if token in ("-", "~", "!", "+"):
            value = self.unary()
            return {"-": -value, "~": ~value, "!": int(not value), "+": value}[token]
        if kind == "number":
            return parse_integer(token)
        if kind == "name" and self.peek() == "(":
            return self.call(token)
        if kind == "name":
            return self.value_of(token.strip('"'))
        raise ExpressionError(f"{self.text!r} has {token!r} where a value is wanted")

    def call(self, name: str) -> int:
        if name not in _FUNCTIONS:
            raise UnknownNameError(f"function {name}() is not known")
        self.take("(")
        arguments = [self.binary()]
        while self.peek() == ",":
            self.take()
            arguments.append(self.binary())
        self.take(")")
        try:
            return _FUNCTIONS[name](*arguments)
        except TypeError:
            raise ExpressionError(f"{name}() does not take {len(arguments)} arguments") from None


def evaluate(text: str, value_of: Callable[[str], int]) -> int:
    """The value of an expression; `value_of` gives that of a name, or raises UnknownNameError."""
    if text.isascii() and text.isdecimal():  # as nearly all are: the numbers of registers
        return parse_integer(text)
    parser = _Parser(text, value_of)
    value = parser.binary()
    if parser.at != len(parser.tokens):
        raise ExpressionError(f"{text!r} goes on after its end")
    return value


class Constants:
    """Names given by `.set`, `.equ` or `=`; one may be given again, as in a loop counter.

    A definition whose value is not known yet is kept and evaluated when it is asked for, since
    LLVM writes a caller's resource symbols before those of its callees.
    """

    def __init__(self) -> None:
        self._values: dict[str, int] = {}
        self._pending: dict[str, str] = {}

    def define(self, name: str, text: str) -> None:
        """Raises ExpressionError where the text is no expression."""
        try:
            value = evaluate(text, self.value_of)
        except UnknownNameError:
            self._values.pop(name, None)
            self._pending[name] = text
        else:
            self._pending.pop(name, None)
            self._values[name] = value

    def value_of(self, name: str) -> int:
        """Raises UnknownNameError where the name has no value, or one that leads back to itself."""
        if name in self._values:
            return self._values[name]
        if name not in self._pending:
            raise UnknownNameError(f"{name!r} has no value")
        text = self._pending.pop(name)
        try:
            return evaluate(text, self.value_of)
        finally:
            self._pending[name] = text

    def resolve(self) -> dict[str, int]:
        """Every name whose value is known, those defined by later ones among them."""
        for name in list(self._pending):
            try:
                self._values[name] = self.value_of(name)
            except UnknownNameError:
                continue
        return dict(self._values)
