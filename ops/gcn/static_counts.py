"""Instructions as they stand in a kernel, counted by class: what a reader of the code would count.

Loops run them more than once, so these are no costs: they show what the compiler chose.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from rocmoe.ops.gcn.counting.classes import CLASSES, classify, loaded_bytes
from rocmoe.ops.gcn.instruction import Instruction

#: Bits that a lane loads or stores; `format`: as many as the buffer's format says.
WIDTHS = ("b8", "b16", "b32", "b64", "b96", "b128", "format")
#: Every count there is, in the order in which they are kept.
COUNTS = (
    "instructions",
    *(f"instructions_{name}" for name in CLASSES),
    "dpp",
    *(f"{kind}s_{width}" for kind in ("load", "store") for width in WIDTHS),
)

#: How gfx11 and gfx12 name what CDNA has under another name (AMD, RDNA3 and RDNA4 ISA reference
#: guides): the beginning of a mnemonic, and one of CDNA of the same class.
_CDNA_NAMES = (
    ("ds_load", "ds_read_b32"),
    ("ds_store", "ds_write_b32"),
    # A barrier of gfx12 is two instructions; the wait is counted.
    ("s_barrier_wait", "s_barrier"),
    ("s_wait_", "s_waitcnt"),
    ("s_delay_alu", "s_nop"),
    ("s_clause", "s_nop"),
    ("v_wmma", "v_mfma_f32"),
    ("v_swmmac", "v_mfma_f32"),
)
_DPP = re.compile(r"\b(?:quad_perm:|dpp8:|wave_(?:shl|shr|rol|ror)|row_[a-z]+)")
_BITS = re.compile(r"_[bui](8|16|32|64|96|128)(?:_w\d+)?$")
_MOVES = {"vmem_load": "load", "vmem_store": "store"}


def classify_any(instruction: Instruction) -> str:
    """The class of an instruction of any architecture, one of CLASSES."""
    kind = classify(_rename(instruction))
    return "cache" if kind == "vmem_load" and not find_width(instruction) else kind


def _rename(instruction: Instruction) -> Instruction:
    """The instruction under a name of CDNA that has the same class."""
    for theirs, ours in _CDNA_NAMES:
        if instruction.name.startswith(theirs):
            return replace(instruction, name=ours)
    return instruction


def has_dpp(instruction: Instruction) -> bool:
    """Whether it reads a register of other lanes by a DPP control."""
    return instruction.encoding.endswith("dpp") or _DPP.search(instruction.text) is not None


def find_width(instruction: Instruction) -> str | None:
    """One of `WIDTHS` of a vector load or store; None of others and of what moves nothing."""
    if found := _BITS.search(instruction.name):
        return f"b{found[1]}"
    if "_format_" in instruction.name:
        return "format"
    octets = loaded_bytes(instruction)
    return f"b{8 * octets}" if octets else None


def describe(instruction: Instruction) -> str:
    """Its class in words for a listing: `valu dpp`, `vmem_load b128`."""
    kind = classify_any(instruction)
    width = find_width(instruction) if kind in _MOVES else None
    return " ".join(filter(None, (kind, width, "dpp" if has_dpp(instruction) else "")))


def count_instructions(instructions: Iterable[Instruction]) -> dict[str, int]:
    """`COUNTS` of a kernel's instructions."""
    found: Counter[str] = Counter()
    for instruction in instructions:
        kind = classify_any(instruction)
        found["instructions"] += 1
        found[f"instructions_{kind}"] += 1
        found["dpp"] += has_dpp(instruction)
        width = find_width(instruction) if kind in _MOVES else None
        if width:
            found[f"{_MOVES[kind]}s_{width}"] += 1
    return {name: found[name] for name in COUNTS}
