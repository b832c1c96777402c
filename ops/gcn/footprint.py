"""Which register dwords an instruction reads and writes, in one space of numbers.

v0 to v255 are 0 to 255, a0 to a255 are 256 to 511, and the scalar dword that the ISA numbers n is
512 + n (CDNA3 ISA, Instructions, "Scalar operands": s0, vcc 106, ttmp0 108, m0 124, exec 126, SCC
253).  What depends on the state of a wave is not here: registers that M0 selects while VGPR
indexing is on, and the lanes of a destination that EXEC leaves as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.operand_roles import (
    Roles,
    find_lds_roles,
    find_memory_roles,
    find_scalar_roles,
    find_vector_roles,
)
from rocmoe.ops.gcn.operands import Register

ACCUMULATOR = 256
SCALAR = 512
FLAT_SCRATCH = SCALAR + 102
XNACK_MASK = SCALAR + 104
VCC = SCALAR + 106
TTMP = SCALAR + 108
M0 = SCALAR + 124
EXEC = SCALAR + 126
SCC = SCALAR + 253

#: First dword of each file. The zero flags stand for the masks that they are computed from.
_FIRST = {
    "v": 0,
    "a": ACCUMULATOR,
    "s": SCALAR,
    "flat_scratch": FLAT_SCRATCH,
    "xnack_mask": XNACK_MASK,
    "vcc": VCC,
    "ttmp": TTMP,
    "m0": M0,
    "exec": EXEC,
    "src_scc": SCC,
    "src_vccz": VCC,
    "src_execz": EXEC,
    "src_lds_direct": M0,
}
_PAIRS = ("vcc", "exec", "src_vccz", "src_execz")
_IMPLICIT: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        name: frozenset(range(_FIRST[name], _FIRST[name] + (2 if name in _PAIRS else 1)))
        for name in ("vcc", "exec", "m0", "src_scc", "src_vccz", "src_execz")
    }
)
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Footprint:
    """Register dwords by their numbers.

    reads: all that the instruction reads, EXEC where it masks lanes, SCC, VCC and M0 included.
    writes: all that it writes, in any lane. addresses: those of `reads` that select where: memory
    addresses, descriptors and offsets, a lane, a branch's target. data: those of `reads` whose
    content goes to memory. kept: those of `reads` that are destinations of which a part stays as
    it was (a half beside d16, lanes that DPP has no source for) and that nothing else reads.
    """

    reads: frozenset[int] = _NONE
    writes: frozenset[int] = _NONE
    addresses: frozenset[int] = _NONE
    data: frozenset[int] = _NONE
    kept: frozenset[int] = _NONE


def find_dwords(register: Register) -> frozenset[int]:
    """The numbers of a register's dwords; none for `null` and the constants of the memory map."""
    if register.file in _IMPLICIT and register.file.startswith("src_"):
        return _IMPLICIT[register.file]
    first = _FIRST.get(register.file)
    if first is None:
        return _NONE
    return frozenset(range(first + register.first, first + register.first + register.count))


def scalar_number(register: Register) -> int:
    """The number of a scalar register's first dword. Raises RocmoeError for any other."""
    first = _FIRST.get(register.file)
    if first is None or first < SCALAR:
        raise RocmoeError(f"{register} is no scalar register with dwords of its own")
    return first + register.first


def name_dword(number: int) -> str:
    """`v3`, `a0`, `s17`, `vcc_hi`, `m0`, `scc`."""
    for file in ("src_scc", "exec", "m0", "ttmp", "vcc", "xnack_mask", "flat_scratch", "s", "a"):
        if number >= _FIRST[file]:
            return str(Register(file, number - _FIRST[file])).removeprefix("src_")
    return f"v{number}"


def find_footprint(instruction: Instruction) -> Footprint:
    """Raises RocmoeError for an instruction that is not known."""
    if "footprint" not in instruction.memo:
        instruction.memo["footprint"] = _make_footprint(instruction)
    footprint: Footprint = instruction.memo["footprint"]
    return footprint


def _make_footprint(instruction: Instruction) -> Footprint:
    roles = _find_roles(instruction)
    if roles is None:
        where = f"line {instruction.line}: " if instruction.line else ""
        name = instruction.mnemonic
        raise RocmoeError(f"{where}which registers {name} reads and writes is not known")
    dwords = [
        find_dwords(operand.value) if isinstance(operand.value, Register) else _NONE
        for operand in instruction.operands
    ]
    return _collect(roles, dwords)


_FINDERS: Mapping[str, Callable[[Instruction], Roles | None]] = MappingProxyType(
    {
        "s": find_scalar_roles,
        "v": find_vector_roles,
        "ds": find_lds_roles,
        **dict.fromkeys(("buffer", "tbuffer", "global", "flat", "scratch"), find_memory_roles),
    }
)


def _find_roles(instruction: Instruction) -> Roles | None:
    find = _FINDERS.get(instruction.name.partition("_")[0])
    return find(instruction) if find else None


def _collect(roles: Roles, dwords: list[frozenset[int]]) -> Footprint:
    def union(positions: Iterable[int]) -> frozenset[int]:
        return _NONE.union(*(dwords[at] for at in positions if at < len(dwords)))

    pointers = _NONE.union(*(_IMPLICIT[name] for name in roles.pointers))
    sources = union(at for at in range(len(dwords)) if at not in roles.written)
    reads = sources.union(pointers, union(roles.read_back), *(_IMPLICIT[n] for n in roles.reads))
    written = union(roles.written)
    if roles.halved:
        written = frozenset(sorted(written)[: len(written) // 2])
    kept = union(roles.kept)
    return Footprint(
        reads=reads | kept,
        writes=written.union(*(_IMPLICIT[name] for name in roles.writes)),
        addresses=union(roles.addresses) | pointers,
        data=union(roles.data),
        kept=kept - reads,
    )
