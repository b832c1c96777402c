from __future__ import annotations

import numpy as np
import pytest

from rocmoe.ops.gcn.semantics.mfma import MFMA, Mfma
from rocmoe.ops.gcn.semantics.mfma_layout import broadcast_blocks, permuted_lanes, source_layout
from rocmoe.ops.gcn.semantics.small_float import bf8_of, bf16_of_f32, encode, fp8_of

EVERY = [mfma for by_name in MFMA.values() for mfma in by_name.values()]

# (block, row, k) of A at (lane, place), and (block, row, column) of D at (lane, place).
LAYOUTS = {
    "v_mfma_f32_32x32x1_2b_f32": {(40, 0): (1, 8, 0)},
    "v_mfma_f32_32x32x8_f16": {(33, 2): (0, 1, 6)},
    "v_mfma_f32_16x16x4_4b_f16": {(33, 3): (2, 1, 3)},
    "v_mfma_f32_4x4x4_16b_f16": {(42, 1): (10, 2, 1)},
    "v_mfma_i32_16x16x32_i8": {(50, 5): (0, 2, 29)},
    "v_mfma_f64_16x16x4_f64": {(50, 0): (0, 2, 3)},
    "v_mfma_f64_4x4x4_4b_f64": {(55, 0): (1, 3, 3)},
}
RESULTS = {
    "v_mfma_f32_32x32x1_2b_f32": {(40, 21): (1, 13, 8), (3, 15): (0, 27, 3)},
    "v_mfma_f32_16x16x4_4b_f16": {(33, 13): (3, 9, 1)},
    "v_mfma_f32_4x4x4_16b_f16": {(42, 3): (10, 3, 2)},
    "v_mfma_f64_16x16x4_f64": {(50, 2): (0, 11, 2)},
    "v_mfma_f64_4x4x4_4b_f64": {(55, 0): (1, 3, 3)},
}


def test_names():
    assert {arch: len(names) for arch, names in MFMA.items()} == {
        "gfx90a": 27,
        "gfx942": 32,
        "gfx950": 36,
    }
    assert "v_mfma_f32_32x32x8bf16_1k" in MFMA["gfx90a"]
    assert "v_mfma_f32_16x16x8_xf32" not in MFMA["gfx950"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_source_layout(name):
    layout = source_layout(MFMA["gfx942"][name].shape)
    for place, expected in LAYOUTS[name].items():
        assert tuple(int(index[place]) for index in layout) == expected


@pytest.mark.parametrize("name", RESULTS)
def test_result_layout(name):
    layout = MFMA["gfx942"][name].result_places
    for place, expected in RESULTS[name].items():
        assert tuple(int(index[place]) for index in layout) == expected


@pytest.mark.parametrize("mfma", EVERY, ids=lambda m: f"{m.arch}-{m.name}")
def test_every_element_has_one_place(mfma: Mfma):
    shape = mfma.shape
    for layout, inner in ((source_layout(shape), shape.k), (mfma.result_places, shape.size)):
        flat = np.ravel_multi_index(tuple(layout), (shape.blocks, shape.size, inner))
        assert np.array_equal(np.sort(flat, axis=None), np.arange(flat.size))


def pack(values: np.ndarray, kind: str, arch: str) -> np.ndarray:
    """Whole numbers [waves, 64, places] in registers."""
    if kind in ("fp8", "bf8"):
        packed = encode(values.astype(np.float32), (fp8_of if kind == "fp8" else bf8_of)(arch))
    elif kind == "bf16":
        packed = bf16_of_f32(values.astype(np.float32))
    else:
        packed = values.astype({"f16": "f2", "i8": "i1", "f64": "f8"}.get(kind, "f4"))
    return np.ascontiguousarray(packed).view(np.uint32)


@pytest.mark.parametrize("mfma", EVERY, ids=lambda m: f"{m.arch}-{m.name}")
def test_products_are_those_of_whole_numbers(mfma: Mfma):
    shape, waves = mfma.shape, 2
    random = np.random.default_rng(len(mfma.name))
    a, b = (random.integers(-4, 5, (waves, shape.blocks, shape.size, shape.k)) for _ in "ab")
    c = random.integers(-9, 10, (waves, shape.blocks, shape.size, shape.size))
    expected = np.einsum("wbik,wbjk->wbij", a, b) + c
    layout, places = source_layout(shape), mfma.result_places
    sources = [
        pack(x[:, layout.block, layout.outer, layout.inner], kind, mfma.arch)
        for x, kind in zip((a, b), mfma.sources, strict=True)
    ]
    result = {"f32": np.float32, "i32": np.int32, "f64": np.float64}[mfma.result]
    addend = np.ascontiguousarray(c[:, places.block, places.outer, places.inner], result)
    addend = addend.view(np.uint32)
    assert sources[0].shape[-1] == mfma.source_registers
    assert addend.shape[-1] == mfma.result_registers
    made = mfma.compute(*sources, addend).view(result)
    np.testing.assert_array_equal(made, expected[:, places.block, places.outer, places.inner])


def registers(mfma: Mfma, first: float, c: float) -> list[np.ndarray]:
    """A and B with `first` at row and column 0, k 0, of block 0, and C with `c` everywhere."""
    source = np.zeros((1, 64, mfma.shape.source_places))
    source[0, 0, 0] = first
    packed = pack(source, mfma.sources[0], mfma.arch)
    addend = np.full((1, 64, mfma.shape.result_places), c, np.float32).view(np.uint32)
    return [packed, packed, addend]


def test_sums_are_rounded_once():
    mfma = MFMA["gfx942"]["v_mfma_f32_32x32x2_f32"]
    made = mfma.compute(*registers(mfma, 1 + 2.0**-12, 2.0**-50))
    assert made[0, 0, 0] == 0x3F801001


@pytest.mark.parametrize(
    ("arch", "name", "expected"),
    [("gfx90a", "v_mfma_f32_32x32x8f16", 0), ("gfx942", "v_mfma_f32_32x32x8_f16", 0x27800000)],
)
def test_only_gfx90a_flushes_half_denormals(arch, name, expected):
    mfma = MFMA[arch][name]
    assert mfma.compute(*registers(mfma, 2.0**-24, 0.0))[0, 0, 0] == expected


def test_integer_sums_wrap():
    mfma = MFMA["gfx942"]["v_mfma_i32_32x32x16_i8"]
    a, b, c = registers(mfma, 1, 0)
    c[:] = 0x7FFFFFFF
    assert mfma.compute(a, b, c)[0, 0, 0] == 0x80000000


def test_not_a_number_comes_out():
    mfma = MFMA["gfx942"]["v_mfma_f32_4x4x1_16b_f32"]
    a, b, c = registers(mfma, np.inf, 1.0)
    assert mfma.compute(a, np.zeros_like(b), c)[0, 0, 0] == 0xFFC00000
    c[:] = 0x7F800003
    assert (mfma.compute(a, b, c) == 0x7FC00003).all()


def test_f64_blgp_negates():
    mfma = MFMA["gfx942"]["v_mfma_f64_4x4x4_4b_f64"]
    one = np.ones((1, 64, 1)).view(np.uint32)
    made = [mfma.compute(one, one, one, blgp=code).view(np.float64)[0, 0, 0] for code in range(8)]
    assert made == [5, -3, -3, 5, 3, -5, -5, 3]


def test_broadcasts():
    assert broadcast_blocks(4, 0, 0).tolist() == [0, 1, 2, 3]
    assert broadcast_blocks(4, 1, 1).tolist() == [1, 1, 3, 3]
    assert broadcast_blocks(16, 2, 3).tolist() == [3] * 4 + [7] * 4 + [11] * 4 + [15] * 4
    starts = [permuted_lanes(code)[[0, 16, 32, 48]].tolist() for code in range(8)]
    assert starts[:4] == [[0, 16, 32, 48], [0, 16, 0, 16], [32, 48, 32, 48], [16, 32, 48, 0]]
    assert starts[4:] == [[0] * 4, [16] * 4, [32] * 4, [48] * 4]


def test_broadcasts_reach_the_product():
    mfma = MFMA["gfx942"]["v_mfma_f32_4x4x1_16b_f32"]
    lanes = np.arange(64, dtype=np.float32).reshape(1, 64, 1)
    ones, zero = np.ones_like(lanes).view(np.uint32), np.zeros((1, 64, 4), np.uint32)
    a = lanes.view(np.uint32)
    made = mfma.compute(a, ones, zero, cbsz=4, abid=2).view(np.float32)
    assert made[0, 60].tolist() == [8, 9, 10, 11]
    assert mfma.compute(ones, a, zero, blgp=3).view(np.float32)[0, 60, 0] == 12
