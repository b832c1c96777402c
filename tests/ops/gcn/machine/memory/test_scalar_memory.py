from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError
from rocmoe.ops.gcn.machine.machine import GARBAGE, M0

DWORDS = {"": 1, "x2": 2, "x4": 4, "x8": 8, "x16": 16}


def spell(first: int, count: int) -> str:
    return f"s{first}" if count == 1 else f"s[{first}:{first + count - 1}]"


def get(machine: Any, first: int, count: int = 1) -> np.ndarray:
    """u32 [waves, count]."""
    return np.stack([machine.machine.scalar(first + at) for at in range(count)], axis=1)


def point(machine: Any, number: int, distances: Any = 0) -> None:
    address = machine.base + np.asarray(distances)
    machine.set_scalar(number, address & 0xFFFFFFFF, address >> 32)


@pytest.mark.parametrize("suffix", DWORDS)
def test_load(bench: Any, suffix: str) -> None:
    machine = bench()
    count = DWORDS[suffix]
    start = np.array([4, 40, 404])
    point(machine, 2, start)
    machine.set_exec(0)
    machine.run(f"s_load_dword{suffix} {spell(16, count)}, s[2:3], 0x8")
    places = start[:, None] + 8 + np.arange(4 * count)
    assert (get(machine, 16, count) == machine.octets[places].view(np.uint32)).all()
    assert (get(machine, 16 + count) == GARBAGE).all()
    (access,) = machine.listener.before
    assert machine.listener.after == [access]
    assert (access.space, access.kind, access.scalar) == ("global", "load", True)
    assert (access.size, access.data) == (4 * count, 16)
    assert access.addresses.tolist() == (machine.base + start[:, None] + 8).tolist()
    assert access.active.tolist() == [[True]] * 3
    assert not machine.faults


@pytest.mark.parametrize(
    ("operands", "place"),
    [
        ("s[2:3], 0x10", 116),
        ("s[2:3], -0x10", 84),
        ("s[2:3], s8", 120),
        ("s[2:3], m0", 124),
        ("s[2:3], s8 offset:0x8", 128),
        ("s[2:3], 0x13", 116),
        ("s[4:5], 0x2", 100),
        ("s[2:3], s9 offset:0x2", 100),
    ],
)
def test_address(bench: Any, operands: str, place: int) -> None:
    """The two low bits of each part are ignored."""
    machine = bench()
    point(machine, 2, 100)
    point(machine, 4, 102)
    machine.set_scalar(8, 20, 3)
    machine.set_scalar(M0, 24)
    machine.run(f"s_load_dword s16, {operands}")
    assert (get(machine, 16) == [place | place + 1 << 8 | place + 2 << 16 | place + 3 << 24]).all()


def test_load_overwrites_its_base(bench: Any) -> None:
    machine = bench()
    point(machine, 2)
    machine.run("s_load_dwordx4 s[0:3], s[2:3], 0x0")
    assert (get(machine, 0, 4) == [0x03020100, 0x07060504, 0x0B0A0908, 0x0F0E0D0C]).all()


def test_load_of_some_waves(bench: Any) -> None:
    machine = bench()
    point(machine, 2)
    machine.set_scalar(16, 5)
    machine.machine.select(np.array([1]))
    machine.run("s_load_dword s16, s[2:3], 0x0")
    machine.machine.select(None)
    assert get(machine, 16)[:, 0].tolist() == [5, 0x03020100, 5]


def test_buffer_load_gives_zeros_out_of_range(bench: Any) -> None:
    machine = bench()
    machine.set_resource(4, [100, 108, 200])
    machine.run("s_buffer_load_dwordx4 s[16:19], s[4:7], 0x60")
    words = np.frombuffer(bytes(range(0x60, 0x70)), np.uint32)
    assert get(machine, 16, 4)[0].tolist() == [words[0], 0, 0, 0]
    assert get(machine, 16, 4)[1].tolist() == [*words[:3], 0]
    assert get(machine, 16, 4)[2].tolist() == words.tolist()
    assert not machine.faults
    told = [(access.size, access.data) for access in machine.listener.before]
    assert told == [(4, 16), (4, 17), (4, 18), (4, 19)]
    assert machine.listener.before[1].active[:, 0].tolist() == [False, True, True]


def test_buffer_load_of_records(bench: Any) -> None:
    machine = bench()
    machine.set_resource(4, 10, stride=16)
    machine.set_scalar(8, 156)
    machine.run("s_buffer_load_dwordx2 s[16:17], s[4:7], s8")
    assert (get(machine, 16, 2) == [0x9F9E9D9C, 0]).all()


def test_load_past_the_kernarg_segment(bench: Any) -> None:
    machine = bench()
    address = machine.memory.kernarg_address
    machine.memory.kernarg[:] = 1
    machine.set_scalar(2, address & 0xFFFFFFFF, address >> 32)
    machine.run("s_load_dwordx4 s[16:19], s[2:3], 0x38")
    assert (get(machine, 16, 4) == [0x01010101, 0x01010101, GARBAGE, GARBAGE]).all()
    (fault,) = machine.faults
    assert fault.message == (
        f"load of 16 bytes at {address + 0x38:#x}: 8 bytes past the end of kernarg (64 bytes)"
    )
    assert (fault.workgroup, fault.wave, fault.lane, fault.count) == (5, 0, None, 3)


def test_load_from_nowhere(bench: Any) -> None:
    machine = bench(size=256)
    point(machine, 2, [0, 256, -(1 << 31)])
    machine.run("s_load_dword s16, s[2:3], 0x0")
    assert get(machine, 16)[:, 0].tolist() == [0x03020100, GARBAGE, GARBAGE]
    (fault,) = machine.faults
    assert fault.message.endswith("4 bytes past the end of x[256]")
    assert (fault.wave, fault.count) == (1, 2)


@pytest.mark.parametrize("suffix", ["", "x2", "x4"])
def test_store(bench: Any, suffix: str) -> None:
    machine = bench("gfx90a")
    count = DWORDS[suffix]
    machine.set_scalar(16, *([value, value + 1, value + 2] for value in (7, 8, 9, 10)))
    point(machine, 2, [0, 32, 64])
    before = machine.octets.copy()
    machine.run(f"s_store_dword{suffix} {spell(16, count)}, s[2:3], 0x4")
    for wave in range(3):
        words = np.arange(7 + wave, 7 + wave + count, dtype=np.uint32)
        before[32 * wave + 4 :][: 4 * count] = words.view(np.uint8)
    assert (machine.octets == before).all()
    assert [access.kind for access in machine.listener.before] == ["store"]


def test_stores_that_are_dropped(bench: Any) -> None:
    machine = bench("gfx90a")
    before = machine.octets.copy()
    machine.set_resource(4, 100)
    machine.set_scalar(16, 1, 2)
    machine.run("s_buffer_store_dwordx2 s[16:17], s[4:7], 0x60")
    before[96:100] = (1, 0, 0, 0)
    assert (machine.octets == before).all()
    assert not machine.faults
    address = machine.memory.kernarg_address
    machine.set_scalar(2, address & 0xFFFFFFFF, address >> 32)
    machine.run("s_store_dword s16, s[2:3], 0x0")
    assert machine.faults[0].message.endswith("kernarg + 0, which is read only")


@pytest.mark.parametrize("name", ["s_memtime", "s_memrealtime"])
def test_clocks_count_instructions(bench: Any, name: str) -> None:
    machine = bench()
    machine.machine.clock = (3 << 32) + 7
    machine.run(f"{name} s[16:17]")
    assert (get(machine, 16, 2) == [7, 3]).all()


@pytest.mark.parametrize(
    "text",
    [
        "s_atomic_add s4, s[2:3], 0x10",
        "s_buffer_atomic_add s4, s[4:7], 0x10",
        "s_scratch_load_dword s4, s[2:3], 0x10",
        "s_load_dwordx3 s[4:6], s[2:3], 0x0",
        "s_dcache_discard s[2:3], 0x0",
    ],
)
def test_what_is_not_simulated_says_so(bench: Any, text: str) -> None:
    with pytest.raises(UnsupportedError, match="not simulated: test.s:1: " + text.split()[0]):
        bench().run(text)
