"""The ops of models as cases: each model's router, sorts, vocabulary and heads, at any tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rocmoe.ops.core.spec import Row, list_ops, load_op
from rocmoe.profiles.model import list_models, load_model
from rocmoe.profiles.suites import list_cases, list_left_out, list_model_cases, make_model_row

Uses = Mapping[str, str]


def sort(sizes: str, pattern: str = "uniform") -> Uses:
    """E and k with the fused shared expert, which then has every token."""
    return {
        "moe_align_block_size": f"{sizes} B=64 {pattern}",
        "moe_sorting": f"{sizes} U=32 D=0 {pattern}",
    }


def fuse(sizes: str) -> Uses:
    return {
        "topk_softmax": f"{sizes} renormalize",
        "topk_softmax_sorting": f"{sizes} U=32 D=0 renormalize",
    }


def sample(vocabulary: int) -> Uses:
    return {
        "chain_speculative_sampling": f"N=4 V={vocabulary}",
        "top_k_renorm_probs": f"V={vocabulary} top_k=50",
        "top_k_top_p_renorm_probs": f"V={vocabulary} top_k=50 top_p=0.9 top_k_first",
        "top_p_renorm_probs": f"V={vocabulary} top_p=0.9",
        "tree_speculative_sampling_target_only": f"N=6 V={vocabulary}",
    }


def norm(sizes: str, rotary: str) -> Uses:
    return {"qk_norm_rope": f"{sizes} {rotary} neox", "qk_rmsnorm": sizes}


BIASED = "sigmoid bias 1/1 renormalize x1.0"
V3: Uses = {
    "grouped_topk": "E=256 k=8 sigmoid bias 8/4 renormalize x2.5",
    **sort("E=257 k=9", "shared_expert"),
    **sample(129280),
}
USES: Mapping[str, Uses] = {
    "deepseek-v3": V3,
    "deepseek-r1": V3,
    "deepseek-v3.2": V3,
    "deepseek-v4": {
        "grouped_topk": "E=384 k=6 sqrtsoftplus bias 1/1 renormalize x2.5",
        **sort("E=385 k=7", "shared_expert"),
        **sample(129280),
    },
    "kimi-k2": {
        "grouped_topk": "E=384 k=8 sigmoid bias 1/1 renormalize x2.827",
        **sort("E=385 k=9", "shared_expert"),
        **sample(163840),
    },
    "qwen3-30b-a3b": {
        **fuse("E=128 k=8"), **sort("E=128 k=8"), **sample(151936),
        **norm("Hq=32 Hkv=4 D=128", "rotary 128"),
    },
    "qwen3-235b-a22b": {
        **fuse("E=128 k=8"), **sort("E=128 k=8"), **sample(151936),
        **norm("Hq=64 Hkv=4 D=128", "rotary 128"),
    },
    "qwen3-next-80b-a3b": {
        **fuse("E=512 k=10"), **sort("E=513 k=11", "shared_expert"), **sample(151936),
        **norm("Hq=16 Hkv=2 D=256", "rotary 64"),
    },
    "qwen3.5-397b-a17b": {
        **fuse("E=512 k=10"), **sort("E=513 k=11", "shared_expert"), **sample(248320),
        **norm("Hq=32 Hkv=2 D=256", "rotary 64"),
    },
    "gpt-oss-20b": {**fuse("E=32 k=4"), **sort("E=32 k=4"), **sample(201088)},
    "gpt-oss-120b": {**fuse("E=128 k=4"), **sort("E=128 k=4"), **sample(201088)},
    "mixtral-8x7b": {**fuse("E=8 k=2"), **sort("E=8 k=2"), **sample(32000)},
    "mixtral-8x22b": {**fuse("E=8 k=2"), **sort("E=8 k=2"), **sample(32000)},
    "llama-4-scout": {"topk_sigmoid": "E=16 k=1", **sort("E=16 k=1"), **sample(202048)},
    "llama-4-maverick": {"topk_sigmoid": "E=128 k=1", **sort("E=128 k=1"), **sample(202048)},
    "glm-4.5": {
        "grouped_topk": "E=160 k=8 sigmoid bias 1/1 renormalize x2.5",
        **sort("E=161 k=9", "shared_expert"), **sample(151552),
        **norm("Hq=96 Hkv=8 D=128", "rotary 64"),
    },
    "minimax-m2": {
        "grouped_topk": f"E=256 k=8 {BIASED}", "topk_sigmoid": "E=256 k=8 bias renormalize",
        **sort("E=256 k=8"), **sample(200064),
    },
    "qwen3-8b": {**sample(151936), **norm("Hq=32 Hkv=8 D=128", "rotary 128")},
    # bundled too
    "deepseek-v4-small": {
        "grouped_topk": "E=256 k=6 sqrtsoftplus bias 1/1 renormalize x1.5",
        **sort("E=257 k=7", "shared_expert"),
        **sample(129280),
    },
    "kimi-k3": {
        "grouped_topk": f"E=896 k=16 {BIASED}", "topk_sigmoid": "E=896 k=16 bias renormalize",
        **sort("E=896 k=16"), **sample(163840),
    },
    "glm-5": {
        "grouped_topk": "E=256 k=8 sigmoid bias 1/1 renormalize x2.5",
        **sort("E=257 k=9", "shared_expert"),
        **sample(154880),
    },
    "minimax-m3": {
        "grouped_topk": "E=128 k=4 sigmoid bias 1/1 renormalize x2.0",
        **sort("E=129 k=5", "shared_expert"), **sample(200064),
        **norm("Hq=64 Hkv=4 D=128", "rotary 64"),
    },
}  # fmt: skip


def tell(row: Row, axis: str) -> str:
    """What a row says of a model, in the words above."""
    params = row.params
    words = [
        f"rotary {size}" if name == "rotary_dim" else f"{name}={size}"
        for name, size in row.sizes.items()
        if name not in (axis, "max_pos")
    ]
    if "num_expert_group" in params:
        assert params["num_fused_shared_experts"] == 0
        words.append(str(params["scoring_func"]))
    words += ["neox"] if params.get("is_neox_style") else []
    words += ["bias"] if params.get("correction_bias") else []
    if "num_expert_group" in params:
        words.append(f"{params['num_expert_group']}/{params['topk_group']}")
    words += ["renormalize"] if params.get("renormalize") else []
    words += [f"x{params[name]}" for name in ("routed_scaling_factor",) if name in params]
    words += [f"{name}={params[name]}" for name in ("top_k", "top_p") if name in params]
    words += [str(params["filter_apply_order"])] if "filter_apply_order" in params else []
    words += [row.pattern] if row.pattern in ("uniform", "shared_expert") else []
    return " ".join(words)


@pytest.mark.parametrize("name", USES)
def test_a_model_uses_these_ops_with_these_values(name: str) -> None:
    model = load_model(name)
    rows = {op: make_model_row(load_op(op), model, 64) for op in list_ops()}
    axes = {op: "T" if "T" in load_op(op).sizes else "B" for op in rows}
    assert {op: tell(row, axes[op]) for op, row in rows.items() if row} == USES[name]


def test_every_bundled_model_is_stated() -> None:
    assert sorted(USES) == list_models()


def test_heads_are_normed_with_the_eps_of_the_model() -> None:
    row = make_model_row(load_op("qk_rmsnorm"), load_model("glm-4.5"), 1)
    assert row is not None
    assert (row.params, row.dtype, row.layout) == ({"eps": 1e-5}, "bf16", "contiguous")


@pytest.mark.parametrize(
    ("change", "op"),
    [
        ({"num_expert_group": 1, "topk_group": 1}, "topk_softmax"),
        ({"num_expert_group": 8, "topk_group": 3}, "grouped_topk"),
        ({"routed_scaling_factor": 16.0}, "grouped_topk"),
        ({"correction_bias": True}, "grouped_topk"),
    ],
    ids=["one group", "groups", "factor", "bias"],
)
def test_a_softmax_with_more_to_it_is_grouped(change: Mapping[str, object], op: str) -> None:
    """As DeepSeek-V2 is, and as a profile may put it."""
    model = replace(load_model("qwen3-30b-a3b"), **change)
    used = [
        name
        for name in ("topk_softmax", "topk_softmax_sorting", "grouped_topk", "topk_sigmoid")
        if make_model_row(load_op(name), model, 1)
    ]
    assert used == ([op, f"{op}_sorting"] if op == "topk_softmax" else [op])


# cases over tokens


def test_cases_are_a_models_over_tokens_in_their_order() -> None:
    cases = list_model_cases(load_op("topk_sigmoid"), load_model("llama-4-scout"), (64, 1), 7)
    assert [case.id for case in cases] == [
        "topk_sigmoid:T=64,E=16,k=1:bf16:renormalize=false,correction_bias=none:"
        "normal:contiguous:seed=7",
        "topk_sigmoid:T=1,E=16,k=1:bf16:renormalize=false,correction_bias=none:"
        "normal:contiguous:seed=7",
    ]


def test_a_model_that_has_no_use_for_an_op_has_no_case_of_it() -> None:
    assert list_model_cases(load_op("topk_softmax"), load_model("qwen3-8b"), (1, 64)) == []


def test_a_model_of_a_file_has_cases_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nsummary = "x"\nvocab_size = { value = 1000, source = "verified: s" }\n'
    )
    model = load_model(str(tmp_path / "mine.toml"))
    cases = {op: list_model_cases(load_op(op), model, (2,)) for op in list_ops()}
    used = {op for op, found in cases.items() if found}
    assert used == sample(0).keys()
    assert all(case.sizes["V"] == 1000 for found in cases.values() for case in found)


def test_what_is_too_large_to_be_judged_is_left_out_and_told() -> None:
    model, tokens = load_model("deepseek-v3"), (1, 50, 51, 300, 301, 65536)
    for op, left_out in (
        ("top_k_renorm_probs", [301, 65536]),
        ("tree_speculative_sampling_target_only", [51, 300, 301, 65536]),
        ("grouped_topk", []),
        ("topk_softmax", []),
    ):
        assert list_left_out(load_op(op), model, tokens) == left_out
        counts = [next(iter(case.sizes.values())) for case in
                  list_model_cases(load_op(op), model, tokens)]  # fmt: skip
        used = [] if op == "topk_softmax" else [n for n in tokens if n not in left_out]
        assert counts == used


@pytest.mark.parametrize("op", ["moe_sorting", "moe_align_block_size"])
def test_suites_sort_what_routers_choose(op: str) -> None:
    """The shared expert among it: a uniform draw would spread its tokens."""
    cases = [case for case in list_cases(load_op(op), "full") if case.sizes["T"] == 16384]
    patterns = {case.sizes["E"]: case.pattern for case in cases if case.sizes["k"] in (9, 7, 11)}
    assert patterns == {257: "shared_expert", 385: "shared_expert", 513: "shared_expert",
                        161: "shared_expert"}  # fmt: skip
