"""Small programs in assembly, and launches of them on NumPy arrays."""

from __future__ import annotations

import numpy as np

from rocmoe.ops.core.guard import poisoned_allocations
from rocmoe.ops.core.simulator import CHECKS, FaultRecord, Simulator, Watch
from rocmoe.ops.gcn.assembly import read_program
from rocmoe.ops.gcn.machine.launch import Launch, Slot, Tensor
from rocmoe.ops.gcn.program import Program

#: s[0:1]: the arguments, s2: the workgroup, v0: the lane of the workgroup.
#: After PROLOGUE, v1: 4 * v0, s[4:5] and s[6:7]: the first two tensors, s3: the wave.
PROLOGUE = """
    s_load_dwordx4 s[4:7], s[0:1], 0x0
    v_lshlrev_b32_e32 v1, 2, v0
    v_lshrrev_b32_e32 v2, 6, v0
    s_nop 0
    v_readfirstlane_b32 s3, v2
    s_waitcnt lgkmcnt(0)
"""
PROLOGUE_LINES = PROLOGUE.count("\n") + 2

TEXT = """.amdgcn_target "amdgcn-amd-amdhsa--{arch}"
{body}
    s_endpgm
.amdhsa_kernel k
  .amdhsa_user_sgpr_kernarg_segment_ptr 1
  .amdhsa_user_sgpr_count 2
  .amdhsa_system_sgpr_workgroup_id_x 1
  .amdhsa_kernarg_size 16
  .amdhsa_next_free_vgpr 32
  .amdhsa_next_free_sgpr 32
  .amdhsa_accum_offset 32
  .amdhsa_group_segment_fixed_size {lds}
  .amdhsa_tg_split {tg_split}
.end_amdhsa_kernel
"""


def assemble(body: str, arch: str = "gfx942", lds: int = 0, tg_split: int = 0) -> Program:
    """The lines of `body` are numbered from one behind those of PROLOGUE: see `line`."""
    text = TEXT.format(arch=arch, body=f"k:{PROLOGUE}{body}", lds=lds, tg_split=tg_split)
    return read_program(text, "k.s")


def line(number: int) -> str:
    """How the n-th line of a body starts in a finding."""
    return f"k.s:{PROLOGUE_LINES + number}:"


def make_tensor(name: str, values: np.ndarray) -> Tensor:
    memory = values.reshape(-1).view(np.uint8)
    strides = tuple(stride // values.itemsize for stride in values.strides)
    return Tensor(name, memory, 0, values.shape, strides, values.itemsize)


def poison(size: int) -> np.ndarray:
    """int32 [size] that nobody wrote."""
    import torch

    with poisoned_allocations(0):
        return torch.empty(size, dtype=torch.int32).numpy()


def make_launch(tensors: tuple[Tensor, ...], grid: int = 1, waves: int = 1) -> Launch:
    slots = tuple(Slot(8 * at, tensor) for at, tensor in enumerate(tensors))
    return Launch((grid, 1, 1), (64 * waves, 1, 1), slots)


def run(
    body: str,
    *arrays: np.ndarray,
    grid: int = 1,
    waves: int = 1,
    order: str = "together",
    **options,
) -> list[FaultRecord]:
    """What the sanitizers say of a body on tensors `a`, `b`, ..."""
    program = assemble(body, **options)
    tensors = tuple(map(make_tensor, "ab", arrays))
    simulator = Simulator(program.target.architecture, Watch(CHECKS, order, counts=False))
    simulator.run(program, program.kernel(), make_launch(tensors, grid, waves))
    (simulated,) = simulator.take()
    return list(simulated.faults)
