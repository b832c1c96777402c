"""DFlash verification from logits: temperature, top-k, top-p, then a chain of drafts.

The contract.  Row j of target_logits [B, N, V] (as the model gives them: float32, or bfloat16)
is what follows candidate j of candidates i64 [B, N], whose column 0 is the token already accepted.
For a sequence b that samples, row j becomes a distribution q: softmax(logits / temperatures[b]);
the top_k[b] likeliest tokens are kept and divided by their sum; of these the likeliest whose mass
strictly above is below top_p[b], and divided again.  Then the drafts are verified as the op
chain_speculative_sampling does: accepted iff coin <= q(x) / max(threshold_acc, 1e-9) or
q(x) >= threshold_single, and the bonus token is drawn from row accept_length, without the draft
that was rejected there.

A sequence is greedy iff its temperature is below 1e-6 or its top_k is 1.  It looks at no coin and
no threshold: a draft is accepted iff it is the argmax of its row, the lowest index among equals,
and the bonus token is the argmax of row accept_length.  Greedy and sampling sequences may share a
batch.  Any of several equal largest logits passes by default, so long as sequences that differ in
nothing but their coins get the same answer; strict asks for the lowest index.

Sources: sgl-project/sglang python/sglang/srt/speculative/dflash_utils.py @00731f0, whose order is
top-k, then top-p, and whose greedy rule is compute_dflash_accept_len_and_bonus; its sampling
parameters turn a temperature below 1e-6 into temperature 1 and top_k 1.  There a greedy sequence
in a batch that samples goes through the coins with top_k 1: it differs from the rule here where a
coin is exactly 0, where threshold_single is 0, and where largest logits tie and all are kept.
The change that brought the ROCm fallbacks is sgl-project/sglang#23388.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from . import chain_speculative_sampling as chain
from . import top_k_top_p_renorm_probs as filters
from .judging.blocks import BLOCK_ELEMENTS
from .judging.elementwise import Array
from .judging.logit_walk import SETTINGS, Walk, find_greedy, walk_logits
from .judging.lossless import judge_lossless
from .judging.replay import Drafts, Ints, draw_tokens, link_chain
from .judging.sampling import SMALLEST_SAMPLE
from .judging.selection import Mask
from .judging.verdict import Index, Judgement, Verdict, format_element, merge


def oracle(
    target_logits: Array,
    candidates: Ints,
    temperatures: Array,
    top_k: Ints,
    top_p: Array,
    uniform_samples: Array,
    uniform_samples_for_final_sampling: Array,
    threshold_single: float,
    threshold_acc: float,
) -> dict[str, Any]:
    """accept_length i32 [B] in [0, N-1], bonus_token i32 [B] in [0, V)."""
    target_probs = filter_logits(target_logits, temperatures, top_k, top_p)
    answer = chain.oracle(
        candidates,
        target_probs,
        uniform_samples,
        uniform_samples_for_final_sampling,
        threshold_single,
        threshold_acc,
    )
    best = target_logits.argmax(axis=2)
    length = np.cumprod(candidates[:, 1:] == best[:, :-1], axis=1).sum(axis=1)
    greedy = find_greedy(temperatures, top_k)
    follows = {"accept_length": length, "bonus_token": best[np.arange(len(best)), length]}
    return {
        name: np.where(greedy, follows[name], sampled).astype(np.int32)
        for name, sampled in answer.items()
    }


def filter_logits(target_logits: Array, temperatures: Array, top_k: Ints, top_p: Array) -> Array:
    """The distributions f64 [B, N, V] that drafts are held against.

    Greedy sequences have none of their own; theirs are those of temperature 1 and top_k 1.
    """
    _, nodes, vocabulary = target_logits.shape
    greedy = find_greedy(temperatures, top_k)
    warm = np.repeat(np.where(greedy, 1.0, temperatures), nodes)[:, None]
    ranks, masses = np.repeat(np.where(greedy, 1, top_k), nodes), np.repeat(top_p, nodes)
    logits = target_logits.reshape(-1, vocabulary)
    filtered = np.zeros(logits.shape)
    step = max(BLOCK_ELEMENTS // vocabulary, 1)
    for start in range(0, len(logits), step):
        rows = slice(start, start + step)
        weights = logits[rows] / warm[rows]
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))
        filtered[rows] = _filter_rows(weights, ranks[rows], masses[rows])
    return filtered.reshape(target_logits.shape)


def _filter_rows(weights: Array, top_k: Ints, top_p: Array) -> Array:
    """Weights [R, V] after both filters; only the columns that top-k can keep are sorted."""
    vocabulary = weights.shape[1]
    floor_at = vocabulary - int(np.clip(top_k.max(), 1, vocabulary))
    floor = np.partition(weights, floor_at, axis=1)[:, floor_at, None]
    width = int((weights >= floor).sum(axis=1).max())
    columns = np.argpartition(weights, vocabulary - width, axis=1)[:, vocabulary - width :]
    chosen = np.take_along_axis(weights, columns, axis=1)
    chosen /= chosen.sum(axis=1, keepdims=True)
    kept = filters.oracle(chosen, top_k.astype(float), top_p, "top_k_first")["renorm_probs"]
    filtered = np.zeros(weights.shape)
    np.put_along_axis(filtered, columns, kept, axis=1)
    return filtered


def judge(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, dtype: str, strict: bool
) -> Verdict:
    """Judge accept_length [B] and bonus_token [B] for the inputs of `oracle`.

    Decisions within float32 rounding of their threshold follow the answer.  Strict keeps tokens
    that tie at the boundary of top-k and top-p whole, and wants the lowest of equal largest logits.
    """
    del dtype  # the logits are exact in either
    length = np.asarray(outputs["accept_length"]).astype(np.int64)
    bonus = np.asarray(outputs["bonus_token"]).astype(np.int64)
    greedy = find_greedy(inputs["temperatures"], inputs["top_k"])
    walk = walk_logits(inputs, length, bonus, greedy, strict)
    judgement = Judgement()
    agrees = _judge_length(judgement, inputs, walk, length)
    judgement.bounded(
        "last_token",
        np.where(agrees & ~greedy, walk.error, 0.0),
        walk.limit,
        output="bonus_token",
        found=lambda at: _describe_token(inputs, at[0], int(length[at]), int(bonus[at])),
        wanted=lambda at: _describe_draw(inputs, at[0], int(length[at])),
        detail="distance of coin * sum from the token's part of the cumulative sum, over rounding",
    )
    judgement.exact(
        "greedy_token",
        agrees & greedy & (walk.error > 0.0),
        output="bonus_token",
        found=bonus,
        wanted=lambda at: _describe_best(inputs, at[0], int(length[at])),
    )
    _judge_repeats(judgement, inputs, greedy, {"accept_length": length, "bonus_token": bonus})
    if len(length) >= SMALLEST_SAMPLE and not greedy.any():
        _judge_distribution(judgement, inputs, length, bonus)
    return merge(judgement.verdict())


def _judge_length(
    judgement: Judgement, inputs: Mapping[str, Any], walk: Walk, length: Ints
) -> Mask:
    """Check accept_length against the decisions on its path; returns the sequences that pass."""
    nodes = walk.low.shape[1]
    steps = np.arange(nodes)
    decides = steps < nodes - 1
    short = (steps == length[:, None]) & walk.must_accept & decides
    long = (steps < length[:, None]) & walk.must_reject & decides
    outside = (length < 0) | (length >= nodes)
    bad = short | long
    first = bad.argmax(axis=1)

    def describe_wanted(at: Index) -> str:
        row, node = at[0], int(first[at])
        if not bad[row, node]:
            return f"a number in [0, {nodes})"
        words = f"{node} at most" if long[row, node] else f"more than {node}"
        return f"{words} ({_describe_decision(inputs, walk, row, node)})"

    wrong = bad.any(axis=1) | outside
    judgement.exact(
        "accept_length", wrong, output="accept_length", found=length, wanted=describe_wanted
    )
    return np.asarray(~wrong)


def _describe_decision(inputs: Mapping[str, Any], walk: Walk, row: int, node: int) -> str:
    token = inputs["candidates"][row, node + 1]
    verb = "accepted" if walk.must_accept[row, node] else "rejected"
    words = f"draft {token} after node {node} is {verb}: "
    if find_greedy(inputs["temperatures"][row], inputs["top_k"][row]):
        return words + f"the argmax is {int(inputs['target_logits'][row, node].argmax())}"
    coin = format_element(inputs["uniform_samples"][row, node])
    ends = (format_element(bound[row, node]) for bound in (walk.low, walk.high))
    return words + f"coin {coin} is held against {' to '.join(ends)}"


def _describe_best(inputs: Mapping[str, Any], row: int, node: int) -> str:
    logits = inputs["target_logits"][row, node]
    best = int(logits.argmax())
    return f"token {best} (its logit {format_element(logits[best])} is the largest)"


def _describe_token(inputs: Mapping[str, Any], row: int, node: int, token: int) -> str:
    """A drawn token, and what speaks against it if it could not be drawn with any coin."""
    share = _filter_row(inputs, row, node)
    if not 0 <= token < len(share):
        fault = "not in the vocabulary"
    elif token == _find_rejected(inputs, row, node):
        fault = "rejected as a draft, drawn again"
    elif share[token] == 0.0:
        fault = "dropped by the filters"
    else:
        fault = f"its probability is {format_element(share[token])}"
    return f"token {token} ({fault})"


def _describe_draw(inputs: Mapping[str, Any], row: int, node: int) -> str:
    share = _filter_row(inputs, row, node)
    rejected = _find_rejected(inputs, row, node)
    if rejected is not None:
        share[rejected] = 0.0
    coins = inputs["uniform_samples_for_final_sampling"][row : row + 1]
    due = draw_tokens(share[None], coins)[0]
    return f"token {due} (coin * sum is {format_element(coins[0] * share.sum())})"


def _filter_row(inputs: Mapping[str, Any], row: int, node: int) -> Array:
    """The distribution [V] after a node."""
    logits = inputs["target_logits"][row : row + 1, node : node + 1]
    settings = (inputs[name][row : row + 1] for name in SETTINGS)
    return np.asarray(filter_logits(logits, *settings)[0, 0])


def _find_rejected(inputs: Mapping[str, Any], row: int, node: int) -> int | None:
    """The draft after a node, None after the last."""
    drafts = inputs["candidates"][row, node + 1 :]
    return int(drafts[0]) if len(drafts) else None


def _judge_repeats(
    judgement: Judgement, inputs: Mapping[str, Any], greedy: Mask, outputs: Mapping[str, Ints]
) -> None:
    """Greedy sequences of the same inputs but for their coins get one answer."""
    first: dict[bytes, int] = {}
    earlier = np.arange(len(greedy))
    for row in map(int, np.flatnonzero(greedy)):
        key = blake2b()
        for name in ("target_logits", "candidates", "temperatures", "top_k"):
            key.update(inputs[name][row].tobytes())
        earlier[row] = first.setdefault(key.digest(), row)
    for name, values in outputs.items():
        judgement.exact(
            "greedy_repeats",
            values != values[earlier],
            output=name,
            found=values,
            wanted=partial(_describe_earlier, values, earlier),
            detail="greedy sequences that differ in nothing but their coins have one answer",
        )


def _describe_earlier(values: Ints, earlier: Ints, at: Index) -> str:
    return f"{values[earlier[at]]}, as sequence {earlier[at]} has it"


def _judge_distribution(
    judgement: Judgement, inputs: Mapping[str, Any], length: Ints, bonus: Ints
) -> None:
    """Where verification is lossless: whether the emitted tokens follow the filtered target."""
    candidates = inputs["candidates"]
    settings = (inputs[name] for name in SETTINGS)
    drafts = Drafts(
        candidates,
        *link_chain(*candidates.shape),
        coins=inputs["uniform_samples"],
        target_probs=filter_logits(inputs["target_logits"], *settings),
        threshold_single=inputs["threshold_single"],
        threshold_acc=inputs["threshold_acc"],
    )
    judge_lossless(judgement, "bonus_token", drafts, chain.list_emitted(drafts, length, bonus))
