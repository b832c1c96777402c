"""Reading instructions: every kind of operand and modifier, printing, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.instruction import parse_instruction, split_mnemonic
from rocmoe.ops.gcn.modifiers import Dpp, Sdwa, Swizzle
from rocmoe.ops.gcn.operands import (
    Expression,
    GprIndex,
    HardwareRegister,
    Integer,
    Message,
    Off,
    Operand,
    Real,
    Register,
    Symbol,
    WaitCount,
)

OPERANDS = [
    ("v5", Operand(Register("v", 5))),
    ("v[5]", Operand(Register("v", 5))),
    ("v[4:7]", Operand(Register("v", 4, 4))),
    ("v[3+1:2*4-1]", Operand(Register("v", 4, 4))),
    ("s[0:1]", Operand(Register("s", 0, 2))),
    ("[s0,s1]", Operand(Register("s", 0, 2))),
    ("[vcc_lo, vcc_hi]", Operand(Register("vcc", 0, 2))),
    ("a[0:3]", Operand(Register("a", 0, 4))),
    ("ttmp[4:7]", Operand(Register("ttmp", 4, 4))),
    ("ttmp11", Operand(Register("ttmp", 11))),
    ("vcc", Operand(Register("vcc", 0, 2))),
    ("vcc_lo", Operand(Register("vcc", 0))),
    ("vcc_hi", Operand(Register("vcc", 1))),
    ("exec", Operand(Register("exec", 0, 2))),
    ("exec_hi", Operand(Register("exec", 1))),
    ("flat_scratch", Operand(Register("flat_scratch", 0, 2))),
    ("flat_scratch_lo", Operand(Register("flat_scratch", 0))),
    ("xnack_mask", Operand(Register("xnack_mask", 0, 2))),
    ("m0", Operand(Register("m0"))),
    ("scc", Operand(Register("src_scc"))),
    ("src_scc", Operand(Register("src_scc"))),
    ("null", Operand(Register("null"))),
    ("src_shared_base", Operand(Register("src_shared_base", 0, 2))),
    ("shared_base", Operand(Register("src_shared_base", 0, 2))),
    ("off", Operand(Off())),
    ("64", Operand(Integer(64))),
    ("-16", Operand(Integer(-16))),
    ("0xffffffc0", Operand(Integer(0xFFFFFFC0))),
    ("-0x10", Operand(Integer(-16))),
    ("0b101", Operand(Integer(5))),
    ("017", Operand(Integer(15))),
    ("lit(1)", Operand(Integer(1))),
    ("1.0", Operand(Real(1.0))),
    ("-4.0", Operand(Real(-4.0))),
    ("0.15915494", Operand(Real(0.15915494))),
    ("1e3", Operand(Real(1000.0))),
    ("-v1", Operand(Register("v", 1), negate=True)),
    ("- v1", Operand(Register("v", 1), negate=True)),
    ("neg(v1)", Operand(Register("v", 1), negate=True)),
    ("neg(1.0)", Operand(Real(1.0), negate=True)),
    ("|v1|", Operand(Register("v", 1), absolute=True)),
    ("abs(s3)", Operand(Register("s", 3), absolute=True)),
    ("-|v[2:3]|", Operand(Register("v", 2, 2), negate=True, absolute=True)),
    ("neg(abs(v1))", Operand(Register("v", 1), negate=True, absolute=True)),
    ("sext(v1)", Operand(Register("v", 1), sign_extend=True)),
    (".LBB0_2", Operand(Symbol(".LBB0_2"))),
    ("1b", Operand(Symbol("1b"))),
    ("f@rel32@lo+4", Operand(Symbol("f", "rel32@lo", 4))),
    ("f@gotpcrel32@hi+12", Operand(Symbol("f", "gotpcrel32@hi", 12))),
    ("table+8", Operand(Symbol("table", "", 8))),
    ("(.La-.Lb)&4294967295", Operand(Expression("(.La-.Lb)&4294967295", (".La", ".Lb")))),
]

# As LLVM 19's disassembler prints them for gfx90a and gfx942 (gfx950 for the last four).
PRINTED = """
v_add_f32_e64 v0, -|v1|, neg(1.0) clamp mul:2
v_add_f32_e64 v0, v1, v2 div:2
v_add_co_u32_e64 v5, s[6:7], v8, s9
v_mov_b32_dpp v0, v1 quad_perm:[0,1,2,3] row_mask:0xa bank_mask:0x3
v_mov_b32_dpp v0, v1 row_shl:1 row_mask:0xf bank_mask:0xf bound_ctrl:1
v_mov_b32_dpp v0, v1 row_bcast:31 row_mask:0xc bank_mask:0xf
v_mov_b32_dpp v0, v1 row_newbcast:3 row_mask:0xf bank_mask:0xf
v_max_f32_dpp v2, -v3, |v4| row_half_mirror row_mask:0xf bank_mask:0xf
v_mov_b32_dpp v0, v1 wave_shl:1 row_mask:0xf bank_mask:0xf
v_mov_b32_sdwa v0, sext(v1) dst_sel:WORD_1 dst_unused:UNUSED_PAD src0_sel:WORD_0
v_mul_u32_u24_sdwa v1, v2, v3 dst_sel:DWORD dst_unused:UNUSED_SEXT src0_sel:BYTE_1 src1_sel:BYTE_0
v_pk_fma_f32 v[0:1], v[2:3], v[4:5], v[6:7] op_sel:[0,1,0] op_sel_hi:[1,0,1] neg_lo:[0,1,0]
v_mfma_f32_32x32x8_f16 a[0:15], v[0:1], v[2:3], a[0:15] cbsz:1 abid:2 blgp:3
v_mfma_f64_16x16x4_f64 a[0:7], v[0:1], v[2:3], a[0:7] neg:[1,0,1]
v_accvgpr_read_b32 v0, a255
v_readlane_b32 s0, v1, m0
v_writelane_b32 v1, s0, 63
v_cmp_class_f32_e64 s[0:1], |v0|, s2
v_div_scale_f32 v0, s[0:1], v1, v2, v3
buffer_load_dwordx4 v[0:3], v4, s[8:11], 0 offen offset:4095 sc0 nt sc1
buffer_load_dword v0, off, s[0:3], s4 glc slc
buffer_load_dword off, s[8:11], s3 offset:4095 lds
buffer_wbl2 sc0 sc1
buffer_wbinvl1_vol
global_load_dword v0, v[2:3], off offset:-16
global_atomic_add_x2 v[0:1], v2, v[4:5], s[6:7] sc0
global_load_lds_dword v[0:1], off
flat_store_short_d16_hi v[0:1], v2
scratch_store_dword off, v0, s3 offset:8
ds_read2st64_b32 v[0:1], v2 offset0:1 offset1:255
ds_add_rtn_u32 v0, v1, v2 offset:65535 gds
ds_swizzle_b32 v0, v1 offset:swizzle(QUAD_PERM,1,0,3,2)
s_load_dword s4, s[4:5], s6 offset:0x1f
s_buffer_load_dwordx8 s[8:15], s[4:7], 0xfffff glc
s_waitcnt vmcnt(0) lgkmcnt(0)
s_waitcnt vmcnt(63) expcnt(7) lgkmcnt(15)
s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 4), 15
s_getreg_b32 s0, hwreg(HW_REG_XCC_ID)
s_set_gpr_idx_on s0, gpr_idx(SRC0,DST)
s_sendmsg sendmsg(MSG_INTERRUPT)
s_cbranch_execz .LBB0_2
s_swappc_b64 s[30:31], s[4:5]
s_endpgm
v_permlane32_swap_b32_e32 v0, v1
v_bitop3_b32 v5, v1, v2, s3 bitop3:0x96
v_mfma_scale_f32_16x16x128_f8f6f4 a[0:3], v[0:7], v[8:15], a[0:3], v16, v17 cbsz:3 blgp:1
v_cvt_scalef32_pk_fp8_f32 v0, v1, v2, v3 op_sel:[0,0,0,1]
""".strip().splitlines()

# Text that is spelt otherwise than LLVM prints it, and how it prints.
SPELLINGS = [
    ("v_mov_b32  v0 ,v1", "v_mov_b32 v0, v1"),
    ("s_mov_b64 [s2,s3], 1", "s_mov_b64 s[2:3], 1"),
    ("s_mov_b32 s0, 4 | 1+1", "s_mov_b32 s0, 6"),
    ("s_mov_b32 s0, 1|2<<3", "s_mov_b32 s0, 17"),
    ("s_waitcnt 0x70", "s_waitcnt vmcnt(0) lgkmcnt(0)"),
    ("s_waitcnt 0x0f70", "s_waitcnt vmcnt(0)"),
    ("s_waitcnt vmcnt(3), lgkmcnt(1)", "s_waitcnt vmcnt(3) lgkmcnt(1)"),
    ("s_waitcnt lgkmcnt(1) & vmcnt(3)", "s_waitcnt vmcnt(3) lgkmcnt(1)"),
    ("s_waitcnt vmcnt_sat(100) expcnt(0)", "s_waitcnt expcnt(0)"),
    ("s_getreg_b32 s0, 0xf801", "s_getreg_b32 s0, hwreg(HW_REG_MODE)"),
    ("s_setreg_b32 hwreg(1,0,8), s0", "s_setreg_b32 hwreg(HW_REG_MODE, 0, 8), s0"),
    ("s_set_gpr_idx_on s0, 9", "s_set_gpr_idx_on s0, gpr_idx(SRC0,DST)"),
    ("s_set_gpr_idx_mode gpr_idx()", "s_set_gpr_idx_mode gpr_idx()"),
    (
        "v_mov_b32_dpp v0, v1 quad_perm:[0, 1, 2, 3], row_mask: 0xa",
        "v_mov_b32_dpp v0, v1 quad_perm:[0,1,2,3] row_mask:0xa",
    ),
    (
        "buffer_load_dword v0, off, s[0:3], 0, offset:4, sc0",
        "buffer_load_dword v0, off, s[0:3], 0 offset:4 sc0",
    ),
    ("ds_read_b32 v0, v1 offset:2*8", "ds_read_b32 v0, v1 offset:16"),
]

# The 16 bits that LLVM 19 encodes.
SWIZZLES = [
    ('swizzle(BITMASK_PERM, "01pip")', 0x0907),
    ("swizzle(QUAD_PERM,1,0,3,2)", 0x80B1),
    ("swizzle(SWAP,16)", 0x401F),
    ("swizzle(REVERSE,8)", 0x1C1F),
    ("swizzle(BROADCAST,32,5)", 0x00A0),
]

REFUSED = [
    ("v_mov_b32 v0, v256", "past the last register v255"),
    ("v_mov_b32 v0, v[3:2]", "ends before it starts"),
    ("s_mov_b64 s[1:2], 0", "multiple of 2"),
    ("s_load_dwordx4 s[2:5], s[0:1], 0", "multiple of 4"),
    ("s_mov_b32 s102, 0", "past the last register s101"),
    ("s_mov_b64 [s0,s2], 0", "do not follow one another"),
    ("v_mov_b32 v0, v1 v2", "no comma stands before it"),
    ("v_mov_b32 v0,", "nothing between two commas"),
    ("v_mov_b32 v0, |v1", "cannot be read"),
    ("v_mov_b32 v0, v[1:2", "not closed"),
    ("v_mov_b32 v0, 1 +", "cannot be read"),
    ("v_mov_b32 v0, 1/0", "cannot be read"),
    ("v_mov_b32 v0, neg(neg(v1))", "neg cannot be applied"),
    ("v_mov_b32 v0, sext(|v1|)", "sext cannot be applied"),
    ("v_mov_b32 v0, 09", "'09' is no number"),
    ("v_mov_b32 v0, %vgpr3", "cannot be read"),
    ("v_mov_b32_dpp v0, v1 row_shl:16", "row_shl cannot be 16; wanted 1 to 15"),
    ("v_mov_b32_dpp v0, v1 row_bcast:16", "wanted 15 or 31"),
    ("v_mov_b32_dpp v0, v1 quad_perm:[0,1,2]", "quad_perm cannot be"),
    ("v_mov_b32_dpp v0, v1 quad_perm:[0,1,2,4]", "quad_perm cannot be"),
    ("v_mov_b32_dpp v0, v1 row_shr:1 row_shr:2", "given twice"),
    ("v_mov_b32_dpp v0, v1 row_shfl:1", "nearest: row_sh"),
    ("v_mov_b32_sdwa v0, v1 src0_sel:BYTE_4", "cannot be read"),
    ("v_pk_add_f16 v0, v1, v2 op_sel:[0,2]", "op_sel cannot be"),
    ("ds_read2_b32 v[0:1], v2 offset0:256", "offset0 cannot be 256"),
    ("ds_swizzle_b32 v0, v1 offset:swizzle(SWAP,3)", "not a swizzle"),
    ('ds_swizzle_b32 v0, v1 offset:swizzle(BITMASK_PERM,"01p")', "five of"),
    ("buffer_load_dword v0, off, s[0:3], 0 offset:4, s4", "behind a modifier"),
    ("s_waitcnt", "without a counter"),
    ("s_waitcnt vmcnt(64)", "from 0 to 63"),
    ("s_waitcnt vmcnt(0) vmcnt(1)", "second time"),
    ("s_waitcnt loadcnt(0)", "an integer is wanted"),
    ("s_getreg_b32 s0, hwreg(HW_REG_MODES)", "nearest: HW_REG_MODE"),
    ("s_getreg_b32 s0, hwreg(HW_REG_MODE, 4, 32)", "32 from bit 4"),
    ("s_set_gpr_idx_on s0, gpr_idx(SRC3)", "at most once"),
    ("image_load v0, v1, s[0:7]", "no instruction of CDNA"),
    ("s_mov_b32 s0, frobnicate(1, 2)", "cannot be read"),
]


@pytest.mark.parametrize(("text", "wanted"), OPERANDS, ids=[text for text, _ in OPERANDS])
def test_reads_an_operand(text: str, wanted: Operand) -> None:
    instruction = parse_instruction(f"v_mov_b32_e64 v0, {text}")
    assert instruction.operands == (Operand(Register("v", 0)), wanted)
    again = parse_instruction(str(instruction))
    assert again == instruction, f"{text} prints as {instruction}, which reads otherwise"


@pytest.mark.parametrize("text", PRINTED)
def test_prints_what_it_read(text: str) -> None:
    assert str(parse_instruction(text)) == text


@pytest.mark.parametrize(("text", "printed"), SPELLINGS)
def test_prints_other_spellings_as_llvm_does(text: str, printed: str) -> None:
    assert str(parse_instruction(text)) == printed
    assert parse_instruction(printed) == parse_instruction(text)


@pytest.mark.parametrize(("text", "offset"), SWIZZLES)
def test_encodes_swizzles(text: str, offset: int) -> None:
    value = parse_instruction(f"ds_swizzle_b32 v0, v1 offset:{text}").modifiers["offset"]
    assert isinstance(value, Swizzle)
    assert hex(value.offset) == hex(offset)


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_refuses_what_it_cannot_read(text: str, problem: str) -> None:
    with pytest.raises(RocmoeError) as caught:
        parse_instruction(text)
    message = str(caught.value)
    assert message.startswith("instruction:1: "), message
    assert problem in message
    assert text in message, f"the line is not shown: {message}"
    assert "\n" not in message


def test_splits_the_encoding_from_the_name() -> None:
    assert split_mnemonic("v_add_f32_e32") == ("v_add_f32", "e32")
    assert split_mnemonic("v_mov_b32_sdwa") == ("v_mov_b32", "sdwa")
    assert split_mnemonic("v_add_f32_e64_dpp") == ("v_add_f32", "e64_dpp")
    assert split_mnemonic("s_mov_b32") == ("s_mov_b32", "")
    assert parse_instruction("v_mov_b32_e32 v0, v1").mnemonic == "v_mov_b32_e32"


def test_gives_dpp_and_sdwa_with_the_assemblers_defaults() -> None:
    assert parse_instruction("v_mov_b32_dpp v0, v1 row_shr:4").dpp == Dpp("row_shr", 4, 15, 15)
    mirror = parse_instruction("v_mov_b32_dpp v0, v1 row_mirror row_mask:0x3 bound_ctrl:0").dpp
    assert mirror == Dpp("row_mirror", None, 3, 15, bound_ctrl=True)
    quad = parse_instruction("v_mov_b32_dpp v0, v1 quad_perm:[3,2,1,0] bound_ctrl:1").dpp
    assert quad == Dpp("quad_perm", (3, 2, 1, 0), 15, 15, bound_ctrl=True)
    assert parse_instruction("v_mov_b32_sdwa v0, v1 src0_sel:BYTE_1").sdwa == Sdwa(
        "DWORD", "UNUSED_PRESERVE", "BYTE_1", "DWORD"
    )
    assert parse_instruction("v_mov_b32_e32 v0, v1").dpp is None
    assert parse_instruction("v_mov_b32_e32 v0, v1").sdwa is None


def test_gives_special_operands_as_records() -> None:
    assert parse_instruction("s_waitcnt 0x0f73").operands[0].value == WaitCount(3, 7, 15)
    # vmcnt's two high bits stand apart from its low four.
    assert parse_instruction("s_waitcnt 0xc17f").operands[0].value == WaitCount(63, 7, 1)
    mode = parse_instruction("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 4), 0xf").operands[0]
    assert mode.value == HardwareRegister(1, 4, 4)
    on = parse_instruction("s_set_gpr_idx_on s0, gpr_idx(DST,SRC0)").operands[1]
    assert on.value == GprIndex(("SRC0", "DST"))
    assert parse_instruction("s_sendmsg sendmsg(MSG_DONE)").operands[0].value == Message("MSG_DONE")


def test_tells_scc_the_operand_from_scc_the_flag() -> None:
    assert parse_instruction("v_mov_b32 v0, scc").operands[1].value == Register("src_scc")
    load = parse_instruction("global_load_dword v0, v[2:3], off glc scc")
    assert dict(load.modifiers) == {"glc": True, "scc": True}


_REGISTERS = st.builds(Register, st.sampled_from("va"), st.integers(0, 200), st.integers(1, 32))
_VALUES = st.one_of(
    _REGISTERS,
    st.integers(-(2**31), 2**32 - 1).map(Integer),
    st.floats(allow_nan=False, allow_infinity=False, width=32).filter(bool).map(Real),
)
_SOURCES = st.builds(Operand, _VALUES, negate=st.booleans(), absolute=st.booleans())


@settings(max_examples=200, deadline=None)
@given(st.lists(_SOURCES, min_size=1, max_size=4), st.booleans())
def test_any_operands_survive_printing_and_reading(sources: list[Operand], clamp: bool) -> None:
    text = "v_fma_f32 " + ", ".join(map(str, sources)) + (" clamp" if clamp else "")
    assert list(parse_instruction(text).operands) == sources
    assert str(parse_instruction(text)) == text
