"""Verifying a chain of drafts: how many are accepted, and the token that follows them.

The contract.  candidates i64 [B, N]: column 0 is the token already accepted, columns 1 to N-1 the
drafts.  Row j of target_probs f32 [B, N, V] is the distribution after candidate j, and decides
over draft x = candidates[b, j + 1] with the coin uniform_samples[b, j]: x is accepted iff
coin <= q(x) / max(threshold_acc, 1e-9) or q(x) >= threshold_single.  The first rejection ends it.
The bonus token comes from row accept_length, without the rejected draft if there was one: the
first index whose inclusive prefix exceeds uniform_samples_for_final_sampling[b] * sum; else the
last token with mass; V-1 where none has any.  The last coin of uniform_samples decides nothing.

That is what sglang computes for DFlash through its tree kernel with one draft a level
(sgl-project/sglang sgl-kernel/csrc/speculative/speculative_sampling.cuh @120affb9).  The kernel
that zhentaocc/aiter proposes under this name (csrc/cpp_itfs/sampling/sampling.cuh @0f51c7e3) takes
the same arguments and leaves the rejected draft in the draw; it does not meet this contract.
FlashInfer's kernel of this name takes draft probabilities and is another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .judging.elementwise import Array
from .judging.last_token import find_last_tokens, judge_last_tokens
from .judging.lossless import Emitted, judge_lossless
from .judging.replay import (
    SMALLEST_THRESHOLD,
    Drafts,
    Ints,
    Replay,
    draw_tokens,
    explain_decision,
    link_chain,
    replay,
)
from .judging.selection import Mask
from .judging.verdict import Index, Judgement, Verdict


def oracle(
    candidates: Ints,
    target_probs: Array,
    uniform_samples: Array,
    uniform_samples_for_final_sampling: Array,
    threshold_single: float,
    threshold_acc: float,
) -> dict[str, Any]:
    """accept_length i32 [B] in [0, N-1], bonus_token i32 [B] in [0, V)."""
    rows = np.arange(len(candidates))
    steps = np.arange(candidates.shape[1] - 1)
    drafts = candidates[:, 1:]
    probability = target_probs[rows[:, None], steps, drafts]
    accepted = uniform_samples[:, :-1] <= probability / max(threshold_acc, SMALLEST_THRESHOLD)
    accepted |= probability >= threshold_single
    length = np.cumprod(accepted, axis=1).sum(axis=1)
    left = target_probs[rows, length]
    stopped = np.flatnonzero(length < len(steps))
    left[stopped, drafts[stopped, length[stopped]]] = 0.0
    bonus = draw_tokens(left, uniform_samples_for_final_sampling)
    return {"accept_length": length.astype(np.int32), "bonus_token": bonus.astype(np.int32)}


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge accept_length [B] and bonus_token [B] for the inputs of `oracle`.

    Strict asks for nothing more: what rounding leaves open stays open.
    """
    del dtype, strict
    drafts = make_drafts(inputs)
    batch, nodes, vocabulary = drafts.target_probs.shape
    length = outputs["accept_length"].astype(np.int64)
    bonus = outputs["bonus_token"].astype(np.int64)
    steps = np.arange(nodes)
    walk = replay(drafts, np.where(steps <= length[:, None], steps, -1))
    judgement = Judgement()
    agrees = _judge_length(judgement, drafts, walk, length)
    found = find_last_tokens(drafts, walk, bonus, inputs["uniform_samples_for_final_sampling"])
    places = np.arange(batch)
    judge_last_tokens(judgement, "bonus_token", found, vocabulary, agrees, places, batch)
    judge_lossless(judgement, "bonus_token", drafts, list_emitted(drafts, length, bonus))
    return judgement.verdict()


def make_drafts(inputs: Mapping[str, Any]) -> Drafts:
    """The chain as a tree without siblings."""
    return Drafts(
        inputs["candidates"],
        *link_chain(*inputs["candidates"].shape),
        coins=inputs["uniform_samples"],
        target_probs=inputs["target_probs"],
        threshold_single=inputs["threshold_single"],
        threshold_acc=inputs["threshold_acc"],
    )


def _judge_length(judgement: Judgement, drafts: Drafts, walk: Replay, length: Ints) -> Mask:
    """Check that accept_length is what the coins say; returns the rows [B] where it is."""
    last = drafts.candidates.shape[1] - 1

    def describe_wanted(at: Index) -> str:
        right = int(walk.length[at])
        first = int(np.clip(min(right, length[at]) + 1, 1, last)) if last else 0
        reason = explain_decision(drafts, walk, at[0], first) if last else "there are no drafts"
        return f"{right} ({reason})"

    judgement.exact(
        "accept_length",
        length != walk.length,
        output="accept_length",
        found=length,
        wanted=describe_wanted,
    )
    return np.asarray(length == walk.length)


def list_emitted(drafts: Drafts, length: Ints, bonus: Ints) -> dict[str, Emitted]:
    """The tokens that an answer emits at the first two positions, by its own account."""
    batch, nodes = drafts.candidates.shape
    emitted = {}
    for position, name in enumerate(("first token", "second token")[:nodes]):
        draft = drafts.candidates[:, min(position + 1, nodes - 1)]
        tokens = np.where(length > position, draft, bonus)
        at = np.full(batch, position, dtype=np.int64)
        emitted[name] = Emitted(tokens, at, length >= position)
    return emitted
