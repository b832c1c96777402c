"""Where a candidate runs: the CPU, a GPU, or the CDNA simulator."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rocmoe.ops.core.errors import RocmoeError, nearest

SIMULATED = ("gfx90a", "gfx942", "gfx950")
KNOWN = ("cpu", "gpu", "gpu:N", *(f"sim:{arch}" for arch in SIMULATED))


@dataclass(frozen=True)
class Device:
    """kind: cpu, gpu or sim; index: of the GPU; arch: of the simulator."""

    kind: str
    index: int = 0
    arch: str | None = None

    def __str__(self) -> str:
        if self.kind == "gpu":
            return f"gpu:{self.index}"
        return f"sim:{self.arch}" if self.kind == "sim" else self.kind

    @property
    def torch_name(self) -> str:
        """The name torch knows this device's memory by; HIP devices are called cuda there."""
        return f"cuda:{self.index}" if self.kind == "gpu" else "cpu"

    def find_absence(self) -> str | None:
        """Why this device cannot be used here, None when it can."""
        if self.kind != "gpu":
            return None
        import torch

        if not torch.cuda.is_available():
            return "torch sees no GPU here; see `rocmoe doctor`, or use --device cpu"
        if self.index >= torch.cuda.device_count():
            return f"gpu:{self.index} is not here; torch sees {torch.cuda.device_count()} GPU(s)"
        return None


def parse_device(text: str) -> Device:
    """The device that a word names; `RocmoeError` with the nearest name if none."""
    if text == "cpu":
        return Device("cpu")
    if match := re.fullmatch(r"gpu(?::(\d+))?", text):
        return Device("gpu", int(match[1] or 0))
    if text.startswith("sim:") and text[4:] in SIMULATED:
        return Device("sim", arch=text[4:])
    hint = nearest(text, KNOWN) or f"; known: {', '.join(KNOWN)}"
    raise RocmoeError(f"unknown device {text!r}{hint}")
