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
from .rig import ARCHS, TYPES, compare, few, simulate, to_numpy  # noqa: E402

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
    return (draw(st.integers(0, 12)), m, n, block, draw(st.integers(1, 3)), draw(EITHER), draw(EITHER),
            draw(st.integers(0, 2)), draw(st.integers(1, 3)), draw(WARPS),
            draw(st.booleans()), draw(st.sampled_from([0, 16, 32])))  # fmt: skip


def check_product(arch, drawn):
    pair, m, n, block, steps, a_across, b_across, precision, stages, num_warps, whole, matrix = (
        drawn
    )
    left, right = (TYPES[name] for name in PAIRS[arch][pair % len(PAIRS[arch])])
    precision, slack = PRECISIONS[arch][precision if left.name == "float32" else 0]
    random = np.random.default_rng(m * n * block)
    k, programs = block * steps, (1, 2)
    into = {"int8": TYPES["int32"], "float64": TYPES["float64"]}.get(left.name, TYPES["float32"])
    if left.bits * (m + n) * block * stages // 8 > 60000 or (left.bits == 64 and block > 32):
        stages, block, k = 1, 32, 32 * steps
    whole = whole or not left.is_float
    a, b = (fill_factor(random, kind, shape, whole, across)
            for kind, shape, across in ((left, (m, k), a_across), (right, (k, 2 * n), b_across)))  # fmt: skip
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


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(
    ("check", "drawn"),
    [(check_product, products()), (check_chain, chains())],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_agrees_with_numpy(arch, check, drawn):
    few(8)(given(drawn)(lambda each: check(arch, each)))()
