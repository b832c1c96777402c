"""What `rocmoe doctor` says of telemetry."""

from __future__ import annotations

import pytest

from rocmoe.profiles.environment import Gpu
from rocmoe.profiles.telemetry import findings
from rocmoe.profiles.telemetry.choice import Choice
from rocmoe.profiles.telemetry.findings import (
    describe_reading,
    look_at_nvml,
    look_at_telemetry,
)
from rocmoe.profiles.telemetry.nvml import FIX, Nvml
from rocmoe.profiles.telemetry.reading import Reading

READING = Reading(
    5.0, "pretended", 1, gfx_clock_mhz=1980.4, socket_power_w=120.6,
    edge_temperature_c=35.0, violation_ns={"power": 0},
)  # fmt: skip


class Source:
    """Two GPUs, of which the second is read."""

    name, in_process = "pretended", True

    def find_absence(self):
        return None

    def list_gpus(self):
        return {0: "0000:05:00.0", 1: "0000:26:00.0"}

    def read(self, gpu_index):
        return {1: READING}[gpu_index]


@pytest.fixture
def pretend(monkeypatch):
    """GPUs of torch at some addresses, and one source."""

    def pretend(*addresses):
        gpus = [Gpu(index, "H100", "sm_90", 1) for index in range(len(addresses))]
        monkeypatch.setattr(findings, "list_gpus", lambda: gpus)
        monkeypatch.setattr(findings, "find_pci_address", lambda index: addresses[index])
        monkeypatch.setattr(findings, "list_sources", lambda machine: [Source()])

    return pretend


def test_the_source_is_told_with_a_reading_of_torchs_first_gpu(machine, pretend):
    pretend("0000:26:00.0", "0000:26:00.0")
    seen = look_at_telemetry(machine)
    assert seen.status == "ok"
    assert seen.found == (
        "2 GPU(s) by pretended, while it is measured; "
        "GPU 0: 1980 MHz, 121 W, 35 C, tells violations"
    )


def test_a_gpu_that_nothing_tells_about_is_told_with_the_reasons(machine, pretend):
    pretend("0000:26:00.0", "0000:41:00.0")
    seen = look_at_telemetry(machine)
    assert seen.status == "broken"
    assert seen.found == (
        "nothing tells about GPU 1: pretended: "
        "it lists no GPU at 0000:41:00.0, but at 0000:05:00.0, 0000:26:00.0"
    )


def test_without_a_gpu_nothing_is_asked(machine, pretend, monkeypatch):
    pretend()
    monkeypatch.setattr(findings, "list_sources", lambda machine: pytest.fail("asked"))
    seen = look_at_telemetry(machine)
    assert (seen.status, seen.found) == ("absent", "torch sees no GPU")


def test_a_program_tells_around_cases_only(pretend, monkeypatch):
    monkeypatch.setattr(Source, "in_process", False)
    seen = findings.describe_choices([Choice(Source(), 1)])
    assert seen.found.startswith("1 GPU(s) by pretended, around a case; GPU 0: 1980 MHz")


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading(5.0, "x", 0), "no MHz, no W, no C, tells no violations"),
        (
            Reading(5.0, "x", 0, gfx_clock_mhz=132.0, hotspot_temperature_c=48.0),
            "132 MHz, no W, 48 C, tells no violations",
        ),
        (Reading(5.0, "x", 0, throttle_reasons=[]), "no MHz, no W, no C, tells violations"),
        (Reading(5.0, "x", 0, violation_counts={"ppt": 0}), "no MHz, no W, no C, tells violations"),
    ],
)
def test_what_a_reading_lacks_is_told(reading, words):
    assert describe_reading(reading) == words


class Module:
    """pynvml with a number of GPUs, or without a driver."""

    __name__ = "pynvml"

    def __init__(self, count):
        self.count = count

    def nvmlInit(self):
        if self.count is None:
            raise RuntimeError("Driver Not Loaded")

    def nvmlDeviceGetCount(self):
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index):
        return index


def test_nvml_that_works_counts_its_gpus(machine):
    seen = look_at_nvml(machine, Nvml(lambda: Module(2)))
    assert (seen.status, seen.found) == ("ok", "2 GPU(s) by pynvml")


@pytest.mark.parametrize("count", [None, 0])
def test_nvml_that_does_not_is_broken_where_the_driver_is(machine, tmp_path, count):
    source = Nvml(lambda: Module(count))
    seen = look_at_nvml(machine, source)
    assert seen.status == "absent"
    assert FIX not in seen.found
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text("NVRM version: ...\n")
    assert look_at_nvml(machine, source).status == "broken"
