"""Launches that start before the one ahead of them has ended, where CUDA lets them.

Programmatic dependent launch, compute capability 9.0 and up (CUDA C++ Programming Guide,
"Programmatic Dependent Launch and Synchronization"; PTX ISA, `griddepcontrol`): a launch may start
once every program of the one ahead has announced it or ended.  Before it touches what that one
writes it waits until all of it has ended and its stores can be seen; what it reads of the op's own
inputs, and makes of them, can come before.  Only launches of one op overlap: the first waits for
all that is ahead of it on the stream, as ever.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.core.launch import find_arch
from rocmoe.ops.core.variants import Variant

#: The first compute capability that has it, ten times.
OLDEST = 90


def can_overlap(tensor: Any) -> bool:
    """Whether launches on a tensor may overlap, which kernels are told as OVERLAP."""
    return _overlaps(find_arch(tensor))


@cache
def _overlaps(arch: str) -> bool:
    return arch.startswith("sm") and int(arch.removeprefix("sm")) >= OLDEST


def announces(variant: Variant, launched: str) -> bool:
    """Whether a launch of a variant is named in its parameter `announce`: where launches overlap it
    lets the next one start before it ends, which kernels are told as ANNOUNCE.

    Not where the launch ahead leaves few places: programs that start early then seem to crowd.
    """
    return launched in variant["announce"].split()


@triton.jit
def announce_next(ANNOUNCE: tl.constexpr):
    """Let the launch behind start, if it overlaps, once all programs of this one are here."""
    if ANNOUNCE:
        tl.inline_asm_elementwise(
            "griddepcontrol.launch_dependents; // $0", "=r", [], tl.int32, is_pure=False, pack=1
        )


@triton.jit
def await_ahead(OVERLAP: tl.constexpr):
    """Wait until what the launch ahead stored can be seen."""
    if OVERLAP:
        tl.inline_asm_elementwise(
            "griddepcontrol.wait; // $0", "=r", [], tl.int32, is_pure=False, pack=1
        )
