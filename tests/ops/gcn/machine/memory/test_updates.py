from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError
from rocmoe.ops.gcn.machine.machine import GARBAGE

#: Old value, operand, new value.
UPDATES = {
    "swap": (7, 9, 9),
    "add": (0xFFFFFFFF, 3, 2),
    "sub": (1, 3, 0xFFFFFFFE),
    "smin": (5, 0xFFFFFFFF, 0xFFFFFFFF),
    "umin": (5, 0xFFFFFFFF, 5),
    "smax": (5, 0xFFFFFFFF, 5),
    "umax": (5, 0xFFFFFFFF, 0xFFFFFFFF),
    "and": (0b1100, 0b1010, 0b1000),
    "or": (0b1100, 0b1010, 0b1110),
    "xor": (0b1100, 0b1010, 0b0110),
    "inc": (9, 9, 0),
    "dec": (0, 9, 9),
    "add_f32": (0x3F800000, 0x40000000, 0x40400000),
    "pk_add_f16": (0x3C00_4000, 0x3C00_3C00, 0x4000_4200),
    "pk_add_bf16": (0x3F80_4000, 0x3F80_3F80, 0x4000_4040),
}
WIDE = {
    "swap_x2": (7, 9 << 32, 9 << 32),
    "add_x2": (0xFFFFFFFF, 1, 1 << 32),
    "sub_x2": (0, 1, (1 << 64) - 1),
    "smin_x2": (5, (1 << 64) - 1, (1 << 64) - 1),
    "umin_x2": (5, (1 << 64) - 1, 5),
    "smax_x2": (5, 1 << 63, 5),
    "umax_x2": (5, 1 << 63, 1 << 63),
    "and_x2": (3 << 40, 1 << 40, 1 << 40),
    "or_x2": (2 << 40, 1 << 40, 3 << 40),
    "xor_x2": (3 << 40, 1 << 40, 2 << 40),
    "inc_x2": (5 << 32, 9 << 32, (5 << 32) + 1),
    "dec_x2": (0, 9 << 32, 9 << 32),
    "add_f64": tuple(struct.unpack("<3Q", struct.pack("<3d", 1.5, 2.25, 3.75))),
    "min_f64": tuple(struct.unpack("<3Q", struct.pack("<3d", 1.5, -2.25, -2.25))),
    "max_f64": tuple(struct.unpack("<3Q", struct.pack("<3d", 1.5, -2.25, 1.5))),
}
ROUTES = ("buffer", "buffer record", "global", "global base", "flat", "flat lds")
OLD = 0x11223344


def put(machine: Any, number: int, value: int, size: int) -> None:
    machine.set(number, value & 0xFFFFFFFF)
    if size == 8:
        machine.set(number + 1, value >> 32)


@pytest.mark.parametrize("returning", [False, True])
@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("form", [*UPDATES, *WIDE])
def test_update(bench: Any, route: Any, form: str, name: str, returning: bool) -> None:
    size, (old, operand, new) = (8, WIDE[form]) if form in WIDE else (4, UPDATES[form])
    machine = bench("gfx950")
    # Lanes are 20 bytes apart: with this every second one is a multiple of 8.
    way = route(machine, name, 4)
    way.fill(old.to_bytes(size, "little"))
    put(machine, 20, operand, size)
    put(machine, 30, OLD << 32 | OLD, size)
    aligned = way.places % size == 0
    active = machine.set_exec(*(int(bits) & pack(aligned) for bits in machine.mixed))
    assert (active.sum(axis=1) > 20).tolist() == [True, size == 4, False]
    data, returned = ("v20", "v30") if size == 4 else ("v[20:21]", "v[30:31]")
    expected = way.storage.copy()
    for at, octet in enumerate(new.to_bytes(size, "little")):
        expected[way.places[active] + at] = octet
    flag = "sc0" if returning else ""
    machine.run(way.atomic(form, data, returned if returning else "", flag))
    assert (way.storage == expected).all()
    first = 20 if name.startswith("buffer") else 30
    before, untouched = (operand, operand) if first == 20 else (OLD << 32 | OLD,) * 2
    found = np.where(active, old if returning else before, untouched).astype(np.uint64)
    words = machine.get(first, size // 4).astype(np.uint64)
    total = words[..., 0] | words[..., 1] << np.uint64(32) if size == 8 else words[..., 0]
    mask = np.uint64((1 << 8 * size) - 1)
    assert (total == (found & mask)).all()
    assert not machine.faults
    (access,) = machine.listener.before
    assert (access.kind, access.size, access.data) == ("atomic", size, 20)
    assert access.returns == (first if returning else None)


def pack(lanes: np.ndarray) -> int:
    """The lanes of the first wave, as EXEC has them."""
    return sum(1 << lane for lane in np.flatnonzero(lanes[0]).tolist())


@pytest.mark.parametrize("name", ROUTES)
def test_compare_and_swap(bench: Any, route: Any, name: str) -> None:
    machine = bench()
    way = route(machine, name)
    even = machine.lane % 2 == 0
    way.fill((5).to_bytes(4, "little"))
    machine.set(20, 77)
    machine.set(21, np.where(even, 5, 6))
    machine.run(way.atomic("cmpswap", "v[20:21]", "v30", "sc0"))
    assert (way.read(1)[..., 0] == np.where(even, 77, 5)).all()
    assert (machine.get(20 if name.startswith("buffer") else 30) == 5).all()


def test_compare_and_swap_of_64_bits(bench: Any) -> None:
    machine = bench("gfx90a")
    view = machine.octets[: 192 * 8].view(np.uint64)
    view[:] = (9 << 32) + 5
    machine.set64(10, machine.base + machine.lane * 8)
    machine.set64(20, (1 << 40) + 1)
    machine.set64(22, ((9 + machine.lane % 2) << 32) + 5)
    machine.run("flat_atomic_cmpswap_x2 v[30:31], v[10:11], v[20:23] glc")
    expected = np.where(machine.lane % 2, (9 << 32) + 5, (1 << 40) + 1)
    assert (view.reshape(3, 64) == expected).all()
    assert (machine.get(30, 2) == [5, 9]).all()


def test_lanes_of_one_address_go_in_turn(bench: Any) -> None:
    machine = bench()
    machine.octets[:8] = 0
    machine.set64(10, machine.base + 4 * (machine.lane % 2))
    machine.set(20, 1)
    machine.run("global_atomic_add v30, v[10:11], v20, off sc0")
    assert (machine.get(30)[..., 0] == machine.lane // 2).all()
    assert machine.octets[:8].view(np.uint32).tolist() == [96, 96]
    machine.set(20, machine.lane)
    machine.set_exec(*machine.mixed)
    machine.run("global_atomic_swap v30, v[10:11], v20, off sc0")
    assert machine.octets[:8].view(np.uint32).tolist() == [126, 63]
    assert machine.get(30)[0, :4, 0].tolist() == [96, 96, 0, 1]
    assert machine.get(30)[1, 0, 0] == 62


def test_gfx90a_asks_for_the_old_value_with_glc(bench: Any) -> None:
    machine = bench("gfx90a")
    machine.set_resource(4, 64)
    machine.set(20, 0)
    machine.run("buffer_atomic_or v20, off, s[4:7], 0 offset:4 glc")
    assert (machine.get(20) == 0x07060504).all()


def test_memory_flushes_denormals_of_f32_and_lds_does_not(bench: Any, route: Any) -> None:
    for name, expected in (("flat", 0), ("flat lds", 3)):
        machine = bench()
        way = route(machine, name)
        way.fill(bytes((1, 0, 0, 0)))
        machine.set(20, 2)
        machine.run(way.atomic("add_f32", "v20"))
        assert (way.read(4).view(np.uint32) == expected).all()


def test_a_misaligned_atomic_is_a_fault(bench: Any) -> None:
    machine = bench()
    before = machine.octets.copy()
    machine.set64(10, machine.base + np.where(machine.lane == 3, 6, 8))
    machine.set(20, 0)
    machine.run("global_atomic_or v30, v[10:11], v20, off sc0")
    (fault,) = machine.faults
    place = f"{machine.base + 6:#x}: x[6]"
    assert fault.message == f"misaligned atomic of 4 bytes at {place}"
    assert (fault.lane, fault.count) == (3, 1)
    assert machine.get(30)[0, 3, 0] == GARBAGE
    assert (machine.get(30)[0, 4:, 0] == 0x0B0A0908).all()
    assert (machine.octets == before).all()


def test_an_atomic_out_of_bounds_is_a_fault(bench: Any) -> None:
    machine = bench(size=1024)
    machine.set64(10, machine.base + 1024)
    machine.run("global_atomic_add_x2 v[10:11], v[20:21], off")
    assert machine.faults[0].message.endswith("8 bytes past the end of x[1024]")


def test_an_atomic_in_scratch_is_refused(bench: Any, route: Any) -> None:
    machine = bench()
    way = route(machine, "flat scratch")
    with pytest.raises(UnsupportedError, match="an atomic in scratch"):
        machine.run(way.atomic("add", "v20"))
