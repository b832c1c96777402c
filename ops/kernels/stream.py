"""The floors of a measurement: a kernel that only moves bytes, and one that does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.core.launch import launch
from rocmoe.ops.core.sizes import divide_up

#: Bytes are moved in lines of what one lane loads at once.
LINE_BYTES = 16
WORDS_A_LINE = tl.constexpr(4)
#: A program's share is a multiple of this many lines, the 128 bytes of a cache line, if it can be.
SHARED_LINES = 8


@dataclass(frozen=True)
class Shape:
    """How bytes are dealt to programs: int32 words at a time, how often, and waves a program."""

    words: int
    tiles: int
    warps: int

    def __str__(self) -> str:
        return f"words={self.words} tiles={self.tiles} warps={self.warps}"


#: Tried in turn, since no one is the fastest at every size.  Of 33.6 MB read and 4.2 MB written on
#: an H100, warm, four tiles took 6.4 us, which lets all programs run at once; one tile 8.6 to 9.0.
SHAPES = (
    Shape(512, 1, 2),
    Shape(1024, 1, 4),
    Shape(2048, 1, 8),
    Shape(4096, 1, 8),
    Shape(1024, 2, 4),
    Shape(1024, 4, 4),
)


@triton.jit(do_not_specialize=["read_lines", "write_lines", "read_share", "write_share"])
def move_bytes(
    source,
    target,
    read_lines,
    write_lines,
    read_share,
    write_share,
    WORDS: tl.constexpr,
    TILES: tl.constexpr,
):
    """Each program reads its share of the source's lines, then writes its share of the target's.

    Loads are never left out by the compiler, for what is written is their sum.
    """
    program = tl.program_id(0).to(tl.int64)
    words = tl.arange(0, WORDS)
    total = tl.zeros([WORDS], tl.int32)
    first = program * read_share
    # Multiples of a line, as the compiler sees: so masks hold for whole lines.
    left = tl.minimum(read_lines - first, read_share).to(tl.int32) * WORDS_A_LINE
    if TILES == 1:
        total = tl.load(source + first * WORDS_A_LINE + words, mask=words < left, other=0)
    else:
        for start in range(0, left, WORDS):
            at = start + words
            total += tl.load(source + first * WORDS_A_LINE + at, mask=at < left, other=0)
    first = program * write_share
    left = tl.minimum(write_lines - first, write_share).to(tl.int32) * WORDS_A_LINE
    if TILES == 1:
        tl.store(target + first * WORDS_A_LINE + words, total, mask=words < left)
    else:
        for start in range(0, left, WORDS):
            at = start + words
            tl.store(target + first * WORDS_A_LINE + at, total, mask=at < left)


@triton.jit
def do_nothing(pointer):
    """The cheapest launch there is."""


def stream(source: Any, target: Any, shape: Shape) -> None:
    """Read all of source and write all of target, int32 [n] of whole lines of 16 bytes each.

    What target holds afterwards is no copy.  Nothing runs where both are empty.
    """
    read, written = source.numel() * 4 // LINE_BYTES, target.numel() * 4 // LINE_BYTES
    tile = shape.words * 4 // LINE_BYTES * shape.tiles
    programs = divide_up(max(read, written), tile)
    launch(
        move_bytes,
        (programs,),
        source=source,
        target=target,
        read_lines=read,
        write_lines=written,
        read_share=share_lines(read, programs),
        write_share=share_lines(written, programs),
        WORDS=shape.words,
        TILES=shape.tiles,
        num_warps=shape.warps,
    )


def share_lines(lines: int, programs: int) -> int:
    """The lines that each program takes, the last ones fewer or none."""
    share = divide_up(lines, max(programs, 1))
    return share if share < SHARED_LINES else divide_up(share, SHARED_LINES) * SHARED_LINES


def empty(tensor: Any) -> None:
    """Launch one program that does nothing on the device of a tensor."""
    launch(do_nothing, (1,), pointer=tensor, num_warps=1)
