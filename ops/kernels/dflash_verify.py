"""dflash_verify in portable Triton: four stages of one to three launches, none of which waits.

The first softens a row of logits a program and finds its argmax in passing; filters and chain are
the kernels of those ops; the last one puts the answers of greedy sequences in place.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from rocmoe.ops.chain_speculative_sampling import cost as cost_of_chain
from rocmoe.ops.core.launch import find_arch, launch
from rocmoe.ops.core.pipeline import Pipeline, Stage
from rocmoe.ops.core.sizes import grow_to_power_of_2
from rocmoe.ops.core.variants import Variant, choose
from rocmoe.ops.kernels.chain_speculative_sampling import chain_speculative_sampling
from rocmoe.ops.kernels.shared.last_token import pick
from rocmoe.ops.kernels.shared.logit_gating import LOG2_E
from rocmoe.ops.kernels.shared.threshold import locate
from rocmoe.ops.kernels.top_k_top_p_renorm_probs import top_k_top_p_renorm_probs
from rocmoe.ops.pipelines.dflash_verify import (
    INPUTS,
    OUTPUTS,
    cost_of_filter,
    cost_of_greedy,
    cost_of_temperature,
)
from rocmoe.references.judging import logit_walk

#: block: tokens of a row that a program looks at together.  Not measured on hardware yet.
VARIANTS = (
    Variant(
        "row",
        "one round of 16 tokens a lane or less",
        most={"V": 1024},
        parameters={"block": 1024, "num_warps": 1},
    ),
    Variant(
        "row",
        "a round of 4096 tokens is 8 a lane of 512, for enough loads in flight",
        parameters={"block": 4096, "num_warps": 8},
    ),
)

GREEDY_BELOW = tl.constexpr(logit_walk.GREEDY_BELOW)
#: Below every finite logit of a row but its smallest float32, and no infinity: differences are
#: numbers.
LOWEST = tl.constexpr(-3.4028234663852886e38)


@triton.jit
def is_greedy(temperature, k):
    """Whether a sequence follows the argmax."""
    return (temperature < GREEDY_BELOW) | (k == 1)


@triton.jit
def load_logits(places, columns, stride, V, WIDE: tl.constexpr):
    """Logits of columns as float32, minus infinity past the vocabulary."""
    offsets = locate(columns, stride, WIDE)
    return tl.load(places + offsets, mask=columns < V, other=-float("inf")).to(tl.float32)


@triton.jit
def soften_rows(
    target_logits,
    temperatures,
    top_k,
    top_p,
    probs,
    best,
    row_top_k,
    row_top_p,
    V,
    nodes,
    sequence_stride,
    node_stride,
    token_stride,
    temperature_stride,
    top_k_stride,
    top_p_stride,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One row a program: probs f32 [B*N, V] and best i32 [B*N], its first largest logit.

    row_top_k i32, row_top_p f32 [B*N]: what is given for a sequence, for each of its rows.  A
    greedy sequence is softened at temperature 1.  NaN is never the largest, and makes a row NaN.
    """
    row = tl.program_id(0).to(tl.int64)
    sequence = row // nodes
    temperature = tl.load(temperatures + sequence * temperature_stride)
    k = tl.load(top_k + sequence * top_k_stride).to(tl.int32)
    tl.store(row_top_k + row, k)
    tl.store(row_top_p + row, tl.load(top_p + sequence * top_p_stride))
    scale = LOG2_E / tl.where(is_greedy(temperature, k), 1.0, temperature)
    places = target_logits + sequence * sequence_stride + row % nodes * node_stride
    lanes = tl.arange(0, BLOCK)
    largest = tl.full([BLOCK], LOWEST, tl.float32)
    first = lanes
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, V, BLOCK):
        columns = start + lanes
        logits = load_logits(places, columns, token_stride, V, WIDE)
        higher = logits > largest
        first = tl.where(higher, columns, first)
        peak = tl.where(higher, logits, largest)
        total = total * tl.exp2((largest - peak) * scale) + tl.exp2((logits - peak) * scale)
        largest = peak
    peak = tl.max(largest, 0)
    inverse = 1.0 / tl.sum(total * tl.exp2((largest - peak) * scale), 0)
    # Some lane has the peak; where nothing is above LOWEST, all do, and the first has token 0.
    tl.store(best + row, tl.min(tl.where(largest == peak, first, V), 0))
    probs += row * V
    for start in range(0, V, BLOCK):
        columns = start + lanes
        logits = load_logits(places, columns, token_stride, V, WIDE)
        tl.store(probs + columns, tl.exp2((logits - peak) * scale) * inverse, mask=columns < V)


@triton.jit
def follow_best(
    candidates,
    best,
    temperatures,
    top_k,
    accept_length,
    bonus_token,
    nodes,
    candidates_row_stride,
    candidate_stride,
    temperature_stride,
    top_k_stride,
    NODES: tl.constexpr,
):
    """One sequence a program; those that sample are left as they are."""
    row = tl.program_id(0).to(tl.int64)
    temperature = tl.load(temperatures + row * temperature_stride)
    greedy = is_greedy(temperature, tl.load(top_k + row * top_k_stride))
    steps = tl.arange(0, NODES)
    tried = steps < nodes - 1
    places = candidates + row * candidates_row_stride + (steps + 1) * candidate_stride
    drafts = tl.load(places, mask=tried, other=-1)
    wanted = tl.load(best + row * nodes + steps, mask=steps < nodes, other=0)
    # The place after the last draft never passes.
    length = tl.min(tl.where((drafts == wanted) & tried, NODES, steps), 0)
    tl.store(accept_length + row, length, mask=greedy)
    tl.store(bonus_token + row, pick(wanted, steps, length), mask=greedy)


def soften(
    target_logits: Any, temperatures: Any, top_k: Any, top_p: Any
) -> tuple[Any, Any, Any, Any]:
    """probs f32 [B*N, V], best i32 [B*N], row_top_k i32 [B*N], row_top_p f32 [B*N]; one launch."""
    import torch

    batch, nodes, vocabulary = target_logits.shape
    sequence_stride, node_stride, token_stride = target_logits.stride()
    rows, device = batch * nodes, target_logits.device
    probs = torch.empty((rows, vocabulary), dtype=torch.float32, device=device)
    best = torch.empty((rows,), dtype=torch.int32, device=device)
    row_top_k = torch.empty((rows,), dtype=torch.int32, device=device)
    row_top_p = torch.empty((rows,), dtype=torch.float32, device=device)
    variant = choose(VARIANTS, find_arch(target_logits), V=vocabulary)
    launch(
        soften_rows,
        (rows,),
        target_logits=target_logits,
        temperatures=temperatures,
        top_k=top_k,
        top_p=top_p,
        probs=probs,
        best=best,
        row_top_k=row_top_k,
        row_top_p=row_top_p,
        V=vocabulary,
        nodes=nodes,
        sequence_stride=sequence_stride,
        node_stride=node_stride,
        token_stride=token_stride,
        temperature_stride=temperatures.stride(0),
        top_k_stride=top_k.stride(0),
        top_p_stride=top_p.stride(0),
        WIDE=grow_to_power_of_2(vocabulary) * token_stride >= 2**31,
        BLOCK=min(variant["block"], grow_to_power_of_2(vocabulary)),
        num_warps=variant["num_warps"],
    )
    return probs, best, row_top_k, row_top_p


def filter_rows(probs: Any, row_top_k: Any, row_top_p: Any) -> Any:
    """filtered f32 [B*N, V]: top-k, then top-p of what that keeps, in one search or two."""
    return top_k_top_p_renorm_probs(probs, row_top_k, row_top_p, "top_k_first")


def verify(
    candidates: Any,
    filtered: Any,
    uniform_samples: Any,
    uniform_samples_for_final_sampling: Any,
    threshold_single: float,
    threshold_acc: float,
) -> tuple[Any, Any]:
    """accept_length i32 [B], bonus_token i32 [B] of all sequences by their coins."""
    return chain_speculative_sampling(
        candidates,
        filtered.view(*candidates.shape, filtered.shape[1]),
        uniform_samples,
        uniform_samples_for_final_sampling,
        threshold_single,
        threshold_acc,
    )


def settle_greedy(
    candidates: Any,
    best: Any,
    temperatures: Any,
    top_k: Any,
    accept_length: Any,
    bonus_token: Any,
) -> tuple[Any, Any]:
    """The same two tensors, with the answers of greedy sequences written into them; one launch."""
    batch, nodes = candidates.shape
    launch(
        follow_best,
        (batch,),
        candidates=candidates,
        best=best,
        temperatures=temperatures,
        top_k=top_k,
        accept_length=accept_length,
        bonus_token=bonus_token,
        nodes=nodes,
        candidates_row_stride=candidates.stride(0),
        candidate_stride=candidates.stride(1),
        temperature_stride=temperatures.stride(0),
        top_k_stride=top_k.stride(0),
        NODES=grow_to_power_of_2(nodes),
        num_warps=1,
    )
    return accept_length, bonus_token


_ANSWER = ("accept_length", "bonus_token")

#: The pipeline: `accept_length` i32 [B] and `bonus_token` i32 [B] of inputs in any layout.
dflash_verify = Pipeline(
    tuple(each.name for each in INPUTS),
    tuple(each.name for each in OUTPUTS),
    (
        Stage("temperature", ("probs", "best", "row_top_k", "row_top_p"), soften,
              cost_of_temperature),
        Stage("top_k_top_p", ("filtered",), filter_rows, cost_of_filter),
        Stage("chain", _ANSWER, verify, cost_of_chain),
        Stage("greedy", _ANSWER, settle_greedy, cost_of_greedy),
    ),
)  # fmt: skip
