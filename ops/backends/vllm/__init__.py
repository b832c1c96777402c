"""Backend `vllm`: the MoE kernels of vLLM's extension, on ROCm and CUDA."""

from __future__ import annotations

from rocmoe.ops.backends.vllm import routing
from rocmoe.ops.core.library import Library

NAME = "vllm"
SUMMARY = "vLLM's kernels: vllm, or vllm:FUNCTION"
DEVICES = ("gpu",)

LIBRARY = Library(NAME, "vllm._custom_ops", "pip install vllm, or use a vLLM container",
                  routing.VARIANTS)  # fmt: skip
find_absence, serves, find = LIBRARY.find_absence, LIBRARY.serves, LIBRARY.find
