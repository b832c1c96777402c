"""Compiling a Triton kernel for an AMD target with no GPU, as a launch there would.

Triton's own machinery specialises the arguments (ints that are 1, divisible by 16 or wide, how
pointers are aligned, whether a tensor is under 2 GB), so the code is what a GPU would run.  It is
kept on disk by Triton's cache, and in this process here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.core.cache_keys import settle_key
from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.gcn.assembly import read_metadata

#: What kernels are compiled for, and the lanes of a wave there.
WAVE_SIZES: Mapping[str, int] = {
    "gfx90a": 64,
    "gfx942": 64,
    "gfx950": 64,
    "gfx1100": 32,
    "gfx1201": 32,
}


@dataclass(frozen=True)
class Parameter:
    """A parameter that is passed at run time; offset and size: bytes in the kernarg segment.

    type: as Triton writes it: `*bf16`, `i32`, `i64`, `u1`, `fp32` and so on.
    """

    name: str
    type: str
    offset: int
    size: int


@dataclass(frozen=True)
class CompiledKernel:
    """The code of one specialisation of a kernel.

    parameters: in order, without those that became constants.  lds_bytes: what a launch gives,
    which the code object does not say.  num_warps: waves of a workgroup.
    """

    name: str
    arch: str
    assembly: str
    code_object: bytes
    lds_bytes: int
    global_scratch_bytes: int
    num_warps: int
    wave_size: int
    triton_version: str
    parameters: tuple[Parameter, ...]

    @property
    def block(self) -> tuple[int, int, int]:
        """Lanes of a workgroup."""
        return (self.num_warps * self.wave_size, 1, 1)


class _Pointer:
    """What the specialisation sees of a tensor: as if its storage were a GPU's, which aligns it."""

    def __init__(self, tensor: Any) -> None:
        self.dtype = tensor.dtype
        self._offset: int = tensor.storage_offset() * tensor.element_size()
        self._bytes: int = tensor.untyped_storage().nbytes()

    def data_ptr(self) -> int:
        return self._offset

    def ptr_range(self) -> int:
        return self._bytes


_compiled: dict[tuple[str, ...], CompiledKernel] = {}
_binders: dict[tuple[Any, str], tuple[Any, Any]] = {}


def compile_kernel(
    kernel: Any, arch: str, arguments: Mapping[str, Any], options: Mapping[str, Any]
) -> CompiledKernel:
    """The code that a launch of a `triton.jit` kernel with these arguments runs on `arch`.

    arguments: by the kernel's parameter names.  Raises RocmoeError for an architecture or an
    argument that cannot be compiled for, and Triton's own errors for a kernel that is wrong.
    """
    if arch not in WAVE_SIZES:
        raise unknown("architecture", arch, WAVE_SIZES)
    backend, bind = _find_binder(kernel, arch)
    pointers = {name: _Pointer(v) if is_tensor(v) else v for name, v in arguments.items()}
    bound, specialization, rest = bind(**pointers, **options)
    # As text, for 1, 1.0 and True are equal, and different constants.
    key = (kernel.cache_key, arch, str(specialization), str(rest))
    if key not in _compiled:
        packed = kernel._pack_args(backend, dict(rest), bound, specialization, rest)
        _compiled[key] = _compile(kernel, arch, packed)
    return _compiled[key]


def is_tensor(value: Any) -> bool:
    """Whether an argument is passed as a pointer to its memory."""
    return hasattr(value, "data_ptr") and hasattr(value, "untyped_storage")


def _find_binder(kernel: Any, arch: str) -> tuple[Any, Any]:
    """Triton's backend for a target, and its function from arguments to their specialisation."""
    if (kernel, arch) not in _binders:
        import triton

        try:
            from triton.compiler import make_backend
            from triton.runtime.jit import JITFunction, create_function_from_signature
        except ImportError as error:
            raise RocmoeError(
                f"triton {triton.__version__} is not one that rocmoe compiles with ({error}); "
                "wanted 3.6 to 3.9"
            ) from None
        if not isinstance(kernel, JITFunction):
            raise RocmoeError(
                f"a {type(kernel).__name__} cannot be compiled with no GPU; wanted what triton.jit "
                "gives, with neither autotune nor heuristics"
            )
        try:
            backend = make_backend(_make_target(arch))
        except RuntimeError:
            raise RocmoeError(
                f"triton {triton.__version__} here has no AMD backend; pip install 'rocmoe[sim]'"
            ) from None
        settle_key(kernel)
        binder = create_function_from_signature(kernel.signature, kernel.params, backend)
        _binders[kernel, arch] = backend, binder
    return _binders[kernel, arch]


def _make_target(arch: str) -> Any:
    from triton.backends.compiler import GPUTarget

    return GPUTarget("hip", arch, WAVE_SIZES[arch])


def _compile(kernel: Any, arch: str, packed: tuple[Any, ...]) -> CompiledKernel:
    import triton
    from triton.compiler import ASTSource

    options, signature, constants, attributes = packed
    for name, kind in signature.items():
        if not isinstance(kind, str):
            raise RocmoeError(
                f"argument {name!r} of kernel {kernel.__name__} is a tuple; wanted a tensor, a "
                "number, a bool or None"
            )
    source = ASTSource(kernel, signature, constants, attributes)
    made = triton.compile(source, target=_make_target(arch), options=options.__dict__)
    if made.metadata.arch != arch:
        raise RocmoeError(
            f"triton compiled for {made.metadata.arch}, wanted {arch}; unset TRITON_OVERRIDE_ARCH"
        )
    assembly = made.asm["amdgcn"]
    return CompiledKernel(
        name=made.metadata.name,
        arch=arch,
        assembly=assembly,
        code_object=made.asm["hsaco"],
        lds_bytes=made.metadata.shared,
        # Triton 3.6 has none on AMD.
        global_scratch_bytes=getattr(made.metadata, "global_scratch_size", 0),
        num_warps=made.metadata.num_warps,
        wave_size=WAVE_SIZES[arch],
        triton_version=triton.__version__,
        parameters=_place_parameters(made.metadata.name, signature, assembly),
    )


def _place_parameters(
    name: str, signature: Mapping[str, str], assembly: str
) -> tuple[Parameter, ...]:
    """The parameters that are not constants, where the code's metadata says they lie."""
    wanted = [(each, kind) for each, kind in signature.items() if kind != "constexpr"]
    (metadata,) = (kernel for kernel in read_metadata(assembly, name) if kernel.name == name)
    given = [argument for argument in metadata.arguments if not argument.is_hidden]
    if len(given) < len(wanted):
        raise RocmoeError(f"{name} has {len(given)} arguments in its code, wanted {len(wanted)}")
    # Triton's own pointers, to scratch memory, follow the kernel's.
    return tuple(
        Parameter(each, kind, argument.offset, argument.size)
        for (each, kind), argument in zip(wanted, given, strict=False)
    )
