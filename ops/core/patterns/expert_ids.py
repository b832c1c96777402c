"""Contents of topk_ids [tokens, topk]: `fill(rng, tokens, experts, topk)`.

Ids are unique in a row and in [0, experts), but for the patterns in `OUT_OF_CONTRACT`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.patterns.pattern import Pattern, table

Ids = NDArray[np.int64]
Rng = np.random.Generator


#: The pattern whose rows past the local ones go through `spoil_padded_rows`.
STALE_ROWS = "stale_rows"


def _uniform(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    """Floyd's choice of k out of E for all rows at once, then a shuffle of each row."""
    ids = np.full((tokens, topk), -1, dtype=np.int64)
    for slot, last in enumerate(range(experts - topk, experts)):
        pick = rng.integers(0, last + 1, tokens)
        taken = (ids[:, :slot] == pick[:, None]).any(axis=1)
        ids[:, slot] = np.where(taken, last, pick)
    return rng.permuted(ids, axis=1)


def _zipf(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    """Popularity 1 / rank, drawn without replacement (Gumbel top-k)."""
    popularity = -np.log(rng.permutation(experts) + 1.0)
    keys = popularity + rng.gumbel(size=(tokens, experts))
    return np.argsort(-keys, axis=1)[:, :topk]


def _same_experts(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    return np.tile(rng.permutation(np.arange(experts - topk, experts)), (tokens, 1))


def _hot_expert(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    """Expert E-1 in a random slot of every row."""
    ids = _with_last(rng, tokens, experts, topk)
    return rng.permuted(ids, axis=1)


def _with_last(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    others = _uniform(rng, tokens, experts - 1, topk - 1)
    return np.concatenate([others, np.full((tokens, 1), experts - 1)], axis=1)


def _balanced(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    del rng
    return np.arange(tokens * topk).reshape(tokens, topk) % experts


def _empty_experts(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    """As few experts as two rows can fill, anywhere among all of them."""
    used = rng.permutation(experts)[: min(2 * topk, experts)]
    return used[_uniform(rng, tokens, len(used), topk)]


def spoil_padded_rows(rng: Rng, ids: Ids, local: int, experts: int) -> Ids:
    """The ids with rows from `local` on replaced by what uninitialised memory may hold."""
    wild = rng.choice([-1, experts, -(2**31), 2**31 - 1], ids.shape)
    return np.where(np.arange(len(ids))[:, None] < local, ids, wild)


def _negative_ids(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    ids = _uniform(rng, tokens, experts, topk)
    ids[rng.random(ids.shape) < 0.25] = -1
    ids[::8] = -1
    return ids


def _ids_past_end(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    ids = _uniform(rng, tokens, experts, topk)
    wild = rng.choice([experts, experts + 1, 2**16, 2**31 - 1], ids.shape)
    return np.where(rng.random(ids.shape) < 0.25, wild, ids)


def _duplicates(rng: Rng, tokens: int, experts: int, topk: int) -> Ids:
    ids = _uniform(rng, tokens, experts, topk)
    ids[:, -1] = ids[:, 0]
    ids[::4] = ids[::4, :1]
    return ids


PATTERNS = table(
    Pattern("uniform", "experts drawn uniformly, without replacement in a row", _uniform),
    Pattern("zipf", "popularity 1 / rank: some experts crowded, most nearly empty", _zipf),
    Pattern(
        "same_experts",
        "every token to the last k experts, all others empty; k = 1: all to one expert",
        _same_experts,
    ),
    Pattern("hot_expert", "one expert in every row, in any slot, the others uniform", _hot_expert),
    Pattern(
        "shared_expert",
        "the fused shared expert E-1 in the last slot of every row, the others uniform",
        _with_last,
        "ROCm/aiter configs/model_configs, shapes (257, 9) (385, 7) (513, 11) @e4048607",
    ),
    Pattern("balanced", "experts in turn: equal counts, no padding where they fit", _balanced),
    Pattern("empty_experts", "at most 2k experts in use, the rest empty", _empty_experts),
    Pattern(
        STALE_ROWS,
        "uniform; rows past the local ones, which nobody may use, hold no expert",
        _uniform,
        "ROCm/aiter op_tests/test_moe_sorting.py, padding_extra @e4048607",
    ),
    Pattern(
        "negative_ids",
        "out of contract: -1 in a quarter of the places, and whole rows of it",
        _negative_ids,
        "ROCm/aiter#4827, #4636, #5295 (a negative id writes before the expert mesh)",
    ),
    Pattern(
        "ids_past_end",
        "out of contract: ids from E to 2^31 - 1 in a quarter of the places",
        _ids_past_end,
        "ROCm/aiter#2447, #2644 (stale ids and sentinels used as indices)",
    ),
    Pattern(
        "duplicates",
        "out of contract: an expert twice in a row, and rows of one expert",
        _duplicates,
        "ROCm/aiter moe_sorting's expert x token mesh holds one slot a pair (@e4048607)",
    ),
)

#: Patterns no contract covers, and why: judged for crash, hang and access out of bounds only.
OUT_OF_CONTRACT = {
    "negative_ids": "ids below zero",
    "ids_past_end": "ids from E on",
    "duplicates": "an expert twice in a row",
}
