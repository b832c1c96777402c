"""How many of an assembler's mnemonics the machine executes, by class and architecture.

It is asked of one instruction of each: what is lowered counts.  Another form of the same mnemonic
(DPP, SDWA, an operand of another kind) may still be refused.

`python -m rocmoe.ops.gcn.machine.coverage EXAMPLES PAGE` writes the page's tables anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.counting.classes import classify
from rocmoe.ops.gcn.descriptor import KernelDescriptor
from rocmoe.ops.gcn.instruction import Instruction, parse_instruction
from rocmoe.ops.gcn.machine.lowering import lower
from rocmoe.ops.gcn.program import Kernel, Program
from rocmoe.ops.gcn.semantics.operation import ARCHS
from rocmoe.ops.gcn.target import Target

UNITS: Mapping[str, str] = {
    "valu": "VALU",
    "mfma": "MFMA",
    "salu": "SALU",
    "smem": "SMEM",
    **dict.fromkeys(("vmem_load", "vmem_store", "vmem_atomic", "cache"), "VMEM"),
    **dict.fromkeys(("lds_load", "lds_store", "lds_atomic", "lds_lanes"), "LDS"),
    **dict.fromkeys(("branch", "barrier", "waitcnt", "nop"), "flow"),
}
#: Scalar memory instructions that no compiler makes, and so have no class.
_SCALAR_MEMORY = ("s_atomic_", "s_atc_probe")


@dataclass(frozen=True)
class Example:
    """An instruction that stands for its mnemonic, and the architectures that have it."""

    text: str
    archs: tuple[str, ...]

    @property
    def instruction(self) -> Instruction:
        return parse_instruction(self.text)

    @property
    def unit(self) -> str:
        """One of UNITS' names."""
        if self.text.startswith(_SCALAR_MEMORY):
            return "SMEM"
        return UNITS[classify(self.instruction)]


def read_examples(lines: Iterable[str]) -> tuple[Example, ...]:
    """Lines `ARCH,ARCH: INSTRUCTION`."""
    parts = (line.partition(": ") for line in lines)
    return tuple(Example(text.strip(), tuple(archs.split(","))) for archs, _, text in parts)


def is_executed(example: Example, arch: str) -> bool:
    """Whether the machine can lower it."""
    try:
        instruction = example.instruction
        kernel = Kernel("kernel", 0, 1, KernelDescriptor())
        program = Program("example", Target(arch), (instruction,), {"label": 0}, (kernel,), {}, {})
        lower(program, instruction)
    except RocmoeError:
        return False
    return True


def list_missing(examples: Iterable[Example], arch: str) -> Mapping[str, tuple[str, ...]]:
    """Mnemonics of an architecture that the machine does not execute, by unit."""
    missing: dict[str, list[str]] = {}
    for example in examples:
        if arch in example.archs and not is_executed(example, arch):
            missing.setdefault(example.unit, []).append(example.instruction.name)
    return {unit: tuple(names) for unit, names in missing.items()}


def write_missing(examples: Iterable[Example]) -> str:
    """Markdown: a line a unit, of what some architecture has and the machine does not execute."""
    known = tuple(examples)
    units: dict[str, dict[str, list[str]]] = {}
    for arch in ARCHS:
        for unit, names in list_missing(known, arch).items():
            for name in names:
                units.setdefault(unit, {}).setdefault(name, []).append(arch)
    lines = []
    for unit in dict.fromkeys(UNITS.values()):
        named = sorted(units.get(unit, {}).items())
        words = (
            f"`{n}`" + ("" if archs == list(ARCHS) else f" ({', '.join(archs)})")
            for n, archs in named
        )
        if named:
            lines.append(f"- {unit}: {', '.join(words)}")
    return "\n".join(lines) + "\n"


def write_table(examples: Iterable[Example]) -> str:
    """Markdown: units by architecture, executed of known."""
    known = tuple(examples)
    counts = {arch: _count(known, arch) for arch in ARCHS}
    lines = [f"| class | {' | '.join(ARCHS)} |", "|---" * (len(ARCHS) + 1) + "|"]
    units = dict.fromkeys(UNITS.values())
    for unit in units:
        lines.append(_row(unit, [counts[arch].get(unit, (0, 0)) for arch in ARCHS]))
    totals = [
        (sum(done for done, _ in by_unit.values()), sum(all_ for _, all_ in by_unit.values()))
        for by_unit in counts.values()
    ]
    return "\n".join([*lines, _row("all", totals)]) + "\n"


def _count(examples: tuple[Example, ...], arch: str) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for example in examples:
        if arch in example.archs:
            done, known = counts.get(example.unit, (0, 0))
            counts[example.unit] = done + is_executed(example, arch), known + 1
    return counts


def _row(name: str, counts: list[tuple[int, int]]) -> str:
    cells = (f"{done} / {known} ({done / max(known, 1):.0%})" for done, known in counts)
    return f"| {name} | {' | '.join(cells)} |"


def rewrite(page: str, examples: Iterable[Example]) -> str:
    """A page with its tables as they are now, between the comments that mark them."""
    known = tuple(examples)
    with_table = _replace(page, "table", write_table(known))
    return _replace(with_table, "missing", write_missing(known))


def _replace(page: str, mark: str, text: str) -> str:
    first, last = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    before, found, rest = page.partition(first)
    _, end, after = rest.partition(last)
    return before + first + text + last + after if found and end else page


if __name__ == "__main__":
    listing, target = map(Path, sys.argv[1:])
    lines = listing.read_text().splitlines()
    target.write_text(rewrite(target.read_text(), read_examples(lines)))
