"""What a code object says of its kernels: arguments, registers, spills, memory.

LLVM, User Guide for AMDGPU Backend: "Code Object V3 Metadata" to V5. It is YAML between
`.amdgpu_metadata` and `.end_amdgpu_metadata`, and MessagePack in an ELF note.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.core.errors import RocmoeError


@dataclass(frozen=True)
class Argument:
    """One argument in the kernarg segment; offset and size in bytes."""

    offset: int
    size: int
    value_kind: str
    name: str = ""
    address_space: str = ""
    type_name: str = ""

    @property
    def is_hidden(self) -> bool:
        """Whether the runtime fills it rather than the caller."""
        return self.value_kind.startswith("hidden_")


@dataclass(frozen=True)
class KernelMetadata:
    """Sizes in bytes; registers in dwords a lane (VGPR, AGPR) or a wave (SGPR).

    symbol: of the descriptor, `NAME.kd`. Triton's `group_segment_fixed_size` is zero, since it
    gives its LDS at launch.
    """

    name: str
    symbol: str
    arguments: tuple[Argument, ...]
    kernarg_segment_size: int
    kernarg_segment_align: int
    group_segment_fixed_size: int
    private_segment_fixed_size: int
    wavefront_size: int
    sgpr_count: int
    vgpr_count: int
    agpr_count: int
    max_flat_workgroup_size: int
    sgpr_spill_count: int
    vgpr_spill_count: int
    uses_dynamic_stack: bool
    required_workgroup_size: tuple[int, int, int] | None = None


_REQUIRED = (
    "kernarg_segment_size",
    "kernarg_segment_align",
    "group_segment_fixed_size",
    "private_segment_fixed_size",
    "wavefront_size",
    "sgpr_count",
    "vgpr_count",
    "max_flat_workgroup_size",
)
_OPTIONAL = ("agpr_count", "sgpr_spill_count", "vgpr_spill_count")


def read_kernels(document: Any, file: str) -> tuple[KernelMetadata, ...]:
    """The kernels of a metadata document. Raises RocmoeError naming the field that is missing or
    is not of its type."""
    kernels = document.get("amdhsa.kernels") if isinstance(document, Mapping) else None
    if not isinstance(kernels, (list, tuple)):
        raise RocmoeError(f"{file}: the metadata has no list amdhsa.kernels")
    return tuple(_Fields(kernel, f"{file}: metadata of a kernel").kernel() for kernel in kernels)


@dataclass(frozen=True)
class _Fields:
    """A map of the metadata, and what it is a map of."""

    values: Any
    owner: str

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping):
            raise RocmoeError(f"{self.owner} is not a map: {self.values!r}")

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(f".{name}", default)
        if not isinstance(value, str):
            raise RocmoeError(f"{self.owner}: .{name} is {value!r}, wanted a string")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        value = self.values.get(f".{name}", default)
        if not isinstance(value, int):
            raise RocmoeError(f"{self.owner}: .{name} is {value!r}, wanted an integer")
        return int(value)

    def items(self, name: str) -> list[Any]:
        value = self.values.get(f".{name}", [])
        if not isinstance(value, (list, tuple)):
            raise RocmoeError(f"{self.owner}: .{name} is {value!r}, wanted a list")
        return list(value)

    def argument(self) -> Argument:
        words = {name: self.text(name, "") for name in ("name", "address_space", "type_name")}
        return Argument(
            self.number("offset"), self.number("size"), self.text("value_kind"), **words
        )

    def kernel(self) -> KernelMetadata:
        name = self.text("name")
        named = _Fields(self.values, f"{self.owner} {name}")
        owner = f"{named.owner}, an argument"
        size = named.items("reqd_workgroup_size")
        return KernelMetadata(
            name=name,
            symbol=named.text("symbol", f"{name}.kd"),
            arguments=tuple(_Fields(item, owner).argument() for item in named.items("args")),
            uses_dynamic_stack=bool(self.values.get(".uses_dynamic_stack", False)),
            required_workgroup_size=(size[0], size[1], size[2]) if len(size) == 3 else None,
            **{field: named.number(field) for field in _REQUIRED},
            **{field: named.number(field, 0) for field in _OPTIONAL},
        )
