"""topk_softmax_sorting in portable Triton: few tokens in one launch, many gated and then sorted.

Every program of the one launch gates all tokens itself, so none has to wait for another.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.core.launch import find_arch, launch
from rocmoe.ops.core.sizes import divide_up, grow_to_power_of_2
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.moe_sorting import allocate_sorted, moe_sorting
from rocmoe.ops.kernels.shared.keys import decode, encode, hide_absent
from rocmoe.ops.kernels.shared.logit_gating import LOG2_E, load_tiles, sum_powers
from rocmoe.ops.kernels.shared.overlap import announces, can_overlap
from rocmoe.ops.kernels.shared.rounds import clean_logits
from rocmoe.ops.kernels.shared.sort_kernels import find_enabled, find_run
from rocmoe.ops.kernels.shared.sort_launches import BLOCKS, ZEROS
from rocmoe.ops.kernels.shared.sort_pairs import (
    SLOT_SHIFT,
    count_local_tokens,
    find_padding,
    pad_up,
    write_padding,
    write_totals,
    zero_rows,
)
from rocmoe.ops.kernels.topk_softmax import select_softmax

VARIANTS: tuple[Variant, ...] = (
    Variant("at_once", "not timed on CDNA; ROCm/FlyDSL @11c4174d fuses 16 tokens too",
            arch="gfx", least={"T": 1}, most={"T": 16, "logits": 4096, "k": 16},
            parameters={"double": 1, "experts": 1, "warps": 4}),
    Variant("at_once", "one token of 256 experts on an H100: 2.5 us, gated then sorted 3.6",
            least={"T": 1}, most={"T": 16, "logits": 256, "k": 16},
            parameters={"double": 0, "experts": 1, "warps": 1}),
    Variant("at_once", "4 tokens of 256 experts: 3.1 us, gated then sorted 3.6",
            least={"T": 1}, most={"T": 16, "logits": 1024, "k": 16},
            parameters={"double": 0, "experts": 1, "warps": 4}),
    Variant("gated_then_sorted", "16 tokens of 256 experts: 3.7 us, without announcing 4.3, at "
            "once 5.0; 256 tokens: 5.6", most={"logits": 2**17}, parameters={"announce": "gate"}),
    Variant("gated_then_sorted", "1024 tokens of 256 experts: 9.4 us, announcing 9.7",
            parameters={"announce": "none"}),
)  # fmt: skip


@triton.jit
def take_best_keys(keys, slots, K: tl.constexpr):
    """The K largest keys [rows, slots] in K rounds of a maximum, and the last of them [rows, 1].

    No two keys are equal.
    """
    best = tl.max(keys, 1)[:, None]
    chosen = tl.broadcast_to(best, [keys.shape[0], slots.shape[1]])
    for slot in tl.static_range(1, K):
        keys = hide_absent(keys, keys < best)
        best = tl.max(keys, 1)[:, None]
        chosen = tl.where(slots == slot, best, chosen)
    return chosen, best


@triton.jit
def read_keys(
    gating_output, tokens, token_stride, expert_stride, E: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, EXPERTS: tl.constexpr, DOUBLE: tl.constexpr,
):  # fmt: skip
    """Cleaned logits of all tokens [ROWS, EXPERTS], and their keys; there is one token at least."""
    experts = tl.arange(0, EXPERTS)[None, :]
    (given,) = load_tiles(
        gating_output, tl.minimum(tl.arange(0, ROWS), tokens - 1), token_stride, expert_stride, E,
        EXPERTS, WIDE,
    )  # fmt: skip
    logits = clean_logits(tl.where(experts < E, given, -float("inf")), False)
    keys = encode(logits.to(given.dtype), experts, DOUBLE)
    return logits, hide_absent(keys, experts < E)


@triton.jit
def count_columns(flags):
    """How many of flags [rows, columns] are set in each column; at most 255 rows.

    Warps hold a row each and have to exchange their sums, so four columns share a word.
    """
    ROWS: tl.constexpr = flags.shape[0]
    COLUMNS: tl.constexpr = flags.shape[1]
    shifts = 8 * tl.arange(0, 4)
    four = tl.reshape(flags.to(tl.int32), [ROWS, COLUMNS // 4, 4])
    words = tl.sum(tl.sum(four << shifts[None, None, :], 2), 0)
    return tl.reshape((words[:, None] >> shifts[None, :]) & 0xFF, [COLUMNS])


@triton.jit
def sum_chosen(
    logits, best, slots, E: tl.constexpr, K: tl.constexpr, RENORMALIZE: tl.constexpr,
    EXPERTS: tl.constexpr, DTYPE: tl.constexpr, DOUBLE: tl.constexpr,
):  # fmt: skip
    """The largest logit of each row, and what its powers are divided by; best [rows, slots]."""
    largest = tl.max(logits, 1)
    if RENORMALIZE:
        values, _ = decode(best, DTYPE, DOUBLE)
        powers = tl.exp2((values - largest[:, None]) * LOG2_E)
        total = tl.sum(tl.where(slots < K, powers, 0.0), 1)
    else:
        total = sum_powers((logits,), largest, E, EXPERTS)
    return largest, total


@triton.jit
def gate_and_sort(
    gating_output, expert_mask, num_local_tokens,
    sorted_ids, sorted_weights, block_experts, totals, moe_buf,
    tokens, token_stride, expert_stride,
    E: tl.constexpr, K: tl.constexpr, RENORMALIZE: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, EXPERTS: tl.constexpr, SLOTS: tl.constexpr, DOUBLE: tl.constexpr,
    UNIT: tl.constexpr, UNITS: tl.constexpr, WIDTH: tl.constexpr, EACH: tl.constexpr,
    BLOCKS: tl.constexpr, ZEROS: tl.constexpr,
):  # fmt: skip
    """EACH experts a program, and programs that fill moe_buf. SLOTS: of a token, K of them used.

    No ids are made: an expert's tokens are those where its key is not below the K-th, and its slot
    is how many keys are above.
    """
    program = tl.program_id(0)
    local = count_local_tokens(num_local_tokens, tokens)
    sorters: tl.constexpr = (E + EACH - 1) // EACH
    if WIDTH > 0 and program >= sorters:
        zero_rows(moe_buf, program - sorters, local, WIDTH, ZEROS)
        return
    experts = tl.arange(0, EXPERTS)
    enabled = find_enabled(expert_mask, experts, E)
    logits, keys = read_keys(
        gating_output, tokens, token_stride, expert_stride, E, WIDE, ROWS, EXPERTS, DOUBLE
    )
    DTYPE: tl.constexpr = gating_output.dtype.element_ty
    rows, slots = tl.arange(0, ROWS), tl.arange(0, SLOTS)[None, :]
    best, least = take_best_keys(keys, slots, K)
    chosen = (keys >= least) & (rows < local)[:, None]
    counts = tl.where(enabled, count_columns(chosen), 0)
    largest, total = sum_chosen(logits, best, slots, E, K, RENORMALIZE, EXPERTS, DTYPE, DOUBLE)
    if program == 0:
        write_totals(totals, sorted_weights, tl.sum(pad_up(counts, UNIT), 0), local)
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
            own = tl.max(hide_absent(keys, (experts == expert)[None, :]), 1)[:, None]
            slot = tl.sum(((best > own) & (slots < K)).to(tl.int32), 1)
            value, _ = decode(own, DTYPE, DOUBLE)
            power = tl.exp2((value - largest[:, None]) * LOG2_E)
            weight = tl.sum(power, 1) * (1.0 / total)
            written = (slot < K) & (rows < local)
            positions = begin + tl.cumsum(written.to(tl.int32), 0) - written.to(tl.int32)
            tl.store(sorted_ids + positions, (slot << SLOT_SHIFT) | rows, mask=written)
            tl.store(sorted_weights + positions, weight, mask=written)


def topk_softmax_sorting(
    gating_output: Any,
    topk: int,
    renormalize: bool,
    unit_size: int,
    expert_mask: Any | None,
    num_local_tokens: Any | None,
    model_dim: int,
) -> tuple[Any, Any, Any, Any, Any]:
    """The five outputs of `moe_sorting` for the choice of `topk_softmax`, gating_output [T, E].

    Weights are renormalised over all k winners, those at disabled experts included.  Semantics:
    FlyDSL `moe_softmax_sort_flydsl` (kernels/moe/moe_sorting_kernel.py @11c4174d).
    """
    tokens, num_experts = gating_output.shape
    width = max(8, grow_to_power_of_2(num_experts))
    variant = choose(
        VARIANTS, find_arch(gating_output), T=tokens, E=num_experts, k=topk,
        logits=tokens * width, bits=gating_output.element_size() * 8,
    )  # fmt: skip
    if variant.name == "gated_then_sorted":
        announce = can_overlap(gating_output) and announces(variant, "gate")
        weights, ids = select_softmax(gating_output, topk, renormalize, announce=announce)
        return moe_sorting(
            ids, weights, num_experts, unit_size, expert_mask, num_local_tokens, model_dim,
            late=True,
        )  # fmt: skip
    outputs = allocate_sorted(tokens, topk, num_experts, unit_size, model_dim, gating_output.device)
    slots = max(2, grow_to_power_of_2(topk))
    rows = grow_to_power_of_2(tokens)
    token_stride, expert_stride = gating_output.stride()
    each = variant["experts"]
    launch(
        gate_and_sort,
        (divide_up(num_experts, each) + divide_up(tokens * model_dim, ZEROS),),
        gating_output=gating_output,
        expert_mask=expert_mask,
        num_local_tokens=num_local_tokens,
        **outputs,
        tokens=tokens,
        token_stride=token_stride,
        expert_stride=expert_stride,
        E=num_experts,
        K=topk,
        RENORMALIZE=bool(renormalize),
        WIDE=rows * token_stride + width * expert_stride >= 2**31,
        ROWS=rows,
        EXPERTS=width,
        SLOTS=slots,
        DOUBLE=bool(variant["double"]),
        UNIT=unit_size,
        UNITS=grow_to_power_of_2(unit_size),
        WIDTH=model_dim,
        EACH=each,
        BLOCKS=BLOCKS,
        ZEROS=ZEROS,
        num_warps=variant["warps"],
    )
    return (
        outputs["sorted_ids"],
        outputs["sorted_weights"],
        outputs["block_experts"],
        outputs["totals"],
        outputs["moe_buf"],
    )
