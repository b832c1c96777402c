"""Backend `flashinfer`: FlashInfer's kernels, which it compiles when they are first called."""

from __future__ import annotations

from rocmoe.ops.backends.flashinfer import chain, gating, qk, renorm
from rocmoe.ops.core.library import Library

NAME = "flashinfer"
SUMMARY = "FlashInfer's kernels (CUDA): flashinfer, or flashinfer:FUNCTION"
DEVICES = ("gpu",)

LIBRARY = Library(
    NAME,
    "flashinfer",
    "pip install flashinfer-python (CUDA; it compiles with nvcc)",
    (*renorm.VARIANTS, *chain.VARIANTS, *gating.VARIANTS, *qk.VARIANTS),
)
find_absence, serves, find = LIBRARY.find_absence, LIBRARY.serves, LIBRARY.find
