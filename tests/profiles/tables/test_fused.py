"""The form of ROCm/FlyDSL#582."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.published import load_published
from rocmoe.profiles.tables.fused import COLUMNS, WAYS
from rocmoe.profiles.tables.registry import render_form

CASE = (
    "topk_softmax_sorting:T={},E={},k={},U=32,D={}:bf16:renormalize=true,expert_mask=none,"
    "num_local_tokens=none:normal:contiguous"
)
PAIR = "user:docs/examples/unfused_pair.py:topk_softmax_sorting"
POSTED = load_published("flydsl-582").tables
SHAPES = [(256, 8, 7168), (128, 4, 2880)]


def take_times(row, which):
    return {timer: row[f"{which}_{way}"] for way, timer in WAYS.items()}


@pytest.mark.parametrize(("table", "shape"), [*zip(POSTED, SHAPES, strict=True)])
def test_the_posted_times_give_the_posted_table(table, shape, make_result, make_artifact):
    rows = [table.name_cells(number) for number in range(len(table.rows))]
    results = [
        make_result(CASE.format(row["T"], *shape), selector, **take_times(row, which))
        for row in rows
        for selector, which in (("triton", "fused"), (PAIR, "unfused"))
    ]
    (made,) = render_form("fused", make_artifact(results))
    assert made.columns == tuple(table.columns) == COLUMNS
    assert made.title.removeprefix("triton: ") == table.title.partition(": ")[2]
    for row, cells in zip(rows, made.rows, strict=True):
        found = dict(zip(COLUMNS, map(float, cells), strict=True))
        for name in COLUMNS:
            assert found[name] == pytest.approx(row[name], abs=0.0101 if "speedup" in name else 0)


def test_published_rows_stand_below_those_of_their_tokens(make_result, make_artifact):
    results = [
        make_result(CASE.format(tokens, *SHAPES[0]), selector, 2.0, kernel=1.0)
        for tokens in (3, 1)
        for selector in (PAIR, "triton")
    ]
    (made,) = render_form("fused", make_artifact(results), published=True)
    assert made.rows == [
        ["1", "N/A", "N/A", "2.00", "2.00", "1.00", "1.00", "N/A", "1.00", "1.00"],
        ["1 (published)", "32", "13.1", "16.2", "14.3", "13.5", "10.3", "2.44", "1.13", "1.32"],
        ["3", "N/A", "N/A", "2.00", "2.00", "1.00", "1.00", "N/A", "1.00", "1.00"],
    ]
    assert made.notes[-2:] == (
        "published: hardware not stated, not measured here (ROCm/FlyDSL#582)",
        "published: 14 ratios of ROCm/FlyDSL#582 do not round from the times beside them; "
        "the rounding of those times explains 14",
    )


def test_each_fused_kernel_has_a_table_and_torch_is_neither(make_result, make_artifact):
    case = CASE.format(4, *SHAPES[0])
    selectors = ["torch", "triton", "user:fused.py:topk_softmax_sorting", PAIR]
    results = [make_result(case, selector, 2.0) for selector in selectors]
    titles = [table.title for table in render_form("fused", make_artifact(results))]
    assert [title.partition(":")[0] for title in titles] == ["triton", "fused"]
    for missing in (results[:3], [results[0], results[3]]):
        with pytest.raises(RocmoeError, match="a pair whose file or function is called unfused"):
            render_form("fused", make_artifact(missing))
