"""Mnemonics of vector memory: what they move, and which operands mean what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.accesses import AtomicUpdate, Load, LoadToLds, Store, keeps_other_half
from rocmoe.ops.gcn.machine.addressing import read_offset, vector_data
from rocmoe.ops.gcn.machine.fault import unsupported
from rocmoe.ops.gcn.machine.transfer_widths import LDS_LOADS, LOADS, STORES
from rocmoe.ops.gcn.program import Program

_INTEGER_ATOMICS = (
    *("swap", "cmpswap", "add", "sub", "smin", "umin", "smax", "umax", "and", "or", "xor"),
    *("inc", "dec"),
)
#: Behind `atomic_`: the operation and its bytes. The L2 cache flushes denormals in additions of
#: f32 alone (CDNA4 ISA, 9.2.2, table "Denorm handling rules for memory ops").
ATOMICS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        **{name: (name, 4) for name in _INTEGER_ATOMICS},
        **{f"{name}_x2": (name, 8) for name in _INTEGER_ATOMICS},
        "add_f32": ("add_f32_flush", 4),
        **{name: (name, 4) for name in ("pk_add_f16", "pk_add_bf16")},
        **{name: (name, 8) for name in ("add_f64", "min_f64", "max_f64")},
    }
)
_SINCE_GFX942 = frozenset(
    (
        *("flat_atomic_add_f32", "flat_atomic_pk_add_f16", "flat_atomic_pk_add_bf16"),
        "global_atomic_pk_add_bf16",
        *(f"{family}_load_lds_{width}" for family in ("global", "scratch") for width in LDS_LOADS),
    )
)
_SINCE_GFX950 = frozenset(
    (
        "buffer_atomic_pk_add_bf16",
        *(f"global_load_lds_{width}" for width in ("dwordx3", "dwordx4")),
    )
)
_SINCE = {
    **dict.fromkeys(_SINCE_GFX942, ("gfx942", "gfx950")),
    **dict.fromkeys(_SINCE_GFX950, ("gfx950",)),
}
_WIDE_LDS_LOADS = ("dwordx3", "dwordx4")


@dataclass(frozen=True)
class Transfer:
    """perform: what is done with each request. size: bytes a lane. address_at, base_at: operands of
    the lanes' address and of the scalar one, which may be absent."""

    perform: Load | LoadToLds | Store | AtomicUpdate
    size: int
    address_at: int
    base_at: int


def read_transfer(program: Program, instruction: Instruction) -> Transfer:
    """What a buffer, global, flat or scratch instruction moves.

    Raises `UnsupportedError` for one that is none of the ISA's, or is not simulated.
    """
    family, _, rest = instruction.name.partition("_")
    verb, _, form = rest.partition("_")
    _check(program, instruction)
    if verb == "load":
        to_lds = form.startswith("lds_") or "lds" in instruction.modifiers
        form = form.removeprefix("lds_")
        if to_lds and form in LDS_LOADS:
            return _read_lds_load(program, instruction, form)
        if form in LOADS and not to_lds:
            return _read_load(program, instruction, form)
    if verb == "store" and form in STORES:
        return _read_store(program, instruction, form, family)
    if verb == "atomic" and form in ATOMICS and family != "scratch":
        return _read_atomic(program, instruction, form, family)
    raise unsupported(program, instruction)


def _check(program: Program, instruction: Instruction) -> None:
    architectures = _SINCE.get(instruction.name)
    if architectures and program.target.architecture not in architectures:
        raise unsupported(program, instruction, f"{instruction.name} needs {architectures[0]}")
    if "tfe" in instruction.modifiers:
        raise unsupported(program, instruction, "tfe")


def _read_load(program: Program, instruction: Instruction, form: str) -> Transfer:
    width = LOADS[form]
    data = vector_data(program, instruction, instruction.operands[0])
    keeps = width.half and keeps_other_half(program)
    return Transfer(Load(width, data, keeps), width.size, 1, 2)


def _read_lds_load(program: Program, instruction: Instruction, form: str) -> Transfer:
    """Of M0 count the 16 bits that address 64 KiB of LDS, on gfx950 18 (CDNA4 ISA, 9.1.9)."""
    width, latest = LOADS[form], program.target.architecture == "gfx950"
    if form in _WIDE_LDS_LOADS and not latest:
        raise unsupported(program, instruction, f"loads of {form} to LDS need gfx950")
    step = 16 if form in _WIDE_LDS_LOADS else 4
    mask = 0x3FFFC if latest else 0xFFFC
    load = LoadToLds(width, read_offset(instruction), mask, step)
    return Transfer(load, width.size, 0, 1)


def _read_store(program: Program, instruction: Instruction, form: str, family: str) -> Transfer:
    """A buffer store names its data first, the others behind the address."""
    width, data_at = STORES[form], 0 if family == "buffer" else 1
    data = vector_data(program, instruction, instruction.operands[data_at])
    return Transfer(Store(width, data), width.size, 1 - data_at, 2)


def _read_atomic(program: Program, instruction: Instruction, form: str, family: str) -> Transfer:
    """`glc` (gfx90a) and `sc0` ask for the value from before: a buffer atomic puts it where its
    data was, the others into an operand that stands first."""
    operation, size = ATOMICS[form]
    wanted = bool({"glc", "sc0"} & instruction.modifiers.keys())
    operands = instruction.operands
    if family == "buffer":
        data = vector_data(program, instruction, operands[0])
        update = AtomicUpdate(operation, size, data, data if wanted else None)
        return Transfer(update, size, 1, 2)
    returns = vector_data(program, instruction, operands[0]) if wanted else None
    data = vector_data(program, instruction, operands[2 if wanted else 1])
    update = AtomicUpdate(operation, size, data, returns)
    return Transfer(update, size, int(wanted), 2 + wanted)
