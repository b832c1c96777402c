from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError

LANES = np.arange(64, dtype=np.uint32)
OLD = 0xDEADBEEF
ONE, TWO, THREE = 0x3F800000, 0x40000000, 0x40400000
ONE64, TWO64, THREE64 = 0x3FF0 << 48, 0x4000 << 48, 0x4008 << 48
MINUS64 = (1 << 64) - 1
#: Mnemonic: what stands in memory, one or two operands, what stands there then.
UPDATES = {
    "ds_add_u32": (0xFFFFFFFE, (5,), 3),
    "ds_sub_u32": (3, (5,), 0xFFFFFFFE),
    "ds_rsub_u32": (3, (5,), 2),
    "ds_inc_u32": (5, (5,), 0),
    "ds_dec_u32": (0, (5,), 5),
    "ds_min_i32": (3, (0xFFFFFFFF,), 0xFFFFFFFF),
    "ds_max_i32": (3, (0xFFFFFFFF,), 3),
    "ds_min_u32": (3, (0xFFFFFFFF,), 3),
    "ds_max_u32": (3, (0xFFFFFFFF,), 0xFFFFFFFF),
    "ds_and_b32": (0xF0F0, (0xFF00,), 0xF000),
    "ds_or_b32": (0xF0F0, (0xFF00,), 0xFFF0),
    "ds_xor_b32": (0xF0F0, (0xFF00,), 0x0FF0),
    "ds_mskor_b32": (0xF0F0, (0xFF00, 0x0A0A), 0x0AFA),
    "ds_cmpst_b32": (3, (3, 9), 9),  # the first operand is compared, the second one stored
    "ds_cmpst_f32": (0x80000000, (0, ONE), ONE),  # -0 equals +0
    "ds_min_f32": (ONE, (0x80000000,), 0x80000000),
    "ds_max_f32": (ONE, (0x7FC00000,), ONE),  # a NaN is not greater
    "ds_add_f32": (ONE, (TWO,), THREE),
    "ds_pk_add_f16": (0x3C003C00, (0x40003800,), 0x42003E00),
    "ds_pk_add_bf16": (0x3F803F80, (0x40003F00,), 0x40403FC0),
    "ds_add_u64": (MINUS64, (1 << 32,), (1 << 32) - 1),
    "ds_sub_u64": (1 << 32, (1,), (1 << 32) - 1),
    "ds_rsub_u64": (1, (1 << 32,), (1 << 32) - 1),
    "ds_inc_u64": ((1 << 32) - 1, (1 << 40,), 1 << 32),
    "ds_dec_u64": (1 << 32, (1 << 40,), (1 << 32) - 1),
    "ds_min_i64": (1 << 40, (MINUS64,), MINUS64),
    "ds_max_i64": (1 << 40, (MINUS64,), 1 << 40),
    "ds_min_u64": (1 << 40, (MINUS64,), 1 << 40),
    "ds_max_u64": (1 << 40, (MINUS64,), MINUS64),
    "ds_and_b64": (0xF0F0 << 24, (0xFF00 << 24,), 0xF000 << 24),
    "ds_or_b64": (0xF0F0 << 24, (0xFF00 << 24,), 0xFFF0 << 24),
    "ds_xor_b64": (0xF0F0 << 24, (0xFF00 << 24,), 0x0FF0 << 24),
    "ds_mskor_b64": (0xF0F0 << 24, (0xFF00 << 24, 0x0A0A << 24), 0x0AFA << 24),
    "ds_cmpst_b64": (3 << 40, (3 << 40, 9 << 40), 9 << 40),
    "ds_cmpst_f64": (1 << 63, (0, ONE64), ONE64),
    "ds_min_f64": (ONE64, (1 << 63,), 1 << 63),
    "ds_max_f64": (ONE64, (0x7FF8 << 48,), ONE64),
    "ds_add_f64": (ONE64, (TWO64,), THREE64),
}
RETURNING = {
    "ds_wrxchg_rtn_b32": (3, (9,), 9),
    "ds_wrxchg_rtn_b64": (3 << 40, (9 << 40,), 9 << 40),
    "ds_wrap_rtn_b32": (3, (5, 7), 10),  # 3 < 5, so 7 is added
}


def _spell(first: int, dwords: int) -> str:
    return f"v{first}" if dwords == 1 else f"v[{first}:{first + dwords - 1}]"


def _prepare(bench: Any, memory: int, operands: tuple[int, ...], dwords: int) -> str:
    """Operands from v8 on, memory and v4, v5 filled; the operands as text."""
    bench.lds.view(f"<u{4 * dwords}")[:] = memory
    bench.set(4, OLD)
    bench.set(5, OLD)
    for at, operand in enumerate(operands):
        bench.set(8 + 2 * at, operand & 0xFFFFFFFF)
        bench.set(9 + 2 * at, operand >> 32)
    return ", ".join(_spell(8 + 2 * at, dwords) for at in range(len(operands)))


def _words(bench: Any, register: int, dwords: int) -> np.ndarray:
    low, high = bench.get(register), bench.get(register + 1)
    return low if dwords == 1 else low | high.astype(np.uint64) << np.uint64(32)


@pytest.mark.parametrize("mnemonic", [*UPDATES, *RETURNING])
def test_updates(make_bench: Callable[..., Any], mnemonic: str) -> None:
    """In wave 2, lanes 0, 1 and 63 each update a place of their own; the others do nothing."""
    bench = make_bench()
    memory, operands, expected = (UPDATES | RETURNING)[mnemonic]
    dwords = 2 if mnemonic.endswith("64") else 1
    data = _prepare(bench, memory, operands, dwords)
    active = np.zeros((4, 64), np.bool_)
    active[2, [0, 1, 63]] = True
    bench.set_exec(np.array([0, 0, 1 << 63 | 3, 0], np.uint64))
    bench.set(1, 4 * dwords * LANES)
    after = np.full((2, 8192 // 4 // dwords), memory, f"<u{4 * dwords}")
    after[1, [4, 5, 67]] = expected
    if mnemonic in UPDATES:
        bench.run(f"{mnemonic} v1, {data} offset:{16 * dwords}")
        np.testing.assert_array_equal(bench.lds.view(after.dtype), after)
        assert (bench.get(4) == OLD).all()
        mnemonic = "_rtn_".join(mnemonic.rsplit("_", 1))
        bench.lds.view(after.dtype)[:] = memory
    bench.run(f"{mnemonic} {_spell(4, dwords)}, v1, {data} offset:{16 * dwords}")
    np.testing.assert_array_equal(bench.lds.view(after.dtype), after)
    before = OLD if dwords == 1 else OLD << 32 | OLD
    assert (_words(bench, 4, dwords) == np.where(active, memory, before).astype(after.dtype)).all()
    assert bench.faults == ()


@pytest.mark.parametrize("mnemonic", ["ds_wrxchg2_rtn", "ds_wrxchg2st64_rtn"])
@pytest.mark.parametrize("dwords", [1, 2])
def test_two_exchanges(bench: Any, mnemonic: str, dwords: int) -> None:
    data = _prepare(bench, 0, (11 << 32 | 22, 33 << 32 | 44), dwords)
    unit = 64 if "st64" in mnemonic else 1
    view = bench.lds.view(f"<u{4 * dwords}")
    view[:] = np.arange(view.shape[1])
    bench.set_exec(np.uint64(1))
    bench.set(1, 4 * dwords)
    result = _spell(4, 2 * dwords)
    bench.run(f"{mnemonic}_b{32 * dwords} {result}, v1, {data} offset0:3 offset1:5")
    stored = (22, 44) if dwords == 1 else (11 << 32 | 22, 33 << 32 | 44)
    # Two waves of each workgroup do the same: the second one finds what the first one stored.
    for at, (place, value) in enumerate(zip((3, 5), stored, strict=True)):
        found = _words(bench, 4 + at * dwords, dwords)[:, 0]
        assert found.tolist() == [1 + place * unit, value] * 2
        assert (view[:, 1 + place * unit] == value).all()
    assert (np.count_nonzero(view != np.arange(view.shape[1]), axis=1) == 2).all()


def test_lanes_of_all_waves_take_turns(bench: Any) -> None:
    """Old values number the lanes of each workgroup, wave after wave."""
    bench.set(1, 8)
    bench.set(8, 1)
    bench.set_exec(np.array([MINUS64, 0xF0, MINUS64, MINUS64], np.uint64))
    bench.run("ds_add_rtn_u32 v4, v1, v8")
    assert (bench.get(4)[0] == LANES).all()
    assert (bench.get(4)[1, 4:8] == [64, 65, 66, 67]).all()
    assert (bench.get(4)[2:].reshape(-1) == np.arange(128)).all()
    assert bench.lds.view(np.uint32)[:, 2].tolist() == [68, 128]


def test_the_result_may_be_an_operand(bench: Any) -> None:
    bench.lds.view(np.uint32)[:] = 5
    bench.set(1, 4 * LANES)
    bench.run("ds_add_rtn_u32 v1, v1, v1")
    assert (bench.get(1)[[0, 2]] == 5).all()
    assert (bench.get(1)[1] == 5 + 4 * LANES).all()
    assert (bench.lds.view(np.uint32)[:, :64] == 5 + 8 * LANES).all()


def test_out_of_bounds_and_misaligned_lanes_do_nothing(bench: Any) -> None:
    bench.lds.view(np.uint32)[:] = 5
    bench.set(1, np.where(LANES == 3, 8190, np.where(LANES == 4, 6, 4 * LANES + 8)))
    bench.set(8, 1)
    bench.set(4, OLD)
    bench.run("ds_add_rtn_u32 v4, v1, v8")
    assert (bench.get(4)[:, [3, 4]] == 0).all()
    words = bench.lds.view(np.uint32)
    expected = np.full(2048, 5)
    expected[2:66] = 7
    expected[[5, 6]] = 5
    assert (words == expected).all()
    beyond, misaligned = bench.faults
    assert beyond.message == "LDS atomic of 4 bytes at 8190, of which the workgroup has 8192"
    assert misaligned.message == "LDS atomic of 4 bytes at 6, which is no multiple of 4"
    assert [(fault.lane, fault.count) for fault in (beyond, misaligned)] == [(3, 4), (4, 4)]


@pytest.mark.parametrize("exec_bits", [0, 1 << 40])
def test_misaligned_alone(bench: Any, exec_bits: int) -> None:
    bench.set_exec(np.uint64(exec_bits))
    bench.set(1, 4)
    bench.set(8, 1)
    bench.run("ds_add_u64 v1, v[8:9]")
    assert not bench.lds.any()
    assert len(bench.faults) == bool(exec_bits)


def test_observers_are_told(bench: Any) -> None:
    bench.set(1, 8 * LANES)
    bench.run("ds_add_u32 v1, v8 offset:4")
    bench.run("ds_cmpst_rtn_b64 v[4:5], v1, v[8:9], v[10:11]")
    bench.run("ds_wrxchg2_rtn_b32 v[4:5], v1, v8, v9 offset1:1")
    told = [
        (access.kind, access.size, access.data, access.returns, int(access.addresses[0, 1]))
        for access in bench.listener.before
    ]
    assert told == [
        ("atomic", 4, 8, None, 12),
        ("atomic", 8, 10, 4, 8),
        ("atomic", 4, 8, 4, 8),
        ("atomic", 4, 9, 5, 12),
    ]
    assert bench.listener.after == bench.listener.before


@pytest.mark.parametrize(
    ("architecture", "text", "why"),
    [
        ("gfx90a", "ds_pk_add_f16 v1, v8", "only gfx942 and gfx950"),
        ("gfx90a", "ds_pk_add_rtn_bf16 v4, v1, v8", "only gfx942 and gfx950"),
        ("gfx942", "ds_wrxchg_b32 v1, v8", "not simulated: test.s:1"),
        ("gfx942", "ds_wrap_b32 v1, v8, v9", "not simulated: test.s:1"),
        ("gfx942", "ds_inc_f32 v1, v8", "not simulated: test.s:1"),
        ("gfx942", "ds_pk_add_f32 v1, v8", "not simulated: test.s:1"),
        ("gfx942", "ds_cmpst_b32 v1, v8", "2 operands, wanted 3"),
        ("gfx942", "ds_add_u64 v1, v8", "v8, of which 2 dwords are used"),
    ],
)
def test_what_is_not_simulated(
    make_bench: Callable[..., Any], architecture: str, text: str, why: str
) -> None:
    with pytest.raises(UnsupportedError, match=why):
        make_bench(architecture).run(text)
