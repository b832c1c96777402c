"""Occupancy: how many waves of a kernel a SIMD holds at a time, and what limits them.

The rules are those of LLVM (llvm/lib/Target/AMDGPU: AMDGPUSubtarget.cpp, getOccupancyWithWorkGroup-
Sizes; Utils/AMDGPUBaseInfo.cpp, IsaInfo), with two differences: LDS counts in the units in which
the hardware gives it, and workgroups are placed whole.

- VGPRs: a SIMD of gfx90a, gfx942 and gfx950 has 512 a lane, which architectural ones (rounded up
  to 4) and accumulators share, given in eights.  gfx11 and gfx12 with 1.5 times the registers have
  1536 a lane of a wave32, half of that for a wave64, given in 24s and 12s.
- SGPRs: gfx9 has 800 a SIMD, given in 16s, and every wave gives 16 to the trap handler that ROCm
  installs (llvm/llvm-project#201342; ROCm/rocm-systems#10618 saw it on an MI300X).  Later ones have
  enough for every wave.
- LDS: 64 KiB in units of 512 bytes; on gfx950 160 KiB in units of 1280 (llvm/llvm-project#208046);
  on gfx11 and gfx12 64 KiB a CU, 128 a WGP, of which a workgroup can have 64, in units of 1024
  (Mesa, ac_gpu_info.c: lds_alloc_granularity).
- Workgroups: 16 that have more than one wave can wait at barriers of a CU, 32 of a WGP.
- Waves: a SIMD holds 8 on gfx90a and later CDNA, 16 on gfx11 and gfx12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rocmoe.ops.core.errors import RocmoeError, unknown

#: SGPRs of every wave that the trap handler keeps, and the unit that SGPRs are given in.
TRAP_SGPRS = 16
SGPR_GRANULE = 16
#: Accumulators start at a multiple of this in the unified register file.
ACCUMULATOR_ALIGNMENT = 4
#: Lanes of a workgroup.
MOST_LANES = 1024


@dataclass(frozen=True)
class Processor:
    """What a workgroup runs on: a CU, or the two CUs of a WGP.

    vgprs: of a lane, on one SIMD. sgprs: of a SIMD, None where they never limit. largest_lds:
    bytes that one workgroup can have. barriers: workgroups of several waves at a time.
    """

    simds: int
    wave_slots: int
    vgprs: int
    vgpr_granule: int
    sgprs: int | None
    lds_bytes: int
    lds_granule: int
    largest_lds: int
    barriers: int


_CDNA = Processor(4, 8, 512, 8, 800, 65536, 512, 65536, 16)
_CDNA4 = Processor(4, 8, 512, 8, 800, 163840, 1280, 163840, 16)
_WGP = Processor(4, 16, 1536, 24, None, 131072, 1024, 65536, 32)
_CU = Processor(2, 16, 1536, 24, None, 65536, 1024, 65536, 16)

_CDNAS: Mapping[str, Processor] = {"gfx90a": _CDNA, "gfx942": _CDNA, "gfx950": _CDNA4}
#: Those of gfx11 and gfx12 that have 1.5 times the VGPRs of others.
_RDNAS = ("gfx1100", "gfx1101", "gfx1151", "gfx1200", "gfx1201")
ARCHITECTURES = (*_CDNAS, *_RDNAS)


@dataclass(frozen=True)
class Occupancy:
    """waves: on the SIMD that holds most. workgroups: at a time on the CU, or on the WGP.

    limits: waves a SIMD that each resource would allow alone, by its name: vgpr, sgpr, lds,
    workgroup (barriers, and waves left over by whole workgroups), waves (slots). The least of them
    is what LLVM calls occupancy; it is more than `waves` where whole workgroups leave room.
    limited_by: the names of what allows no further workgroup.
    """

    waves: int
    workgroups: int
    limits: Mapping[str, int]
    limited_by: tuple[str, ...]


def find_processor(arch: str, wave_size: int, wgp_mode: bool = True) -> Processor:
    """What the workgroups of a kernel share. Raises RocmoeError for an architecture without rules.

    wgp_mode: whether a workgroup of gfx11 or gfx12 may use both CUs of a WGP, as by default.
    """
    if arch in _CDNAS:
        return _CDNAS[arch]
    if arch not in _RDNAS:
        raise unknown("architecture", arch, ARCHITECTURES)
    base = _WGP if wgp_mode else _CU
    return Processor(
        base.simds,
        base.wave_slots,
        base.vgprs * 32 // wave_size,
        base.vgpr_granule * 32 // wave_size,
        base.sgprs,
        base.lds_bytes,
        base.lds_granule,
        base.largest_lds,
        base.barriers,
    )


def unify(vgpr: int, agpr: int) -> int:
    """Registers of a lane in the unified file: accumulators follow the architectural ones."""
    architectural = math.ceil(vgpr / ACCUMULATOR_ALIGNMENT) * ACCUMULATOR_ALIGNMENT
    return architectural + agpr if agpr else vgpr


def find_occupancy(
    processor: Processor, *, vgpr: int, agpr: int, sgpr: int, lds_bytes: int, waves: int
) -> Occupancy:
    """The occupancy of a kernel; 0 waves where not even one workgroup fits.

    vgpr, agpr: registers a lane. sgpr: registers a wave, VCC and the like among them. lds_bytes:
    of a workgroup, fixed and dynamic. waves: of a workgroup.
    """
    if waves < 1:
        raise RocmoeError(f"a workgroup of {waves} waves; wanted at least 1")
    slots, simds = processor.wave_slots, processor.simds
    by_vgpr = min(slots, processor.vgprs // _round_up(unify(vgpr, agpr), processor.vgpr_granule))
    by_sgpr = _limit_by_sgprs(processor, sgpr)
    groups = {
        "vgpr": by_vgpr * simds // waves,
        "sgpr": by_sgpr * simds // waves,
        "lds": _limit_by_lds(processor, lds_bytes),
        "workgroup": processor.barriers if waves > 1 else slots * simds,
        "waves": slots * simds // waves,
    }
    limits = {
        "vgpr": by_vgpr,
        "sgpr": by_sgpr,
        "lds": _spread(groups["lds"] * waves, processor),
        "workgroup": _spread(min(groups["workgroup"], groups["waves"]) * waves, processor),
        "waves": slots,
    }
    workgroups = min(groups.values())
    resident = workgroups * waves
    limited_by = _find_limiters(groups, limits, resident / simds)
    return Occupancy(_spread(resident, processor), workgroups, limits, limited_by)


def _spread(waves: int, processor: Processor) -> int:
    """Waves on the SIMD that gets most of those of a CU, as evenly as they can be spread."""
    return min(processor.wave_slots, math.ceil(waves / processor.simds))


def _find_limiters(
    groups: Mapping[str, int], limits: Mapping[str, int], resident: float
) -> tuple[str, ...]:
    """resident: waves a SIMD on average."""
    least = min(groups.values())
    if groups["waves"] == least:
        return ("waves",) if resident == limits["waves"] else ("workgroup",)
    found = tuple(name for name in ("vgpr", "sgpr", "lds", "workgroup") if groups[name] == least)
    # Registers for more waves, but not for those of one more workgroup.
    rounded = any(resident < limits[name] for name in found if name in ("vgpr", "sgpr"))
    return (*found, "workgroup") if rounded and "workgroup" not in found else found


def _limit_by_sgprs(processor: Processor, sgpr: int) -> int:
    if processor.sgprs is None:
        return processor.wave_slots
    taken = _round_up(sgpr, SGPR_GRANULE) + TRAP_SGPRS
    return min(processor.wave_slots, processor.sgprs // taken)


def _limit_by_lds(processor: Processor, lds_bytes: int) -> int:
    """Workgroups whose LDS there is room for."""
    if lds_bytes > processor.largest_lds:
        return 0
    return processor.lds_bytes // _round_up(lds_bytes, processor.lds_granule)


def _round_up(count: int, granule: int) -> int:
    return max(1, math.ceil(count / granule)) * granule
