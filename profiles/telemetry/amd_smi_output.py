"""What amd-smi prints as JSON, of every version: `static`, `metric` and `version`."""

from __future__ import annotations

from typing import Any

import msgspec

from rocmoe.profiles.documents import decode_documents
from rocmoe.profiles.telemetry.amd_violations import (
    read_active,
    read_counters,
    read_percents,
    trusts_status,
)
from rocmoe.profiles.telemetry.documents import (
    dig,
    find_highest,
    pick_quantity,
    to_celsius,
    to_count,
    to_quantity,
)
from rocmoe.profiles.telemetry.reading import Reading

SOURCE = "amd-smi"


class GpuFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What stays the same while work runs; no serial numbers.  None is what was not told.

    name: of the board, since the market name of a chip can be a generic one.  arch: `gfx942`.
    """

    gpu_index: int
    pci_address: str | None = None
    name: str | None = None
    arch: str | None = None
    driver_version: str | None = None
    power_limit_w: float | None = None
    memory_mb: float | None = None
    compute_partition: str | None = None
    memory_partition: str | None = None


class Versions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Versions as `amd-smi version` tells them."""

    tool: str | None = None
    library: str | None = None
    rocm: str | None = None


def parse_facts(entry: dict[str, Any]) -> GpuFacts:
    """A GPU's entry of `amd-smi static --json`; `entry["gpu"]` is its index."""
    partition = entry.get("partition")
    return GpuFacts(
        gpu_index=entry["gpu"],
        pci_address=_to_text(dig(entry, "bus", "bdf")),
        name=_to_text(dig(entry, "board", "product_name"))
        or _to_text(dig(entry, "asic", "market_name")),
        arch=_to_text(dig(entry, "asic", "target_graphics_version")),
        driver_version=_to_text(dig(entry, "driver", "version")),
        power_limit_w=pick_quantity(entry.get("limit"), "socket_power", "max_power"),
        memory_mb=to_quantity(dig(entry, "vram", "size")),
        compute_partition=_to_text(dig(partition, "compute_partition"))
        or _to_text(dig(partition, "accelerator_partition")),
        memory_partition=_to_text(dig(partition, "memory_partition")),
    )


def parse_metric(entry: dict[str, Any], arch: str | None, taken_s: float) -> Reading:
    """A GPU's entry of `amd-smi metric --json`; `entry["gpu"]` is its index."""
    throttle, heat = entry.get("throttle"), entry.get("temperature")
    return Reading(
        taken_s=taken_s,
        source=SOURCE,
        gpu_index=entry["gpu"],
        gfx_clock_mhz=find_highest(_list_clocks(entry.get("clock"), "gfx")),
        memory_clock_mhz=find_highest(_list_clocks(entry.get("clock"), "mem")),
        socket_power_w=pick_quantity(
            entry.get("power"), "socket_power", "current_socket_power", "average_socket_power"
        ),
        edge_temperature_c=to_celsius(dig(heat, "edge")),
        hotspot_temperature_c=to_celsius(dig(heat, "hotspot")),
        memory_temperature_c=to_celsius(dig(heat, "mem")),
        utilization_percent=to_quantity(dig(entry, "usage", "gfx_activity")),
        violation_counts=read_counters(throttle),
        violation_samples=to_count(dig(throttle, "accumulation_counter")),
        violation_percents=read_percents(throttle),
        throttle_reasons=_find_reasons(entry, arch),
    )


def parse_versions(text: str) -> Versions:
    """The output of `amd-smi version --json`: a list of one record, or the record."""
    for document in decode_documents(text):
        record = document[0] if isinstance(document, list) and document else document
        if dig(record, "version") is not None:
            return Versions(
                tool=_to_text(dig(record, "version")),
                library=_to_text(dig(record, "amdsmi_library_version")),
                rocm=_to_text(dig(record, "rocm_version")),
            )
    return Versions()


def _list_clocks(clocks: Any, domain: str) -> list[Any]:
    """The clocks of the dies of a domain: `gfx_0` ... `gfx_7`, or `gfx` alone."""
    records = clocks.items() if isinstance(clocks, dict) else ()
    return [dig(record, "clk") for name, record in records if name.partition("_")[0] == domain]


def _find_reasons(entry: dict[str, Any], arch: str | None) -> list[str] | None:
    """MI300 and newer: the active violations; older Instincts: one word for all."""
    active = read_active(entry.get("throttle"))
    status = dig(entry, "power", "throttle_status")
    if active is None and trusts_status(arch) and status in ("THROTTLED", "UNTHROTTLED"):
        return ["throttled"] if status == "THROTTLED" else []
    return active


def _to_text(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in ("", "N/A") else None
