"""A Triton kernel with a fault: it loads a whole block of each row, without a mask."""

import torch
import triton
import triton.language as tl


@triton.jit
def select(x, weights, ids, stride, E: tl.constexpr, K: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    lanes = tl.arange(0, BLOCK)
    logits = tl.load(x + row * stride + lanes).to(tl.float32)
    powers = tl.exp(logits - tl.max(logits, 0))
    total = tl.sum(powers, 0)
    for slot in range(K):
        best, expert = tl.max(powers, 0, return_indices=True)
        tl.store(weights + row * K + slot, best / total)
        tl.store(ids + row * K + slot, expert)
        powers = tl.where(lanes == expert, -1.0, powers)


def topk_softmax(gating_output, topk, renormalize):
    tokens, experts = gating_output.shape
    weights = torch.empty(tokens, topk, device=gating_output.device)
    ids = torch.empty(tokens, topk, dtype=torch.int32, device=gating_output.device)
    width = triton.next_power_of_2(experts)
    select[(tokens,)](gating_output, weights, ids, gating_output.stride(0), experts, topk, width)
    return weights / weights.sum(-1, keepdim=True) if renormalize else weights, ids
