"""Every flagged claim, worked out again from the rows that it contradicts."""

from statistics import mean, median

import pytest

from rocmoe.profiles.published import PostedTable, Ratio, list_published, load_published
from rocmoe.profiles.tables.claims import (
    find_extremes,
    list_broken_ranges,
    list_misprints,
    tell_document,
)

SGLANG, AITER, FLYDSL, DFLASH = map(
    load_published, ("sglang-21421", "aiter-1909", "flydsl-426", "sglang-23388")
)


def take_column(table, name, **where):
    rows = [table.name_cells(number) for number in range(len(table.rows))]
    return [row[name] for row in rows if all(row[key] == value for key, value in where.items())]


def test_how_many_claims_are_flagged():
    counts = {name: len(load_published(name).claims) for name in list_published()}
    assert counts == {
        "aiter-1909": 3, "flydsl-426": 4, "flydsl-582": 0, "sglang-21421": 1, "sglang-23388": 6,
    }  # fmt: skip


def test_21421_compares_wrong_answers():
    deepseek, qwen = SGLANG.tables[:2]
    for table in (deepseek, qwen):
        assert take_column(table, "sgl_err", token=1) == [0]
        assert set(take_column(table, "aiter_err")) == {0}
    wrong = take_column(deepseek, "sgl_err")[1:] + take_column(qwen, "sgl_err")[1:]
    assert (min(wrong), max(wrong)) == (0.2875, 0.816772)
    for mine, asm in zip(*(take_column(deepseek, f"{x}_err") for x in ("sgl", "asm")), strict=True):
        assert mine == pytest.approx(asm, rel=2e-6)
    ratios = take_column(deepseek, "asm_vs_sgl")
    assert (min(ratios), max(ratios)) == (1.53, 3.29)
    ratios = take_column(deepseek, "aiter_vs_sgl") + take_column(qwen, "aiter_vs_sgl")
    assert (min(ratios), max(ratios)) == (1.12, 6.29)


def test_1909_states_a_range_and_a_median_that_its_rows_do_not_have():
    tables = [AITER.find_table(f"{experts} Experts") for experts in (64, 128)]
    speedups = [each for table in tables for each in take_column(table, "Speedup")]
    assert (min(speedups), max(speedups)) == (1.31, 1.98)
    assert round(mean(speedups), 2) == 1.66
    assert round(median(speedups), 2) == 1.64
    times = [
        ck / dpp
        for table in tables
        for ck, dpp in zip(
            take_column(table, "CK (μs)"), take_column(table, "DPP (μs)"), strict=True
        )
    ]
    assert (round(mean(times), 2), round(median(times), 2)) == (1.66, 1.64)
    assert take_column(tables[0], "Speedup", Tokens=2048, TopK=4, DType="fp16") == [1.31]
    assert take_column(tables[0], "Speedup", Tokens=512, TopK=8, DType="bf16") == [1.98]


def test_1909_has_two_averages_that_do_not_agree():
    row = AITER.find_table("Performance Highlights").name_cells(0)
    assert row["DPP Kernel"] / row["CK Baseline"] == pytest.approx(2.27, abs=0.005)
    assert AITER.find_table("Summary").name_cells(0)["Avg"] == 1.66


def test_426_is_ahead_by_another_factor_and_level_end_to_end():
    kernels, model = FLYDSL.tables
    speedups = [x for x in take_column(kernels, "Speedup over vLLM") if isinstance(x, float)]
    assert (round(min(speedups), 2), round(max(speedups), 2)) == (1.31, 1.55)
    (few,) = take_column(kernels, "med (us)", **{"Kernel": "vLLM", "Number of Tokens": "T ≤ 16"})
    (more,) = take_column(kernels, "med (us)", **{"Kernel": "vLLM", "Number of Tokens": "T = 32"})
    (mine,) = take_column(kernels, "med (us)", **{"Kernel": "FlyDSL", "Number of Tokens": "T ≤ 32"})
    assert (few, more, mine) == (4.96, 5.4, 3.48)
    assert (round(few / mine, 2), round(more / mine, 2)) == (1.43, 1.55)
    assert take_column(model, "Mean (us)") == take_column(model, "Median (us)") == [4.64, 4.64]
    assert "SharedExpertScoringFunc" in take_column(model, "Kernel")[1]


def test_23388_states_more_than_its_tables_have():
    speedups = DFLASH.find_table("AITER Kernel Micro-benchmarks (MI355X)").rows
    assert [(min(row[1:]), max(row[1:])) for row in speedups[1:]] == [(7.68, 112.72), (1.9, 1.96)]
    assert (speedups[0][2], speedups[0][3]) == (1.91, 2.58)
    (strict,) = (row for row in DFLASH.tables[1].rows if row[0] == "exact_match (strict)")
    assert strict[1:] == [0.8961, 0.8969]


def test_23388_has_two_counts_of_tests_in_each_others_rows():
    passed = {row[0]: row[1] for row in DFLASH.tables[0].rows}
    # Parameters of the tests in zhentaocc/aiter op_tests/test_sampling.py @0f51c7e3.
    chain = len([1, 4, 16]) * len([128, 1024, 32000]) * len([2, 4, 8]) * len([(1, 1), (0.5, 0.8)])
    fused = len([1, 19, 99]) * len([111, 500, 32000]) * len([0.5, 0.9]) * len([10, 100])
    assert passed["chain_speculative_sampling"] == f"{fused}/{fused}" == "36/36"
    assert passed["top_k_top_p_renorm_probs"] == f"{chain}/{chain}" == "54/54"


def test_a_range_that_no_figure_has_is_a_flagged_claim_and_no_other():
    for name in list_published():
        document = load_published(name)
        broken = [stated.text for stated in list_broken_ranges(document)]
        flagged = [claim.claim for claim in document.claims]
        stated = [each.text for each in document.ranges]
        assert [text for text in stated if text in flagged] == broken
    assert len(list_broken_ranges(DFLASH)) == 3
    summary = next(each for each in AITER.ranges if each.text.startswith("Best"))
    assert find_extremes(AITER, summary) == (1.31, 1.98)


def test_which_posted_ratios_do_not_round_from_the_posted_figures():
    found = {
        name: [
            (table.title.partition(":")[0], table.rows[each.row][0], each.column)
            for table in load_published(name).tables
            for each in list_misprints(table)
        ]
        for name in list_published()
    }
    assert {name: len(each) for name, each in found.items()} == {
        "aiter-1909": 0, "flydsl-426": 0, "flydsl-582": 14, "sglang-21421": 0, "sglang-23388": 0,
    }  # fmt: skip
    assert found["flydsl-582"][:4] == [
        ("DeepSeek-R1", 4, "eager speedup"),
        ("DeepSeek-R1", 8, "eager speedup"),
        ("DeepSeek-R1", 1, "kernel speedup"),
        ("DeepSeek-R1", 2, "kernel speedup"),
    ]


def test_every_column_of_ratios_is_recomputed():
    """A column in x or percent follows from others, but where the times were not posted."""
    without = {"Performance Highlights", "Summary", "DPP vs CK direct comparison",
               "AITER Kernel Micro-benchmarks (MI355X)"}  # fmt: skip
    tables = [table for name in list_published() for table in load_published(name).tables]
    for table in tables:
        recomputed = {ratio.column for ratio in table.ratios}
        ratios = {name for name in table.columns if table.find_unit(name) in ("x", "%")}
        assert recomputed == ratios or table.title in without
    assert sum(len(table.ratios) for table in tables) == 17


@pytest.mark.parametrize(
    ("printed", "unit", "explained"),
    [
        (1.33, "x", []), (1.32, "x", [True]), (1.34, "x", [True]), (1.35, "x", [False]),
        (33.33, "%", []), (33.0, "%", [True]), (35.0, "%", [False]),
    ],
)  # fmt: skip
def test_a_misprint_is_told_from_rounded_times(printed, unit, explained):
    table = PostedTable(
        "", "", "us", ["a", "b", "x"], [[1.6, 1.2, printed]], {"x": unit}, [Ratio("x", "a", "b")]
    )
    assert [each.explained for each in list_misprints(table)] == explained


def test_what_stands_below_the_figures():
    lines = tell_document(AITER)
    assert lines[0] == "published: AMD MI300X (gfx942), not measured here (ROCm/aiter#1909)"
    assert lines[1] == (
        "published claim, contradicted by the 40 rows of both tables, and the summary line below "
        "them: 'DPP vs CK direct comparison: range 1.42x - 1.94x'; the rows range from 1.31x (2048 "
        "tokens, top 4 of 64, fp16) to 1.98x (512 tokens, top 8 of 64, bf16)"
    )
    assert len(lines) == 4
