"""Matrix products in every type and shape, pipelined or not."""

from __future__ import annotations

import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402
import triton.language as tl  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from . import kernels  # noqa: E402
from .rig import (  # noqa: E402
    ARCHS,
    TYPES,
    compare,
    few,
    name_check,
    simulate,
    to_numpy,
)

WARPS = st.sampled_from([1, 2, 4, 8])
EITHER = st.booleans()
#: Types that the matrix instructions of an architecture take; of two, each on its own side.
_ALWAYS = [(name, name) for name in ("float16", "bfloat16", "float32", "int8", "float64")]
_OCP = [(a, b) for a in ("float8e4nv", "float8e5") for b in ("float8e4nv", "float8e5")]
_FNUZ = [(a, b) for a in ("float8e4b8", "float8e5b16") for b in ("float8e4b8", "float8e5b16")]
#: How f32 is multiplied, and the error of a product: tf32 keeps 10 bits, and sums of bf16 products
#: leave out the smallest ones.
PRECISIONS = {
    "gfx90a": [("ieee", 2.0**-24), ("bf16x3", 2.0**-15), ("bf16x6", 2.0**-21)],
    "gfx942": [("ieee", 2.0**-24), ("tf32", 2.0**-9), ("ieee", 2.0**-24)],
}
PRECISIONS["gfx950"] = PRECISIONS["gfx90a"]
PAIRS = {"gfx90a": _ALWAYS, "gfx942": _ALWAYS + _FNUZ + _OCP, "gfx950": _ALWAYS + _OCP}


@st.composite
def products(draw):
    m, n, block = (draw(st.sampled_from([16, 32, 64, 128])) for _ in range(3))
    if m * n * block > 2**18:
        m = 16
    across = draw(EITHER), draw(EITHER)
    matrix = draw(st.sampled_from([0, 16, 32]))
    return (draw(st.integers(0, 12)), m, n, block, draw(st.integers(1, 3)), across, matrix,
            draw(st.integers(0, 2)), draw(st.integers(1, 3)), draw(WARPS),
            draw(EITHER))  # fmt: skip


def check_product(arch, drawn):
    pair, m, n, block, steps, across, matrix, precision, stages, num_warps, whole = drawn
    left, right = (TYPES[name] for name in PAIRS[arch][pair % len(PAIRS[arch])])
    precision, slack = PRECISIONS[arch][precision if left.name == "float32" else 0]
    random = np.random.default_rng(m * n * block)
    k, programs = block * steps, (1, 2)
    into = {"int8": TYPES["int32"], "float64": TYPES["float64"]}.get(left.name, TYPES["float32"])
    if left.bits * (m + n) * block * stages // 8 > 60000 or (left.bits == 64 and block > 32):
        stages, block, k = 1, 32, 32 * steps
    whole = whole or not left.is_float
    a = fill_factor(random, left, (m, k), whole, across[0])
    b = fill_factor(random, right, (k, 2 * n), whole, across[1])
    c = fill_factor(random, into, (m, 2 * n), True, False)
    d = torch.zeros_like(c)
    simulate(kernels.multiply, programs, arch, family="dot", a=a, b=b, c=c, d=d, K=k,
             a_row=a.stride(0), a_column=a.stride(1), b_row=b.stride(0), b_column=b.stride(1), M=m,
             N=n, BLOCK=block, PRECISION=precision,
             STAGES=stages, OUT=getattr(tl, into.name), num_warps=num_warps,
             matrix_instr_nonkdim=matrix)  # fmt: skip
    wide = np.int64 if not left.is_float else np.float64
    factors = [to_numpy(each, kind).astype(wide) for each, kind in ((a, left), (b, right))]
    added = to_numpy(c, into)
    wanted = factors[0] @ factors[1] + added
    if whole:
        compare(d, wanted.astype(into.numpy), into)
        return
    # A sum of k products: of any order, with one rounding for each.
    size = np.abs(factors[0]) @ np.abs(factors[1]) + np.abs(added)
    unit = 2.0**-53 * (k + 2) if into.bits == 64 else 2.0**-24 * (k + 2) + slack
    excess = np.abs(to_numpy(d, into) - wanted) - unit * size
    assert excess.max() <= 0, f"{excess.max()} over the bound"


def fill_factor(random, kind, shape, whole, across):
    """Small whole numbers, of which sums are exact; or any numbers of about 1."""
    rows, columns = shape[::-1] if across else shape
    if whole:
        values = random.integers(-3, 4, (rows, columns)).astype(np.float64)
    else:
        values = random.standard_normal((rows, columns))
        # gfx90a takes denormals of f16 for zeros.
        values[np.abs(values) < 2.0**-6] = 0
    tensor = torch.from_numpy(values).to(kind.torch)
    return tensor.T if across else tensor


@st.composite
def chains(draw):
    m, n, k = (draw(st.sampled_from([16, 32, 64])) for _ in range(3))
    return draw(st.sampled_from(["float16", "bfloat16"])), m, n, k, draw(WARPS)


def check_chain(arch, drawn):
    name, m, n, k, num_warps = drawn
    kind = TYPES[name]
    random = np.random.default_rng(m * n * k)
    a, b = (torch.from_numpy(random.integers(-1, 2, shape).astype(np.float64)).to(kind.torch)
            for shape in ((m, k), (k, n)))  # fmt: skip
    c = torch.zeros((m, k))
    simulate(kernels.multiply_twice, (1,), arch, family="dot", a=a, b=b, c=c, M=m, N=n, K=k,
             num_warps=num_warps)  # fmt: skip
    product = to_numpy(a, kind) @ to_numpy(b, kind)
    compare(c, product @ to_numpy(b, kind).T, TYPES["float32"])


FORMATS = {"e4m3": "float8e4nv", "e5m2": "float8e5", "bf16": "bfloat16", "fp16": "float16"}
#: The values of e2m1 (OCP Microscaling Formats 1.0, 5.3.3), by code; bit 3 is the sign.
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


@st.composite
def scaled_products(draw):
    m, n, k = (draw(st.sampled_from(each)) for each in ([32, 64], [32, 64], [64, 128, 256]))
    formats = draw(st.sampled_from([
        ("e4m3", "e4m3"), ("e5m2", "e4m3"), ("e2m1", "e2m1"), ("e2m1", "e4m3"), ("e5m2", "e5m2"),
        ("bf16", "e4m3"), ("fp16", "e5m2"), ("e2m1", "bf16"),
    ]))  # fmt: skip
    return m, n, k, formats, draw(WARPS)


def check_scaled_product(arch, drawn):
    m, n, k, formats, num_warps = drawn
    random = np.random.default_rng(m * n * k)
    c = torch.zeros((m, n))
    (a, a_scale, left), (b, b_scale, right) = (
        fill_scaled(random, name, size, k) for name, size in zip(formats, (m, n), strict=True)
    )
    simulate(kernels.multiply_scaled, (1,), arch, family="scaled dot", a=a, a_scale=a_scale,
             b=b.T.contiguous(), b_scale=b_scale, c=c, M=m, N=n, K=k, A_FORMAT=formats[0],
             B_FORMAT=formats[1], A_PACKED=2 if formats[0] == "e2m1" else 1,
             B_PACKED=2 if formats[1] == "e2m1" else 1, num_warps=num_warps)  # fmt: skip
    compare(c, (left @ right.T).astype(np.float32), TYPES["float32"])


def fill_scaled(random, name, rows, k):
    """Elements [rows, k] as Triton takes them, scales [rows, k / 32], and the values they mean.

    Values and scales are few enough that every sum is exact.
    """
    exponents = random.integers(-1, 2, (rows, k // 32))
    if name == "e2m1":
        codes = random.integers(0, 16, (rows, k)).astype(np.uint8)
        values = E2M1[codes]
        elements = torch.from_numpy(codes[:, ::2] | (codes[:, 1::2] << 4))
    else:
        values = random.integers(-2, 3, (rows, k)).astype(np.float64)
        elements = torch.from_numpy(values).to(TYPES[FORMATS[name]].torch)
        if elements.element_size() == 1:
            elements = elements.view(torch.uint8)
    if name in ("bf16", "fp16"):
        return elements, None, values
    scale = torch.from_numpy((exponents + 127).astype(np.uint8))
    return elements, scale, values * np.repeat(np.exp2(exponents), 32, 1)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(
    ("check", "drawn", "examples"),
    [
        (check_product, products(), 8),
        (check_chain, chains(), 6),
        (check_scaled_product, scaled_products(), 4),
    ],
    ids=name_check,
)
def test_agrees_with_numpy(arch, check, drawn, examples):
    few(examples)(given(drawn)(lambda each: check(arch, each)))()
