"""Registers that instructions read and write, as literal numbers for every class of them."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn import semantics
from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.footprint import (
    find_dwords,
    find_footprint,
    name_dword,
    scalar_number,
)
from rocmoe.ops.gcn.instruction import Instruction, parse_instruction
from rocmoe.ops.gcn.operand_roles import is_matrix
from rocmoe.ops.gcn.operands import Operand, Register
from rocmoe.ops.gcn.semantics.mfma import MFMA
from rocmoe.ops.gcn.semantics.operation import Operation

FIXTURES = Path(__file__).parent / "fixtures"

# instruction: writes / reads / addresses / data / kept; `x` is EXEC (638 and 639), `r` is s[4:7].
SCALAR = """
s_mov_b32 s3, s4: 515 / 516
s_mov_b64 s[2:3], 1: 514 515 /
s_mov_b32 null, s4: / 516
s_mov_b32 m0, s4: 636 / 516
s_mov_b64 exec, vcc: 638 639 / 618 619
s_mov_b32 vcc_hi, exec_lo: 619 / 638
s_mov_b32 s0, ttmp9: 512 / 629
s_mov_b32 flat_scratch_lo, s1: 614 / 513
s_mov_b32 xnack_mask_hi, src_scc: 617 / 765
s_mov_b64 s[0:1], src_shared_base: 512 513 /
s_mov_b32 s0, src_vccz: 512 / 618 619
s_add_u32 s0, s1, s2: 512 765 / 513 514
s_addc_u32 s0, s1, s2: 512 765 / 513 514 765
s_subb_u32 s0, s1, 5: 512 765 / 513 765
s_mul_i32 s0, s1, s2: 512 / 513 514
s_cselect_b64 s[0:1], s[2:3], 0: 512 513 / 514 515 765
s_lshl_b64 s[0:1], s[2:3], s4: 512 513 765 / 514 515 516
s_cmp_lg_u32 s1, 0: 765 / 513
s_cmpk_gt_i32 s1, 0x7: 765 / 513
s_bitcmp1_b32 s1, s2: 765 / 513 514
s_cmov_b32 s0, s1: 512 / 512 513 765
s_cmovk_i32 s0, 0x10: 512 / 512 765
s_addk_i32 s0, 0x10: 512 765 / 512
s_mulk_i32 s0, 0x10: 512 / 512
s_movk_i32 s0, 0x10: 512 /
s_bitset1_b32 s0, s1: 512 / 512 513
s_bitset0_b64 s[0:1], s2: 512 513 / 512 513 514
s_ff1_i32_b64 s0, s[2:3]: 512 / 514 515
s_bcnt1_i32_b64 s0, vcc: 512 765 / 618 619
s_and_saveexec_b64 s[0:1], vcc: 512 513 638 639 765 / 618 619 x
s_andn1_saveexec_b64 s[0:1], s[2:3]: 512 513 638 639 765 / 514 515 x
s_andn2_wrexec_b64 s[0:1], s[2:3]: 512 513 638 639 765 / 514 515 x
s_getreg_b32 s0, hwreg(HW_REG_MODE): 512 /
s_setreg_b32 hwreg(HW_REG_MODE, 0, 4), s2: / 514
s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 4), 0: /
s_getpc_b64 s[4:5]: 516 517 /
s_setpc_b64 s[30:31]: / 542 543 / 542 543
s_swappc_b64 s[30:31], s[4:5]: 542 543 / 516 517 / 516 517
s_memtime s[4:5]: 516 517 /
s_load_dwordx4 s[0:3], s[4:5], 0x10: 512 513 514 515 / 516 517 / 516 517
s_load_dword s0, s[4:5], s8: 512 / 516 517 520 / 516 517 520
s_buffer_load_dwordx2 s[0:1], s[4:7], 0x0: 512 513 / 516 517 518 519 / 516 517 518 519
s_store_dword s0, s[4:5], 0x0: / 512 516 517 / 516 517 / 512
s_dcache_wb: /
s_nop 0: /
s_waitcnt vmcnt(0): /
s_barrier: /
s_branch L: /
s_call_b64 s[0:1], L: 512 513 /
s_cbranch_scc1 L: / 765
s_cbranch_vccz L: / 618 619
s_cbranch_execnz L: / 638 639
s_sendmsg sendmsg(MSG_INTERRUPT): / 636
s_set_gpr_idx_on s2, gpr_idx(DST): 636 / 514
s_set_gpr_idx_idx s2: 636 / 514 636
s_set_gpr_idx_off: /
s_movrels_b32 s0, s1: 512 / 513 636 / 636
"""
VECTOR = """
v_nop: /
v_mov_b32_e32 v1, v2: 1 / 2 x
v_mov_b32_e32 v1, src_scc: 1 / 765 x
v_mov_b64_e32 v[2:3], s[4:5]: 2 3 / 516 517 x
v_add_u32_e32 v0, s3, v255: 0 / 515 255 x
v_add_co_u32_e32 v0, vcc, v1, v2: 0 618 619 / 1 2 x
v_addc_co_u32_e64 v0, s[0:1], v1, v2, s[2:3]: 0 512 513 / 1 2 514 515 x
v_mad_u64_u32 v[0:1], s[2:3], v4, v5, v[6:7]: 0 1 514 515 / 4 5 6 7 x
v_div_scale_f64 v[0:1], vcc, v[2:3], v[4:5], v[2:3]: 0 1 618 619 / 2 3 4 5 x
v_div_fmas_f32 v0, v1, v2, v3: 0 / 1 2 3 618 619 x
v_cndmask_b32_e32 v0, v1, v2, vcc: 0 / 1 2 618 619 x
v_cmp_lt_i32_e32 vcc, v1, v2: 618 619 / 1 2 x
v_cmp_class_f32_e64 s[4:5], v1, v2: 516 517 / 1 2 x
v_cmpx_lt_i32_e64 s[4:5], v1, v2: 516 517 638 639 / 1 2 x
v_fmac_f32_e32 v0, v1, v2: 0 / 0 1 2 x
v_mac_f16_e32 v0, v1, v2: 0 / 0 1 2 x
v_fma_f32 v0, v1, v2, v3: 0 / 1 2 3 x
v_fmaak_f32 v0, v1, v2, 0x40000000: 0 / 1 2 x
v_dot2c_f32_f16_e32 v0, v1, v2: 0 / 0 1 2 x
v_dot4c_i32_i8_e32 v0, v1, v2: 0 / 0 1 2 x
v_dot4_i32_i8 v0, v1, v2, v3: 0 / 1 2 3 x
v_pk_fmac_f16_e32 v0, v1, v2: 0 / 0 1 2 x
v_pk_fma_f32 v[0:1], v[2:3], v[4:5], v[6:7] op_sel_hi:[1,1,1]: 0 1 / 2 3 4 5 6 7 x
v_pk_mul_f16 v0, v1, v2 op_sel:[0,1]: 0 / 1 2 x
v_swap_b32 v0, v1: 0 1 / 0 1 x
v_permlane16_swap_b32_e32 v0, v1: 0 1 / 0 1 x
v_permlane32_swap_b32_e64 v0, v1: 0 1 / 0 1 x
v_readfirstlane_b32 s0, v1: 512 / 1 x
v_readlane_b32 s0, v1, s2: 512 / 1 514 / 514
v_readlane_b32 s0, v1, 3: 512 / 1
v_writelane_b32 v0, s1, m0: 0 / 0 513 636 / 636 / / 0
v_mbcnt_lo_u32_b32 v0, exec_lo, 0: 0 / x
v_accvgpr_write_b32 a3, v1: 259 / 1 x
v_accvgpr_read_b32 v1, a255: 1 / 511 x
v_mov_b32_dpp v0, v1 row_shr:1 row_mask:0xf bank_mask:0xf: 0 / 0 1 x / / / 0
v_mov_b32_dpp v0, v1 row_shr:1 row_mask:0xf bank_mask:0xf bound_ctrl:1: 0 / 1 x
v_mov_b32_dpp v0, v1 row_bcast:15 row_mask:0xa bank_mask:0xf bound_ctrl:1: 0 / 0 1 x / / / 0
v_add_u32_dpp v0, v0, v1 row_shr:1 row_mask:0xf bank_mask:0xf: 0 / 0 1 x
v_mov_b32_sdwa v0, v1 dst_sel:BYTE_1 dst_unused:UNUSED_PRESERVE src0_sel:DWORD: 0 / 0 1 x / / / 0
v_mov_b32_sdwa v0, v1 dst_sel:WORD_1 dst_unused:UNUSED_PAD src0_sel:BYTE_0: 0 / 1 x
v_add_u32_sdwa v0, v1, v2 dst_sel:DWORD src0_sel:BYTE_0 src1_sel:DWORD: 0 / 1 2 x
v_cmp_gt_u32_sdwa s[0:1], v1, v2 src0_sel:BYTE_0 src1_sel:DWORD: 512 513 / 1 2 x
v_fma_f16 v0, v1, v2, v3: 0 / 1 2 3 x
v_fma_f16 v0, v1, v2, v3 op_sel:[0,0,0,1]: 0 / 0 1 2 3 x / / / 0
v_fma_f16 v0, v1, v2, v3 op_sel:[1,1,1,0]: 0 / 1 2 3 x
v_fma_mixlo_f16 v0, v1, v2, v3: 0 / 0 1 2 3 x / / / 0
v_fma_mix_f32 v0, v1, v2, v3 op_sel:[0,0,1]: 0 / 1 2 3 x
v_cvt_pk_fp8_f32 v0, v1, v2: 0 / 0 1 2 x / / / 0
v_cvt_sr_bf8_f32 v0, v1, v2: 0 / 0 1 2 x / / / 0
v_cvt_pk_f32_fp8_e32 v[0:1], v2: 0 1 / 2 x
v_cvt_pk_bf16_f32 v0, v1, v2: 0 / 1 2 x
v_mfma_f32_4x4x4_16b_f16 a[0:3], v[0:1], v[2:3], a[4:7]: 256 257 258 259 / 0 1 2 3 260 261 262 263
v_mfma_f32_4x4x4f16 v[8:11], v[0:1], v[2:3], 0: 8 9 10 11 / 0 1 2 3
v_smfmac_f32_16x16x32_f16 v[0:3], v[4:5], v[6:9], v10: 0 1 2 3 / 0 1 2 3 4 5 6 7 8 9 10
"""
MEMORY = """
ds_read_b64 v[0:1], v2 offset:8: 0 1 / 2 x / 2
ds_read2_b32 v[0:1], v2 offset1:1: 0 1 / 2 x / 2
ds_read_u16_d16_hi v0, v2: 0 / 0 2 x / 2 / / 0
ds_read_b64_tr_b16 v[0:1], v2: 0 1 / 2 x / 2
ds_read_addtid_b32 v0: 0 / 636 x / 636
ds_write_b32 v0, v1: / 0 1 x / 0 / 1
ds_write2st64_b64 v0, v[2:3], v[4:5]: / 0 2 3 4 5 x / 0 / 2 3 4 5
ds_write_addtid_b32 v0: / 0 636 x / 636 / 0
ds_add_u32 v0, v1: / 0 1 x / 0 / 1
ds_add_u32 v0, v1 gds: / 0 1 636 x / 0 636 / 1
ds_add_rtn_u32 v2, v0, v1: 2 / 0 1 x / 0 / 1
ds_cmpst_rtn_b64 v[6:7], v0, v[2:3], v[4:5]: 6 7 / 0 2 3 4 5 x / 0 / 2 3 4 5
ds_pk_add_rtn_f16 v2, v0, v1: 2 / 0 1 x / 0 / 1
ds_bpermute_b32 v0, v1, v2: 0 / 1 2 x / 1
ds_swizzle_b32 v0, v1 offset:swizzle(SWAP,1): 0 / 1 x
ds_append v0: 0 / 636 x / 636
buffer_load_dword v0, off, s[4:7], 0: 0 / r x / r
buffer_load_dwordx2 v[0:1], v[2:3], s[4:7], s8 idxen offen: 0 1 / 2 3 r 520 x / 2 3 r 520
buffer_load_short_d16 v0, v1, s[4:7], 0 offen: 0 / 0 1 r x / 1 r / / 0
buffer_load_dword v1, s[4:7], s8 offen lds: / 1 r 520 636 x / 1 r 520 636
buffer_load_dword a0, v1, s[4:7], 0 offen: 256 / 1 r x / 1 r
buffer_store_dwordx2 v[0:1], v2, s[4:7], m0 offen: / 0 1 2 r 636 x / 2 r 636 / 0 1
buffer_atomic_add v0, v1, s[4:7], 0 offen: / 0 1 r x / 1 r / 0
buffer_atomic_add v0, v1, s[4:7], 0 offen glc: 0 / 0 1 r x / 1 r / 0
buffer_atomic_cmpswap v[2:3], v1, s[4:7], 0 offen sc0: 2 / 1 2 3 r x / 1 r / 2 3
buffer_atomic_cmpswap_x2 v[2:5], off, s[4:7], 0 glc: 2 3 / 2 3 4 5 r x / r / 2 3 4 5
buffer_wbl2 sc1: /
buffer_inv sc1: /
global_load_dword v0, v[2:3], off: 0 / 2 3 x / 2 3
global_load_dwordx4 v[4:7], v0, s[2:3] offset:16: 4 5 6 7 / 0 514 515 x / 0 514 515
global_load_ubyte_d16_hi v0, v[2:3], off: 0 / 0 2 3 x / 2 3 / / 0
global_load_lds_dwordx4 v[2:3], off: / 2 3 636 x / 2 3 636
global_store_short v0, v1, s[2:3]: / 0 1 514 515 x / 0 514 515 / 1
global_atomic_add v0, v1, s[2:3]: / 0 1 514 515 x / 0 514 515 / 1
global_atomic_add v5, v0, v1, s[2:3] sc0: 5 / 0 1 514 515 x / 0 514 515 / 1
global_atomic_cmpswap v5, v[0:1], v[2:3], off glc: 5 / 0 1 2 3 x / 0 1 / 2 3
global_atomic_pk_add_f16 v[0:1], v2, off: / 0 1 2 x / 0 1 / 2
flat_load_dword v0, v[2:3]: 0 / 2 3 x / 2 3
flat_store_byte_d16_hi v[2:3], v0: / 0 2 3 x / 2 3 / 0
flat_atomic_add_f64 v[0:1], v[2:3]: / 0 1 2 3 x / 0 1 / 2 3
scratch_load_dword v0, off, s32: 0 / 544 x / 544
scratch_store_dwordx2 off, v[0:1], s32 offset:8: / 0 1 544 x / 544 / 0 1
scratch_store_dword v4, v0, off: / 0 4 x / 4 / 0
"""
WORDS = {"x": "638 639", "r": "516 517 518 519"}


def rows(text: str) -> Iterator[tuple[str, str]]:
    for line in text.strip().splitlines():
        found = re.fullmatch(r"(.*): ?(/.*|[\dxr ]+/.*)", line)
        assert found, line
        yield found[1], found[2]


@pytest.mark.parametrize(("text", "expected"), [*rows(SCALAR), *rows(VECTOR), *rows(MEMORY)])
def test_footprint(text: str, expected: str) -> None:
    sets = [
        frozenset(int(n) for word in part.split() for n in WORDS.get(word, word).split())
        for part in expected.split("/")
    ]
    sets += [frozenset()] * (5 - len(sets))
    found = find_footprint(parse_instruction(text))
    assert (found.writes, found.reads, found.addresses, found.data, found.kept) == tuple(sets)


def declared() -> dict[str, Operation]:
    modules = (
        importlib.import_module(f"{semantics.__name__}.{module.name}")
        for module in pkgutil.iter_modules(semantics.__path__)
    )
    return {n: op for m in modules for n, op in getattr(m, "OPERATIONS", {}).items()}


@pytest.mark.parametrize("operation", declared().values(), ids=lambda operation: operation.name)
def test_every_operation_writes_what_its_semantics_declare(operation: Operation) -> None:
    """With a register of its own for each operand, as many are written as there are results."""
    texts = [Operand(Register("v", 10 * at)) for at in range(len(operation.sources) + 2)]
    writes = find_footprint(Instruction(operation.name, operands=tuple(texts))).writes
    results = len(operation.results)
    if operation.name.startswith("v_cmpx_"):
        results = 3
    elif operation.name.endswith(("saveexec_b64", "wrexec_b64")):
        results = 4
    elif operation.name == "v_mqsad_u32_u8":
        results = 1
    assert len(writes) == results


@pytest.mark.parametrize("arch", MFMA)
def test_every_matrix_instruction_is_known_as_one(arch: str) -> None:
    for name in MFMA[arch]:
        assert is_matrix(name)
        text = f"{name} a[0:1], v[0:1], v[2:3], a[4:5]"
        assert find_footprint(parse_instruction(text)).writes == {256, 257}


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.s")), ids=lambda path: path.name)
def test_every_compiled_instruction_is_known(path: Path) -> None:
    for instruction in read_program(path.read_text(), path.name).instructions:
        found = find_footprint(instruction)
        assert found.addresses | found.data | found.kept <= found.reads
        assert found.kept <= found.writes


@pytest.mark.parametrize(
    "name", ["v_nonsense_b32", "v_add_nc_u32", "s_nonsense", "ds_nonsense", "global_load_b32"]
)
def test_an_unknown_instruction_is_named(name: str) -> None:
    with pytest.raises(RocmoeError, match=f"line 7: which registers {name} reads"):
        find_footprint(Instruction(name, line=7))


def test_scalar_number() -> None:
    assert scalar_number(Register("s", 101)) == 613
    assert scalar_number(Register("exec", 1)) == 639
    with pytest.raises(RocmoeError, match=r"v3 is no scalar register"):
        scalar_number(Register("v", 3))
    with pytest.raises(RocmoeError, match=r"null is no scalar register"):
        scalar_number(Register("null"))


@pytest.mark.parametrize("text", ["v7", "a255", "s0", "s101", "vcc_hi", "m0", "exec_lo", "ttmp15"])
def test_names_of_dwords_read_back(text: str) -> None:
    (operand,) = parse_instruction(f"v_readfirstlane_b32 {text}").operands
    assert isinstance(operand.value, Register)
    (number,) = find_dwords(operand.value)
    assert name_dword(number) == text


def test_name_of_scc() -> None:
    assert name_dword(765) == "scc"
