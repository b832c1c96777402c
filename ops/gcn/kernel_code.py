"""The kernels of a file as an audit wants them: what each is called, says of itself, and does.

Code for gfx90a, gfx942 and gfx950 is read as a Program.  Of text for gfx11 and gfx12 only metadata,
labels, places in the source and mnemonics are read, not operands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.gcn.assembly import read_metadata, read_program
from rocmoe.ops.gcn.codeobject import read_code_object
from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.directives import Directives
from rocmoe.ops.gcn.disassembly import disassemble
from rocmoe.ops.gcn.instruction import Instruction, is_mnemonic, split_mnemonic
from rocmoe.ops.gcn.metadata import KernelMetadata
from rocmoe.ops.gcn.occupancy import ARCHITECTURES
from rocmoe.ops.gcn.program import Kernel, Program
from rocmoe.ops.gcn.source import Line, read_lines
from rocmoe.ops.gcn.target import ARCHITECTURES as READABLE
from rocmoe.ops.gcn.target import Target

_TARGET = re.compile(r'^\s*\.amdgcn_target\s+"?[^"\n]*?(gfx\w+)', re.M)
_OPENING = re.compile(r"\s*\.amdhsa_kernel\s+\"?([^\s\"]+)")
_WGP = re.compile(r"\s*\.amdhsa_workgroup_processor_mode\s+(\d)")
_LENGTH = re.compile(r"\s*; codeLenInByte = (\d+)")
_LABEL = re.compile(r'"?([\w.$@]+)"?:\s*(.*)')
#: Directives of text that is not read as a Program; the rest says nothing of instructions.
_HEEDED = frozenset(
    (
        *(".file", ".loc", ".type", ".text", ".data", ".rodata", ".bss"),
        *(".section", ".pushsection", ".popsection"),
    )
)
#: How many bytes these take, with one of which a kernel ends.
_END_BYTES: Mapping[str, int] = {"s_endpgm": 4, "s_branch": 4, "s_setpc_b64": 4}


@dataclass(frozen=True)
class KernelCode:
    """One kernel, without functions that it calls.

    labels: names by index in `instructions`. code_bytes: None where nothing says it, as in text by
    hand. wgp_mode: whether gfx11 and gfx12 spread its workgroups over the two CUs of a WGP.
    """

    name: str
    arch: str
    instructions: tuple[Instruction, ...]
    labels: Mapping[int, tuple[str, ...]]
    metadata: KernelMetadata | None
    descriptor: KernelDescriptor | None
    code_bytes: int | None
    wgp_mode: bool = True


@dataclass
class _Said:
    """What a text says of a kernel outside its metadata."""

    code_bytes: int | None = None
    wgp_mode: bool = True


def read_kernel_codes(data: bytes, file: str, arch: str | None = None) -> tuple[KernelCode, ...]:
    """The kernels of an assembly text or of a code object; arch: of a text that names none.

    Raises RocmoeError for what is neither, and for an architecture that is not audited.
    """
    if b"\0" in data or data.startswith(b"\x7fELF"):
        return _read_program(disassemble(read_code_object(data, file)), {})
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RocmoeError(
            f"{file} is neither assembly text nor an ELF file: it is not UTF-8"
        ) from None
    return read_text(text, file, arch)


def read_text(text: str, file: str, arch: str | None = None) -> tuple[KernelCode, ...]:
    """The kernels of an assembly text, as `read_kernel_codes`."""
    named = _TARGET.search(text)
    arch = named[1] if named else arch
    if arch is None:
        raise RocmoeError(f"{file}: no .amdgcn_target names the architecture; give --arch")
    if arch not in ARCHITECTURES:
        raise RocmoeError(f"{file}: {unknown('architecture', arch, ARCHITECTURES)}")
    said = _scan(text)
    if arch in READABLE:
        return _read_program(read_program(text, file, Target(arch)), said)
    return _Outline(text, file, arch).read(said)


def _scan(text: str) -> dict[str, _Said]:
    """What LLVM's comments and the descriptors' directives say, by kernel."""
    said: dict[str, _Said] = {}
    of_kernel, last = False, ""
    for line in text.splitlines():
        if opened := _OPENING.match(line):
            last = opened[1]
            said[last] = _Said()
        elif mode := _WGP.match(line):
            said[last].wgp_mode = mode[1] == "1"
        elif line.startswith(("; Kernel info:", "; Function info:")):
            of_kernel = line.startswith("; Kernel") and bool(last)
        elif of_kernel and (length := _LENGTH.match(line)):
            said[last].code_bytes = int(length[1])
    return said


def _read_program(program: Program, said: Mapping[str, _Said]) -> tuple[KernelCode, ...]:
    names = _group_labels(program.labels)
    return tuple(
        KernelCode(
            name=kernel.name,
            arch=program.target.architecture,
            instructions=program.body(kernel),
            labels=_shift(names, kernel.entry, kernel.end),
            metadata=kernel.metadata,
            descriptor=kernel.descriptor,
            code_bytes=said[kernel.name].code_bytes if said else _measure(program, kernel),
        )
        for kernel in program.kernels
    )


def _measure(program: Program, kernel: Kernel) -> int | None:
    """Bytes from a kernel's first instruction to past its last, where addresses are known."""
    first, last = program.body(kernel)[0], program.body(kernel)[-1]
    if first.address is None or last.address is None or last.name not in _END_BYTES:
        return None
    return last.address + _END_BYTES[last.name] - first.address


def _group_labels(labels: Mapping[str, int]) -> dict[int, tuple[str, ...]]:
    names: dict[int, tuple[str, ...]] = {}
    for name, at in labels.items():
        names[at] = (*names.get(at, ()), name)
    return names


def _shift(
    names: Mapping[int, tuple[str, ...]], entry: int, end: int
) -> dict[int, tuple[str, ...]]:
    return {at - entry: each for at, each in names.items() if entry <= at < end}


class _Outline:
    """Kernels of a text of which only mnemonics are read."""

    def __init__(self, text: str, file: str, arch: str) -> None:
        self.text, self.file, self.arch = text, file, arch
        self.directives = Directives()
        self.instructions: list[Instruction] = []
        self.labels: dict[str, int] = {}

    def read(self, said: Mapping[str, _Said]) -> tuple[KernelCode, ...]:
        metadata = {kernel.name: kernel for kernel in read_metadata(self.text, self.file)}
        if not metadata:
            raise RocmoeError(
                f"{self.file}: no .amdgpu_metadata, which is all that is read of registers on "
                f"{self.arch}"
            )
        self._read_lines()
        if missing := [name for name in metadata if name not in self.labels]:
            raise RocmoeError(f"{self.file}: metadata of kernel {missing[0]!r}, but no such label")
        names = _group_labels(self.labels)
        starts = sorted({self.labels[name] for name in self._functions(metadata)})
        codes = []
        for name, kernel in metadata.items():
            entry = self.labels[name]
            end = min((at for at in starts if at > entry), default=len(self.instructions))
            about = said.get(name, _Said())
            body, labels = tuple(self.instructions[entry:end]), _shift(names, entry, end)
            codes.append(
                KernelCode(
                    name, self.arch, body, labels, kernel, None, about.code_bytes, about.wgp_mode
                )
            )
        return tuple(codes)

    def _functions(self, kernels: Iterable[str]) -> list[str]:
        return [name for name in {*kernels, *self.directives.functions} if name in self.labels]

    def _read_lines(self) -> None:
        in_metadata = False
        for line in read_lines(self.text, self.file):
            if line.code in (".amdgpu_metadata", ".end_amdgpu_metadata"):
                in_metadata = line.code == ".amdgpu_metadata"
            elif not in_metadata:
                self._read_line(line)

    def _read_line(self, line: Line) -> None:
        code = line.code
        while found := _LABEL.fullmatch(code):
            if self.directives.in_code:
                self.labels[found[1]] = len(self.instructions)
            code = found[2]
        word, _, rest = code.replace("\t", " ").partition(" ")
        if word in _HEEDED:
            self.directives.read(word, rest.strip(), line)
        elif self.directives.in_code and is_mnemonic(word):
            text, place = " ".join(code.split()), self.directives.source
            self.instructions.append(
                Instruction(*split_mnemonic(word), line=line.number, text=text, source=place)
            )
