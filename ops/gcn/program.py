"""A program: instructions, labels, and the kernels that start among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath

from rocmoe.ops.core.errors import RocmoeError, unknown
from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.metadata import KernelMetadata
from rocmoe.ops.gcn.target import Target


@dataclass(frozen=True)
class Kernel:
    """entry, end: indices into `Program.instructions`, of its first and past its last.

    metadata is None where the text carries none.
    """

    name: str
    entry: int
    end: int
    descriptor: KernelDescriptor
    metadata: KernelMetadata | None = None


@dataclass(frozen=True)
class Program:
    """Code that was read.

    file: what errors call it. labels: name to index in `instructions`; the index past the last is
    a label at the end. constants: what `.set` defined. lds_symbols: name to (bytes, alignment).
    """

    file: str
    target: Target
    instructions: tuple[Instruction, ...]
    labels: Mapping[str, int]
    kernels: tuple[Kernel, ...]
    constants: Mapping[str, int]
    lds_symbols: Mapping[str, tuple[int, int]]

    def kernel(self, name: str | None = None) -> Kernel:
        """The kernel of a name, or the only one. Raises RocmoeError."""
        named = {kernel.name: kernel for kernel in self.kernels}
        if name is None and len(named) == 1:
            return self.kernels[0]
        if name is None:
            raise RocmoeError(f"{self.file} has {len(named)} kernels; name one: {', '.join(named)}")
        if name not in named:
            raise unknown(f"kernel in {self.file}", name, named)
        return named[name]

    def body(self, kernel: Kernel) -> tuple[Instruction, ...]:
        """The instructions of a kernel, without those of functions that it calls."""
        return self.instructions[kernel.entry : kernel.end]

    def where(self, instruction: Instruction) -> str:
        """`FILE:LINE: TEXT`, with the place in the compiled source where it is known: its file
        without folders, which are those of the machine that compiled it."""
        known = instruction.source
        source = f" ({replace(known, file=PurePath(known.file).name)})" if known else ""
        return f"{self.file}:{instruction.line}: {instruction.text}{source}"
