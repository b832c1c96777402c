"""amd-smi by what it prints, version by version, and by what it does without a driver."""

from __future__ import annotations

import pytest

from rocmoe.profiles.documents import list_entries
from rocmoe.profiles.telemetry.amd_smi import AmdSmi
from rocmoe.profiles.telemetry.amd_smi_output import (
    GpuFacts,
    Versions,
    parse_facts,
    parse_metric,
    parse_versions,
)
from rocmoe.profiles.telemetry.reading import ReadError, Reading


def parse(text, gpu_index, arch):
    return parse_metric(list_entries(text)[gpu_index], arch, 5.0)


def test_facts_of_a_list(read_fixture):
    entries = list_entries(read_fixture("amd_smi_static_6.3.json"))
    assert parse_facts(entries[0]) == GpuFacts(
        0, "0000:05:00.0", "AMD Instinct MI300X OAM", "gfx942", "6.10.5", 700.0, 196592.0,
        "SPX", "NPS1",
    )  # fmt: skip
    assert parse_facts(entries[1]) == GpuFacts(
        1, "0000:26:00.0", "AMD Instinct MI300X", "gfx942", power_limit_w=750.0
    )


def test_facts_under_gpu_data(read_fixture):
    (entry,) = list_entries(read_fixture("amd_smi_static_7.0.json")).values()
    assert parse_facts(entry) == GpuFacts(
        0, "0000:75:00.0", "AMD Instinct MI355X", "gfx950", "6.14.14", None, 294896.0,
        "DPX", "NPS2",
    )  # fmt: skip


def test_facts_of_nothing_are_none():
    assert parse_facts({"gpu": 2}) == GpuFacts(2)


def test_metric_of_an_mi300x_has_counters_and_the_fastest_die(read_fixture):
    assert parse(read_fixture("amd_smi_metric_6.3_mi300x.json"), 1, "gfx942") == Reading(
        5.0, "amd-smi", 1,
        gfx_clock_mhz=2087.0,
        memory_clock_mhz=1300.0,
        socket_power_w=152.0,
        hotspot_temperature_c=41.0,
        memory_temperature_c=33.0,
        utilization_percent=12.0,
        violation_counts={"prochot": 0, "ppt": 53994, "socket_thermal": 7, "vr_thermal": 0},
        violation_samples=4872059,
        violation_percents={"prochot": 0.0, "ppt": 34.0},
        throttle_reasons=["ppt"],
    )  # fmt: skip


def test_metric_of_an_mi210_has_one_word(read_fixture):
    text = read_fixture("amd_smi_metric_6.2_mi210.json")
    reading = parse(text, 0, "gfx90a")
    assert reading == Reading(
        5.0, "amd-smi", 0,
        gfx_clock_mhz=1580.0, memory_clock_mhz=1600.0, socket_power_w=281.0,
        edge_temperature_c=61.0, hotspot_temperature_c=74.0, memory_temperature_c=68.0,
        utilization_percent=97.0, throttle_reasons=["throttled"],
    )  # fmt: skip
    calm = text.replace("THROTTLED", "UNTHROTTLED")
    assert parse(calm, 0, "gfx90a").throttle_reasons == []
    assert parse(text, 0, None).throttle_reasons is None


def test_metric_under_gpu_data_with_the_other_names_of_counters(read_fixture):
    reading = parse(read_fixture("amd_smi_metric_7.0_mi355x.json"), 0, "gfx950")
    assert reading.violation_counts == {"prochot": 0, "ppt": 12}
    assert reading.violation_samples == 991
    assert reading.throttle_reasons == []
    assert (reading.gfx_clock_mhz, reading.memory_clock_mhz) == (158.0, 2000.0)


def test_a_radeon_is_throttled_for_ever_and_not_believed(read_fixture):
    reading = parse(read_fixture("amd_smi_metric_7.0_r9700.json"), 0, "gfx1201")
    assert reading.throttle_reasons is None
    assert (reading.gfx_clock_mhz, reading.socket_power_w) == (2774.0, 300.0)
    assert (reading.violation_counts, reading.violation_samples) == ({}, None)


def test_documents_twice_in_a_row_behind_a_warning_are_joined(read_fixture):
    reading = parse(read_fixture("amd_smi_metric_7.2_twice.txt"), 0, "gfx942")
    assert reading == Reading(5.0, "amd-smi", 0, socket_power_w=141.0, utilization_percent=5.0)


@pytest.mark.parametrize("entry", [{}, {"clock": "N/A", "throttle": []}, {"power": {}, "usage": 3}])
def test_what_is_missing_is_none(entry):
    assert parse_metric({"gpu": 0, **entry}, "gfx942", 5.0).is_empty


def test_versions():
    text = (
        '[{"tool": "AMDSMI Tool", "version": "24.6.3+9578815", '
        '"amdsmi_library_version": "24.6.3.0", "rocm_version": "6.2.4"}]'
    )
    assert parse_versions(text) == Versions("24.6.3+9578815", "24.6.3.0", "6.2.4")
    newer = '{"tool": "AMDSMI Tool", "version": "26.2.1", "rocm_version": "N/A"}'
    assert parse_versions(newer) == Versions("26.2.1")
    assert parse_versions("") == parse_versions("[]") == parse_versions("{}") == Versions()


def test_the_program_is_asked_once_for_facts_and_each_time_for_figures(machine, add_tool):
    calls = add_tool("amd-smi", {
        "static --json": "amd_smi_static_6.3.json",
        "metric --gpu 1 --json": "amd_smi_metric_6.3_mi300x.json",
    })  # fmt: skip
    source = AmdSmi(machine)
    assert source.find_absence() is None
    assert source.list_gpus() == {0: "0000:05:00.0", 1: "0000:26:00.0"}
    assert source.read(1).violation_counts["ppt"] == 53994
    assert source.read(1).source == "amd-smi"
    assert calls() == ["static --json", *["metric --gpu 1 --json"] * 2]
    with pytest.raises(ReadError, match=r"nothing about GPU 0: it prints nothing \(exit 2\)"):
        source.read(0)


def test_a_reading_of_nothing_but_missing_values_is_an_error(machine, add_tool):
    add_tool("amd-smi", {"static --json": "amd_smi_static_6.3.json"},
             """echo '[{"gpu": 0, "power": "N/A"}]'""")  # fmt: skip
    with pytest.raises(ReadError, match=r"^amd-smi tells nothing about GPU 0$"):
        AmdSmi(machine).read(0)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", "it prints nothing (exit 0)"),
        ("echo 'Driver not loaded (amdgpu not found in modules)'; exit 255", "(exit 255)"),
        ("""echo '{"error": "no driver", "code": -1}'; exit 1""", '"code": -1} (exit 1)'),
        ("echo 'AMDSMI_STATUS_DRIVER_NOT_LOADED' >&2; exit 206", "NOT_LOADED (exit 206)"),
        ("echo '{\"gpu_data\": []}'", "(exit 0)"),
        ("echo '[{\"gpu\": 0'", "(exit 0)"),
    ],
)
def test_no_driver_is_a_reason_with_the_remedy(machine, add_tool, script, said):
    add_tool("amd-smi", script=script)
    reason = AmdSmi(machine).find_absence()
    assert reason is not None
    assert "\n" not in reason
    assert reason.startswith("amd-smi shows no GPU: ")
    assert said in reason
    assert reason.endswith("--device=/dev/kfd --device=/dev/dri")


def test_no_program_is_a_reason_with_the_remedy(machine):
    found = AmdSmi(machine).find_absence()
    assert found == "no amd-smi on PATH or in ROCm's folder: apt-get install amd-smi-lib"


def test_the_version_is_asked_of_the_program(machine, add_tool):
    add_tool("amd-smi", script="""echo '[{"version": "25.5.1"}]'""")
    assert AmdSmi(machine).versions == Versions("25.5.1")
