"""Where lanes of buffer instructions reach, and which are in range.

CDNA4 ISA (AMD Instinct MI350), 9.1.5 "Buffer addressing" and 9.1.5.1 "Range checking".  The check
of a raw buffer compares the lane's and the instruction's offset, without the scalar one, with the
number of bytes; loads and stores of several dwords are checked dword by dword, atomics as a whole.
A dword that only begins in range is out of range (llvm/llvm-project PR #135014), and offsets
saturate rather than wrap (PR #134734).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rocmoe.ops.gcn.instruction import Instruction
from rocmoe.ops.gcn.machine.addressing import Address, read_offset, scalar_register
from rocmoe.ops.gcn.machine.buffer_resource import BufferResource
from rocmoe.ops.gcn.machine.fault import UnsupportedError, unsupported
from rocmoe.ops.gcn.machine.machine import WAVE, Machine
from rocmoe.ops.gcn.machine.requests import Request
from rocmoe.ops.gcn.machine.sources import (
    is_vector,
    scalar_source,
    vector_number,
)
from rocmoe.ops.gcn.machine.spaces import GLOBAL, PRIVATE
from rocmoe.ops.gcn.operands import Off, Register
from rocmoe.ops.gcn.program import Program
from rocmoe.ops.gcn.semantics.words import Array

_WORD = 0xFFFFFFFF
#: Records of a resource that stands for "no bounds", from here up to 2**31.
_BOUNDLESS = (1 << 31) - (1 << 12)
#: A negative offset up to here is taken for a mistake, not for a lane that a mask leaves out.
_FARTHEST = 1 << 30
#: Bytes of a wave's scratch from one dword of its lanes to the next.
_SCRATCH_ROW = 4 * WAVE


@dataclass(frozen=True)
class BufferOperands:
    """resource: number of its first scalar register. index, lane_offset: vector registers, where
    there are any. scalar_offset: u32 [waves] or [1]. offset: the instruction's, in bytes."""

    instruction: Instruction
    resource: int
    index: int | None
    lane_offset: int | None
    scalar_offset: Address
    offset: int

    def read_resource(self, machine: Machine) -> BufferResource:
        first, second, third, fourth = (machine.scalar(self.resource + at) for at in range(4))
        return BufferResource((first, second, third, fourth))


def read_buffer_operands(program: Program, instruction: Instruction, at: int) -> BufferOperands:
    """The operands from `at` on: address registers or `off`, resource, scalar offset."""
    operands = instruction.operands
    if len(operands) < at + 3:
        raise unsupported(program, instruction, "an address, a resource and an offset are wanted")
    has_index, has_offset = ("idxen" in instruction.modifiers, "offen" in instruction.modifiers)
    first = None
    address = operands[at].value
    if has_index or has_offset:
        if not isinstance(address, Register) or not is_vector(address):
            raise unsupported(program, instruction, "idxen and offen want a vector register")
        first = vector_number(address)
    elif not isinstance(address, Off):
        raise unsupported(program, instruction, f"address {operands[at]} without idxen or offen")
    return BufferOperands(
        instruction,
        scalar_register(program, instruction, operands[at + 1]),
        first if has_index else None,
        None if first is None or not has_offset else first + has_index,
        scalar_source(program, instruction, at + 2, "u32"),
        read_offset(instruction),
    )


def request_buffer(
    machine: Machine, operands: BufferOperands, size: int
) -> tuple[Request, Array | None]:
    """A request of `size` bytes a lane, those wholly in range; and of a raw buffer the bytes left
    from each lane's address to its end, int64 [waves, 64]."""
    resource = operands.read_resource(machine)
    if resource.is_swizzled:
        return _request_private(machine, operands, resource), None
    offsets = _lane_offsets(machine, operands)
    if operands.index is not None:
        return _request_record(machine, operands, resource, offsets), None
    addresses = offsets + (resource.base + _scalar_offset(machine, operands))[:, None]
    left = resource.records[:, None] - offsets
    if resource.is_unbound:
        left[resource.unbound] = 0
    in_range = _reach(left, size)
    if in_range is not None:
        _report_negative(machine, operands, resource, offsets, addresses, size)
    return Request(GLOBAL, addresses, in_range=in_range), left


def _report_negative(
    machine: Machine,
    operands: BufferOperands,
    resource: BufferResource,
    offsets: Array,
    addresses: Array,
    size: int,
) -> None:
    """Report lanes that reach before a tensor through a resource that knows none of its bounds.

    Triton's resources span almost 2 GiB, so the range check drops what a negative offset asks for
    and hides it; lanes that a mask leaves out have the offset -2**31, far from any mistake
    (Triton, third_party/amd/lib/TritonAMDGPUToLLVM/BufferOpsEmitter.cpp).
    """
    boundless = (resource.records >= _BOUNDLESS) & (resource.records < 1 << 31)
    bad = machine.active & (offsets >= _WORD - _FARTHEST) & boundless[:, None]
    if not bad.any():
        return
    kind = "store" if "_store" in operands.instruction.name else "access"
    kind = "load" if "_load" in operands.instruction.name else kind

    def describe(row: int, lane: int) -> str:
        address = int(addresses[row, lane]) - (1 << 32)
        where = machine.memory.locate(address, size)
        return f"{kind} of {size} bytes at {address:#x}: {where}; the buffer's range check hides it"

    machine.faults.report("memcheck", machine.index, bad, machine.place, describe, "negative")


def split_dwords(machine: Machine, request: Request, left: Array, size: int) -> list[Request]:
    """A request for each dword, where a lane is in range with its first one and not with all;
    otherwise none."""
    if request.in_range is None or size <= 4:
        return []
    cut = (left >= 4) & ~request.in_range & machine.active
    if not cut.any():
        return []
    return [request.part(at, _reach(left - at, 4)) for at in range(0, size, 4)]


def _reach(left: Array, size: int) -> Array | None:
    """Lanes with `size` bytes left, None: all."""
    return None if int(left.min()) >= size else left >= size


def _lane_offsets(machine: Machine, operands: BufferOperands) -> Array:
    """int64 [waves, 64]: the part of the offset that is checked."""
    if operands.lane_offset is None:
        return np.full((machine.n, WAVE), operands.offset, np.int64)
    offsets = machine.vector(operands.lane_offset).astype(np.int64)
    if operands.offset:
        offsets += operands.offset
    return offsets


def _scalar_offset(machine: Machine, operands: BufferOperands) -> Array:
    return operands.scalar_offset(machine).astype(np.int64)


def _request_record(
    machine: Machine, operands: BufferOperands, resource: BufferResource, offsets: Array
) -> Request:
    assert operands.index is not None
    if not resource.stride.all():
        raise _unsupported(machine, operands, "idxen with a buffer resource of stride 0")
    index = machine.vector(operands.index).astype(np.int64)
    start = (resource.base + _scalar_offset(machine, operands))[:, None]
    in_range = index < resource.records[:, None]
    if resource.is_unbound:
        in_range &= ~resource.unbound[:, None]
    addresses = start + index * resource.stride[:, None] + offsets
    return Request(GLOBAL, addresses, in_range=None if in_range.all() else in_range)


def _request_private(
    machine: Machine, operands: BufferOperands, resource: BufferResource
) -> Request:
    """Spills and stack of gfx90a: the resource of scratch, swizzled by thread.

    The scalar offset is not swizzled, and so counts the bytes of 64 lanes.
    """
    if not resource.is_private_segment or operands.index is not None:
        raise _unsupported(machine, operands, "a swizzled buffer that is not scratch")
    rows, rest = np.divmod(_scalar_offset(machine, operands), _SCRATCH_ROW)
    if rest.any():
        raise _unsupported(machine, operands, "a scalar offset into a part of scratch's swizzle")
    addresses = (_lane_offsets(machine, operands) + 4 * rows[:, None]) & _WORD
    return Request(PRIVATE, addresses)


def _unsupported(machine: Machine, operands: BufferOperands, why: str) -> UnsupportedError:
    return unsupported(machine.program, operands.instruction, why)
