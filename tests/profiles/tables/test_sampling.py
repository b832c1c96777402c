"""The form of sgl-project/sglang#23388."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.tables.registry import render_form

TOP_P = "top_p_renorm_probs:B={},V={}:fp32:top_p={}:normal:contiguous"
CHAIN = (
    "chain_speculative_sampling:B={},N=4,V=32000:fp32:threshold_single=1.0,threshold_acc=1.0:"
    "normal:contiguous"
)


def test_a_row_an_op_and_shape_and_a_column_a_batch(make_result, make_artifact):
    times = {
        CHAIN.format(16): {"torch": 450.88, "triton": 4.0},
        CHAIN.format(1): {"torch": 30.72, "triton": 4.0},
        TOP_P.format(4, 32000, 0.9): {"torch": 19.1, "triton": 10.0},
        TOP_P.format(4, 151936, 0.9): {"torch": 30.0, "triton": None},
        TOP_P.format(4, 32000, 0.5): {"triton": 5.0},
    }
    results = [make_result(case, name, us) for case, by in times.items() for name, us in by.items()]
    (made,) = render_form("sampling", make_artifact(results), published=True)
    assert made.title == "triton: speed-up over torch"
    assert made.columns == ("Kernel", "bs=1", "bs=4", "bs=16")
    assert made.rows == [
        ["top_p_renorm_probs (V=32K, top_p=0.9)", "N/A", "1.91x", "N/A"],
        ["top_p_renorm_probs (V=32K) (published)", "-", "1.91x", "-"],
        ["top_p_renorm_probs (V=151936, top_p=0.9)", "N/A", "N/A", "N/A"],
        ["top_p_renorm_probs (V=32K, top_p=0.5)", "N/A", "N/A", "N/A"],
        ["top_p_renorm_probs (V=32K) (published)", "-", "1.91x", "-"],
        ["chain_speculative_sampling (V=32K, draft=4)", "7.68x", "N/A", "112.72x"],
        ["chain_speculative_sampling (V=32K, draft=4) (published)", "7.68x", "-", "112.72x"],
    ]
    assert (
        "published: AMD Instinct MI355X, gfx950, not measured here (sgl-project/sglang#23388)"
        in (made.notes)
    )
    assert sum(line.startswith("published claim") for line in made.notes) == 6


def test_a_table_a_backend_and_none_without_torch(make_result, make_artifact):
    names = ("torch", "triton", "aiter")
    results = [
        make_result(CHAIN.format(1), name, us) for name, us in zip(names, (8, 4, 2), strict=True)
    ]
    made = render_form("sampling", make_artifact(results))
    assert [(table.title, table.rows[0][1]) for table in made] == [
        ("triton: speed-up over torch", "2.00x"),
        ("aiter: speed-up over torch", "4.00x"),
    ]
    with pytest.raises(RocmoeError, match="needs torch and another backend, found triton, aiter"):
        render_form("sampling", make_artifact(results[1:]))
