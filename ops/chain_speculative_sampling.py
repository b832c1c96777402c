"""chain_speculative_sampling: how many drafts of a chain are accepted, and the bonus token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.drafts import CHAIN_PATTERNS
from rocmoe.ops.core.spec import Argument, Cost, Inputs, OpSpec, Row, compare_nothing
from rocmoe.ops.families.speculative import (
    CANDIDATES,
    COINS,
    SPECULATIVE_SIZES,
    TARGET_PROBS,
    THRESHOLD_INPUTS,
    THRESHOLDS,
    check_verification,
    draw_tokens,
    draw_verification,
    look_again,
    make_row,
    size_by_model,
    verification_degenerate,
)
from rocmoe.references import chain_speculative_sampling as reference
from rocmoe.references.judging.replay import SMALLEST_THRESHOLD, link_chain


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """Every input by the case's pattern."""
    batch, nodes = case.sizes["B"], case.sizes["N"]
    parents = np.tile(np.arange(nodes) - 1, (batch, 1))
    return draw_verification(case, rng, parents, *link_chain(batch, nodes))


def run_torch(
    candidates: Any,
    target_probs: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    threshold_single: float,
    threshold_acc: float,
) -> tuple[Any, Any]:
    """accept_length i32 [B], bonus_token i32 [B]; sums in float64."""
    length = count_accepted(
        candidates, target_probs, uniform_samples, threshold_single, threshold_acc
    )
    mass = take_residual(candidates, target_probs, length)
    bonus = draw_tokens(mass, uniform_samples_for_final_sampling)
    return length.int(), bonus.int()


def count_accepted(
    candidates: Any,
    target_probs: Any,
    uniform_samples: Any,
    threshold_single: float,
    threshold_acc: float,
) -> Any:
    """How many drafts [B] pass before the first that does not."""
    accepted = find_passing(
        candidates, target_probs, uniform_samples, threshold_single, threshold_acc
    )
    return accepted.long().cumprod(dim=1).sum(dim=1)


def find_passing(
    candidates: Any,
    target_probs: Any,
    uniform_samples: Any,
    threshold_single: float,
    threshold_acc: float,
) -> Any:
    """Whether each draft [B, N-1] passes, as if all before it had."""
    probability = target_probs[:, :-1].gather(2, candidates[:, 1:, None])[:, :, 0]
    bar = probability / max(threshold_acc, SMALLEST_THRESHOLD)
    return (uniform_samples[:, :-1] <= bar) | (probability >= threshold_single)


def take_residual(candidates: Any, target_probs: Any, length: Any) -> Any:
    """Row `length` [B] of target_probs without the draft that was rejected there, [B, V]."""
    import torch

    batch, nodes = candidates.shape
    rows = torch.arange(batch, device=candidates.device)
    mass = target_probs[rows, length]
    rejected = candidates[rows, (length + 1).clamp(max=nodes - 1)]
    kept = torch.where(length < nodes - 1, 0.0, mass[rows, rejected])
    return mass.scatter(1, rejected[:, None], kept[:, None])


def cost(case: Case) -> Cost:
    """One row of target_probs a sequence, candidates, coins and single probabilities; two sums."""
    batch, nodes, vocabulary = (case.sizes[size] for size in "BNV")
    small = batch * nodes * (8 + 4) + batch * (nodes - 1) * 4 + batch * 4
    return Cost(batch * vocabulary * 4 + small, batch * 8, 2 * batch * vocabulary)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """Three drafts over the model's vocabulary."""
    return size_by_model(model, 4)


#: B, V, N of zhentaocc/aiter op_tests/test_sampling.py @0f51c7e3, and its thresholds.
_GRID = [
    (batch, nodes, vocabulary, single, acc)
    for batch in (1, 4, 16)
    for vocabulary in (128, 1024, 32000)
    for nodes in (2, 4, 8)
    for single, acc in ((1.0, 1.0), (0.5, 0.8))
]
_GRID_SOONER = {
    (4, 4, 1024, 1.0, 1.0): "smoke",
    (16, 8, 128, 0.5, 0.8): "smoke",
    (1, 2, 128, 1.0, 1.0): "quick",
    (16, 2, 1024, 1.0, 1.0): "quick",
    (4, 8, 1024, 0.5, 0.8): "quick",
    (4, 2, 32000, 1.0, 1.0): "quick",
    (1, 4, 32000, 0.5, 0.8): "quick",
}


def _list_grid() -> tuple[Row, ...]:
    return tuple(
        make_row(_GRID_SOONER.get(at, "full"), *at[:3], "normal", "the aiter fork's own grid",
                 single=at[3], acc=at[4])
        for at in _GRID
    )  # fmt: skip


CASES = (
    *_list_grid(),
    make_row("quick", 4096, 3, 128, "lossless", "tokens must follow the target, and do not where "
             "the rejected draft is kept"),
    make_row("quick", 2048, 2, 500, "lossless", "a larger vocabulary, a single draft"),
    make_row("quick", 99, 4, 111, "one_hot", "only the hot token can be emitted"),
    make_row("quick", 64, 6, 128, "cdf_edges", "coins on thresholds and edges: <= and >"),
    make_row("quick", 32, 4, 1000, "cdf_edges", "edges between tokens without mass"),
    make_row("quick", 32, 4, 111, "cdf_edges", "rounded thresholds may go either way",
             single=0.7, acc=0.8),
    make_row("quick", 64, 5, 1024, "zero_prob", "coin 0 accepts probability 0"),
    make_row("quick", 33, 8, 512, "all_accepted", "the bonus comes from the last row, in full"),
    make_row("quick", 33, 8, 512, "all_rejected", "the bonus comes from row 0, without the draft"),
    make_row("quick", 16, 4, 1024, "normal", "thresholds of 0: everything is accepted",
             single=0.0, acc=0.0),
    make_row("quick", 64, 6, 128, "cdf_edges", "drafts of exactly threshold_single are accepted",
             single=0.5),
    make_row("quick", 64, 6, 128, "normal", "threshold_acc 0 is held up by 1e-9", acc=0.0),
    make_row("quick", 256, 6, 128, "peaked", "1e-9 and no more: probabilities below 1e-6", acc=0.0),
    make_row("quick", 64, 6, 128, "peaked", "probabilities that underflow", single=0.5),
    make_row("quick", 16, 4, 4096, "flat", "no token stands out"),
    make_row("quick", 64, 6, 60, "ties", "tied probabilities", single=0.5, acc=0.8),
    make_row("quick", 64, 6, 128, "zero_rows", "nothing to draw from: V-1"),
    make_row("quick", 64, 5, 1023, "normal", "not a multiple of 4: no vector loads"),
    make_row("quick", 1, 3, 151937, "normal", "one past Qwen's vocabulary"),
    make_row("quick", 7, 4, 160, "normal", "row stride 170", layout="strided"),
    make_row("quick", 7, 4, 128, "normal", "base pointers not 16-byte aligned", layout="offset"),
    make_row("quick", 7, 4, 2048, "normal", "a stride where a row needs several rounds",
             layout="strided"),
    make_row("quick", 7, 4, 2048, "normal", "offset where a row needs several rounds",
             layout="offset"),
    make_row("quick", 7, 32, 128, "all_accepted", "twice DFlash's block of 16"),
    make_row("quick", 16, 1, 128, "normal", "no drafts: only the bonus"),
    make_row("quick", 0, 4, 128, "normal", "no sequences"),
    make_row("full", 2048, 2, 1000, "lossless", "a thousand tokens"),
    make_row("full", 8192, 2, 32, "lossless", "a vocabulary of as many tokens as bins"),
    make_row("full", 4, 4, 151936, "normal", "Qwen's vocabulary"),
    make_row("full", 2, 16, 151936, "all_accepted", "DFlash's block of 16", single=0.5, acc=0.8),
    make_row("full", 99, 8, 111, "normal", "FlashInfer's smallest vocabulary"),
    make_row("full", 16, 4, 128256, "flat", "Llama's vocabulary, no token stands out"),
    make_row("full", 300, 8, 512, "cdf_edges", "many edges"),
)  # fmt: skip

SPEC = OpSpec(
    name="chain_speculative_sampling",
    summary="accepted drafts of a chain, and the token that follows them",
    source="sgl-project/sglang DFlash through sgl-kernel/csrc/speculative/speculative_sampling.cuh "
    "@120affb9; signature of zhentaocc/aiter csrc/cpp_itfs/sampling @0f51c7e3 (sglang#23388)",
    sizes=SPECULATIVE_SIZES,
    dtypes=("fp32",),
    params=THRESHOLDS,
    patterns=tuple(CHAIN_PATTERNS),
    inputs=(CANDIDATES, TARGET_PROBS, *COINS, *THRESHOLD_INPUTS),
    outputs=(
        Argument("accept_length", ("B",), "i32", doc="accepted drafts"),
        Argument("bonus_token", ("B",), "i32", doc="the token drawn after them"),
    ),
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=cost,
    canonical=compare_nothing,
    degenerate=verification_degenerate,
    refuse_case=check_verification,
    from_model=from_model,
    second_look=look_again,
)
