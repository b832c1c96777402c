"""Code objects, the ELF files that the loader takes (`.hsaco`, `.co`): what they say of themselves.

LLVM, User Guide for AMDGPU Backend: "ELF Code Object". Needs pyelftools and msgpack, which
`pip install 'rocmoe[sim]'` brings.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.descriptor import DESCRIPTOR_BYTES, KernelDescriptor, decode_descriptor
from rocmoe.ops.gcn.linetable import LineTable, read_line_table
from rocmoe.ops.gcn.metadata import KernelMetadata, read_kernels
from rocmoe.ops.gcn.target import Target, decode_target, read_target

_NOTE_METADATA = (32, "NT_AMDGPU_METADATA")
_EXECUTABLE = 4  # SHF_EXECINSTR
_BUNDLES = (b"__CLANG_OFFLOAD_BUNDLE__", b"CCOB")


@dataclass(frozen=True)
class CodeObjectKernel:
    """entry: address in bytes of the first instruction. metadata: None where no note has it."""

    name: str
    entry: int
    descriptor: KernelDescriptor
    metadata: KernelMetadata | None


@dataclass(frozen=True)
class CodeObject:
    """symbols: names by address, of all that lies among instructions. functions: those addresses
    that start one; hand-written objects may mark none, and give no sizes."""

    file: str
    data: bytes
    target: Target
    kernels: tuple[CodeObjectKernel, ...]
    symbols: Mapping[int, tuple[str, ...]]
    functions: frozenset[int]
    line_table: LineTable


def read_code_object(data: bytes, file: str) -> CodeObject:
    """Read an AMDGPU ELF file.

    Raises RocmoeError for a missing package, for what is no code object or one of an architecture
    that is not simulated, and for one without kernels.
    """
    elf = _open_elf(data, file)
    document = _read_note(elf, file)
    target = _read_target(elf, document, file)
    metadata = read_kernels(document, file) if document is not None else ()
    described = {kernel.symbol: kernel for kernel in metadata}
    symbols = list(_read_symbols(elf))
    kernels = {
        name: _read_kernel(elf, file, name, address, described.get(name))
        for name, address, _, _ in symbols
        if name.endswith(".kd")
    }
    if missing := sorted(described.keys() - kernels.keys()):
        raise RocmoeError(f"{file}: metadata of {missing[0]!r}, but no symbol of that name")
    if not kernels:
        raise RocmoeError(f"{file}: no kernel descriptor (NAME.kd): nothing here can be launched")
    return CodeObject(
        file=file,
        data=data,
        target=target,
        kernels=tuple(kernels.values()),
        symbols=_group(symbols),
        functions=frozenset(at for _, at, kind, code in symbols if code and kind == "STT_FUNC"),
        line_table=read_line_table(elf),
    )


def _require(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise RocmoeError(
            f"reading a code object needs {package}: pip install 'rocmoe[sim]'"
        ) from None


def _open_elf(data: bytes, file: str) -> Any:
    elffile = _require("elftools.elf.elffile", "pyelftools")
    if data.startswith(_BUNDLES):
        raise RocmoeError(
            f"{file} bundles code for several targets; take one out: clang-offload-bundler "
            "--type=o --unbundle --list, then --targets=TARGET --output=KERNEL.co"
        )
    try:
        elf = elffile.ELFFile(io.BytesIO(data))
    except Exception as error:  # pyelftools raises its own and construct's errors
        raise RocmoeError(f"{file} is not an ELF file: {error or 'no ELF header'}") from None
    machine = elf["e_machine"]
    if machine not in ("EM_AMDGPU", 224) or elf["e_ident"]["EI_CLASS"] != "ELFCLASS64":
        raise RocmoeError(f"{file} is ELF code for {machine}, wanted a code object for AMDGPU")
    return elf


def _read_note(elf: Any, file: str) -> Any:
    """The metadata document, or None."""
    holders = [*elf.iter_segments(), *elf.iter_sections()]
    for holder in holders:
        kind = holder.header.get("p_type") or holder.header.get("sh_type")
        for note in holder.iter_notes() if kind in ("PT_NOTE", "SHT_NOTE") else ():
            if note["n_name"] == "AMDGPU" and note["n_type"] in _NOTE_METADATA:
                return _unpack(note["n_desc"], file)
    return None


def _unpack(packed: bytes | str, file: str) -> Any:
    msgpack = _require("msgpack", "msgpack")
    data = packed.encode("latin-1") if isinstance(packed, str) else packed
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except ValueError as error:
        raise RocmoeError(f"{file}: the metadata note is damaged: {error}") from None


def _read_target(elf: Any, document: Any, file: str) -> Target:
    """From the header's flags, which the loader goes by; metadata must not contradict them."""
    try:
        target = decode_target(elf["e_flags"])
        named = document.get("amdhsa.target") if isinstance(document, Mapping) else None
        if named and read_target(named).architecture != target.architecture:
            raise RocmoeError(f"header says {target}, metadata says {named}")
    except RocmoeError as error:
        raise RocmoeError(f"{file}: {error}") from None
    return target


def _read_symbols(elf: Any) -> Iterator[tuple[str, int, str, bool]]:
    """Name, address, type, and whether it lies among instructions, each name once."""
    seen: set[str] = set()
    for table in (elf.get_section_by_name(".symtab"), elf.get_section_by_name(".dynsym")):
        for symbol in table.iter_symbols() if table else ():
            index = symbol["st_shndx"]
            if not symbol.name or symbol.name in seen or not isinstance(index, int):
                continue
            seen.add(symbol.name)
            code = bool(elf.get_section(index)["sh_flags"] & _EXECUTABLE)
            yield symbol.name, symbol["st_value"], symbol["st_info"]["type"], code


def _group(symbols: list[tuple[str, int, str, bool]]) -> Mapping[int, tuple[str, ...]]:
    groups: dict[int, tuple[str, ...]] = {}
    for name, address, _, code in symbols:
        if code:
            groups[address] = (*groups.get(address, ()), name)
    return MappingProxyType(groups)


def _read_kernel(
    elf: Any, file: str, symbol: str, address: int, metadata: KernelMetadata | None
) -> CodeObjectKernel:
    descriptor, distance = decode_descriptor(_read_bytes(elf, file, symbol, address))
    return CodeObjectKernel(symbol.removesuffix(".kd"), address + distance, descriptor, metadata)


def _read_bytes(elf: Any, file: str, symbol: str, address: int) -> bytes:
    for segment in elf.iter_segments():
        start = address - segment["p_vaddr"]
        if segment["p_type"] == "PT_LOAD" and 0 <= start <= segment["p_filesz"] - DESCRIPTOR_BYTES:
            data: bytes = segment.data()[start : start + DESCRIPTOR_BYTES]
            return data
    raise RocmoeError(f"{file}: {symbol} lies in no part of the file that is loaded")
