"""Walking through a tree of drafts in Triton.

What a node decides over its children depends on its own coin and row alone, so all nodes of a tree
try their children at once, each in one lane; the accepted path is then followed from node 0.
Links that lead in a circle or out of the tree end a walk.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.last_token import pick


@triton.jit
def load_link(links, place, stride, nodes):
    """The nodes i32 that `links` holds at `place` [M], -1 where it holds none or there is none."""
    node = tl.load(links + place * stride, mask=place >= 0, other=-1)
    return tl.where((node >= 0) & (node < nodes), node, -1).to(tl.int32)


@triton.jit
def accept_children(
    candidates, next_token, next_sibling, uniform_samples, target_probs, candidate_stride,
    child_stride, sibling_stride, coin_stride, node_stride, token_stride, nodes, vocabulary,
    threshold_single, reciprocal, NODES: tl.constexpr,
):  # fmt: skip
    """The child [NODES] that each node of a row would accept, -1 for none."""
    numbers = tl.arange(0, NODES)
    exists = numbers < nodes
    rows = target_probs + numbers.to(tl.int64) * node_stride
    coins = tl.load(uniform_samples + numbers * coin_stride, mask=exists, other=1.0)
    child = load_link(next_token, tl.where(exists, numbers, -1), child_stride, nodes)
    token = tl.load(candidates + child * candidate_stride, mask=child >= 0, other=-1)
    accepted = tl.full([NODES], -1, tl.int32)
    mass = tl.zeros([NODES], tl.float32)
    tries = 0
    # Links that lead in a circle end here too.
    while (tl.max(child, 0) >= 0) & (tries < nodes):
        known = (token >= 0) & (token < vocabulary)
        probability = tl.load(rows + token * token_stride, mask=known, other=0.0)
        # Before the probability is waited for.
        sibling = load_link(next_sibling, child, sibling_stride, nodes)
        token = tl.load(candidates + sibling * candidate_stride, mask=sibling >= 0, other=-1)
        mass += probability
        passes = (coins <= mass * reciprocal) | (probability >= threshold_single)
        accepted = tl.where(passes & (child >= 0) & (accepted < 0), child, accepted)
        child = sibling
        tries += 1
    return accepted


@triton.jit
def follow_path(accepted, nodes, NODES: tl.constexpr):
    """The nodes [NODES] of the path from node 0, those before them, its drafts, its last node."""
    numbers = tl.arange(0, NODES)
    path = tl.zeros([NODES], tl.int32)
    before = tl.zeros([NODES], tl.int32)
    length = 0
    last = 0
    child = pick(accepted, numbers, 0)
    while (child >= 0) & (length < nodes - 1):
        length += 1
        path = tl.where(numbers == length, child, path)
        before = tl.where(numbers == length, last, before)
        last = child
        child = pick(accepted, numbers, child)
    return path, before, length, last


@triton.jit
def write_path(
    candidates, retrive_index, predicts, accept_index, accept_token_num, path, before, length,
    candidate_stride, index_stride, places, NODES: tl.constexpr,
):  # fmt: skip
    """Outputs of a row but for the drawn token.  places: in predicts."""
    numbers = tl.arange(0, NODES)
    counted = numbers <= length
    at = tl.load(retrive_index + path * index_stride, mask=counted, other=-1)
    tl.store(accept_index + numbers, at.to(tl.int32), mask=counted)
    # Each accepted draft follows the node before it.
    onward = (numbers > 0) & counted
    place = tl.load(retrive_index + before * index_stride, mask=onward, other=-1)
    token = tl.load(candidates + path * candidate_stride, mask=onward, other=0)
    inside = (place >= 0) & (place < places)
    tl.store(predicts + place, token.to(tl.int32), mask=inside)
    tl.store(accept_token_num, length)


@triton.jit
def exclude_children(
    mass, tokens, candidates, next_token, next_sibling, last, candidate_stride, child_stride,
    sibling_stride, nodes,
):  # fmt: skip
    """Mass of tokens without the children of the last node, all of which were rejected."""
    child = tl.load(next_token + last * child_stride)
    tries = 0
    while (child >= 0) & (child < nodes) & (tries < nodes):
        token = tl.load(candidates + child * candidate_stride)
        mass = tl.where(tokens == token, 0.0, mass)
        child = tl.load(next_sibling + child * sibling_stride)
        tries += 1
    return mass


@triton.jit
def write_drawn(predicts, retrive_index, last, index_stride, token, vocabulary, places):
    """The drawn token at the place of the last node."""
    place = tl.load(retrive_index + last * index_stride)
    token = tl.where(token < 0, vocabulary - 1, token)
    tl.store(predicts + place, token, mask=(place >= 0) & (place < places))
