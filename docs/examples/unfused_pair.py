"""What topk_softmax_sorting fuses, as two kernels: to compare with, by `--impl`."""

from rocmoe.ops.kernels.moe_sorting import moe_sorting
from rocmoe.ops.kernels.topk_softmax import topk_softmax


def topk_softmax_sorting(
    gating_output, topk, renormalize, unit_size, expert_mask, num_local_tokens, model_dim
):
    topk_weights, topk_ids = topk_softmax(gating_output, topk, renormalize)
    return moe_sorting(
        topk_ids,
        topk_weights,
        gating_output.shape[1],
        unit_size,
        expert_mask,
        num_local_tokens,
        model_dim,
    )
