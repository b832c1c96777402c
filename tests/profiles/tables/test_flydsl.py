"""The form of ROCm/FlyDSL#426."""

from rocmoe.profiles.tables.registry import render_form

CASE = "topk_softmax:T={},E=128,k=4:bf16:renormalize=true:normal:contiguous"


def test_rows_a_kernel_and_speedups_over_each_baseline(make_result, make_artifact):
    results = [
        make_result(CASE.format(64), "vllm", 5.56),
        make_result(CASE.format(32), "vllm", 5.4),
        make_result(CASE.format(32), "triton", 3.48, variants=["lists grid=4x2 warps=1"]),
        make_result(CASE.format(32), "aiter", 5.58, variants=["a grid=1", "b grid=2"]),
        make_result(CASE.format(64), "aiter", None, status="fail"),
        make_result(CASE.format(64), "triton", 3.92, measured="invalid"),
    ]
    (made,) = render_form("flydsl", make_artifact(results))
    assert made.title == "topk_softmax: E=128, topk=4, bf16"
    assert made.columns == (
        "Kernel", "Number of Blocks", "Number of Tokens", "med (us)", "p99 (us)",
        "Speedup over vllm", "Speedup over aiter",
    )  # fmt: skip
    assert made.rows == [
        ["vllm", "-", "T = 32", "5.40", "5.40", "baseline", ""],
        ["vllm", "-", "T = 64", "5.56", "5.56", "baseline", ""],
        ["aiter", "-", "T = 32", "5.58", "5.58", "", "baseline"],
        ["aiter", "-", "T = 64", "N/A", "N/A", "", "baseline"],
        ["triton", "8", "T = 32", "3.48", "3.48", "1.55", "1.60"],
        ["triton", "-", "T = 64", "(3.92)", "(3.92)", "N/A", "N/A"],
    ]


def test_the_percentile_is_of_all_samples(make_result, make_artifact):
    result = make_result(CASE.format(1), "torch", 1.0)
    result.measurements[0].samples_us[:] = [[float(us) for us in range(1, 102)], [3.0]]
    (made,) = render_form("flydsl", make_artifact([result]))
    assert made.rows == [["torch", "-", "T = 1", "27.00", "99.99"]]


def test_a_function_of_the_users_is_what_is_compared(make_result, make_artifact):
    names = ["user:old.py:topk_softmax", "user:mine.py:topk_softmax", "torch", "triton"]
    times = zip(names, (6, 2, 8, 4), strict=True)
    results = [make_result(CASE.format(1), name, us) for name, us in times]
    (made,) = render_form("flydsl", make_artifact(results))
    assert made.columns[5:] == (
        "Speedup over old", "Speedup over torch", "Speedup over triton",
    )  # fmt: skip
    assert made.rows[-1] == ["mine", "-", "T = 1", "2.00", "2.00", "3.00", "4.00", "2.00"]


def test_published_rows_follow_as_they_were_posted(make_result, make_artifact):
    results = [make_result(CASE.format(tokens), "triton", 2.0) for tokens in (8, 64)]
    (made,) = render_form("flydsl", make_artifact(results), published=True)
    assert made.columns[5:] == ("Speedup over vLLM (published)", "Speedup over AITER (published)")
    assert made.rows == [
        ["triton", "-", "T = 8", "2.00", "2.00", "-", "-"],
        ["triton", "-", "T = 64", "2.00", "2.00", "-", "-"],
        ["vLLM (published)", "1", "T ≤ 16", "4.96", "5.56", "baseline", "-"],
        ["vLLM (published)", "4", "T = 64", "5.56", "6.16", "baseline", "-"],
        ["AITER (published)", "1", "T = 64", "5.67", "5.84", "-", "baseline"],
        ["FlyDSL (published)", "1", "T ≤ 32", "3.48", "3.68", "1.5517241", "1.6034483"],
        ["FlyDSL (published)", "2", "T = 64", "3.92", "4.12", "1.4183673", "1.4464286"],
    ]
    assert "published: MI350, not measured here (ROCm/FlyDSL#426)" in made.notes
    assert "published: shape not stated: that of GPT-OSS 120B (ROCm/FlyDSL#426)" in made.notes
