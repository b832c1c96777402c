"""Placing pairs of chunks that are put in order first, so that neighbours are written together."""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.overlap import await_ahead
from rocmoe.ops.kernels.shared.sort_kernels import (
    find_enabled,
    pad_experts,
    read_experts,
    read_weights,
)
from rocmoe.ops.kernels.shared.sort_network import sort_keys
from rocmoe.ops.kernels.shared.sort_pairs import (
    count_local_tokens,
    pad_up,
    write_pairs,
    zero_rows,
)

#: Below any position, even with a chunk's pairs added.
NOWHERE = tl.constexpr(-(2**30))


@triton.jit
def order_pairs(
    ids, known, LOG: tl.constexpr, BITS: tl.constexpr, LINE: tl.constexpr,
    LANE_BITS: tl.constexpr, WARP_BITS: tl.constexpr,
):  # fmt: skip
    """A chunk's places [2^LOG] by expert and then in order, those not known last; and experts.

    LINE: places that all lanes load at once, 4 each.  All that a lane loads is made neighbours, as
    most exchanges are between those.
    """
    N: tl.constexpr = 2**LOG
    places = tl.arange(0, N)
    keys = (tl.where(known, ids, 2**BITS) << LOG) | places
    if LINE < N:
        keys = tl.reshape(keys, [N // LINE, LINE // 4, 4])
        keys = tl.reshape(tl.permute(keys, [1, 0, 2]), [N])
    keys = sort_keys(keys, LOG, LANE_BITS, WARP_BITS)
    return keys & (N - 1), keys >> LOG


@triton.jit
def find_shifts(counts, starts, enabled, chunks, chunk, BITS: tl.constexpr, UNIT: tl.constexpr):
    """How far each expert's pairs of a chunk are from where they go, in a chunk in order."""
    experts = tl.arange(0, 2**BITS)
    found = tl.load(starts + chunks * 2**BITS + experts)
    before = tl.load(starts + chunk * 2**BITS + experts)
    own = tl.load(counts + chunk * 2**BITS + experts).to(tl.int32)
    # One sum for both where an expert begins and where it stands in the chunk.
    ahead = pad_up(tl.where(enabled, found, 0), UNIT) - own
    return tl.where(enabled, tl.cumsum(ahead, 0) - ahead + before, NOWHERE)


@triton.jit
def place_in_order(
    topk_ids, topk_weights, expert_mask, num_local_tokens, counts, starts,
    sorted_ids, sorted_weights, block_experts, totals, moe_buf,
    tokens, chunks, id_token_stride, id_slot_stride, weight_token_stride, weight_slot_stride,
    K: tl.constexpr, E: tl.constexpr, BITS: tl.constexpr, UNIT: tl.constexpr,
    UNITS: tl.constexpr, WIDTH: tl.constexpr, ID_ROWS: tl.constexpr, WEIGHT_ROWS: tl.constexpr,
    WIDE: tl.constexpr, LOG: tl.constexpr, LINE: tl.constexpr, LANE_BITS: tl.constexpr,
    WARP_BITS: tl.constexpr, EACH: tl.constexpr, BLOCKS: tl.constexpr, ZEROS: tl.constexpr,
    OVERLAP: tl.constexpr, LATE: tl.constexpr, WAIT_FIRST: tl.constexpr,
):  # fmt: skip
    """A program for each chunk of 2^LOG pairs, one for EACH experts' padding, then those that fill
    moe_buf.

    In a chunk in order, an expert's pairs are as far from where they go as its first one is.
    WAIT_FIRST: wait for what is known of all chunks before a chunk is put in order, not after.
    """
    program = tl.program_id(0)
    local = count_local_tokens(num_local_tokens, tokens)
    padders: tl.constexpr = (E + EACH - 1) // EACH
    if WIDTH > 0 and program >= chunks + padders:
        zero_rows(moe_buf, program - chunks - padders, local, WIDTH, ZEROS)
        return
    experts = tl.arange(0, 2**BITS)
    enabled = find_enabled(expert_mask, experts, E)
    if program < chunks:
        await_ahead(OVERLAP and LATE)
        first = program * 2**LOG
        pairs, ids, known = read_experts(
            topk_ids, first, tokens, local, id_token_stride, id_slot_stride, K, E, ID_ROWS, WIDE,
            2**LOG,
        )  # fmt: skip
        weights = read_weights(
            topk_weights, pairs, pairs < tokens * K, weight_token_stride, weight_slot_stride, K,
            WEIGHT_ROWS, WIDE,
        )  # fmt: skip
        if WAIT_FIRST:
            await_ahead(OVERLAP)
            shifts = find_shifts(counts, starts, enabled, chunks, program, BITS, UNIT)
        places, expert = order_pairs(ids, known, LOG, BITS, LINE, LANE_BITS, WARP_BITS)
        if not WAIT_FIRST:
            await_ahead(OVERLAP)
            shifts = find_shifts(counts, starts, enabled, chunks, program, BITS, UNIT)
        counted = expert < 2**BITS
        positions = tl.gather(shifts, tl.where(counted, expert, 0), 0) + tl.arange(0, 2**LOG)
        if sorted_weights is not None:
            weights = tl.gather(weights, places, 0)
        written = counted & (positions >= 0)
        write_pairs(sorted_ids, sorted_weights, positions, first + places, weights, written, K)
    else:
        await_ahead(OVERLAP)
        found = tl.load(starts + chunks * 2**BITS + experts)
        pad_experts(
            tl.where(enabled, found, 0), enabled, program - chunks, sorted_ids, sorted_weights,
            block_experts, totals, local, tokens, K, UNIT, UNITS, EACH, BLOCKS,
            expert_mask is not None,
        )  # fmt: skip
