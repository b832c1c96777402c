"""Files of the amdgpu driver as a source: no library, no tool, no violations; the last resort.

Their units are in the Linux kernel's Documentation/gpu/amdgpu/thermal.rst and
Documentation/hwmon/sysfs-interface.rst: uW, Hz, thousandths of a degree.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

from rocmoe.profiles.environment import read_text
from rocmoe.profiles.telemetry.documents import to_quantity
from rocmoe.profiles.telemetry.reading import ReadError, Reading, check_reading
from rocmoe.profiles.tools import LOAD_DRIVER

AMD = "0x1002"
_PCI = re.compile(r"^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$", re.IGNORECASE)
#: The level that a clock is on: `1: 2100Mhz *`, or `S: 132Mhz *` asleep.
_LEVEL = re.compile(r"^\w+:\s*([\d.]+)\s*Mhz\s*\*", re.IGNORECASE | re.MULTILINE)


class Sysfs:
    """GPUs under `root`/sys/class/drm, counted by PCI address."""

    name = "sysfs"
    in_process = True

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def find_absence(self) -> str | None:
        if self._list_folders():
            return None
        return f"no AMD GPU in {self._root / 'sys/class/drm'}: {LOAD_DRIVER}"

    def list_gpus(self) -> Mapping[int, str | None]:
        folders = enumerate(self._list_folders())
        return {
            index: name if _PCI.match(name := folder.name) else None for index, folder in folders
        }

    def read(self, gpu_index: int) -> Reading:
        folders = self._list_folders()
        if not 0 <= gpu_index < len(folders):
            raise ReadError(f"sysfs has {len(folders)} AMD GPUs, so none is GPU {gpu_index}")
        return check_reading(read_folder(folders[gpu_index], gpu_index, time.time()))

    def _list_folders(self) -> list[Path]:
        """The device folder of each GPU; outputs such as `card0-DP-1` have no vendor."""
        cards = (self._root / "sys/class/drm").glob("card*")
        devices = {(card / "device").resolve() for card in cards}
        found = [path for path in devices if read_text(path / "vendor") == AMD]
        return sorted(found, key=lambda path: path.name)


def read_folder(device: Path, gpu_index: int, taken_s: float) -> Reading:
    """A GPU by the files of its device folder; None where there is no such file."""
    sensors = next(iter(sorted(device.glob("hwmon/hwmon*"))), device / "hwmon/none")
    power_uw = _read_number(sensors / "power1_average") or _read_number(sensors / "power1_input")
    clock_hz = _read_number(sensors / "freq1_input")
    heat = _read_temperatures(sensors)
    return Reading(
        taken_s=taken_s,
        source=Sysfs.name,
        gpu_index=gpu_index,
        gfx_clock_mhz=_read_level(device / "pp_dpm_sclk") if clock_hz is None else clock_hz / 1e6,
        memory_clock_mhz=_read_level(device / "pp_dpm_mclk"),
        socket_power_w=None if power_uw is None else power_uw / 1e6,
        edge_temperature_c=heat.get("edge"),
        hotspot_temperature_c=heat.get("junction"),
        memory_temperature_c=heat.get("mem"),
        utilization_percent=_read_number(device / "gpu_busy_percent"),
    )


def _read_temperatures(sensors: Path) -> dict[str, float]:
    found = {}
    for label in sorted(sensors.glob("temp*_label")):
        number = _read_number(label.with_name(label.name.replace("_label", "_input")))
        if number is not None and (name := read_text(label)):
            found[name] = number / 1000.0
    return found


def _read_level(path: Path) -> float | None:
    found = _LEVEL.search(read_text(path) or "")
    return float(found[1]) if found else None


def _read_number(path: Path) -> float | None:
    return to_quantity(read_text(path))
