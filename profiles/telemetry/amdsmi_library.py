"""AMD's Python package amdsmi as a source: its library is asked in this process.

`import amdsmi` raises KeyError or OSError where the library is not there.  Its call for violations
waits 100 ms, so their counters are taken from the GPU's metrics, which does not wait.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from rocmoe.ops.core.errors import describe_error
from rocmoe.profiles.telemetry.amd_violations import RESIDENCIES, name_throttlers, trusts_status
from rocmoe.profiles.telemetry.documents import (
    dig,
    find_highest,
    pick_quantity,
    to_celsius,
    to_count,
    to_quantity,
)
from rocmoe.profiles.telemetry.reading import ReadError, Reading, check_reading
from rocmoe.profiles.tools import LOAD_DRIVER

SOURCE = "amdsmi"
FIX = "apt-get install amd-smi-lib, then pip install /opt/rocm/share/amd_smi"


def import_amdsmi() -> Any:
    """The module; raises whatever it does: ModuleNotFoundError, KeyError, OSError ..."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("amdsmi")


class AmdsmiLibrary:
    """What the library behind a module like `amdsmi` tells; `load` imports it."""

    name = SOURCE
    in_process = True

    def __init__(self, load: Callable[[], Any] = import_amdsmi) -> None:
        self._load = load
        self._module: Any = None
        self._handles: list[Any] = []
        self._archs: list[str | None] = []

    def find_absence(self) -> str | None:
        if self._handles:
            return None
        try:
            module = self._load()
        except Exception as error:  # a broken package fails at import in any way it likes
            return f"amdsmi cannot be imported ({describe_error(error)}): {FIX}"
        try:
            module.amdsmi_init()
            handles = list(module.amdsmi_get_processor_handles())
        except Exception as error:
            return f"amdsmi does not start ({describe_error(error)}): {LOAD_DRIVER}"
        if not handles:
            return f"amdsmi shows no GPU: {LOAD_DRIVER}"
        self._module, self._handles = module, handles
        infos = [self._ask("amdsmi_get_gpu_asic_info", handle) for handle in handles]
        self._archs = [dig(info, "target_graphics_version") for info in infos]
        return None

    def list_gpus(self) -> Mapping[int, str | None]:
        asked = (self._ask("amdsmi_get_gpu_device_bdf", handle) for handle in self._handles)
        return {index: address or None for index, address in enumerate(asked)}

    def read(self, gpu_index: int) -> Reading:
        if not 0 <= gpu_index < len(self._handles):
            raise ReadError(f"amdsmi shows {len(self._handles)} GPUs, so none is GPU {gpu_index}")
        handle, arch = self._handles[gpu_index], self._archs[gpu_index]
        metrics = self._ask("amdsmi_get_gpu_metrics_info", handle)
        if isinstance(metrics, dict):
            reading = parse_metrics(metrics, gpu_index, arch, time.time())
            if not reading.is_empty:
                return reading
        return check_reading(self._ask_singly(handle, gpu_index))

    def _ask_singly(self, handle: Any, gpu_index: int) -> Reading:
        """By a call a figure, where the GPU's metrics are not to be had, as in a virtual one."""
        names = ("socket_power", "current_socket_power", "average_socket_power")
        activity = self._ask("amdsmi_get_gpu_activity", handle)
        return Reading(
            taken_s=time.time(),
            source=SOURCE,
            gpu_index=gpu_index,
            gfx_clock_mhz=self._ask_clock(handle, "GFX"),
            memory_clock_mhz=self._ask_clock(handle, "MEM"),
            socket_power_w=pick_quantity(self._ask("amdsmi_get_power_info", handle), *names),
            edge_temperature_c=self._ask_celsius(handle, "EDGE"),
            hotspot_temperature_c=self._ask_celsius(handle, "HOTSPOT"),
            memory_temperature_c=self._ask_celsius(handle, "VRAM"),
            utilization_percent=to_quantity(dig(activity, "gfx_activity")),
        )

    def _ask(self, name: str, *arguments: Any) -> Any:
        """What a call gives, None where this version or this GPU has none."""
        try:
            return getattr(self._module, name)(*arguments)
        except Exception:
            return None

    def _ask_clock(self, handle: Any, domain: str) -> float | None:
        kind = self._find_constant("AmdSmiClkType", domain)
        return to_quantity(dig(self._ask("amdsmi_get_clock_info", handle, kind), "clk"))

    def _ask_celsius(self, handle: Any, sensor: str) -> float | None:
        kind = self._find_constant("AmdSmiTemperatureType", sensor)
        now = self._find_constant("AmdSmiTemperatureMetric", "CURRENT")
        return to_celsius(self._ask("amdsmi_get_temp_metric", handle, kind, now))

    def _find_constant(self, enumeration: str, member: str) -> Any:
        return getattr(getattr(self._module, enumeration, None), member, None)


def parse_metrics(
    metrics: Mapping[str, Any], gpu_index: int, arch: str | None, taken_s: float
) -> Reading:
    """What amdsmi_get_gpu_metrics_info gives; `"N/A"` is what a GPU has not."""
    dies = find_highest(metrics.get("current_gfxclks"))
    one = pick_quantity(metrics, "current_gfxclk", "average_gfxclk_frequency")
    counters = {cause: to_count(metrics.get(name)) for cause, name in RESIDENCIES.items()}
    return Reading(
        taken_s=taken_s,
        source=SOURCE,
        gpu_index=gpu_index,
        gfx_clock_mhz=one if dies is None else dies,
        memory_clock_mhz=pick_quantity(metrics, "current_uclk", "average_uclk_frequency"),
        socket_power_w=pick_quantity(metrics, "current_socket_power", "average_socket_power"),
        edge_temperature_c=to_celsius(metrics.get("temperature_edge")),
        hotspot_temperature_c=to_celsius(metrics.get("temperature_hotspot")),
        memory_temperature_c=to_celsius(metrics.get("temperature_mem")),
        utilization_percent=to_quantity(metrics.get("average_gfx_activity")),
        violation_counts={cause: count for cause, count in counters.items() if count is not None},
        violation_samples=to_count(metrics.get("accumulation_counter")),
        throttle_reasons=find_reasons(metrics, arch),
    )


def find_reasons(metrics: Mapping[str, Any], arch: str | None) -> list[str] | None:
    """What holds the clock back, of MI100 and MI200; MI300 and newer tell by counters alone."""
    if not trusts_status(arch):
        return None
    bits = to_count(metrics.get("indep_throttle_status"))
    if bits is not None:
        return name_throttlers(bits)
    status = metrics.get("throttle_status")
    if not isinstance(status, int):
        return None
    return ["throttled"] if status else []
