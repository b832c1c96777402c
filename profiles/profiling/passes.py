"""Which counters the hardware collects at a time, so how many runs a set of them takes.

A block of the hardware has so many counters.  A metric of rocprofv3 takes those of all the raw
counters behind it.  Limits: ROCm/aqlprofile's tables of gfx9 and rocprofiler-compute's specs, the
same from gfx908 to gfx950.  Definitions: ROCm/rocm-systems, projects/rocprofiler-sdk,
source/share/rocprofiler-sdk/counter_defs.yaml of ROCm 7.0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from rocmoe.ops.core.errors import RocmoeError, unknown

_GFX9_BLOCKS: Mapping[str, int] = MappingProxyType(
    {
        "SQ": 8, "TA": 2, "TD": 2, "TCP": 4, "TCC": 4, "CPC": 2, "CPF": 2, "SPI": 6, "GRBM": 2,
        "GDS": 4,
    }
)  # fmt: skip
#: Counters that each block has at a time, by architecture.
BLOCKS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    dict.fromkeys(("gfx90a", "gfx942", "gfx950"), _GFX9_BLOCKS)
)

_CDNA2 = ("gfx90a",)
_CDNA3 = ("gfx942", "gfx950")

#: The raw counters behind rocprofv3's metrics that have the same ones on all architectures.
_SHARED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "OccupancyPercent": ("SQ_WAVE_CYCLES", "GRBM_GUI_ACTIVE"),
        "VALUBusy": ("SQ_ACTIVE_INST_VALU", "GRBM_GUI_ACTIVE"),
        "SALUBusy": ("SQ_INST_CYCLES_SALU", "GRBM_GUI_ACTIVE"),
        "VALUUtilization": ("SQ_THREAD_CYCLES_VALU", "SQ_ACTIVE_INST_VALU"),
        "MfmaUtil": ("SQ_VALU_MFMA_BUSY_CYCLES", "GRBM_GUI_ACTIVE"),
        "GPU_UTIL": ("GRBM_GUI_ACTIVE", "GRBM_COUNT"),
        "LDSBankConflict": ("SQ_LDS_BANK_CONFLICT", "GRBM_GUI_ACTIVE"),
        "LdsBankConflict": ("SQ_LDS_BANK_CONFLICT", "SQ_LDS_IDX_ACTIVE"),
        "MemUnitStalled": ("TCP_TCP_TA_DATA_STALL_CYCLES", "GRBM_GUI_ACTIVE"),
        "VFetchInsts": ("SQ_INSTS_VMEM_RD", "TA_FLAT_READ_WAVEFRONTS", "SQ_WAVES"),
        "VWriteInsts": ("SQ_INSTS_VMEM_WR", "TA_FLAT_WRITE_WAVEFRONTS", "SQ_WAVES"),
    }
)
#: The raw counters behind rocprofv3's metrics, by architecture.
DERIVED: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **{
            arch: {
                **_SHARED,
                "FETCH_SIZE": ("TCC_BUBBLE", "TCC_EA0_RDREQ", "TCC_EA0_RDREQ_32B"),
                "WRITE_SIZE": ("TCC_EA0_WRREQ", "TCC_EA0_WRREQ_64B"),
            }
            for arch in _CDNA3
        },
        "gfx90a": {
            **_SHARED,
            "FETCH_SIZE": ("TCC_EA_RDREQ", "TCC_EA_RDREQ_32B"),
            "WRITE_SIZE": ("TCC_EA_WRREQ", "TCC_EA_WRREQ_64B"),
        },
    }
)

#: Metrics that accumulate levels, which takes one more counter of the SQ: each has a pass of its
#: own, as have those of gfx90a whose counters are not listed here.
ALONE = frozenset(
    {
        "MeanOccupancyPerCU", "MeanOccupancyPerActiveCU", "VmemLatency", "SmemLatency",
        "LdsLatency",
    }
)  # fmt: skip

#: What rocprofv3 gives in percent.
PERCENTAGES = frozenset(
    {
        "OccupancyPercent", "VALUBusy", "SALUBusy", "VALUUtilization", "MemUnitStalled",
        "LDSBankConflict", "MfmaUtil", "GPU_UTIL", "L2CacheHit", "MemUnitBusy",
        "WriteUnitStalled", "GPUBusy", "ALUStalledByLDS",
    }
)  # fmt: skip

#: Metrics that gfx90a has and the later ones have not, with what tells the same.
_GONE: Mapping[str, str] = MappingProxyType(
    {
        "L2CacheHit": "TCC_HIT_sum and TCC_MISS_sum",
        "MemUnitBusy": "TA_TA_BUSY and GRBM_GUI_ACTIVE",
        "WriteUnitStalled": "TCC_EA0_WRREQ_STALL and GRBM_GUI_ACTIVE",
        "GPUBusy": "GPU_UTIL",
        "Wavefronts": "SQ_WAVES",
        "VALUInsts": "SQ_INSTS_VALU and SQ_WAVES",
        "SALUInsts": "SQ_INSTS_SALU and SQ_WAVES",
        "LDSInsts": "SQ_INSTS_LDS and SQ_WAVES",
        "FlatVMemInsts": "SQ_INSTS_VMEM_RD and SQ_INSTS_VMEM_WR",
        "ALUStalledByLDS": "SQ_WAIT_INST_LDS and SQ_WAVES",
    }
)

_REDUCED = re.compile(r"_(sum|max|min|avr)\Z")


def plan_passes(arch: str, counters: Iterable[str]) -> list[list[str]]:
    """The counters in as few groups as they fit by the blocks' limits, in their order.

    A counter goes into the first pass that has room for it; one that is needed twice counts once.
    arch: `gfx942`, features may follow.  Raises `RocmoeError` for an architecture whose limits are
    not known and for a counter that it has not.
    """
    limits = BLOCKS.get(plain := arch.partition(":")[0])
    if limits is None:
        raise unknown("architecture for counters", plain, BLOCKS)
    passes: list[list[str]] = []
    for counter in dict.fromkeys(counters):
        check_counter(plain, counter)
        room = next((each for each in passes if _fit(plain, [*each, counter], limits)), None)
        if room is None:
            passes.append([counter])
        else:
            room.append(counter)
    return passes


def _fit(arch: str, counters: list[str], limits: Mapping[str, int]) -> bool:
    if any(counter in ALONE or counter in _GONE for counter in counters):
        return len(counters) == 1
    raw = {each for counter in counters for each in list_raw(arch, counter)}
    used = Counter(_find_block(counter, limits) for counter in raw)
    return all(count <= limits[block] for block, count in used.items())


def list_raw(arch: str, counter: str) -> tuple[str, ...]:
    """The counters of the hardware behind one; sum and maximum over instances are of the same."""
    return DERIVED[arch].get(counter) or (_REDUCED.sub("", counter),)


def _find_block(raw: str, limits: Mapping[str, int]) -> str:
    block = raw.partition("_")[0]
    return "SQ" if block == "SQC" and block not in limits else block


def check_counter(arch: str, counter: str) -> None:
    """Raise a `RocmoeError` where an architecture has no such counter, or a wrong one."""
    if counter == "BANDWIDTH_EA":
        raise RocmoeError(
            "BANDWIDTH_EA has the wrong sign in ROCm 7.0; wanted FETCH_SIZE and WRITE_SIZE"
        )
    if arch in _CDNA3 and counter in _GONE:
        raise RocmoeError(f"{counter} is not defined on {arch}; wanted {_GONE[counter]}")
    if counter in ALONE or counter in DERIVED[arch]:
        return
    if arch in _CDNA3 and counter.startswith("TCC_EA_"):
        right = counter.replace("TCC_EA_", "TCC_EA0_", 1)
        raise RocmoeError(f"{counter} is not defined on {arch}; wanted {right}")
    if arch in _CDNA2 and counter.startswith(("TCC_EA0_", "TCC_BUBBLE")):
        right = counter.replace("TCC_EA0_", "TCC_EA_", 1)
        wanted = "FETCH_SIZE" if right == counter else right
        raise RocmoeError(f"{counter} is not defined on {arch}; wanted {wanted}")
    if arch in _CDNA2 and counter in _GONE:
        return
    if _find_block(counter, BLOCKS[arch]) not in BLOCKS[arch] or "_" not in counter:
        known = {*DERIVED[arch], *ALONE}
        raise unknown(f"counter of {arch}", counter, known)
