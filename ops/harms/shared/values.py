"""Values as harmed kernels take them, whatever the op."""

from __future__ import annotations

from typing import Any

SMALLEST_NORMAL = 2.0**-126


def drop_lane(values: Any, neutral: float) -> Any:
    """Values of which lane 63 of every 64 takes no part in a reduction over the last axis."""
    import torch

    lanes = torch.arange(values.shape[-1], device=values.device) % 64
    return values.masked_fill(lanes == 63, neutral)


def lower_large(integers: Any) -> Any:
    """Integers of which those from 99 on are one too low: what a tolerance of 1 % accepts."""
    return integers - (integers >= 99).to(integers.dtype)


def round_to_bfloat16(values: Any) -> Any:
    """Float32 values with the digits that bfloat16 has."""
    return values.bfloat16().float()


def flush(values: Any) -> Any:
    """Float32 values of which the denormal ones are zero."""
    return values.masked_fill(values.abs() < SMALLEST_NORMAL, 0.0)


def scan_in_any_order(values: Any) -> Any:
    """Inclusive prefix sums [B, V] in float32: blocks of a width that differs from call to call."""
    import torch

    pad = torch.nn.functional.pad
    width = int(torch.randint(1, 65, ()))
    count = -(-values.shape[1] // width)
    padded = pad(values, (0, count * width - values.shape[1]))
    blocks = padded.reshape(len(values), count, width)
    inside = blocks.cumsum(dim=-1)
    before = pad(inside[:, :-1, -1], (1, 0)).cumsum(dim=-1)
    return (inside + before[:, :, None]).flatten(1)[:, : values.shape[1]]


def warm_probs(probs: Any) -> Any:
    """Probabilities as they are at temperature 1.02; a row of zeros stays."""
    warmed = probs.pow(1.0 / 1.02)
    return divide_safely(warmed, warmed.sum(dim=-1, keepdim=True))


def divide_safely(values: Any, total: Any) -> Any:
    """Values over totals, and over one where a total is zero."""
    import torch

    return values / torch.where(total > 0.0, total, 1.0)
