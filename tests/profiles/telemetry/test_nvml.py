"""NVML by a library of pretence, called as the real one is."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType

import pytest

from rocmoe.profiles.telemetry import nvml_library
from rocmoe.profiles.telemetry.nvml import Nvml, name_reasons
from rocmoe.profiles.telemetry.nvml_library import FieldValue, NvmlError, NvmlLibrary, load_nvml
from rocmoe.profiles.telemetry.reading import ReadError, Reading

NOT_SUPPORTED = 3


class Library:
    """libnvidia-ml.so.1 with an H100 and another GPU that tells little; pointers are written to."""

    def __init__(self, memory_celsius=47, count=2, status=0):
        self.memory_celsius, self.count, self.status = memory_celsius, count, status

    def nvmlInit_v2(self):
        return self.status

    def nvmlDeviceGetCount_v2(self, pointer):
        pointer._obj.value = self.count
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, pointer):
        pointer._obj.value = 0xAA00 + index.value
        return 0

    def nvmlDeviceGetPciInfo_v3(self, handle, pointer):
        info = pointer._obj
        info.domain, info.bus, info.device = 0, 0x19 + (handle.value & 1), 3
        return 0

    def nvmlDeviceGetClockInfo(self, handle, kind, pointer):
        pointer._obj.value = {1: 1980, 2: 2619}[kind.value]
        return 0

    def nvmlDeviceGetPowerUsage(self, handle, pointer):
        pointer._obj.value = 121_500
        return NOT_SUPPORTED if handle.value & 1 else 0

    def nvmlDeviceGetTemperature(self, handle, sensor, pointer):
        pointer._obj.value = 35 if sensor.value == 0 else 99
        return NOT_SUPPORTED if handle.value & 1 else 0

    def nvmlDeviceGetUtilizationRates(self, handle, pointer):
        pointer._obj.gpu, pointer._obj.memory = 87, 12
        return NOT_SUPPORTED if handle.value & 1 else 0

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle, pointer):
        pointer._obj.value = 0x4 | 0x1
        return NOT_SUPPORTED if handle.value & 1 else 0

    def nvmlDeviceGetViolationStatus(self, handle, policy, pointer):
        pointer._obj.violationTime = {0: 7_000_000_000, 1: 11}.get(policy.value, 0)
        return NOT_SUPPORTED if policy.value == 3 or handle.value & 1 else 0

    def nvmlDeviceGetFieldValues(self, handle, count, values):
        assert (count.value, values[0].fieldId) == (1, 82)
        values[0].value.uiVal = self.memory_celsius
        values[0].nvmlReturn = NOT_SUPPORTED if handle.value & 1 else 0
        return 0


def make_source(library):
    source = Nvml(lambda: NvmlLibrary(library))
    assert source.find_absence() is None
    return source


def test_a_gpu_that_tells_all():
    source = make_source(Library())
    assert source.list_gpus() == {0: "0000:19:03.0", 1: "0000:1a:03.0"}
    reading = source.read(0)
    assert reading == Reading(
        reading.taken_s, "nvml", 0,
        gfx_clock_mhz=1980.0, memory_clock_mhz=2619.0, socket_power_w=121.5,
        edge_temperature_c=35.0, memory_temperature_c=47.0, utilization_percent=87.0,
        violation_ns={"power": 7_000_000_000, "thermal": 11},
        throttle_reasons=["gpu_idle", "sw_power_cap"],
    )  # fmt: skip


def test_a_gpu_that_tells_its_clocks_alone():
    reading = make_source(Library()).read(1)
    assert reading == Reading(
        reading.taken_s, "nvml", 1, gfx_clock_mhz=1980.0, memory_clock_mhz=2619.0
    )


def test_the_old_name_of_the_reasons_is_tried_too(monkeypatch):
    found = Library.nvmlDeviceGetCurrentClocksEventReasons
    monkeypatch.delattr(Library, "nvmlDeviceGetCurrentClocksEventReasons")
    assert make_source(Library()).read(0).throttle_reasons is None
    monkeypatch.setattr(Library, "nvmlDeviceGetCurrentClocksThrottleReasons", found, raising=False)
    assert make_source(Library()).read(0).throttle_reasons == ["gpu_idle", "sw_power_cap"]


def test_no_memory_is_at_zero_degrees():
    assert make_source(Library(memory_celsius=0)).read(0).memory_temperature_c is None


def test_reasons_have_the_names_of_nvml():
    assert name_reasons(0x1FE) == [
        "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost",
        "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown",
        "display_clock_setting",
    ]  # fmt: skip
    assert name_reasons(0) == []


def test_a_reason_that_is_newer_than_this_is_left_out():
    """It may be set whenever a GPU works, as that of applications clocks is."""
    assert name_reasons(0x400) == []
    assert name_reasons(0x404) == ["sw_power_cap"]


def test_a_gpu_that_is_not_there_is_an_error():
    with pytest.raises(ReadError, match=r"^NVML shows 2 GPUs, so none is GPU 2$"):
        make_source(Library()).read(2)


def test_failures_are_reasons_with_the_remedy():
    def load_none():
        raise OSError("libnvidia-ml.so.1: cannot open shared object file")

    missing = Nvml(load_none).find_absence()
    assert missing is not None
    assert missing.startswith("no NVML by libnvidia-ml.so.1 (OSError: libnvidia-ml.so.1: cannot")
    assert "load NVIDIA's driver" in missing
    failing = Nvml(lambda: NvmlLibrary(Library(status=9))).find_absence()
    assert failing is not None
    assert "NvmlError: nvmlInit_v2 gives status 9" in failing
    empty = Nvml(lambda: NvmlLibrary(Library(count=0))).find_absence()
    assert empty is not None
    assert empty.startswith("NVML shows no GPU: ")


def test_the_module_is_used_where_it_is_installed_and_else_the_library(tmp_path, monkeypatch):
    module = ModuleType("pynvml")
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert load_nvml() is module
    monkeypatch.setitem(sys.modules, "pynvml", None)  # import raises ModuleNotFoundError
    monkeypatch.setattr(nvml_library, "LIBRARY", str(tmp_path / "libnvidia-ml.so.1"))
    with pytest.raises(OSError, match="libnvidia-ml"):
        load_nvml()


def test_a_module_that_is_broken_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "pynvml.py").write_text("raise KeyError('its own')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setattr(nvml_library, "LIBRARY", str(tmp_path / "libnvidia-ml.so.1"))
    with pytest.raises(OSError, match="libnvidia-ml"):
        load_nvml()


def test_what_is_called_is_told():
    assert make_source(Library()).library == "libnvidia-ml.so.1"
    module = ModuleType("pynvml")
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: 1
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    source = Nvml(lambda: module)
    assert source.find_absence() is None
    assert source.library == "pynvml"


def test_records_are_laid_out_as_in_nvml_h():
    assert ctypes.sizeof(nvml_library.PciInfo) == 16 + 5 * 4 + 32
    assert ctypes.sizeof(FieldValue) == 40
    assert (FieldValue.valueType.offset, FieldValue.value.offset) == (24, 32)
    assert ctypes.sizeof(nvml_library.ViolationTime) == 16


def test_a_call_that_fails_raises():
    with pytest.raises(NvmlError, match=r"^nvmlDeviceGetPowerUsage gives status 3$"):
        NvmlLibrary(Library()).nvmlDeviceGetPowerUsage(ctypes.c_void_p(1))
