"""Harmed kernels that every sort into padded blocks can have: its right answer spoiled in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.harms.shared.any_op import (
    CacheByPointer,
    Inputs,
    Kernel,
    Outputs,
    Stale,
    spoil_outputs,
)
from rocmoe.ops.harms.shared.values import lower_large


@dataclass
class Blocks(ABC):
    """A right answer, to be spoiled in place, and what a spoiler needs to know of the call.

    ids: [P].  experts: one a block.  counts: the padded total comes first.  unit: block size.
    """

    ids: Any
    experts: Any
    counts: Any
    unit: int
    topk: int

    @property
    def total(self) -> int:
        """The padded total."""
        return int(self.counts[0])

    @property
    def blocks(self) -> Any:
        """The experts of the blocks, a view."""
        return self.experts[: self.total // self.unit]

    @property
    def entries(self) -> Outputs:
        """The outputs that have an element for each position."""
        return (self.ids,)

    @abstractmethod
    def find_pairs(self) -> Any:
        """True [P] at pairs."""

    @abstractmethod
    def find_tokens(self) -> Any:
        """The token of each id, [P]."""

    @abstractmethod
    def blank(self, places: Any) -> None:
        """Turn places, a mask or indices, into padding."""

    def find_padding(self) -> Any:
        """True [P] at the padding of blocks."""
        padding = ~self.find_pairs()
        padding[self.total :] = False
        return padding

    def list_pairs(self) -> Any:
        """The places of pairs, ascending."""
        return self.find_pairs().nonzero().flatten()

    def fill_padding(self, value: int) -> None:
        """Write an id into all padding."""
        self.ids.masked_fill_(self.find_padding(), value)


Answer = TypeVar("Answer", bound=Blocks)
#: Opens an answer: (inputs, *outputs) -> what spoilers take.
Open = Callable[..., Answer]
#: Name, summary, whether it is right, and what it does to a right answer.
Spoilers = Iterable[tuple[str, str, bool, Callable[[Answer], Any]]]


def list_spoiled(run: Kernel, read: Open[Answer], spoilers: Spoilers[Answer]) -> tuple[Harm, ...]:
    """Harms that spoil the answer of `run`, opened by `read`, in place."""

    def make(spoil: Callable[[Answer], Any]) -> Kernel:
        def change(inputs: Inputs, *outputs: Any) -> Outputs:
            spoil(read(inputs, *outputs))
            return outputs

        return spoil_outputs(run, change)

    return tuple(Harm(name, text, make(do), right=right) for name, text, right, do in spoilers)


def list_block_harms(run: Kernel, read: Open[Any], counter: int) -> tuple[Harm, ...]:
    """The harms of every sort into blocks; output `counter` holds its counts."""
    return (
        *list_spoiled(run, read, _SPOILERS),
        Harm("cache_by_pointer", "answers are remembered by address", CacheByPointer(run)),
        Harm("stale_output", "every call hands out the answer of the one before", Stale(run)),
        Harm("disturb_next_call", "a counter is not cleared between calls",
             Uncleared(run, counter)),
    )  # fmt: skip


class Uncleared:
    """Every second call adds the last call's first count, in output `counter`, to its own."""

    def __init__(self, run: Kernel, counter: int) -> None:
        self._run, self._counter, self._left = run, counter, 0

    def __call__(self, **inputs: Any) -> Any:
        outputs = self._run(**inputs)
        counted = int(outputs[self._counter][0])
        outputs[self._counter][0] += self._left
        self._left = 0 if self._left else counted
        return outputs


def _lose_slots(answer: Blocks) -> None:
    answer.ids.copy_(answer.find_tokens().where(answer.find_pairs(), answer.ids))


def _drop_pair(answer: Blocks) -> None:
    """The last pair gives way to padding."""
    answer.blank(answer.list_pairs()[-1:])


def _drop_token_lane(answer: Blocks) -> None:
    """Pairs of every 64th token give way to padding."""
    answer.blank(answer.find_pairs() & (answer.find_tokens() % 64 == 63))


def _repeat_pair(answer: Blocks) -> None:
    """The first padding is a copy of the pair before it."""
    place = answer.find_padding().nonzero().flatten()[:1]
    for values in answer.entries:
        values[place] = values[place - 1]


def _swap_pairs(answer: Blocks) -> None:
    """The first and the last pair stand in each other's place."""
    pairs = answer.list_pairs()
    ends = pairs[:: max(len(pairs) - 1, 1)]
    for values in answer.entries:
        values[ends] = values[ends].flip(0)


def _rotate_blocks(answer: Blocks) -> None:
    answer.blocks.copy_(answer.blocks.roll(1))


def lower_experts(answer: Blocks) -> None:
    """Experts from 99 on are one too low."""
    answer.blocks.copy_(lower_large(answer.blocks))


def _insert_empty_block(answer: Blocks) -> None:
    """A block of padding for an expert without tokens comes first."""
    unit, total = answer.unit, answer.total
    if total + unit > len(answer.ids):
        return
    for values in answer.entries:
        values[unit : total + unit] = values[:total].clone()
    answer.experts[1 : total // unit + 1] = answer.blocks.clone()
    answer.blank(slice(unit))
    answer.experts[0] = 0
    answer.counts[0] += unit


def count_block_more(answer: Blocks) -> None:
    """The padded total is a block too large."""
    answer.counts[0] += answer.unit


def _leave_padding(answer: Blocks) -> None:
    import torch

    answer.ids.copy_(torch.empty_like(answer.ids).where(answer.find_padding(), answer.ids))


def _reverse_runs(answer: Blocks) -> None:
    """Pairs descend inside an expert; padding still follows them."""
    import torch

    pairs = answer.list_pairs()
    pairs = pairs[pairs < answer.total]
    backward = pairs.flip(0)
    order = backward[torch.sort(answer.blocks[backward // answer.unit], stable=True).indices]
    for values in answer.entries:
        values[pairs] = values[order]


def fill_tail(answer: Blocks) -> None:
    """Ids and experts past the last block hold garbage."""
    answer.ids[answer.total :] = 0
    answer.experts[answer.total // answer.unit :] = -7


_SPOILERS: Spoilers[Blocks] = (
    ("slot_lost", "ids without their slot", False, _lose_slots),
    ("drop_pair", "one pair is missing", False, _drop_pair),
    ("drop_token_lane", "tokens of lane 63 of every 64 are missing", False, _drop_token_lane),
    ("repeat_pair", "one pair stands twice, in place of padding", False, _repeat_pair),
    ("swap_pairs", "two pairs stand in each other's expert", False, _swap_pairs),
    ("padding_zero", "padding is 0, which is token 0 slot 0", False,
     lambda answer: answer.fill_padding(0)),
    ("leave_padding", "the padding of blocks is never written", False, _leave_padding),
    ("rotate_blocks", "every block names the expert before", False, _rotate_blocks),
    ("empty_expert_block", "an expert without tokens has a block", False, _insert_empty_block),
    ("descending_order", "pairs descend inside an expert", True, _reverse_runs),
)  # fmt: skip
