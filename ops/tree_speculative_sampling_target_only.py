"""tree_speculative_sampling_target_only: the accepted path of a tree, and what follows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rocmoe.ops.core.case import Case, Value
from rocmoe.ops.core.patterns.drafts import PATTERNS
from rocmoe.ops.core.spec import Argument, Cost, Inputs, OpSpec, Outputs, Param, Row
from rocmoe.ops.families.speculative import (
    CANDIDATES,
    COINS,
    SPECULATIVE_SIZES,
    TARGET_PROBS,
    THRESHOLD_INPUTS,
    THRESHOLDS,
    Ints,
    check_verification,
    draw_verification,
    look_again,
    make_row,
    size_by_model,
    verification_degenerate,
)
from rocmoe.ops.families.tree_walk import Tree, finish_walk, start_walk, take_step
from rocmoe.references import tree_speculative_sampling_target_only as reference


def draw(case: Case, rng: np.random.Generator) -> Inputs:
    """Every input by the case's pattern; draft_probs are zeros."""
    sizes = case.sizes
    batch, nodes = sizes["B"], sizes["N"]
    parents = draw_parents(rng, batch, nodes)
    next_token, next_sibling = link_tree(parents)
    places = np.arange(batch * nodes)
    if case.pattern == "scattered_index":
        places = rng.permutation(places)
    return {
        **draw_verification(case, rng, parents, next_token, next_sibling),
        "retrive_index": places.reshape(batch, nodes),
        "retrive_next_token": next_token,
        "retrive_next_sibling": next_sibling,
        "draft_probs": np.zeros((batch, nodes, sizes["V"])),
        "deterministic": case.params["deterministic"],
    }


def draw_parents(rng: np.random.Generator, batch: int, nodes: int) -> Ints:
    """The parent [B, N] of each node, -1 for node 0: one of the three nodes before, or node 0."""
    order = np.arange(nodes)
    parents = np.maximum(order - rng.integers(1, 4, (batch, nodes)), 0)
    parents = np.where(rng.random((batch, nodes)) < 0.2, 0, parents)
    return np.where(order == 0, -1, parents)


def link_tree(parents: Ints) -> tuple[Ints, Ints]:
    """next_token and next_sibling [B, N]; siblings ascend."""
    links = np.full((2, *parents.shape), -1, dtype=np.int64)
    for node in range(parents.shape[1] - 1, 0, -1):
        rows, parent = np.arange(len(parents)), parents[:, node]
        links[1, :, node] = links[0, rows, parent]
        links[0, rows, parent] = node
    return links[0], links[1]


def run_torch(
    candidates: Any,
    retrive_index: Any,
    retrive_next_token: Any,
    retrive_next_sibling: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    target_probs: Any,
    draft_probs: Any,
    threshold_single: float,
    threshold_acc: float,
    deterministic: bool,
) -> tuple[Any, Any, Any]:
    """predicts i32 [B*N], accept_index i32 [B, N], accept_token_num i32 [B].

    Unspecified entries are -1; draft_probs are not touched; the same bits whatever
    `deterministic` says.
    """
    del draft_probs, deterministic
    tree = Tree(
        candidates,
        retrive_index,
        retrive_next_token,
        retrive_next_sibling,
        uniform_samples,
        target_probs,
        threshold_single,
        threshold_acc,
    )
    walk = start_walk(tree)
    for _ in range(candidates.shape[1] - 1):
        walk = take_step(tree, walk)
    return finish_walk(tree, walk, uniform_samples_for_final_sampling)


def must_write(case: Case, inputs: Inputs) -> Mapping[str, Any]:
    """The accepted path, as far as the inputs leave no doubt."""
    del case
    return reference.find_due(inputs)


def compare_path(inputs: Inputs, outputs: Outputs) -> Outputs:
    """The canonical form: what is specified of a deterministic answer, nothing of another.

    A coin next to an edge draws one token or its neighbour, by how a sum is rounded.
    """
    return reference.erase_unspecified(inputs, outputs) if inputs["deterministic"] else {}


def cost(case: Case) -> Cost:
    """One row of target_probs a sequence, the tree and its coins; the shortest answer."""
    batch, nodes, vocabulary = (case.sizes[size] for size in "BNV")
    small = batch * nodes * (4 * 8 + 4) + batch * (nodes - 1) * 4 + batch * 4
    return Cost(batch * vocabulary * 4 + small, batch * 12, 2 * batch * vocabulary)


def from_model(model: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Value]] | None:
    """Five drafts over the model's vocabulary."""
    return size_by_model(model, 6, deterministic=True)


def _row(suite: str, B: int, N: int, V: int, pattern: str, why: str, **more: Any) -> Row:
    return make_row(suite, B, N, V, pattern, why, **{"deterministic": True, **more})


#: Vocabularies and batches of zhentaocc/aiter op_tests/test_sampling.py @0f51c7e3, with trees.
_GRID = tuple(
    _row("full", batch, nodes, vocabulary, "normal", "the chain's grid with trees",
         single=single, acc=acc)
    for batch in (1, 16)
    for vocabulary in (128, 1024, 32000)
    for nodes in (2, 8)
    for single, acc in ((1.0, 1.0), (0.5, 0.8))
)  # fmt: skip

CASES = (
    _row("smoke", 2, 6, 20, "normal", "sgl-kernel's own test shape"),
    _row("smoke", 16, 8, 1024, "normal", "trees of seven drafts", single=0.5, acc=0.8),
    _row("quick", 4096, 4, 128, "lossless", "tokens must follow the target, and do not where a "
         "rejected draft is kept"),
    _row("quick", 2048, 3, 300, "lossless", "two drafts"),
    _row("quick", 99, 6, 111, "one_hot", "only the hot token can be emitted"),
    _row("quick", 64, 8, 128, "cdf_edges", "coins on thresholds and edges: <= accepts, > draws"),
    _row("quick", 32, 6, 1000, "cdf_edges", "edges between tokens without mass"),
    _row("quick", 32, 8, 111, "cdf_edges", "rounded thresholds may go either way",
         single=0.7, acc=0.8),
    _row("quick", 64, 6, 1024, "zero_prob", "coin 0 accepts probability 0"),
    _row("quick", 33, 8, 512, "all_accepted", "the first child of every node is accepted"),
    _row("quick", 33, 8, 512, "all_rejected", "every child of the root is excluded"),
    _row("quick", 16, 6, 20, "normal", "thresholds of 0: everything is accepted",
         single=0.0, acc=0.0),
    _row("quick", 64, 6, 128, "normal", "the other way of adding", deterministic=False),
    _row("quick", 64, 8, 128, "normal", "a draft of 0.3 is accepted whatever its coin",
         single=0.3),
    _row("quick", 64, 8, 128, "cdf_edges", "drafts of exactly threshold_single are accepted",
         single=0.5),
    _row("quick", 256, 8, 128, "peaked", "threshold_acc 0 is held up by 1e-9 and no more", acc=0.0),
    _row("quick", 64, 8, 128, "peaked", "probabilities that underflow", single=0.5),
    _row("quick", 16, 6, 4096, "flat", "no token stands out"),
    _row("quick", 64, 8, 24, "ties", "tied probabilities", single=0.5, acc=0.8),
    _row("quick", 64, 8, 128, "zero_rows", "nothing to draw from: V-1"),
    _row("quick", 64, 8, 20, "repeated_siblings", "a token tried twice adds twice, is excluded"),
    _row("quick", 32, 6, 128, "scattered_index", "places that are not b * N + node"),
    _row("quick", 1, 6, 151937, "normal", "one past Qwen's vocabulary"),
    _row("quick", 7, 6, 160, "normal", "row stride 170", layout="strided"),
    _row("quick", 7, 6, 128, "normal", "base pointers not 16-byte aligned", layout="offset"),
    _row("quick", 7, 6, 2048, "normal", "a stride where a row needs several rounds",
         layout="strided"),
    _row("quick", 7, 6, 2048, "normal", "offset where a row needs several rounds",
         layout="offset"),
    _row("quick", 33, 32, 128, "normal", "paths that end beyond the 16th node"),
    _row("quick", 16, 1, 128, "normal", "no drafts: only the drawn token"),
    _row("quick", 0, 6, 128, "normal", "no sequences"),
    *_GRID,
    _row("full", 2048, 6, 256, "lossless", "deeper and wider trees"),
    _row("full", 8192, 4, 32, "lossless", "a vocabulary of as many tokens as bins"),
    _row("full", 4, 6, 151936, "normal", "Qwen's vocabulary", single=0.5, acc=0.8),
    _row("full", 8, 64, 1024, "normal", "EAGLE's trees of 64 nodes"),
    _row("full", 300, 12, 512, "cdf_edges", "many edges"),
    _row("full", 300, 12, 64, "repeated_siblings", "many repeated siblings", acc=0.9),
)  # fmt: skip

SPEC = OpSpec(
    name="tree_speculative_sampling_target_only",
    summary="accepted path of a tree of drafts, and the token that follows it",
    source="sgl-project/sglang sgl-kernel/csrc/speculative/speculative_sampling.cuh @120affb9",
    sizes=SPECULATIVE_SIZES,
    dtypes=("fp32",),
    params={**THRESHOLDS, "deterministic": Param("bool", "sums that do not depend on timing")},
    patterns=tuple(PATTERNS),
    inputs=(
        CANDIDATES,
        Argument("retrive_index", ("B", "N"), "i64", doc="the place of each node in predicts"),
        Argument("retrive_next_token", ("B", "N"), "i64", doc="first child of each node, or -1"),
        Argument("retrive_next_sibling", ("B", "N"), "i64", doc="next sibling of each, or -1"),
        *COINS,
        TARGET_PROBS,
        Argument("draft_probs", ("B", "N", "V"), "fp32", doc="scratch, zeros on entry"),
        *THRESHOLD_INPUTS,
        Argument("deterministic", doc="whether sums must not depend on timing"),
    ),
    outputs=(
        Argument("predicts", ("BN",), "i32", doc="by place: the token after each accepted node"),
        Argument("accept_index", ("B", "S"), "i32", doc="places of the accepted path"),
        Argument("accept_token_num", ("B",), "i32", doc="accepted drafts"),
    ),
    draw=draw,
    oracle=reference.oracle,
    judge=reference.judge,
    run_torch=run_torch,
    cases=CASES,
    cost=cost,
    derived={"BN": lambda sizes: sizes["B"] * sizes["N"], "S": lambda sizes: sizes["N"]},
    mutates=frozenset({"draft_probs"}),
    must_write=must_write,
    canonical=compare_path,
    degenerate=verification_degenerate,
    refuse_case=check_verification,
    from_model=from_model,
    second_look=look_again,
)
