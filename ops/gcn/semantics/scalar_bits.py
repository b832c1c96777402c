"""Scalar operations of one source (SOP1, SOPK moves): moves, bit counts, quads, EXEC."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rocmoe.ops.gcn.semantics.declaration import declare
from rocmoe.ops.gcn.semantics.operation import Operation, table
from rocmoe.ops.gcn.semantics.scalar import LOGIC, with_nonzero
from rocmoe.ops.gcn.semantics.words import (
    Array,
    count_ones,
    find_first_one,
    find_last_one,
    reverse_bits,
    shift_left,
    width,
)

EXEC_LOGIC: dict[str, Callable[[Array, Array], Array]] = {
    **LOGIC,
    "andn1": lambda source, mask: ~source & mask,
    "orn1": lambda source, mask: ~source | mask,
}


def _mark_quads(word: Array) -> Array:
    """Bit 4i set where any of bits 4i to 4i+3 is."""
    kind = word.dtype.type
    pairs = word | (word >> kind(1))
    return (pairs | (pairs >> kind(2))) & kind(int("1" * (width(word) // 4), 16))


def _fill_quads(word: Array) -> tuple[Array, Array]:
    return with_nonzero(_mark_quads(word) * word.dtype.type(15))


def _gather_quads(word: Array) -> tuple[Array, Array]:
    marks, kind = _mark_quads(word), word.dtype.type
    gathered = np.zeros_like(word)
    for quad in range(width(word) // 4):
        gathered |= (marks >> kind(3 * quad)) & kind(1 << quad)
    return with_nonzero(gathered)


def _double_bits(word: Array) -> Array:
    spread = word.astype(np.uint64)
    for step, pattern in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << np.uint64(step))) & np.uint64(pattern)
    return spread | (spread << np.uint64(1))


def _one_at(index: Array, word: Array) -> Array:
    return shift_left(np.ones(1, word.dtype), index)


def _find_last_change(word: Array) -> Array:
    """The distance from the top of the first bit that differs from the sign, or -1."""
    unsigned = np.dtype(f"u{word.dtype.itemsize}")
    return find_last_one((word ^ (word >> word.dtype.type(width(word) - 1))).astype(unsigned))


def _absolute(value: Array) -> tuple[Array, Array]:
    return with_nonzero(np.where(value < 0, -value, value))


def _declare_moves() -> Iterator[Operation]:
    for bits in (32, 64):
        kind = f"u{bits}"
        yield declare(f"s_mov_b{bits}", kind, kind, np.copy, "SOP1")
        yield declare(
            f"s_cmov_b{bits}",
            f"{kind} {kind} bool",
            kind,
            lambda source, old, scc: np.where(scc, source, old),
            "SOP1",
        )
    yield declare("s_movk_i32", "i16", "i32", np.copy, "SOPK")
    yield declare(
        "s_cmovk_i32",
        "i16 i32 bool",
        "i32",
        lambda constant, old, scc: np.where(scc, constant, old),
        "SOPK",
    )
    yield declare("s_sext_i32_i8", "i8", "i32", np.copy, "SOP1")
    yield declare("s_sext_i32_i16", "i16", "i32", np.copy, "SOP1")
    yield declare("s_abs_i32", "i32", "i32 bool", _absolute, "SOP1")


def _declare_bits() -> Iterator[Operation]:
    for bits in (32, 64):
        word, name = f"u{bits}", f"b{bits}"
        flagged = f"{word} bool"
        yield declare(f"s_not_{name}", word, flagged, lambda a: with_nonzero(~a), "SOP1")
        yield declare(f"s_wqm_{name}", word, flagged, _fill_quads, "SOP1")
        yield declare(f"s_quadmask_{name}", word, flagged, _gather_quads, "SOP1")
        yield declare(f"s_brev_{name}", word, word, reverse_bits, "SOP1")
        counts = {
            "s_bcnt0_i32": lambda a: with_nonzero(count_ones(~a)),
            "s_bcnt1_i32": lambda a: with_nonzero(count_ones(a)),
        }
        for stem, function in counts.items():
            yield declare(f"{stem}_{name}", word, "i32 bool", function, "SOP1")
        yield declare(f"s_ff0_i32_{name}", word, "i32", lambda a: find_first_one(~a), "SOP1")
        yield declare(f"s_ff1_i32_{name}", word, "i32", find_first_one, "SOP1")
        yield declare(f"s_flbit_i32_{name}", word, "i32", find_last_one, "SOP1")
        index = f"u32 {word}"
        yield declare(
            f"s_bitset0_{name}", index, word, lambda i, old: old & ~_one_at(i, old), "SOP1"
        )
        yield declare(
            f"s_bitset1_{name}", index, word, lambda i, old: old | _one_at(i, old), "SOP1"
        )
    yield declare("s_flbit_i32", "i32", "i32", _find_last_change, "SOP1")
    yield declare("s_flbit_i32_i64", "i64", "i32", _find_last_change, "SOP1")
    yield declare("s_bitreplicate_b64_b32", "u32", "u64", _double_bits, "SOP1")


def _save(logic: Callable[[Array, Array], Array]) -> Callable[..., tuple[Array, Array, Array]]:
    def compute(source: Array, mask: Array) -> tuple[Array, Array, Array]:
        return np.copy(mask), *with_nonzero(logic(source, mask))

    return compute


def _write(logic: Callable[[Array, Array], Array]) -> Callable[..., tuple[Array, Array, Array]]:
    def compute(source: Array, mask: Array) -> tuple[Array, Array, Array]:
        value, nonzero = with_nonzero(logic(source, mask))
        return value, np.copy(value), nonzero

    return compute


def _declare_exec() -> Iterator[Operation]:
    sources, results = "u64 u64", "u64 u64 bool"
    for name, logic in EXEC_LOGIC.items():
        yield declare(f"s_{name}_saveexec_b64", sources, results, _save(logic), "SOP1")
    for name in ("andn1", "andn2"):
        logic = EXEC_LOGIC[name]
        yield declare(f"s_{name}_wrexec_b64", sources, results, _write(logic), "SOP1")


OPERATIONS = table(*_declare_moves(), *_declare_bits(), *_declare_exec())
