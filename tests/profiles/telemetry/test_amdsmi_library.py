"""The Python package amdsmi by modules of pretence: what it gives, and how it fails."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from rocmoe.profiles.telemetry.amd_violations import name_throttlers
from rocmoe.profiles.telemetry.amdsmi_library import AmdsmiLibrary, find_reasons, parse_metrics
from rocmoe.profiles.telemetry.reading import ReadError, Reading

MI300X = {
    "temperature_edge": "N/A",
    "temperature_hotspot": 41,
    "temperature_mem": 33,
    "average_gfx_activity": 98,
    "current_socket_power": 612,
    "average_socket_power": "N/A",
    "current_gfxclk": 132,
    "current_gfxclks": [132, 2087, 2079, "N/A", 65535],
    "current_uclk": 1300,
    "accumulation_counter": 4872059,
    "prochot_residency_acc": 0,
    "ppt_residency_acc": 53994,
    "socket_thm_residency_acc": 7,
    "vr_thm_residency_acc": (1 << 64) - 1,
    "hbm_thm_residency_acc": "N/A",
    "throttle_status": "N/A",
    "indep_throttle_status": "N/A",
}
MI210 = {
    "temperature_edge": 61,
    "temperature_hotspot": 74,
    "temperature_mem": 68,
    "average_gfx_activity": 97,
    "average_socket_power": 281,
    "current_socket_power": "N/A",
    "current_gfxclk": 1580,
    "current_gfxclks": ["N/A"],
    "current_uclk": 1600,
    "throttle_status": 1,
    "indep_throttle_status": 1 << 0 | 1 << 36,
}


class AmdSmiLibraryException(Exception):
    """What the package raises where a GPU has not what is asked."""


def refuse(*_):
    raise AmdSmiLibraryException("AMDSMI_STATUS_NOT_SUPPORTED")


def make_module(gpus, **more):
    """A module with a GPU for each (address, architecture, metrics or None)."""

    def give_metrics(handle):
        return refuse() if gpus[handle][2] is None else gpus[handle][2]

    calls = {
        "amdsmi_init": lambda: None,
        "amdsmi_get_processor_handles": lambda: list(range(len(gpus))),
        "amdsmi_get_gpu_device_bdf": lambda handle: gpus[handle][0],
        "amdsmi_get_gpu_asic_info": lambda handle: {"target_graphics_version": gpus[handle][1]},
        "amdsmi_get_gpu_metrics_info": give_metrics,
        **more,
    }
    return SimpleNamespace(**calls)


def test_an_mi300x_has_counters_and_the_fastest_die():
    assert parse_metrics(MI300X, 2, "gfx942", 5.0) == Reading(
        5.0, "amdsmi", 2,
        gfx_clock_mhz=2087.0, memory_clock_mhz=1300.0, socket_power_w=612.0,
        hotspot_temperature_c=41.0, memory_temperature_c=33.0, utilization_percent=98.0,
        violation_counts={"prochot": 0, "ppt": 53994, "socket_thermal": 7},
        violation_samples=4872059,
    )  # fmt: skip


def test_an_mi210_has_reasons():
    assert parse_metrics(MI210, 0, "gfx90a", 5.0) == Reading(
        5.0, "amdsmi", 0,
        gfx_clock_mhz=1580.0, memory_clock_mhz=1600.0, socket_power_w=281.0,
        edge_temperature_c=61.0, hotspot_temperature_c=74.0, memory_temperature_c=68.0,
        utilization_percent=97.0, throttle_reasons=["ppt0", "temp_hotspot"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "arch", "reasons"),
    [
        ({"indep_throttle_status": 0, "throttle_status": 1}, "gfx90a", []),
        ({"indep_throttle_status": "N/A", "throttle_status": 1}, "gfx90a", ["throttled"]),
        ({"indep_throttle_status": "N/A", "throttle_status": False}, "gfx908", []),
        ({}, "gfx90a", None),
        (MI210, "gfx1201", None),
        (MI210, None, None),
    ],
)
def test_reasons_are_words_where_they_mean_something(metrics, arch, reasons):
    assert find_reasons(metrics, arch) == reasons


def test_bits_have_the_kernels_names():
    bits = {0: "ppt0", 7: "sppt_apu", 16: "tdc_gfx", 20: "tdc_cvip", 21: "edc_cpu", 23: "apcc",
            32: "temp_gpu", 36: "temp_hotspot", 40: "temp_vr_mem0", 41: "temp_vr_mem1",
            43: "temp_liquid1", 44: "vrhot0", 47: "prochot_gfx", 56: "ppm", 57: "fit",
            60: "bit 60"}  # fmt: skip
    assert name_throttlers(sum(1 << bit for bit in bits)) == list(bits.values())
    assert name_throttlers(0) == []


def test_the_package_is_asked_by_index():
    module = make_module([("0000:05:00.0", "gfx942", MI300X), ("0000:26:00.0", "gfx90a", MI210)])
    source = AmdsmiLibrary(lambda: module)
    assert source.find_absence() is None
    assert source.list_gpus() == {0: "0000:05:00.0", 1: "0000:26:00.0"}
    assert source.read(0).throttle_reasons is None
    assert source.read(1).throttle_reasons == ["ppt0", "temp_hotspot"]
    with pytest.raises(ReadError, match=r"^amdsmi shows 2 GPUs, so none is GPU 2$"):
        source.read(2)


def test_without_metrics_each_figure_is_asked_for():
    enumerations = {
        "AmdSmiClkType": SimpleNamespace(GFX="gfx", MEM="mem"),
        "AmdSmiTemperatureType": SimpleNamespace(EDGE="edge", HOTSPOT="hotspot", VRAM="vram"),
        "AmdSmiTemperatureMetric": SimpleNamespace(CURRENT="current"),
    }
    celsius = {"hotspot": 41000, "vram": 33}
    module = make_module(
        [("0000:05:00.0", "gfx942", None)],
        amdsmi_get_clock_info=lambda _, kind: {"clk": {"gfx": 2087, "mem": "N/A"}[kind]},
        amdsmi_get_power_info=lambda _: {"average_socket_power": "N/A", "socket_power": 300},
        amdsmi_get_temp_metric=lambda _, kind, now: celsius.get(kind) if now else refuse(),
        amdsmi_get_gpu_activity=lambda _: {"gfx_activity": 12, "umc_activity": "N/A"},
        **enumerations,
    )
    source = AmdsmiLibrary(lambda: module)
    assert source.find_absence() is None
    reading = source.read(0)
    assert reading == Reading(
        reading.taken_s, "amdsmi", 0,
        gfx_clock_mhz=2087.0, socket_power_w=300.0, hotspot_temperature_c=41.0,
        memory_temperature_c=33.0, utilization_percent=12.0,
    )  # fmt: skip


def test_a_gpu_that_tells_nothing_is_an_error():
    source = AmdsmiLibrary(lambda: make_module([("N/A", None, {"current_uclk": "N/A"})]))
    assert source.find_absence() is None
    with pytest.raises(ReadError, match=r"^amdsmi tells nothing about GPU 0$"):
        source.read(0)


@pytest.mark.parametrize(
    ("source_code", "said"),
    [
        ("raise KeyError('libamd_smi.so')", "KeyError: 'libamd_smi.so'"),
        ("raise OSError('libamd_smi.so: cannot open\\nmore')", "OSError: libamd_smi.so: cannot"),
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named"),
    ],
)
def test_an_import_that_fails_is_a_reason(tmp_path, monkeypatch, source_code, said):
    (tmp_path / "amdsmi.py").write_text(source_code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "amdsmi", raising=False)
    reason = AmdsmiLibrary().find_absence()
    assert reason is not None
    assert "\n" not in reason
    assert reason.startswith(f"amdsmi cannot be imported ({said}")
    assert reason.endswith("pip install /opt/rocm/share/amd_smi")


def test_a_start_that_fails_or_finds_none_is_a_reason():
    failing = AmdsmiLibrary(lambda: make_module([], amdsmi_init=refuse)).find_absence()
    assert failing is not None
    assert failing.startswith("amdsmi does not start (AmdSmiLibraryException: AMDSMI_STATUS_NOT_")
    empty = AmdsmiLibrary(lambda: make_module([])).find_absence()
    assert empty is not None
    assert empty.startswith("amdsmi shows no GPU: load the amdgpu driver")
