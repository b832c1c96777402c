"""chain_speculative_sampling in portable Triton: one program a row, or two launches over slices.

All drafts of a row are looked at together: a draft counts if none before it failed.  Then one row
of probabilities is read.  Where that takes several programs, each of them repeats the look, which
costs two loads, and leaves the sum of its slice; a second launch draws inside one slice.
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
    pick,
)
from rocmoe.ops.kernels.shared.overlap import announce_next, await_ahead, can_overlap

#: slice: tokens a program of the first launch, 0 for a single launch; draw_warps: of the second.
#: elements: B * V.  Microseconds: H100, warm.
VARIANTS = (
    Variant(
        "row",
        "B = 16, V = 128: 1.99 us, with 4 warps 2.11 us; B = 4096: 4.24, 5.50 us",
        most={"V": 256},
        parameters={"slice": 0, "num_warps": 1},
    ),
    Variant(
        "row",
        "B = 16, V = 4096, 8192: 2.82, 3.53 us; in slices of 1024 they take 3.98, 4.21 us",
        most={"V": 8192},
        parameters={"slice": 0, "num_warps": 8},
    ),
    Variant(
        "slices",
        "B = 1, 16, V = 32000: 3.95, 4.52 us; in slices of 2048 they take 4.43, 4.88 us, and in "
        "one program a row 9.64, 10.09 us",
        most={"elements": 2**20},
        parameters={"slice": 1024, "num_warps": 4, "draw_warps": 4},
    ),
    Variant(
        "slices",
        "B = 16, V = 151936: 6.32 us; in slices of 1024, 4096 it takes 6.66, 6.52 us",
        most={"elements": 2**24},
        parameters={"slice": 2048, "num_warps": 4, "draw_warps": 4},
    ),
    Variant(
        "slices",
        "B = 256, V = 151936: 57.5 us; in slices of 2048 it takes 59.6 us",
        parameters={"slice": 4096, "num_warps": 8, "draw_warps": 8},
    ),
)


@triton.jit
def count_accepted(
    candidates, target_probs, uniform_samples, candidate_stride, node_stride, token_stride,
    coin_stride, nodes, vocabulary, threshold_single, reciprocal, NODES: tl.constexpr,
):  # fmt: skip
    """How many drafts of a row pass before the first that does not, and that one's token or -1."""
    steps = tl.arange(0, NODES)
    tried = steps < nodes - 1
    drafts = tl.load(candidates + (steps + 1) * candidate_stride, mask=tried, other=-1)
    known = (drafts >= 0) & (drafts < vocabulary)
    places = target_probs + steps.to(tl.int64) * node_stride + drafts * token_stride
    probability = tl.load(places, mask=known, other=0.0)
    coins = tl.load(uniform_samples + steps * coin_stride, mask=tried, other=1.0)
    passes = (coins <= probability * reciprocal) | (probability >= threshold_single)
    # The place after the last draft never passes, and has no token.
    length = tl.min(tl.where(passes & tried, NODES, steps), 0)
    return length, pick(tl.where(known, drafts, -1), steps, length)


@triton.jit
def verify_rows(
    candidates,
    target_probs,
    uniform_samples,
    final_samples,
    accept_length,
    bonus_token,
    candidates_row_stride,
    candidate_stride,
    probs_row_stride,
    node_stride,
    token_stride,
    coins_row_stride,
    coin_stride,
    final_stride,
    nodes,
    vocabulary,
    threshold_single,
    reciprocal,
    WIDE: tl.constexpr,
    NODES: tl.constexpr,
    TOKENS: tl.constexpr,
):
    """One sequence a program.  NODES, TOKENS: their numbers up to a power of two."""
    row = tl.program_id(0).to(tl.int64)
    target_probs += row * probs_row_stride
    coin = tl.load(final_samples + row * final_stride)
    length, rejected = count_accepted(
        candidates + row * candidates_row_stride, target_probs,
        uniform_samples + row * coins_row_stride, candidate_stride, node_stride, token_stride,
        coin_stride, nodes, vocabulary, threshold_single, reciprocal, NODES,
    )  # fmt: skip
    tokens = tl.arange(0, TOKENS)
    target_probs += length.to(tl.int64) * node_stride
    mass = load_mass(target_probs, tokens, token_stride, vocabulary, WIDE)
    bonus = draw_from_row(tl.where(tokens == rejected, 0.0, mass), coin, TOKENS)
    tl.store(accept_length + row, length)
    tl.store(bonus_token + row, tl.where(bonus < 0, vocabulary - 1, bonus))


@triton.jit
def sum_slices(
    candidates,
    target_probs,
    uniform_samples,
    accept_length,
    partials,
    candidates_row_stride,
    candidate_stride,
    probs_row_stride,
    node_stride,
    token_stride,
    coins_row_stride,
    coin_stride,
    nodes,
    vocabulary,
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
    target_probs += row * probs_row_stride
    length, rejected = count_accepted(
        candidates + row * candidates_row_stride, target_probs,
        uniform_samples + row * coins_row_stride, candidate_stride, node_stride, token_stride,
        coin_stride, nodes, vocabulary, threshold_single, reciprocal, NODES,
    )  # fmt: skip
    tokens = number * SLICE + tl.arange(0, SLICE)
    target_probs += length.to(tl.int64) * node_stride
    mass = load_mass(target_probs, tokens, token_stride, vocabulary, WIDE)
    tl.store(partials + program, tl.sum(tl.where(tokens == rejected, 0.0, mass), 0))
    if number == 0:
        tl.store(accept_length + row, length)


@triton.jit
def draw_bonus(
    candidates,
    target_probs,
    final_samples,
    accept_length,
    partials,
    bonus_token,
    candidates_row_stride,
    candidate_stride,
    probs_row_stride,
    node_stride,
    token_stride,
    final_stride,
    nodes,
    vocabulary,
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
    length = tl.load(accept_length + row)
    candidates += row * candidates_row_stride + (length + 1) * candidate_stride
    rejected = tl.load(candidates, mask=length < nodes - 1, other=-1)
    chosen, before, target = choose_slice(partials + row * slices, slices, coin, SLICES)
    start = tl.maximum(chosen, 0) * SLICE
    tokens = start + tl.arange(0, SLICE)
    target_probs += row * probs_row_stride + length.to(tl.int64) * node_stride
    mass = load_mass(target_probs, tokens, token_stride, vocabulary, WIDE)
    drawn = draw_from_slice(tl.where(tokens == rejected, 0.0, mass), before, target, SLICE)
    tl.store(bonus_token + row, tl.where(drawn < 0, vocabulary - 1, start + drawn))


def chain_speculative_sampling(
    candidates: Any,
    target_probs: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    threshold_single: float,
    threshold_acc: float,
) -> tuple[Any, Any]:
    """accept_length i32 [B] and bonus_token i32 [B] of tensors in any layout; two launches at most.

    Sums are float32, in an order that depends on V alone.  A draft that is no token of the
    vocabulary has probability 0.  Semantics: sgl-project/sglang DFlash through sgl-kernel
    csrc/speculative/speculative_sampling.cuh.
    """
    import torch

    batch, nodes, vocabulary = target_probs.shape
    device = target_probs.device
    accept_length = torch.empty((batch,), dtype=torch.int32, device=device)
    bonus_token = torch.empty((batch,), dtype=torch.int32, device=device)
    variant = choose(VARIANTS, find_arch(target_probs), V=vocabulary, elements=batch * vocabulary)
    size = variant["slice"]
    of_row = {
        "candidates": candidates,
        "candidates_row_stride": candidates.stride(0),
        "candidate_stride": candidates.stride(1),
        "nodes": nodes,
        "accept_length": accept_length,
        **describe_probs(target_probs),
    }
    of_drafts = describe_coins(uniform_samples, threshold_single, threshold_acc)
    of_drafts["NODES"] = grow_to_power_of_2(nodes)
    of_bonus = {
        "bonus_token": bonus_token,
        "final_samples": uniform_samples_for_final_sampling,
        "final_stride": uniform_samples_for_final_sampling.stride(0),
    }
    if not size:
        width = grow_to_power_of_2(vocabulary)
        warps = variant["num_warps"]
        launch(
            verify_rows, (batch,), TOKENS=width, num_warps=warps, **of_row, **of_drafts, **of_bonus
        )
        return accept_length, bonus_token
    slices = divide_up(vocabulary, size)
    partials = torch.empty((batch, slices), dtype=torch.float32, device=device)
    overlap = can_overlap(target_probs)
    of_row |= {"partials": partials, "slices": slices, "SLICE": size, "OVERLAP": overlap}
    launch(
        sum_slices, (batch * slices,), num_warps=variant["num_warps"], **of_row, **of_drafts
    )  # fmt: skip
    launch(
        draw_bonus, (batch,), SLICES=grow_to_power_of_2(slices),
        num_warps=variant["draw_warps"], overlap=overlap, **of_row, **of_bonus,
    )  # fmt: skip
    return accept_length, bonus_token
