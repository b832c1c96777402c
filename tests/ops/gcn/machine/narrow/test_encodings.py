"""Narrow conversions, special matrix instructions, relative moves: their bits and registers."""

from __future__ import annotations

import numpy as np
import pytest

from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.machine.fault import UnsupportedError

# Instructions | registers before, in hexadecimal | after, in all active lanes.
CONVERSIONS = """
gfx950: v_cvt_scalef32_pk_fp8_f32 v0, v1, v2, 1.0 | v0=deadbeef v1=3f800000 v2=c0000000 | v0=deadc038
gfx950: v_cvt_scalef32_pk_fp8_f32 v0, v1, v2, 1.0 op_sel:[0,0,0,1] | v0=deadbeef v1=3f800000 v2=c0000000 | v0=c038beef
gfx950: v_cvt_scalef32_pk_fp8_f32 v0, -v1, |v2|, 2.0 | v0=deadbeef v1=3f800000 v2=c0000000 exec=5 | v0=dead38b0
gfx950: v_cvt_scalef32_pk_bf8_f16 v0, v1, v2 op_sel:[0,0,1] | v0=deadbeef v1=c0003c00 v2=3f800000 | v0=c03cbeef
gfx950: v_cvt_scalef32_pk_fp8_bf16 v0, v1, s2 | v0=deadbeef v1=c0003f80 s2=40800000 | v0=deadb028
gfx950: v_cvt_scalef32_pk_fp4_f32 v0, v1, v2, 1.0 op_sel:[0,0,1,0] | v0=deadbeef v1=3f800000 v2=c0c00000 | v0=deadf2ef
gfx950: v_cvt_scalef32_pk_fp4_f16 v0, v1, 1.0 op_sel:[0,0,0,1] | v0=deadbeef v1=c6003c00 | v0=def2beef
gfx950: v_cvt_scalef32_sr_fp8_f32 v0, v1, v2, 1.0 op_sel:[0,0,1,1] | v0=deadbeef v1=3f800001 v2=fffff000 | v0=39adbeef
gfx950: v_cvt_scalef32_sr_bf8_f16 v0, v1, v2, 1.0 op_sel:[1,0,0,0] | v0=deadbeef v1=bc000000 v2=0 | v0=deadbebc
gfx950: v_cvt_scalef32_sr_pk_fp4_f32 v0, v[2:3], v4, 1.0 op_sel:[0,0,1,0] | v0=deadbeef v2:3=40c0000040000000 v4=0 | v0=dead74ef
gfx950: v_cvt_scalef32_pk_f32_fp8 v[0:1], v2, 2.0 | v2=c0383038 | v0:1=3f80000040000000
gfx950: v_cvt_scalef32_pk_f32_fp8 v[0:1], v2, 1.0 op_sel:[1,0,0] | v2=c038ffff | v0:1=c00000003f800000
gfx950: v_cvt_scalef32_pk_f16_bf8 v0, v2, 1.0 | v2=ffffc03c | v0=c0003c00
gfx950: v_cvt_scalef32_pk_bf16_fp4 v0, v2, 1.0 op_sel:[0,1,0] | v2=fff2ffff | v0=c0c03f80
gfx950: v_cvt_scalef32_f32_fp8 v0, v2, 1.0 op_sel:[1,1,0] | v2=38ffffff | v0=3f800000
gfx950: v_cvt_scalef32_f16_fp8 v0, v2, 1.0 op_sel:[1,0,1] | v0=deadbeef v2=ffff38ff | v0=3c00beef
gfx950: v_cvt_scalef32_pk_f32_fp4 v[0:1], v2, 4.0 op_sel:[1,0,0] | v2=ffff72ff | v0:1=41c0000040800000
v_cvt_sr_fp8_f32 v0, v1, v2 op_sel:[0,0,1] | v0=deadbeef v1=3f800001 v2=fffff000 | v0=dead41ef
gfx950: v_cvt_sr_bf8_f32 v0, -v1, v2 | v0=deadbeef v1=3f800001 v2=ffffefff exec=3 | v0=deadbebc
s_movrels_b32 s0, s4 | m0=3 s7=1234 | s0=1234
s_movrels_b64 s[0:1], s[4:5] | m0=2 s6:7=123456789abcdef0 | s0:1=123456789abcdef0
s_movreld_b32 s4, s0 | m0=5 s0=77 | s9=77
s_movreld_b64 s[4:5], s[0:1] | m0=4 s0:1=100000002 | s8:9=100000002
"""  # noqa: E501

# Where MODE.FP16_OVFL is set.
CLAMPED = [
    ("v_add_f16_e32 v0, v1, v2", {"v1": 0x7BFF, "v2": 0x7BFF}, 0x7BFF),
    ("v_add_f16_e32 v0, v1, v2", {"v1": 0x7C00, "v2": 0x7BFF}, 0x7C00),
    ("v_cvt_f16_f32_e32 v0, v1", {"v1": 0xC7C35000}, 0xFBFF),
    ("v_cvt_f16_f32_e32 v0, v1", {"v1": 0xFF800000}, 0xFC00),
    ("v_pk_mul_f16 v0, v1, v2", {"v1": 0x7BFF7C00, "v2": 0xC000C000}, 0xFBFFFC00),
    ("v_cvt_pk_f16_f32 v0, v1, v2", {"v1": 0x7F800000, "v2": 0x47C35000}, 0x7BFF7C00),
    ("v_cvt_pk_fp8_f32 v0, v1, v2", {"v0": 0, "v1": 0x7F800000, "v2": 0xC7C35000}, 0xFE7E),
    ("v_cvt_pk_bf8_f32 v0, v1, v2", {"v0": 0, "v1": 0x7FC00000, "v2": 0x48C35000}, 0x7B7E),
    ("v_cvt_scalef32_pk_bf8_f32 v0, v1, v2, 1.0", {"v0": 0, "v1": 0x7F800000, "v2": 0}, 0x7B),
    ("v_cvt_scalef32_pk_f16_fp8 v0, v1, v2", {"v1": 0xFE7E, "v2": 0x44800000}, 0xFBFF7BFF),
    ("v_sqrt_f16_e32 v0, v1", {"v1": 0x4400}, 0x4000),
]
SET = "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 23, 1), 1 ; "


@pytest.mark.parametrize("row", CONVERSIONS.strip().splitlines())
def test_conversions(check_row, row):
    check_row(row)


@pytest.mark.parametrize(("line", "registers", "expected"), CLAMPED)
def test_overflow_is_clamped_where_the_mode_says_so(execute, line, registers, expected):
    by_descriptor = execute(line, registers, "gfx950", KernelDescriptor(fp16_overflow=1))
    by_constant = execute(SET + line, registers, "gfx950")
    for state in (by_descriptor, by_constant):
        assert set(state["v0"][0].tolist()) == {expected}, f"{state['v0'][0, 0]:x}"


def test_infinities_of_divisions_are_refused_where_overflow_is_clamped(execute):
    with pytest.raises(UnsupportedError, match="FP16_OVFL"):
        execute("v_rcp_f16_e32 v0, v1", {"v1": 0}, "gfx950", KernelDescriptor(fp16_overflow=1))


def test_a_mode_that_changes_on_the_way_is_refused(execute):
    line = "v_mov_b32 v3, 0 ; v_cvt_scalef32_pk_fp8_f32 v0, v1, v2, 1.0"
    with pytest.raises(UnsupportedError):
        execute(f"v_mov_b32 v3, 0 ; {SET}{line}", {}, "gfx950")
    with pytest.raises(UnsupportedError, match="FP16_OVFL"):
        execute(f"{line} ; {SET}v_nop", {}, "gfx950")


def test_other_bits_of_the_mode_stay_refused(execute):
    with pytest.raises(UnsupportedError, match="how floats are computed"):
        execute("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 4), 3 ; v_nop", {}, "gfx950")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("v_cvt_sr_bf16_f32 v0, v1, v2", "random bits"),
        ("v_mfma_f32_16x16x128_f8f6f4 v[0:3], v[4:11], v[12:17], 0", "of 8"),
        ("v_mfma_f32_16x16x128_f8f6f4 v[0:3], v[4:11], v[12:19], 0 cbsz:5", "no format"),
        ("v_smfmac_f32_16x16x64_f16 v[0:3], v[4:7], v[8:15], v16", "sparse"),
        ("s_movrels_b64 s[0:1], s[4:5]", "M0 leads"),
    ],
)
def test_what_is_not_simulated_is_told(execute, line, why):
    with pytest.raises(UnsupportedError, match=why):
        execute(line, {"m0": 3}, "gfx950")


def test_only_gfx950_has_the_narrow_dots(execute):
    with pytest.raises(UnsupportedError, match="only gfx950"):
        execute("v_mfma_f32_16x16x128_f8f6f4 v[0:3], v[4:11], v[12:19], 0")


def test_relative_moves_by_the_index_of_each_wave(execute):
    state = execute("s_movrels_b32 s0, s4 ; s_movreld_b32 s20, s0", {"m0": 6, "s10": 99})
    assert (state["s0"][0], state["s26"][0]) == (99, 99)


def test_scaled_product_reads_the_selected_bytes(execute):
    """All elements 1, so each result is the scales' product times K, whatever EXEC is."""
    ones = {f"v{at}": 0x22222222 for at in range(4, 12)}
    scales = {"v20": 0x00807F81, "v21": 0x82000000, "exec": 1}
    line = "v_mfma_scale_f32_16x16x128_f8f6f4 v[0:3], v[4:7], v[8:11], 1.0, v20, v21"
    state = execute(
        f"{line} op_sel:[0,1,0] op_sel_hi:[1,1,0] cbsz:4 blgp:4", {**ones, **scales}, "gfx950"
    )
    assert (state["v3"] == np.float32(128 * 2 * 8 + 1).view(np.uint32)).all()
    state = execute(f"{line} cbsz:4 blgp:4", {**ones, "v20": 0x81, "v21": 0xFF}, "gfx950")
    assert np.isnan(state["v0"].view(np.float32)).all()


def test_sparse_product(execute):
    """Row 0 of A has 1 at k 2 and 3; column 5 of B has 1 at k 3, and infinity at k 0, left out."""
    lane = np.arange(64)
    low_b = np.where(lane == 5, 0x00007C00, 0).astype(np.uint32)
    high_b = np.where(lane == 5, 0x3C000000, 0).astype(np.uint32)
    a = np.where(lane == 0, 0x3C003C00, 0).astype(np.uint32)
    registers = {"v4": a, "v5": 0, "v6": low_b, "v7": high_b, "v8": 0, "v9": 0}
    registers |= {"v10": 0x000E0000, **{f"v{at}": 0x40000000 for at in range(4)}}
    line = "v_smfmac_f32_16x16x32_f16 v[0:3], v[4:5], v[6:9], v10 abid:2"
    state = execute(line, registers)
    assert state["v0"][0].view(np.float32).tolist() == [2.0] * 5 + [3.0] + [2.0] * 58
    assert (state["v1"].view(np.float32)[0, :5] == 2).all()


def test_thirty_two_elements_there_and_back(execute):
    """Every register of a lane's elements, in the lanes that EXEC enables alone."""
    sixes = {"v40": 0x08208208, "v41": 0x82082082, "v42": 0x20820820}
    ones = {**sixes, **{f"v{43 + at}": word for at, word in enumerate(sixes.values())}}
    lines = "v_cvt_scalef32_pk32_f16_fp6 v[0:15], v[40:45], v50"
    state = execute(lines, {**ones, "v50": 0x40000000, "exec": 0xF0}, "gfx950")
    for at in range(16):
        assert (state[f"v{at}"][0, 4:8] == 0x40004000).all()
        assert (state[f"v{at}"][0, :4] == 0xBB000000 + (at << 8) + np.arange(4)).all()
    back = "v_cvt_scalef32_sr_pk32_fp6_f16 v[60:65], v[0:15], v51, 2.0"
    state = execute(f"{lines} ; {back}", {**ones, "v50": 0x40000000, "v51": 77}, "gfx950")
    assert [int(state[f"v{60 + at}"][0, 9]) for at in range(6)] == [*sixes.values()] * 2


def test_two_halves_of_sixteen_are_interleaved(execute):
    even = {f"v{at}": 0x3F800000 for at in range(16, 32)}
    odd = {f"v{at}": 0 for at in range(32, 48)}
    line = "v_cvt_scalef32_2xpk16_fp6_f32 v[0:5], v[16:31], v[32:47], 1.0"
    state = execute(line, {**even, **odd}, "gfx950")
    assert [int(state[f"v{at}"][0, 0]) for at in range(3)] == [0x08008008, 0x80080080, 0x00800800]
