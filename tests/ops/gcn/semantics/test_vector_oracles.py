"""Integer vector operations against the ISA's pseudo code in Python's unbounded integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rocmoe.ops.gcn.semantics import (
    absolute_differences,
    bits,
    integer,
    integer16,
    integer64,
    packed_integer,
)

MODULES = (integer, integer16, integer64, bits, absolute_differences, packed_integer)
OPERATIONS = {name: each for module in MODULES for name, each in module.OPERATIONS.items()}
SATURATING = {
    name: each for module in MODULES for name, each in getattr(module, "SATURATING", {}).items()
}
Oracle = Callable[..., Any]
M32 = 0xFFFFFFFF


def signed(value: int, size: int = 32) -> int:
    value %= 1 << size
    return value - (1 << size) if value >> (size - 1) else value


def clamp(value: int, size: int, is_signed: bool) -> int:
    low, high = (-(1 << (size - 1)), (1 << (size - 1)) - 1) if is_signed else (0, (1 << size) - 1)
    return min(max(value, low), high)


def split(value: int, size: int, is_signed: bool = False, count: int | None = None) -> list[int]:
    parts = [value >> at & ((1 << size) - 1) for at in range(0, size * (count or 32 // size), size)]
    return [signed(part, size) for part in parts] if is_signed else parts


def join(parts: list[int], size: int) -> int:
    return sum((part % (1 << size)) << size * at for at, part in enumerate(parts))


def text32(value: int) -> str:
    """From the highest bit."""
    return format(value, "032b")


def bfe(value: int, at: int, length: int, is_signed: bool) -> int:
    number = signed(value) if is_signed else value
    field = (number >> at % 32) % (1 << length % 32)
    return signed(field, length % 32) if is_signed and length % 32 else field


def carry(total: int) -> tuple[int, bool]:
    return total, not 0 <= total <= M32


def sad(a: int, b: int, size: int = 8) -> int:
    return sum(abs(x - y) for x, y in zip(split(a, size), split(b, size), strict=True))


def msad(a: int, b: int) -> int:
    return sum(abs(x - y) for x, y in zip(split(a, 8), split(b, 8), strict=True) if y)


def quad(
    total: Callable[[int, int], int], narrow: Callable[[int], int]
) -> Callable[..., list[int]]:
    def compute(eight: int, reference: int, addends: list[int]) -> list[int]:
        return [
            narrow(total(eight >> 8 * at & M32, reference) + addend)
            for at, addend in enumerate(addends)
        ]

    return compute


def quad_oracles(
    narrow16: Callable[[int], int], narrow32: Callable[[int], int]
) -> dict[str, Oracle]:
    return {
        "v_qsad_pk_u16_u8": lambda a, b, c: join(
            quad(sad, narrow16)(a, b, split(c, 16, count=4)), 16
        ),
        "v_mqsad_pk_u16_u8": lambda a, b, c: join(
            quad(msad, narrow16)(a, b, split(c, 16, count=4)), 16
        ),
        "v_mqsad_u32_u8": lambda a, b, *c: tuple(quad(msad, narrow32)(a, b, list(c))),
    }


def permute(high: int, low: int, selectors: int) -> int:
    data = split(high << 32 | low, 8, count=8)

    def choose(selector: int) -> int:
        if selector < 8:
            return data[selector]
        signs = {8: data[1], 9: data[3], 10: data[5], 11: data[7]}
        if selector in signs:
            return 0xFF if signs[selector] & 0x80 else 0
        return 0 if selector == 12 else 0xFF

    return join([choose(selector) for selector in split(selectors, 8)], 8)


def truth(a: int, b: int, c: int, table: int, size: int) -> int:
    return sum(
        (table >> ((a >> at & 1) * 4 + (b >> at & 1) * 2 + (c >> at & 1)) & 1) << at
        for at in range(size)
    )


def dot(size: int, is_signed: bool) -> Oracle:
    def compute(a: int, b: int, c: int) -> int:
        start = signed(c) if is_signed else c
        pairs = zip(split(a, size, is_signed), split(b, size, is_signed), strict=True)
        return start + sum(x * y for x, y in pairs)

    return compute


def packed(function: Oracle, is_signed: bool) -> Oracle:
    def compute(*words: int) -> int:
        halves = zip(*(split(word, 16, is_signed) for word in words), strict=True)
        return join([function(*each) for each in halves], 16)

    return compute


def at_type(function: Oracle, kind: str) -> Oracle:
    """A function of the values that the bits of its sources stand for."""
    size = int(kind[1:])
    if kind[0] == "u":
        return function
    return lambda *sources: function(*(signed(source, size) for source in sources))


def mixed(function: Oracle, *sizes: int) -> Oracle:
    return lambda *sources: function(*map(signed, sources, sizes))


def mad(a: int, b: int, c: int) -> int:
    return a * b + c


def below(mask: int, lane: int, half: int) -> int:
    return sum(mask >> at & 1 for at in range(32) if at + 32 * half < lane)


# Exact values: they wrap, or with the clamp bit they saturate.
RING: dict[str, tuple[Oracle, str]] = {
    "v_add_u32": (lambda a, b: a + b, "u32"),
    "v_sub_u32": (lambda a, b: a - b, "u32"),
    "v_subrev_u32": (lambda a, b: b - a, "u32"),
    "v_add_i32": (mixed(lambda a, b: a + b, 32, 32), "i32"),
    "v_sub_i32": (mixed(lambda a, b: a - b, 32, 32), "i32"),
    "v_mad_u32_u24": (lambda a, b, c: mad(a & 0xFFFFFF, b & 0xFFFFFF, c), "u32"),
    "v_mad_i32_i24": (mixed(mad, 24, 24, 32), "i32"),
    "v_mad_u32_u16": (mad, "u32"),
    "v_mad_i32_i16": (mixed(mad, 16, 16, 32), "i32"),
    "v_add_u16": (lambda a, b: a + b, "u16"),
    "v_sub_u16": (lambda a, b: a - b, "u16"),
    "v_subrev_u16": (lambda a, b: b - a, "u16"),
    "v_add_i16": (mixed(lambda a, b: a + b, 16, 16), "i16"),
    "v_sub_i16": (mixed(lambda a, b: a - b, 16, 16), "i16"),
    "v_mad_u16": (mad, "u16"),
    "v_mad_i16": (mixed(mad, 16, 16, 16), "i16"),
    "v_mad_legacy_u16": (mad, "u16"),
    "v_mad_legacy_i16": (mixed(mad, 16, 16, 16), "i16"),
    "v_sad_u8": (lambda a, b, c: sad(a, b) + c, "u32"),
    "v_sad_hi_u8": (lambda a, b, c: sad(a, b) * 65536 + c, "u32"),
    "v_sad_u16": (lambda a, b, c: sad(a, b, 16) + c, "u32"),
    "v_sad_u32": (lambda a, b, c: abs(a - b) + c, "u32"),
    "v_msad_u8": (lambda a, b, c: msad(a, b) + c, "u32"),
    **{
        f"v_dot{n}{c}_i32_i{32 // n}": (dot(32 // n, True), "i32")
        for n in (2, 4, 8)
        for c in ("", "c")
    },
    **{f"v_dot{n}_u32_u{32 // n}": (dot(32 // n, False), "u32") for n in (2, 4, 8)},
}

CARRIES: dict[str, Oracle] = {
    "v_add_co_u32": lambda a, b: a + b,
    "v_addc_co_u32": lambda a, b, c: a + b + c,
    "v_sub_co_u32": lambda a, b: a - b,
    "v_subb_co_u32": lambda a, b, c: a - b - c,
    "v_subrev_co_u32": lambda a, b: b - a,
    "v_subbrev_co_u32": lambda a, b, c: b - a - c,
}

PACKED_RING: dict[str, Oracle] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mad": mad,
}


def orders(kind: str) -> dict[str, Oracle]:
    functions: dict[str, Oracle] = {
        "min": lambda a, b: min(a, b),
        "max": lambda a, b: max(a, b),
        "min3": lambda a, b, c: min(a, b, c),
        "max3": lambda a, b, c: max(a, b, c),
        "med3": lambda a, b, c: sorted((a, b, c))[1],
    }
    return {f"v_{name}_{kind}": at_type(each, kind) for name, each in functions.items()}


ORACLES: dict[str, Oracle] = {
    **{name: oracle for name, (oracle, _) in RING.items()},
    **{name: lambda *x, exact=exact: carry(exact(*x)) for name, exact in CARRIES.items()},
    **{
        f"v_pk_{name}_{kind}16": packed(exact, kind == "i")
        for name, exact in PACKED_RING.items()
        for kind in "ui"
    },
    **orders("u32"),
    **orders("i32"),
    **orders("u16"),
    **orders("i16"),
    **quad_oracles(lambda x: x, lambda x: x),
    "v_mul_u32_u24": lambda a, b: (a & 0xFFFFFF) * (b & 0xFFFFFF),
    "v_mul_hi_u32_u24": lambda a, b: (a & 0xFFFFFF) * (b & 0xFFFFFF) >> 32,
    "v_mul_i32_i24": mixed(lambda a, b: a * b, 24, 24),
    "v_mul_hi_i32_i24": mixed(lambda a, b: a * b >> 32, 24, 24),
    "v_mul_lo_u32": lambda a, b: a * b,
    "v_mul_hi_u32": lambda a, b: a * b >> 32,
    "v_mul_hi_i32": mixed(lambda a, b: a * b >> 32, 32, 32),
    "v_add3_u32": lambda a, b, c: a + b + c,
    "v_xad_u32": lambda a, b, c: (a ^ b) + c,
    "v_lshl_add_u32": lambda a, n, c: (a << n % 32) + c,
    "v_add_lshl_u32": lambda a, b, n: (a + b) << n % 32,
    "v_cndmask_b32": lambda a, b, pick: b if pick else a,
    "v_mul_lo_u16": lambda a, b: a * b,
    "v_lshlrev_b16": lambda n, a: a << n % 16,
    "v_lshrrev_b16": lambda n, a: a >> n % 16,
    "v_ashrrev_i16": lambda n, a: signed(a, 16) >> n % 16,
    "v_mov_b64": lambda a: a,
    "v_lshlrev_b64": lambda n, a: a << n % 64,
    "v_lshrrev_b64": lambda n, a: a >> n % 64,
    "v_ashrrev_i64": lambda n, a: signed(a, 64) >> n % 64,
    "v_lshl_add_u64": lambda a, n, c: (a << n % 8) + c,
    "v_mad_u64_u32": lambda a, b, c: (a * b + c, (a * b + c) >> 64),
    "v_mad_i64_i32": mixed(lambda a, b, c: (a * b + c, (a * b + c) >> 64 & 1), 32, 32, 64),
    "v_mov_b32": lambda a: a,
    "v_accvgpr_mov_b32": lambda a: a,
    "v_accvgpr_read_b32": lambda a: a,
    "v_accvgpr_write_b32": lambda a: a,
    "v_not_b32": lambda a: M32 - a,
    "v_bfrev_b32": lambda a: int(text32(a)[::-1], 2),
    "v_ffbh_u32": lambda a: text32(a).find("1"),
    "v_ffbh_i32": lambda a: text32(a).find("10"[int(text32(a)[0] == "1")]),
    "v_ffbl_b32": lambda a: text32(a)[::-1].find("1"),
    "v_swap_b32": lambda old, source: (source, old),
    "v_and_b32": lambda a, b: truth(a, b, 0, 0x40, 32),
    "v_or_b32": lambda a, b: truth(a, b, 0, 0x54, 32),
    "v_xor_b32": lambda a, b: truth(a, b, 0, 0x14, 32),
    "v_xnor_b32": lambda a, b: truth(a, b, 0, 0x41, 32),
    "v_lshlrev_b32": lambda n, a: a << n % 32,
    "v_lshrrev_b32": lambda n, a: a >> n % 32,
    "v_ashrrev_i32": lambda n, a: signed(a) >> n % 32,
    "v_bfm_b32": lambda n, at: ((1 << n % 32) - 1) << at % 32,
    "v_bcnt_u32_b32": lambda a, b: text32(a).count("1") + b,
    "v_lshl_or_b32": lambda a, n, c: truth(a << n % 32, c, 0, 0x54, 32),
    "v_and_or_b32": lambda a, b, c: truth(a, b, c, 0xEA, 32),
    "v_or3_b32": lambda a, b, c: truth(a, b, c, 0xFE, 32),
    "v_bfi_b32": lambda a, b, c: truth(a, b, c, 0xCA, 32),
    "v_bfe_u32": lambda a, at, n: bfe(a, at, n, False),
    "v_bfe_i32": lambda a, at, n: bfe(a, at, n, True),
    "v_alignbit_b32": lambda a, b, n: (a << 32 | b) >> n % 32,
    "v_alignbyte_b32": lambda a, b, n: (a << 32 | b) >> 8 * (n % 4),
    "v_perm_b32": permute,
    "v_mbcnt_lo_u32_b32": lambda a, b, lane: below(a, lane, 0) + b,
    "v_mbcnt_hi_u32_b32": lambda a, b, lane: below(a, lane, 1) + b,
    "v_prng_b32": lambda a: (2 * a) ^ (197 if a >= 1 << 31 else 0),
    "v_bitop3_b32": lambda a, b, c, table: truth(a, b, c, table, 32),
    "v_bitop3_b16": lambda a, b, c, table: truth(a, b, c, table, 16),
    "v_lerp_u8": lambda a, b, c: join(
        [(x + y + z % 2) // 2 for x, y, z in zip(*(split(w, 8) for w in (a, b, c)), strict=True)], 8
    ),
    "v_pk_mul_lo_u16": packed(lambda a, b: a * b, False),
    "v_pk_lshlrev_b16": packed(lambda n, a: a << n % 16, False),
    "v_pk_lshrrev_b16": packed(lambda n, a: a >> n % 16, False),
    "v_pk_ashrrev_i16": packed(lambda n, a: a >> n % 16, True),
    "v_pk_min_u16": packed(min, False),
    "v_pk_max_u16": packed(max, False),
    "v_pk_min_i16": packed(min, True),
    "v_pk_max_i16": packed(max, True),
    "v_pk_mov_b32": lambda a, b: b << 32 | a,
    "v_sat_pk_u8_i16": lambda a: join([clamp(x, 8, False) for x in split(a, 16, True)], 8),
    "v_ashr_pk_i8_i32": lambda a, b, n: join(
        [clamp(signed(x) >> n % 32, 8, True) for x in (a, b)], 8
    ),
    "v_ashr_pk_u8_i32": lambda a, b, n: join(
        [clamp(signed(x) >> n % 32, 8, False) for x in (a, b)], 8
    ),
}


def saturated(exact: Oracle, kind: str) -> Oracle:
    return lambda *sources: clamp(exact(*sources), int(kind[1:]), kind[0] == "i")


SATURATED: dict[str, Oracle] = {
    **{name: saturated(*pair) for name, pair in RING.items()},
    **{
        name: lambda *x, exact=exact: (clamp(exact(*x), 32, False), carry(exact(*x))[1])
        for name, exact in CARRIES.items()
    },
    **{
        f"v_pk_{name}_{kind}16": packed(saturated(exact, f"{kind}16"), kind == "i")
        for name, exact in PACKED_RING.items()
        for kind in "ui"
    },
    **quad_oracles(lambda x: clamp(x, 16, False), lambda x: clamp(x, 32, False)),
    "v_mad_u64_u32": lambda a, b, c: (clamp(a * b + c, 64, False), (a * b + c) >> 64),
    "v_mad_i64_i32": mixed(lambda a, b, c: (clamp(a * b + c, 64, True), a * b + c < 0), 32, 32, 64),
}


def test_every_vector_operation_has_an_oracle() -> None:
    assert set(ORACLES) == set(OPERATIONS)
    assert set(SATURATED) == set(SATURATING)


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_vector_operation_is_its_oracle(name: str, check_oracle: Any) -> None:
    check_oracle(OPERATIONS[name], ORACLES[name])


@pytest.mark.parametrize("name", sorted(SATURATED))
def test_clamped_operation_saturates(name: str, check_oracle: Any) -> None:
    check_oracle(SATURATING[name], SATURATED[name])
