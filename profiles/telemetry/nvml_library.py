"""The few calls of NVIDIA's libnvidia-ml.so.1 that are needed, named as in the module pynvml.

Signatures and records are those of nvml.h (NVIDIA's NVML API reference); a call that gives
another status than 0 raises.
"""

from __future__ import annotations

import ctypes
import importlib
import warnings
from collections.abc import Sequence
from typing import Any

LIBRARY = "libnvidia-ml.so.1"


class NvmlError(Exception):
    """A call of the library failed."""


class PciInfo(ctypes.Structure):
    """nvmlPciInfo_t."""

    _fields_ = (
        ("busIdLegacy", ctypes.c_char * 16),
        ("domain", ctypes.c_uint),
        ("bus", ctypes.c_uint),
        ("device", ctypes.c_uint),
        ("pciDeviceId", ctypes.c_uint),
        ("pciSubSystemId", ctypes.c_uint),
        ("busId", ctypes.c_char * 32),
    )


class Utilization(ctypes.Structure):
    """nvmlUtilization_t: percent of the time."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class ViolationTime(ctypes.Structure):
    """nvmlViolationTime_t: referenceTime in us, violationTime in ns."""

    _fields_ = (("referenceTime", ctypes.c_ulonglong), ("violationTime", ctypes.c_ulonglong))


class Value(ctypes.Union):
    """nvmlValue_t."""

    _fields_ = (("uiVal", ctypes.c_uint), ("ullVal", ctypes.c_ulonglong))


class FieldValue(ctypes.Structure):
    """nvmlFieldValue_t."""

    _fields_ = (
        ("fieldId", ctypes.c_uint),
        ("scopeId", ctypes.c_uint),
        ("timestamp", ctypes.c_longlong),
        ("latencyUsec", ctypes.c_longlong),
        ("valueType", ctypes.c_uint),
        ("nvmlReturn", ctypes.c_uint),
        ("value", Value),
    )


def load_nvml() -> Any:
    """The module pynvml if it can be imported, else the library itself; OSError without either.

    Both end in the same library.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one of the distributions warns that it is deprecated
            return importlib.import_module("pynvml")
    except Exception:  # absent, or broken in any way it likes
        return NvmlLibrary(ctypes.CDLL(LIBRARY))


class NvmlLibrary:
    """Calls with pynvml's names and results on a loaded library."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            raise NvmlError(f"{name} gives status {status}")

    def _get(self, name: str, result: Any, *arguments: Any) -> Any:
        self._call(name, *arguments, ctypes.byref(result))
        return result

    def nvmlInit(self) -> None:
        self._call("nvmlInit_v2")

    def nvmlDeviceGetCount(self) -> int:
        return int(self._get("nvmlDeviceGetCount_v2", ctypes.c_uint()).value)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        name = "nvmlDeviceGetHandleByIndex_v2"
        return self._get(name, ctypes.c_void_p(), ctypes.c_uint(index))

    def nvmlDeviceGetPciInfo(self, handle: Any) -> Any:
        return self._get("nvmlDeviceGetPciInfo_v3", PciInfo(), handle)

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int) -> int:
        name = "nvmlDeviceGetClockInfo"
        return int(self._get(name, ctypes.c_uint(), handle, ctypes.c_int(kind)).value)

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int:
        return int(self._get("nvmlDeviceGetPowerUsage", ctypes.c_uint(), handle).value)

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> int:
        name = "nvmlDeviceGetTemperature"
        return int(self._get(name, ctypes.c_uint(), handle, ctypes.c_int(sensor)).value)

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any:
        return self._get("nvmlDeviceGetUtilizationRates", Utilization(), handle)

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Any) -> int:
        name = "nvmlDeviceGetCurrentClocksEventReasons"
        return int(self._get(name, ctypes.c_ulonglong(), handle).value)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any) -> int:
        name = "nvmlDeviceGetCurrentClocksThrottleReasons"
        return int(self._get(name, ctypes.c_ulonglong(), handle).value)

    def nvmlDeviceGetViolationStatus(self, handle: Any, policy: int) -> Any:
        name = "nvmlDeviceGetViolationStatus"
        return self._get(name, ViolationTime(), handle, ctypes.c_int(policy))

    def nvmlDeviceGetFieldValues(self, handle: Any, fields: Sequence[int]) -> Any:
        values = (FieldValue * len(fields))()
        for value, field in zip(values, fields, strict=True):
            value.fieldId = field
        self._call("nvmlDeviceGetFieldValues", handle, ctypes.c_int(len(fields)), values)
        return values
