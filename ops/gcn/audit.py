"""What a kernel's code says before it runs: registers, memory, occupancy, instructions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.kernel_code import KernelCode
from rocmoe.ops.gcn.occupancy import (
    MOST_LANES,
    Occupancy,
    find_occupancy,
    find_processor,
)
from rocmoe.ops.gcn.static_counts import count_instructions, describe

#: Registers of a descriptor's bytes are rounded up to this; metadata has the number used.
_DESCRIPTOR_GRANULE = 8
#: VCC, FLAT_SCRATCH and XNACK_MASK, which `.amdhsa_next_free_sgpr` does not count
#: (LLVM, User Guide for AMDGPU Backend: "Kernel Descriptor", GRANULATED_WAVEFRONT_SGPR_COUNT).
_SPECIAL_SGPRS = 6
#: Where the comments of a listing begin.
_COMMENT_COLUMN = 56
_CALLS = ("s_swappc_b64", "s_call_b64")


@dataclass(frozen=True)
class Audit:
    """Facts of one kernel.

    vgpr, agpr: architectural registers and accumulators a lane; sgpr: registers a wave, VCC and the
    like among them. *_spills: registers that the compiler put into memory, None where it does not
    say. scratch_bytes: a lane. lds_bytes: a workgroup, fixed and dynamic. counts: by the names in
    `static_counts.COUNTS`.
    """

    name: str
    arch: str
    wave_size: int
    lanes: int
    vgpr: int
    agpr: int
    sgpr: int
    vgpr_spills: int | None
    sgpr_spills: int | None
    scratch_bytes: int
    lds_bytes: int
    code_bytes: int | None
    occupancy: Occupancy
    counts: Mapping[str, int]
    calls_functions: bool


def audit(code: KernelCode, lanes: int | None = None, dynamic_lds_bytes: int = 0) -> Audit:
    """The facts of a kernel; lanes of a workgroup: what its metadata allows at most, if None.

    dynamic_lds_bytes: what a launch gives on top of what the code asks for; of Triton's kernels
    that is all there is. Raises RocmoeError where the size of a workgroup is not known.
    """
    metadata = code.metadata
    wave_size = metadata.wavefront_size if metadata else 64
    lanes = lanes or _find_lanes(code)
    vgpr, agpr = _find_vgprs(code)
    sgpr = _find_sgprs(code)
    lds_bytes = _find_fixed(code, "group_segment_fixed_size") + dynamic_lds_bytes
    occupancy = find_occupancy(
        find_processor(code.arch, wave_size, code.wgp_mode),
        vgpr=vgpr,
        agpr=agpr,
        sgpr=sgpr,
        lds_bytes=lds_bytes,
        waves=math.ceil(lanes / wave_size),
    )
    return Audit(
        name=code.name,
        arch=code.arch,
        wave_size=wave_size,
        lanes=lanes,
        vgpr=vgpr,
        agpr=agpr,
        sgpr=sgpr,
        vgpr_spills=metadata.vgpr_spill_count if metadata else None,
        sgpr_spills=metadata.sgpr_spill_count if metadata else None,
        scratch_bytes=_find_fixed(code, "private_segment_fixed_size"),
        lds_bytes=lds_bytes,
        code_bytes=code.code_bytes,
        occupancy=occupancy,
        counts=count_instructions(code.instructions),
        calls_functions=any(each.name in _CALLS for each in code.instructions),
    )


def _find_lanes(code: KernelCode) -> int:
    if code.metadata is None:
        raise RocmoeError(
            f"kernel {code.name}: no metadata says how many lanes a workgroup has; give --block"
        )
    lanes = code.metadata.max_flat_workgroup_size
    if not 1 <= lanes <= MOST_LANES:
        raise RocmoeError(
            f"kernel {code.name}: .max_flat_workgroup_size is {lanes}, wanted 1 to {MOST_LANES}"
        )
    return lanes


def _find_vgprs(code: KernelCode) -> tuple[int, int]:
    """Architectural registers and accumulators.

    The descriptor is what the hardware goes by; metadata is finer where it agrees with it.
    """
    found = code.metadata
    if code.descriptor is None:
        assert found is not None, "text that is not read as a Program has metadata"
        return found.vgpr_count, 0
    total, start = code.descriptor.next_free_vgpr, code.descriptor.accum_offset
    if found and _blocks(found.vgpr_count) == _blocks(total):
        total = found.vgpr_count
    return min(total, start), max(total - start, 0)


def _blocks(registers: int) -> int:
    return math.ceil(registers / _DESCRIPTOR_GRANULE)


def _find_sgprs(code: KernelCode) -> int:
    if code.metadata is not None:
        return code.metadata.sgpr_count
    assert code.descriptor is not None, "a kernel has metadata or a descriptor"
    return code.descriptor.next_free_sgpr + _SPECIAL_SGPRS


def _find_fixed(code: KernelCode, name: str) -> int:
    return int(getattr(code.descriptor or code.metadata, name))


def annotate(code: KernelCode, facts: Audit) -> str:
    """The kernel's instructions, each with its class and its place in the source as a comment."""
    lines = [f"; {line}" for line in _tell_facts(facts)]
    for at, instruction in enumerate(code.instructions):
        lines += [f"{name}:" for name in code.labels.get(at, ()) if not name.startswith(".Ltmp")]
        lines.append(_annotate_line(instruction))
    return "\n".join(lines) + "\n"


def _tell_facts(facts: Audit) -> list[str]:
    occupancy = facts.occupancy
    return [
        f"{facts.name} for {facts.arch}, workgroups of {facts.lanes} lanes, wave{facts.wave_size}",
        f"{facts.vgpr} VGPRs, {facts.agpr} AGPRs, {facts.sgpr} SGPRs, "
        f"{facts.scratch_bytes} bytes of scratch, {facts.lds_bytes} bytes of LDS",
        f"{occupancy.waves} waves a SIMD, limited by {', '.join(occupancy.limited_by)}",
        f"{facts.counts['instructions']} instructions",
    ]


def _annotate_line(instruction: Instruction) -> str:
    source = instruction.source
    place = ""
    if source:
        place = f"  {PurePath(source.file).name}:{source.line}"
        place += f":{source.column}" if source.column else ""
    return f"    {instruction.text:<{_COMMENT_COLUMN}} ; {describe(instruction)}{place}"
