"""tree_speculative_sampling_target_only in portable Triton: one program a row, or two launches.

The walk ends in one row of probabilities, which is read.  Where that takes several programs, each
of them repeats the walk and leaves the sum of its slice; a second launch draws inside one slice.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.core.launch import find_arch, launch
from rocmoe.ops.core.sizes import divide_up, grow_to_power_of_2
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.shared.last_token import (
    choose_slice,
    describe_coins,
    describe_probs,
    draw_from_row,
    draw_from_slice,
    load_mass,
)
from rocmoe.ops.kernels.shared.overlap import announce_next, await_ahead, can_overlap
from rocmoe.ops.kernels.shared.tree_walk import (
    accept_children,
    exclude_children,
    follow_path,
    write_drawn,
    write_path,
)

#: slice: tokens a program of the first launch, 0 for a single launch; draw_warps: of the second.
#: elements: B * V.  Microseconds: H100, warm, before links were loaded ahead of their use.
VARIANTS = (
    Variant(
        "row",
        "B = 4096, N = 4, V = 128: 4.92 us; with 2, 4 warps it takes 6.63, 10.28 us",
        most={"V": 256},
        parameters={"slice": 0, "num_warps": 1},
    ),
    Variant(
        "row",
        "B = 16, N = 8, V = 1024, 8192: 3.75, 5.85 us; in slices of 1024 the latter takes 6.43 us",
        most={"V": 8192},
        parameters={"slice": 0, "num_warps": 8},
    ),
    Variant(
        "slices",
        "B = 16, N = 6, V = 32000: 6.68 us, B = 16, N = 16, V = 151936: 12.29 us; in slices of "
        "1024 they take 6.87, 13.32 us, with 8 warps 6.99, 14.08 us",
        most={"elements": 2**24},
        parameters={"slice": 2048, "num_warps": 4, "draw_warps": 4},
    ),
    Variant(
        "slices",
        "as chain_speculative_sampling, which has the same second launch",
        parameters={"slice": 4096, "num_warps": 8, "draw_warps": 8},
    ),
)


@triton.jit
def verify_rows(
    candidates,
    retrive_index,
    next_token,
    next_sibling,
    uniform_samples,
    final_samples,
    target_probs,
    predicts,
    accept_index,
    accept_token_num,
    candidates_row_stride,
    candidate_stride,
    index_row_stride,
    index_stride,
    children_row_stride,
    child_stride,
    siblings_row_stride,
    sibling_stride,
    coins_row_stride,
    coin_stride,
    final_stride,
    probs_row_stride,
    node_stride,
    token_stride,
    nodes,
    vocabulary,
    places,
    threshold_single,
    reciprocal,
    WIDE: tl.constexpr,
    NODES: tl.constexpr,
    TOKENS: tl.constexpr,
):
    """One sequence a program.  NODES, TOKENS: their numbers up to a power of two."""
    row = tl.program_id(0).to(tl.int64)
    candidates += row * candidates_row_stride
    retrive_index += row * index_row_stride
    next_token += row * children_row_stride
    next_sibling += row * siblings_row_stride
    target_probs += row * probs_row_stride
    coin = tl.load(final_samples + row * final_stride)
    accepted = accept_children(
        candidates, next_token, next_sibling, uniform_samples + row * coins_row_stride,
        target_probs, candidate_stride, child_stride, sibling_stride, coin_stride, node_stride,
        token_stride, nodes, vocabulary, threshold_single, reciprocal, NODES,
    )  # fmt: skip
    path, before, length, last = follow_path(accepted, nodes, NODES)
    tokens = tl.arange(0, TOKENS)
    target_probs += last.to(tl.int64) * node_stride
    mass = load_mass(target_probs, tokens, token_stride, vocabulary, WIDE)
    mass = exclude_children(
        mass, tokens, candidates, next_token, next_sibling, last, candidate_stride, child_stride,
        sibling_stride, nodes,
    )  # fmt: skip
    write_path(
        candidates, retrive_index, predicts, accept_index + row * nodes, accept_token_num + row,
        path, before, length, candidate_stride, index_stride, places, NODES,
    )  # fmt: skip
    drawn = draw_from_row(mass, coin, TOKENS)
    write_drawn(predicts, retrive_index, last, index_stride, drawn, vocabulary, places)


@triton.jit
def sum_slices(
    candidates,
    retrive_index,
    next_token,
    next_sibling,
    uniform_samples,
    target_probs,
    predicts,
    accept_index,
    accept_token_num,
    last_nodes,
    partials,
    candidates_row_stride,
    candidate_stride,
    index_row_stride,
    index_stride,
    children_row_stride,
    child_stride,
    siblings_row_stride,
    sibling_stride,
    coins_row_stride,
    coin_stride,
    probs_row_stride,
    node_stride,
    token_stride,
    nodes,
    vocabulary,
    places,
    slices,
    threshold_single,
    reciprocal,
    WIDE: tl.constexpr,
    NODES: tl.constexpr,
    SLICE: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """partials f32 [B, slices]: of the row to draw from; one slice a program."""
    announce_next(OVERLAP)
    program = tl.program_id(0)
    row = (program // slices).to(tl.int64)
    number = program % slices
    candidates += row * candidates_row_stride
    next_token += row * children_row_stride
    next_sibling += row * siblings_row_stride
    target_probs += row * probs_row_stride
    accepted = accept_children(
        candidates, next_token, next_sibling, uniform_samples + row * coins_row_stride,
        target_probs, candidate_stride, child_stride, sibling_stride, coin_stride, node_stride,
        token_stride, nodes, vocabulary, threshold_single, reciprocal, NODES,
    )  # fmt: skip
    path, before, length, last = follow_path(accepted, nodes, NODES)
    tokens = number * SLICE + tl.arange(0, SLICE)
    target_probs += last.to(tl.int64) * node_stride
    mass = load_mass(target_probs, tokens, token_stride, vocabulary, WIDE)
    mass = exclude_children(
        mass, tokens, candidates, next_token, next_sibling, last, candidate_stride, child_stride,
        sibling_stride, nodes,
    )  # fmt: skip
    tl.store(partials + program, tl.sum(mass, 0))
    if number == 0:
        retrive_index += row * index_row_stride
        write_path(
            candidates, retrive_index, predicts, accept_index + row * nodes,
            accept_token_num + row, path, before, length, candidate_stride, index_stride, places,
            NODES,
        )  # fmt: skip
        tl.store(last_nodes + row, last)


@triton.jit
def draw_last(
    candidates,
    retrive_index,
    next_token,
    next_sibling,
    final_samples,
    target_probs,
    predicts,
    last_nodes,
    partials,
    candidates_row_stride,
    candidate_stride,
    index_row_stride,
    index_stride,
    children_row_stride,
    child_stride,
    siblings_row_stride,
    sibling_stride,
    final_stride,
    probs_row_stride,
    node_stride,
    token_stride,
    nodes,
    vocabulary,
    places,
    slices,
    WIDE: tl.constexpr,
    SLICE: tl.constexpr,
    SLICES: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """One sequence a program: find the slice, and the token inside it."""
    row = tl.program_id(0).to(tl.int64)
    coin = tl.load(final_samples + row * final_stride)
    await_ahead(OVERLAP)
    last = tl.load(last_nodes + row)
    chosen, before, target = choose_slice(partials + row * slices, slices, coin, SLICES)
    start = tl.maximum(chosen, 0) * SLICE
    tokens = start + tl.arange(0, SLICE)
    target_probs += row * probs_row_stride + last.to(tl.int64) * node_stride
    mass = load_mass(target_probs, tokens, token_stride, vocabulary, WIDE)
    mass = exclude_children(
        mass, tokens, candidates + row * candidates_row_stride,
        next_token + row * children_row_stride, next_sibling + row * siblings_row_stride, last,
        candidate_stride, child_stride, sibling_stride, nodes,
    )  # fmt: skip
    drawn = draw_from_slice(mass, before, target, SLICE)
    drawn = tl.where(drawn < 0, -1, start + drawn)
    retrive_index += row * index_row_stride
    write_drawn(predicts, retrive_index, last, index_stride, drawn, vocabulary, places)


def describe_tree(candidates: Any, next_token: Any, next_sibling: Any) -> dict[str, Any]:
    """What kernels are given of drafts and their links, i64 [B, N] each."""
    return {
        "candidates": candidates,
        "next_token": next_token,
        "next_sibling": next_sibling,
        "candidates_row_stride": candidates.stride(0),
        "candidate_stride": candidates.stride(1),
        "children_row_stride": next_token.stride(0),
        "child_stride": next_token.stride(1),
        "siblings_row_stride": next_sibling.stride(0),
        "sibling_stride": next_sibling.stride(1),
        "nodes": candidates.shape[1],
    }


def tree_speculative_sampling_target_only(
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
    """predicts i32 [B*N], accept_index i32 [B, N], accept_token_num i32 [B]; two launches at most.

    Tensors in any layout.  What the contract leaves open is not written; draft_probs are not
    touched; the same bits whatever `deterministic` says.  A draft that is no token of the
    vocabulary has probability 0.  Semantics: sgl-project/sglang sgl-kernel
    csrc/speculative/speculative_sampling.cuh.
    """
    del draft_probs, deterministic
    import torch

    batch, nodes, vocabulary = target_probs.shape
    device = target_probs.device
    predicts = torch.empty((batch * nodes,), dtype=torch.int32, device=device)
    accept_index = torch.empty((batch, nodes), dtype=torch.int32, device=device)
    accept_token_num = torch.empty((batch,), dtype=torch.int32, device=device)
    sizes = {"V": vocabulary, "elements": batch * vocabulary}
    variant = choose(VARIANTS, find_arch(target_probs), **sizes)
    size = variant["slice"]
    of_row = {
        "retrive_index": retrive_index,
        "index_row_stride": retrive_index.stride(0),
        "index_stride": retrive_index.stride(1),
        "predicts": predicts,
        "places": batch * nodes,
        **describe_tree(candidates, retrive_next_token, retrive_next_sibling),
        **describe_probs(target_probs),
    }
    of_tree = {
        **describe_coins(uniform_samples, threshold_single, threshold_acc),
        "accept_index": accept_index,
        "accept_token_num": accept_token_num,
        "NODES": grow_to_power_of_2(nodes),
    }
    of_last = {
        "final_samples": uniform_samples_for_final_sampling,
        "final_stride": uniform_samples_for_final_sampling.stride(0),
    }
    if not size:
        width = grow_to_power_of_2(vocabulary)
        warps = variant["num_warps"]
        launch(verify_rows, (batch,), TOKENS=width, num_warps=warps, **of_row, **of_tree, **of_last)
        return predicts, accept_index, accept_token_num
    slices = divide_up(vocabulary, size)
    of_row |= {
        "partials": torch.empty((batch, slices), dtype=torch.float32, device=device),
        "last_nodes": torch.empty((batch,), dtype=torch.int32, device=device),
        "slices": slices,
        "SLICE": size,
        "OVERLAP": can_overlap(target_probs),
    }
    launch(sum_slices, (batch * slices,), num_warps=variant["num_warps"], **of_row, **of_tree)
    launch(
        draw_last, (batch,), SLICES=grow_to_power_of_2(slices),
        num_warps=variant["draw_warps"], overlap=of_row["OVERLAP"], **of_row, **of_last,
    )  # fmt: skip
    return predicts, accept_index, accept_token_num
