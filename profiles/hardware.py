"""Hardware profiles: the peaks, caches and limits of GPUs, each value with its source.

A profile is a TOML file as `sourced_toml` describes it, and is of one device as torch sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import MappingProxyType

from rocmoe.profiles.sourced_toml import (
    COUNT,
    POSITIVE,
    TEXT,
    TEXTS,
    Kind,
    check_entries,
    list_bundled,
    parse_entries,
    read_bundled,
    wrong,
)

_FOLDER = "hardware"


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a GPU has at most; None is what it has not, or what nothing published agrees on.

    Where a GPU can be partitioned, this is the whole of it.
    """

    name: str
    summary: str
    #: What torch calls it, and its architecture: `gfx942`, `sm_90`.
    names: tuple[str, ...]
    arch: str
    #: Dies with compute units of their own (XCDs), each with an L2 of its own.
    dies: int
    #: Of all dies; SMs where they are called so.
    compute_units: int
    #: Lanes of a wave, of a warp.
    wavefront: int
    simds_per_cu: int
    waves_per_cu: int
    #: 32-bit registers a lane, shared by the waves of a SIMD.
    vgprs_per_simd: int
    #: Shared memory of an SM; half of what the two CUs of a WGP have.
    lds_bytes_per_cu: int
    l2_bytes_per_die: int
    #: The cache that is shared by all dies, where there is one.
    infinity_cache_bytes: int | None = None
    memory_bytes: int
    #: Bandwidth of the memory, in 1e9 bytes a second.
    memory_gb_per_s: float
    #: The highest clock of the compute units, not what they hold under load.
    max_clock_mhz: float | None = None
    #: Of vector instructions, two at a time (packed or dual-issued) counted, in 1e12 a second.
    fp32_tflops: float | None = None
    #: Where each value is from, by its name.
    sources: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))

    @property
    def last_cache_bytes(self) -> int:
        """What is in front of memory: the cache that all dies share, or else their L2."""
        return self.infinity_cache_bytes or self.dies * self.l2_bytes_per_die


_KINDS: Mapping[str, Kind] = {
    "names": TEXTS,
    "arch": TEXT,
    "dies": COUNT,
    "compute_units": COUNT,
    "wavefront": COUNT,
    "simds_per_cu": COUNT,
    "waves_per_cu": COUNT,
    "vgprs_per_simd": COUNT,
    "lds_bytes_per_cu": COUNT,
    "l2_bytes_per_die": COUNT,
    "infinity_cache_bytes": COUNT,
    "memory_bytes": COUNT,
    "memory_gb_per_s": POSITIVE,
    "max_clock_mhz": POSITIVE,
    "fp32_tflops": POSITIVE,
}
_OPTIONAL = {each.name for each in fields(Hardware) if each.default is None}


def list_hardware() -> list[str]:
    """The names of the bundled GPUs, sorted."""
    return list_bundled(_FOLDER)


@cache
def load_hardware(name: str) -> Hardware:
    """The bundled GPU of that name; an unknown one is a `RocmoeError` with the nearest."""
    return parse_toml(read_bundled(_FOLDER, "hardware", name), f"{name}.toml")


def parse_toml(text: str, file: str) -> Hardware:
    """The GPU that the text of a profile describes; `file` names it in errors."""
    found = parse_entries(text, _KINDS, file)
    typed = check_entries(found.values, found.sources, _KINDS, file)
    for key, kind in _KINDS.items():
        if key not in typed and key not in _OPTIONAL:
            raise wrong(file, key, None, kind.wanted)
    return Hardware(name=found.name, summary=found.summary, sources=found.sources, **typed)


def find_hardware(gpu_name: str, arch: str) -> Hardware | None:
    """The GPU that torch calls so, None where none is bundled.

    arch: `gfx942`, features may follow; `sm_90` or `sm90`; it has to fit too.  The name has to be
    the whole, since others begin with it that have less: partitions of NVIDIA GPUs (`... MIG
    1g.10gb`), cards with other memory.  AMD's partitions have the name of the whole GPU.
    """
    name, plain = gpu_name.strip().casefold(), arch.partition(":")[0].replace("_", "")
    for hardware in map(load_hardware, list_hardware()):
        names = [each.casefold() for each in hardware.names]
        if name in names and plain == hardware.arch.replace("_", ""):
            return hardware
    return None


def find_last_cache(arch: str) -> int:
    """Bytes of the largest cache in front of memory of an architecture's GPUs, 0 if none is known.

    Drivers do not tell it: HIP reports the L2 of one die (ROCm/legacy-rocm-build#4203) and has no
    query for what is behind it (ROCm/hip#3723).
    """
    all_hardware = map(load_hardware, list_hardware())
    return max((each.last_cache_bytes for each in all_hardware if each.arch == arch), default=0)


def find_peak_share(bytes_moved: float, us: float, hardware: Hardware) -> float:
    """The share of the memory's bandwidth that moving so many bytes in `us` comes to.

    More than 1 where caches served some of them.
    """
    return bytes_moved / (us * hardware.memory_gb_per_s * 1e3)
