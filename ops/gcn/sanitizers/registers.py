"""memcheck of registers: those that executed code names and its kernel did not ask for.

LLVM, User Guide for AMDGPU Backend, "AMDHSA Kernel Descriptor": vector registers are allocated in
granules of 8 in one file that accumulators share from ACCUM_OFFSET on, scalar ones in granules of
16, VCC, FLAT_SCRATCH and XNACK_MASK (6 at most) among them.
"""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.footprint import ACCUMULATOR, FLAT_SCRATCH, SCALAR, find_footprint, name_dword
from rocmoe.ops.gcn.machine.fault import Fault
from rocmoe.ops.gcn.machine.run import Report

CHECK = "memcheck"
VECTOR_GRANULE = 8
SCALAR_GRANULE = 16
MOST_SPECIAL = 6


def check_registers(report: Report) -> None:
    """Add the instructions that ran and touch a register beyond those allocated to a run's faults;
    every wave that comes there does."""
    executed = np.flatnonzero(report.executed).tolist()
    touched = {index: _find_touched(report, index) for index in executed}
    accumulates = any(ACCUMULATOR <= dword < SCALAR for each in touched.values() for dword in each)
    limits = _find_limits(report.kernel.descriptor, accumulates)
    for index, dwords in touched.items():
        for first, end, limit, directive in limits:
            beyond = [dword for dword in dwords if first + limit <= dword < end]
            if beyond:
                message = (
                    f"{name_dword(min(beyond))} is not allocated: the kernel has {limit} registers "
                    f"of its kind by {directive}"
                )
                fault = Fault(CHECK, index, 0, 0, None, message, int(report.executed[index]))
                report.faults.add(fault, directive)


def _find_touched(report: Report, index: int) -> frozenset[int]:
    footprint = find_footprint(report.program.instructions[index])
    return footprint.reads | footprint.writes


def _find_limits(
    descriptor: KernelDescriptor, accumulates: bool
) -> tuple[tuple[int, int, int, str], ...]:
    """Of each file: its first dword, one past its last, how many are allocated, by what."""
    total = _round_up(descriptor.next_free_vgpr, VECTOR_GRANULE)
    scalars = _round_up(descriptor.next_free_sgpr + MOST_SPECIAL, SCALAR_GRANULE)
    below = descriptor.accum_offset
    shared = accumulates and below < total
    vectors, directive = (below, "accum_offset") if shared else (total, "next_free_vgpr")
    return (
        (0, ACCUMULATOR, vectors, f".amdhsa_{directive}"),
        (ACCUMULATOR, SCALAR, max(total - below, 0), ".amdhsa_next_free_vgpr"),
        (SCALAR, FLAT_SCRATCH, scalars, ".amdhsa_next_free_sgpr"),
    )


def _round_up(count: int, granule: int) -> int:
    """At least one granule is allocated."""
    return max(-(-count // granule), 1) * granule
