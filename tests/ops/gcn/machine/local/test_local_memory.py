from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.gcn.machine.fault import UnsupportedError
from rocmoe.ops.gcn.machine.machine import M0
from rocmoe.ops.gcn.target import Target

BYTES = bytes.fromhex("f1820394a5b6c7d8e9fa0b1c2d3e4f50")
DWORDS = (0x940382F1, 0xD8C7B6A5, 0x1C0BFAE9, 0x504F3E2D)
OLD = 0xDEADBEEF
LANES = np.arange(64, dtype=np.uint32)
WAVE = np.arange(4, dtype=np.uint32)[:, None]
READS = {
    "ds_read_u8 v4, v1": (0x000000F1,),
    "ds_read_i8 v4, v1": (0xFFFFFFF1,),
    "ds_read_u16 v4, v1": (0x000082F1,),
    "ds_read_i16 v4, v1": (0xFFFF82F1,),
    "ds_read_u8_d16 v4, v1": (0xDEAD00F1,),
    "ds_read_u8_d16_hi v4, v1": (0x00F1BEEF,),
    "ds_read_i8_d16 v4, v1": (0xDEADFFF1,),
    "ds_read_i8_d16_hi v4, v1": (0xFFF1BEEF,),
    "ds_read_u16_d16 v4, v1": (0xDEAD82F1,),
    "ds_read_u16_d16_hi v4, v1": (0x82F1BEEF,),
    "ds_read_b32 v4, v1": DWORDS[:1],
    "ds_read_b64 v[4:5], v1": DWORDS[:2],
    "ds_read_b96 v[4:6], v1": DWORDS[:3],
    "ds_read_b128 v[4:7], v1": DWORDS,
}
WRITES = {
    "ds_write_b8 v1, v4": "f1",
    "ds_write_b16 v1, v4": "f182",
    "ds_write_b8_d16_hi v1, v4": "03",
    "ds_write_b16_d16_hi v1, v4": "0394",
    "ds_write_b32 v1, v4": "f1820394",
    "ds_write_b64 v1, v[4:5]": "f1820394a5b6c7d8",
    "ds_write_b96 v1, v[4:6]": "f1820394a5b6c7d8e9fa0b1c",
    "ds_write_b128 v1, v[4:7]": BYTES.hex(),
}
#: Addresses that are aligned, and those that are not.
SHIFTS = (0, 1, 2, 4, 8)


def _fill(bench: Any, first: int = 4, count: int = 4, value: int = OLD) -> None:
    for register in range(first, first + count):
        bench.set(register, value)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("exec_bits", [(1 << 64) - 1, 0x8000_0000_0000_5A01, 0])
@pytest.mark.parametrize("text", READS)
def test_reads(bench: Any, text: str, exec_bits: int, shift: int) -> None:
    bench.lds[0, 32 + shift : 48 + shift] = list(BYTES)
    bench.lds[1, 32 + shift : 48 + shift] = [byte ^ 0xFF for byte in BYTES]
    bench.set_exec(np.uint64(exec_bits))
    bench.set(1, np.where((exec_bits >> LANES.astype(object)) & 1, 12 + shift, OLD))
    _fill(bench)
    bench.run(f"{text} offset:20")
    active = np.array([bool(exec_bits >> lane & 1) for lane in range(64)])
    for at in range(4):
        found = bench.get(4 + at)
        value = READS[text][at] if at < len(READS[text]) else OLD
        assert (found[:2] == np.where(active, value, OLD)).all()
        assert (found[2:, ~active] == OLD).all()
    if text == "ds_read_b32 v4, v1":
        assert (bench.get(4)[2:, active] == DWORDS[0] ^ 0xFFFFFFFF).all()
    assert bench.faults == ()


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("text", WRITES)
def test_writes(bench: Any, text: str, shift: int) -> None:
    """One lane of one wave of each workgroup writes; nothing but its bytes changes."""
    bench.set_exec(np.array([0, 1 << 9, 1 << 63, 0], np.uint64))
    for at, value in enumerate(DWORDS):
        bench.set(4 + at, np.where(WAVE < 2, value, value ^ 0xFFFFFFFF))
    bench.set(1, np.where((WAVE == 1) & (LANES == 9), 12 + shift, 28 + shift))
    bench.run(f"{text} offset:20")
    data = bytes.fromhex(WRITES[text])
    expected = np.zeros_like(bench.lds)
    expected[0, 32 + shift : 32 + shift + len(data)] = list(data)
    expected[1, 48 + shift : 48 + shift + len(data)] = [byte ^ 0xFF for byte in data]
    np.testing.assert_array_equal(bench.lds, expected)
    assert bench.faults == ()


@pytest.mark.parametrize("text", WRITES)
def test_writes_without_lanes(bench: Any, text: str) -> None:
    bench.set_exec(np.uint64(0))
    bench.run(text)
    assert not bench.lds.any()
    assert bench.faults == ()


@pytest.mark.parametrize(
    ("mnemonic", "dwords", "first", "second"),
    [
        ("read2_b32", 1, 4 * 3, 4 * 255),
        ("read2_b64", 2, 8 * 3, 8 * 255),
        ("read2st64_b32", 1, 256 * 3, 256 * 31),
        ("read2st64_b64", 2, 512 * 3, 512 * 15),
    ],
)
def test_two_places(bench: Any, mnemonic: str, dwords: int, first: int, second: int) -> None:
    """The offsets count elements, or 64 of them; the address need not be a multiple of one."""
    bench.set(1, 4)
    size = 4 * dwords
    for at in range(2 * dwords):
        bench.set(8 + at, DWORDS[at])
    scale = size * (64 if "st64" in mnemonic else 1)
    offsets = f"offset0:{first // scale} offset1:{second // scale}"
    pair = (lambda r: f"v[{r}:{r + 1}]") if dwords == 2 else (lambda r: f"v{r}")
    write = mnemonic.replace("read", "write")
    bench.run(f"ds_{write} v1, {pair(8)}, {pair(8 + dwords)} {offsets}")
    expected = np.zeros_like(bench.lds)
    expected[:, 4 + first : 4 + first + size] = list(BYTES[:size])
    expected[:, 4 + second : 4 + second + size] = list(BYTES[size : 2 * size])
    np.testing.assert_array_equal(bench.lds, expected)
    bench.run(f"ds_{mnemonic} v[{4}:{3 + 2 * dwords}], v1 {offsets}")
    for at in range(2 * dwords):
        assert (bench.get(4 + at) == DWORDS[at]).all()
    assert bench.faults == ()


def test_the_second_of_two_writes_wins(bench: Any) -> None:
    bench.set(1, 4 * LANES)
    bench.set(2, 11)
    bench.set(3, 22)
    bench.run("ds_write2_b32 v1, v2, v3 offset1:1")
    words = bench.lds.view(np.uint32)[:, :66]
    assert (words == [11, *[22] * 64, 0]).all()


def test_reads_of_two_places_may_overwrite_their_address(bench: Any) -> None:
    bench.lds.view(np.uint32)[:] = np.arange(2048)
    bench.set(4, 40)
    bench.run("ds_read2_b32 v[4:5], v4 offset0:1 offset1:7")
    assert (bench.get(4) == 11).all()
    assert (bench.get(5) == 17).all()


def test_accumulation_registers(bench: Any) -> None:
    bench.set(1, 8 * LANES)
    bench.set(256, LANES)
    bench.set(257, 7)
    bench.run("ds_write_b64 v1, a[0:1]")
    bench.run("ds_read_b64 a[4:5], v1")
    assert (bench.get(260) == LANES).all()
    assert (bench.get(261) == 7).all()
    assert (bench.get(4) == bench.get(9)).all(), "v4 was not written"


@pytest.mark.parametrize("m0", [0, 0x30, 0xABCD0030])
def test_addresses_by_lane(bench: Any, m0: int) -> None:
    """M0 counts with its low 16 bits, the lane with four bytes."""
    bench.machine.set_scalar(M0, np.array(m0, np.uint32))
    bench.set(4, 1000 + LANES)
    bench.set_exec(np.uint64(0xF0))
    bench.run("ds_write_addtid_b32 v4 offset:8")
    expected = np.zeros(2048, np.uint32)
    start = ((m0 & 0xFFFF) + 8) // 4
    expected[start + 4 : start + 8] = [1004, 1005, 1006, 1007]
    assert (bench.lds.view(np.uint32) == expected).all()
    bench.run("ds_read_addtid_b32 v5 offset:12")
    assert (bench.get(5)[:, 4:8] == [1005, 1006, 1007, 0]).all()


@pytest.mark.parametrize("text", [*READS, *WRITES])
def test_bounds(bench: Any, text: str) -> None:
    """A lane that ends past the last byte reads zeros, writes nothing, and is reported."""
    mnemonic = text.split()[0]
    size = len(bytes.fromhex(WRITES[text])) if text in WRITES else _size(mnemonic)
    edge = 8192 - size
    bench.lds[...] = 0x11
    _fill(bench)
    bench.set(1, np.where(WAVE == 3, np.where(LANES == 7, edge - 3, edge - 4), edge - 4))
    bench.run(f"{text} offset:4")
    assert bench.faults == _faults(bench, mnemonic, size, edge + 1, 3, 7, 1)
    if text in READS:
        keep = {"d16": 0xDEAD0000, "hi": 0x0000BEEF}.get(mnemonic.rsplit("_", 1)[1], 0)
        assert bench.get(4)[3, 7] == keep
        assert (bench.get(4).reshape(-1)[:-57] != keep).all()
    else:
        assert (bench.lds[:, :edge] == 0x11).all()
        assert (bench.lds[:, edge:] != 0x11).all()


def _size(mnemonic: str) -> int:
    return int("".join(c for c in mnemonic.split("_")[2] if c.isdigit())) // 8


def _faults(
    bench: Any, mnemonic: str, size: int, place: int, row: int, lane: int, count: int
) -> tuple[Any, ...]:
    verb = "read" if "read" in mnemonic else "write"
    (fault,) = bench.faults
    words = f"LDS {verb} of {size} bytes at {place}, of which the workgroup has 8192"
    assert fault.message == words
    assert (fault.check, fault.workgroup, fault.wave) == ("memcheck", 5 + row // 2, row % 2)
    assert (fault.lane, fault.count, fault.is_note) == (lane, count, False)
    return bench.faults


@pytest.mark.parametrize("address", [0xFFFFFFF4, 0x80000000, 0x7FFF7FFF, 8192])
def test_addresses_out_of_range(bench: Any, address: int) -> None:
    _fill(bench)
    bench.set(1, address)
    bench.set_exec(np.uint64(3))
    bench.run("ds_read_b32 v4, v1 offset:8")
    assert (bench.get(4)[:, :2] == 0).all()
    assert (bench.get(4)[:, 2:] == OLD).all()
    assert _faults(bench, "ds_read_b32", 4, address + 8, 0, 0, 8)


@pytest.mark.parametrize("others", [0, 0xFFFFFFF0])
def test_an_offset_leads_back_from_below_zero(bench: Any, others: int) -> None:
    """As `v_sub_u32 v1, 0, v2` and `ds_write_b32 v1, v3 offset:20` count places down."""
    _fill(bench)
    bench.set(1, np.where(LANES == 5, 0xFFFFFFF4, others))
    bench.set(4, LANES)
    bench.run("ds_write_b32 v1, v4 offset:20")
    bench.run("ds_read_b32 v6, v1 offset:20")
    assert bench.faults == ()
    assert (bench.lds[:, 8:12].view(np.uint32) == 5).all()
    assert (bench.get(6)[:, 5] == 5).all()
    for access in bench.listener.before:
        assert (access.addresses[:, 5] == 8).all()
        assert (access.addresses[:, 4] == (others + 20) % 2**32).all()


def test_inactive_lanes_are_not_out_of_bounds(bench: Any) -> None:
    bench.set_exec(np.uint64(1))
    bench.set(1, np.where(LANES == 0, 0, 0x7FFF7FFF))
    bench.run("ds_read_b32 v4, v1")
    bench.run("ds_write_b32 v1, v4")
    assert bench.faults == ()


def test_a_workgroup_without_lds_has_no_byte(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(lds_bytes=0)
    bench.set(1, 0)
    bench.run("ds_read_u8 v4, v1")
    assert (bench.get(4) == 0).all()
    assert bench.faults[0].message == "LDS read of 1 bytes at 0, of which the workgroup has 0"


SIZES = {1: "b8", 2: "b16", 4: "b32", 8: "b64", 12: "b96", 16: "b128"}


@pytest.mark.parametrize("size", SIZES)
def test_writes_then_reads_are_those_of_one_lane_after_the_other(
    make_bench: Callable[..., Any], size: int
) -> None:
    """120 bytes of LDS, any addresses: unaligned, overlapping, out of bounds; the last one wins."""
    dwords = -(-size // 4)
    data = f"v[4:{3 + dwords}]" if dwords > 1 else "v4"
    loaded = f"v[12:{11 + dwords}]" if dwords > 1 else "v12"
    step = st.sampled_from([1, 2, 4, 8, 16])

    @settings(max_examples=25, deadline=None, database=None)
    @given(st.integers(0, 1 << 30), step, st.integers(0, (1 << 64) - 1), st.booleans())
    def compare(seed: int, unit: int, exec_bits: int, full: bool) -> None:
        bench = make_bench(lds_bytes=120)
        generator = np.random.default_rng(seed)
        exec_bits = (1 << 64) - 1 if full else exec_bits
        bench.set_exec(np.uint64(exec_bits))
        address = generator.integers(0, 144 // unit, (4, 64)) * unit
        bench.set(1, address)
        words = generator.integers(0, 1 << 32, (dwords, 4, 64), dtype=np.uint32)
        for at in range(dwords):
            bench.set(4 + at, words[at])
            bench.set(12 + at, OLD)
        bench.run(f"ds_write_{SIZES[size]} v1, {data}")
        read = SIZES[size].replace("b8", "u8").replace("b16", "u16")
        expected = np.zeros((2, 128), np.uint8)
        lanes = [(w, n) for w in range(4) for n in range(64) if exec_bits >> n & 1]
        inside = [(w, n) for w, n in lanes if address[w, n] + size <= 120]
        for wave, lane in inside:
            octets = words[:, wave, lane].tobytes()[:size]
            first = address[wave, lane]
            expected[wave // 2, first : first + size] = list(octets)
        np.testing.assert_array_equal(bench.lds, expected)
        bench.run(f"ds_read_{read} {loaded}, v1")
        for wave, lane in lanes:
            first = address[wave, lane]
            octets = expected[wave // 2, first : first + size].tobytes()
            octets = (octets if (wave, lane) in inside else b"").ljust(16, b"\0")
            found = b"".join(bench.get(12 + at)[wave, lane].tobytes() for at in range(dwords))
            assert found == octets[: 4 * dwords], (wave, lane)
        off = [n for n in range(64) if not exec_bits >> n & 1]
        assert (bench.get(12)[:, off] == OLD).all()

    compare()


def test_observers_are_told_before_and_after(bench: Any) -> None:
    bench.set(1, 8 * LANES)
    bench.set_exec(np.uint64(6))
    bench.run("ds_read2_b64 v[4:7], v1 offset0:1 offset1:255")
    first, second = bench.listener.before
    assert bench.listener.after == [first, second]
    assert (first.space, first.kind, first.size, first.data) == ("lds", "load", 8, 4)
    assert (second.data, second.keeps, second.shift, second.returns) == (6, False, 0, None)
    assert (first.addresses == 8 * LANES.astype(np.int64) + 8).all()
    assert (second.addresses == 8 * LANES.astype(np.int64) + 2040).all()
    assert (first.active == ((LANES == 1) | (LANES == 2))).all()


def test_observers_are_told_of_halves_and_not_of_lanes_left_out(bench: Any) -> None:
    bench.set(1, np.where(LANES == 5, 9000, 2))
    bench.run("ds_read_u8_d16_hi v4, v1 offset:3")
    bench.run("ds_write_b16_d16_hi v1, v4")
    load, store = bench.listener.before
    assert (load.size, load.data, load.shift, load.keeps) == (1, 4, 16, True)
    assert (store.kind, store.size, store.data, store.shift) == ("store", 2, 4, 16)
    for access in (load, store):
        assert (access.active == (LANES != 5)).all()
    assert load.addresses[0, 0] == 5


def test_only_the_selected_waves_run(bench: Any) -> None:
    bench.set(1, 4 * LANES)
    bench.set(4, 3)
    bench.machine.select(np.array([2]))
    bench.run("ds_write_b32 v1, v4 offset:16")
    bench.run("ds_read_b32 v5, v1 offset:20")
    bench.machine.select(None)
    assert not bench.lds[0].any()
    assert (bench.lds.view(np.uint32)[1, 4:68] == 3).all()
    assert (bench.get(5)[2] == [3] * 63 + [0]).all()
    assert (bench.get(5)[[0, 1, 3]] == bench.get(9)[0]).all()


def test_nop_and_what_is_no_lds_instruction(bench: Any) -> None:
    bench.run("ds_nop")
    with pytest.raises(AssertionError):
        bench.run("s_nop 0")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ds_read_b32 v4, v1 gds", "global data share"),
        ("ds_gws_barrier v0 gds", "global data share"),
        ("ds_gws_init v0", "not simulated: test.s:1"),
        ("ds_append v4", "disagree on M0's part"),
        ("ds_consume v4", "disagree on M0's part"),
        ("ds_condxchg32_rtn_b64 v[0:1], v2, v[4:5]", "not simulated: test.s:1"),
        ("ds_read_b64 v4, v1", "v4, of which 2 dwords are used"),
        ("ds_read_b32 s4, v1", "s4 is no vector register"),
        ("ds_read_b32 v4", "1 operands, wanted 2"),
        ("ds_read_b32 v4, v1 offset:65536", "an offset is 0 to 65535, found 65536"),
        ("ds_read_b32 v4, v1 offset0:1", "modifier offset0"),
        ("ds_read2_b32 v[4:5], v1 offset:4", "modifier offset"),
    ],
)
def test_what_is_not_simulated(bench: Any, text: str, why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        bench.run(text)


def test_with_ecc_a_load_of_a_half_clears_the_other(bench):
    bench.program = replace(bench.program, target=Target("gfx942"))
    bench.set(4, OLD)
    bench.set(1, 0)
    bench.lds[:, :2] = (0xF1, 0x82)
    bench.run("ds_read_u16_d16_hi v4, v1")
    assert (bench.get(4) == 0x82F10000).all()
