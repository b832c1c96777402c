"""Loops, branches, calls and grids; random numbers; conversions to 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from . import kernels  # noqa: E402
from .rig import (  # noqa: E402
    ARCHS,
    FLOATS,
    SMALL,
    TYPES,
    compare,
    few,
    fill,
    name_check,
    simulate,
    to_numpy,
)

WARPS = st.sampled_from([1, 2, 4, 8])
I32, F32 = TYPES["int32"], TYPES["float32"]
GRIDS = [(1,), (7,), (3, 2), (2, 3, 2), (1, 1, 5)]


@st.composite
def walks(draw):
    how = draw(st.sampled_from(["loop", "branch", "return", "while", "scalar call", "call",
                                "until"]))  # fmt: skip
    return how, draw(st.sampled_from(GRIDS)), draw(st.sampled_from([64, 128, 512])), draw(WARPS)


def check_walk(arch, drawn):
    how, grid, block, num_warps = drawn
    programs = int(np.prod(grid))
    x = fill(np.random.default_rng(block), I32, (programs, block))
    if how == "while":
        x = x.abs() % 1000
    y = torch.full((programs, block), 77, dtype=torch.int32)
    n, limit = 99, 20
    simulate(kernels.walk, grid, arch, family="control", x=x, y=y, n=n, limit=limit, BLOCK=block,
             HOW=how, num_warps=num_warps)  # fmt: skip
    with np.errstate(over="ignore"):
        wanted = [walk_numpy(how, i, row, n, limit) for i, row in enumerate(x.numpy())]
    compare(y, np.stack(wanted), I32)


def walk_numpy(how, program, values, n, limit):
    if how == "loop":
        for i in range(program % 5):
            values = values * np.int32(3) + np.int32(i)
        return values
    if how == "branch":
        return (values + np.int32(1), values * values, np.cumsum(values, dtype=np.int32))[
            program % 3
        ]
    if how == "return":
        return np.full_like(values, 77) if program % 2 else -values
    if how == "while":
        total, steps = int(values.sum()), 0
        while total > 0 and steps < limit:
            total, steps = total - int(values.max()) - 1, steps + 1
        return values + np.int32(steps)
    if how == "scalar call":
        return values + np.int32(collatz(program + 1, limit))
    if how == "call":
        mixed = program
        for i in range(program % 3 + 1):
            mixed = mixed * (i + 2) + (mixed >> 3) + collatz(mixed + 1, limit)
        return values ^ np.int32(mixed)
    while values.max() > n:
        values = np.where(values > n, values >> 1, values)
    return values


def collatz(number, limit):
    steps = 0
    while number != 1 and steps < limit:
        number, steps = (3 * number + 1 if number % 2 else number // 2), steps + 1
    return steps


@st.composite
def randoms(draw):
    return (draw(st.sampled_from(["randint", "randint4x", "rand"])), draw(st.integers(0, 2**40)),
            draw(st.sampled_from([64, 256])), draw(WARPS))  # fmt: skip


def philox(seed, places):
    """Four u32 a place: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2,
    3", SC 2011), the counter's low word being the place."""
    low, bits = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [places.astype(np.uint64), *(np.zeros(len(places), np.uint64) for _ in range(3))]
    key = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for _ in range(10):
        first, second = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (second >> bits) ^ c[1] ^ key[0],
            second & low,
            (first >> bits) ^ c[3] ^ key[1],
            first & low,
        ]
        key = [(key[0] + np.uint64(0x9E3779B9)) & low, (key[1] + np.uint64(0xBB67AE85)) & low]
    return [each.astype(np.uint32) for each in c]


def check_random(arch, drawn):
    how, seed, block, num_warps = drawn
    kind = F32 if how == "rand" else I32
    y = torch.zeros(2 * block, dtype=kind.torch)
    simulate(kernels.draw_random, (2,), arch, family="random", y=y, seed=seed, BLOCK=block,
             HOW=how, num_warps=num_warps)  # fmt: skip
    a, b, c, d = (each.view(np.int32) for each in philox(seed, np.arange(2 * block)))
    with np.errstate(over="ignore"):
        wanted = {
            "randint": a,
            "randint4x": a ^ (b * np.int32(3)) ^ (c * np.int32(5)) ^ (d * np.int32(7)),
            # 4.6566127342e-10 is the constant of Triton's uint_to_uniform_float.
            "rand": np.where(a < 0, -a - np.int32(1), a).astype(np.float32)
            * np.float32(4.6566127342e-10),
        }[how]
    compare(y, wanted, kind)


#: Which 8-bit types convert, by architecture: gfx942 has FNUZ instructions, gfx950 OCP ones; the
#: rest is done in software.
_OCP = ("float8e4nv", "float8e5")
CONVERTED = {"gfx90a": ("float8e5",), "gfx942": tuple(kind.name for kind in SMALL), "gfx950": _OCP}


@st.composite
def conversions(draw):
    return (draw(st.integers(0, 3)), draw(st.sampled_from(FLOATS[:3])), draw(st.booleans()),
            draw(st.sampled_from([64, 256, 1024])), draw(WARPS))  # fmt: skip


def check_conversion(arch, drawn):
    """All 256 codes to a wider type; and from it, numbers in range, to the code torch gives."""
    which, wide, widens, block, num_warps = drawn
    small = TYPES[CONVERTED[arch][which % len(CONVERTED[arch])]]
    if widens:
        codes = torch.arange(2 * block, dtype=torch.int32).to(torch.uint8).view(small.torch)
        y = torch.zeros(2 * block, dtype=wide.torch)
        simulate(kernels.convert, (2,), arch, family="conversion", x=codes, y=y, BLOCK=block,
                 TO=wide.triton, BACK=None, num_warps=num_warps)  # fmt: skip
        wanted = to_numpy(codes.to(torch.float32).to(wide.torch), wide)
        # Where Triton converts to bf16 in software, it makes numbers of infinities and NaNs.
        kept = np.isfinite(wanted) | (wide.name != "bfloat16")
        compare(y[torch.from_numpy(kept)], wanted[kept], wide)
        return
    random = np.random.default_rng(block)
    most = min(torch.finfo(small.torch).max, torch.finfo(wide.torch).max)
    x = random.standard_normal(2 * block) * np.exp2(random.integers(-17, 15, 2 * block))
    x = torch.from_numpy(np.clip(x, -most, most)).to(wide.torch)
    y = torch.zeros(2 * block, dtype=wide.torch)
    simulate(kernels.convert, (2,), arch, family="conversion", x=x, y=y, BLOCK=block,
             TO=small.triton, BACK=wide.triton, num_warps=num_warps)  # fmt: skip
    compare(y, to_numpy(x.to(torch.float32).to(small.torch).to(wide.torch), wide), wide)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(
    ("check", "drawn"),
    [(check_walk, walks()), (check_random, randoms()), (check_conversion, conversions())],
    ids=name_check,
)
def test_agrees_with_numpy(arch, check, drawn):
    few(8)(given(drawn)(lambda each: check(arch, each)))()
