"""The mode that floats are computed in, as kernel descriptors set it when a wave starts.

CDNA3 ISA, 4.5 (MODE register): rounding in bits 3:0, denormals in 7:4 (bit 0 of each pair keeps
those of sources, bit 1 those of results; f32 first, then f16 and f64), DX10_CLAMP 8, IEEE 9.
"""

from __future__ import annotations

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.program import Kernel, Program

_KEEPS_RESULTS = 2


def encode_mode(descriptor: KernelDescriptor) -> int:
    """The bits of MODE that a kernel starts with."""
    rounding = descriptor.float_round_mode_32 | descriptor.float_round_mode_16_64 << 2
    denormals = descriptor.float_denorm_mode_32 | descriptor.float_denorm_mode_16_64 << 2
    return rounding | denormals << 4 | descriptor.dx10_clamp << 8 | descriptor.ieee_mode << 9


def list_modes(program: Program) -> frozenset[int]:
    """The modes of all kernels of a program, which a function may be called in."""
    return frozenset(encode_mode(kernel.descriptor) for kernel in program.kernels)


def scales_results(program: Program, kind: str) -> bool:
    """Whether output modifiers work: IEEE mode is off, and denormal results are flushed."""
    at = 4 if kind == "f32" else 6
    modes = list_modes(program)
    return bool(modes) and not any(mode >> at & _KEEPS_RESULTS or mode >> 9 & 1 for mode in modes)


def check_mode(kernel: Kernel) -> None:
    """Raise RocmoeError for a rounding other than to nearest even, the one that is simulated."""
    if mode := encode_mode(kernel.descriptor) & 15:
        raise RocmoeError(
            f"kernel {kernel.name} starts with rounding mode {mode:#x}; simulated is 0, to nearest"
        )
