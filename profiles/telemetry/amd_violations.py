"""Why an AMD GPU was held back: counters and flags under their names in each interface.

Counters, MI300 and newer: of the firmware's looks, those at which a limit held the clock back.
amd-smi's percentage is their difference over that of all looks (amdsmi, docs/conceptual, "GPU
violations").  Per-die counters of newer versions break these five down and are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocmoe.profiles.telemetry.documents import dig, to_count, to_quantity

#: Our name of a cause -> its field in amdsmi_get_gpu_metrics_info.
RESIDENCIES: Mapping[str, str] = {
    "prochot": "prochot_residency_acc",
    "ppt": "ppt_residency_acc",
    "socket_thermal": "socket_thm_residency_acc",
    "vr_thermal": "vr_thm_residency_acc",
    "hbm_thermal": "hbm_thm_residency_acc",
}
CAUSES = tuple(RESIDENCIES)
_STATES: Mapping[str, bool] = {"ACTIVE": True, "NOT ACTIVE": False, "TRUE": True, "FALSE": False}
#: amd-smi writes a counter as either, by version and whether it runs on a host of virtual GPUs.
_COUNTERS = ("{}_accumulated", "{}_violation_accumulated")

#: Bits of indep_throttle_status, the same for all GPUs: SMU_THROTTLER_* in the Linux kernel's
#: drivers/gpu/drm/amd/pm/swsmu/inc/amdgpu_smu.h.
THROTTLERS: Mapping[int, str] = {
    **dict(enumerate(("ppt0", "ppt1", "ppt2", "ppt3", "spl", "fppt", "sppt", "sppt_apu"))),
    **dict(enumerate(("tdc_gfx", "tdc_soc", "tdc_mem", "tdc_vdd", "tdc_cvip"), 16)),
    **dict(enumerate(("edc_cpu", "edc_gfx", "apcc"), 21)),
    **dict(enumerate(("temp_gpu", "temp_core", "temp_mem", "temp_edge", "temp_hotspot"), 32)),
    **dict(enumerate(("temp_soc", "temp_vr_gfx", "temp_vr_soc", "temp_vr_mem0"), 37)),
    **dict(enumerate(("temp_vr_mem1", "temp_liquid0", "temp_liquid1"), 41)),
    **dict(enumerate(("vrhot0", "vrhot1", "prochot_cpu", "prochot_gfx"), 44)),
    **dict(enumerate(("ppm", "fit"), 56)),
}


def trusts_status(arch: str | None) -> bool:
    """Whether a GPU's throttle status means anything.

    A bit that is stuck makes it THROTTLED for ever on RDNA 3 and 4 (ROCm/rocm-systems#11781), so it
    counts on CDNA alone.
    """
    return arch is not None and arch.startswith("gfx9")


def name_throttlers(bits: int) -> list[str]:
    """The words for the bits of indep_throttle_status; `bit N` for one that has none."""
    return [THROTTLERS.get(bit, f"bit {bit}") for bit in range(64) if bits >> bit & 1]


def read_counters(throttle: Any) -> dict[str, int]:
    """The counters of amd-smi's section `throttle`, by cause."""
    found = {}
    for cause in CAUSES:
        for form in _COUNTERS:
            count = to_count(dig(throttle, form.format(cause)))
            if count is not None:
                found[cause] = count
    return found


def read_percents(throttle: Any) -> dict[str, float]:
    """What share of the tool's own 100 ms each cause held the clock back."""
    found = {cause: to_quantity(dig(throttle, f"{cause}_violation_activity")) for cause in CAUSES}
    return {cause: percent for cause, percent in found.items() if percent is not None}


def read_active(throttle: Any) -> list[str] | None:
    """The causes that amd-smi calls active, None where it tells of none whether it is."""
    words = {cause: str(dig(throttle, f"{cause}_violation_status")).upper() for cause in CAUSES}
    told = {cause: _STATES[word] for cause, word in words.items() if word in _STATES}
    return [cause for cause, active in told.items() if active] if told else None
