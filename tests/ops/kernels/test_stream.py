"""The floor kernels move the bytes that they are to move, each once, in accesses of 16 bytes."""

import re

import pytest

pytest.importorskip("triton", reason="triton is not installed")
import torch

from rocmoe.ops.core.launch import recording, simulating
from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch, add_counts
from rocmoe.ops.gcn.assembly import read_metadata
from rocmoe.ops.kernels.stream import SHAPES, empty, share_lines, stream

LINES = [(1, 1), (130, 9), (9, 130), (1025, 0), (0, 257)]


def words(lines, device="cpu"):
    return torch.full((4 * lines,), 7, dtype=torch.int32, device=device)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("read", "written"), LINES)
def test_reads_and_writes_all_bytes_once_and_no_others(shape, read, written):
    simulator = Simulator("gfx942", Watch(CHECKS))
    target = words(written).fill_(-1)
    with simulating(simulator):
        stream(words(read), target, shape)
    launches = simulator.take()
    counts = add_counts(launches)
    assert counts.get("load_bytes", 0) == 16 * read
    assert counts.get("store_bytes", 0) == 16 * written
    assert not [fault for launch in launches for fault in launch.faults if not fault.is_note]
    assert not (target == -1).any()


def test_what_is_written_depends_on_what_was_read():
    """Else a compiler could leave the loads out."""
    simulator = Simulator("gfx942", Watch(()))
    source, target = words(512), words(8)
    with simulating(simulator):
        stream(source, target, SHAPES[0])
    # A program reads 256 words and writes one line; its sums are over loads that lie 256 apart.
    assert set(target.tolist()) == {7}
    source[3] = 1000
    with simulating(simulator):
        stream(source, target, SHAPES[0])
    assert target.tolist()[:4] == [7, 7, 7, 1000]


@pytest.mark.parametrize("arch", ["gfx90a", "gfx942", "gfx950"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_code_has_wide_accesses_and_no_spill(arch, shape):
    with recording(arch) as launches:
        stream(words(4096, "meta"), words(4096, "meta"), shape)
        empty(words(1, "meta"))
    code = [launch.compiled.assembly for launch in launches]
    accesses = re.findall(r"\b(?:buffer|global)_(?:load|store)_\w+", code[0])
    assert {access.rpartition("_")[2] for access in accesses} == {"dwordx4"}
    assert len(accesses) == 2 * shape.words // (4 * 64 * shape.warps)
    (metadata,) = read_metadata(code[0])
    assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0
    assert not re.search(r"\b(?:buffer|global|flat|ds)_(?:load|store|read|write)", code[1])


def test_one_compilation_serves_every_size():
    """Sizes are no constants, so that a run does not wait for a compiler at each of them."""
    with recording("gfx942") as launches:
        for lines in (1, 16, 17, 4096):
            stream(words(lines, "meta"), words(1, "meta"), SHAPES[0])
    assert len({launch.compiled.assembly for launch in launches}) == 1


def test_offsets_beyond_four_gigabytes_are_64_bit_wide():
    source = torch.empty(5 << 28, dtype=torch.int32, device="meta")
    with recording("gfx942") as launches:
        stream(source, words(1, "meta"), SHAPES[2])
    (launch,) = launches
    assert launch.grid[0] == (5 << 28) // SHAPES[2].words
    body = launch.compiled.assembly
    assert "s_mul_hi" in body or "v_mul_hi" in body or "s_mul_u64" in body or "v_mad_u64" in body


@pytest.mark.parametrize(
    ("lines", "programs", "share"), [(0, 3, 0), (5, 0, 5), (7, 3, 3), (100, 3, 40), (64, 2, 32)]
)
def test_shares_cover_all_lines_in_whole_cache_lines(lines, programs, share):
    assert share_lines(lines, programs) == share
    assert share * max(programs, 1) >= lines
