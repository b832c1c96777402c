"""Which source tells about the GPU at hand, and why the others do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from rocmoe.ops.core.errors import describe_error
from rocmoe.profiles.telemetry.amd_smi import AmdSmi
from rocmoe.profiles.telemetry.amdsmi_library import AmdsmiLibrary
from rocmoe.profiles.telemetry.nvml import Nvml
from rocmoe.profiles.telemetry.reading import ReadError, Reading, Source
from rocmoe.profiles.telemetry.rocm_smi import RocmSmi
from rocmoe.profiles.telemetry.sysfs import Sysfs
from rocmoe.profiles.tools import Machine

_PCI = re.compile(r"^([0-9a-f]+):([0-9a-f]{2}):([0-9a-f]{2})(?:\.[0-7])?$", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """A source and the GPU's index in it, both None where no source tells about the GPU.

    reasons: by the name of each source that was tried before, why it does not serve, one line.
    """

    source: Source | None
    gpu_index: int | None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def in_process(self) -> bool:
        """Whether a reading is cheap enough for the pauses of a measurement; also where it would
        fail, which costs nothing."""
        return self.source is None or self.source.in_process

    def read(self) -> Reading:
        """The GPU now; `ReadError` if it cannot be read, whatever the source raised."""
        if self.source is None or self.gpu_index is None:
            raise ReadError("no source tells about this GPU: `rocmoe doctor` says why")
        try:
            return self.source.read(self.gpu_index)
        except ReadError:
            raise
        except Exception as error:  # foreign libraries and drivers fail in any way they like
            raise ReadError(f"{self.source.name} fails: {describe_error(error)}") from error

    def explain(self) -> str:
        """What is read, or why each source does not serve, in one line."""
        if self.source is not None:
            return f"GPU {self.gpu_index} by {self.source.name}"
        return "; ".join(f"{name}: {reason}" for name, reason in self.reasons.items())


def list_sources(machine: Machine | None = None) -> list[Source]:
    """All sources, best first: libraries can be read while work runs and tell of throttling."""
    here = machine or Machine()
    return [AmdsmiLibrary(), Nvml(), AmdSmi(here), RocmSmi(here), Sysfs(here.root)]


@cache
def find_choice(torch_index: int) -> Choice:
    """The choice for a GPU as torch counts, made once a process; it may take some seconds."""
    return choose_source(find_pci_address(torch_index), list_sources())


def choose_source(pci_address: str | None, sources: Sequence[Source]) -> Choice:
    """The first source that lists the GPU at a PCI address and can read it.

    pci_address: `0000:05:00.0`; None where torch does not tell it, so that a source serves only if
    it lists a single GPU.  Sources behind the chosen one are not tried.
    """
    reasons: dict[str, str] = {}
    for source in sources:
        try:
            index = _find_index(source, pci_address)
            choice = Choice(source, index, reasons)
            choice.read()
        except ReadError as error:
            reasons[source.name] = str(error)
        except Exception as error:  # foreign libraries fail in any way they like
            reasons[source.name] = describe_error(error)
        else:
            return choice
    return Choice(None, None, reasons)


def _find_index(source: Source, pci_address: str | None) -> int:
    """The GPU's index in a source; `ReadError` with the reason where it has none."""
    if reason := source.find_absence():
        raise ReadError(reason)
    gpus = source.list_gpus()
    wanted = _parse_address(pci_address)
    if wanted is None:
        if len(gpus) != 1:
            raise ReadError(f"it lists {len(gpus)} GPUs, and torch does not tell which this is")
        return next(iter(gpus))
    # Partitions of one GPU differ in the function, which torch does not tell: the first serves.
    found = [index for index, address in gpus.items() if _parse_address(address) == wanted]
    if not found:
        listed = ", ".join(str(address) for address in gpus.values())
        raise ReadError(f"it lists no GPU at {pci_address}, but at {listed}")
    return min(found)


def _parse_address(address: str | None) -> tuple[int, ...] | None:
    """Domain, bus and device: sources write the domain with four digits or eight."""
    found = _PCI.match(address or "")
    return tuple(int(part, 16) for part in found.groups()) if found else None


def find_pci_address(torch_index: int) -> str | None:
    """The PCI address of a GPU as torch counts, which knows the *_VISIBLE_DEVICES; None if untold.

    Its function is taken for 0.
    """
    import torch

    found = torch.cuda.get_device_properties(torch_index)
    names = ("pci_domain_id", "pci_bus_id", "pci_device_id")
    domain, bus, device = (getattr(found, name, None) for name in names)
    if domain is None or bus is None or device is None:
        return None
    return f"{domain:04x}:{bus:02x}:{device:02x}.0"
