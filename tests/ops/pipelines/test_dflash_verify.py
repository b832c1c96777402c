from dataclasses import replace

import numpy as np
import pytest
import torch

from rocmoe.ops.backends import torch as torch_backend
from rocmoe.ops.core.case import Case
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.pipeline import bind_stages, find_host_reads
from rocmoe.ops.core.spec import list_ops, list_pipelines, load_op, load_pipeline
from rocmoe.ops.families import dflash
from rocmoe.ops.pipelines.dflash_verify import SPEC, run_fallback, run_torch
from rocmoe.profiles.model import load_model
from rocmoe.profiles.suites import list_cases
from rocmoe.references import dflash_verify as reference

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def to_torch(inputs, dtype="fp32"):
    kinds = {"target_logits": DTYPES[dtype], "candidates": torch.int64, "top_k": torch.int32}
    return {
        name: torch.from_numpy(value.copy()).to(kinds.get(name, torch.float32))
        if isinstance(value, np.ndarray)
        else value
        for name, value in inputs.items()
    }


def draw(pattern="normal", B=6, N=4, V=64, dtype="fp32", **params):
    chosen = {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "threshold_single": 1.0,
              "threshold_acc": 1.0, **params}  # fmt: skip
    return draw_inputs(SPEC, Case(SPEC.name, {"B": B, "N": N, "V": V}, dtype, chosen, pattern))


def test_a_pipeline_is_loaded_as_an_op_is_and_listed_apart():
    assert list_pipelines() == ("dflash_verify",)
    assert not set(list_pipelines()) & set(list_ops())
    assert load_op("dflash_verify") is load_pipeline("dflash-verify") is SPEC
    with pytest.raises(RocmoeError, match="unknown pipeline 'dflash'; nearest: dflash-verify"):
        load_pipeline("dflash")
    with pytest.raises(RocmoeError, match="unknown op 'dflash_verif'; nearest: dflash_verify"):
        load_op("dflash_verif")


def test_the_published_composite_passes_by_default_and_cuts_ties():
    fallback = torch_backend.find(SPEC, "fallback")
    assert fallback.variant == "fallback"
    failed = set()
    for case in list_cases(SPEC, "quick"):
        if SPEC.out_of_contract(case) or case.sizes["B"] * case.sizes["N"] > 1000:
            continue
        inputs = draw_inputs(SPEC, case)
        length, bonus = fallback.function(**to_torch(inputs, case.dtype))
        outputs = {"accept_length": length.numpy(), "bonus_token": bonus.numpy()}
        verdict = SPEC.judge(inputs, outputs, dtype=case.dtype, strict=False)
        assert verdict.ok, (case.id, verdict.failed, verdict.findings[:3])
        if not SPEC.judge(inputs, outputs, dtype=case.dtype, strict=True).ok:
            failed.add((case.pattern, case.dtype))
    assert ("ties", "fp32") in failed
    assert failed <= {("ties", "fp32"), ("normal", "bf16")}


def test_an_unknown_variant_is_refused_by_name():
    with pytest.raises(RocmoeError, match="nearest: fallback"):
        torch_backend.find(SPEC, "fallbck")
    with pytest.raises(RocmoeError, match="has no variants of topk_softmax, found 'fallback'"):
        torch_backend.find(load_op("topk_softmax"), "fallback")


@pytest.mark.parametrize("function", [run_torch, run_fallback])
def test_stages_run_alone_on_what_the_whole_gave_them(function):
    inputs = to_torch(draw(temperature="per_row", top_k="per_row", top_p="per_row"))
    whole = function(**inputs)
    bound = bind_stages(function, inputs)
    names = [each.stage.name for each in bound]
    assert names == ["temperature", "top_k", "top_p", "chain", "greedy"][: len(names)]
    assert len(names) >= 4
    for _ in range(2):
        returned = [each.call() for each in bound]
    for found, wanted in zip(returned[-1], whole, strict=True):
        assert torch.equal(found, wanted)
    rows = inputs["candidates"].numel()
    for probs in returned[:3]:
        assert probs.shape == (rows, 64)
        torch.testing.assert_close(probs.sum(dim=1), torch.ones(rows))
    kept = [(probs > 0).sum() for probs in returned[:3]]
    assert kept[0] > kept[1] > kept[2]


def test_only_the_published_composite_reads_on_the_host():
    assert find_host_reads(run_torch) == ""
    assert find_host_reads(run_fallback).startswith("stage chain reads drafts")


def test_what_stages_move_is_more_than_what_the_whole_must():
    case = SPEC.make_case(SPEC.cases[0])
    elements = 4 * 16 * 256
    costs = {stage.name: stage.cost(case) for stage in run_torch.stages}
    assert costs["temperature"].bytes_read == costs["temperature"].bytes_written == 4 * elements
    half = replace(case, dtype="bf16")
    assert run_torch.stages[0].cost(half).bytes_read == 2 * elements
    assert SPEC.cost(case).bytes_read - SPEC.cost(half).bytes_read == 2 * 4 * 256
    total = sum(cost.bytes_read + cost.bytes_written for cost in costs.values())
    assert total > 10 * (SPEC.cost(case).bytes_read + SPEC.cost(case).bytes_written)


def test_a_model_gives_its_vocabulary_to_a_block_of_16():
    sizes, params = SPEC.from_model(load_model("qwen3-8b").values())
    assert sizes == {"N": 16, "V": 151936}
    assert (params["temperature"], params["top_k"], params["top_p"]) == (0.8, 20, 0.9)
    assert SPEC.from_model({"num_experts": 8}) is None


def test_three_runs_differ_in_nothing_but_their_coins():
    inputs = draw("three_runs", B=9, temperature="per_row", top_k="per_row", top_p="per_row")
    for name in ("target_logits", "candidates", "temperatures", "top_k", "top_p"):
        for first in (0, 3, 6):
            assert (inputs[name][first : first + 3] == inputs[name][first]).all(), name
    assert not np.array_equal(inputs["target_logits"][0], inputs["target_logits"][3])
    assert not np.array_equal(inputs["uniform_samples"][0], inputs["uniform_samples"][1])


def test_served_drafts_are_accepted_about_as_often_as_in_serving():
    inputs = draw("served", B=64, N=16, V=32000 // 8)
    length = reference.oracle(**inputs)["accept_length"]
    assert 2.5 < length.mean() < 5.0
    assert (length == 0).any()
    assert (length > 6).any()


def test_drafts_hit_every_kind_of_decision():
    """Of the filtered target's tokens and of dropped ones, accepted and rejected."""
    inputs = draw("dropped_drafts", B=200)
    settings = [inputs[name] for name in ("temperatures", "top_k", "top_p")]
    target = reference.filter_logits(inputs["target_logits"], *settings)
    drafts = inputs["candidates"][:, 1:, None]
    share = np.take_along_axis(target[:, :-1], drafts, axis=2)[:, :, 0]
    accepted = inputs["uniform_samples"][:, :-1] <= share
    for kind in ((share == 0) & accepted, (share == 0) & ~accepted, (share > 0) & accepted,
                 (share > 0) & ~accepted):  # fmt: skip
        assert kind.any()


def test_without_zeros_asked_for_no_coin_accepts_a_dropped_draft():
    inputs = draw("normal", B=200)
    assert (inputs["uniform_samples"] > 0).all()


def test_runs_are_compared_where_no_rounding_decides():
    """Of a greedy and a sampling sequence, only the greedy one's answers must repeat."""
    inputs = draw(B=2)
    inputs["temperatures"] = np.array([0.0, 0.8])
    first = {"accept_length": np.array([1, 1]), "bonus_token": np.array([5, 6])}
    canonical = SPEC.canonical(inputs, first)
    assert {name: values.tolist() for name, values in canonical.items()} == {
        "accept_length": [1, 0],
        "bonus_token": [5, 0],
    }


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"temperature": -0.5}, "temperature=-0.5 is not in"),
        ({"temperature": float("inf")}, "temperature=inf is not in"),
        ({"temperature": float("nan")}, "temperature=nan is not in"),
        ({"top_p": float("nan")}, "top_p is not a number"),
        ({"threshold_acc": 2.0}, "threshold_acc=2.0 is not in"),
        ({"temperature": "cold"}, "temperature='cold' is not what it takes"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(params, words):
    case = SPEC.make_case(SPEC.cases[0])
    with pytest.raises(RocmoeError) as refused:
        SPEC.check_case(replace(case, params={**case.params, **params}))
    assert words in str(refused.value)


def test_the_published_filters_leave_a_top_p_of_one_alone():
    """Float32 sums pass 1 before the end of a row; the tail must not be dropped for it."""
    probs = torch.softmax(12 * torch.randn(4, 500, generator=torch.Generator().manual_seed(1)), -1)
    candidates, top_p = torch.zeros(4, 1, dtype=torch.int64), torch.tensor([1.0, 1.0, 0.9, 0.9])
    kept = dflash.cut_by_mass(probs, top_p, candidates) > 0
    assert torch.equal(kept[:2], probs[:2] > 0)
    assert (kept[2:].sum(dim=1) < 20).all()
