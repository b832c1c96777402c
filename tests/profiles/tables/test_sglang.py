"""The form of sgl-project/sglang#21421."""

import pytest

from rocmoe.profiles.published import load_published
from rocmoe.profiles.tables.registry import render_form
from rocmoe.profiles.tables.sglang import SPLITS

CASE = "topk_softmax:T={},E={},k={}:{}:renormalize=true:normal:contiguous"
POSTED = load_published("sglang-21421").tables


def name_case(tokens, experts=256, topk=8, dtype="bf16"):
    return CASE.format(tokens, experts, topk, dtype)


@pytest.mark.parametrize("table", POSTED[:2], ids=["DeepSeek-V3", "Qwen3.5"])
def test_the_posted_times_give_the_posted_table(table, make_result, make_artifact):
    rows = [table.name_cells(number) for number in range(len(table.rows))]
    names = ["torch", "sgl", "aiter", *(["asm"] if rows[0]["asm_us"] else [])]
    results = [
        make_result(name_case(row["token"], row["expert"], row["topk"]), name, row[f"{name}_us"])
        for name in names
        for row in rows
    ]
    model = {256: "deepseek-ai/DeepSeek-V3", 512: "Qwen/Qwen3.5-397B-A17B"}[rows[0]["expert"]]
    (made,) = render_form("sglang", make_artifact(results, ["qwen3.5-397b-a17b"]))
    assert made.columns == tuple(
        name for name in table.columns if not name.startswith("asm") or "asm" in names
    )
    assert made.title.replace("qwen3.5-397b-a17b", model).replace("topk_softmax", model) == (
        table.title
    )
    for row, cells in zip(rows, made.rows, strict=True):
        found = dict(zip(made.columns, cells, strict=True))
        for name in table.columns:
            if name.endswith("_vs_sgl"):
                assert found[name] == f"{row[name]:.2f}x"
            elif not name.endswith("_err") and row[name] is not None:
                assert found[name] == (
                    f"{row[name]:.2f}" if name.endswith("_us") else str(row[name])
                )
            elif name in found:
                assert found[name] == "0.25"


def test_tokens_are_split_as_they_were_posted():
    for table in POSTED[:2]:
        assert {row[3]: (row[0], row[1]) for row in table.rows} == SPLITS


def test_published_figures_stand_in_columns_of_their_own(make_result, make_artifact):
    results = [make_result(name_case(tokens), "triton", 2.0) for tokens in (1, 2)]
    (made,) = render_form("sglang", make_artifact(results), published=True)
    assert made.columns[10:] == (
        "published torch us", "published sgl us", "published aiter us", "published asm us",
        "published aiter_vs_sgl x", "published asm_vs_sgl x",
    )  # fmt: skip
    assert [row[10:] for row in made.rows] == [
        ["21.39", "7.67", "5.88", "2.33", "1.3", "3.29"],
        ["-", "-", "-", "-", "-", "-"],
    ]
    notes = [line for line in made.notes if line.startswith("published")]
    assert notes[0] == (
        "published: hardware not stated, not measured here (sgl-project/sglang#21421)"
    )
    assert notes[1].startswith("published claim, contradicted by sgl_err and asm_err")
    assert len(notes) == 2


def test_what_is_missing_failed_or_invalid(make_result, make_artifact):
    (made,) = render_form("sglang", make_artifact([
        make_result(name_case(3), "torch", 20.0),
        make_result(name_case(3), "sgl_kernel", None, status="fail"),
        make_result(name_case(3), "user:mine/kernel.py:topk_softmax", 4.0),
        make_result(name_case(64), "sgl_kernel", 8.0),
        make_result(name_case(64), "user:mine/kernel.py:topk_softmax", 1.0, measured="invalid"),
    ]))  # fmt: skip
    assert made.columns[6:] == (
        "torch_us", "sgl_kernel_us", "sgl_kernel_err", "kernel_us", "kernel_err",
        "kernel_vs_sgl_kernel",
    )  # fmt: skip
    assert made.rows == [
        ["3", "1", "bfloat16", "3", "256", "8", "20.00", "N/A", "fail", "4.00", "0.25", "N/A"],
        ["64", "1", "bfloat16", "64", "256", "8", "N/A", "8.00", "0.25", "(1.00)", "0.25", "N/A"],
    ]
    assert "medians by the graph timer, warm cache, on gpu:0 (NVIDIA H100)" in made.notes
    assert "kernel is user:mine/kernel.py:topk_softmax" in made.notes
    assert any("kernel.py:topk_softmax: invalid by graph, warm: why" in line for line in made.notes)


def test_one_table_a_shape_and_cache_state_named_by_the_models_that_have_it(
    make_result, make_artifact
):
    grouped = (
        "grouped_topk:T=1,E=256,k=8:bf16:renormalize=true,correction_bias=small,"
        "num_expert_group=8,topk_group=4,scoring_func=sigmoid,routed_scaling_factor=2.5,"
        "num_fused_shared_experts=0:normal:contiguous"
    )
    results = [
        make_result(name_case(1, 512, 10), "triton", 2.0),
        make_result(name_case(1, 512, 10, "fp32"), "triton", 3.0),
        make_result(name_case(1, 512, 10), "torch", None, status="fail"),
        make_result(name_case(1, 60, 4), "triton", 2.0, cache="cold"),
        make_result(grouped, "triton", 4.0),
        make_result(grouped, "torch", None, status="fail"),
    ]
    made = render_form("sglang", make_artifact(results, ["qwen3.5-397b-a17b", "gone.toml"]))
    assert [(table.title, len(table.rows), table.notes[0][21:31]) for table in made] == [
        ("SUMMARY — qwen3.5-397b-a17b gone.toml (E=[512], topk=[10])", 2, "timer, war"),
        ("SUMMARY — gone.toml grouped_topk (E=[256], topk=[8])", 1, "timer, war"),
        ("SUMMARY — gone.toml (E=[60], topk=[4])", 1, "timer, col"),
    ]
    assert made[0].columns[6:] == ("torch_us", "triton_us", "triton_err", "triton_vs_torch")
