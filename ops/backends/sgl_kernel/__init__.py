"""Backend `sgl_kernel`: the kernels of sglang, of its wheel sglang-kernel and of sglang itself."""

from __future__ import annotations

from rocmoe.ops.backends.sgl_kernel import gating, grouped, sampling, sorting
from rocmoe.ops.core.library import Library

NAME = "sgl_kernel"
SUMMARY = "sglang's kernels: sgl_kernel, or sgl_kernel:FUNCTION"
DEVICES = ("gpu",)

LIBRARY = Library(
    NAME,
    "sgl_kernel",
    "pip install sglang-kernel (CUDA), or build sgl-kernel with setup_rocm.py",
    (*gating.VARIANTS, *grouped.VARIANTS, *sorting.VARIANTS, *sampling.VARIANTS),
)
find_absence, serves, find = LIBRARY.find_absence, LIBRARY.serves, LIBRARY.find
