"""Libraries that are not installed, built from recorded signatures: what they compute is torch's
implementation of the op on the CPU, written down as the library would write it."""

import ast
import inspect
import json
import sys
import types
from pathlib import Path

import torch

from rocmoe.ops.core.spec import load_op

SIGNATURES = Path(__file__).parent / "signatures"


def read_signatures(name):
    """The recorded functions of a library."""
    return json.loads((SIGNATURES / f"{name}.json").read_text())["functions"]


def make_signature(record):
    """A recorded function's `inspect.Signature`."""
    kinds = {
        "positional": inspect.Parameter.POSITIONAL_OR_KEYWORD,
        "keyword": inspect.Parameter.KEYWORD_ONLY,
    }
    parameters = []
    for name, kind, *default in record["parameters"]:
        value = _read_default(default[0]) if default else inspect.Parameter.empty
        parameters.append(inspect.Parameter(name, kinds[kind], default=value))
    return inspect.Signature(parameters)


def _read_default(text):
    try:
        return ast.literal_eval(text)
    except ValueError:
        return text


def make_function(record, body):
    """A function of a recorded signature that hands its arguments to `body` by name."""
    signature = make_signature(record)

    def function(*positional, **named):
        bound = signature.bind(*positional, **named)
        bound.apply_defaults()
        return body(**bound.arguments)

    function.__name__ = record["name"]
    function.__signature__ = signature
    return function


def install(monkeypatch, name, **bodies):
    """Put the modules of a library into `sys.modules`; bodies: instead of those of `BODIES`.

    None in place of a body leaves the function out.
    """
    from rocmoe.ops.core import peer, peer_import

    peer.find_form.cache_clear()
    monkeypatch.setattr(peer_import, "has_torch_op", lambda operator: True)
    made = {}
    for record in read_signatures(name):
        body = {**BODIES, **bodies}[record["name"]]
        module = _find_module(made, record["module"])
        if body is not None:
            setattr(module, record["name"], make_function(record, body))
    if name.startswith("aiter"):
        _find_module(made, "aiter.ops")
    for path, module in made.items():
        monkeypatch.setitem(sys.modules, path, module)
    return made


def _find_module(made, path):
    parts = path.split(".")
    for end in range(1, len(parts) + 1):
        parent = ".".join(parts[:end])
        if parent not in made:
            made[parent] = types.ModuleType(parent)
            made[parent].__path__ = []
    return made[path]


def run(op, **inputs):
    """What torch's implementation of an op answers, dense and on the inputs' device."""
    return load_op(op).run_torch(**inputs)


def write(outputs, answers):
    for output, answer in zip(outputs, answers, strict=True):
        if output.numel():
            output.copy_(answer)


def topk_softmax(
    topk_weights, gating_output, topk_ids=None, topk_indices=None, renormalize=None,
    need_renorm=False, **rest,
):  # fmt: skip
    del rest
    ids = topk_ids if topk_ids is not None else topk_indices
    renorm = bool(need_renorm) if renormalize is None else renormalize
    answer = run("topk_softmax", gating_output=gating_output, topk=ids.shape[1], renormalize=renorm)
    write((topk_weights, ids), answer)


def topk_sigmoid(
    topk_weights, gating_output, topk_ids=None, topk_indices=None, renormalize=False,
    correction_bias=None, e_score_correction_bias=None, **rest,
):  # fmt: skip
    del rest
    ids = topk_ids if topk_ids is not None else topk_indices
    bias = correction_bias if correction_bias is not None else e_score_correction_bias
    answer = run("topk_sigmoid", gating_output=gating_output, topk=ids.shape[1],
                 renormalize=renormalize, correction_bias=bias)  # fmt: skip
    write((topk_weights, ids), answer)


def topk_gating(
    topk_weights, topk_indices, gating_output, correction_bias, need_renorm, routed_scaling_factor,
    score_func,
):  # fmt: skip
    answer = gate(gating_output, correction_bias, topk_indices.shape[1], need_renorm, 1, 1,
                  score_func, routed_scaling_factor)  # fmt: skip
    write((topk_weights, topk_indices), answer)


def fused_topk(hidden_states, gating_output, topk, renormalize, topk_ids, topk_weights):
    assert hidden_states.shape[0] == gating_output.shape[0]
    answer = run("topk_softmax", gating_output=gating_output, topk=topk, renormalize=renormalize)
    write((topk_weights, topk_ids), answer)


def gate(logits, bias, topk, renormalize, groups, kept, scoring, factor, shared=0):
    bias = None if bias is None else bias.float()
    return run(
        "grouped_topk", gating_output=logits, correction_bias=bias, topk=topk,
        renormalize=renormalize, num_expert_group=groups, topk_group=kept,
        scoring_func=scoring, routed_scaling_factor=factor, num_fused_shared_experts=shared,
    )  # fmt: skip


def read_as(bias, logits):
    """The bias as a kernel reads it that takes it to have the logits' dtype."""
    return bias.contiguous().view(torch.uint8).view(logits.dtype)[: logits.shape[1]]


def biased_grouped_topk(
    gating_output, correction_bias, topk_weights, topk_ids, num_expert_group, need_renorm,
    routed_scaling_factor, topk_group=None, topk_grp=None,
):  # fmt: skip
    kept = topk_group if topk_grp is None else topk_grp
    bias = read_as(correction_bias, gating_output)
    answer = gate(gating_output, bias, topk_ids.shape[1], need_renorm, num_expert_group, kept,
                  "sigmoid", routed_scaling_factor)  # fmt: skip
    write((topk_weights, topk_ids), answer)


def grouped_topk(gating_output=None, scores=None, **given):
    if scores is not None:  # vLLM's
        assert given["scoring_func"] == 1
        return gate(scores, read_as(given["bias"], scores), given["topk"], given["renormalize"],
                    given["num_expert_group"], given["topk_group"], "sigmoid",
                    given["routed_scaling_factor"])  # fmt: skip
    scoring = "softmax" if given["is_softmax"] else "sigmoid"
    answer = gate(gating_output, None, given["topk_ids"].shape[1], given["need_renorm"],
                  given["num_expert_group"], given["topk_group"], scoring,
                  given["routed_scaling_factor"])  # fmt: skip
    write((given["topk_weights"], given["topk_ids"]), answer)
    return None


def moe_fused_gate(topk, num_expert_group=1, topk_group=1, **given):
    logits = next(given[key] for key in ("input", "input_tensor", "scores") if key in given)
    if "scores" in given:  # sglang's router, whose bias keeps its dtype
        return gate(logits, given["bias"], topk, given["renormalize"], num_expert_group, topk_group,
                    given["scoring_func"], given["routed_scaling_factor"],
                    given["num_fused_shared_experts"])  # fmt: skip
    shared = given.get("num_fused_shared_experts", given.get("n_share_experts_fusion", 0))
    bias = read_as(given["bias"], logits)
    factor = given["routed_scaling_factor"]
    applies = given.get("apply_routed_scaling_factor_on_output", "topk_ids" in given)
    applied = factor if applies else 1.0
    answer = gate(
        logits, bias, topk, True, num_expert_group, topk_group, "sigmoid", applied, shared
    )
    if "topk_ids" in given:
        write((given["topk_weights"], given["topk_ids"]), answer)
        return given["topk_weights"], given["topk_ids"]
    return list(answer)


def kimi_k2_moe_fused_gate(
    input_tensor, bias, topk, renormalize, routed_scaling_factor,
    apply_routed_scaling_factor_on_output,
):  # fmt: skip
    factor = routed_scaling_factor if apply_routed_scaling_factor_on_output else 1.0
    assert bias.dtype == input_tensor.dtype
    return gate(input_tensor, bias, topk, renormalize, 1, 1, "sigmoid", factor)


def fused_topk_deepseek(
    scores, bias, n_group, topk_group, topk, routed_scaling_factor, topk_values, topk_indices,
    **rest,
):  # fmt: skip
    del rest
    answer = gate(scores, bias, topk, True, n_group, topk_group, "sigmoid", routed_scaling_factor)
    write((topk_values, topk_indices), answer)


def moe_sorting(
    topk_ids, topk_weights, sorted_weights, sorted_expert_ids, num_valid_ids, moe_buf, num_experts,
    unit_size, num_local_tokens=None, **given,
):  # fmt: skip
    """As Opus: the padding is (k << 24) | L; what lies behind the last block is left."""
    ids = given.get("sorted_token_ids", given.get("sorted_ids"))
    mask = given.get("local_expert_mask", given.get("expert_mask"))
    answer = run("moe_sorting", topk_ids=topk_ids, topk_weights=topk_weights,
                 num_experts=num_experts, unit_size=unit_size, expert_mask=mask,
                 num_local_tokens=num_local_tokens, model_dim=moe_buf.shape[1])  # fmt: skip
    write_sorted(
        (ids, sorted_weights, sorted_expert_ids, num_valid_ids, moe_buf), answer, unit_size
    )


def write_sorted(outputs, answers, unit):
    total = int(answers[3][0])
    for output, answer, length in zip(
        outputs, answers, (total, total, total // unit), strict=False
    ):
        output[:length] = answer[:length]
    write(outputs[3:], answers[3:])


def moe_softmax_sort_flydsl(
    gating_logits, sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids, moe_buf,
    num_experts, topk, dtype_str, unit_size, expert_mask, renormalize, num_local_tokens,
):  # fmt: skip
    names = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    assert names[dtype_str] == gating_logits.dtype
    assert num_experts == gating_logits.shape[1]
    answer = run("topk_softmax_sorting", gating_output=gating_logits, topk=topk,
                 renormalize=renormalize, unit_size=unit_size, expert_mask=expert_mask,
                 num_local_tokens=num_local_tokens, model_dim=moe_buf.shape[1])  # fmt: skip
    outputs = (sorted_ids, sorted_weights, sorted_expert_ids, num_valid_ids, moe_buf)
    write_sorted(outputs, answer, unit_size)


def build_topk_gating_softmax_module(num_experts, topk, dtype_str, renormalize):
    def launch(gating, weights, indices, token_expert_indices, num_tokens, *, stream):
        del token_expert_indices, stream
        assert gating.shape == (num_tokens, num_experts)
        answer = run("topk_softmax", gating_output=gating, topk=topk, renormalize=renormalize)
        write((weights, indices), answer)

    assert dtype_str in ("f32", "f16", "bf16")
    return launch


def moe_align_block_size(
    topk_ids, num_experts, block_size, sorted_token_ids, experts_ids, num_tokens_post_pad,
    pad_sorted_token_ids=None, cumsum_buffer=None, token_nums=None, token_cnts_buffer=None,
    padding=None, **rest,
):  # fmt: skip
    """sgl-kernel's newest counts from expert -1; vLLM fills in the padding; others leave it."""
    shifted = pad_sorted_token_ids is not None
    experts = num_experts - 1 if shifted else num_experts
    if shifted:
        assert pad_sorted_token_ids
        assert cumsum_buffer.numel() == num_experts + 1
        assert sorted_token_ids.numel() % 4 == 0
    fills = shifted or "expert_map" in rest
    ids, owners, total = run("moe_align_block_size", topk_ids=topk_ids, num_experts=experts,
                             block_size=block_size)  # fmt: skip
    if padding is not None:
        ids = torch.where(ids == topk_ids.numel(), padding, ids)
    kept = torch.ones_like(ids, dtype=torch.bool) if fills else ids < topk_ids.numel()
    sorted_token_ids[: len(ids)][kept] = ids[kept]
    blocks = int(total) // block_size
    experts_ids[:blocks] = owners[:blocks]
    num_tokens_post_pad.copy_(total)
    if token_nums is not None:
        token_nums.zero_()


def moe_sorting_opus_get_workspace_size(tokens, num_experts, topk, dispatch_policy):
    return tokens * num_experts * topk + dispatch_policy


def filter_top_k(probs, top_k=None, maybe_top_k_arr=None, top_k_val=0, **rest):
    del rest
    value = (
        top_k if top_k is not None else top_k_val if maybe_top_k_arr is None else maybe_top_k_arr
    )
    return run("top_k_renorm_probs", probs=probs, top_k=value)


def filter_top_p(probs, top_p=None, maybe_top_p_arr=None, top_p_val=0.0, **rest):
    del rest
    value = (
        top_p if top_p is not None else top_p_val if maybe_top_p_arr is None else maybe_top_p_arr
    )
    return run("top_p_renorm_probs", probs=probs, top_p=value)


def filter_both(probs, maybe_top_k_arr, top_k_val, maybe_top_p_arr, top_p_val):
    rank = top_k_val if maybe_top_k_arr is None else maybe_top_k_arr
    mass = top_p_val if maybe_top_p_arr is None else maybe_top_p_arr
    return run("top_k_top_p_renorm_probs", probs=probs, top_k=rank, top_p=mass,
               filter_apply_order="joint")  # fmt: skip


def chain_speculative_sampling(**given):
    if "draft_probs" in given:
        return reject_chain(given["draft_probs"], given["draft_token_ids"], given["target_probs"])
    given.pop("deterministic")
    return run("chain_speculative_sampling", **given)


def reject_chain(draft_probs, draft_ids, target_probs, keeps_rejected=False):
    """FlashInfer's: (tokens padded with -1, accepted, emitted), with coins of its own."""
    batch, drafts = draft_ids.shape
    assert draft_ids.dtype == torch.int32
    assert draft_probs.is_contiguous()
    rows = torch.arange(batch)
    picked = draft_ids.long()[:, :, None]
    target = target_probs[:, :drafts].gather(2, picked)[:, :, 0]
    draft = draft_probs.gather(2, picked)[:, :, 0]
    passes = torch.rand(batch, drafts) * draft < target
    emitted = passes.long().cumprod(dim=1).sum(dim=1)
    rest = target_probs[rows, emitted].clone()
    if not keeps_rejected:
        padded = torch.cat([draft_probs, torch.zeros_like(draft_probs[:, :1])], dim=1)
        rest = (rest - padded[rows, emitted]).clamp(min=0.0)
    tokens = torch.full((batch, drafts + 1), -1, dtype=torch.int32)
    places = torch.arange(drafts)[None] < emitted[:, None]
    tokens[:, :drafts][places] = draft_ids[places]
    tokens[rows, emitted] = torch.multinomial(rest, 1)[:, 0].int()
    return tokens, emitted.int(), emitted.int()


def tree_speculative_sampling_target_only(predicts, accept_index, accept_token_num, **given):
    answer = run("tree_speculative_sampling_target_only", **given)
    write((predicts, accept_index, accept_token_num), answer)


def fused_qk_rmsnorm(q, q_weight, k, k_weight, k_out, q_epsilon, q_out_quantized, **rest):
    assert rest["gemma_norm"] is False
    for rows, weight, out in ((q, q_weight, q_out_quantized), (k, k_weight, k_out)):
        rmsnorm(rows[: q.shape[0]], weight, q_epsilon, out[: q.shape[0]])


def rmsnorm(input, weight, eps, out, enable_pdl=None):
    del enable_pdl
    scale = torch.rsqrt(input.float().square().mean(dim=-1, keepdim=True) + eps)
    out.copy_((input.float() * scale * weight.float()).to(out.dtype))


BODIES = {
    "topk_softmax": topk_softmax,
    "topk_softmax_asm": topk_softmax,
    "topk_sigmoid": topk_sigmoid,
    "topk_gating": topk_gating,
    "fused_topk": fused_topk,
    "biased_grouped_topk_hip": biased_grouped_topk,
    "biased_grouped_topk": biased_grouped_topk,
    "grouped_topk": grouped_topk,
    "moe_fused_gate": moe_fused_gate,
    "kimi_k2_moe_fused_gate": kimi_k2_moe_fused_gate,
    "fused_topk_deepseek": fused_topk_deepseek,
    "moe_sorting_opus_get_workspace_size": moe_sorting_opus_get_workspace_size,
    "moe_sorting_opus_fwd": moe_sorting,
    "moe_sorting_fwd": moe_sorting,
    "flydsl_moe_sorting_fwd": moe_sorting,
    "moe_sorting_flydsl": moe_sorting,
    "moe_softmax_sort_flydsl": moe_softmax_sort_flydsl,
    "build_topk_gating_softmax_module": build_topk_gating_softmax_module,
    "moe_align_block_size": moe_align_block_size,
    "top_k_renorm_probs": filter_top_k,
    "top_k_renorm_prob": filter_top_k,
    "top_k_renorm_probs_triton": filter_top_k,
    "top_p_renorm_probs": filter_top_p,
    "top_p_renorm_prob": filter_top_p,
    "top_p_renorm_probs_triton": filter_top_p,
    "top_k_top_p_renorm_probs": filter_both,
    "chain_speculative_sampling": chain_speculative_sampling,
    "tree_speculative_sampling_target_only": tree_speculative_sampling_target_only,
    "fused_qk_rmsnorm": fused_qk_rmsnorm,
    "rmsnorm": rmsnorm,
}
