"""Backend `aiter`: AMD's kernels, ROCm/aiter, by their Python functions."""

from __future__ import annotations

from rocmoe.ops.backends.aiter import gating, grouped, qk, sampling, sorting
from rocmoe.ops.core.library import Library
from rocmoe.ops.core.limits import everywhere, only_arch

NAME = "aiter"
SUMMARY = "AMD's kernels of ROCm/aiter: aiter, or aiter:FUNCTION"
DEVICES = ("gpu",)

LIBRARY = Library(
    NAME,
    "aiter.ops",
    "build ROCm/aiter from source (the aiter of PyPI is another package)",
    everywhere(
        only_arch("csrc/include @e4048607, HIP", "gfx"),
        *gating.VARIANTS,
        *grouped.VARIANTS,
        *sorting.VARIANTS,
        *sampling.VARIANTS,
        *qk.VARIANTS,
    ),
)
find_absence, serves, find = LIBRARY.find_absence, LIBRARY.serves, LIBRARY.find
