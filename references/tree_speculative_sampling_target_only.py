"""Verifying a tree of drafts: the accepted path, and the token that follows it.

The contract (sgl-project/sglang sgl-kernel/csrc/speculative/speculative_sampling.cuh @120affb9).
Node 0 of candidates i64 [B, N] is the token already accepted; retrive_next_token and
retrive_next_sibling i64 [B, N] give each node's first child and next sibling, -1 for none.  The
children of an accepted node c (0 at first) are tried in sibling order against row c of
target_probs f32 [B, N, V] with the coin uniform_samples[b, c]: with acc the sum of the
probabilities of the children tried so far, this one included, child x is accepted iff
coin <= acc / max(threshold_acc, 1e-9) or q(x) >= threshold_single.  Where no child passes, the
last token is drawn from row c without the rejected children, by the rule of
chain_speculative_sampling: first index with inclusive prefix > coin * sum, else the last token
with mass, else V-1.

retrive_index i64 [B, N] holds distinct places in [0, B*N).  predicts i32 [B*N]: at the place of
every node on the accepted path the token that follows it, the drawn one at the end; the rest is
unspecified.  accept_index i32 [B, S]: the places of the path from node 0 on; past
accept_token_num it is unspecified.  accept_token_num i32 [B]: accepted drafts, neither node 0 nor
the drawn token among them.  S, the number of speculative tokens, is N here, so that it never cuts
a path short.

draft_probs f32 [B, N, V] is scratch: zeros on entry, anything after the call.  The kernel marks
rejected tokens there, so that it needs the zeros; it does not use draft probabilities.
`deterministic` chooses between two ways of adding and leaves the contract alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .judging.elementwise import Array
from .judging.last_token import find_last_tokens, judge_last_tokens
from .judging.lossless import Emitted, judge_lossless
from .judging.replay import (
    Drafts,
    Ints,
    Replay,
    draw_tokens,
    explain_decision,
    replay,
    take_residual,
)
from .judging.selection import Mask
from .judging.verdict import Index, Judgement, Verdict

#: Stands in unspecified entries of the oracle's answer.
UNSPECIFIED = -1


def oracle(
    candidates: Ints,
    retrive_index: Ints,
    retrive_next_token: Ints,
    retrive_next_sibling: Ints,
    uniform_samples: Array,
    uniform_samples_for_final_sampling: Array,
    target_probs: Array,
    draft_probs: Array,
    threshold_single: float,
    threshold_acc: float,
    deterministic: bool,
) -> dict[str, Any]:
    """predicts i32 [B*N], accept_index i32 [B, N], accept_token_num i32 [B]."""
    del draft_probs, deterministic
    drafts = Drafts(
        candidates,
        retrive_next_token,
        retrive_next_sibling,
        uniform_samples,
        target_probs,
        threshold_single,
        threshold_acc,
    )
    walk = replay(drafts)
    last = draw_tokens(take_residual(drafts, walk), uniform_samples_for_final_sampling)
    places, on_path = place_path(retrive_index, walk)
    predicts = np.full(candidates.size, UNSPECIFIED, dtype=np.int32)
    predicts[places[on_path]] = follow_path(drafts, walk, last)[on_path]
    return {
        "predicts": predicts,
        "accept_index": np.where(on_path, places, UNSPECIFIED).astype(np.int32),
        "accept_token_num": walk.length.astype(np.int32),
    }


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge predicts [B*N], accept_index [B, N] and accept_token_num [B] for `oracle`'s inputs.

    Strict asks for nothing more: what rounding leaves open stays open, what is unspecified too.
    """
    del dtype, strict
    drafts = make_drafts(inputs)
    batch, _, vocabulary = drafts.target_probs.shape
    claimed = read_path(inputs["retrive_index"], outputs)
    walk = replay(drafts, claimed)
    judgement = Judgement()
    agrees = _judge_path(judgement, inputs, outputs, drafts, walk)
    predicts = outputs["predicts"].astype(np.int64)
    _judge_drafts(judgement, inputs, predicts, drafts, walk, agrees)
    places = inputs["retrive_index"][np.arange(batch), walk.last]
    coins = inputs["uniform_samples_for_final_sampling"]
    found = find_last_tokens(drafts, walk, predicts[places], coins)
    judge_last_tokens(
        judgement, "predicts", found, vocabulary, agrees, places, drafts.candidates.size
    )
    emitted = _list_emitted(inputs["retrive_index"], predicts, claimed)
    judge_lossless(judgement, "predicts", drafts, emitted)
    return judgement.verdict()


def make_drafts(inputs: Mapping[str, Any]) -> Drafts:
    """What the walk needs of the inputs."""
    return Drafts(
        candidates=inputs["candidates"],
        next_token=inputs["retrive_next_token"],
        next_sibling=inputs["retrive_next_sibling"],
        coins=inputs["uniform_samples"],
        target_probs=inputs["target_probs"],
        threshold_single=inputs["threshold_single"],
        threshold_acc=inputs["threshold_acc"],
    )


def place_path(retrive_index: Ints, walk: Replay) -> tuple[Ints, Mask]:
    """The places [B, N] of the nodes of a path, and where it has nodes [B, N]."""
    places = np.take_along_axis(retrive_index, np.maximum(walk.path, 0), axis=1)
    return places, walk.path >= 0


def follow_path(drafts: Drafts, walk: Replay, last: Ints) -> Ints:
    """The token [B, N] after each node of a path: the next draft, or the drawn one at the end."""
    onward = np.roll(np.maximum(walk.path, 0), -1, axis=1)
    tokens = np.take_along_axis(drafts.candidates, onward, axis=1)
    tokens[np.arange(len(tokens)), walk.length] = last
    return tokens


def read_path(retrive_index: Ints, outputs: Mapping[str, Any]) -> Ints:
    """The nodes [B, N] that accept_index names up to accept_token_num, -1 for what is no node."""
    named = outputs["accept_index"].astype(np.int64)
    same = named[:, :, None] == retrive_index[:, None, :]
    nodes = np.where(same.any(axis=2), same.argmax(axis=2), -1)
    counted = np.arange(nodes.shape[1]) <= outputs["accept_token_num"][:, None]
    return np.where(counted, nodes, -1)


def erase_unspecified(
    inputs: Mapping[str, Any], outputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The outputs with UNSPECIFIED where an answer, by its own account, may hold anything."""
    path = read_path(inputs["retrive_index"], outputs)
    places = np.take_along_axis(inputs["retrive_index"], np.maximum(path, 0), axis=1)
    kept = np.zeros(outputs["predicts"].shape, dtype=bool)
    kept[places[path >= 0]] = True
    return {
        "predicts": np.where(kept, outputs["predicts"], UNSPECIFIED),
        "accept_index": np.where(path >= 0, outputs["accept_index"], UNSPECIFIED),
        "accept_token_num": outputs["accept_token_num"],
    }


def find_due(inputs: Mapping[str, Any]) -> dict[str, Mask]:
    """Masks of what every right answer writes, by output: the path up to the first doubt."""
    walk = replay(make_drafts(inputs))
    places, on_path = place_path(inputs["retrive_index"], walk)
    on_path = on_path & ((np.arange(on_path.shape[1]) == 0) | ~walk.doubtful[:, None])
    predicts = np.zeros(places.size, dtype=bool)
    predicts[places[on_path]] = True
    return {"predicts": predicts, "accept_index": on_path}


def _judge_path(
    judgement: Judgement,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    drafts: Drafts,
    walk: Replay,
) -> Mask:
    """Check accept_token_num and accept_index; returns the rows [B] where both hold."""
    count, index = outputs["accept_token_num"], outputs["accept_index"]
    places, on_path = place_path(inputs["retrive_index"], walk)
    wrong_count, wrong_index = count != walk.length, on_path & (index != places)
    judgement.exact(
        "accept_token_num",
        wrong_count,
        output="accept_token_num",
        found=count,
        wanted=lambda at: (
            f"{walk.length[at]} ({_explain_count(drafts, walk, at[0], int(count[at]))})"
        ),
    )

    def describe_place(at: Index) -> str:
        reason = explain_decision(drafts, walk, at[0], int(walk.path[at])) if at[1] else "the root"
        return f"{places[at]}: node {walk.path[at]} ({reason})"

    judgement.exact(
        "accept_index", wrong_index, output="accept_index", found=index, wanted=describe_place
    )
    return np.asarray(~wrong_count & ~wrong_index.any(axis=1))


def _explain_count(drafts: Drafts, walk: Replay, row: int, count: int) -> str:
    """Where the path goes on after `count` drafts, or why it ends where it does."""
    if 0 <= count < walk.length[row]:
        return explain_decision(drafts, walk, row, int(walk.path[row, count + 1]))
    tried = np.flatnonzero(walk.rejected[row])
    if not tried.size:
        return f"node {walk.last[row]} has no children"
    return "; ".join(explain_decision(drafts, walk, row, int(node)) for node in tried[:4])


def _judge_drafts(
    judgement: Judgement,
    inputs: Mapping[str, Any],
    predicts: Ints,
    drafts: Drafts,
    walk: Replay,
    rows: Mask,
) -> None:
    """Check the accepted drafts in predicts, for `rows` [B]."""
    places, on_path = place_path(inputs["retrive_index"], walk)
    due = on_path & (np.arange(places.shape[1]) < walk.length[:, None]) & rows[:, None]
    wanted = np.full(predicts.shape, UNSPECIFIED, dtype=np.int64)
    wanted[places[due]] = follow_path(drafts, walk, walk.last)[due]
    judgement.exact(
        "accepted_tokens",
        (wanted != UNSPECIFIED) & (predicts != wanted),
        output="predicts",
        found=predicts,
        wanted=wanted,
    )


def _list_emitted(retrive_index: Ints, predicts: Ints, claimed: Ints) -> dict[str, Emitted]:
    """The tokens that an answer emits at the first two positions, by its own account."""
    rows = np.arange(len(claimed))
    emitted = {}
    for position, name in enumerate(("first token", "second token")[: claimed.shape[1]]):
        nodes = np.maximum(claimed[:, position], 0)
        tokens = predicts[retrive_index[rows, nodes]]
        emitted[name] = Emitted(tokens, nodes, claimed[:, position] >= 0)
    return emitted
