from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rocmoe.ops.gcn.machine.fault import UnsupportedError

LANES = np.arange(64, dtype=np.uint32)
#: Mnemonic: bits of an element, dwords a lane, bytes from one lane's data to the next one's.
LOADS = {
    "ds_read_b64_tr_b16": (16, 2, 8),
    "ds_read_b64_tr_b8": (8, 2, 8),
    "ds_read_b64_tr_b4": (4, 2, 8),
    "ds_read_b96_tr_b6": (6, 3, 16),
}


def _column(lanes: list[int], bits: int, dwords: int, column: int) -> int:
    """From the integers that 16 lanes read, the elements of one column, the first row lowest."""
    joined = sum(value << (32 * dwords * at) for at, value in enumerate(lanes))
    elements = [joined >> (bits * at) & ((1 << bits) - 1) for at in range(512 * dwords // bits)]
    return sum(element << (bits * at) for at, element in enumerate(elements[column::16]))


def _expect(octets: bytes, starts: list[int], bits: int, dwords: int) -> list[int]:
    """Of each of 64 lanes that start at these bytes, the integer that it gets."""
    size = 4 * dwords
    read = [int.from_bytes(octets[start : start + size], "little") for start in starts]
    return [
        _column(read[lane & ~15 : (lane & ~15) + 16], bits, dwords, lane & 15) for lane in range(64)
    ]


@pytest.mark.parametrize("mnemonic", LOADS)
def test_columns(make_bench: Callable[..., Any], mnemonic: str) -> None:
    bits, dwords, pitch = LOADS[mnemonic]
    bench = make_bench("gfx950")
    generator = np.random.default_rng(bits)
    bench.lds[...] = generator.integers(0, 256, bench.lds.shape)
    order = generator.permutation(64).astype(np.uint32)
    bench.set(1, order * pitch)
    bench.run(f"{mnemonic} v[4:{3 + dwords}], v1 offset:{2 * pitch}")
    starts = [int(at) * pitch + 2 * pitch for at in order]
    words = np.stack([bench.get(4 + at) for at in range(dwords)], axis=-1)
    for wave in range(4):
        expected = _expect(bench.lds[wave // 2].tobytes(), starts, bits, dwords)
        found = [int.from_bytes(words[wave, lane].tobytes(), "little") for lane in range(64)]
        assert [hex(value) for value in found] == [hex(value) for value in expected]
    assert bench.faults == ()
    (access,) = bench.listener.before
    assert (access.kind, access.size, access.data) == ("load", 4 * dwords, 4)


def test_a_matrix_of_halves_by_hand(make_bench: Callable[..., Any]) -> None:
    """Rows of 16 halves, numbered 100 * row + column: four lanes a row, four rows a group."""
    bench = make_bench("gfx950")
    matrix = 100 * np.arange(16)[:, None] + np.arange(16)
    bench.lds[:, :512] = matrix.astype("<u2").view(np.uint8).reshape(-1)
    bench.set(1, 8 * LANES)
    bench.run("ds_read_b64_tr_b16 v[4:5], v1")
    assert hex(int(bench.get(4)[0, 3])) == hex(103 << 16 | 3)
    assert hex(int(bench.get(5)[0, 3])) == hex(303 << 16 | 203)
    assert hex(int(bench.get(4)[3, 16 + 15])) == hex(515 << 16 | 415)


def test_wrong_uses_are_reported(make_bench: Callable[..., Any]) -> None:
    bench = make_bench("gfx950")
    bench.set(1, np.where(LANES == 2, 20, 8 * LANES))
    bench.set(4, 7)
    bench.set_exec(np.array([(1 << 64) - 1, 0, 0xFFFF, (1 << 64) - 1], np.uint64))
    bench.run("ds_read_b64_tr_b16 v[4:5], v1")
    partial, misaligned = bench.faults
    assert partial.message == "ds_read_b64_tr_b16 while EXEC is not all ones, which it must be"
    assert (partial.workgroup, partial.wave, partial.lane, partial.count) == (6, 0, None, 1)
    assert misaligned.message == "LDS read of 8 bytes at 20, which is no multiple of 8"
    assert (misaligned.lane, misaligned.count) == (2, 3)
    assert (bench.get(4)[1] == 7).all()


@pytest.mark.parametrize("exec_bits", [(1 << 64) - 1, 0xFFFF])
def test_six_bits_stand_on_sixteen_bytes(make_bench: Callable[..., Any], exec_bits: int) -> None:
    bench = make_bench("gfx950")
    bench.set_exec(np.uint64(exec_bits))
    bench.set(1, np.where(LANES == 2, 36, 16 * LANES))
    bench.run("ds_read_b96_tr_b6 v[4:6], v1")
    assert bench.faults[-1].message == "LDS read of 12 bytes at 36, which is no multiple of 16"


@pytest.mark.parametrize("mnemonic", LOADS)
def test_other_targets_have_none(bench: Any, mnemonic: str) -> None:
    with pytest.raises(UnsupportedError, match="only gfx950 has it"):
        bench.run(f"{mnemonic} v[4:{3 + LOADS[mnemonic][1]}], v1")
