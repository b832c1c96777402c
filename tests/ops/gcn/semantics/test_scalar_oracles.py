"""Scalar operations against the ISA's pseudo code in Python's unbounded integers, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rocmoe.ops.gcn.semantics import scalar, scalar_bits

OPERATIONS = {**scalar.OPERATIONS, **scalar_bits.OPERATIONS}
Oracle = Callable[..., Any]


def signed(bits: int, size: int = 32) -> int:
    return bits - (1 << size) if bits >> (size - 1) & 1 else bits


def string(bits: int, size: int) -> str:
    """The bits as text, the lowest first."""
    return format(bits, f"0{size}b")[::-1]


def wrap(value: int, size: int) -> int:
    return value % (1 << size)


def nonzero(value: int, size: int) -> tuple[int, bool]:
    return wrap(value, size), wrap(value, size) != 0


def carry(total: int) -> tuple[int, bool]:
    return total, not 0 <= total < 1 << 32


def overflow(total: int) -> tuple[int, bool]:
    return total, not -(1 << 31) <= total < 1 << 31


def bfe(bits: int, control: int, size: int, is_signed: bool) -> tuple[int, bool]:
    """A field of a number of unbounded length: its sign goes on for ever."""
    offset, length = control % size, control >> 16 & 0x7F
    value = signed(bits, size) if is_signed else bits
    field = (value >> offset) % (1 << length)
    if is_signed and length and field >> (length - 1):
        field -= 1 << length
    return nonzero(field, size)


def quads(bits: int, size: int) -> list[bool]:
    text = string(bits, size)
    return ["1" in text[i : i + 4] for i in range(0, size, 4)]


def from_list(ones: list[bool]) -> int:
    return sum(1 << i for i, one in enumerate(ones) if one)


BITWISE: dict[str, Callable[[bool, bool], bool]] = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "xor": lambda a, b: a != b,
    "andn2": lambda a, b: a and not b,
    "orn2": lambda a, b: a or not b,
    "nand": lambda a, b: not (a and b),
    "nor": lambda a, b: not (a or b),
    "xnor": lambda a, b: a == b,
    "andn1": lambda a, b: not a and b,
    "orn1": lambda a, b: not a or b,
}


def bitwise(name: str, a: int, b: int, size: int) -> int:
    pairs = zip(string(a, size), string(b, size), strict=True)
    return from_list([BITWISE[name](x == "1", y == "1") for x, y in pairs])


def oracles_of_width(size: int) -> dict[str, Oracle]:
    b, i = f"b{size}", f"i{size}"
    return {
        f"s_mov_{b}": lambda a: a,
        f"s_cmov_{b}": lambda a, old, scc: a if scc else old,
        f"s_cselect_{b}": lambda x, y, scc: x if scc else y,
        f"s_not_{b}": lambda a: nonzero(-1 - a, size),
        f"s_wqm_{b}": lambda a: nonzero(
            from_list([q for q in quads(a, size) for _ in range(4)]), size
        ),
        f"s_quadmask_{b}": lambda a: nonzero(from_list(quads(a, size)), size),
        f"s_brev_{b}": lambda a: int(string(a, size), 2),
        f"s_bcnt0_i32_{b}": lambda a: nonzero(string(a, size).count("0"), 32),
        f"s_bcnt1_i32_{b}": lambda a: nonzero(string(a, size).count("1"), 32),
        f"s_ff0_i32_{b}": lambda a: string(a, size).find("0"),
        f"s_ff1_i32_{b}": lambda a: string(a, size).find("1"),
        f"s_flbit_i32_{b}": lambda a: string(a, size)[::-1].find("1"),
        f"s_bitset0_{b}": lambda n, old: old & ~(1 << n % size),
        f"s_bitset1_{b}": lambda n, old: old | 1 << n % size,
        f"s_lshl_{b}": lambda a, n: nonzero(a << n % size, size),
        f"s_lshr_{b}": lambda a, n: nonzero(a >> n % size, size),
        f"s_ashr_{i}": lambda a, n: nonzero(signed(a, size) >> n % size, size),
        f"s_bfm_{b}": lambda n, at: ((1 << n % size) - 1) << at % size,
        f"s_bfe_u{size}": lambda a, c: bfe(a, c, size, False),
        f"s_bfe_i{size}": lambda a, c: bfe(a, c, size, True),
        **{
            f"s_{name}_{b}": lambda x, y, name=name: nonzero(bitwise(name, x, y, size), size)
            for name in BITWISE
            if not name.endswith("n1")
        },
    }


def last_change(bits: int, size: int) -> int:
    text = string(bits, size)[::-1]
    return text.find("0" if text[0] == "1" else "1")


def low_high(a: int, b: int, low: int, high: int) -> int:
    return (a >> low & 0xFFFF) + (b >> high & 0xFFFF) * 0x10000


ORACLES: dict[str, Oracle] = {
    **oracles_of_width(32),
    **oracles_of_width(64),
    "s_add_u32": lambda a, b: carry(a + b),
    "s_addc_u32": lambda a, b, c: carry(a + b + c),
    "s_sub_u32": lambda a, b: carry(a - b),
    "s_subb_u32": lambda a, b, c: carry(a - b - c),
    "s_add_i32": lambda a, b: overflow(signed(a) + signed(b)),
    "s_sub_i32": lambda a, b: overflow(signed(a) - signed(b)),
    "s_addk_i32": lambda k, d: overflow(signed(d) + signed(k, 16)),
    "s_mulk_i32": lambda k, d: signed(d) * signed(k, 16),
    "s_movk_i32": lambda k: signed(k, 16),
    "s_cmovk_i32": lambda k, old, scc: signed(k, 16) if scc else old,
    "s_min_i32": lambda a, b: (min(signed(a), signed(b)), signed(a) < signed(b)),
    "s_min_u32": lambda a, b: (min(a, b), a < b),
    "s_max_i32": lambda a, b: (max(signed(a), signed(b)), signed(a) >= signed(b)),
    "s_max_u32": lambda a, b: (max(a, b), a >= b),
    # The difference wraps before its magnitude is taken.
    "s_absdiff_i32": lambda a, b: nonzero(abs(signed(wrap(a - b, 32))), 32),
    "s_abs_i32": lambda a: nonzero(abs(signed(a)), 32),
    "s_mul_i32": lambda a, b: a * b,
    "s_mul_hi_u32": lambda a, b: a * b >> 32,
    "s_mul_hi_i32": lambda a, b: signed(a) * signed(b) >> 32,
    **{f"s_lshl{n}_add_u32": lambda a, b, n=n: carry((a << n) + b) for n in (1, 2, 3, 4)},
    "s_pack_ll_b32_b16": lambda a, b: low_high(a, b, 0, 0),
    "s_pack_lh_b32_b16": lambda a, b: low_high(a, b, 0, 16),
    "s_pack_hh_b32_b16": lambda a, b: low_high(a, b, 16, 16),
    "s_sext_i32_i8": lambda a: signed(a, 8),
    "s_sext_i32_i16": lambda a: signed(a, 16),
    "s_flbit_i32": lambda a: last_change(a, 32),
    "s_flbit_i32_i64": lambda a: last_change(a, 64),
    "s_bitreplicate_b64_b32": lambda a: from_list([x == "1" for x in string(a, 32) for _ in "ab"]),
    **{
        f"s_{name}_saveexec_b64": lambda a, m, name=name: (m, *nonzero(bitwise(name, a, m, 64), 64))
        for name in BITWISE
    },
    **{
        f"s_{name}_wrexec_b64": lambda a, m, name=name: (
            bitwise(name, a, m, 64),
            *nonzero(bitwise(name, a, m, 64), 64),
        )
        for name in ("andn1", "andn2")
    },
}


def test_every_scalar_operation_has_an_oracle() -> None:
    assert set(ORACLES) == set(OPERATIONS)


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_scalar_operation_is_its_oracle(name: str, check_oracle: Any) -> None:
    check_oracle(OPERATIONS[name], ORACLES[name])
