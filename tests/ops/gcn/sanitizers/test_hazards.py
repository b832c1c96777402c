"""Wait states that are owed: each rule found one short of enough, and silent with enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.instruction import parse_instruction
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.sanitizers.hazard_rules import find_rules
from rocmoe.ops.gcn.sanitizers.hazards import Hazard, find_hazards, find_static_transfers
from rocmoe.ops.gcn.target import ARCHITECTURES, Target

FIXTURES = Path(__file__).parents[1] / "fixtures"

# targets | the earlier | the later | wait states owed on those targets, and none on the others.
ROWS = """
all | v_readfirstlane_b32 s4, v0 | global_load_dword v1, v2, s[4:5] | 5
all | v_cmp_eq_u32_e64 s[8:9], v0, v1 | buffer_load_dword v2, v3, s[8:11], 0 offen | 5
all | v_readlane_b32 s4, v0, 1 | buffer_store_dword v1, v2, s[8:11], s4 offen | 5
all | v_readlane_b32 s4, v0, 1 | scratch_load_dword v1, off, s4 | 5
all | v_readlane_b32 m0, v0, 1 | global_load_lds_dword v[2:3], off | 5
all | v_readfirstlane_b32 s4, v0 | v_readlane_b32 s5, v1, s4 | 4
all | v_readfirstlane_b32 m0, v0 | v_writelane_b32 v1, 5, m0 | 4
all | v_div_scale_f32 v0, vcc, v1, v2, v3 | v_div_fmas_f32 v4, v5, v6, v7 | 4
all | v_cmp_lt_f64_e32 vcc, v[0:1], v[2:3] | v_div_fmas_f64 v[4:5], v[6:7], v[6:7], v[6:7] | 4
all | v_cmp_lt_f32_e32 vcc, v0, v1 | v_mov_b32_e32 v2, src_vccz | 5
all | v_cmpx_lt_f32_e64 s[0:1], v0, v1 | v_mov_b32_e32 v2, src_execz | 5
942 950 | v_cmp_lt_f32_e32 vcc, v0, v1 | v_cndmask_b32_e32 v2, v3, v4, vcc | 2
942 950 | v_readlane_b32 s0, v1, 0 | v_add_u32_e32 v2, s0, v3 | 2
all | v_add_co_u32_e32 v0, vcc, v1, v2 | v_addc_co_u32_e32 v3, vcc, v4, v5, vcc | 0
all | v_cmp_lt_f32_e64 s[0:1], v1, v2 | v_subb_co_u32_e64 v3, s[2:3], v4, v5, s[0:1] | 0
942 950 | v_readlane_b32 s0, v1, 2 | v_addc_co_u32_e64 v3, s[2:3], s0, v5, s[4:5] | 2
942 950 | v_cmp_lt_f32_e64 s[0:1], v1, v2 | v_cndmask_b32_e64 v3, v4, v5, s[0:1] | 2
942 950 | v_cmpx_lt_f32_e64 s[0:1], v0, v1 | v_mbcnt_lo_u32_b32 v2, exec_lo, 0 | 2
all | s_mov_b32 m0, s0 | s_sendmsg sendmsg(MSG_INTERRUPT) | 1
all | s_mov_b32 m0, s0 | ds_write_addtid_b32 v0 | 1
all | s_add_u32 m0, s0, s1 | ds_add_u32 v0, v1 gds | 1
all | s_mov_b32 m0, s0 | s_movrels_b32 s0, s1 | 1
all | s_mov_b32 m0, s0 | buffer_load_dword v1, s[4:7], 0 offen lds | 1
all | s_mov_b32 m0, s0 | global_load_lds_dword v[2:3], off | 1
all | s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 4), 0 | s_getreg_b32 s0, hwreg(HW_REG_MODE) | 2
all | s_setreg_b32 hwreg(HW_REG_MODE), s0 | s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 4), 0 | 2
all | s_setreg_b32 hwreg(HW_REG_TRAPSTS), s0 | s_rfe_b64 s[0:1] | 1
all | v_cmpx_eq_u32_e64 s[0:1], v8, v9 | v_mov_b32_dpp v1, v2 row_shr:1 bound_ctrl:1 | 5
all | v_cmpx_eq_u32_e64 s[0:1], v8, v9 | v_accvgpr_read_b32 v1, a0 | 0
942 950 | v_cmpx_eq_u32_e64 s[0:1], v8, v9 | v_readlane_b32 s2, v1, 3 | 4
942 950 | v_cmpx_eq_u32_e64 s[0:1], v8, v9 | v_readfirstlane_b32 s2, v1 | 4
942 950 | v_cmpx_eq_u32_e64 s[0:1], v8, v9 | v_writelane_b32 v1, s3, 3 | 4
950 | v_cmpx_eq_u32_e64 s[0:1], v8, v9 | v_permlane32_swap_b32_e32 v1, v2 | 4
all | v_mov_b32_e32 v0, 0 | v_mov_b32_dpp v1, v0 row_shr:1 bound_ctrl:1 | 2
all | v_mov_b32_e32 v1, 0 | v_mov_b32_dpp v1, v0 row_shr:1 row_mask:0xf bank_mask:0xf | 2
all | v_max_f32_dpp v2, v1, v1 row_ror:8 bound_ctrl:1 | v_max_f32_dpp v3, v2, v2 row_ror:4 | 2
90a | global_store_dwordx4 v[0:1], v[4:7], off | v_mov_b32_e32 v7, 0 | 1
942 950 | global_store_dwordx4 v[0:1], v[4:7], off | v_mov_b32_e32 v7, 0 | 2
942 950 | buffer_store_dwordx3 v[4:6], v0, s[4:7], 0 offen | v_pk_mov_b32 v[4:5], v[0:1], v[2:3] | 2
942 950 | flat_atomic_cmpswap_x2 v[0:1], v[4:7] | v_mov_b32_e32 v4, 0 | 2
all | buffer_store_dwordx4 v[4:7], v0, s[4:7], s8 offen | v_mov_b32_e32 v4, 0 | 0
all | global_store_dwordx2 v[0:1], v[4:5], off | v_mov_b32_e32 v4, 0 | 0
all | global_store_dwordx4 v[0:1], v[4:7], off | v_mov_b32_e32 v0, 0 | 0
942 950 | v_exp_f32_e32 v0, v1 | v_add_f32_e32 v2, v0, v3 | 1
942 950 | v_rcp_f64_e32 v[0:1], v[2:3] | v_fma_f64 v[4:5], v[0:1], v[6:7], v[6:7] | 1
all | v_exp_f32_e32 v0, v1 | v_rcp_f32_e32 v2, v0 | 0
all | v_exp_f32_e32 v0, v1 | global_store_dword v[2:3], v0, off | 0
942 950 | v_fma_f16 v0, v1, v2, v3 op_sel:[0,0,0,1] | v_add_f32_e32 v2, v0, v3 | 1
all | v_fma_f16 v0, v1, v2, v3 op_sel:[1,1,1,0] | v_add_f32_e32 v2, v0, v3 | 0
942 950 | v_mov_b32_sdwa v0, v1 dst_sel:WORD_1 dst_unused:UNUSED_PAD | v_add_f32_e32 v2, v0, v3 | 1
942 950 | v_mov_b32_sdwa v0, v1 dst_sel:BYTE_1 | v_mov_b32_sdwa v0, v3 dst_sel:BYTE_2 | 1
all | v_mov_b32_sdwa v0, v1 dst_sel:DWORD src0_sel:WORD_1 | v_add_f32_e32 v2, v0, v3 | 0
942 950 | v_cvt_pk_fp8_f32 v0, v1, v2 op_sel:[0,0,1] | v_mov_b32_e32 v2, v0 | 1
942 950 | v_cvt_sr_fp8_f32 v0, v1, v2 op_sel:[0,0,1,0] | v_mov_b32_e32 v2, v0 | 1
all | v_pk_add_f32 v[0:1], v[2:3], v[4:5] op_sel_hi:[1,1] | v_add_f32_e32 v2, v0, v3 | 0
950 | v_cvt_scalef32_pk_fp4_f32 v0, v1, v2, v3 | v_mov_b32_e32 v2, v0 | 1
942 950 | v_mov_b32_e32 v0, 0 | v_readfirstlane_b32 s0, v0 | 1
942 950 | v_mov_b32_e32 v0, 0 | v_readlane_b32 s0, v0, 3 | 1
950 | v_mov_b32_e32 v0, 0 | v_permlane16_swap_b32_e32 v0, v1 | 2
all | v_dot2_f32_f16 v0, v1, v2, v3 | v_add_f32_e32 v4, v0, v5 | 3
all | v_dot2_f32_f16 v0, v1, v2, v3 | global_store_dword v[4:5], v0, off | 3
all | v_dot2_f32_f16 v0, v1, v2, v3 | v_dot2_f32_f16 v4, v0, v2, v3 | 3
all | v_dot2_f32_f16 v0, v1, v2, v3 | v_dot2_f32_f16 v4, v1, v2, v0 | 0
all | v_dot2c_f32_f16_e32 v0, v1, v2 | v_dot2c_f32_f16_e32 v0, v3, v4 | 0
all | v_dot2_f32_f16 v0, v1, v2, v3 | v_mov_b32_e32 v0, 0 | 3
all | v_mov_b32_e32 v0, 0 | v_add_f32_e32 v2, v0, v3 | 0
all | v_mov_b32_e32 v0, 0 | global_store_dword v[2:3], v0, off | 0
all | s_mov_b32 s4, 0 | global_load_dword v1, v2, s[4:5] | 0
"""

HALF = {"gfx90a": "f16", "gfx942": "_f16", "gfx950": "_f16"}
SINGLE = {"gfx90a": "f32", "gfx942": "_f32", "gfx950": "_f32"}
DOUBLE = {"gfx90a": "f64", "gfx942": "_f64", "gfx950": "_f64"}

# target | shape and type | C of an XDL, of an f32, of an f64 instruction that overlaps |
# the same C | A or B | VALU read | memory read | VALU write | VALU write of C
MATRIX = """
90a half 4x4x4 | 2 2 3 | 0 | 5 5 5 5 1
90a half 16x16x16 | 8 8 9 | 0 | 11 11 11 11 7
90a half 32x32x8 | 16 16 17 | 0 | 19 19 19 19 15
90a single 32x32x2 | 16 16 17 | 0 | 19 19 19 19 15
90a double 4x4x4 | 0 0 4 | 4 | 6 6 9 6 0
90a double 16x16x4 | 0 0 9 | 0 | 11 11 18 11 0
942 half 4x4x4 | 3 3 3 | 2 | 5 5 5 5 1
942 half 16x16x16 | 5 5 5 | 0 | 7 7 7 7 3
942 half 32x32x8 | 9 9 9 | 0 | 11 11 11 11 7
942 half 32x32x4 | 17 17 17 | 0 | 19 19 19 19 15
942 single 4x4x1 | 0 2 2 | 2 | 4 4 4 4 0
942 single 16x16x4 | 0 8 8 | 0 | 10 10 10 10 0
942 single 32x32x2 | 0 16 16 | 0 | 18 18 18 18 0
942 double 4x4x4 | 0 4 4 | 4 | 6 6 9 6 0
942 double 16x16x4 | 0 9 9 | 0 | 11 11 18 11 0
950 half 4x4x4 | 4 3 3 | 2 | 5 5 5 5 1
950 half 16x16x32 | 6 6 6 | 0 | 8 8 8 8 3
950 half 32x32x16 | 10 10 10 | 0 | 12 12 12 12 7
950 half 32x32x4 | 18 18 18 | 0 | 20 20 20 20 15
950 single 32x32x1 | 0 16 16 | 0 | 18 18 18 18 0
950 double 4x4x4 | 0 4 4 | 4 | 6 6 9 6 0
950 double 16x16x4 | 0 17 17 | 0 | 19 19 18 11 0
"""
KINDS = {"half": HALF, "single": SINGLE, "double": DOUBLE}


def program_of(architecture: str, lines: list[str]) -> Program:
    instructions = tuple(parse_instruction(line) for line in lines)
    return Program("test", Target(architecture), instructions, {}, (), {}, {})


def hazards_of(architecture: str, lines: list[str]) -> list[Hazard]:
    program = program_of(architecture, lines)
    return find_hazards(program, (), 0, range(len(lines)))


def wait(states: int) -> list[str]:
    """s_nop of 16 wait states at most each."""
    full, rest = divmod(states, 16)
    return ["s_nop 15"] * full + ([f"s_nop {rest - 1}"] if rest else [])


def check(architecture: str, earlier: str, later: str, owed: int) -> None:
    for states in {0, owed // 2, owed - 1} if owed else ():
        found = hazards_of(architecture, [earlier, *wait(states), later])
        worst = max(found, key=lambda hazard: hazard.owed, default=None)
        assert worst is not None, f"{states} of {owed} wait states are not found too few"
        assert (worst.writer, worst.reader) == (0, 1 + len(wait(states)))
        assert (worst.owed, worst.given) == (owed, states)
    assert hazards_of(architecture, [earlier, *wait(owed), later]) == []


@pytest.mark.parametrize("row", ROWS.strip().splitlines())
def test_rule(row: str) -> None:
    targets, earlier, later, owed = row.split(" | ")
    wanted = {f"gfx{name}" for name in targets.split()}
    if targets == "all":
        wanted = set(ARCHITECTURES)
    for architecture in ARCHITECTURES:
        if architecture in wanted:
            check(architecture, earlier, later, int(owed))


SILENT_ON_GFX90A = [row for row in ROWS.strip().splitlines() if row.startswith(("942", "950"))]


@pytest.mark.parametrize(
    "row", [row for row in SILENT_ON_GFX90A if "store_dwordx" not in row and "cmpswap" not in row]
)
def test_rule_of_later_targets_is_silent_on_gfx90a(row: str) -> None:
    _, earlier, later, _ = row.split(" | ")
    assert hazards_of("gfx90a", [earlier, later]) == []


def matrix(architecture: str, kind: str, shape: str, c: str = "v[0:1]", d: str = "v[0:31]") -> str:
    """An instruction of a shape; its factors are v200 and up."""
    result = "f64" if kind == "double" else "f32"
    return f"v_mfma_{result}_{shape}{KINDS[kind][architecture]} {d}, v[200:201], v[202:203], {c}"


@pytest.mark.parametrize("row", MATRIX.strip().splitlines())
def test_matrix_rule(row: str) -> None:
    head, overlapping, same, others = row.split(" | ")
    target, kind, shape = head.split()
    architecture = f"gfx{target}"
    writer = matrix(architecture, kind, shape, c="v[100:131]")
    for reader, owed in zip(("half", "single", "double"), overlapping.split(), strict=True):
        later = matrix(architecture, reader, "4x4x4" if reader != "single" else "4x4x1", "v[2:3]")
        check(architecture, writer, later.replace("v[0:31]", "v[220:223]"), int(owed))
    own = matrix(architecture, kind, shape, c="v[0:31]")
    check(architecture, own, own.replace("v[200:201]", "v[204:205]"), int(same))
    readers = (
        f"v_mfma_f32_4x4x4{HALF[architecture]} v[220:223], v[30:31], v[202:203], 0",
        "v_add_f32_e32 v220, v31, v221",
        "global_store_dword v[220:221], v31, off",
        "v_mov_b32_e32 v31, 0",
        "v_mov_b32_e32 v131, 0",
    )
    for later, owed in zip(readers, others.split(), strict=True):
        check(architecture, writer, later, int(owed))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rules_into_matrix_instructions(architecture: str) -> None:
    factor = matrix(architecture, "half", "4x4x4")
    check(architecture, "v_mov_b32_e32 v203, 0", factor, 2)
    check(architecture, "v_mov_b32_e32 v1, 0", factor, 2)
    check(architecture, "v_accvgpr_write_b32 a3, v1", factor.replace("v[0:1]", "a[0:3]"), 2)
    check(architecture, "v_cmpx_eq_u32_e64 s[0:1], v8, v9", factor, 4)
    check(architecture, "v_dot2_f32_f16 v203, v1, v2, v3", factor, 0)
    double = matrix(architecture, "double", "4x4x4")
    check(architecture, double, "v_fma_f64 v[60:61], v[62:63], v[62:63], v[62:63]", 2)
    check(architecture, double, "v_fmac_f64_e32 v[60:61], v[62:63], v[62:63]", 2)


@pytest.mark.parametrize(("architecture", "owed"), [("gfx90a", 0), ("gfx942", 9), ("gfx950", 10)])
def test_an_addend_is_forwarded_between_instructions_of_as_many_passes(
    architecture: str, owed: int
) -> None:
    writer = matrix(architecture, "half", "32x32x8", "v[0:15]", "v[0:15]")
    check(architecture, writer, writer.replace("v[200:201]", "v[204:205]"), 0)
    check(
        architecture, writer, matrix(architecture, "half", "32x32x4", "v[0:15]", "v[60:75]"), owed
    )


def test_other_matrix_instructions_by_their_passes() -> None:
    reader = "v_mov_b32_e32 v220, v3"
    for text, owed in {
        "v_mfma_f32_32x32x4_xf32 v[0:15], v[20:21], v[22:23], 0": 11,
        "v_mfma_f32_16x16x8_xf32 v[0:3], v[20:21], v[22:23], 0": 7,
        "v_mfma_i32_32x32x16_i8 v[0:15], v[20:21], v[22:23], 0": 11,
        "v_mfma_f32_16x16x32_fp8_bf8 v[0:3], v[20:21], v[22:23], 0": 7,
        "v_mfma_f32_32x32x4_2b_bf16 v[0:31], v[40:41], v[42:43], 0": 19,
        "v_smfmac_f32_16x16x32_f16 v[0:3], v[20:21], v[22:25], v26": 7,
        "v_smfmac_f32_32x32x16_f16 v[0:15], v[20:21], v[22:25], v26": 11,
    }.items():
        check("gfx942", text, reader, owed)
    scaled = "v_mfma_f32_32x32x64_f8f6f4 v[0:15], v[20:27], v[30:37], 0"
    check("gfx950", scaled, reader, 20)
    check("gfx950", f"{scaled} cbsz:4 blgp:4", reader, 12)
    check("gfx950", "v_mfma_i32_16x16x64_i8 v[0:3], v[20:23], v[24:27], 0", reader, 8)
    index = "v_smfmac_f32_16x16x32_f16 v[40:43], v[20:21], v[22:25], v3"
    check("gfx942", "v_mfma_f32_16x16x16_f16 v[0:3], v[20:21], v[22:23], 0", index, 7)


def test_f64_matrix_instruction_between_a_write_and_memory() -> None:
    """gfx90a alone: the interlock for the two wait states fails behind a DGEMM."""
    between = "v_mfma_f64_4x4x4f64 v[60:61], v[62:63], v[64:65], 0"
    lines = ["v_mov_b32_e32 v0, 0", between, "global_store_dword v[2:3], v0, off"]
    (hazard,) = hazards_of("gfx90a", lines)
    assert (hazard.owed, hazard.given, hazard.register) == (2, 1, "v0")
    assert hazards_of("gfx90a", [lines[0], between, "s_nop 0", lines[2]]) == []
    assert hazards_of("gfx942", [lines[0], between.replace("4f64", "4_4b_f64"), lines[2]]) == []


WRITE, READ = "v_mov_b32_e32 v0, 0", "v_mov_b32_dpp v1, v0 row_shr:1 bound_ctrl:1"


def test_every_instruction_is_a_wait_state() -> None:
    for filler in ("s_waitcnt vmcnt(0)", "v_mov_b32_e32 v9, 0", "s_nop 0", "s_barrier"):
        assert len(hazards_of("gfx90a", [WRITE, filler, READ])) == 1
        assert hazards_of("gfx90a", [WRITE, filler, filler, READ]) == []


def test_an_overwritten_register_is_the_later_writers() -> None:
    lines = ["v_readfirstlane_b32 s4, v0", "s_mov_b32 s4, 0", "global_load_dword v1, v2, s[4:5]"]
    assert hazards_of("gfx90a", lines) == []
    lines[1] = "s_mov_b32 s6, 0"
    assert [hazard.register for hazard in hazards_of("gfx90a", lines)] == ["s4"]


def test_paths_are_those_that_were_taken() -> None:
    """The write stands behind the read, and reaches it by the branch back alone."""
    lines = [READ, "s_nop 5", WRITE, "s_cbranch_scc1 L", "s_endpgm", READ]
    program = program_of("gfx942", lines)
    everything = range(len(lines))
    assert find_hazards(program, (), 0, everything) == []
    (hazard,) = find_hazards(program, [(3, 0)], 0, everything)
    assert (hazard.writer, hazard.reader, hazard.given) == (2, 0, 1)
    assert find_hazards(program, [(3, 0)], 0, [0, 1, 3]) == [], "the write did not run"
    assert hazard.describe(program) == (
        "VALU writes a VGPR that DPP reads: v0 needs 2 wait states after "
        "test:1: v_mov_b32_e32 v0, 0, found 1"
    )


def test_the_shortest_way_counts() -> None:
    lines = [WRITE, "s_cbranch_scc1 L", "s_nop 4", READ]
    (hazard,) = find_hazards(program_of("gfx942", lines), [(1, 3)], 0, range(4))
    assert (hazard.owed, hazard.given) == (2, 1)


def test_nothing_falls_into_the_entry() -> None:
    program = program_of("gfx942", [WRITE, READ])
    assert len(find_hazards(program, (), 0, (0, 1))) == 1
    assert find_hazards(program, (), 1, (0, 1)) == []


def test_a_register_is_named_in_words() -> None:
    def names(*lines: str) -> list[str]:
        return [hazard.register for hazard in hazards_of("gfx90a", list(lines))]

    mode = "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 4), 0"
    assert names(mode, "s_getreg_b32 s0, hwreg(HW_REG_MODE)") == ["hwreg(HW_REG_MODE)"]
    vcc = "v_cmp_eq_u32_e32 vcc, v0, v1"
    assert names(vcc, "v_div_fmas_f32 v4, v5, v6, v7") == ["vcc_lo"]
    double = "v_mfma_f64_4x4x4f64 v[60:61], v[62:63], v[64:65], 0"
    assert names(double, "v_fma_f64 v[0:1], v[2:3], v[2:3], v[2:3]") == ["the f64 unit"]


def test_an_unknown_instruction_is_refused() -> None:
    with pytest.raises(RocmoeError, match="v_nonsense_b32"):
        hazards_of("gfx942", ["v_nonsense_b32 v0, v1"])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_rule_has_a_name_and_a_source(architecture: str) -> None:
    rules = find_rules(architecture)
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.source for rule in rules)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_rule_is_broken_by_a_row(architecture: str) -> None:
    pairs = [row.split(" | ")[1:3] for row in ROWS.strip().splitlines()]
    half, double = (matrix(architecture, kind, "4x4x4") for kind in ("half", "double"))
    pairs += [[half, half], [half, READ.replace("v0", "v3")], [half, "ds_write_b32 v3, v4"]]
    pairs += [["v_mov_b32_e32 v3, 0", half.replace("v[0:1]", "v[2:3]")], [half, WRITE]]
    pairs += [["v_cmpx_eq_u32_e64 s[0:1], v8, v9", half]]
    pairs += [[half, half.replace("v[200:201]", "v[0:1]")]]
    pairs += [[half.replace("v[0:1]", "v[60:63]"), "v_mov_b32_e32 v60, 0"]]
    pairs += [[double, "v_fma_f64 v[60:61], v[62:63], v[62:63], v[62:63]"]]
    pairs += [[WRITE, double, "global_store_dword v[2:3], v0, off"]]
    spread = double.replace("v[0:31]", "v[60:61]").replace("v[0:1]", "0")
    pairs += [[WRITE, spread, "global_store_dword v[2:3], v0, off"]]
    found = {hazard.rule for lines in pairs for hazard in hazards_of(architecture, lines)}
    assert found == {rule.name for rule in find_rules(architecture)}


COMPILED = [path for path in sorted(FIXTURES.glob("*.s")) if path.name != "row_max.gfx942.s"]


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_compiled_code_is_clean(path: Path) -> None:
    program = read_program(path.read_text(), path.name)
    everything = range(len(program.instructions))
    transfers = find_static_transfers(program)
    assert find_hazards(program, transfers, program.kernels[0].entry, everything) == []


def test_hand_written_code_that_owes() -> None:
    """Written to be read, not run: its DPP chain gives no wait states."""
    path = FIXTURES / "row_max.gfx942.s"
    program = read_program(path.read_text(), path.name)
    found = find_hazards(
        program,
        find_static_transfers(program),
        program.kernels[0].entry,
        range(len(program.instructions)),
    )
    dpp = "VALU writes a VGPR that DPP reads"
    assert [(hazard.rule, hazard.register, hazard.given) for hazard in found] == [
        (dpp, "v3", 1),
        (dpp, "v2", 0),
        (dpp, "v2", 0),
        (dpp, "v2", 0),
        ("VALU writes a VGPR that v_readlane or v_readfirstlane reads", "v2", 0),
        ("VALU writes an SGPR that the VALU reads as a constant", "s14", 1),
    ]
