"""Classes of instructions, and the counts of a small launch, by hand."""

import numpy as np
import pytest

from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.counting.classes import CLASSES, classify
from rocmoe.ops.gcn.counting.tally import Tally
from rocmoe.ops.gcn.instruction import parse_instruction
from rocmoe.ops.gcn.machine.launch import Launch, Slot, Tensor
from rocmoe.ops.gcn.machine.run import Settings, run_launch

BY_CLASS = {
    "v_add_f32_e32 v0, v1, v2": "valu",
    "v_mov_b32_dpp v0, v1 row_shr:1": "valu",
    "v_mfma_f32_32x32x8_f16 a[0:15], v[0:1], v[2:3], a[0:15]": "mfma",
    "s_add_u32 s0, s1, s2": "salu",
    "s_load_dwordx4 s[0:3], s[4:5], 0x0": "smem",
    "s_memtime s[0:1]": "smem",
    "buffer_load_dwordx4 v[0:3], v4, s[0:3], 0 offen": "vmem_load",
    "global_store_short v0, v1, s[0:1]": "vmem_store",
    "buffer_wbl2 sc1": "cache",
    "buffer_inv sc1": "cache",
    "flat_atomic_add v0, v[2:3], v1": "vmem_atomic",
    "ds_read2_b32 v[0:1], v2 offset1:1": "lds_load",
    "ds_write_b8 v0, v1": "lds_store",
    "ds_add_rtn_u32 v0, v1, v2": "lds_atomic",
    "ds_bpermute_b32 v0, v1, v2": "lds_lanes",
    "s_cbranch_execz .L": "branch",
    "s_endpgm": "branch",
    "s_barrier": "barrier",
    "s_waitcnt lgkmcnt(0)": "waitcnt",
    "s_nop 3": "nop",
}


@pytest.mark.parametrize("text", BY_CLASS)
def test_an_instruction_has_its_class(text):
    assert classify(parse_instruction(text)) == BY_CLASS[text]


def test_every_class_is_tested():
    assert set(BY_CLASS.values()) == set(CLASSES)


COPY = """
.amdgcn_target "amdgcn-amd-amdhsa--gfx942"
.text
copy:
  s_load_dwordx4 s[4:7], s[0:1], 0x0
  v_lshlrev_b32_e32 v1, 2, v0
  s_waitcnt lgkmcnt(0)
  global_load_dword v2, v1, s[4:5]
  s_waitcnt vmcnt(0)
  ds_write_b32 v1, v2
  s_waitcnt lgkmcnt(0)
  s_barrier
  ds_read_b32 v3, v1
  s_waitcnt lgkmcnt(0)
  global_store_dword v1, v3, s[6:7]
  s_endpgm
.rodata
.amdhsa_kernel copy
  .amdhsa_user_sgpr_kernarg_segment_ptr 1
  .amdhsa_group_segment_fixed_size 512
  .amdhsa_next_free_vgpr 4
  .amdhsa_next_free_sgpr 8
  .amdhsa_accum_offset 4
.end_amdhsa_kernel
"""


def test_a_launch_is_counted_by_hand():
    program = read_program(COPY)
    source = np.arange(512, dtype=np.uint8)
    target = np.zeros(512, np.uint8)
    tensors = [Tensor(n, m, 0, (128,), (1,), 4) for n, m in (("x", source), ("y", target))]
    slots = (Slot(0, tensors[0]), Slot(8, tensors[1]))
    tally = Tally("gfx942")
    launch = Launch((1, 1, 1), (128, 1, 1), slots)
    report = run_launch(program, program.kernel(), launch, Settings(), tally.observers)
    assert (target == source).all()
    assert not report.faults.listing()
    assert tally.add_up(report) == {
        "waves": 2,
        "instructions": 24,
        "instructions_valu": 2,
        "instructions_smem": 2,
        "instructions_vmem_load": 2,
        "instructions_vmem_store": 2,
        "instructions_lds_load": 2,
        "instructions_lds_store": 2,
        "instructions_branch": 2,
        "instructions_barrier": 2,
        "instructions_waitcnt": 8,
        "load_bytes": 512,
        "load_segments_64": 8,
        "load_segments_128": 4,
        "store_bytes": 512,
        "store_segments_64": 8,
        "store_segments_128": 4,
        "scalar_load_bytes": 32,
        "scalar_load_segments_64": 2,
        "scalar_load_segments_128": 2,
        "lds_bytes": 1024,
        "lds_cycles": 8,
        "lds_conflict_cycles": 0,
    }
