"""A folder as the amdgpu driver makes them."""

from __future__ import annotations

import pytest

from rocmoe.profiles.telemetry.reading import ReadError, Reading
from rocmoe.profiles.telemetry.sysfs import Sysfs

MI300X = {
    "vendor": "0x1002",
    "gpu_busy_percent": "99",
    "pp_dpm_sclk": "S: 132Mhz\n0: 500Mhz\n1: 2087Mhz *\n2: 2100Mhz",
    "pp_dpm_mclk": "0: 900Mhz\n1: 1300Mhz *",
    "hwmon/hwmon3/power1_average": "612000000",
    "hwmon/hwmon3/temp1_label": "edge",
    "hwmon/hwmon3/temp1_input": "",
    "hwmon/hwmon3/temp2_label": "junction",
    "hwmon/hwmon3/temp2_input": "71000",
    "hwmon/hwmon3/temp3_label": "mem",
    "hwmon/hwmon3/temp3_input": "64000",
}


@pytest.fixture
def add_gpu(tmp_path):
    """Add a device, linked as a card: add("card1", "0000:05:00.0", {FILE: TEXT})."""

    def add(card, address, files):
        device = tmp_path / "sys/devices/pci0000:00" / address
        for name, text in files.items():
            path = device / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        link = tmp_path / "sys/class/drm" / card
        link.mkdir(parents=True)
        (link / "device").symlink_to(device)

    return add


def test_a_gpu_by_its_files(tmp_path, add_gpu):
    add_gpu("card1", "0000:05:00.0", MI300X)
    source = Sysfs(tmp_path)
    assert source.find_absence() is None
    reading = source.read(0)
    assert reading == Reading(
        reading.taken_s, "sysfs", 0,
        gfx_clock_mhz=2087.0, memory_clock_mhz=1300.0, socket_power_w=612.0,
        hotspot_temperature_c=71.0, memory_temperature_c=64.0, utilization_percent=99.0,
    )  # fmt: skip


def test_the_sensors_clock_is_preferred_and_power_has_two_names(tmp_path, add_gpu):
    other = {
        "vendor": "0x1002",
        "pp_dpm_sclk": "0: 500Mhz *",
        "hwmon/hwmon0/power1_input": "93000000",
        "hwmon/hwmon0/freq1_input": "1700000000",
    }
    add_gpu("card0", "0000:05:00.0", other)
    reading = Sysfs(tmp_path).read(0)
    assert (reading.gfx_clock_mhz, reading.socket_power_w) == (1700.0, 93.0)


def test_gpus_are_counted_by_address_and_others_are_left_out(tmp_path, add_gpu):
    add_gpu("card2", "0000:05:00.0", MI300X)
    add_gpu("card1", "0000:26:00.0", {**MI300X, "gpu_busy_percent": "1"})
    add_gpu("card0", "0000:03:00.0", {"vendor": "0x1a03"})
    add_gpu("card2-DP-1", "0000:05:00.0", {})
    source = Sysfs(tmp_path)
    assert source.list_gpus() == {0: "0000:05:00.0", 1: "0000:26:00.0"}
    assert [source.read(index).utilization_percent for index in (0, 1)] == [99.0, 1.0]
    with pytest.raises(ReadError, match=r"^sysfs has 2 AMD GPUs, so none is GPU 2$"):
        source.read(2)


def test_a_device_without_readable_files_is_an_error(tmp_path, add_gpu):
    add_gpu("card0", "0000:05:00.0", {"vendor": "0x1002", "pp_dpm_sclk": "0: 500Mhz"})
    with pytest.raises(ReadError, match=r"^sysfs tells nothing about GPU 0$"):
        Sysfs(tmp_path).read(0)


def test_no_gpu_is_a_reason_with_the_remedy(tmp_path):
    reason = Sysfs(tmp_path).find_absence()
    assert reason is not None
    assert reason.startswith("no AMD GPU in ")
    assert reason.endswith("--device=/dev/dri")
