"""A gating kernel that takes some 20 microseconds, and a known share more where it is told to.

The environment variable ROCMOE_SPIN is how many times as long the call takes.
"""

import os

import torch

from rocmoe.ops.kernels.topk_softmax import topk_softmax as choose

#: Ticks of an H100's clock, 1755 MHz under load, that with the gating kernel are 20 microseconds.
CALL_TICKS, GATING_TICKS = 35_000, 3_500
TICKS = int(CALL_TICKS * float(os.environ.get("ROCMOE_SPIN", "1"))) - GATING_TICKS


def topk_softmax(gating_output, topk, renormalize):
    torch.cuda._sleep(TICKS)
    return choose(gating_output, topk, renormalize)
