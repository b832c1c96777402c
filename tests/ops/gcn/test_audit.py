"""What an audit reads out of texts and code objects, for every architecture."""

import io
import re
from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.audit import annotate, audit
from rocmoe.ops.gcn.instruction import Instruction, parse_instruction, split_mnemonic
from rocmoe.ops.gcn.kernel_code import read_kernel_codes, read_text
from rocmoe.ops.gcn.objdump import find_objdumps
from rocmoe.ops.gcn.static_counts import (
    COUNTS,
    classify_any,
    count_instructions,
    describe,
    find_width,
)

FIXTURES = Path(__file__).parent / "fixtures"

#: As LLVM writes it for gfx1201, shortened; one kernel, one function that it does not call.
RDNA = """\
	.amdgcn_target "amdgpu12.01-amd-amdhsa-unknown-gfx1201"
	.text
	.type	scale,@function
scale:                                  ; @scale
	.file	1 "/home/me" "scale.py"
	.loc	1 7 3
	s_load_b128 s[0:3], s[0:1], 0x0
	v_mov_b16_e32 v19.l, v4.l
	s_wait_kmcnt 0x0
	buffer_load_b128 v[2:5], v2, s[12:15], null offen
	global_load_d16_u8 v1, v[2:3], off
	.loc	1 8 3
	v_dual_mul_f32 v1, v2, v3 :: v_dual_add_f32 v4, v5, v6
	v_max_i32_dpp v3, v2, v2 row_shr:1 row_mask:0xf bank_mask:0xf
	v_wmma_f32_16x16x16_f16 v[0:7], v[8:11], v[12:15], v[0:7]
	ds_store_b64 v0, v[1:2]
	s_delay_alu instid0(VALU_DEP_2) | instskip(SKIP_1) | instid1(VALU_DEP_2)
.LBB0_1:
	ds_load_b32 v0, v1
	s_barrier_signal -1
	s_barrier_wait -1
	global_inv scope:SCOPE_SE
	buffer_store_b32 v1, v0, s[8:11], null offen
	s_cbranch_scc1 .LBB0_1
	s_endpgm
	.section	.rodata,"a",@progbits
	.amdhsa_kernel scale
		.amdhsa_next_free_vgpr 121
		.amdhsa_workgroup_processor_mode 0
	.end_amdhsa_kernel
	.text
; Kernel info:
; codeLenInByte = 148
	.type	helper,@function
helper:
	s_setpc_b64 s[30:31]
; Function info:
; codeLenInByte = 4
	.amdgpu_metadata
---
amdhsa.kernels:
  - .args: []
    .group_segment_fixed_size: 1024
    .kernarg_segment_align: 8
    .kernarg_segment_size: 16
    .max_flat_workgroup_size: 64
    .name:           scale
    .private_segment_fixed_size: 12
    .sgpr_count:     18
    .sgpr_spill_count: 1
    .symbol:         scale.kd
    .vgpr_count:     121
    .vgpr_spill_count: 2
    .wavefront_size: 32
amdhsa.version:
  - 1
  - 2
...
	.end_amdgpu_metadata
"""


def test_a_text_for_gfx12_is_read_by_its_metadata_and_mnemonics():
    (code,) = read_kernel_codes(RDNA.encode(), "scale.s")
    facts = audit(code)
    assert (facts.arch, facts.wave_size, facts.lanes) == ("gfx1201", 32, 64)
    assert (facts.vgpr, facts.agpr, facts.sgpr) == (121, 0, 18)
    assert (facts.vgpr_spills, facts.sgpr_spills, facts.scratch_bytes) == (2, 1, 12)
    assert (facts.lds_bytes, facts.code_bytes) == (1024, 148)
    # 10 waves a SIMD by registers, 2 SIMDs: 10 workgroups of 2 waves.
    assert (facts.occupancy.workgroups, facts.occupancy.limited_by) == (10, ("vgpr",))
    assert {name: count for name, count in facts.counts.items() if count} == {
        "instructions": 17,
        "instructions_valu": 3,
        "instructions_mfma": 1,
        "instructions_salu": 1,
        "instructions_smem": 1,
        "instructions_vmem_load": 2,
        "instructions_vmem_store": 1,
        "instructions_lds_load": 1,
        "instructions_lds_store": 1,
        "instructions_branch": 2,
        "instructions_barrier": 1,
        "instructions_waitcnt": 1,
        "instructions_nop": 1,
        "instructions_cache": 1,
        "dpp": 1,
        "loads_b8": 1,
        "loads_b128": 1,
        "stores_b32": 1,
    }
    assert str(code.instructions[5].source) == "/home/me/scale.py:8:3"
    assert code.labels == {0: ("scale",), 10: (".LBB0_1",)}


def test_kernels_of_a_text_are_told_apart():
    codes = read_kernel_codes((FIXTURES / "calls.gfx90a.s").read_bytes(), "calls.s")
    facts = {code.name: audit(code, 256) for code in codes}
    assert {name: each.code_bytes for name, each in facts.items()} == {
        "calls": 144,
        "halves": 260,
        "doubles": 280,
    }
    assert [name for name, each in facts.items() if each.calls_functions] == ["calls"]
    assert facts["calls"].scratch_bytes == 176
    assert facts["halves"].lds_bytes == 512
    assert facts["halves"].counts["loads_b16"] == 2
    assert facts["halves"].counts["instructions_barrier"] == 1
    assert facts["doubles"].counts["instructions_vmem_atomic"] == 1
    assert facts["doubles"].counts["instructions_cache"] == 3


def test_matrix_code_is_counted():
    (code,) = read_kernel_codes((FIXTURES / "small_dot.gfx942.s").read_bytes(), "dot.s")
    facts = audit(code, dynamic_lds_bytes=20000)
    text = (FIXTURES / "small_dot.gfx942.s").read_text()
    for pattern, name in (
        (r"\tv_mfma", "instructions_mfma"),
        (r"\ts_barrier", "instructions_barrier"),
        (r"\tds_read", "instructions_lds_load"),
        (r"\t(?:buffer|global)_store_dwordx4", "stores_b128"),
        (r"\t(?:buffer|global)_load_u?short", "loads_b16"),
    ):
        assert facts.counts[name] == len(re.findall(pattern, text)) > 0, name
    assert (facts.lds_bytes, facts.occupancy.workgroups) == (20000, 3)
    assert facts.occupancy.limited_by == ("lds",)


def test_accumulators_follow_the_architectural_registers():
    text = (FIXTURES / "small_dot.gfx942.s").read_text()
    text = text.replace(".amdhsa_next_free_vgpr 66", ".amdhsa_next_free_vgpr 134")
    text = text.replace(".amdhsa_accum_offset 68", ".amdhsa_accum_offset 104")
    (code,) = read_text(text, "dot.s")
    facts = audit(code)
    # The descriptor rules where the metadata contradicts it.
    assert (facts.vgpr, facts.agpr) == (104, 30)
    assert facts.occupancy.limits["vgpr"] == 3


@pytest.mark.skipif(not find_objdumps(), reason="no llvm-objdump is installed")
def test_a_code_object_says_what_its_text_does():
    (code,) = read_kernel_codes((FIXTURES / "row_max.gfx942.co").read_bytes(), "row_max.co")
    (text,) = read_kernel_codes((FIXTURES / "row_max.gfx942.s").read_bytes(), "row_max.s")
    found, wanted = audit(code), audit(text)
    assert found.counts == wanted.counts
    assert (found.vgpr, found.sgpr, found.lanes) == (wanted.vgpr, wanted.sgpr, wanted.lanes)
    assert (found.code_bytes, wanted.code_bytes) == (220, None)


def test_code_bytes_are_the_size_of_the_symbol():
    pytest.importorskip("triton", reason="compiles with Triton")
    torch = pytest.importorskip("torch")
    from elftools.elf.elffile import ELFFile

    from rocmoe.ops.core.launch import recording
    from rocmoe.ops.kernels.topk_softmax import topk_softmax

    for arch in ("gfx942", "gfx1100"):
        with recording(arch) as launches:
            topk_softmax(torch.zeros(64, 256), 8, True)
        compiled = launches[0].compiled
        elf = ELFFile(io.BytesIO(compiled.code_object))
        (symbol,) = elf.get_section_by_name(".dynsym").get_symbol_by_name(compiled.name)
        (code,) = read_text(compiled.assembly, "kernel.s")
        assert code.code_bytes == symbol["st_size"]


def test_a_listing_has_class_and_place_on_every_line():
    (code,) = read_kernel_codes(RDNA.encode(), "scale.s")
    lines = annotate(code, audit(code)).splitlines()
    assert lines[0] == "; scale for gfx1201, workgroups of 64 lanes, wave32"
    body = [line for line in lines if line.startswith("    ")]
    assert len(body) == 17
    assert body[3].split(" ; ")[1] == "vmem_load b128  scale.py:7:3"
    assert body[6].split(" ; ")[1] == "valu dpp  scale.py:8:3"
    assert lines.index("scale:") == 4
    assert lines[lines.index(".LBB0_1:") + 1].startswith("    ds_load_b32 v0, v1")


@pytest.mark.parametrize(
    ("text", "said", "width"),
    [
        ("global_load_dwordx3 v[0:2], v[4:5], off", "vmem_load b96", "b96"),
        ("buffer_load_sbyte_d16_hi v0, v1, s[4:7], 0 offen", "vmem_load b8", "b8"),
        ("buffer_load_format_xy v[0:1], v1, s[4:7], 0 offen", "vmem_load format", "format"),
        ("buffer_inv sc1", "cache", None),
        ("buffer_wbl2 sc1", "cache", None),
        ("global_atomic_add v0, v1, s[0:1]", "vmem_atomic", None),
        ("ds_bpermute_b32 v0, v1, v2", "lds_lanes", "b32"),
        ("v_mov_b32_dpp v0, v1 quad_perm:[1,0,3,2] row_mask:0xf bank_mask:0xf", "valu dpp", "b32"),
        ("v_mov_b32 v0, v1 row_shl:1", "valu dpp", "b32"),
        ("v_mfma_f32_32x32x8f16 a[0:15], v[0:1], v[2:3], a[0:15]", "mfma", None),
        ("s_waitcnt vmcnt(0)", "waitcnt", None),
    ],
)
def test_instructions_of_cdna(text, said, width):
    instruction = parse_instruction(text)
    assert describe(instruction) == said
    assert find_width(instruction) == width or said.startswith(("lds", "valu"))


@pytest.mark.parametrize(
    ("mnemonic", "kind"),
    [
        ("ds_load_b128", "lds_load"),
        ("ds_store_b8", "lds_store"),
        ("ds_add_rtn_u32", "lds_atomic"),
        ("ds_bpermute_b32", "lds_lanes"),
        ("s_wait_loadcnt", "waitcnt"),
        ("s_waitcnt_vscnt", "waitcnt"),
        ("s_delay_alu", "nop"),
        ("s_clause", "nop"),
        ("s_barrier", "barrier"),
        ("s_barrier_wait", "barrier"),
        ("s_barrier_signal", "salu"),
        ("v_wmma_f32_16x16x16_bf16", "mfma"),
        ("v_swmmac_f32_16x16x32_f16", "mfma"),
        ("v_permlanex16_b32", "valu"),
        ("buffer_gl0_inv", "cache"),
        ("global_wb", "cache"),
        ("global_load_tr_b128_w32", "vmem_load"),
        ("scratch_store_b32", "vmem_store"),
        ("s_buffer_load_b512", "smem"),
        ("v_s_exp_f32", "valu"),
    ],
)
def test_instructions_of_rdna(mnemonic, kind):
    assert classify_any(Instruction(*split_mnemonic(mnemonic), text=mnemonic)) == kind


def test_every_count_is_there_even_of_nothing():
    counts = count_instructions(())
    assert tuple(counts) == COUNTS
    assert not any(counts.values())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe", "x is neither assembly text nor an ELF file: it is not UTF-8"),
        (b"\x7fELF\0", "x is not an ELF file"),
        (b"v_mov_b32 v0, v1\n", "x: no .amdgcn_target names the architecture; give --arch"),
        (b'.amdgcn_target "amdgcn-amd-amdhsa--gfx906"', "x: unknown architecture 'gfx906'"),
        (b'.amdgcn_target "amdgcn-amd-amdhsa--gfx1100"', "x: no .amdgpu_metadata"),
        (RDNA.replace("scale:  ", "scala:  ").encode(), "metadata of kernel 'scale', but no"),
        (
            RDNA.replace("workgroup_size: 64", "workgroup_size: 2048").encode(),
            "kernel scale: .max_flat_workgroup_size is 2048, wanted 1 to 1024",
        ),
    ],
)
def test_what_cannot_be_audited(data, said):
    with pytest.raises(RocmoeError, match=re.escape(said)):
        [audit(code) for code in read_kernel_codes(data, "x")]


def test_without_metadata_the_size_of_a_workgroup_must_be_given():
    text = (FIXTURES / "row_max.gfx942.s").read_text()
    bare = re.sub(r"\.amdgpu_metadata.*\.end_amdgpu_metadata", "", text, flags=re.S)
    (code,) = read_text(bare, "row_max.s")
    with pytest.raises(RocmoeError, match="give --block"):
        audit(code)
    facts = audit(code, 64)
    # What the descriptor says, and VCC, FLAT_SCRATCH and XNACK_MASK.
    assert (facts.vgpr, facts.sgpr, facts.vgpr_spills) == (8, 26, None)


def test_the_architecture_may_be_given_to_a_text_that_names_none():
    text = (FIXTURES / "row_max.gfx942.s").read_text()
    bare = re.sub(r"\.amdgcn_target.*", "", text).replace("amdgcn-amd-amdhsa--gfx942", "")
    (code,) = read_kernel_codes(bare.encode(), "row_max.s", "gfx90a")
    assert code.arch == "gfx90a"
