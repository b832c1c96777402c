"""Judging a sort of (token, slot) pairs into blocks that hold one expert each.

An entry is a pair by its flat index, token * k + slot.  Every expert that has entries owns a run of
positions, a multiple of the block's unit long, in ascending order of experts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .selection import find_repeats
from .verdict import Index, Judgement

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: What stands at a position besides an entry: padding, or neither an entry nor padding.
PADDING, GARBAGE = -1, -2


@dataclass(frozen=True)
class Blocks:
    """Where the entries of a sort belong.

    experts [T, k]: the expert of each entry, -1 for one that is left out.
    starts [E + 1]: the first position of each expert's run; the last is the end of all of them.
    """

    experts: Indices
    starts: Indices
    unit: int

    @property
    def total(self) -> int:
        """How many positions the blocks have, padding included."""
        return int(self.starts[-1])

    def owners(self) -> Indices:
        """The expert that owns each position, [total]."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def block_owners(self) -> Indices:
        """The expert that owns each block, [total / unit]."""
        return self.owners()[:: self.unit]

    def place(self) -> Indices:
        """The sort itself, [total]: entries ascend inside an expert and padding follows them."""
        flat = self.experts.ravel()
        order = np.argsort(flat, kind="stable")[np.count_nonzero(flat < 0) :]
        owner = flat[order]
        rank = np.arange(len(order)) - np.searchsorted(owner, owner)
        entries = np.full(self.total, PADDING, dtype=np.int64)
        entries[self.starts[owner] + rank] = order
        return entries

    def name_entry(self, entry: int) -> str:
        """An entry as a person reads it; flat index, PADDING or GARBAGE."""
        if entry < 0:
            return "padding" if entry == PADDING else "garbage"
        token, slot = divmod(entry, self.experts.shape[1])
        expert = self.experts[token, slot]
        return f"token {token} slot {slot} ({f'expert {expert}' if expert >= 0 else 'left out'})"


def lay_out_blocks(experts: NDArray[Any], num_experts: int, unit: int) -> Blocks:
    """The blocks for experts [T, k]; ids outside [0, num_experts) are left out."""
    inside = (experts >= 0) & (experts < num_experts)
    counts = np.bincount(experts[inside], minlength=num_experts)
    starts = np.zeros(num_experts + 1, dtype=np.int64)
    np.cumsum(-(-counts // unit) * unit, out=starts[1:])
    return Blocks(np.where(inside, experts, -1).astype(np.int64), starts, unit)


def judge_block_owners(
    judgement: Judgement, found: NDArray[Any], wanted: NDArray[Any], output: str
) -> None:
    """Check the expert that each block names; what follows the last block is unspecified."""
    found = found[: len(wanted)]
    judgement.exact("block_experts", found != wanted, output=output, found=found, wanted=wanted)


def judge_pairs(
    judgement: Judgement, blocks: Blocks, entries: Indices, *, output: str, stored: NDArray[Any]
) -> None:
    """Check that entries [total] are padding or pairs, and that no pair stands twice.

    stored [total]: the entries as the output holds them.
    """
    judgement.exact(
        "entries_valid",
        entries == GARBAGE,
        output=output,
        found=stored,
        wanted="a pair of this call or padding",
    )
    judgement.exact(
        "entries_once",
        find_repeats(entries[None])[0] & (entries >= 0),
        output=output,
        found=_describe(blocks, entries),
        wanted="a pair not placed before",
    )


def judge_placement(
    judgement: Judgement, blocks: Blocks, entries: Indices, *, output: str, strict: bool
) -> None:
    """Check that entries [total] hold every pair, each in the run of its expert.

    By default pairs and padding may stand anywhere in the run.  Strict wants the pairs to ascend
    and the padding after them.  A missing pair has the index (token, slot), since it stands
    nowhere; every other finding has a position.
    """
    owners, experts = blocks.owners(), blocks.experts.ravel()
    real = entries >= 0
    describe = _describe(blocks, entries)
    judgement.exact(
        "entries_at_their_expert",
        real & (experts[np.where(real, entries, 0)] != owners) if len(entries) else real,
        output=output,
        found=describe,
        wanted=lambda at: f"a pair of expert {owners[at]} or padding",
    )
    _judge_complete(judgement, blocks, entries[real], output)
    if strict:
        rank = np.where(real, entries, blocks.experts.size)
        falls = np.zeros(len(entries), dtype=bool)
        falls[1:] = (rank[1:] < rank[:-1]) & (owners[1:] == owners[:-1])
        judgement.exact(
            "ascending",
            falls,
            output=output,
            found=describe,
            wanted=lambda at: f"what comes after {describe((at[0] - 1,))}",
        )


def _describe(blocks: Blocks, entries: Indices) -> Callable[[Index], str]:
    return lambda at: blocks.name_entry(int(entries[at]))


def _judge_complete(judgement: Judgement, blocks: Blocks, placed: Indices, output: str) -> None:
    seen = np.zeros(blocks.experts.size, dtype=bool)
    seen[placed] = True

    def wanted(at: Index) -> str:
        expert = blocks.experts[at]
        start, end = blocks.starts[expert], blocks.starts[expert + 1]
        return f"expert {expert}'s pair at one of the positions [{start}, {end})"

    judgement.exact(
        "entries_complete",
        ~seen.reshape(blocks.experts.shape) & (blocks.experts >= 0),
        output=output,
        found="stands nowhere",
        wanted=wanted,
    )


def sort_runs(owners: NDArray[Any], entries: Indices, *values: NDArray[Any]) -> Indices:
    """An order of positions that takes the freedom out of a sort: entries ascend in their run.

    Padding comes last; `values`, such as weights, decide among entries that stand twice.
    """
    rank = np.where(entries < 0, np.iinfo(np.int64).max + entries, entries)
    return np.asarray(np.lexsort((*values[::-1], rank, owners)), dtype=np.int64)
