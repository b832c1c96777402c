"""Which source is chosen for a GPU, and the reasons against the others."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from rocmoe.profiles.telemetry import choice as choice_module
from rocmoe.profiles.telemetry.choice import (
    Choice,
    choose_source,
    find_pci_address,
    list_sources,
)
from rocmoe.profiles.telemetry.reading import ReadError, Reading


class Stand:
    """A source with GPUs at addresses, which fails as it is told to."""

    in_process = True

    def __init__(self, name, addresses=(), absence=None, error=None):
        self.name, self.addresses = name, addresses
        self.absence, self.error, self.asked = absence, error, 0

    def find_absence(self):
        self.asked += 1
        return self.absence

    def list_gpus(self):
        return dict(enumerate(self.addresses))

    def read(self, gpu_index):
        if self.error:
            raise self.error
        return Reading(5.0, self.name, gpu_index, gfx_clock_mhz=2100.0)


def test_the_first_that_can_read_the_gpu_is_chosen_and_reasons_are_kept():
    last = Stand("last", ["0000:05:00.0"])
    sources = [
        Stand("absent", absence="it is not here: install it"),
        Stand("other", ["0000:26:00.0", None]),
        Stand("mute", ["0000:05:00.0"], error=ReadError("mute tells nothing about GPU 0")),
        Stand("foreign", ["0000:05:00.0"], error=ZeroDivisionError("odd")),
        Stand("works", ["0000:26:00.0", "00000000:05:00.0"]),
        last,
    ]
    choice = choose_source("0000:05:00.0", sources)
    assert (choice.source, choice.gpu_index) == (sources[4], 1)
    assert choice.reasons == {
        "absent": "it is not here: install it",
        "other": "it lists no GPU at 0000:05:00.0, but at 0000:26:00.0, None",
        "mute": "mute tells nothing about GPU 0",
        "foreign": "foreign fails: ZeroDivisionError: odd",
    }
    assert last.asked == 0
    assert choice.read() == Reading(5.0, "works", 1, gfx_clock_mhz=2100.0)
    assert choice.explain() == "GPU 1 by works"


@pytest.mark.parametrize("address", ["0000:C1:00.0", "0000:c1:00.1", "00000000:C1:00"])
def test_addresses_are_the_same_in_every_spelling(address):
    choice = choose_source("0000:c1:00.0", [Stand("one", ["0001:c1:00.0", address, address])])
    assert choice.gpu_index == 1


def test_without_an_address_a_lone_gpu_is_meant():
    sources = [Stand("none"), Stand("two", [None, None]), Stand("one", ["0000:05:00.0"])]
    choice = choose_source(None, sources)
    assert (choice.source, choice.gpu_index) == (sources[2], 0)
    assert choice.reasons == {
        "none": "it lists 0 GPUs, and torch does not tell which this is",
        "two": "it lists 2 GPUs, and torch does not tell which this is",
    }


def test_without_a_source_reading_says_why():
    choice = choose_source("0000:05:00.0", [Stand("a", absence="x"), Stand("b", absence="y")])
    assert (choice.source, choice.gpu_index) == (None, None)
    assert choice.explain() == "a: x; b: y"
    with pytest.raises(ReadError, match=r"^no source tells about this GPU: `rocmoe doctor` says"):
        choice.read()


def test_only_a_program_is_too_slow_for_pauses():
    source = Stand("one", ["0000:05:00.0"])
    assert Choice(source, 0).in_process
    source.in_process = False
    assert not Choice(source, 0).in_process
    assert Choice(None, None, {"one": "not here"}).in_process


def test_whatever_a_source_raises_is_one_line():
    choice = Choice(Stand("odd", error=OSError(5, "Input/output error")), 0)
    with pytest.raises(ReadError, match=r"^odd fails: OSError: \[Errno 5\] Input/output error$"):
        choice.read()


def test_the_sources_of_an_empty_machine_all_say_why_they_are_not_there(machine, monkeypatch):
    monkeypatch.setattr("rocmoe.profiles.telemetry.nvml_library.LIBRARY", "libnone-ml.so.1")
    sources = list_sources(machine)
    assert [each.name for each in sources] == ["amdsmi", "nvml", "amd-smi", "rocm-smi", "sysfs"]
    assert [each.name for each in sources if each.in_process] == ["amdsmi", "nvml", "sysfs"]
    choice = choose_source("0000:05:00.0", sources[2:])
    assert choice.source is None
    assert list(choice.reasons) == ["amd-smi", "rocm-smi", "sysfs"]
    assert all(reason and "\n" not in reason for reason in choice.reasons.values())


def test_a_gpu_is_chosen_for_once_in_a_process(monkeypatch):
    source = Stand("one", ["0000:05:00.0", "0000:26:00.0"])
    monkeypatch.setattr(choice_module, "list_sources", lambda: [source])
    monkeypatch.setattr(choice_module, "find_pci_address", {0: "0000:26:00.0"}.get)
    choice_module.find_choice.cache_clear()
    chosen = choice_module.find_choice(0)
    assert (chosen.source, chosen.gpu_index) == (source, 1)
    assert choice_module.find_choice(0) is chosen
    assert source.asked == 1
    choice_module.find_choice.cache_clear()


def test_the_address_is_that_of_torch(monkeypatch):
    found = SimpleNamespace(pci_domain_id=0, pci_bus_id=0xC1, pci_device_id=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: {1: found}[index])
    assert find_pci_address(1) == "0000:c1:00.0"
    del found.pci_domain_id
    assert find_pci_address(1) is None
