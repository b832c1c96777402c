"""Scalar arithmetic, logic and shifts (SOP2), and SOPK's arithmetic, with their SCC."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import declare
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.words import (
    Array,
    add_with_carry,
    extract_field,
    field_mask,
    shift_left,
    shift_right,
    subtract_with_borrow,
)

LOGIC: dict[str, Callable[[Array, Array], Array]] = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "andn2": lambda a, b: a & ~b,
    "orn2": lambda a, b: a | ~b,
    "nand": lambda a, b: ~(a & b),
    "nor": lambda a, b: ~(a | b),
    "xnor": lambda a, b: ~(a ^ b),
}


def with_nonzero(value: Array) -> tuple[Array, Array]:
    """A result and the SCC that most scalar operations set."""
    return value, value != 0


def _add_signed(left: Array, right: Array) -> tuple[Array, Array]:
    total = left + right
    return total, ((left ^ total) & (right ^ total)) < 0


def _subtract_signed(left: Array, right: Array) -> tuple[Array, Array]:
    difference = left - right
    return difference, ((left ^ right) & (left ^ difference)) < 0


def _shift_add(bits: int) -> Callable[[Array, Array], tuple[Array, Array]]:
    def compute(left: Array, right: Array) -> tuple[Array, Array]:
        total = (left.astype(np.uint64) << np.uint64(bits)) + right
        return total, total > np.uint64(0xFFFFFFFF)

    return compute


def _pick(condition: Array, left: Array, right: Array) -> tuple[Array, Array]:
    return np.where(condition, left, right), condition


def _absolute_difference(left: Array, right: Array) -> tuple[Array, Array]:
    difference = left - right
    return with_nonzero(np.where(difference < 0, -difference, difference))


def _packed_field(word: Array, control: Array) -> tuple[Array, Array]:
    """Offset in the control's low bits, size in bits 22:16."""
    return with_nonzero(extract_field(word, control, (control >> np.uint32(16)) & np.uint32(0x7F)))


def _field_of_ones(kind: type[np.unsignedinteger]) -> Callable[[Array, Array], Array]:
    def compute(size: Array, offset: Array) -> Array:
        like = np.zeros(1, kind)
        bits = np.uint32(like.itemsize * 8 - 1)
        return shift_left(field_mask(size & bits, like), offset)

    return compute


def _pack(low_from: int, high_from: int) -> Callable[[Array, Array], Array]:
    def compute(left: Array, right: Array) -> Array:
        low = (left >> np.uint32(low_from)) & np.uint32(0xFFFF)
        return low | ((right >> np.uint32(high_from)) << np.uint32(16))

    return compute


def _declare_arithmetic() -> Iterator[Operation]:
    yield declare("s_add_u32", "u32 u32", "u32 bool", add_with_carry, "SOP2")
    yield declare("s_addc_u32", "u32 u32 bool", "u32 bool", add_with_carry, "SOP2")
    yield declare("s_sub_u32", "u32 u32", "u32 bool", subtract_with_borrow, "SOP2")
    yield declare("s_subb_u32", "u32 u32 bool", "u32 bool", subtract_with_borrow, "SOP2")
    yield declare("s_add_i32", "i32 i32", "i32 bool", _add_signed, "SOP2")
    yield declare("s_sub_i32", "i32 i32", "i32 bool", _subtract_signed, "SOP2")
    for kind in ("i32", "u32"):
        pair, flagged = f"{kind} {kind}", f"{kind} bool"
        yield declare(f"s_min_{kind}", pair, flagged, lambda a, b: _pick(a < b, a, b), "SOP2")
        yield declare(f"s_max_{kind}", pair, flagged, lambda a, b: _pick(a >= b, a, b), "SOP2")
    yield declare("s_absdiff_i32", "i32 i32", "i32 bool", _absolute_difference, "SOP2")
    yield declare("s_mul_i32", "i32 i32", "i32", lambda a, b: a * b, "SOP2")
    for kind, wide in (("u32", np.uint64), ("i32", np.int64)):
        yield declare(
            f"s_mul_hi_{kind}",
            f"{kind} {kind}",
            kind,
            lambda a, b, wide=wide: (a.astype(wide) * b) >> wide(32),
            "SOP2",
        )
    for bits in (1, 2, 3, 4):
        yield declare(f"s_lshl{bits}_add_u32", "u32 u32", "u32 bool", _shift_add(bits), "SOP2")
    # The 16-bit constant is first: the old destination follows the sources of the assembly.
    yield declare(
        "s_addk_i32", "i16 i32", "i32 bool", lambda k, d: _add_signed(d, k.astype(np.int32)), "SOPK"
    )
    yield declare("s_mulk_i32", "i16 i32", "i32", lambda k, d: d * k, "SOPK")


def _declare_logic() -> Iterator[Operation]:
    for name, logic in LOGIC.items():
        for bits in (32, 64):
            kind = f"u{bits}"
            yield declare(
                f"s_{name}_b{bits}",
                f"{kind} {kind}",
                f"{kind} bool",
                lambda a, b, logic=logic: with_nonzero(logic(a, b)),
                "SOP2",
            )
    for bits in (32, 64):
        kind = f"u{bits}"
        yield declare(
            f"s_cselect_b{bits}",
            f"{kind} {kind} bool",
            kind,
            lambda a, b, scc: np.where(scc, a, b),
            "SOP2",
        )
    halves = {"ll": (0, 0), "lh": (0, 16), "hh": (16, 16)}
    for name, (low, high) in halves.items():
        yield declare(f"s_pack_{name}_b32_b16", "u32 u32", "u32", _pack(low, high), "SOP2")


def _declare_shifts() -> Iterator[Operation]:
    def left(word: Array, count: Array) -> tuple[Array, Array]:
        return with_nonzero(shift_left(word, count))

    def right(word: Array, count: Array) -> tuple[Array, Array]:
        return with_nonzero(shift_right(word, count))

    for bits, kind in ((32, np.uint32), (64, np.uint64)):
        unsigned, signed = f"u{bits}", f"i{bits}"
        shifts = {
            f"s_lshl_b{bits}": (unsigned, left),
            f"s_lshr_b{bits}": (unsigned, right),
            f"s_ashr_i{bits}": (signed, right),
            f"s_bfe_u{bits}": (unsigned, _packed_field),
            f"s_bfe_i{bits}": (signed, _packed_field),
        }
        for name, (word, function) in shifts.items():
            yield declare(name, f"{word} u32", f"{word} bool", function, "SOP2")
        yield declare(f"s_bfm_b{bits}", "u32 u32", unsigned, _field_of_ones(kind), "SOP2")


OPERATIONS = table(*_declare_arithmetic(), *_declare_logic(), *_declare_shifts())
