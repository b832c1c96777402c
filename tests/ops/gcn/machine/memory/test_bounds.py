from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError
from rocmoe.ops.gcn.machine.machine import GARBAGE

OUT_OF_RANGE = 0x80000000
STRADDLES = {"dword": 1, "dwordx2": 2, "dwordx3": 3, "dwordx4": 4}


def spell(first: int, count: int) -> str:
    return f"v{first}" if count == 1 else f"v[{first}:{first + count - 1}]"


def prepare(machine: Any) -> Any:
    machine.set_resource(4, 1024)
    machine.octets[:1024] = 0xEE
    for at in range(4):
        machine.set(20 + at, 5)
    return machine


@pytest.mark.parametrize("form", STRADDLES)
def test_a_load_out_of_range_gives_zeros(bench: Any, form: str) -> None:
    machine = prepare(bench())
    count = STRADDLES[form]
    far = machine.lane % 3 == 1
    machine.set(10, np.where(far, OUT_OF_RANGE, machine.lane * 4))
    active = machine.set_exec(*machine.mixed)
    machine.run(f"buffer_load_{form} {spell(20, count)}, v10, s[4:7], 0 offen")
    words = machine.get(20, count)
    assert (words[active & ~far] == 0xEEEEEEEE).all()
    assert (words[active & far] == 0).all()
    assert (words[~active] == 5).all()
    assert not machine.faults
    (access,) = machine.listener.before
    assert (access.active == (active & ~far)).all()


@pytest.mark.parametrize("form", STRADDLES)
def test_dwords_are_checked_one_by_one(bench: Any, form: str) -> None:
    machine = prepare(bench())
    count = STRADDLES[form]
    start = 1024 - 4 * (machine.lane % 8)
    machine.set(10, start)
    machine.run(f"buffer_load_{form} {spell(20, count)}, v10, s[4:7], 0 offen")
    place = start[..., None] + 4 * np.arange(count)
    assert (machine.get(20, count) == np.where(place + 4 <= 1024, 0xEEEEEEEE, 0)).all()
    before = machine.octets.copy()
    for at in range(count):
        machine.set(20 + at, 0x01010101 * (at + 1))
    machine.set(10, 1020)
    machine.run(f"buffer_store_{form} {spell(20, count)}, v10, s[4:7], 0 offen")
    before[1020:1024] = 1
    assert (machine.octets == before).all()
    assert not machine.faults


def test_a_dword_that_only_begins_in_range_is_out_of_it(bench: Any) -> None:
    machine = prepare(bench())
    machine.set_resource(4, 1022)
    machine.set(10, 1020)
    machine.run("buffer_load_dwordx2 v[20:21], v10, s[4:7], 0 offen")
    machine.run("buffer_load_ushort v22, v10, s[4:7], 0 offen")
    assert (machine.get(20, 3) == [0, 0, 0xEEEE]).all()


def test_the_scalar_offset_is_not_checked_and_others_do_not_wrap(bench: Any) -> None:
    machine = prepare(bench())
    machine.set_scalar(8, 512)
    machine.octets[512 + 1020 :][:4] = (1, 2, 3, 4)
    machine.set(10, 1020)
    machine.run("buffer_load_dword v20, v10, s[4:7], s8 offen")
    assert (machine.get(20) == 0x04030201).all()
    machine.set(10, 0xFFFFFFFC)
    machine.run("buffer_load_dword v20, v10, s[4:7], 0 offen offset:8")
    assert (machine.get(20) == 0).all()


def test_a_store_out_of_range_is_dropped(bench: Any) -> None:
    machine = prepare(bench())
    before = machine.octets.copy()
    machine.set(10, OUT_OF_RANGE)
    machine.run("buffer_store_dwordx4 v[20:23], v10, s[4:7], 0 offen")
    machine.run("buffer_atomic_add v20, v10, s[4:7], 0 offen sc0")
    assert (machine.octets == before).all()
    assert (machine.get(20) == 0).all()
    assert not machine.faults


def test_an_atomic_is_in_range_wholly_or_not_at_all(bench: Any) -> None:
    machine = prepare(bench())
    before = machine.octets.copy()
    machine.set_resource(4, 1020)
    machine.set(10, 1016)
    machine.run("buffer_atomic_add_x2 v[20:21], v10, s[4:7], 0 offen")
    assert (machine.octets == before).all()


def test_a_structured_buffer_counts_records(bench: Any) -> None:
    machine = bench()
    machine.set_resource(4, 100, stride=16)
    machine.set(10, machine.lane)
    machine.run("buffer_load_ubyte v20, v10, s[4:7], 0 idxen offset:3")
    expected = np.where(machine.lane < 100, (machine.lane * 16 + 3) % 251, 0)
    assert (machine.get(20)[..., 0] == expected).all()
    assert not machine.faults


def test_a_resource_without_a_format_is_unbound(bench: Any) -> None:
    machine = bench()
    machine.set(10, 4)
    for mode, stride in (("offen", 0), ("idxen", 16)):
        machine.set_resource(4, 1024, stride=stride, word3=0x1000)
        machine.set(20, 5)
        machine.run(f"buffer_load_dword v20, v10, s[4:7], 0 {mode}")
        assert (machine.get(20) == 0).all()
    assert not machine.faults


@pytest.mark.parametrize(
    ("resource", "mode", "reason"),
    [
        ({"stride": 0x8000 | 16}, "offen", "swizzled buffer"),
        ({"stride": 16, "word3": 0x827000}, "offen", "swizzled buffer"),
        ({}, "idxen", "stride 0"),
    ],
)
def test_other_resources_are_refused(bench: Any, resource: Any, mode: str, reason: str) -> None:
    machine = bench()
    machine.set_resource(4, 1024, **resource)
    machine.set(10, 0)
    with pytest.raises(UnsupportedError, match=reason):
        machine.run(f"buffer_load_dword v20, v10, s[4:7], 0 {mode}")


def test_scratch_in_the_middle_of_its_swizzle_is_refused(bench: Any) -> None:
    machine = bench("gfx90a")
    machine.set_scalar(4, *machine.memory.private_segment)
    machine.set_scalar(8, 4)
    with pytest.raises(UnsupportedError, match="swizzle"):
        machine.run("buffer_load_dword v20, off, s[4:7], s8")


def test_an_address_outside_every_tensor_is_a_fault(bench: Any, tensor: Any) -> None:
    machine = bench(tensors=(tensor("gating_output", 2048, (16, 64), 2),))
    start = np.where(machine.lane == 70, 2040, machine.lane * 4)
    machine.set64(10, machine.base + start)
    for at in range(4):
        machine.set(20 + at, 5)
    machine.machine.index = 17
    machine.set_exec(*machine.mixed)
    machine.run("global_load_dwordx4 v[20:23], v[10:11], off")
    (fault,) = machine.faults
    where = f"load of 16 bytes at {machine.base + 2040:#x}"
    assert fault.message == f"{where}: 8 bytes past the end of gating_output[16, 64]"
    assert (fault.check, fault.index, fault.count) == ("memcheck", 17, 1)
    assert (fault.workgroup, fault.wave, fault.lane) == (5, 1, 6)
    words = machine.get(20, 4)
    assert (words[1, 6] == GARBAGE).all()
    assert words[1, 4, 0] == int.from_bytes(machine.octets[68 * 4 :][:4].tobytes(), "little")
    assert not machine.listener.before[0].active[1, 6]
    assert machine.listener.before[0].active.sum() == 64 + 31


def test_in_range_and_out_of_bounds_at_once(bench: Any) -> None:
    machine = bench(size=1024)
    machine.set_resource(4, 1 << 20)
    machine.set(10, np.select([machine.lane % 4 == 1, machine.lane % 4 == 2], [1 << 31, 1022], 8))
    machine.run("buffer_load_dword v20, v10, s[4:7], 0 offen")
    expected = np.array([0x0B0A0908, 0, GARBAGE, 0x0B0A0908])
    assert (machine.get(20)[..., 0] == expected[machine.lane % 4]).all()
    (fault,) = machine.faults
    assert fault.count == 48
    assert fault.message.endswith("2 bytes past the end of x[1024]")


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (-24, "24 bytes before the start of x[1024]"),
        (1023, "3 bytes past the end of x[1024]"),
        (2000, "980 bytes past the end of x[1024]"),
        (1 << 30, "no tensor is near"),
        (-(1 << 32), "no tensor is near"),
    ],
)
def test_a_store_out_of_bounds_is_dropped(bench: Any, distance: int, words: str) -> None:
    machine = bench(size=1024)
    before = machine.memory.buffer.copy()
    machine.set64(10, machine.base + distance)
    machine.run("global_store_dword v[10:11], v20, off")
    (fault,) = machine.faults
    assert fault.message == f"store of 4 bytes at {machine.base + distance:#x}: {words}"
    assert fault.count == 192
    assert (machine.memory.buffer == before).all()


@pytest.mark.parametrize("family", ["global", "flat"])
def test_addresses_from_end_to_end(bench: Any, family: str) -> None:
    machine = bench(size=1024)
    wild = [0, -1, -(1 << 63), (1 << 63) - 1, 0x7FFF7FFF7FFF7FFF, 1 << 52, -(1 << 40)]
    machine.set64(10, np.resize(wild, (3, 64)))
    off = ", off" if family == "global" else ""
    before = machine.memory.buffer.copy()
    machine.run(f"{family}_load_dwordx4 v[20:23], v[10:11]{off}")
    machine.run(f"{family}_store_dwordx4 v[10:11], v[20:23]{off}")
    assert [fault.count for fault in machine.faults] == [192, 192]
    assert machine.faults[0].message == "load of 16 bytes at 0x0: no tensor is near"
    machine.set64(10, -1)
    machine.machine.index = 1
    machine.run(f"{family}_load_dword v20, v[10:11]{off}")
    assert machine.faults[2].message.startswith("load of 4 bytes at 0xffffffffffffffff: no")
    assert (machine.get(20, 4) == GARBAGE).all()
    assert (machine.memory.buffer == before).all()


@pytest.mark.parametrize("wild", [0, -1, 1 << 62])
def test_lanes_out_of_bounds_leave_the_others_alone(bench: Any, wild: int) -> None:
    machine = bench(size=1024)
    good = machine.lane % 2 == 1
    machine.set64(10, np.where(good, machine.base + 4 * machine.lane, wild))
    machine.run("global_load_dword v20, v[10:11], off")
    words = machine.octets[:768].copy().view(np.uint32).reshape(3, 64)
    assert (machine.get(20)[..., 0] == np.where(good, words, GARBAGE)).all()
    machine.set(21, 7)
    machine.run("global_store_dword v[10:11], v21, off")
    stored = machine.octets[:768].view(np.uint32).reshape(3, 64)
    assert (stored == np.where(good, 7, words)).all()
    assert [fault.count for fault in machine.faults] == [96, 96]


def test_the_kernarg_segment_is_read_only(bench: Any) -> None:
    machine = bench()
    machine.set64(10, machine.memory.kernarg_address + 16)
    machine.run("global_load_dword v20, v[10:11], off")
    assert not machine.faults
    machine.run("global_store_dword v[10:11], v20, off")
    assert machine.faults[0].message.endswith("kernarg + 16, which is read only")


@pytest.mark.parametrize(
    ("name", "place", "title", "limit"),
    [
        ("flat lds", 4093, "LDS", 4096),
        ("flat scratch", 95, "scratch", 96),
        ("scratch", 96, "scratch", 96),
        ("buffer scratch", 1 << 31, "scratch", 96),
    ],
)
def test_bounds_of_lds_and_scratch(
    bench: Any, route: Any, name: str, place: int, title: str, limit: int
) -> None:
    machine = bench()
    way = route(machine, name)
    machine.set(10, place - 4 if "flat" in name else place - (12 if "buffer" in name else 4))
    machine.machine.lds[:] = 0
    machine.machine.scratch[:] = 0
    machine.run(way.load("dword", "v20"))
    machine.run(way.store("dword", "v21"))
    past = f"{place + 4 - limit} byte{'s' if place + 4 - limit > 1 else ''} past its end"
    words = f"of 4 bytes at byte {place} of {title}: {past} ({limit} bytes)"
    assert [fault.message for fault in machine.faults] == [f"load {words}", f"store {words}"]
    assert (machine.get(20) == GARBAGE).all()
    assert not machine.machine.lds.any()
    assert not machine.machine.scratch.any()


def test_faults_of_one_instruction_in_two_memories(bench: Any) -> None:
    machine = bench()
    bad = np.where(machine.lane % 2, machine.base + 100000, (1 << 48) + 5000)
    machine.set64(10, bad)
    machine.run("flat_load_dword v20, v[10:11]")
    assert sorted(fault.count for fault in machine.faults) == [96, 96]


@pytest.mark.parametrize("records", [0x7FFFFFFE, 1024])
def test_a_negative_offset_hides_behind_a_resource_without_bounds(bench: Any, records: int) -> None:
    machine = prepare(bench())
    machine.set_resource(4, records)
    masked = machine.lane % 2 == 1
    machine.set(10, np.where(masked, OUT_OF_RANGE, (machine.lane * 4 - 8) & 0xFFFFFFFF))
    machine.run("buffer_store_dword v20, v10, s[4:7], 0 offen")
    faults = [(fault.check, fault.lane, fault.count) for fault in machine.faults]
    # Lane 0 alone reaches before; where the resource says its bounds, the check is meant.
    assert faults == ([("memcheck", 0, 1)] if records > 1024 else [])
