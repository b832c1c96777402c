"""Straight-line programs of elementwise operations: their Triton source and their value in NumPy.

Every value has a type of its own and every operation is exact or correctly rounded, so results
are compared bit by bit (-0 and +0, and all NaNs, being one); a closing function may be given slack.
Undefined operations are kept from happening: shifts are masked, divisors are positive, floats are
brought into range before they become integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .rig import FLOATS, INTEGERS, TYPES, Type, fit

Values = np.ndarray
F32 = TYPES["float32"]
I32, I64, U32, U64 = (TYPES[name] for name in ("int32", "int64", "uint32", "uint64"))
CASTS = (*INTEGERS, *FLOATS)


@dataclass(frozen=True)
class Operator:
    """text: of the operands {0}, {1}, {2}. compute: of arrays of one type to one of that type."""

    text: str
    compute: Callable[..., Values]
    arity: int
    kinds: tuple[Type, ...]


def _limits(kind: Values) -> Any:
    return np.iinfo(kind.dtype)


def _shift_count(b: Values) -> Values:
    return b & b.dtype.type(b.dtype.itemsize * 8 - 1)


def _divisor(b: Values) -> Values:
    return (b & b.dtype.type(_limits(b).max)) | b.dtype.type(1)


def _quotient(a: Values, b: Values) -> Values:
    """Towards zero, as C and Triton have it; b is positive."""
    quotient = a // b
    return quotient + ((quotient * b != a) & (a < 0)).astype(a.dtype)


def _remainder(a: Values, b: Values) -> Values:
    return a - _quotient(a, b) * b


def _by_constant(constant: int) -> tuple[Callable[[Values], Values], Callable[[Values], Values]]:
    def divide(a: Values) -> Values:
        return _quotient(a, np.full_like(a, constant))

    def modulo(a: Values) -> Values:
        return _remainder(a, np.full_like(a, constant))

    return divide, modulo


def _high_product(a: Values, b: Values) -> Values:
    bits = a.dtype.itemsize * 8
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    wide = a.view(unsigned).astype(object) * b.view(unsigned).astype(object)
    return np.array([int(x) >> bits for x in wide], unsigned).view(a.dtype)


def _lesser(a: Values, b: Values) -> Values:
    return np.fmin(a, b)


def _greater(a: Values, b: Values) -> Values:
    return np.fmax(a, b)


def _count_leading(a: Values) -> Values:
    bits = a.dtype.itemsize * 8
    mask = (1 << bits) - 1
    return np.array([bits - (int(x) & mask).bit_length() for x in a], a.dtype)


def _count_ones(a: Values) -> Values:
    mask = (1 << (a.dtype.itemsize * 8)) - 1
    return np.array([(int(x) & mask).bit_count() for x in a], a.dtype)


def _fused(a: Values, b: Values, c: Values) -> Values:
    """Of f32: the product is exact in f64, and the sum of it is rounded to odd."""
    product = a.astype(np.float64) * b.astype(np.float64)
    with np.errstate(all="ignore"):
        total = product + c
        # What was lost (two-sum); it decides ties of the second rounding.
        part = total - product
        lost = (product - (total - part)) + (c - part)
        odd = (total.view(np.int64) & 1) == 1
        inexact = np.isfinite(total) & (lost != 0) & ~odd
        towards = np.where(lost > 0, np.inf, -np.inf)
        total = np.where(inexact, np.nextafter(total, towards), total)
    return total.astype(np.float32)


_I = INTEGERS
_F = FLOATS
_WIDE = tuple(kind for kind in INTEGERS if kind.bits >= 32)
_SIGNED = tuple(kind for kind in INTEGERS if kind.is_signed)
_F32_UP = (TYPES["float32"], TYPES["float64"])


def _constants() -> list[Operator]:
    made = []
    for constant in (3, 7, 10, 64, 127):
        divide, modulo = _by_constant(constant)
        made += [
            Operator(f"{{0}} // {constant}", divide, 1, _I),
            Operator(f"{{0}} % {constant}", modulo, 1, _I),
        ]
    for constant in (641, 1000003):
        divide, modulo = _by_constant(constant)
        made += [
            Operator(f"{{0}} // {constant}", divide, 1, _WIDE),
            Operator(f"{{0}} % {constant}", modulo, 1, _WIDE),
        ]
    return made


OPERATORS = (
    Operator("{0} + {1}", lambda a, b: a + b, 2, _I + _F),
    Operator("{0} - {1}", lambda a, b: a - b, 2, _I + _F),
    Operator("{0} * {1}", lambda a, b: a * b, 2, _I + _F),
    Operator("-{0}", lambda a: -a, 1, _SIGNED + _F),
    Operator("tl.minimum({0}, {1})", _lesser, 2, _I + _F),
    Operator("tl.maximum({0}, {1})", _greater, 2, _I + _F),
    Operator("tl.where({0} < {1}, {1}, {2})", lambda a, b, c: np.where(a < b, b, c), 3, _I + _F),
    Operator("tl.where({0} >= {1}, {2}, {0})", lambda a, b, c: np.where(a >= b, c, a), 3, _I + _F),
    Operator("tl.where({0} == {1}, {0}, {2})", lambda a, b, c: np.where(a == b, a, c), 3, _I + _F),
    Operator(
        "tl.where(({0} != {1}) & ({1} <= {2}), {2}, {1})",
        lambda a, b, c: np.where((a != b) & (b <= c), c, b),
        3,
        _I + _F,
    ),
    Operator("tl.abs({0})", lambda a: np.abs(a), 1, _SIGNED + _F),
    Operator("{0} & {1}", lambda a, b: a & b, 2, _I),
    Operator("{0} | {1}", lambda a, b: a | b, 2, _I),
    Operator("{0} ^ {1}", lambda a, b: a ^ b, 2, _I),
    Operator("~{0}", lambda a: ~a, 1, _I),
    Operator("({0} & {1}) | (~{0} & {2})", lambda a, b, c: (a & b) | (~a & c), 3, _I),
    Operator("{0} << COUNT({1})", lambda a, b: a << _shift_count(b), 2, _I),
    Operator("{0} >> COUNT({1})", lambda a, b: a >> _shift_count(b), 2, _I),
    Operator("{0} << 3", lambda a: a << a.dtype.type(3), 1, _I),
    Operator("({0} << 2) + {1}", lambda a, b: (a << a.dtype.type(2)) + b, 2, _I),
    Operator("({0} >> 1) & 31", lambda a: (a >> a.dtype.type(1)) & a.dtype.type(31), 1, _I),
    Operator("{0} // DIVISOR({1})", lambda a, b: _quotient(a, _divisor(b)), 2, _I),
    Operator("{0} % DIVISOR({1})", lambda a, b: _remainder(a, _divisor(b)), 2, _I),
    *_constants(),
    Operator("tl.umulhi({0}, {1})", _high_product, 2, _WIDE),
    Operator("libdevice.clz({0})", _count_leading, 1, (I32, I64)),
    Operator("libdevice.popc({0}).to({0}.dtype)", _count_ones, 1, (I32, I64)),
    Operator(
        "tl.minimum(tl.maximum({0}, {1}), {2})",
        lambda a, b, c: _lesser(_greater(a, b), c),
        3,
        _I + _F,
    ),
    Operator("tl.floor({0})", np.floor, 1, _F32_UP),
    Operator("tl.ceil({0})", np.ceil, 1, _F32_UP),
    Operator("libdevice.trunc({0})", np.trunc, 1, _F32_UP),
    Operator("libdevice.rint({0})", np.rint, 1, _F32_UP),
    Operator("libdevice.copysign({0}, {1})", np.copysign, 2, _F32_UP),
    Operator("tl.div_rn({0}, {1})", lambda a, b: a / b, 2, (F32,)),
    Operator("{0} / {1}", lambda a, b: a / b, 2, (TYPES["float64"],)),
    Operator("tl.sqrt_rn({0})", np.sqrt, 1, (F32,)),
    Operator("tl.fma({0}, {1}, {2})", _fused, 3, (F32,)),
)
BY_TYPE = {kind.name: tuple(each for each in OPERATORS if kind in each.kinds) for kind in CASTS}


@dataclass(frozen=True)
class Function:
    """A function that hardware approximates. ulp: of the type of its operand; kinds: which it has.

    exact: in f64, of f64 values.
    """

    text: str
    exact: Callable[[Values], Values]
    ulp: float
    kinds: tuple[Type, ...] = (F32,)


class Expression:
    """A program. inputs: types of the arrays loaded; lines: statements; kinds: of v0, v1, ...

    computes: a function of all values so far for each line.
    """

    def __init__(self, inputs: tuple[Type, ...]) -> None:
        self.inputs = inputs
        self.lines: list[str] = []
        self.kinds = list(inputs)
        self.computes: list[Callable[[list[Values]], Values]] = []

    def add(self, kind: Type, text: str, compute: Callable[[list[Values]], Values]) -> int:
        self.lines.append(f"v{len(self.kinds)} = {text}")
        self.kinds.append(kind)
        self.computes.append(compute)
        return len(self.kinds) - 1

    def evaluate(self, inputs: list[Values]) -> list[Values]:
        values = list(inputs)
        with np.errstate(all="ignore"):
            for kind, compute in zip(self.kinds[len(self.inputs) :], self.computes, strict=True):
                values.append(fit(compute(values), kind))
        return values

    def __repr__(self) -> str:
        given = ", ".join(kind.name for kind in self.inputs)
        return f"({given}) -> " + "; ".join(self.lines)


@st.composite
def expressions(draw: Any) -> Expression:
    """Three to nine operations on one to three inputs; the last values are stored."""
    inputs = tuple(draw(st.lists(st.sampled_from(CASTS), min_size=1, max_size=3)))
    made = Expression(inputs)
    for _ in range(draw(st.integers(3, 9))):
        _STEPS[draw(st.sampled_from((0, 0, 0, 1, 2)))](draw, made)
    return made


def _add_operation(draw: Any, made: Expression) -> None:
    kind = draw(st.sampled_from(made.kinds))
    operator = draw(st.sampled_from(BY_TYPE[kind.name]))
    alike = [at for at, each in enumerate(made.kinds) if each is kind]
    # Recent values are likelier, or most of the program is dead code.
    operands = [draw(st.sampled_from(alike[-3:])) for _ in range(operator.arity)]
    text = operator.text.format(*(f"v{at}" for at in operands))
    text = text.replace("COUNT(", f"count({kind.bits}, ")
    if "DIVISOR(" in text:
        text = text.replace("DIVISOR(", f"divisor({_top(kind)}, ")
    made.add(kind, text, lambda values: operator.compute(*(values[at] for at in operands)))


def _top(kind: Type) -> int:
    return int(np.iinfo(kind.numpy).max)


def _add_cast(draw: Any, made: Expression) -> None:
    at = draw(st.integers(max(0, len(made.kinds) - 3), len(made.kinds) - 1))
    source, kind = made.kinds[at], draw(st.sampled_from(CASTS))
    if source.is_float and not kind.is_float:
        limit = min(2.0 ** (kind.bits - 1) * 0.99, 2.0**62)
        limit = 60000.0 if source.bits == 16 and source.is_exact and limit > 6e4 else limit
        limit = float(fit(np.array([limit * 0.98]), source)[0])
        low = -limit if kind.is_signed else 0.0
        text = f"bring({low}, {limit}, v{at}).to(tl.{kind.name})"
        made.add(kind, text, lambda values: _truncate(values[at], low, limit, kind))
    else:
        made.add(kind, f"v{at}.to(tl.{kind.name})", lambda values: cast(values[at], source, kind))


def _truncate(values: Values, low: float, high: float, kind: Type) -> Values:
    return np.trunc(np.clip(np.where(np.isnan(values), 0, values), low, high)).astype(kind.numpy)


def cast(values: Values, source: Type, kind: Type) -> Values:
    """As Triton for AMD does it: integers become halves by way of f32."""
    if kind.is_float and kind.bits == 16 and not source.is_float:
        values = values.astype(np.float32)
    if kind.is_float and kind.bits == 16 and source.bits == 64 and kind.name == "bfloat16":
        values = values.astype(np.float32)
    return values.astype(kind.numpy)


def _add_bitcast(draw: Any, made: Expression) -> None:
    at = draw(st.integers(max(0, len(made.kinds) - 3), len(made.kinds) - 1))
    source = made.kinds[at]
    # NaNs have no one encoding: floats do not become integers here.
    kinds = [kind for kind in CASTS if kind.bits == source.bits and not source.is_float]
    if not kinds:
        _add_operation(draw, made)
        return
    kind = draw(st.sampled_from(kinds))
    text = f"v{at}.to(tl.{kind.name}, bitcast=True)"
    made.add(kind, text, lambda values: reinterpret(values[at], kind))


def reinterpret(bits: Values, kind: Type) -> Values:
    if kind.is_exact:
        return bits.view(kind.numpy)
    return (bits.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


_STEPS = (_add_operation, _add_cast, _add_bitcast)


SOURCE = """\
import triton
import triton.language as tl
from triton.language.extra import libdevice


@triton.jit
def count(BITS: tl.constexpr, x):
    return x & (BITS - 1)


@triton.jit
def divisor(TOP: tl.constexpr, x):
    return (x & TOP) | 1


@triton.jit
def bring(LOW: tl.constexpr, HIGH: tl.constexpr, x):
    x = tl.where(x == x, x, 0.0)
    return tl.where(x < LOW, LOW, tl.where(x > HIGH, HIGH, x)).to(x.dtype)


@triton.jit
def kernel({parameters}, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
{body}
"""


def write_kernel(made: Expression, stored: list[int]) -> str:
    """The source of a module whose `kernel` stores some of the values."""
    loads = [f"v{i} = tl.load(x{i} + at, mask=inside, other=1)" for i in range(len(made.inputs))]
    stores = [f"tl.store(y{i} + at, v{i}, mask=inside)" for i in stored]
    names = [f"x{i}" for i in range(len(made.inputs))] + [f"y{i}" for i in stored]
    body = "\n".join(f"    {line}" for line in [*loads, *made.lines, *stores])
    return SOURCE.format(parameters=", ".join(names), body=body)
