"""The program rocm-smi as a source: in maintenance since ROCm 7.0, but in Debian and old images.

Without a driver it says so on stderr, prints nothing and exits 0; without its library it says so
on stdout and exits 0.  Only JSON with a card in it counts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from rocmoe.profiles.documents import decode_documents
from rocmoe.profiles.telemetry.documents import (
    pick_quantity,
    run_tool,
    to_celsius,
)
from rocmoe.profiles.telemetry.reading import ReadError, Reading, check_reading
from rocmoe.profiles.tools import LOAD_DRIVER, Machine, Output

FIX = "apt-get install rocm-smi-lib, rocm-smi on Debian"
_CARD = re.compile(r"^card(\d+)$", re.IGNORECASE)
_SHOWN = ("--showuse", "--showclocks", "--showpower", "--showtemp")
#: MI300 and newer, and what is older; the second die of an MI250X has neither.
_POWERS = (
    "current socket graphics package power (w)",
    "average graphics package power (w)",
)


class RocmSmi:
    """What rocm-smi tells; where it is installed is looked up on `machine`."""

    name = "rocm-smi"
    in_process = False

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or Machine()

    def find_absence(self) -> str | None:
        try:
            return None if self.list_gpus() else "rocm-smi shows no GPU"
        except ReadError as error:
            return str(error)

    def list_gpus(self) -> Mapping[int, str | None]:
        output = self._run("--showbus", "--json")
        cards = parse_cards(output.stdout)
        if not cards:
            raise ReadError(f"rocm-smi shows no GPU: {output.explain()}; {LOAD_DRIVER}")
        return {index: card.get("pci bus") for index, card in cards.items()}

    def read(self, gpu_index: int) -> Reading:
        output = self._run("-d", str(gpu_index), *_SHOWN, "--json")
        card = parse_cards(output.stdout).get(gpu_index)
        if card is None:
            raise ReadError(f"rocm-smi tells nothing about GPU {gpu_index}: {output.explain()}")
        return check_reading(parse_card(card, gpu_index, time.time()))

    def _run(self, *arguments: str) -> Output:
        return run_tool(self._machine, "rocm-smi", FIX, *arguments)


def parse_cards(text: str) -> dict[int, dict[str, str]]:
    """The values of each card by its index; their names in lower case, without a colon behind.

    `Card series` became `Card Series` in ROCm 6.2, and clocks are called `sclk clock speed:`.
    """
    cards: dict[int, dict[str, str]] = {}
    for document in decode_documents(text):
        for name, values in document.items() if isinstance(document, dict) else ():
            found = _CARD.match(name)
            if found and isinstance(values, dict):
                cards.setdefault(int(found[1]), {}).update(_plain(values))
    return cards


def _plain(values: dict[str, Any]) -> dict[str, str]:
    return {name.lower().rstrip(": "): str(value) for name, value in values.items()}


def parse_card(card: Mapping[str, str], gpu_index: int, taken_s: float) -> Reading:
    """A card of `parse_cards`; sensors that a GPU has not are left out by rocm-smi."""
    return Reading(
        taken_s=taken_s,
        source=RocmSmi.name,
        gpu_index=gpu_index,
        gfx_clock_mhz=pick_quantity(card, "sclk clock speed"),
        memory_clock_mhz=pick_quantity(card, "mclk clock speed"),
        socket_power_w=pick_quantity(card, *_POWERS),
        edge_temperature_c=_find_celsius(card, "edge"),
        hotspot_temperature_c=_find_celsius(card, "junction"),
        memory_temperature_c=_find_celsius(card, "memory"),
        utilization_percent=pick_quantity(card, "gpu use (%)"),
    )


def _find_celsius(card: Mapping[str, str], sensor: str) -> float | None:
    return to_celsius(card.get(f"temperature (sensor {sensor}) (c)"))
