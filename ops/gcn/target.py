"""The target that code was compiled for: architecture and the two features in its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rocmoe.ops.core.errors import RocmoeError

#: The architectures that the simulator executes.
ARCHITECTURES = ("gfx90a", "gfx942", "gfx950")

#: EF_AMDGPU_MACH of an ELF header's e_flags (LLVM, User Guide for AMDGPU Backend, table of it).
_MACHINES = {0x3F: "gfx90a", 0x4C: "gfx942", 0x4F: "gfx950"}
#: EF_AMDGPU_FEATURE_*_V4 in e_flags: whether a feature is on, off, or left to the loader.
_FEATURE_STATES = {1: None, 2: False, 3: True}


@dataclass(frozen=True)
class Target:
    """architecture: gfx942 and the like. xnack, sramecc: on, off, or None, where either will do."""

    architecture: str
    xnack: bool | None = None
    sramecc: bool | None = None

    def __str__(self) -> str:
        states = (("sramecc", self.sramecc), ("xnack", self.xnack))
        signs = (f":{name}{'+' if on else '-'}" for name, on in states if on is not None)
        return self.architecture + "".join(signs)


def read_target(text: str) -> Target:
    """Read `gfx942`, `amdgcn-amd-amdhsa--gfx90a:xnack-` or `amdgpu9.42-amd-amdhsa-unknown-gfx942`.

    The architecture stands after the last dash that is not a feature's sign. Raises RocmoeError
    for anything else, and for an architecture that is not simulated.
    """
    found = re.fullmatch(r"(?:.*-)?(gfx\w+)((?::(?:xnack|sramecc)[+-])*)", text.strip())
    if not found:
        raise RocmoeError(f"target {text!r} is not TRIPLE-gfxNNN[:sramecc+|-][:xnack+|-]")
    _check(found[1])
    signs = {word[:-1]: word[-1] == "+" for word in found[2].split(":") if word}
    return Target(found[1], signs.get("xnack"), signs.get("sramecc"))


def decode_target(e_flags: int) -> Target:
    """The target in an ELF header's flags (code object version 4 and later)."""
    machine = e_flags & 0xFF
    if machine not in _MACHINES:
        raise RocmoeError(
            f"e_flags {e_flags:#x} name no target that is read: {', '.join(ARCHITECTURES)}"
        )
    xnack, sramecc = (_FEATURE_STATES.get(e_flags >> shift & 3) for shift in (8, 10))
    return Target(_MACHINES[machine], xnack, sramecc)


def _check(architecture: str) -> None:
    if architecture not in ARCHITECTURES:
        wanted = ", ".join(ARCHITECTURES)
        raise RocmoeError(f"architecture {architecture} is not simulated; wanted one of {wanted}")
