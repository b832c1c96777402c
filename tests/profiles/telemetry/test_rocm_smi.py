"""rocm-smi by what it prints, version by version, and by what it does without a driver."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rocmoe.profiles.telemetry.reading import ReadError, Reading
from rocmoe.profiles.telemetry.rocm_smi import RocmSmi, parse_card, parse_cards

NO_DRIVER = "ERROR:root:Driver not initialized (amdgpu not found in modules)"
SHOWN = "--showuse --showclocks --showpower --showtemp --json"


def test_a_card_of_rocm_6_2(read_fixture):
    cards = parse_cards(read_fixture("rocm_smi_6.2_mi300x.json"))
    assert list(cards) == [0]
    assert parse_card(cards[0], 0, 5.0) == Reading(
        5.0, "rocm-smi", 0,
        gfx_clock_mhz=132.0, memory_clock_mhz=900.0, socket_power_w=132.0,
        hotspot_temperature_c=48.0, memory_temperature_c=38.0, utilization_percent=0.0,
    )  # fmt: skip


def test_two_dies_of_rocm_6_0_of_which_one_has_no_power(read_fixture):
    cards = parse_cards(read_fixture("rocm_smi_6.0_mi250x.json"))
    first, second = (parse_card(cards[index], index, 5.0) for index in (0, 1))
    assert first == Reading(
        5.0, "rocm-smi", 0,
        gfx_clock_mhz=1700.0, memory_clock_mhz=1600.0, socket_power_w=93.0,
        edge_temperature_c=44.0, hotspot_temperature_c=47.0, memory_temperature_c=46.0,
        utilization_percent=7.0,
    )  # fmt: skip
    assert second.socket_power_w is None
    assert (second.gfx_clock_mhz, second.utilization_percent) == (800.0, 0.0)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"system": {"Driver version": "6.10.5"}}', '{"card0": "N/A"}', "{x"]
)
def test_no_card(text):
    assert parse_cards(text) == {}


def test_the_program_is_asked_about_one_card(machine, add_tool):
    calls = add_tool("rocm-smi", {
        "--showbus --json": "rocm_smi_6.0_mi250x.json",
        f"-d 1 {SHOWN}": "rocm_smi_6.0_mi250x.json",
    })  # fmt: skip
    source = RocmSmi(machine)
    assert source.find_absence() is None
    assert source.list_gpus() == {0: "0000:C1:00.0", 1: "0000:C6:00.0"}
    assert source.read(1).gfx_clock_mhz == 800.0
    assert calls()[-1] == f"-d 1 {SHOWN}"
    with pytest.raises(ReadError, match="rocm-smi tells nothing about GPU 4: it prints nothing"):
        source.read(4)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"echo '{NO_DRIVER}' >&2; exit 0", f"{NO_DRIVER} (exit 0)"),
        (
            "echo 'WARNING: No JSON data to report' >&2; exit 0",
            "WARNING: No JSON data to report (exit 0)",
        ),
        (
            "echo 'Unable to load the rocm_smi library'; exit 0",
            "Unable to load the rocm_smi library (exit 0)",
        ),
        ("exit 0", "it prints nothing (exit 0)"),
    ],
)
def test_success_without_a_card_is_none(machine, add_tool, script, said):
    add_tool("rocm-smi", script=script)
    reason = RocmSmi(machine).find_absence()
    assert reason is not None
    assert "\n" not in reason
    assert reason.startswith(f"rocm-smi shows no GPU: {said}; load the amdgpu driver")
    with pytest.raises(ReadError, match="tells nothing about GPU 0"):
        RocmSmi(machine).read(0)


def test_no_program_is_a_reason_with_the_remedy(machine):
    assert RocmSmi(machine).find_absence() == (
        "no rocm-smi on PATH or in ROCm's folder: apt-get install rocm-smi-lib, rocm-smi on Debian"
    )


@pytest.mark.skipif(shutil.which("rocm-smi") is None, reason="no rocm-smi: apt-get install it")
@pytest.mark.skipif(Path("/dev/kfd").exists(), reason="this machine has an AMD GPU's driver")
def test_the_real_program_without_a_gpu():
    reason = RocmSmi().find_absence()
    assert reason is not None
    assert reason.startswith("rocm-smi shows no GPU: ")
    assert "\n" not in reason
    with pytest.raises(ReadError, match="rocm-smi tells nothing about GPU 0"):
        RocmSmi().read(0)
