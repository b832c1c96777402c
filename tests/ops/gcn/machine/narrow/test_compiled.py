"""Compiled dots and casts of narrow floats, simulated, against NumPy."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402

from rocmoe.ops.core.launch import launch, simulating  # noqa: E402
from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch  # noqa: E402


def _load_kernels():
    path = Path(__file__).with_name("kernels.py")
    spec = importlib.util.spec_from_file_location("narrow_kernels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


kernels = _load_kernels()
TYPES = {
    "e4m3": torch.float8_e4m3fn,
    "e5m2": torch.float8_e5m2,
    "e4m3 fnuz": torch.float8_e4m3fnuz,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
FP4 = np.concatenate([FP4, -FP4])


def simulate(kernel, arch, programs=1, **arguments):
    """The mnemonics that ran; no sanitizer may find anything."""
    executed = Counter()

    class Remembering(Simulator):
        def run(self, *given):
            report = super().run(*given)
            for at in np.flatnonzero(report.executed):
                executed[report.program.instructions[at].name] += 1
            return report

    simulator = Remembering(arch, Watch(checks=CHECKS, counts=False))
    with simulating(simulator):
        launch(kernel, (programs,), **arguments)
    found = [fault for each in simulator.take() for fault in each.faults if not fault.is_note]
    assert not found, found
    return executed


def draw(random, kind, rows, columns):
    """Codes of a matrix that has no infinities or NaNs, and its values; fp4 packs along columns."""
    if kind == "e2m1":
        codes = random.integers(0, 16, (rows, columns))
        packed = (codes[:, ::2] | codes[:, 1::2] << 4).astype(np.uint8)
        return torch.from_numpy(packed), FP4[codes]
    if kind in ("bf16", "fp16"):
        tensor = torch.from_numpy(random.standard_normal((rows, columns))).to(TYPES[kind])
    else:
        codes = random.integers(0, 256, (rows, columns)).astype(np.uint8)
        tensor = torch.from_numpy(codes).view(TYPES[kind])
        finite = torch.isfinite(tensor.float())
        tensor = torch.where(finite, tensor.float(), 1.0).to(TYPES[kind])
    return tensor, tensor.to(torch.float64).numpy()


def transposed(random, kind, rows, columns):
    """As `draw`, with fp4 packed along rows."""
    tensor, values = draw(random, kind, columns, rows)
    return tensor.T.contiguous(), values.T


def draw_scales(random, count, blocks):
    codes = random.integers(117, 138, (count, blocks)).astype(np.uint8)
    return torch.from_numpy(codes), np.repeat(2.0 ** (codes.astype(int) - 127), 32, axis=1)


def check_product(found, left, right):
    wanted, bound = left @ right, np.abs(left) @ np.abs(right)
    error = np.abs(found.numpy().astype(np.float64) - wanted)
    # Up to 16 instructions add up, each of which rounds once.
    assert (error <= 16 * 2.0**-24 * bound).all(), float((error / bound).max())


@pytest.mark.parametrize("shape", [(16, 16, 128), (32, 32, 64), (32, 64, 128)], ids=str)
@pytest.mark.parametrize("kinds", [("e4m3", "e4m3"), ("e5m2", "e5m2"), ("e4m3", "e5m2")], ids=str)
def test_dots_of_eight_bits(kinds, shape):
    m, n, k = shape
    random = np.random.default_rng(sum(shape))
    (a, left), (b, right) = draw(random, kinds[0], m, k), draw(random, kinds[1], k, n)
    c = torch.zeros(m, n)
    ran = simulate(kernels.dot, "gfx950", a=a, b=b, c=c, M=m, N=n, K=k)
    assert any(name.endswith("_f8f6f4") for name in ran), ran
    check_product(c, left, right)


@pytest.mark.parametrize("shape", [(16, 16, 128), (32, 32, 64), (64, 64, 256)], ids=str)
@pytest.mark.parametrize(
    "kinds",
    [
        ("e4m3", "e4m3"),
        ("e5m2", "e4m3"),
        ("e2m1", "e2m1"),
        ("e4m3", "e2m1"),
        ("e2m1", "e5m2"),
    ],
    ids=str,
)
def test_scaled_dots(kinds, shape):
    m, n, k = shape
    random = np.random.default_rng(sum(shape))
    (a, left), (b, right) = draw(random, kinds[0], m, k), transposed(random, kinds[1], k, n)
    (sa, of_a), (sb, of_b) = draw_scales(random, m, k // 32), draw_scales(random, n, k // 32)
    c = torch.zeros(m, n)
    ran = simulate(
        kernels.dot_scaled,
        "gfx950",
        a=a,
        a_scale=sa,
        b=b,
        b_scale=sb,
        c=c,
        M=m,
        N=n,
        K=k,
        A_FORMAT=kinds[0],
        B_FORMAT=kinds[1],
        A_PACK=1 + (kinds[0] == "e2m1"),
        B_PACK=1 + (kinds[1] == "e2m1"),
    )
    assert any("mfma_scale" in name for name in ran), ran
    check_product(c, left * of_a, right * of_b.T)


@pytest.mark.parametrize("arch", ["gfx90a", "gfx942", "gfx950"])
@pytest.mark.parametrize("other", ["bf16", "fp16"])
@pytest.mark.parametrize("kind", ["e4m3", "e5m2", "e2m1"])
def test_dots_that_widen_one_side(kind, other, arch):
    m, n, k = 32, 32, 128
    random = np.random.default_rng(len(kind))
    (a, left), (b, right) = draw(random, kind, m, k), draw(random, other, k, n)
    sa = torch.full((m, k // 32), 125, dtype=torch.uint8)
    c = torch.zeros(m, n)
    pack = 1 + (kind == "e2m1")
    constants = {"A_FORMAT": kind, "A_PACK": pack, "B_FORMAT": other}
    ran = simulate(kernels.dot_upcast, arch, a=a, a_scale=sa, b=b, c=c, M=m, N=n, K=k, **constants)
    assert arch != "gfx950" or any("cvt_scalef32_pk" in name for name in ran), ran
    check_product(c, left / 4, right)


EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, 448, 464, 465, -1e9, 57344, 61440, 2**-9, 2**-10]
EDGES += [1.5 * 2**-10, 2**-17, 1.5 * 2**-17, 1.0625, 1.1875, -3e38, 65504, 1e-40]


NATIVE = [
    ("gfx942", "e4m3 fnuz", "float32"),
    *(("gfx950", n, w) for n in ("e4m3", "e5m2") for w in ("float32", "float16", "bfloat16")),
]


@pytest.mark.parametrize(("arch", "narrow", "wide"), NATIVE)
def test_casts(arch, narrow, wide):
    kind, dtype = getattr(torch, wide), TYPES[narrow]
    random = np.random.default_rng(7)
    values = np.concatenate([EDGES, random.standard_normal(512 - len(EDGES)) * 30])
    with np.errstate(all="ignore"):
        x = torch.from_numpy(values.astype(np.float32)).to(kind)
    y = torch.zeros(512, dtype=dtype)
    ran = simulate(kernels.cast, arch, a=x, b=y, N=512, num_warps=1)
    assert any("scalef32_pk" in name or "cvt_pk_fp8" in name for name in ran), ran
    limit = torch.finfo(dtype).max
    wanted = x.float().clamp(-limit, limit).to(dtype).float()
    np.testing.assert_array_equal(y.float().numpy(), wanted.numpy())


@pytest.mark.parametrize("narrow", ["e4m3", "e5m2"])
@pytest.mark.parametrize("wide", ["float32", "float16", "bfloat16"])
def test_casts_back(narrow, wide):
    x = torch.arange(256, dtype=torch.uint8).view(TYPES[narrow])
    y = torch.zeros(256, dtype=getattr(torch, wide))
    ran = simulate(kernels.cast, "gfx950", a=x, b=y, N=256, num_warps=1)
    assert any("scalef32_pk" in name for name in ran), ran
    np.testing.assert_array_equal(y.float().numpy(), x.float().numpy())
