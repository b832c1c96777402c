"""Scores of logits in float32, what is compared of them, and the weights that they give."""

from __future__ import annotations

import triton
import triton.language as tl

from rocmoe.ops.kernels.shared.logit_gating import LEAST_SUM, LOG2_E

#: Beyond it softplus(x) is x in float32.
LINEAR = tl.constexpr(20.0)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def score_logits(logits, largest, total, SCORING: tl.constexpr):
    """float32 scores; largest, total: of the row's logits and powers, for softmax alone."""
    if SCORING == "sigmoid":
        # One reciprocal root in place of a division, which takes ten instructions on CDNA.
        root = tl.rsqrt(1.0 + tl.exp2(-logits * LOG2_E))
        scores = root * root
    elif SCORING == "sqrtsoftplus":
        softplus = tl.log2(1.0 + tl.exp2(logits * LOG2_E)) * LN_2
        scores = tl.sqrt(tl.where(logits > LINEAR, logits, softplus))
    else:
        scores = tl.exp2((logits - largest) * LOG2_E) * (1.0 / total)
    return scores


@triton.jit
def bias_scores(logits, largest, total, bias, SCORING: tl.constexpr):
    """What is compared: score_logits + bias, the same bits wherever it is computed.

    Fused by hand, since the compiler fuses a product and a sum in one place and not in another.
    """
    if SCORING == "sigmoid":
        root = tl.rsqrt(1.0 + tl.exp2(-logits * LOG2_E))
        values = tl.fma(root, root, bias)
    elif SCORING == "sqrtsoftplus":
        values = score_logits(logits, largest, total, SCORING) + bias
    else:
        values = tl.fma(tl.exp2((logits - largest) * LOG2_E), 1.0 / total, bias)
    return values


@triton.jit
def compare_scores(logits, largest, total, correction_bias, experts, SCORING: tl.constexpr):
    """What is compared of the logits of experts, with their bias if there is one."""
    if correction_bias is None:
        values = score_logits(logits, largest, total, SCORING)
    else:
        values = bias_scores(logits, largest, total, tl.load(correction_bias + experts), SCORING)
    return values


@triton.jit
def measure_rows(tiles, SCORING: tl.constexpr):
    """The largest logit and the sum of powers of each row [rows, 1], if softmax needs them.

    tiles: [rows, columns] or [rows, groups, columns].
    """
    largest = tl.zeros([tiles[0].shape[0], 1], tl.float32)
    total = largest
    if SCORING == "softmax":
        most = tiles[0]
        for n in tl.static_range(1, len(tiles)):
            most = tl.maximum(most, tiles[n])
        if len(most.shape) == 3:
            largest = tl.max(tl.max(most, 2), 1)[:, None]
            above = largest[:, :, None]
        else:
            largest = tl.max(most, 1)[:, None]
            above = largest
        powers = tl.exp2((tiles[0] - above) * LOG2_E)
        for n in tl.static_range(1, len(tiles)):
            powers += tl.exp2((tiles[n] - above) * LOG2_E)
        if len(most.shape) == 3:
            powers = tl.sum(powers, 2)
        total = tl.sum(powers, 1)[:, None]
    return largest, total


@triton.jit
def value_tiles(
    tiles, largest, total, correction_bias,
    GROUPS: tl.constexpr, SIZE: tl.constexpr, SCORING: tl.constexpr,
):  # fmt: skip
    """What is compared, of tiles [rows, groups, columns] of logits; -inf for no expert."""
    groups = tl.arange(0, tiles[0].shape[1])[None, :, None]
    columns = tl.arange(0, tiles[0].shape[2])[None, None, :]
    values = ()
    for n in tl.static_range(len(tiles)):
        present = (groups < GROUPS) & (columns < SIZE - n * tiles[0].shape[2])
        if correction_bias is None:
            value = score_logits(tiles[n], largest, total, SCORING)
        else:
            # Of the tile's own shape, so that both loads get one layout and none is converted.
            places = correction_bias + groups * SIZE + columns + n * tiles[0].shape[2]
            places = tl.broadcast_to(places, tiles[n].shape)
            there = tl.broadcast_to(present, tiles[n].shape)
            bias = tl.load(places, mask=there, other=0.0)
            value = bias_scores(tiles[n], largest, total, bias, SCORING)
        if GROUPS < tiles[0].shape[1] or SIZE < (n + 1) * tiles[0].shape[2]:
            value = tl.where(present, value, -float("inf"))
        values = values + (value,)
    return values


@triton.jit
def finish_rows(
    scores, ids, slots, factor, E: tl.constexpr, ROUTED: tl.constexpr, RENORMALIZE: tl.constexpr
):
    """Weights and ids [rows, slots] of the ROUTED experts chosen and of the shared ones after."""
    scores = tl.where(slots < ROUTED, scores, 0.0)
    total = tl.sum(scores, 1)[:, None]
    weights = tl.where(slots < ROUTED, scores, total * (1.0 / factor))
    if RENORMALIZE:
        weights *= 1.0 / tl.maximum(total, LEAST_SUM)
    return weights * factor, tl.where(slots < ROUTED, ids, E + slots - ROUTED)
