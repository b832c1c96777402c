"""NVML as a source, for NVIDIA GPUs.  Constants are those of nvml.h."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rocmoe.ops.core.errors import describe_error
from rocmoe.profiles.telemetry.nvml_library import LIBRARY, load_nvml
from rocmoe.profiles.telemetry.reading import ReadError, Reading, check_reading

FIX = (
    "load NVIDIA's driver; in a container pass --gpus all and NVIDIA_DRIVER_CAPABILITIES=utility,"
    "compute"
)
CLOCK_SM, CLOCK_MEMORY = 1, 2
SENSOR_GPU = 0
FIELD_MEMORY_TEMPERATURE = 82
#: nvmlPerfPolicyType_t.  Left out: low utilisation and reliability, which hold the clock of any GPU
#: back, and the totals.
POLICIES: Mapping[str, int] = {"power": 0, "thermal": 1, "board_limit": 3}
#: nvmlClocksEventReasons, nvmlClocksThrottleReasons of old.
REASONS: Mapping[int, str] = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}


class Nvml:
    """What NVML tells; `load` gives an object with the calls of the module pynvml."""

    name = "nvml"
    in_process = True

    def __init__(self, load: Callable[[], Any] = load_nvml) -> None:
        self._load = load
        self._nvml: Any = None
        self._handles: list[Any] = []

    @property
    def library(self) -> str:
        """What the calls go to, once `find_absence` has found it."""
        return getattr(self._nvml, "__name__", LIBRARY)

    def find_absence(self) -> str | None:
        if self._handles:
            return None
        try:
            nvml = self._load()
            nvml.nvmlInit()
            count = int(nvml.nvmlDeviceGetCount())
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except Exception as error:  # OSError without the library; pynvml has errors of its own
            return f"no NVML by {LIBRARY} ({describe_error(error)}): {FIX}"
        if not handles:
            return f"NVML shows no GPU: {FIX}"
        self._nvml, self._handles = nvml, handles
        return None

    def list_gpus(self) -> Mapping[int, str | None]:
        infos = (self._ask("nvmlDeviceGetPciInfo", handle) for handle in self._handles)
        return {
            index: f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0" if info else None
            for index, info in enumerate(infos)
        }

    def read(self, gpu_index: int) -> Reading:
        if not 0 <= gpu_index < len(self._handles):
            raise ReadError(f"NVML shows {len(self._handles)} GPUs, so none is GPU {gpu_index}")
        handle = self._handles[gpu_index]
        power_mw = self._ask("nvmlDeviceGetPowerUsage", handle)
        busy = self._ask("nvmlDeviceGetUtilizationRates", handle)
        reasons = self._find_reasons(handle)
        return check_reading(
            Reading(
                taken_s=time.time(),
                source=self.name,
                gpu_index=gpu_index,
                gfx_clock_mhz=self._number("nvmlDeviceGetClockInfo", handle, CLOCK_SM),
                memory_clock_mhz=self._number("nvmlDeviceGetClockInfo", handle, CLOCK_MEMORY),
                socket_power_w=None if power_mw is None else power_mw / 1000.0,
                edge_temperature_c=self._number("nvmlDeviceGetTemperature", handle, SENSOR_GPU),
                memory_temperature_c=self._find_memory_celsius(handle),
                utilization_percent=None if busy is None else float(busy.gpu),
                violation_ns=self._find_violations(handle),
                throttle_reasons=reasons,
            )
        )

    def _ask(self, name: str, *arguments: Any) -> Any:
        """What a call gives, None where this GPU or this driver has none."""
        try:
            return getattr(self._nvml, name)(*arguments)
        except Exception:
            return None

    def _number(self, name: str, *arguments: Any) -> float | None:
        found = self._ask(name, *arguments)
        return None if found is None else float(found)

    def _find_violations(self, handle: Any) -> dict[str, int]:
        name = "nvmlDeviceGetViolationStatus"
        found = {word: self._ask(name, handle, policy) for word, policy in POLICIES.items()}
        return {word: int(time.violationTime) for word, time in found.items() if time is not None}

    def _find_reasons(self, handle: Any) -> list[str] | None:
        """By the name that the call has now, or the one that older drivers know."""
        for word in ("Event", "Throttle"):
            bits = self._ask(f"nvmlDeviceGetCurrentClocks{word}Reasons", handle)
            if bits is not None:
                return name_reasons(bits)
        return None

    def _find_memory_celsius(self, handle: Any) -> float | None:
        """Of memory that tells; others give a status, or 0."""
        values = self._ask("nvmlDeviceGetFieldValues", handle, [FIELD_MEMORY_TEMPERATURE])
        if not values or values[0].nvmlReturn != 0:
            return None
        return float(values[0].value.uiVal) or None


def name_reasons(bits: int) -> list[str]:
    """The words for the bits; those that have none are left out: what they mean is not known."""
    return [word for bit, word in REASONS.items() if bits & bit]
