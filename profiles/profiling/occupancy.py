"""How many of a GPU's wave slots a launch fills at most, and what allows no more.

On AMD by the rules of `ops.gcn.occupancy`, from registers, LDS and lanes; on other GPUs what the
profiler estimates.  Both are over all compute units: workgroups that are fewer than these leave the
rest empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rocmoe.ops.gcn.occupancy import ARCHITECTURES, find_occupancy, find_processor
from rocmoe.profiles.hardware import Hardware
from rocmoe.profiles.profiling.kernels import Kernel

#: Too few workgroups, beside the names of `Occupancy.limited_by`.
GRID = "grid"
#: A profiler's estimate is a whole number of percent.
_HALF = 0.5
#: Of the architectures with rules those whose waves have 64 lanes, whatever a compiler chooses;
#: of the others nothing tells the size of a wave, nor whether a workgroup has a whole WGP.
_GFX9, _GFX9_WAVE = "gfx9", 64


@dataclass(frozen=True)
class Filled:
    """percent: of all wave slots.  limited_by: empty where nothing tells."""

    percent: float
    limited_by: tuple[str, ...] = ()


def find_filled(kernel: Kernel, arch: str | None, hardware: Hardware | None) -> Filled | None:
    """None where too little is known of the kernel or of the GPU."""
    if kernel.occupancy is not None:
        return _refine(kernel.occupancy, kernel.waves_per_cu, hardware)
    plain = (arch or "").partition(":")[0]
    if plain in ARCHITECTURES and plain.startswith(_GFX9):
        return _find_by_rules(kernel, plain, hardware)
    return None


def _refine(told: float, waves_per_cu: float | None, hardware: Hardware | None) -> Filled:
    """A profiler's estimate; of a launch of few workgroups it is what these come to, rounded, and
    then their share is told instead, which is not 0."""
    if waves_per_cu is None or hardware is None:
        return Filled(told)
    exact = 100.0 * waves_per_cu / hardware.waves_per_cu
    return Filled(exact, (GRID,)) if exact <= told + _HALF and exact < 100.0 else Filled(told)


def _find_by_rules(kernel: Kernel, arch: str, hardware: Hardware | None) -> Filled | None:
    vgprs, lanes, lds = kernel.vgprs, kernel.lanes, kernel.lds_bytes
    accum = kernel.accum_vgprs
    if vgprs is None:  # as where only the sum is known
        vgprs, accum = kernel.total_vgprs, 0
    if not vgprs or not lanes or lds is None:
        return None
    processor = find_processor(arch, _GFX9_WAVE)
    waves = math.ceil(lanes / _GFX9_WAVE)
    found = find_occupancy(
        processor, vgpr=vgprs, agpr=accum or 0, sgpr=kernel.sgprs or 0, lds_bytes=lds, waves=waves
    )
    a_cu, limited_by = float(found.workgroups), found.limited_by
    units = kernel.find_parameters(hardware).get("CU_NUM")
    if kernel.blocks is not None and units and kernel.blocks / units < a_cu:
        a_cu, limited_by = kernel.blocks / units, (GRID,)
    slots = processor.simds * processor.wave_slots
    return Filled(100.0 * a_cu * waves / slots, limited_by)
