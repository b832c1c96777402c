"""The sorting kernels: one launch where every program counts all pairs, or two or three."""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.overlap import announce_next, await_ahead
from rocmoe.ops.kernels.shared.sort_pairs import (
    TILE,
    count_local_tokens,
    count_set_bits,
    find_padding,
    gather_bits,
    keep_known,
    load_planes,
    locate_pairs,
    pad_up,
    rank_pairs,
    tally,
    write_padding,
    write_pairs,
    write_totals,
    zero_rows,
)


@triton.jit
def read_experts(
    topk_ids, first, tokens, local, token_stride, slot_stride, K: tl.constexpr, E: tl.constexpr,
    ROWS: tl.constexpr, WIDE: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """The PAIRS pairs from `first` on: their flat indices, experts, and which are known."""
    pairs = first + tl.arange(0, PAIRS)
    offsets = locate_pairs(pairs, token_stride, slot_stride, K, ROWS, WIDE)
    ids = tl.load(topk_ids + offsets, mask=pairs < tokens * K, other=-1)
    ids, known = keep_known(ids, pairs, local * K, E)
    return pairs, ids, known


@triton.jit
def read_weights(
    topk_weights, pairs, wanted, token_stride, slot_stride, K: tl.constexpr, ROWS: tl.constexpr,
    WIDE: tl.constexpr,
):  # fmt: skip
    """The weights of the wanted pairs; without weights, what `write_pairs` does not look at."""
    weights = pairs
    if topk_weights is not None:
        offsets = locate_pairs(pairs, token_stride, slot_stride, K, ROWS, WIDE)
        weights = tl.load(topk_weights + offsets, mask=wanted, other=0.0)
    return weights


@triton.jit
def find_enabled(expert_mask, experts, E: tl.constexpr):
    """Which experts exist and are of this rank."""
    enabled = experts < E
    if expert_mask is not None:
        enabled = tl.load(expert_mask + experts, mask=enabled, other=0) != 0
    return enabled


@triton.jit
def add_each(a, b, c, d):
    """(a, b) + (c, d), as `tl.reduce` calls it."""
    return a + c, b + d


@triton.jit
def find_run(counts, enabled, experts, expert, UNIT: tl.constexpr, MASKED: tl.constexpr):
    """Of an expert, by the counts of all experts: how many pairs, from where on, and local name."""
    before = experts < expert
    own = tl.where(experts == expert, counts, 0)
    # Both sums in one exchange between warps.
    count, begin = tl.reduce((own, tl.where(before, pad_up(counts, UNIT), 0)), None, add_each)
    name = expert
    if MASKED:
        name = tl.sum((enabled & before).to(tl.int32))
    return count, begin, name


@triton.jit
def sort_at_once(
    topk_ids, topk_weights, expert_mask, num_local_tokens,
    sorted_ids, sorted_weights, block_experts, totals, moe_buf,
    tokens, slabs, id_token_stride, id_slot_stride, weight_token_stride, weight_slot_stride,
    K: tl.constexpr, E: tl.constexpr, HALF: tl.constexpr, UNIT: tl.constexpr,
    UNITS: tl.constexpr, WIDTH: tl.constexpr, ID_ROWS: tl.constexpr, WEIGHT_ROWS: tl.constexpr,
    WIDE: tl.constexpr, TILES: tl.constexpr, ONE_SLAB: tl.constexpr, EACH: tl.constexpr,
    BLOCKS: tl.constexpr, ZEROS: tl.constexpr, OVERLAP: tl.constexpr, LATE: tl.constexpr,
):  # fmt: skip
    """A program for EACH experts, then those that fill moe_buf; none waits for another.

    Each counts all pairs, TILES tiles a slab, so it knows where its experts begin.
    """
    program = tl.program_id(0)
    local = count_local_tokens(num_local_tokens, tokens)
    sorters: tl.constexpr = (E + EACH - 1) // EACH
    if WIDTH > 0 and program >= sorters:
        zero_rows(moe_buf, program - sorters, local, WIDTH, ZEROS)
        return
    await_ahead(OVERLAP and LATE)
    PAIRS: tl.constexpr = TILES * TILE
    pairs, ids, known = read_experts(
        topk_ids, 0, tokens, local, id_token_stride, id_slot_stride, K, E, ID_ROWS, WIDE, PAIRS
    )
    # Before it is known which are wanted, so that one wait is enough.
    weights = read_weights(
        topk_weights, pairs, known, weight_token_stride, weight_slot_stride, K, WEIGHT_ROWS, WIDE
    )
    counts = tally(ids, known, None, 0, HALF)
    if not ONE_SLAB:
        for slab in range(1, slabs):
            _, more, told = read_experts(
                topk_ids, slab * PAIRS, tokens, local, id_token_stride, id_slot_stride, K, E,
                ID_ROWS, WIDE, PAIRS,
            )  # fmt: skip
            counts += tally(more, told, None, 0, HALF)
    experts = tl.arange(0, 2**HALF)[:, None] * 2**HALF + tl.arange(0, 2**HALF)[None, :]
    enabled = find_enabled(expert_mask, experts, E)
    counts = tl.where(enabled, counts, 0)
    if program == 0:
        total = tl.sum(pad_up(counts, UNIT))
        write_totals(totals, sorted_weights, total, local)
    padding = find_padding(sorted_weights, local, tokens, K)
    for turn in tl.static_range(EACH):
        expert = program * EACH + turn
        count, begin, name = find_run(
            counts, enabled, experts, expert, UNIT, expert_mask is not None
        )
        if count > 0:
            write_padding(
                sorted_ids, sorted_weights, block_experts, tl.expand_dims(begin, 0),
                tl.expand_dims(count, 0), tl.expand_dims(name, 0), padding, UNIT, UNITS, BLOCKS,
            )  # fmt: skip
            begin = write_run(
                sorted_ids, sorted_weights, pairs, weights, known & (ids == expert), begin, K
            )
            if not ONE_SLAB:
                for slab in range(1, slabs):
                    others, more, told = read_experts(
                        topk_ids, slab * PAIRS, tokens, local, id_token_stride, id_slot_stride, K,
                        E, ID_ROWS, WIDE, PAIRS,
                    )  # fmt: skip
                    chosen = told & (more == expert)
                    values = read_weights(
                        topk_weights, others, chosen, weight_token_stride, weight_slot_stride, K,
                        WEIGHT_ROWS, WIDE,
                    )  # fmt: skip
                    begin = write_run(sorted_ids, sorted_weights, others, values, chosen, begin, K)


@triton.jit
def write_run(
    sorted_ids, sorted_weights, pairs, weights, chosen, begin, K: tl.constexpr
):  # fmt: skip
    """The chosen of pairs [tiles * 32], one after the other from `begin` on; and where it ends."""
    TILES: tl.constexpr = pairs.shape[0] // TILE
    sets = gather_bits(tl.reshape(chosen.to(tl.int32), [TILES, TILE]))
    sizes = count_set_bits(sets)
    begins = begin + tl.cumsum(sizes, 0) - sizes
    earlier = (1 << tl.arange(0, TILE)[None, :]) - 1
    positions = begins[:, None] + count_set_bits(sets[:, None] & earlier)
    positions = tl.reshape(positions, [TILES * TILE])
    write_pairs(sorted_ids, sorted_weights, positions, pairs, weights, chosen, K)
    return begin + tl.sum(sizes, 0)


@triton.jit
def count_chunks(
    topk_ids, num_local_tokens, counts, planes, tokens, stride, token_stride, slot_stride,
    K: tl.constexpr, E: tl.constexpr, HALF: tl.constexpr, ROWS: tl.constexpr,
    WIDE: tl.constexpr, TILES: tl.constexpr, OVERLAP: tl.constexpr, LATE: tl.constexpr,
    ANNOUNCE: tl.constexpr,
):  # fmt: skip
    """counts i16 [chunks, experts] of the pairs of a chunk, TILES tiles each, and their planes.

    planes [1 + 2 * HALF, stride]: of `tally`, for all tiles; None where nobody reads them.
    LATE: the launch ahead makes the ids.
    """
    announce_next(ANNOUNCE)
    await_ahead(OVERLAP and LATE)
    chunk = tl.program_id(0)
    local = count_local_tokens(num_local_tokens, tokens)
    experts = tl.arange(0, 2**HALF)[:, None] * 2**HALF + tl.arange(0, 2**HALF)[None, :]
    _, ids, known = read_experts(
        topk_ids, chunk * TILES * TILE, tokens, local, token_stride, slot_stride, K, E, ROWS, WIDE,
        TILES * TILE,
    )  # fmt: skip
    if planes is not None:
        planes += chunk * TILES
    found = tally(ids, known, planes, stride, HALF)
    tl.store(counts + chunk * 4**HALF + experts, found.to(tl.int16))


@triton.jit
def scan_counts(
    counts, starts, chunks, BITS: tl.constexpr, ROWS: tl.constexpr, EXPERTS: tl.constexpr,
    OVERLAP: tl.constexpr, ANNOUNCE: tl.constexpr,
):  # fmt: skip
    """starts [chunks + 1, experts]: the pairs before each chunk, then all of them.

    A program sums EXPERTS experts, ROWS chunks at a time.
    """
    announce_next(ANNOUNCE)
    await_ahead(OVERLAP)
    experts = tl.program_id(0) * EXPERTS + tl.arange(0, EXPERTS)
    found = tl.zeros([EXPERTS], tl.int32)
    for first in range(0, chunks, ROWS):
        row = first + tl.arange(0, ROWS)[:, None]
        places = row * 2**BITS + experts[None, :]
        each = tl.load(counts + places, mask=row < chunks, other=0).to(tl.int32)
        tl.store(starts + places, found[None, :] + tl.cumsum(each, 0) - each, mask=row < chunks)
        found += tl.sum(each, 0)
    tl.store(starts + chunks * 2**BITS + experts, found)


@triton.jit
def add_up(counts, chunks, chunk, BITS: tl.constexpr, ROWS: tl.constexpr):
    """Pairs of each expert, by the counts of at most ROWS chunks: all, and those before a chunk."""
    experts = tl.arange(0, 2**BITS)
    # A row at a time: in one tensor threads would share an expert and exchange their sums.
    found = tl.zeros([2**BITS], tl.int32)
    before = tl.zeros([2**BITS], tl.int32)
    for row in tl.static_range(ROWS):
        there = experts < (chunks - row) * 2**BITS
        each = tl.load(counts + row * 2**BITS + experts, mask=there, other=0).to(tl.int32)
        found += each
        before += tl.where(row < chunk, each, 0)
    return found, before


@triton.jit
def pad_experts(
    found, enabled, program, sorted_ids, sorted_weights, block_experts, totals, local, tokens,
    K: tl.constexpr, UNIT: tl.constexpr, UNITS: tl.constexpr, EACH: tl.constexpr,
    BLOCKS: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """The padding and blocks of EACH experts, by the pairs found of all; the first, totals too."""
    padded = pad_up(found, UNIT)
    begins = tl.cumsum(padded, 0) - padded
    own = program * EACH + tl.arange(0, EACH)
    names = own
    if MASKED:
        names = tl.gather(tl.cumsum(enabled.to(tl.int32), 0), own, 0) - 1
    write_padding(
        sorted_ids, sorted_weights, block_experts, tl.gather(begins, own, 0),
        tl.gather(found, own, 0), names, find_padding(sorted_weights, local, tokens, K), UNIT,
        UNITS, BLOCKS,
    )  # fmt: skip
    if program == 0:
        write_totals(totals, sorted_weights, tl.sum(padded, 0), local)


@triton.jit
def place_chunks(
    topk_ids, topk_weights, expert_mask, num_local_tokens, counts, planes,
    sorted_ids, sorted_weights, block_experts, totals, moe_buf,
    tokens, chunks, stride, id_token_stride, id_slot_stride, weight_token_stride,
    weight_slot_stride,
    K: tl.constexpr, E: tl.constexpr, BITS: tl.constexpr, UNIT: tl.constexpr,
    UNITS: tl.constexpr, WIDTH: tl.constexpr, ID_ROWS: tl.constexpr, WEIGHT_ROWS: tl.constexpr,
    WIDE: tl.constexpr, TILES: tl.constexpr, ROWS: tl.constexpr, EARLY: tl.constexpr,
    EACH: tl.constexpr, BLOCKS: tl.constexpr, ZEROS: tl.constexpr, OVERLAP: tl.constexpr,
    LATE: tl.constexpr,
):  # fmt: skip
    """A program for each chunk, one for EACH experts' padding, then those that fill moe_buf.

    EARLY: read pairs before counts, which saves a wait and takes registers.
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
        if LATE or not EARLY:
            await_ahead(OVERLAP)
        if not EARLY:
            found, before = add_up(counts, chunks, program, BITS, ROWS)
        pairs, ids, known = read_experts(
            topk_ids, program * TILES * TILE, tokens, local, id_token_stride, id_slot_stride, K, E,
            ID_ROWS, WIDE, TILES * TILE,
        )  # fmt: skip
        weights = read_weights(
            topk_weights, pairs, pairs < tokens * K, weight_token_stride, weight_slot_stride, K,
            WEIGHT_ROWS, WIDE,
        )  # fmt: skip
        await_ahead(OVERLAP)
        words = None
        planes += program * TILES
        if EARLY:
            words = load_planes(planes, stride, TILES, BITS)
            found, before = add_up(counts, chunks, program, BITS, ROWS)
        ranks = rank_pairs(ids, planes, stride, words, BITS)
        padded = pad_up(tl.where(enabled, found, 0), UNIT)
        starting = tl.where(enabled, tl.cumsum(padded, 0) - padded + before, -1)
        first = tl.gather(starting, tl.where(known, ids, 0), 0)
        written = known & (first >= 0)
        write_pairs(sorted_ids, sorted_weights, first + ranks, pairs, weights, written, K)
    else:
        await_ahead(OVERLAP)
        found, before = add_up(counts, chunks, 0, BITS, ROWS)
        pad_experts(
            tl.where(enabled, found, 0), enabled, program - chunks, sorted_ids, sorted_weights,
            block_experts, totals, local, tokens, K, UNIT, UNITS, EACH, BLOCKS,
            expert_mask is not None,
        )  # fmt: skip
