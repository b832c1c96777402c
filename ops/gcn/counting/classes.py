"""Classes of instructions, by the unit that executes them."""

from __future__ import annotations

from rocmoe.ops.gcn.instruction import Instruction

#: In the order in which they are printed.
CLASSES = (
    "valu",
    "mfma",
    "salu",
    "smem",
    "vmem_load",
    "vmem_store",
    "vmem_atomic",
    "cache",
    "lds_load",
    "lds_store",
    "lds_atomic",
    "lds_lanes",
    "branch",
    "barrier",
    "waitcnt",
    "nop",
)
_LANES = ("ds_bpermute", "ds_permute", "ds_swizzle")
_FLOW = ("s_branch", "s_cbranch", "s_setpc", "s_swappc", "s_call", "s_endpgm")
_NOPS = ("s_nop", "v_nop", "s_sleep", "s_setprio", "ds_nop")
#: What writes caches back or empties them moves nothing of a lane's.
_CACHE = ("buffer_wb", "buffer_inv")
_SCALAR_MEMORY = (
    "s_load",
    "s_buffer",
    "s_store",
    "s_scratch",
    "s_memtime",
    "s_memreal",
    "s_dcache",
)


def classify(instruction: Instruction) -> str:
    """One of CLASSES."""
    name = instruction.name
    if name.startswith(_NOPS):
        return "nop"
    if name == "s_barrier":
        return "barrier"
    if name.startswith("s_waitcnt"):
        return "waitcnt"
    if name.startswith("s_"):
        if name.startswith(_FLOW):
            return "branch"
        return "smem" if name.startswith(_SCALAR_MEMORY) else "salu"
    if name.startswith("v_"):
        return "mfma" if name.startswith(("v_mfma", "v_smfmac")) else "valu"
    if name.startswith("ds_"):
        return _classify_lds(name)
    return _classify_memory(instruction)


def _classify_lds(name: str) -> str:
    if name.startswith(_LANES):
        return "lds_lanes"
    if name.startswith("ds_read"):
        return "lds_load"
    return "lds_store" if name.startswith("ds_write") else "lds_atomic"


def _classify_memory(instruction: Instruction) -> str:
    if instruction.name.startswith(_CACHE):
        return "cache"
    if "atomic" in instruction.name:
        return "vmem_atomic"
    return "vmem_store" if "_store" in instruction.name else "vmem_load"


def loaded_bytes(instruction: Instruction) -> int:
    """Bytes a lane of a vector memory load or store, from its mnemonic; 0 where it moves none."""
    name = instruction.name
    if "dword" in name:
        return 4 * int(name.rpartition("dwordx")[2] or 1) if "dwordx" in name else 4
    if "short" in name:
        return 2
    return 1 if "byte" in name else 0
