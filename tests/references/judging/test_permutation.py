import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references.judging.permutation import (
    GARBAGE,
    PADDING,
    judge_pairs,
    judge_placement,
    lay_out_blocks,
    sort_runs,
)
from rocmoe.references.judging.verdict import Judgement

EXPERTS = np.array([[2, 0], [2, 3], [0, 2]])  # expert 1 has nobody


def judge(entries, *, experts=EXPERTS, strict=False):
    blocks = lay_out_blocks(experts, 4, 4)
    judgement = Judgement()
    entries = np.array(entries)
    judge_pairs(judgement, blocks, entries, output="sorted_ids", stored=entries)
    judge_placement(judgement, blocks, entries, output="sorted_ids", strict=strict)
    return judgement.verdict()


def test_blocks_are_laid_out_by_expert_and_an_empty_expert_has_none():
    blocks = lay_out_blocks(EXPERTS, 4, 4)
    assert blocks.total == 12
    assert blocks.block_owners().tolist() == [0, 2, 3]
    assert blocks.place().tolist() == [1, 4, -1, -1, 0, 2, 5, -1, 3, -1, -1, -1]


def test_ids_that_name_no_expert_are_left_out():
    blocks = lay_out_blocks(np.array([[-1, 4], [1, 2**31 - 1]]), 4, 4)
    assert blocks.experts.tolist() == [[-1, -1], [1, -1]]
    assert blocks.place().tolist() == [2, PADDING, PADDING, PADDING]


def test_any_order_inside_an_expert_passes_but_strict_wants_it_ascending_then_padding():
    right = [1, 4, -1, -1, 0, 2, 5, -1, 3, -1, -1, -1]
    assert judge(right, strict=True).ok
    for other in (
        [4, 1, -1, -1, 0, 2, 5, -1, 3, -1, -1, -1],
        [1, 4, -1, -1, 0, -1, 2, 5, 3, -1, -1, -1],
    ):
        assert judge(other).ok
        assert judge(other, strict=True).failed == ("ascending",)


@pytest.mark.parametrize(
    ("position", "entry", "failed"),
    [
        (5, GARBAGE, {"entries_valid", "entries_complete"}),
        (5, 0, {"entries_once", "entries_complete"}),
        (5, 3, {"entries_once", "entries_at_their_expert", "entries_complete"}),
        (2, 5, {"entries_once", "entries_at_their_expert"}),
        (3, 4, {"entries_once"}),
        (5, PADDING, {"entries_complete"}),
    ],
)
def test_a_wrong_entry_is_caught_by_the_checks_that_concern_it(position, entry, failed):
    entries = lay_out_blocks(EXPERTS, 4, 4).place()
    entries[position] = entry
    assert set(judge(entries).failed) == failed


def test_findings_say_what_stood_where_and_what_was_due():
    entries = lay_out_blocks(EXPERTS, 4, 4).place()
    entries[8] = 2
    findings = {finding.check: finding for finding in judge(entries).findings}
    moved, lost = findings["entries_at_their_expert"], findings["entries_complete"]
    assert moved.index == (8,)
    assert moved.found == "token 1 slot 0 (expert 2)"
    assert moved.wanted == "a pair of expert 3 or padding"
    assert lost.index == (1, 1)
    assert lost.wanted == "expert 3's pair at one of the positions [8, 12)"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9))
def test_the_sort_itself_passes_strictly_and_every_removal_is_noticed(seed, experts, unit):
    rng = np.random.default_rng(seed)
    chosen = rng.integers(-1, experts, (6, 3))
    blocks = lay_out_blocks(chosen, experts, unit)
    judgement, entries = Judgement(), blocks.place()
    judge_placement(judgement, blocks, entries, output="sorted_ids", strict=True)
    assert judgement.verdict().ok
    assert blocks.total % unit == 0
    for place in np.flatnonzero(entries >= 0):
        judgement, lacking = Judgement(), entries.copy()
        lacking[place] = PADDING
        judge_placement(judgement, blocks, lacking, output="sorted_ids", strict=False)
        assert judgement.verdict().failed == ("entries_complete",)


def test_sorted_runs_are_the_same_for_every_order_inside_them():
    owners = np.array([0, 0, 0, 1, 1, 1])
    for entries in ([4, 1, -1, -1, 3, 0], [-1, 4, 1, 0, -1, 3]):
        entries = np.array(entries)
        order = sort_runs(owners, entries)
        assert entries[order].tolist() == [1, 4, -1, 0, 3, -1]
