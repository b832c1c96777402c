"""Sparse matrix instructions against sums over what is stored."""

from __future__ import annotations

import numpy as np
import pytest

from rocmoe.ops.gcn.semantics.mfma_layout import result_layout
from rocmoe.ops.gcn.semantics.small_float import bf8_of, bf16_of_f32, encode, fp8_of
from rocmoe.ops.gcn.semantics.smfmac import SMFMAC, Smfmac

EVERY = [smfmac for by_name in SMFMAC.values() for smfmac in by_name.values()]
# What amd_matrix_instruction_calculator says of A[2][13] (as it is without compression), B[13][3],
# D[2][3] and the index of A[2][13]: register, lane, lowest bit.
HALF = {16: ((1, 18, 0), (2, 19, 16), (2, 3, 0), (0, 18, 4))}
HALF[32] = ((1, 34, 0), (2, 35, 16), (2, 3, 0), (0, 34, 4))
EIGHT = ((1, 2, 16), (3, 3, 8), (2, 3, 0), (0, 2, 12))


def test_names():
    assert {arch: len(names) for arch, names in SMFMAC.items()} == {"gfx942": 14, "gfx950": 14}
    assert "v_smfmac_f32_32x32x32_bf8_fp8" in SMFMAC["gfx942"]
    assert "v_smfmac_i32_16x16x64_i8" in SMFMAC["gfx950"]


def codes(values: np.ndarray, kind: str, arch: str) -> np.ndarray:
    if kind in ("fp8", "bf8"):
        return encode(values.astype(np.float32), (fp8_of if kind == "fp8" else bf8_of)(arch))
    if kind == "bf16":
        return bf16_of_f32(values.astype(np.float32))
    return values.astype({"f16": "f2", "i8": "i1"}[kind])


def registers(values: np.ndarray, kind: str, arch: str) -> np.ndarray:
    return np.ascontiguousarray(codes(values, kind, arch)).view(np.uint32)


def make(smfmac: Smfmac, waves: int, random: np.random.Generator):
    """Whole numbers: stored A, B and D in lanes, the pair that is stored of each four."""
    places = smfmac.shape.source_places
    stored = random.integers(-4, 5, (waves, 64, places // 2))
    b = random.integers(-4, 5, (waves, 64, places))
    d = random.integers(-9, 10, (waves, 64, smfmac.result_registers))
    pairs = np.array([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
    chosen = pairs[random.integers(0, 6, (waves, 64, smfmac.groups))]
    return stored, b, d, chosen


@pytest.mark.parametrize("smfmac", EVERY, ids=lambda s: f"{s.arch}-{s.name}")
def test_products_are_those_of_whole_numbers(smfmac: Smfmac):
    shape, waves = smfmac.shape, 2
    random = np.random.default_rng(len(smfmac.name))
    stored, b, d, chosen = make(smfmac, waves, random)
    places = shape.source_places
    dense_a = np.zeros((waves, shape.size, shape.k), int)
    dense_b = np.zeros((waves, shape.k, shape.size), int)
    index = np.zeros((waves, 64), np.uint64)
    for lane in range(64):
        line, first = lane % shape.size, lane // shape.size * places
        dense_b[:, first : first + places, line] = b[:, lane]
        for group in range(smfmac.groups):
            for at in range(2):
                k = first + 4 * group + chosen[:, lane, group, at]
                dense_a[np.arange(waves), line, k] = stored[:, lane, 2 * group + at]
                shift = np.uint64(4 * group + 2 * at)
                index[:, lane] |= chosen[:, lane, group, at].astype(np.uint64) << shift
    layout = result_layout(shape)
    expected = (dense_a @ dense_b)[:, layout.outer, layout.inner] + d
    result = np.int32 if smfmac.result == "i32" else np.float32
    a_words = registers(stored, smfmac.sources[0], smfmac.arch)
    b_words = registers(b, smfmac.sources[1], smfmac.arch)
    assert (a_words.shape[-1], b_words.shape[-1]) == smfmac.source_registers
    addend = d.astype(result).view(np.uint32)
    for segment in range(32 // smfmac.index_bits):
        word = (index << np.uint64(segment * smfmac.index_bits)).astype(np.uint32)
        made = smfmac.compute(a_words, b_words, addend, word, abid=segment).view(result)
        np.testing.assert_array_equal(made, expected)
    ignored = smfmac.compute(a_words, b_words, addend, index.astype(np.uint32), cbsz=1, abid=1)
    np.testing.assert_array_equal(ignored.view(result), expected)


@pytest.mark.parametrize(
    "name",
    [
        "v_smfmac_f32_16x16x32_f16",
        "v_smfmac_f32_32x32x16_f16",
        "v_smfmac_i32_16x16x64_i8",
        "v_smfmac_i32_32x32x32_i8",
    ],
)
def test_one_element_stands_where_the_calculator_says(name):
    smfmac = SMFMAC["gfx942"][name]
    of_a, of_b, of_d, of_index = EIGHT if "i8" in name else HALF[smfmac.shape.size]
    one = 1 if "i8" in name else 0x3C00
    words = [np.zeros((1, 64, count), np.uint32) for count in smfmac.source_registers]
    for word, (register, lane, bit) in zip(words, (of_a, of_b), strict=True):
        word[0, lane, register] = one << bit
    index = np.zeros((1, 64), np.uint32)
    index[0, of_index[1]] = 1 << of_index[2]
    d = np.zeros((1, 64, smfmac.result_registers), np.uint32)
    made = smfmac.compute(*words, d, index)
    assert [tuple(place) for place in np.argwhere(made[0])] == [(of_d[1], of_d[0])]


def test_what_is_not_stored_is_not_multiplied():
    smfmac = SMFMAC["gfx942"]["v_smfmac_f32_16x16x32_f16"]
    a = np.zeros((1, 64, 2), np.uint32)
    b = np.full((1, 64, 4), 0x7C000000, np.uint32)
    d, index = np.zeros((1, 64, 4), np.uint32), np.full((1, 64), 0x88, np.uint32)
    assert not smfmac.compute(a, b, d, index).any()
    assert np.isnan(smfmac.compute(a, b, d, index | 1).view(np.float32)).any()
