"""Registers that a kernel uses and did not ask for."""

import numpy as np
import pytest

from rocmoe.ops.core.simulator import Simulator
from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.machine.launch import Launch, Slot, Tensor

CODE = """
.amdgcn_target "amdgcn-amd-amdhsa--gfx942"
.text
k:
    {lines}
    s_endpgm
    v_mov_b32 v200, 0
.amdhsa_kernel k
    .amdhsa_user_sgpr_kernarg_segment_ptr 1
    .amdhsa_next_free_vgpr {vgpr}
    .amdhsa_next_free_sgpr {sgpr}
    .amdhsa_accum_offset {offset}
.end_amdhsa_kernel
"""


def find_faults(*lines, vgpr=5, sgpr=8, offset=8):
    text = CODE.format(lines="\n    ".join(lines), vgpr=vgpr, sgpr=sgpr, offset=offset)
    program = read_program(text, "k.s")
    simulator = Simulator("gfx942")
    tensor = Tensor("x", np.zeros(64, np.uint8), 0, (16,), (1,), 4)
    launch = Launch((1, 1, 1), (64, 1, 1), (Slot(0, tensor),), 0)
    simulator.run(program, program.kernel("k"), launch)
    (done,) = simulator.take()
    return [fault.message for fault in done.faults if fault.check == "memcheck"]


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("v_mov_b32 v7, 0", {}),  # granules of 8
        ("s_mov_b32 s15, 0", {}),  # of 16, of which VCC and the like may take 6
        ("s_mov_b64 vcc, 0", {}),
        ("v_accvgpr_write_b32 a7, 0", {"vgpr": 16}),
        ("v_mov_b32 v15, 0", {"vgpr": 16}),  # no accumulator is in use
    ],
)
def test_a_register_that_is_allocated_is_no_finding(line, more):
    assert find_faults(line, **more) == []


@pytest.mark.parametrize(
    ("lines", "more", "said"),
    [
        (["v_mov_b32 v8, 0"], {}, "v8 is not allocated: the kernel has 8 registers"),
        (["v_mov_b32 v1, v8"], {}, "v8 is not allocated"),
        (["v_pk_mov_b32 v[6:7], v[8:9], v[8:9]"], {}, "v8 is not allocated"),
        (["s_mov_b32 s16, 0"], {}, "s16 is not allocated: the kernel has 16 registers"),
        (["v_accvgpr_write_b32 a8, 0"], {"vgpr": 16}, "a8 is not allocated"),
        (["v_accvgpr_write_b32 a0, 0", "v_mov_b32 v8, 0"], {"vgpr": 16}, ".amdhsa_accum_offset"),
    ],
)
def test_a_register_beyond_is_a_finding(lines, more, said):
    (found,) = find_faults(*lines, **more)
    assert said in found
