"""The road of an adapter, end to end: stand-ins that are right pass, those with a bug fail."""

import dataclasses
import math

import pytest
import torch

from rocmoe.ops.core.backend import find_library, list_backends
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.peer import Form, find_form
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.examination import examine

CPU = parse_device("cpu")
RECORDED = {
    "aiter": ("aiter", "gfx942"),
    "aiter_fork": ("aiter", "gfx942"),
    "sgl_kernel": ("sgl_kernel", "gfx942"),
    "sgl_kernel_0_3": ("sgl_kernel", "sm90"),
    "sgl_kernel_old": ("sgl_kernel", "sm90"),
    "vllm": ("vllm", "sm90"),
    "flashinfer": ("flashinfer", "sm90"),
    "flydsl": ("flydsl", "gfx942"),
    "flydsl_old": ("flydsl", "gfx942"),
}
ROADS = [
    (recorded, each.op, each.name)
    for recorded, (backend, _) in RECORDED.items()
    for each in find_library(backend).variants
]


def find(backend, op, variant="", arch="gfx942"):
    """An implementation that takes the CPU for a GPU."""
    found = find_library(backend).find(load_op(op), variant)
    return dataclasses.replace(found, devices=("cpu",), arch=arch)


def judge(implementation, case, strict=False):
    spec = implementation.restate(load_op(case.op), case)
    return examine(spec, case, implementation, CPU, strict=strict)


def list_small_cases(implementation, count=2):
    """The smallest declared cases that it takes and that tell something, of different params."""
    spec = load_op(implementation.op)
    taken = {}
    for row in spec.cases:
        case = spec.make_case(row)
        plain = not spec.degenerate(case) and not spec.out_of_contract(case)
        if plain and implementation.find_refusal(case, CPU) is None:
            size = math.prod(case.sizes.values())
            taken.setdefault((case.dtype, tuple(case.params.items())), []).append((size, case.id))
    firsts = sorted(min(cases) for cases in taken.values())
    return [parse_case(word) for _, word in firsts[:count]]


@pytest.mark.parametrize(("recorded", "op", "variant"), ROADS)
def test_a_right_library_passes(stand_ins, monkeypatch, recorded, op, variant):
    backend, arch = RECORDED[recorded]
    stand_ins.install(monkeypatch, recorded)
    implementation = find(backend, op, variant, arch)
    if absence := implementation.find_absence():
        assert "has no" in absence or "not installed" in absence or "takes (" in absence
        return
    plain = {"routed_scaling_factor": 1.0} if op == "grouped_topk" else {}
    cases = list_small_cases(implementation) or [case_of(op, **plain)]
    assert implementation.find_refusal(cases[0], CPU) is None
    for case in cases:
        torch.manual_seed(0)
        examined = judge(implementation, case)
        assert examined.verdict.ok, (case.id, examined.verdict.findings[:3])
        assert examined.variants == (f"{backend}.{variant}",)


def case_of(op, **changes):
    """The first declared case of an op with other sizes, params or words."""
    case = load_op(op).make_case(load_op(op).cases[0])
    sizes = {name: changes.pop(name, size) for name, size in case.sizes.items()}
    params = {name: changes.pop(name, value) for name, value in case.params.items()}
    return load_op(op).check_case(dataclasses.replace(case, sizes=sizes, params=params, **changes))


def leaves_outputs(**given):
    """CK's topk_sigmoid beyond its sizes: nothing is launched, and nobody told."""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"E": 256}, "wants E <= 192 (composable_kernel"),
        ({"dtype": "fp32"}, "wants fp16, bf16 (composable_kernel"),
        ({"layout": "strided"}, "takes rows to be contiguous (csrc/py_itfs_ck"),
    ],
)
def test_what_a_library_does_not_check_is_refused_or_seen(stand_ins, monkeypatch, changes, said):
    stand_ins.install(monkeypatch, "aiter", topk_sigmoid=leaves_outputs)
    guarded = find("aiter", "topk_sigmoid", "topk_sigmoid")
    case = case_of("topk_sigmoid", **changes)
    assert said in guarded.find_refusal(case, CPU)
    assert guarded.find_overstepped(case) is None
    unguarded = guarded.without_guard()
    assert unguarded.find_refusal(case, CPU) is None
    assert said in unguarded.find_overstepped(case)
    assert "all_written" in judge(unguarded, case).verdict.failed


def test_a_contract_is_no_matter_of_the_guard(stand_ins, monkeypatch):
    stand_ins.install(monkeypatch, "aiter")
    unguarded = find("aiter", "topk_sigmoid", "topk_sigmoid").without_guard()
    case = case_of("topk_sigmoid", renormalize=True)
    assert unguarded.find_refusal(case, CPU).startswith("does not renormalise")
    asm = find("aiter", "topk_softmax", "topk_softmax_asm").without_guard()
    assert "wants (E, k)" in asm.find_refusal(case_of("topk_softmax", E=64), CPU)


def reads_dense(topk_weights, topk_ids, gating_output, renormalize, **rest):
    """A kernel that computes a row's place from E alone."""
    del rest
    tokens, experts = gating_output.shape
    room = gating_output.untyped_storage().nbytes() // gating_output.element_size()
    offset = gating_output.storage_offset()
    flat = torch.as_strided(gating_output, (room - offset,), (1,), offset)
    rows = flat[: tokens * experts].view(tokens, experts)
    probabilities = torch.softmax(rows.float(), dim=-1)
    weights, ids = probabilities.topk(topk_ids.shape[1])
    topk_weights.copy_(weights / weights.sum(dim=-1, keepdim=True) if renormalize else weights)
    topk_ids.copy_(ids)


def test_strided_logits_read_as_dense(stand_ins, monkeypatch):
    stand_ins.install(monkeypatch, "sgl_kernel", topk_softmax=reads_dense)
    implementation = find("sgl_kernel", "topk_softmax")
    strided = case_of("topk_softmax", dtype="fp32", layout="strided")
    assert "takes rows to be contiguous" in implementation.find_refusal(strided, CPU)
    assert judge(implementation, case_of("topk_softmax", dtype="fp32")).verdict.ok
    assert not judge(implementation.without_guard(), strided).verdict.ok


def test_padding_that_is_none(stand_ins, monkeypatch):
    """-1 where T*k or more is due."""

    def pads_with_minus_one(**given):
        stand_ins.moe_align_block_size(padding=-1, **given)

    stand_ins.install(monkeypatch, "vllm", moe_align_block_size=pads_with_minus_one)
    case = case_of("moe_align_block_size")
    assert not judge(find("vllm", "moe_align_block_size", arch="sm90"), case).verdict.ok


def test_the_caller_fills_in_the_padding_on_every_call(stand_ins, monkeypatch):
    stand_ins.install(monkeypatch, "aiter")
    implementation = find("aiter", "moe_align_block_size")
    topk_ids = torch.zeros(4, 1, dtype=torch.int32)
    outputs = {
        "sorted_token_ids": torch.empty(4 + 2 * 7, dtype=torch.int32),
        "expert_ids": torch.empty(3, dtype=torch.int32),
        "num_tokens_post_pad": torch.empty(1, dtype=torch.int32),
    }
    case = case_of("moe_align_block_size")
    call = implementation.for_case(case).bind(
        {"topk_ids": topk_ids, "num_experts": 2, "block_size": 8}, outputs
    )
    for _ in range(2):
        outputs["sorted_token_ids"].fill_(-7)
        call()
        assert outputs["sorted_token_ids"][:8].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]


def test_the_forks_chain_keeps_the_rejected_token(stand_ins, monkeypatch):
    def keeps(candidates, target_probs, uniform_samples, threshold_single, threshold_acc,
              uniform_samples_for_final_sampling, deterministic):  # fmt: skip
        del deterministic
        from rocmoe.ops.chain_speculative_sampling import count_accepted
        from rocmoe.ops.families.speculative import draw_tokens

        length = count_accepted(
            candidates, target_probs, uniform_samples, threshold_single, threshold_acc
        )
        mass = target_probs[torch.arange(len(candidates)), length]
        return length.int(), draw_tokens(mass, uniform_samples_for_final_sampling).int()

    stand_ins.install(monkeypatch, "aiter_fork", chain_speculative_sampling=keeps)
    case = case_of("chain_speculative_sampling", B=33, N=8, V=512, pattern="all_rejected")
    assert "last_token" in judge(find("aiter", "chain_speculative_sampling"), case).verdict.failed


def test_own_coins_are_judged_by_their_distribution(stand_ins, monkeypatch):
    case = case_of("chain_speculative_sampling", B=4096, N=3, V=128, pattern="lossless",
                   threshold_single=1.0, threshold_acc=1.0)  # fmt: skip
    stand_ins.install(monkeypatch, "flashinfer")
    implementation = find("flashinfer", "chain_speculative_sampling", arch="sm90")
    torch.manual_seed(1)
    verdict = judge(implementation, case).verdict
    assert verdict.ok, verdict.findings
    checks = {check.name: check for check in verdict.checks}
    assert checks["lossless"].ok
    assert checks["coins"].ok is None

    def keeps(**given):
        return stand_ins.reject_chain(
            given["draft_probs"], given["draft_token_ids"], given["target_probs"], True
        )

    stand_ins.install(monkeypatch, "flashinfer", chain_speculative_sampling=keeps)
    verdict = judge(find("flashinfer", "chain_speculative_sampling", arch="sm90"), case).verdict
    assert "lossless" in verdict.failed
    other = case_of("chain_speculative_sampling")
    assert "only pattern lossless can judge it" in implementation.find_refusal(other, CPU)


def test_a_bias_in_the_logits_dtype(stand_ins, monkeypatch):
    """It is rounded as it is drawn, so that handing it over changes nothing, and that is told."""
    stand_ins.install(monkeypatch, "aiter")
    implementation = find("aiter", "grouped_topk", "biased_grouped_topk_hip")
    case = case_of("grouped_topk")
    assert case.dtype == "bf16"
    verdict = judge(implementation, case).verdict
    assert verdict.ok
    assert {check.name: check.ok for check in verdict.checks}["fp32_bias"] is None

    def misreads(**given):
        stand_ins.biased_grouped_topk(
            **{**given, "correction_bias": given["correction_bias"].float()}
        )

    stand_ins.install(monkeypatch, "aiter", biased_grouped_topk_hip=misreads)
    assert not judge(find("aiter", "grouped_topk", "biased_grouped_topk_hip"), case).verdict.ok


def test_the_factor_that_aiters_dispatcher_drops(stand_ins, monkeypatch):
    """moe_fused_gate never multiplies by it: a case with a factor fails, one without passes."""

    def drops(**given):
        stand_ins.moe_fused_gate(**{**given, "routed_scaling_factor": 1.0})

    stand_ins.install(monkeypatch, "aiter", moe_fused_gate=drops)
    implementation = find("aiter", "grouped_topk", "moe_fused_gate")
    assert not judge(implementation, case_of("grouped_topk")).verdict.ok
    assert judge(implementation, case_of("grouped_topk", routed_scaling_factor=1.0)).verdict.ok


def test_queries_and_keys_of_different_heads(stand_ins, monkeypatch):
    """As many rows of k as q has are computed, whatever k has."""
    stand_ins.install(monkeypatch, "aiter")
    implementation = find("aiter", "qk_rmsnorm")
    case = case_of("qk_rmsnorm", Hq=2, Hkv=4, dtype="bf16", layout="contiguous")
    assert "Hq == Hkv" in implementation.find_refusal(case, CPU)
    assert "all_written" in judge(implementation.without_guard(), case).verdict.failed


def test_a_tensor_of_k_goes_beyond_the_scratch(stand_ins, monkeypatch):
    stand_ins.install(monkeypatch, "aiter")
    implementation = find("aiter", "top_k_renorm_probs")
    case = case_of("top_k_renorm_probs", top_k="per_row")
    assert "room for 50 indices a row" in implementation.find_refusal(case, CPU)
    assert "room for 50" in implementation.without_guard().find_overstepped(case)


def test_a_library_that_wants_a_gpu(stand_ins, monkeypatch):
    def refuses(**given):
        raise RuntimeError("gating_output must be a CUDA tensor")

    stand_ins.install(monkeypatch, "vllm", topk_softmax=refuses)
    with pytest.raises(RuntimeError, match="must be a CUDA tensor"):
        judge(find("vllm", "topk_softmax", arch="sm90"), case_of("topk_softmax"))
    plain = find_library("vllm").find(load_op("topk_softmax"), "")
    assert plain.find_refusal(case_of("topk_softmax"), CPU) == (
        "vllm does not run on cpu; it runs on gpu"
    )


@pytest.mark.parametrize(
    ("arch", "changes", "runs"),
    [
        ("gfx942", {}, "topk_softmax_asm"),
        ("gfx950", {"k": 6}, "topk_softmax_asm"),
        ("gfx90a", {}, "topk_softmax"),
        ("gfx942", {"dtype": "fp16"}, "topk_softmax"),
        ("gfx942", {"layout": "strided"}, "topk_softmax"),
        ("gfx942", {"E": 60, "k": 4}, "topk_softmax"),
    ],
)
def test_a_case_and_an_architecture_choose_the_function(
    stand_ins, monkeypatch, arch, changes, runs
):
    stand_ins.install(monkeypatch, "aiter")
    implementation = find("aiter", "topk_softmax", arch=arch)
    chosen = implementation.for_case(case_of("topk_softmax", **changes))
    assert chosen.choice.variant.name == runs
    assert chosen.binder.__name__ == f"bind_{runs}"
    refused = find("aiter", "topk_softmax", arch="sm90").find_refusal(case_of("topk_softmax"), CPU)
    assert "runs on gfx" in refused


def test_an_absent_function_leaves_the_choice_to_the_next(stand_ins, monkeypatch):
    stand_ins.install(monkeypatch, "aiter", topk_softmax_asm=None)
    implementation = find("aiter", "topk_softmax")
    assert implementation.find_absence() is None
    assert implementation.for_case(case_of("topk_softmax")).choice.variant.name == "topk_softmax"
    assert find("aiter", "topk_softmax", "topk_softmax_asm").find_absence() == (
        "aiter has no topk_softmax_asm"
    )


def test_a_signature_of_tomorrow_is_unavailable(stand_ins, monkeypatch):
    made = stand_ins.install(monkeypatch, "vllm")
    made["vllm._custom_ops"].topk_softmax = lambda weights, ids, logits: None
    said = find("vllm", "topk_softmax").find_absence()
    assert find("vllm", "topk_softmax").find_refusal(case_of("topk_softmax"), CPU) == said
    assert said.startswith("vllm._custom_ops.topk_softmax takes (weights, ids, logits); wanted (")
    assert isinstance(find_form(find_library("vllm").list_variants("topk_sigmoid")[0]), Form)


def test_a_build_without_the_operator(monkeypatch, stand_ins):
    stand_ins.install(monkeypatch, "vllm")
    monkeypatch.undo()
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        made = stand_ins.install(patch, "vllm")
        patch.setattr("rocmoe.ops.core.peer_import.has_torch_op", lambda name: False)
        assert (
            find("vllm", "topk_softmax")
            .find_absence()
            .endswith("its build has no torch.ops._moe_C.topk_softmax")
        )
    assert made


def test_names(stand_ins):
    spec = load_op("topk_softmax")
    library = find_library("aiter")
    with pytest.raises(RocmoeError, match="unknown aiter function 'topk_softmx'; nearest: topk_s"):
        library.find(spec, "topk_softmx")
    assert library.find(spec, "moe_sorting_fwd") is None
    assert library.has("topk_softmax", "topk_softmax_asm")
    assert not library.has("moe_sorting", "topk_softmax_asm")
    assert find_library("torch") is None
    assert {name for name in list_backends() if find_library(name)} == {
        *("aiter", "flashinfer", "flydsl", "sgl_kernel", "vllm")
    }


def test_scratch_is_made_ahead_of_the_call(stand_ins, monkeypatch):
    """What is timed is the call alone: no tensor is made in it but by the library."""
    stand_ins.install(monkeypatch, "aiter", topk_softmax=leaves_outputs)
    implementation = find("aiter", "topk_softmax", "topk_softmax")
    case = case_of("topk_softmax")
    inputs = {"gating_output": torch.zeros(4, 8), "topk": 2, "renormalize": True}
    outputs = {"topk_weights": torch.zeros(4, 2), "topk_ids": torch.zeros(4, 2, dtype=torch.int32)}
    call = implementation.for_case(case).bind(inputs, outputs)
    made = []
    monkeypatch.setattr(torch, "empty_like", lambda *given, **named: made.append(given))
    returned = call()
    assert made == []
    assert returned == tuple(outputs.values())
