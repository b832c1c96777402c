"""Harmed kernels of tree_speculative_sampling_target_only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from rocmoe.ops.core.harm import Harm
from rocmoe.ops.families.tree_walk import (
    Tree,
    Walk,
    finish_walk,
    start_walk,
    take_residual,
    take_step,
)
from rocmoe.ops.harms.shared.any_op import (
    Inputs,
    Kernel,
    edit_input,
    spoil_outputs,
    write_past_end,
    write_where,
)
from rocmoe.ops.harms.shared.speculative import (
    LAST_COIN,
    add_up,
    draw_in_float32,
    list_speculative_harms,
)
from rocmoe.ops.harms.shared.values import scan_in_any_order
from rocmoe.ops.tree_speculative_sampling_target_only import SPEC, run_torch

Triple = tuple[Any, Any, Any]
#: Changes where a walk stands after a step: (tree, walk before, walk after) -> walk.
Nudge = Callable[[Tree, Walk, Walk], Walk]


def _walk(inputs: Inputs, nudge: Nudge = lambda tree, before, walk: walk) -> tuple[Tree, Walk]:
    tree = Tree(**{field.name: inputs[field.name] for field in fields(Tree)})
    walk = start_walk(tree)
    for _ in range(tree.candidates.shape[1] - 1):
        walk = nudge(tree, walk, take_step(tree, walk))
    return tree, walk


def _nudged(nudge: Nudge) -> Kernel:
    """A kernel whose walk is changed after every step."""

    def harmed(**inputs: Any) -> Triple:
        tree, walk = _walk(inputs, nudge)
        return finish_walk(tree, walk, inputs[LAST_COIN])

    return harmed


def _ended(end: Callable[[Tree, Walk], Walk]) -> Kernel:
    """A kernel whose walk is changed before the last token is drawn."""

    def harmed(**inputs: Any) -> Triple:
        tree, walk = _walk(inputs)
        return finish_walk(tree, end(tree, walk), inputs[LAST_COIN])

    return harmed


def _forget_running_sum(tree: Tree, before: Walk, walk: Walk) -> Walk:
    return replace(walk, mass=walk.mass * 0.0)


def _keep_running_sum(tree: Tree, before: Walk, walk: Walk) -> Walk:
    """The children of an accepted node start at the sum that accepted it."""
    rows = (walk.length > before.length).nonzero()[:, 0]
    mass = walk.mass.clone()
    tokens = tree.candidates[rows, walk.node[rows]]
    mass[rows] = before.mass[rows] + tree.target_probs[rows, before.node[rows], tokens]
    return replace(walk, mass=mass)


def _keep_exclusions(tree: Tree, before: Walk, walk: Walk) -> Walk:
    """Drafts rejected beside an accepted one stay excluded further on."""
    return replace(walk, rejected=walk.rejected | before.rejected)


def _coin_by_level(tree: Tree, before: Walk, walk: Walk) -> Walk:
    """The coin of the level instead of that of the node."""
    return replace(walk, coin=tree.uniform_samples.gather(1, walk.length[:, None])[:, 0])


def _row_by_level(tree: Tree, before: Walk, walk: Walk) -> Walk:
    """The target's row of the level instead of that of the node."""
    return replace(walk, node=walk.length)


def _drop_siblings(siblings: Any) -> Any:
    return siblings * 0 - 1


def _keep_rejected(tree: Tree, walk: Walk) -> Walk:
    return replace(walk, rejected=walk.rejected & False)


def _exclude_last_only(tree: Tree, walk: Walk) -> Walk:
    """Siblings ascend, so the last rejected is the one with the highest node."""
    above = walk.rejected.flip(1).long().cumsum(dim=1).flip(1)
    return replace(walk, rejected=walk.rejected & (above == 1))


def _stay_within_16(tree: Tree, walk: Walk) -> Walk:
    """The last token comes from the sixteenth node at the latest."""
    return replace(walk, node=walk.node.clamp(max=15))


def _compute_places(given: Any) -> Any:
    """retrive_index is taken for b * N + node."""
    import torch

    return torch.arange(given.numel(), device=given.device).reshape(given.shape)


def _accept_nodes(inputs: Inputs, predicts: Any, accept_index: Any, count: Any) -> Triple:
    """accept_index holds nodes instead of places."""
    return predicts, accept_index % inputs["candidates"].shape[1], count


def _predict_at_own_place(inputs: Inputs, predicts: Any, accept_index: Any, count: Any) -> Triple:
    """Accepted drafts stand at their own place instead of that of the token before."""
    path = accept_index.long().clamp(min=0)
    at = count[:, None].long()
    last = predicts[path.gather(1, at)]
    shifted = predicts.clone()
    for level in range(1, path.shape[1]):
        on_path = accept_index[:, level] >= 0
        tokens = predicts[path[:, level - 1]]
        shifted[path[on_path, level]] = tokens[on_path]
    shifted[path[:, :1]] = last
    return shifted, accept_index, count


def _count_bonus(inputs: Inputs, predicts: Any, accept_index: Any, count: Any) -> Triple:
    return predicts, accept_index, (count + 1).clamp(max=inputs["candidates"].shape[1])


def _write_after_rejection(inputs: Inputs, predicts: Any, *others: Any) -> Mapping[str, Any]:
    """The last token is written only after a rejection."""
    import torch

    tree, walk = _walk(inputs)
    written = torch.ones_like(predicts, dtype=torch.bool)
    written[_find_end(tree, walk)[~walk.rejected.any(dim=1)]] = False
    return {"predicts": written}


def _use_scratch(**inputs: Any) -> Triple:
    """Right: marks in draft_probs."""
    tree, walk = _walk(inputs)
    inputs["draft_probs"].fill_(0.5)
    return finish_walk(tree, walk, inputs[LAST_COIN])


def _find_specified(
    inputs: Inputs, predicts: Any, accept_index: Any, count: Any
) -> Mapping[str, Any]:
    return {"predicts": predicts >= 0, "accept_index": accept_index >= 0}


def _float32(**inputs: Any) -> Triple:
    """Right: the last token by float32 scans over normalised masses."""
    return _draw_last(inputs, add_up)


def _add_in_any_order(**inputs: Any) -> Triple:
    """Right: float32 sums whose rounding differs from call to call, unless that is ruled out."""
    return _draw_last(inputs, add_up if inputs["deterministic"] else scan_in_any_order)


def _draw_last(inputs: Inputs, scan: Kernel) -> Triple:
    """The answer with another scan for the last token."""
    tree, walk = _walk(inputs)
    predicts, accept_index, count = finish_walk(tree, walk, inputs[LAST_COIN])
    drawn = draw_in_float32(take_residual(tree, walk), inputs[LAST_COIN], scan)
    predicts[_find_end(tree, walk)] = drawn.int()
    return predicts, accept_index, count


def _find_end(tree: Tree, walk: Walk) -> Any:
    """Where the last token [B] of each row stands in predicts."""
    return tree.retrive_index.gather(1, walk.node[:, None])[:, 0]


class _LeaveGarbage:
    """Right: unspecified entries hold something else after every call."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, **inputs: Any) -> Triple:
        self._calls += 1
        predicts, accept_index, count = run_torch(**inputs)
        garbage = 1000 * self._calls
        predicts = predicts.masked_fill(predicts < 0, garbage)
        return predicts, accept_index.masked_fill(accept_index < 0, garbage), count


HARMS = (
    Harm("keep_rejected", "rejected drafts can be drawn again", _ended(_keep_rejected)),
    Harm("exclude_last_only", "only one rejected sibling is out", _ended(_exclude_last_only)),
    Harm("draw_within_16", "nodes from the 17th on are never drawn from", _ended(_stay_within_16)),
    Harm("forget_running_sum", "siblings' sum is not accumulated", _nudged(_forget_running_sum)),
    Harm("keep_running_sum", "the sum is not reset after acceptance", _nudged(_keep_running_sum)),
    Harm("keep_exclusions", "rejected siblings stay excluded", _nudged(_keep_exclusions)),
    Harm("coin_by_level", "the coin of the level, not of the node", _nudged(_coin_by_level)),
    Harm("row_by_level", "the row of the level, not of the node", _nudged(_row_by_level)),
    Harm("first_child_only", "siblings are not tried",
         edit_input(run_torch, "retrive_next_sibling", _drop_siblings)),
    Harm("compute_places", "retrive_index is not read",
         edit_input(run_torch, "retrive_index", _compute_places)),
    Harm("accept_nodes", "accept_index holds nodes, not places",
         spoil_outputs(run_torch, _accept_nodes)),
    Harm("predict_at_own_place", "drafts stand one place too late",
         spoil_outputs(run_torch, _predict_at_own_place)),
    Harm("count_bonus", "accept_token_num counts the drawn token",
         spoil_outputs(run_torch, _count_bonus)),
    Harm("leave_unwritten", "the last token is not always written",
         write_where(run_torch, SPEC.outputs, _write_after_rejection)),
    Harm("write_past_end", "one element past accept_index is written",
         write_past_end(run_torch, SPEC.outputs, "accept_index")),
    *list_speculative_harms(run_torch),
    Harm("use_scratch", "draft_probs are overwritten, unspecified entries left",
         write_where(_use_scratch, SPEC.outputs, _find_specified), right=True),
    Harm("float32", "float32 scans, normalised first", _float32, right=True),
    Harm("any_sum_order", "sums are added in another order at every call, where they may be",
         _add_in_any_order, right=True),
    Harm("leave_garbage", "unspecified entries differ by call", _LeaveGarbage(), right=True),
)  # fmt: skip
