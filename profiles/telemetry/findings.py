"""What telemetry there is on this machine, for `rocmoe doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rocmoe.profiles.environment import find_folder, list_gpus
from rocmoe.profiles.telemetry import nvml
from rocmoe.profiles.telemetry.choice import Choice, choose_source, find_pci_address, list_sources
from rocmoe.profiles.telemetry.nvml import Nvml
from rocmoe.profiles.telemetry.reading import Reading
from rocmoe.profiles.tools import Machine, Seen, has_nvidia_driver


def look_at_nvml(machine: Machine, source: Nvml | None = None) -> Seen:
    """NVML as it is used: the module pynvml, or the driver's library itself."""
    source = source or Nvml()
    if absence := source.find_absence():
        found = absence.removesuffix(f": {nvml.FIX}")
        return Seen("broken" if has_nvidia_driver(machine) else "absent", found)
    count = len(source.list_gpus())
    return Seen("ok", f"{count} GPU(s) by {source.library}")


def look_at_telemetry(machine: Machine) -> Seen:
    """The source that is used for each GPU that torch sees, and one reading."""
    gpus = list_gpus() if find_folder("torch") else []
    if not gpus:
        return Seen("absent", "torch sees no GPU", "mend `gpu` first")
    sources = list_sources(machine)
    choices = [choose_source(find_pci_address(gpu.index), sources) for gpu in gpus]
    return describe_choices(choices)


def describe_choices(choices: Sequence[Choice]) -> Seen:
    """What is read of each GPU, by its number in torch; there must be one."""
    for number, choice in enumerate(choices):
        if choice.source is None:
            return Seen("broken", f"nothing tells about GPU {number}: {choice.explain()}")
    names = dict.fromkeys(choice.source.name for choice in choices if choice.source)
    when = "while it is measured" if choices[0].in_process else "around a case"
    reading = describe_reading(choices[0].read())
    return Seen("ok", f"{len(choices)} GPU(s) by {', '.join(names)}, {when}; GPU 0: {reading}")


def describe_reading(reading: Reading) -> str:
    """A reading in words: `1980 MHz, 121 W, 35 C, tells violations`."""
    return ", ".join(_describe(reading))


def _describe(reading: Reading) -> Iterator[str]:
    for figure, unit in (
        (reading.gfx_clock_mhz, "MHz"),
        (reading.socket_power_w, "W"),
        (_find_heat(reading), "C"),
    ):
        yield f"no {unit}" if figure is None else f"{figure:.0f} {unit}"
    tells = reading.violation_counts or reading.violation_ns or reading.throttle_reasons is not None
    yield "tells violations" if tells else "tells no violations"


def _find_heat(reading: Reading) -> float | None:
    if reading.edge_temperature_c is None:
        return reading.hotspot_temperature_c
    return reading.edge_temperature_c
