from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError

ROUTES = (
    *("buffer", "buffer record", "buffer scratch", "global", "global base"),
    *("flat", "flat lds", "flat scratch", "scratch"),
)
BYTES = bytes.fromhex("8192a374c5d6e7f8091a2b3c4d5e6f70")
OLD = 0x11223344
LOADS = {
    "ubyte": [0x00000081],
    "sbyte": [0xFFFFFF81],
    "ushort": [0x00009281],
    "sshort": [0xFFFF9281],
    "dword": [0x74A39281],
    "dwordx2": [0x74A39281, 0xF8E7D6C5],
    "dwordx3": [0x74A39281, 0xF8E7D6C5, 0x3C2B1A09],
    "dwordx4": [0x74A39281, 0xF8E7D6C5, 0x3C2B1A09, 0x706F5E4D],
}
#: With the other half kept (ECC off), and cleared (ECC on).
HALF_LOADS = {
    "ubyte_d16": (0x11220081, 0x00000081),
    "ubyte_d16_hi": (0x00813344, 0x00810000),
    "sbyte_d16": (0x1122FF81, 0x0000FF81),
    "sbyte_d16_hi": (0xFF813344, 0xFF810000),
    "short_d16": (0x11229281, 0x00009281),
    "short_d16_hi": (0x92813344, 0x92810000),
}


def spell(first: int, count: int) -> str:
    return f"v{first}" if count == 1 else f"v[{first}:{first + count - 1}]"


@pytest.mark.parametrize("shift", [0, 1, 2, 4, 12])
@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("form", LOADS)
def test_load(bench: Any, route: Any, form: str, name: str, shift: int) -> None:
    machine = bench()
    way = route(machine, name, shift)
    way.fill(BYTES)
    for number in range(20, 26):
        machine.set(number, OLD)
    active = machine.set_exec(*machine.mixed)
    expected = LOADS[form]
    machine.run(way.load(form, spell(20, len(expected))))
    for at, value in enumerate(expected):
        assert (machine.get(20 + at)[..., 0] == np.where(active, value, OLD)).all()
    assert (machine.get(20 + len(expected)) == OLD).all(), "a register too many was written"
    assert not machine.faults


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("form", HALF_LOADS)
def test_load_of_a_half_register(bench: Any, route: Any, form: str, name: str) -> None:
    for target, expected in zip(("gfx942:sramecc-", "gfx942"), HALF_LOADS[form], strict=True):
        machine = bench(target)
        way = route(machine, name)
        way.fill(BYTES)
        machine.set(20, OLD)
        active = machine.set_exec(*machine.mixed)
        machine.run(way.load(form, "v20"))
        assert (machine.get(20)[..., 0] == np.where(active, expected, OLD)).all()
        access = machine.listener.before[0]
        assert access.keeps == (target == "gfx942:sramecc-")
        assert access.shift == (16 if form.endswith("hi") else 0)


def test_load_overwrites_its_own_address(bench: Any, route: Any) -> None:
    machine = bench()
    way = route(machine, "global")
    way.fill(BYTES)
    machine.run(way.load("dwordx4", "v[10:13]"))
    assert (machine.get(10, 4) == LOADS["dwordx4"]).all()


def test_load_into_accumulators(bench: Any, route: Any) -> None:
    machine = bench()
    way = route(machine, "buffer")
    way.fill(BYTES)
    machine.run(way.load("dwordx2", "a[6:7]"))
    assert (machine.get(256 + 6, 2) == LOADS["dwordx2"]).all()


def test_load_without_lanes_touches_nothing(bench: Any, route: Any) -> None:
    machine = bench()
    machine.set(20, OLD)
    for name in ROUTES:
        way = route(machine, name)
        machine.set(10, 0x7FFF7FFF)
        machine.set(11, 0x7FFF7FFF)
        machine.set_exec(0)
        machine.run(way.load("dword", "v20"))
        machine.set_exec((1 << 64) - 1)
    assert (machine.get(20) == OLD).all()
    assert not machine.faults
    assert not any(access.active.any() for access in machine.listener.before)


@pytest.mark.parametrize("name", ROUTES)
def test_load_of_some_waves(bench: Any, route: Any, name: str) -> None:
    machine = bench()
    way = route(machine, name)
    way.storage[way.places] = machine.lane
    machine.set(20, OLD)
    machine.machine.select(np.array([2]))
    machine.run(way.load("ubyte", "v20"))
    machine.machine.select(None)
    expected = np.where(machine.lane >= 128, machine.lane, OLD)
    assert (machine.get(20)[..., 0] == expected).all()


def test_flat_load_from_three_memories_at_once(bench: Any, route: Any) -> None:
    machine = bench()
    total = np.zeros((3, 64), np.int64)
    expected = np.zeros((3, 64), np.uint32)
    for number, name in enumerate(("flat", "flat lds", "flat scratch")):
        way = route(machine, name)
        way.storage[way.places] = 50 + number
        mine = machine.lane % 3 == number
        words = machine.get(10, 2).astype(np.int64)
        total[mine] = (words[..., 0] | words[..., 1] << 32)[mine]
        expected[mine] = 50 + number
    machine.set64(10, total)
    machine.set(20, OLD)
    active = machine.set_exec(*machine.mixed)
    machine.run("flat_load_ubyte v20, v[10:11] offset:4")
    assert (machine.get(20)[..., 0] == np.where(active, expected, OLD)).all()
    told = {access.space: access.active for access in machine.listener.before}
    assert set(told) == {"global", "lds", "scratch"}
    assert (sum(lanes.astype(int) for lanes in told.values()) == active).all()


def test_observers_are_told_of_a_load(bench: Any, route: Any) -> None:
    machine = bench()
    way = route(machine, "global base")
    active = machine.set_exec(*machine.mixed)
    machine.run(way.load("dwordx3", "v[20:22]"))
    (access,) = machine.listener.before
    assert machine.listener.after == [access]
    assert (access.space, access.kind, access.size, access.data) == ("global", "load", 12, 20)
    assert (access.active == active).all()
    assert (access.addresses[active] == (machine.base + way.places)[active]).all()


def test_scratch_address_forms(bench: Any) -> None:
    machine = bench()
    machine.machine.scratch[:] = np.arange(96)
    machine.set_scalar(8, 8)
    machine.set(10, 5)
    forms = {
        "off, off offset:3": 3,
        "off, s8": 8,
        "v10, off offset:2": 7,
        "v10, s8 offset:-1": 12,
    }
    for operands, place in forms.items():
        machine.run(f"scratch_load_ubyte v20, {operands}")
        assert (machine.get(20) == place).all(), operands


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("buffer_load_format_x v1, v10, s[4:7], 0 offen", ""),
        ("buffer_load_dword v1, v10, s[4:7], 0 offen tfe", "tfe"),
        ("tbuffer_load_format_x v1, v10, s[4:7], 0 offen", "typed buffers"),
        ("buffer_load_dwordx4 v10, s[4:7], 0 offen lds", "need gfx950"),
        ("global_load_lds_dwordx4 v[10:11], off", "needs gfx950"),
        ("buffer_atomic_pk_add_bf16 v1, v10, s[4:7], 0 offen", "needs gfx950"),
        ("scratch_atomic_add v10, v1, off", ""),
        ("global_load_dwordx5 v1, v[10:11], off", ""),
        ("buffer_load_dword v1, v10, s[4:7], 0", "without idxen or offen"),
    ],
)
def test_what_is_not_simulated_says_so(bench: Any, text: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match="not simulated.*" + reason):
        bench().run(text)


def test_gfx90a_has_no_loads_to_lds_of_global_memory(bench: Any) -> None:
    with pytest.raises(UnsupportedError, match="needs gfx942"):
        bench("gfx90a").run("global_load_lds_dword v[10:11], off")


@pytest.mark.parametrize(
    "text",
    [
        *("buffer_wbl2 sc1", "buffer_inv sc1", "buffer_invl2", "buffer_wbinvl1"),
        *("buffer_wbinvl1_vol", "s_dcache_inv", "s_dcache_inv_vol", "s_dcache_wb"),
        "s_dcache_wb_vol",
    ],
)
def test_cache_control_does_nothing(bench: Any, text: str) -> None:
    machine = bench()
    before = machine.memory.buffer.copy()
    machine.run(text)
    assert (machine.memory.buffer == before).all()
    assert not machine.listener.before


def test_other_instructions_are_passed_on(bench: Any) -> None:
    machine = bench()
    for text in ("v_add_u32 v0, v1, v2", "ds_read_b32 v0, v1", "s_add_u32 s0, s1, s2"):
        assert machine.lower(text) is None
