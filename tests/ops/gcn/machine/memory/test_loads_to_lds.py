from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.machine import M0

BYTES = bytes.fromhex("8192a374c5d6e7f8091a2b3c4d5e6f70")
FORMS = {
    "ubyte": "81000000",
    "sbyte": "81ffffff",
    "ushort": "81920000",
    "sshort": "8192ffff",
    "dword": "8192a374",
    "dwordx3": "8192a374c5d6e7f8091a2b3c",
    "dwordx4": "8192a374c5d6e7f8091a2b3c4d5e6f70",
}


def target(machine: Any, start: int, step: int) -> np.ndarray:
    """The place of each lane in all of LDS, for one and the same M0 of every wave."""
    row = np.array([0, 0, 1])[:, None] * machine.machine.lds.shape[1]
    return np.asarray(start + step * np.arange(64) + row)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (name, form)
        for name in ("buffer", "global", "global base", "scratch")
        for form in FORMS
        if name != "scratch" or form not in ("dwordx3", "dwordx4")
    ],
)
def test_load_to_lds(bench: Any, route: Any, name: str, form: str) -> None:
    machine = bench("gfx950")
    way = route(machine, name)
    way.fill(BYTES)
    offset = {"buffer": 4, "scratch": -4}.get(name, -8)
    # Wave 0 and wave 1 share LDS: they write to halves of it.
    machine.set_scalar(M0, [16, 16 + 1536, 16])
    active = machine.set_exec(*machine.mixed)
    flat = machine.machine.lds.reshape(-1)
    expected = flat.copy()
    step = 16 if form in ("dwordx3", "dwordx4") else 4
    places = target(machine, 16 + offset, step) + np.array([0, 1536, 0])[:, None]
    for at, octet in enumerate(bytes.fromhex(FORMS[form])):
        expected[places[active] + at] = octet
    verb = f"load_{form}" if name == "buffer" else f"load_lds_{form}"
    flag = " lds" if name == "buffer" else ""
    machine.run(f"{way.family}_{verb} {way.address}, {way.base}{way.tail}{flag}")
    assert (flat == expected).all()
    assert not machine.faults
    (access,) = machine.listener.before
    assert (access.kind, access.data) == ("load", None)
    assert (access.to_lds + np.array([0, 0, 1])[:, None] * 4096 == places).all()
    assert (access.active == active).all()


def test_lanes_out_of_range_put_zeros_into_lds(bench: Any) -> None:
    machine = bench()
    machine.set_resource(4, 1024)
    machine.octets[:1024] = 9
    machine.machine.lds[:] = 5
    far = machine.lane % 4 == 3
    machine.set(10, np.where(far, 1 << 31, machine.lane))
    machine.set_scalar(M0, 0)
    machine.set_exec((1 << 32) - 1)
    machine.run("buffer_load_dword v10, s[4:7], 0 offen lds")
    words = machine.machine.lds.view(np.uint32)[:, :64]
    assert (words[:, :32] == np.where(far[:2, :32], 0, 0x09090909)).all()
    assert (words[:, 32:] == 0x05050505).all()
    assert not machine.faults
    loads = [access for access in machine.listener.before if access.space == "global"]
    zeros = [access for access in machine.listener.before if access.space == "lds"]
    assert [access.kind for access in (*loads, *zeros)] == ["load", "store"]
    assert (loads[0].active ^ zeros[0].active == (np.arange(64) < 32)).all()
    assert len(machine.listener.after) == 2


def test_four_dwords_are_checked_one_by_one(bench: Any) -> None:
    machine = bench("gfx950")
    machine.set_resource(4, 1024)
    machine.octets[:2048] = 9
    machine.machine.lds[:] = 5
    machine.set(10, 1024 - 4 * (machine.lane % 5))
    machine.set_scalar(M0, 32)
    machine.run("buffer_load_dwordx4 v10, s[4:7], 0 offen lds")
    words = machine.machine.lds[0, 32 : 32 + 1024].view(np.uint32).reshape(64, 4)
    left = (machine.lane[1] % 5)[:, None]
    assert (words == np.where(np.arange(4) < left, 0x09090909, 0)).all()


def test_lds_has_an_end(bench: Any) -> None:
    machine = bench()
    machine.set64(10, machine.base)
    machine.set_scalar(M0, 4096 - 128)
    machine.run("global_load_lds_dword v[10:11], off")
    (fault,) = machine.faults
    assert (
        fault.message == "store of 4 bytes at byte 4096 of LDS: 4 bytes past its end (4096 bytes)"
    )
    assert fault.count == 96
    assert (machine.listener.before[0].active == (np.arange(64) < 32)).all()
    assert (machine.machine.lds[:, -128:].view(np.uint32) == 0x03020100).all()


@pytest.mark.parametrize(("arch", "start"), [("gfx942", 0x104), ("gfx950", None)])
def test_bits_of_m0_that_count(bench: Any, arch: str, start: int | None) -> None:
    machine = bench(arch)
    machine.machine.lds[:] = 5
    machine.set64(10, machine.base)
    machine.set_scalar(M0, 0x10107)
    machine.run("global_load_lds_dword v[10:11], off")
    if start is None:
        assert machine.faults[0].message.startswith(f"store of 4 bytes at byte {0x10104} of LDS")
    else:
        assert (machine.machine.lds[:, start : start + 256].view(np.uint32) == 0x03020100).all()
