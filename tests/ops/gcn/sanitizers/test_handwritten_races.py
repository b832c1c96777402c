"""Races and missing waits in small programs, with the words and the places of the findings."""

from __future__ import annotations

import numpy as np
import pytest
from handwritten import assemble, line, run

WORDS = 256


def zeros(size: int = WORDS) -> np.ndarray:
    return np.zeros(size, np.int32)


def find(faults, check, notes=False):
    return [fault for fault in faults if fault.check == check and fault.is_note == notes]


def expect(faults, check, where, message, place, count, is_note=False):
    """One finding alone, word for word."""
    (fault,) = faults
    assert (fault.check, fault.message, fault.place) == (check, message, place)
    assert (fault.count, fault.is_note) == (count, is_note)
    assert fault.where.startswith(where), fault.where


EXCHANGE = """
    ds_write_b32 v1, v0
    s_waitcnt lgkmcnt(0)
    s_barrier
    v_xor_b32_e32 v3, 0x100, v1
    ds_read_b32 v4, v3
    s_waitcnt lgkmcnt(0)
    global_store_dword v1, v4, s[4:5]
"""


READ = "reads LDS byte 256, stored by wave 1 at line 10: ds_write_b32 v1, v0"
STORED = "stores to LDS byte {}, read by wave {} at line 14: ds_read_b32 v4, v3"


@pytest.mark.parametrize(
    ("order", "where", "message", "wave", "count"),
    [
        ("together", 5, READ, 0, 128),
        ("first", 1, STORED.format(256, 0), 1, 64),
        ("last", 1, STORED.format(0, 1), 0, 64),
        ("random", 5, READ, 0, 128),
    ],
)
def test_a_barrier_that_is_missing(order, where, message, wave, count):
    a = zeros()
    assert run(EXCHANGE, a, waves=2, lds=512, order=order) == []
    assert a[:128].tolist() == [*range(64, 128), *range(64)]
    faults = run(EXCHANGE.replace("s_barrier", "s_nop 0"), zeros(), waves=2, lds=512, order=order)
    expect(
        find(faults, "racecheck")[:1],
        "racecheck",
        line(where),
        f"{message}; no barrier stands between",
        f"workgroup 0, wave {wave}, lane 0",
        count,
    )


def test_a_wait_before_a_barrier_that_is_missing():
    body = EXCHANGE.replace("s_waitcnt lgkmcnt(0)", "s_nop 0", 1)
    expect(
        run(body, zeros(), waves=2, lds=512),
        "waitcheck",
        line(5),
        "reads LDS byte 256, stored by wave 1 at line 10: ds_write_b32 v1, v0; that had not "
        "returned at the barrier, so a wait is due before it",
        "workgroup 0, wave 0, lane 0",
        128,
    )


def test_a_load_that_has_not_returned():
    body = """
    global_load_dword v3, v1, s[4:5]
    global_load_dword v4, v1, s[4:5] offset:4
    s_waitcnt vmcnt({})
    v_add_u32_e32 v3, 1, v3
    s_waitcnt vmcnt(0)
    global_store_dword v1, v3, s[6:7]
    """
    assert run(body.format(1), zeros(), zeros()) == []
    expect(
        run(body.format(2), zeros(), zeros()),
        "waitcheck",
        line(4),
        "v3 is read before it is filled by line 10: global_load_dword v3, v1, s[4:5]; s_waitcnt "
        "vmcnt(1) is due before",
        "workgroup 0, wave 0",
        1,
    )


def test_scalar_loads_return_in_any_order():
    body = """
    s_load_dword s8, s[4:5], 0x0
    s_load_dword s9, s[4:5], 0x4
    s_waitcnt lgkmcnt({})
    v_mov_b32_e32 v3, s8
    s_waitcnt lgkmcnt(0)
    global_store_dword v1, v3, s[6:7]
    """
    assert run(body.format(0), zeros(), zeros()) == []
    expect(
        run(body.format(1), zeros(), zeros()),
        "waitcheck",
        line(4),
        "s8 is read before it is filled by line 10: s_load_dword s8, s[4:5], 0x0; s_waitcnt "
        "lgkmcnt(0) is due before",
        "workgroup 0, wave 0",
        1,
    )


def test_a_register_that_is_overwritten_before_it_is_filled():
    body = """
    global_load_dword v3, v1, s[4:5]
    {}
    s_waitcnt vmcnt(0)
    global_store_dword v1, v3, s[6:7]
    """
    assert run(body.format("global_load_dword v3, v1, s[6:7]"), zeros(), zeros()) == []
    expect(
        run(body.format("v_mov_b32_e32 v3, 0"), zeros(), zeros()),
        "waitcheck",
        line(2),
        "v3 is overwritten before it is filled by line 10: global_load_dword v3, v1, s[4:5]; "
        "s_waitcnt vmcnt(0) is due before",
        "workgroup 0, wave 0",
        1,
    )
    (fault,) = run(body.format("ds_read_b32 v3, v1"), zeros(), zeros(), lds=256)[:1]
    assert "v3 is overwritten" in fault.message, "LDS may answer before memory does"


def test_lds_that_is_filled_from_memory():
    body = """
    s_mov_b32 m0, 0
    s_nop 4
    global_load_lds_dword v1, s[4:5]
    s_waitcnt vmcnt({})
    ds_read_b32 v4, v1
    s_waitcnt vmcnt(0) lgkmcnt(0)
    global_store_dword v1, v4, s[6:7]
    """
    a, b = np.arange(WORDS, dtype=np.int32), zeros()
    assert run(body.format(0), a, b, lds=256) == []
    assert b[:64].tolist() == list(range(64))
    expect(
        run(body.format(1), a, b, lds=256),
        "waitcheck",
        line(5),
        "reads LDS byte 0 before it is filled by line 12: global_load_lds_dword v1, s[4:5]; "
        "s_waitcnt vmcnt(0) is due before",
        "workgroup 0, wave 0, lane 0",
        64,
    )


STORE_ONE = "\n v_mov_b32_e32 v4, {}\n v_mov_b32_e32 v3, 0\n {}\n"


def test_two_workgroups_that_store_to_one_place():
    store = "global_store_dword v3, v4, s[4:5] offset:8"
    faults = run(STORE_ONE.format("s2", store), zeros(), grid=2)
    expect(
        find(faults, "racecheck"),
        "racecheck",
        line(3),
        "stores to a[2], stored by wave 0 of workgroup 1 at line 12: global_store_dword v3, v4, "
        "s[4:5] offset:8; workgroups run in any order",
        "workgroup 0, wave 0, lane 0",
        64,
    )
    faults = run(STORE_ONE.format("7", store), zeros(), grid=2)
    (fault,) = faults
    assert fault.is_note
    assert fault.message.endswith("offset:8; the same value")
    assert run(STORE_ONE.format("s2", "global_atomic_add v3, v4, s[4:5]"), zeros(), grid=2) == []


def test_a_workgroup_that_reads_what_another_stores():
    """All waves read a row; those of one workgroup store to it behind a barrier."""
    body = """
    global_load_dword v3, v1, s[4:5]
    s_waitcnt vmcnt(0)
    s_barrier
    s_cmp_lg_u32 s2, {}
    s_cbranch_scc1 .Lend
    global_store_dword v1, v0, s[4:5]
.Lend:
    """
    for writer in (0, 1):
        (fault,) = run(body.format(writer), zeros(), grid=2, waves=2)
        assert fault.check == "racecheck"
        assert fault.message.startswith("stores to a[0], read by wave ")
        assert f"of workgroup {1 - writer} at line 10" in fault.message
    assert run(body.format(0), zeros(), grid=1, waves=2) == [], "a barrier orders one workgroup"


def test_waves_of_a_workgroup_in_memory():
    body = """
    global_store_dword v1, v0, s[4:5]
    s_waitcnt vmcnt({})
    {}
    v_xor_b32_e32 v3, 0x100, v1
    global_load_dword v4, v3, s[4:5]
    s_waitcnt vmcnt(0)
    global_store_dword v1, v4, s[6:7]
    """
    assert run(body.format(0, "s_barrier"), zeros(), zeros(), waves=2) == []
    assert run(body.format(1, "s_barrier"), zeros(), zeros(), waves=2) == [], "one L1 cache"
    assert run(body.format(0, "s_barrier"), zeros(), zeros(), waves=2, tg_split=1) == []
    split = run(body.format(1, "s_barrier"), zeros(), zeros(), waves=2, tg_split=1)
    expect(
        split,
        "racecheck",
        line(5),
        "reads a[64], stored by wave 1 at line 10: global_store_dword v1, v0, s[4:5]; no barrier "
        "behind its s_waitcnt vmcnt stands between",
        "workgroup 0, wave 0, lane 0",
        128,
    )
    (fault,) = run(body.format(0, "s_nop 0"), zeros(), zeros(), waves=2)
    assert fault.message.endswith("; no barrier stands between")


SWAP_LOOP = """
    v_mov_b32_e32 v3, 0
    {}
.Lagain:
    s_waitcnt vmcnt(0)
    v_mov_b32_e32 v5, v6
    v_add_u32_e32 v4, 1, v5
    global_atomic_cmpswap v6, v3, v[4:5], s[4:5] {}
    s_waitcnt vmcnt(0)
    v_cmp_ne_u32_e32 vcc, v6, v5
    s_and_saveexec_b64 s[8:9], vcc
    s_cbranch_execnz .Lagain
"""


@pytest.mark.parametrize(("arch", "bit"), [("gfx90a", "glc"), ("gfx942", "sc0")])
def test_a_load_that_guesses_for_a_compare_and_swap(arch, bit):
    a = zeros()
    guess = SWAP_LOOP.format("global_load_dword v6, v3, s[4:5]", bit)
    assert run(guess, a, grid=3, arch=arch) == []
    assert a[0] == 192
    other = "global_load_dword v6, v3, s[4:5]\n global_load_dword v7, v3, s[4:5]"
    assert run(SWAP_LOOP.format(other, bit), zeros(), grid=3, arch=arch) == [], "it guesses too"
    faults = run(SWAP_LOOP.format(other + " offset:4", bit), zeros(), grid=3, arch=arch)
    assert faults == [], "nobody stores there"
    stored = other + " offset:4\n global_store_dword v3, v0, s[4:5] offset:4"
    (fault, *_) = find(run(SWAP_LOOP.format(stored, bit), zeros(), grid=3, arch=arch), "racecheck")
    assert fault.message.startswith("stores to a[1], read by wave 0 of workgroup")


@pytest.mark.parametrize(("arch", "bits"), [("gfx90a", "glc"), ("gfx942", "sc1")])
def test_a_load_past_the_caches_is_as_good_as_an_atomic(arch, bits):
    body = """
    v_mov_b32_e32 v3, 0
    v_mov_b32_e32 v4, 1
    s_cmp_lg_u32 s2, 0
    s_cbranch_scc1 .Lread
    global_atomic_add v3, v4, s[4:5]
    s_endpgm
.Lread:
    global_load_dword v5, v3, s[4:5] {}
    s_waitcnt vmcnt(0)
    """
    assert run(body.format(bits), zeros(), grid=2, arch=arch) == []
    (fault,) = run(body.format(""), zeros(), grid=2, arch=arch)
    assert fault.check == "racecheck"


def test_the_same_value_in_lds_is_a_note():
    body = "\n v_mov_b32_e32 v3, 0\n v_mov_b32_e32 v4, {}\n ds_write_b32 v3, v4\n"
    expect(
        run(body.format(5), waves=2, lds=256),
        "racecheck",
        line(3),
        "stores to LDS byte 0, stored by wave 1 at line 12: ds_write_b32 v3, v4, the same value",
        "workgroup 0, wave 0, lane 0",
        64,
        is_note=True,
    )
    (fault,) = run(body.format("s3"), waves=2, lds=256)
    assert not fault.is_note
    assert fault.message.endswith("; no barrier stands between")
    atomic = body.format("s3").replace("ds_write_b32", "ds_add_u32")
    assert find(run(atomic, waves=2, lds=256), "racecheck") == []


def test_barrier_intervals_are_told_apart_for_ever():
    """More intervals than a stamp can count, and a race with the wave that wrote in the last."""
    loop = """
    s_movk_i32 s8, {}
.Lagain:
    ds_write_b32 v1, v0
    s_waitcnt lgkmcnt(0)
    s_barrier
    v_xor_b32_e32 v3, 0x100, v1
    ds_read_b32 v4, v3
    s_waitcnt lgkmcnt(0)
    s_barrier
    s_sub_u32 s8, s8, 1
    s_cmp_lg_u32 s8, 0
    s_cbranch_scc1 .Lagain
    """
    assert run(loop.format(600), waves=2, lds=512) == []
    assert find(run(loop.format(600) + "ds_write_b32 v3, v0", waves=2, lds=512), "racecheck") == []
    racy = loop.format(600) + "ds_write_b32 v3, v0\n ds_read_b32 v4, v1"
    assert len(find(run(racy, waves=2, lds=512), "racecheck")) == 1


def test_programs_here_are_read():
    assert [kernel.name for kernel in assemble("s_nop 0").kernels] == ["k"]
