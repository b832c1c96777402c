"""Softmax gating and the sort by expert in one call: what a fused kernel leaves is the sort alone.

Semantics: FlyDSL `moe_softmax_sort_flydsl` (kernels/moe/moe_sorting_kernel.py, ROCm/FlyDSL
@11c4174d), which equals topk_softmax followed by moe_sorting.  Its own test compares it with those
two kernels of the same library, so that a fault they share passes; here the choice is decoded from
the sorted pairs and judged as a choice.  Weights are renormalised over all k winners, the ones at
disabled experts included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import moe_sorting, topk_softmax
from .judging.elementwise import Array
from .judging.gating import choose_weights, find_specified, judge_weights, take_top
from .judging.permutation import (
    Blocks,
    Indices,
    Mask,
    judge_block_owners,
    judge_pairs,
    judge_placement,
    lay_out_blocks,
)
from .judging.selection import find_repeats, judge_best, judge_order, keep_certain
from .judging.verdict import Check, Finding, Judgement, Verdict

#: A hidden winner's score differs from that of the expert it may have been exchanged for by both
#: their slacks, and is itself off by its own.
HIDDEN_SLACK = 3.0


@dataclass(frozen=True)
class Choice:
    """The choice that sorted outputs stand for.

    entries [total]: the pair at each position.  owners [total / U]: the expert of each block, -1
    for a local id that none has.  ids, weights [T, k]: what each pair says, -1 and NaN for one that
    stands nowhere.  total: the padded total if the inputs decide it, None if a tie does.
    """

    entries: Indices
    owners: Indices
    ids: Indices
    weights: Array
    total: int | None


def oracle(
    gating_output: Array,
    topk: int,
    renormalize: bool,
    unit_size: int,
    expert_mask: NDArray[Any] | None,
    num_local_tokens: NDArray[Any] | None,
    model_dim: int,
) -> dict[str, Any]:
    """gating_output f64 [T, E] -> the five outputs of `moe_sorting.oracle`.

    Weights of rows that hold NaN, +inf or only -inf are NaN, which stands for `unspecified`.
    """
    chosen = topk_softmax.oracle(gating_output, topk, renormalize)
    return moe_sorting.oracle(
        chosen["topk_ids"],
        chosen["topk_weights"],
        gating_output.shape[1],
        unit_size,
        expert_mask,
        num_local_tokens,
        model_dim,
    )


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge the five outputs for the inputs of `oracle`.

    Findings about the decoded choice have the index (token, slot), the others a position.
    """
    del dtype  # the logits are exact in float64 and every kernel computes in float32
    tokens, experts = inputs["gating_output"].shape
    local = moe_sorting.count_local_tokens(tokens, inputs["num_local_tokens"])
    choice = decode(inputs, outputs)
    blocks = lay_out_blocks(choice.ids, experts, inputs["unit_size"])
    judgement = Judgement()
    sound = judge_choice(judgement, inputs, choice, local, strict)
    positions = len(choice.entries)
    # Of an unsound choice among ties the total is not known: any that fits is let be.
    total = blocks.total if sound else positions
    total = total if choice.total is None else choice.total
    moe_sorting.judge_valid_counts(judgement, outputs["num_valid_ids"], total, local)
    _judge_blocks(judgement, inputs, outputs["sorted_expert_ids"], choice, blocks, sound)
    stored = outputs["sorted_ids"][:positions]
    judge_pairs(judgement, blocks, choice.entries, output="sorted_ids", stored=stored)
    if sound:
        entries = choice.entries[: blocks.total]
        judge_placement(judgement, blocks, entries, output="sorted_ids", strict=strict)
    found = outputs["sorted_weights"][:positions]
    moe_sorting.judge_padding_weights(judgement, choice.entries, found)
    moe_sorting.judge_moe_buf(judgement, outputs["moe_buf"], local)
    return judgement.verdict()


def _judge_blocks(
    judgement: Judgement,
    inputs: Mapping[str, Any],
    found: NDArray[Any],
    choice: Choice,
    blocks: Blocks,
    sound: bool,
) -> None:
    judgement.exact(
        "block_experts_in_range",
        choice.owners < 0,
        output="sorted_expert_ids",
        found=found[: len(choice.owners)],
        wanted="the rank of an enabled expert",
    )
    if sound:
        ranks = moe_sorting.rank_experts(len(blocks.starts) - 1, inputs["expert_mask"])
        wanted = ranks[blocks.block_owners()]
        judge_block_owners(judgement, found, wanted, "sorted_expert_ids")
    else:
        note = "not checked: the choice of experts that the blocks stand for is not right"
        judgement.checks.append(Check("block_experts", None, 0.0, 0.0, note))


def judge_choice(
    judgement: Judgement, inputs: Mapping[str, Any], choice: Choice, local: int, strict: bool
) -> bool:
    """Check that the visible experts of each local row are those of a valid top k; whether so.

    The slots that stand nowhere are filled with the best disabled experts: if any choice of
    disabled ones makes the row a top k, theirs does.
    """
    logits = inputs["gating_output"]
    ranks = moe_sorting.rank_experts(logits.shape[1], inputs["expert_mask"])
    disabled = np.flatnonzero(ranks < 0)
    visible = choice.ids >= 0
    checked = Judgement()
    rows = _judge_rows(checked, choice, len(disabled), local) & find_specified(logits)
    scores, slack = topk_softmax.score_with_slack(np.where(rows[:, None], logits, 0.0))
    ids = _fill_hidden(np.where(rows[:, None], choice.ids, 0), scores, disabled)
    judge_best(checked, ids, scores, slack, rows)
    sound = checked.verdict().ok
    if strict:
        judge_order(checked, ids, scores, slack, rows)
    expected = choose_weights(scores, ids, inputs["renormalize"])
    weights = np.where(visible, choice.weights, expected)
    slack[:, disabled] *= HIDDEN_SLACK
    judge_weights(checked, weights, ids, scores, slack, rows, inputs["renormalize"])
    judgement.checks += checked.checks
    judgement.findings += [_rename(finding, visible) for finding in checked.findings]
    return sound


def _judge_rows(judgement: Judgement, choice: Choice, num_disabled: int, local: int) -> Mask:
    """Check that each local row names its experts once; returns the rows [T] for which it does.

    A row may lack no more pairs than there are disabled experts.
    """
    visible = choice.ids >= 0
    unnamed = np.where(visible, choice.ids, -1 - np.arange(choice.ids.shape[1]))
    repeated = find_repeats(unnamed) & visible
    missing = np.zeros(visible.shape, dtype=bool)
    missing[:local] = ~visible[:local] & (np.cumsum(~visible[:local], axis=1) > num_disabled)
    judgement.exact(
        "ids_unique",
        repeated,
        output="topk_ids",
        found=choice.ids,
        wanted="an expert not named before in its row",
    )
    judgement.exact(
        "rows_complete",
        missing,
        output="topk_ids",
        found="stands nowhere",
        wanted="a pair: too few experts are disabled to hide it",
    )
    rows = np.arange(len(visible)) < local
    return np.asarray(rows & ~(repeated | missing).any(axis=1))


def decode(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Choice:
    """The choice that the outputs stand for; nothing they hold can make this fail."""
    tokens, experts = inputs["gating_output"].shape
    topk, unit = inputs["topk"], inputs["unit_size"]
    local = moe_sorting.count_local_tokens(tokens, inputs["num_local_tokens"])
    least, decided = count_certain(inputs)
    reported = _clip_total(outputs, unit)
    credible = reported >= least and reported == outputs["num_valid_ids"][0]
    total = reported if credible else least
    entries = moe_sorting.unpack(outputs["sorted_ids"][:total], topk, local)
    enabled = np.flatnonzero(moe_sorting.rank_experts(experts, inputs["expert_mask"]) >= 0)
    named = outputs["sorted_expert_ids"][: total // unit].astype(np.int64)
    owners = np.full(len(named), -1, dtype=np.int64)
    usable = (named >= 0) & (named < len(enabled))
    owners[usable] = enabled[named[usable]]
    # Assigned last to first, so that the first of two equal pairs counts.
    places = np.flatnonzero(entries >= 0)[::-1]
    ids = np.full(tokens * topk, -1, dtype=np.int64)
    weights = np.full(tokens * topk, np.nan)
    ids[entries[places]] = owners[places // unit]
    weights[entries[places]] = outputs["sorted_weights"][places]
    shape = (tokens, topk)
    return Choice(
        entries,
        owners,
        ids.reshape(shape),
        weights.reshape(shape),
        least if decided else None,
    )


def count_certain(inputs: Mapping[str, Any]) -> tuple[int, bool]:
    """The padded total that every valid choice reaches, and whether that is the total itself."""
    tokens, experts = inputs["gating_output"].shape
    local = moe_sorting.count_local_tokens(tokens, inputs["num_local_tokens"])
    certain = topk_softmax.find_certain_experts(inputs["gating_output"][:local], inputs["topk"])
    counts = np.count_nonzero(certain, axis=0)
    counts[moe_sorting.rank_experts(experts, inputs["expert_mask"]) < 0] = 0
    unit = inputs["unit_size"]
    decided = np.count_nonzero(certain) == local * inputs["topk"]
    return int((-(-counts // unit) * unit).sum()), decided


def erase_unspecified(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Indices]:
    """The experts that every right answer sends a token to: one form for all of them.

    sorted_ids [P]: from token * k on, the visible experts of the token that no tie can displace,
    ascending, after -1 for the rest of its k; -1 from T * k on.  What else the outputs hold follows
    from the choice, but for the order of pairs and the rounding of weights.
    """
    certain = topk_softmax.find_certain_experts(inputs["gating_output"], inputs["topk"])
    ids = keep_certain(decode(inputs, outputs).ids, certain)
    form = np.full(len(outputs["sorted_ids"]), -1, dtype=np.int64)
    form[: ids.size] = ids.ravel()
    return {"sorted_ids": form}


def _clip_total(outputs: Mapping[str, Any], unit: int) -> int:
    most = len(outputs["sorted_ids"]) // unit * unit
    return int(np.clip(int(outputs["num_valid_ids"][0]) // unit * unit, 0, most))


def _fill_hidden(ids: Indices, scores: Array, disabled: NDArray[np.intp]) -> Indices:
    """ids [T, k] with -1 replaced by the best disabled experts, descending."""
    hidden = ids < 0
    if not hidden.any():
        return ids
    width = min(ids.shape[1], len(disabled))
    best = disabled[take_top(scores[:, disabled], width)]
    rank = np.clip(hidden.cumsum(axis=1) - 1, 0, width - 1)
    return np.where(hidden, np.take_along_axis(best, rank, axis=1), ids)


def _rename(finding: Finding, visible: Mask) -> Finding:
    """A finding about the decoded choice as one about the output that it was decoded from."""
    output = {"topk_ids": "sorted_ids", "topk_weights": "sorted_weights"}[finding.output]
    if visible[finding.index] or finding.check == "rows_complete":
        return replace(finding, output=output)
    return replace(finding, output=output, found=f"nothing visible, at best {finding.found}")
