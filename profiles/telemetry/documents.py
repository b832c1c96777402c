"""What tools print: JSON among warnings, and values that are numbers, texts, records or missing."""

from __future__ import annotations

import math
import re
import subprocess
from typing import Any

from rocmoe.profiles.telemetry.reading import ReadError
from rocmoe.profiles.tools import Machine, Output

#: What firmware and drivers write for "not supported": all bits set, 16, 32 or 64 of them.
ALL_BITS = frozenset(float((1 << bits) - 1) for bits in (16, 32, 64))
_NUMBER = re.compile(r"^\(?\s*(-?\d+(?:\.\d+)?)")


def run_tool(machine: Machine, name: str, fix: str, *arguments: str) -> Output:
    """What a tool prints, whatever its exit status; `ReadError` if it is not here or hangs."""
    for path in machine.find_tools(name):
        try:
            return machine.run(path, *arguments)
        except subprocess.TimeoutExpired:
            words = f"{path} {' '.join(arguments)} does not end within {machine.timeout_s:g} s"
            raise ReadError(f"{words}: see whether the driver hangs, by `dmesg`") from None
        except OSError as error:
            raise ReadError(f"{path} cannot be run ({error.strerror}): {fix}") from error
    raise ReadError(f"no {name} on PATH or in ROCm's folder: {fix}")


def dig(document: Any, *names: str) -> Any:
    """A value some levels down, None where there is none or `"N/A"` in place of a level."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def to_quantity(value: Any) -> float | None:
    """The number in `132`, `"132.0"`, `"(132Mhz)"` or `{"value": 132, "unit": "W"}`.

    None for what is not one: `"N/A"`, `null`, a list, not finite, or all bits set.
    """
    number = _to_number(value)
    return None if number is None or number in ALL_BITS else number


def to_count(value: Any) -> int | None:
    """The number of a counter, None for what is not one, or for 64 bits set."""
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, str) and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < (1 << 64) - 1:
        return None
    return value


def _to_number(value: Any) -> float | None:
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, str):
        found = _NUMBER.match(value)
        value = float(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def pick_quantity(record: Any, *names: str) -> float | None:
    """The first of several values of a record that is a number."""
    found = (to_quantity(dig(record, name)) for name in names)
    return next((number for number in found if number is not None), None)


def find_highest(values: Any) -> float | None:
    """The highest number of a list, or the number itself; None where there is none."""
    listed = values if isinstance(values, list) else [values]
    found = [number for number in map(to_quantity, listed) if number is not None]
    return max(found, default=None)


def to_celsius(value: Any) -> float | None:
    """A temperature: some versions of AMD's library give thousandths of a degree."""
    number = to_quantity(value)
    return number / 1000.0 if number is not None and number > 1000.0 else number
