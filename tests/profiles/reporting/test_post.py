"""The text of a pull request: posted forms, folds, and what is left out to be short."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.reporting.accuracy import parse_table
from rocmoe.profiles.reporting.post import MOST_ROWS, render_post, render_table
from rocmoe.profiles.reporting.report import make_report
from rocmoe.profiles.reporting.serving import ServingRun
from rocmoe.profiles.tables.table import Table


def render(sources, max_chars=None):
    return render_post(make_report(sources), sources, max_chars)


def list_headings(text):
    return [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]


@pytest.fixture
def long(make_sources, make_result):
    """More rows than are shown unfolded, of two backends."""
    return make_sources(
        *(
            make_result(tokens + 1, backend, us, stream=1.0)
            for tokens in range(MOST_ROWS + 1)
            for backend, us in (("torch", 8.0), ("triton", 4.0))
        )
    )


def test_it_begins_with_the_outcome_and_has_the_parts_of_a_pull_request(make_sources, make_result):
    score = "|gsm8k|3|strict-match|5|exact_match|↑|0.97|±|0.01|"
    run = ServingRun({"Max request concurrency": 4.0, "Mean TTFT (ms)": 9.0})
    more = {"scores": (parse_table(score), parse_table(score)), "serving": ([run], [run])}
    results = [make_result(1, "torch", 8.0), make_result(1, "triton", 4.0, stream=2.0)]
    text = render(make_sources(*results, more=more))
    assert text.startswith(
        "**PASSED** — 2 of 2 results pass, 1 op — NVIDIA H100 80GB HBM3\n\n### Accuracy Tests\n"
    )
    assert list_headings(text) == [
        "Accuracy Tests", "Serving Benchmark", "Benchmark: `topk_softmax`", "Tests", "Environment",
        "Reproduce",
    ]  # fmt: skip
    assert "| gsm8k | strict-match | 5 | exact\\_match |" in text


def test_times_are_in_the_form_that_the_op_is_posted_in(make_sources, make_result):
    results = [make_result(64, "torch", 8.0), make_result(64, "triton", 4.0)]
    sigmoid = [make_result(2, name, 6.0, op="topk_sigmoid") for name in ("torch", "triton")]
    text = render(make_sources(*results, *sigmoid))
    assert "| bs | seq | dtype | token | expert | topk | torch\\_us | triton\\_us |" in text
    assert "| 64 | 1 | bfloat16 | 64 | 256 | 8 | 8.00 | 4.00 |" in text
    assert "| 2 | 4 | bf16 | 6.00 | 6.00 | 1.00x | PASS |" in text
    assert "- Summary: 1/1 PASS \\| Avg: 1.00x" in text


def test_a_column_of_what_did_not_run_is_left_out(make_sources, make_result):
    text = render(make_sources(make_result(64, "triton", 4.0)))
    assert "| topk | triton\\_us | triton\\_err |\n" in text
    assert "N/A" not in text


def test_long_tables_are_folded(long):
    text = render(long)
    summary = "<details><summary>SUMMARY — topk_softmax (E=[256], topk=[8]) (17 rows)</summary>"
    assert f"{summary}\n\n" in text
    assert text.count("<details>") == text.count("</details>")


def test_the_longest_parts_are_left_out_with_a_line_in_place_of_each(long):
    whole = render(long)
    text = render(long, len(whole) - 1)
    assert len(text) < len(whole)
    (line,) = [line for line in text.splitlines() if line.startswith("_Left out")]
    assert line.endswith("SUMMARY — topk\\_softmax (E=\\[256\\], topk=\\[8\\]) (17 rows)._")
    assert list_headings(text) == list_headings(whole)
    shortest = render(long, 1500)
    assert len(shortest) <= 1500
    assert "**PASSED**" in shortest
    with pytest.raises(RocmoeError, match="--max-chars 100: the summary alone has"):
        render(long, 100)


def test_what_was_not_tested_is_never_left_out(make_sources, make_result):
    sources = make_sources(make_result(1, status="refused", reason="no such shape"), make_result(2))
    text = render(sources)
    assert "no such shape" in text
    with pytest.raises(RocmoeError) as caught:
        render(sources, 1)
    least = int(str(caught.value).partition(" has ")[2].split()[0])
    shortest = render(sources, least)
    assert shortest.count("_Left out") == 2
    assert "no such shape" in shortest


def test_failures_are_told_in_a_fence_that_they_do_not_end(make_sources, make_result):
    text = render(make_sources(make_result(1, status="crash", reason="```\n@team <b>")))
    assert text.startswith("**FAILED**")
    assert "\n````\nCRASH topk_softmax:T=1" in text


def test_cells_are_no_markup_and_call_nobody():
    table = Table("", ("a|b", "us"), [["@user <i>`x`*", "1.5"]])
    assert render_table(table) == (
        "| a\\|b | us |\n| --- | --: |\n| @\u200buser \\<i\\>\\`x\\`\\* | 1.5 |"
    )
