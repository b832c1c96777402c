"""The torch form of a walk through trees of drafts, one step for all rows at once.

Frozen states, so that a harmed kernel can change a walk between its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rocmoe.ops.families.speculative import draw_tokens
from rocmoe.references.judging.replay import SMALLEST_THRESHOLD
from rocmoe.references.tree_speculative_sampling_target_only import UNSPECIFIED


@dataclass(frozen=True)
class Tree:
    """The inputs of a walk, as torch tensors by their canonical names."""

    candidates: Any
    retrive_index: Any
    retrive_next_token: Any
    retrive_next_sibling: Any
    uniform_samples: Any
    target_probs: Any
    threshold_single: float
    threshold_acc: float


@dataclass(frozen=True)
class Walk:
    """Where each row of a walk stands.

    node: the last accepted [B].  trial: the child to try next [B], -1 for none.  mass: the sum of
    the children tried [B].  coin [B].  length [B].  rejected: children of `node` [B, N].
    accept_index [B, N+1] and predicts [B*N+1]: as the outputs, with a last entry for what is not
    to be written.
    """

    node: Any
    trial: Any
    mass: Any
    coin: Any
    length: Any
    rejected: Any
    accept_index: Any
    predicts: Any


def start_walk(tree: Tree) -> Walk:
    """At node 0, with its first child to try."""
    import torch

    batch, nodes = tree.candidates.shape
    zeros = torch.zeros(batch, dtype=torch.int64, device=tree.candidates.device)
    accept_index = zeros.new_full((batch, nodes + 1), UNSPECIFIED)
    accept_index[:, 0] = tree.retrive_index[:, 0]
    return Walk(
        node=zeros,
        trial=tree.retrive_next_token[:, 0],
        mass=torch.zeros_like(zeros, dtype=torch.float32),
        coin=tree.uniform_samples[:, 0],
        length=zeros,
        rejected=torch.zeros_like(tree.candidates, dtype=torch.bool),
        accept_index=accept_index,
        predicts=zeros.new_full((batch * nodes + 1,), UNSPECIFIED),
    )


def take_step(tree: Tree, walk: Walk) -> Walk:
    """Try one child in every row that has one left."""
    import torch

    rows = torch.arange(len(walk.node), device=walk.node.device)
    live, child = walk.trial >= 0, walk.trial.clamp(min=0)
    token = tree.candidates[rows, child]
    single = tree.target_probs[rows, walk.node, token]
    mass = walk.mass + single
    passes = walk.coin <= mass / max(tree.threshold_acc, SMALLEST_THRESHOLD)
    accept = live & (passes | (single >= tree.threshold_single))
    sibling = torch.where(live, tree.retrive_next_sibling[rows, child], -1)
    rejected = walk.rejected.scatter(1, child[:, None], live[:, None])
    length = walk.length + accept
    nowhere = walk.accept_index.shape[1] - 1
    column = torch.where(accept, length, nowhere)[:, None]
    place = tree.retrive_index[rows, child][:, None]
    return Walk(
        node=torch.where(accept, child, walk.node),
        trial=torch.where(accept, tree.retrive_next_token[rows, child], sibling),
        mass=torch.where(accept, 0.0, mass),
        coin=torch.where(accept, tree.uniform_samples[rows, child], walk.coin),
        length=length,
        rejected=rejected & ~accept[:, None],
        accept_index=walk.accept_index.scatter(1, column, place),
        predicts=_write_at(tree, walk, token, accept),
    )


def finish_walk(tree: Tree, walk: Walk, coins: Any) -> tuple[Any, Any, Any]:
    """The outputs, with the last token drawn without the rejected children."""
    last = draw_tokens(take_residual(tree, walk), coins)
    predicts = _write_at(tree, walk, last, walk.length >= 0)
    return predicts[:-1].int(), walk.accept_index[:, :-1].int(), walk.length.int()


def take_residual(tree: Tree, walk: Walk) -> Any:
    """The row [B, V] of the last accepted node without its rejected children."""
    import torch

    rows = torch.arange(len(walk.node), device=walk.node.device)
    mass = tree.target_probs[rows, walk.node]
    strikes = torch.zeros_like(mass, dtype=torch.int32)
    strikes = strikes.scatter_add(1, tree.candidates, walk.rejected.int())
    return torch.where(strikes > 0, 0.0, mass)


def _write_at(tree: Tree, walk: Walk, tokens: Any, where: Any) -> Any:
    """predicts with tokens [B] at the place of the last accepted node, in the rows `where`."""
    import torch

    place = tree.retrive_index.gather(1, walk.node[:, None])[:, 0]
    nowhere = walk.predicts.shape[0] - 1
    return walk.predicts.scatter(0, torch.where(where, place, nowhere), tokens)
