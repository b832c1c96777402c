"""What the speculative verification ops share in their declarations, and the torch draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.inputs import round_to
from rocmoe.ops.core.patterns.drafts import PATTERNS
from rocmoe.ops.core.spec import Argument, Inputs, Param, Row
from rocmoe.references.judging.replay import Drafts, replay, take_residual
from rocmoe.references.judging.sampling import SECOND_LOOK_ROWS

Ints = NDArray[np.int64]

SPECULATIVE_SIZES = {
    "B": "sequences (batch)",
    "N": "candidates of a sequence: the accepted token and its drafts",
    "V": "vocabulary",
}

THRESHOLDS = {
    "threshold_single": Param("float", "a draft of at least this probability is accepted"),
    "threshold_acc": Param("float", "coins are held against a probability divided by this"),
}

THRESHOLD_INPUTS = (
    Argument("threshold_single", doc="probability from which a draft is always accepted"),
    Argument("threshold_acc", doc="divisor of probabilities, at least 1e-9"),
)

CANDIDATES = Argument("candidates", ("B", "N"), "i64", doc="the accepted token, then drafts")
TARGET_PROBS = Argument("target_probs", ("B", "N", "V"), "fp32", doc="the target after each node")
COINS = (
    Argument("uniform_samples", ("B", "N"), "fp32", doc="a coin for the children of each node"),
    Argument("uniform_samples_for_final_sampling", ("B",), "fp32", doc="the last token's coin"),
)


def make_row(
    suite: str, B: int, N: int, V: int, pattern: str, why: str, *,
    single: float = 1.0, acc: float = 1.0, layout: str = "contiguous", **params: Value,
) -> Row:  # fmt: skip
    """A declared case with thresholds `single` and `acc`."""
    params = {"threshold_single": single, "threshold_acc": acc, **params}
    return Row(suite, {"B": B, "N": N, "V": V}, "fp32", params, pattern, layout, why)


def draw_verification(
    case: Case, rng: np.random.Generator, parents: Ints, next_token: Ints, next_sibling: Ints
) -> Inputs:
    """The inputs that both ops have, by the case's pattern, for nodes that hang on `parents`."""
    pattern = PATTERNS[case.pattern]
    sizes = case.sizes
    target_probs = round_to(pattern.fill(rng, sizes["B"], sizes["N"], sizes["V"]), "fp32")
    candidates = pattern.draft(rng, target_probs, parents)
    bars = add_siblings(target_probs, candidates, parents)
    coins = round_to(pattern.toss(rng, bars, parents), "fp32")
    single, acc = (float(case.params[name] or 0.0) for name in THRESHOLDS)
    drafts = Drafts(candidates, next_token, next_sibling, coins, target_probs, single, acc)
    last = pattern.finish(rng, take_residual(drafts, replay(drafts)))
    return {
        "candidates": candidates,
        "target_probs": target_probs,
        "uniform_samples": coins,
        "uniform_samples_for_final_sampling": last,
        "threshold_single": single,
        "threshold_acc": acc,
    }


def add_siblings(
    target_probs: NDArray[np.float64], candidates: Ints, parents: Ints
) -> NDArray[np.float64]:
    """Each node's probability after its parent plus those of its siblings before it, [B, N]."""
    rows = np.arange(len(candidates))[:, None]
    single = target_probs[rows, np.maximum(parents, 0), candidates]
    sums = np.zeros(single.shape)
    for node in range(1, single.shape[1]):
        before = parents[:, : node + 1] == parents[:, node : node + 1]
        sums[:, node] = (single[:, : node + 1] * before).sum(axis=1)
    return sums


def draw_tokens(mass: Any, coins: Any) -> Any:
    """Torch: the first token with mass, i64 [B], whose prefix of mass [B, V] exceeds coin * sum.

    Else the last token with mass, V-1 where none has any.
    """
    import torch

    prefix = torch.cumsum(mass.double(), dim=-1)
    present = mass > 0
    target = coins.double()[:, None] * prefix[:, -1:]
    hit = (prefix > target) & present
    last = mass.shape[1] - 1 - present.flip(-1).byte().argmax(dim=-1)
    return torch.where(hit.any(dim=-1), hit.byte().argmax(dim=-1), last)


def look_again(case: Case) -> Case:
    """The case of the second look: the same distribution, ten times the rows."""
    return replace(case, sizes={**case.sizes, "B": SECOND_LOOK_ROWS * case.sizes["B"]})


def check_verification(case: Case) -> str | None:
    """At least one candidate and one token; thresholds in [0, 1]."""
    for size in ("N", "V"):
        if case.sizes[size] < 1:
            return f"{size}={case.sizes[size]}; wanted at least 1"
    for name in THRESHOLDS:
        value = case.params[name]
        if not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
            return f"{name}={value} is not in [0, 1]"
    return None


def verification_degenerate(case: Case) -> str | None:
    """Cases on which there is nothing to verify."""
    if case.sizes["B"] == 0:
        return "no sequences: nothing is verified"
    if case.sizes["V"] == 1:
        return "a single token: nothing is drawn"
    return None


def size_by_model(
    model: Mapping[str, Any], nodes: int, **params: Value
) -> tuple[dict[str, int], dict[str, Value]] | None:
    """A model's vocabulary with `nodes` candidates, at thresholds of one."""
    if not model.get("vocab_size"):
        return None
    sizes = {"N": nodes, "V": model["vocab_size"]}
    return sizes, {"threshold_single": 1.0, "threshold_acc": 1.0, **params}
