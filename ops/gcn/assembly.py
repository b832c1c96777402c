"""Reading assembly text into a Program.

What Triton keeps in `asm["amdgcn"]`, what `clang -S` and FlyDSL write, and what people write for
LLVM's assembler (LLVM, User Guide for AMDGPU Backend, and its AMDGPUAsmParser for the operands).
Macros and conditionals are refused rather than expanded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from rocmoe.ops.core.errors import RocmoeError, nearest
from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.directives import Directives
from rocmoe.ops.gcn.expressions import NAME, UnknownNameError
from rocmoe.ops.gcn.instruction import Instruction, is_mnemonic, read_instruction
from rocmoe.ops.gcn.metadata import KernelMetadata, read_kernels
from rocmoe.ops.gcn.operands import Integer, Operand, Symbol
from rocmoe.ops.gcn.program import Kernel, Program
from rocmoe.ops.gcn.source import Line, read_lines
from rocmoe.ops.gcn.target import Target
from rocmoe.ops.gcn.yaml import read_yaml

_LABEL = re.compile(rf"({NAME}|\d+):(?!:)\s*(.*)")
_ASSIGNMENT = re.compile(rf"({NAME})\s*=(?!=)\s*(.+)")


def read_program(text: str, file: str = "assembly", target: Target | None = None) -> Program:
    """The program in a text; `target` where the text has no `.amdgcn_target` of its own.

    Raises RocmoeError, one line with the file's line number and text, for whatever cannot be read:
    a line, an operand, a branch to nowhere, a kernel without a label or a descriptor.
    """
    listing, block = _cut_metadata(text, file)
    metadata = read_kernels(read_yaml(block), file) if block else ()
    reader = Reader()
    for line in read_lines(listing, file):
        reader.read(line)
    descriptors = reader.directives.finish()
    target = reader.directives.target or target
    if not target:
        raise RocmoeError(f"{file}: no .amdgcn_target names the architecture")
    if not descriptors:
        raise RocmoeError(f"{file}: no .amdhsa_kernel: nothing here can be launched")
    return reader.build(file, target, descriptors, metadata)


def read_metadata(text: str, file: str = "assembly") -> tuple[KernelMetadata, ...]:
    """The metadata alone, of a text for any architecture; empty where it has none."""
    _, block = _cut_metadata(text, file)
    return read_kernels(read_yaml(block), file) if block else ()


def _cut_metadata(text: str, file: str) -> tuple[str, list[Line]]:
    """The text with its metadata blanked out, and the metadata's lines."""
    listing, block, opened = [], [], 0
    for number, raw in enumerate(text.splitlines(), 1):
        word = raw.strip()
        if word == ".end_amdgpu_metadata":
            opened, raw = 0, ""
        elif word == ".amdgpu_metadata":
            opened, raw = number, ""
        elif opened:
            block.append(Line(file, number, raw.rstrip()))
            raw = ""
        listing.append(raw)
    if opened:
        raise RocmoeError(f"{file}:{opened}: .amdgpu_metadata without its end")
    return "\n".join(listing), block


@dataclass
class Reader:
    """Instructions and labels in the order of their lines."""

    directives: Directives = field(default_factory=Directives)
    instructions: list[Instruction] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    numeric_labels: dict[str, list[int]] = field(default_factory=dict)

    def read(self, line: Line, address: int | None = None) -> None:
        """Read one line: labels, then an instruction or a directive."""
        code = re.sub(r"\s+", " ", line.code) if '"' not in line.code else line.code
        while found := _LABEL.fullmatch(code):
            self._label(found[1], line)
            code = found[2]
        if not code:
            return
        word, _, rest = code.partition(" ")
        word, _, tail = word.partition("\t")
        rest = f"{tail} {rest}".strip()
        if assigned := _ASSIGNMENT.fullmatch(code):
            self.directives.define(assigned[1], assigned[2], line)
        elif word.startswith("."):
            self.directives.read(word, rest, line)
        elif is_mnemonic(word):
            self._instruction(replace(line, code=f"{word} {rest}".strip()), address)
        else:
            raise line.error("neither a label, a directive nor a CDNA instruction")

    def _label(self, name: str, line: Line) -> None:
        name = name.strip('"')
        if not self.directives.in_code:
            return
        if name.isdigit():
            self.numeric_labels.setdefault(name, []).append(len(self.instructions))
        elif name in self.labels:
            raise line.error(f"label {name!r} is defined twice")
        else:
            self.labels[name] = len(self.instructions)

    def _instruction(self, line: Line, address: int | None) -> None:
        directives = self.directives
        if not directives.in_code:
            raise line.error("an instruction outside the sections that hold code")
        read = read_instruction(line, directives.constants, directives.source, address)
        self.instructions.append(read)
        self.lines.append(line)

    def build(
        self,
        file: str,
        target: Target,
        descriptors: Mapping[str, KernelDescriptor],
        metadata: tuple[KernelMetadata, ...],
    ) -> Program:
        """The program, each branch joined to its label. Raises RocmoeError."""
        described = {kernel.symbol.removesuffix(".kd"): kernel for kernel in metadata}
        if missing := sorted(described.keys() - descriptors.keys()):
            raise RocmoeError(f"{file}: metadata of a kernel {missing[0]!r}, but no descriptor")
        kernels = []
        for name, descriptor in descriptors.items():
            entry, end = self._extent(name, descriptors, file)
            kernels.append(Kernel(name, entry, end, descriptor, described.get(name)))
        return Program(
            file=file,
            target=target,
            instructions=tuple(self._resolve(at) for at in range(len(self.instructions))),
            labels=MappingProxyType(dict(self.labels)),
            kernels=tuple(kernels),
            constants=MappingProxyType(self.directives.constants.resolve()),
            lds_symbols=MappingProxyType(dict(self.directives.lds_symbols)),
        )

    def _extent(
        self, name: str, kernels: Mapping[str, KernelDescriptor], file: str
    ) -> tuple[int, int]:
        """From the kernel's label to the next function's, since symbols may have no sizes."""
        if name not in self.labels:
            hint = nearest(name, self.labels)
            raise RocmoeError(f"{file}: kernel {name!r} has a descriptor but no label{hint}")
        entry = self.labels[name]
        starts = {self.labels.get(start, 0) for start in {*kernels, *self.directives.functions}}
        later = [start for start in starts if start > entry]
        end = min(later, default=len(self.instructions))
        if entry == end:
            raise RocmoeError(f"{file}: kernel {name!r} has no instructions")
        return entry, end

    def _resolve(self, at: int) -> Instruction:
        """An instruction with the constants that were defined behind it, and its target."""
        instruction, line = self.instructions[at], self.lines[at]
        if instruction.is_branch:
            return replace(instruction, target=self._find_target(instruction, at, line))
        if not any(isinstance(operand.value, Symbol) for operand in instruction.operands):
            return instruction
        return replace(instruction, operands=tuple(map(self._substitute, instruction.operands)))

    def _substitute(self, operand: Operand) -> Operand:
        symbol = operand.value
        if not isinstance(symbol, Symbol) or symbol.relocation or symbol.name in self.labels:
            return operand
        try:
            value = self.directives.constants.value_of(symbol.name)
        except UnknownNameError:
            return operand
        return replace(operand, value=Integer(value + symbol.addend))

    def _find_target(self, instruction: Instruction, at: int, line: Line) -> int:
        target = instruction.operands[-1].value if instruction.operands else None
        if not isinstance(target, Symbol) or target.addend or target.relocation:
            raise line.error("a branch wants a label; a distance in dwords is not followed")
        if numeric := re.fullmatch(r"(\d+)([bf])", target.name):
            places = self.numeric_labels.get(numeric[1], [])
            behind = [place for place in places if place <= at]
            found = behind[-1:] if numeric[2] == "b" else places[len(behind) :][:1]
            if found:
                return found[0]
        if target.name not in self.labels:
            raise line.error(f"no label {target.name!r}{nearest(target.name, self.labels)}")
        return self.labels[target.name]
