"""The form of ROCm/aiter#1909."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.published import load_published
from rocmoe.profiles.tables.registry import render_form

CASE = "topk_sigmoid:T={},E={},k={}:{}:renormalize=false,correction_bias=none:normal:contiguous"
POSTED = load_published("aiter-1909")


def test_the_posted_times_give_the_posted_tables_and_their_true_summary(make_result, make_artifact):
    results, tables = [], [POSTED.find_table(f"{experts} Experts") for experts in (64, 128)]
    for table, experts in zip(tables, (64, 128), strict=True):
        for tokens, topk, dtype, ck, dpp, *_ in table.rows:
            case = CASE.format(tokens, experts, topk, dtype)
            results += [make_result(case, "CK", ck), make_result(case, "DPP", dpp)]
    made = render_form("aiter", make_artifact(results))
    assert [table.title for table in made] == ["64 Experts", "128 Experts"]
    for table, posted in zip(made, tables, strict=True):
        assert table.columns == tuple(posted.columns)
        assert table.rows == [
            [str(row[0]), str(row[1]), row[2], f"{row[3]:.2f}", f"{row[4]:.2f}", f"{row[5]:.2f}x",
             "PASS"]
            for row in posted.rows
        ]  # fmt: skip
    assert made[0].summary == ()
    # Posted as 1.65x: the median is the one figure of the line that the rows do not have.
    assert made[1].summary == (
        "Summary: 40/40 PASS | Avg: 1.66x | Median: 1.64x | Best: 1.98x | Worst: 1.31x",
    )


def test_what_is_not_right_or_not_timed(make_result, make_artifact):
    first, second = (CASE.format(tokens, 128, 1, "fp32") for tokens in (256, 512))
    results = [
        make_result(first, "torch", 8.0),
        make_result(first, "triton", None, status="fail"),
        make_result(second, "torch", None, status="timeout"),
        make_result(second, "triton", 2.0),
    ]
    (made,) = render_form("aiter", make_artifact(results))
    assert made.rows == [
        ["256", "1", "fp32", "8.00", "N/A", "N/A", "FAIL (triton)"],
        ["512", "1", "fp32", "N/A", "2.00", "N/A", "TIMEOUT (torch)"],
    ]
    assert made.summary == ("Summary: 0/2 PASS | Avg: N/A | Median: N/A | Best: N/A | Worst: N/A",)


def test_a_table_for_each_other_backend_with_a_summary_of_its_own(make_result, make_artifact):
    case = CASE.format(1, 64, 4, "bf16")
    times = {"torch": 8.0, "triton": 2.0, "vllm": 3.0}
    results = [make_result(case, name, us) for name, us in times.items()]
    made = render_form("aiter", make_artifact(results), published=True)
    assert [table.columns[3:] for table in made] == [
        ("torch (μs)", "triton (μs)", "Speedup", "Status"),
        ("vllm (μs)", "triton (μs)", "Speedup", "Status"),
    ]
    assert [table.summary[0].split(" | ")[1] for table in made] == ["Avg: 4.00x", "Avg: 1.50x"]
    assert made[0].notes[-1] == "published: nothing for these shapes"


def test_published_figures_and_the_claims_that_do_not_hold(make_result, make_artifact):
    case = CASE.format(2048, 64, 4, "fp16")
    results = [make_result(case, name, 2.0) for name in ("torch", "triton")]
    (made,) = render_form("aiter", make_artifact(results), published=True)
    assert made.columns[7:] == ("published CK us", "published DPP us", "published DPP over CK x")
    assert made.rows[0][7:] == ["3.93", "3.01", "1.31"]
    assert "published: AMD MI300X (gfx942), not measured here (ROCm/aiter#1909)" in made.notes
    assert sum(line.startswith("published claim") for line in made.notes) == 3


def test_one_backend_is_not_enough(make_result, make_artifact):
    artifact = make_artifact([make_result(CASE.format(1, 64, 4, "bf16"), "triton", 2.0)])
    with pytest.raises(
        RocmoeError, match="needs two backends on the same cases, found triton; try"
    ):
        render_form("aiter", artifact)
