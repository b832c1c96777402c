"""Tables of a model: times and verdicts over tokens, a table an op and timer."""

from pathlib import Path

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import (
    Artifact,
    CheckRecord,
    Floor,
    Measurement,
    Request,
    Result,
    read_artifact,
    record_case,
)
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.tables.model import list_model_tables

ENVIRONMENT = collect_environment()
SHAPE = "topk_softmax: E=64 k=4 bf16 renormalize=true normal contiguous"
FLOORS = ("stream us", "empty us", "floor reached")


def measure(us, timer="graph", cache="warm", status="ok", stream=None, **more):
    floors = {"empty": Floor([[1.0]], [20])}
    floors |= {"stream": Floor([[stream]], [20])} if stream else {}
    return Measurement(timer, cache, status, [[us]] if us else [], [20] if us else [],
                       floors if timer != "wall" else {}, **more)  # fmt: skip


def make_result(tokens, measurements=None, backend="triton", status="pass", **more):
    op = more.pop("op", "topk_softmax")
    params = {"topk_softmax": "E=64,k=4:bf16:renormalize=true",
              "top_p_renorm_probs": "V=1000:fp32:top_p=0.9"}[op]  # fmt: skip
    axis = "T" if op == "topk_softmax" else "B"
    case = f"{op}:{axis}={tokens},{params}:normal:contiguous"
    checks = [CheckRecord("weights", True, 0.25, 1.0)]
    return Result(record_case(load_op(op), parse_case(case)), backend, "default",
                  more.pop("device", "gpu:0"), status, checks=checks, measurements=measurements,
                  **more)  # fmt: skip


def make_tables(*results, timers=(), models=("deepseek-v3",)):
    request = Request("bench", ["topk_softmax"], [], None, "smoke", [], 0, False,
                      timers=[*timers], models=[*models])  # fmt: skip
    artifact = Artifact("rocmoe.artifact", 4, "", request, ENVIRONMENT, True, [*results])
    return list_model_tables(artifact)


def test_a_row_a_token_count_with_two_columns_a_backend_and_the_floors_of_the_fastest():
    (table,) = make_tables(
        make_result(64, [measure(4.0, stream=3.0)]),
        make_result(1, [measure(2.0, stream=1.5)]),
        make_result(1, [measure(1.6, stream=1.2)], "sgl_kernel"),
        make_result(64, [measure(8.0, stream=3.1)], "sgl_kernel"),
    )
    assert table.title == f"{SHAPE}; graph, warm"
    assert table.columns == (
        "T", "triton us", "triton err", "sgl_kernel us", "sgl_kernel err",
        "stream us", "empty us", "fastest", "floor reached",
    )  # fmt: skip
    assert table.rows == [
        ["1", "2.00", "pass 0.25", "1.60", "pass 0.25", "1.20", "1.00", "sgl_kernel", "75%"],
        ["64", "4.00", "pass 0.25", "8.00", "pass 0.25", "3.00", "1.00", "triton", "75%"],
    ]
    assert (table.summary, table.notes) == ((), ())


def test_what_has_no_time_has_a_word_and_is_not_the_fastest():
    (table,) = make_tables(
        make_result(1, [measure(0.1, status="invalid", stream=1.5)], "aiter", "fail"),
        make_result(2, None, "aiter", "refused", reason="k is odd"),
        make_result(3, [measure(1.9, stream=1.8)], "aiter"),
        make_result(4, [measure(None, status="refused", reason="waits")], "aiter"),
        make_result(1, [measure(2.0, stream=1.5)]),
        make_result(2, [measure(1.0, status="invalid", stream=1.5)]),
        make_result(3, [measure(2.0, status="throttled", stream=1.5)]),
    )
    assert [row[:5] for row in table.rows] == [
        ["1", "fail", "-", "2.00", "pass 0.25"],
        ["2", "refused", "-", "(1.00)", "pass 0.25"],
        ["3", "1.90", "pass 0.25", "2.00*", "pass 0.25"],
        ["4", "refused", "pass 0.25", "-", "-"],
    ]
    assert [row[5:] for row in table.rows] == [
        ["1.50", "1.00", "triton", "75%"],
        ["1.50", "1.00", "-", "-"],
        ["1.80", "1.00", "aiter", "95%"],
        ["-", "1.00", "-", "-"],
    ]
    assert table.notes == (
        "(us): does not count, being faster than a floor or wrong after timing",
        "us*: the GPU was held back while it was taken",
    )


def test_a_backend_that_never_ran_is_a_note():
    (table,) = make_tables(
        make_result(1, [measure(2.0, "wall")], "torch", device="cpu"),
        make_result(1, None, "aiter", "unavailable", device="cpu", reason="aiter is not installed"),
    )
    assert table.columns == ("T", "torch us", "torch err")
    assert table.notes == ("aiter: unavailable: aiter is not installed",)


def test_where_nothing_ran_the_words_are_in_the_table():
    (table,) = make_tables(make_result(1, None, "aiter", "unavailable", reason="why"))
    assert (table.title, table.columns) == (SHAPE, ("T", "aiter us", "aiter err"))
    assert (table.rows, table.notes) == ([["1", "unavailable", "-"]], ())


EVERY = [
    measure(7.0, "graph", stage="top_k_renorm_probs"),
    measure(9.0, "wall"), measure(2.0, "kernel", "cold", "unverified", 1.0),
    measure(2.5, "kernel", stream=1.0), measure(3.0, "graph", stream=1.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("timers", "shown"),
    [
        ((), [("graph, warm", "3.00")]),
        (("wall", "kernel"),
         [("kernel, warm", "2.50"), ("kernel, cold", "2.00?"), ("wall, warm", "9.00")]),
        (("events",), [("graph, warm", "3.00")]),
    ],
)  # fmt: skip
def test_a_table_a_timer_and_cache_that_was_asked_for_else_of_the_first(timers, shown):
    tables = make_tables(make_result(1, EVERY), timers=timers)
    assert [(table.title.partition("; ")[2], table.rows[0][1]) for table in tables] == shown


def test_what_else_was_measured_is_told_once():
    other = make_result(1, EVERY, op="top_p_renorm_probs")
    first, last = make_tables(make_result(1, EVERY), other)
    told = "also measured, and in the artifact: kernel, wall; --timer makes their tables"
    assert (first.notes, last.notes) == ((), (told,))


def test_cold_times_that_nothing_proves_are_marked():
    table = make_tables(make_result(1, EVERY), timers=["kernel"])[1]
    assert table.notes[0] == "us?: nothing proves that the caches were cold"


def test_a_simulator_counts_beside_the_times_of_others():
    counts = {"instructions": 832.0, "instructions_per_token": 13.0}
    simulated = make_result(64, device="sim:gfx942", counts=counts)
    (table,) = make_tables(simulated, make_result(64, [measure(5.0, "wall")], "torch",
                                                  device="cpu"))  # fmt: skip
    assert table.title == f"{SHAPE}; wall, warm"
    assert table.columns == (
        "T", "triton sim:gfx942 instr/token", "triton sim:gfx942 err", "torch cpu us",
        "torch cpu err",
    )  # fmt: skip
    assert table.rows == [["64", "13", "pass 0.25", "5.00", "pass 0.25"]]
    (alone,) = make_tables(simulated)
    assert alone.title == f"{SHAPE}; counts of sim:gfx942"
    assert alone.columns == ("T", "triton instr/token", "triton err")
    assert alone.rows == [["64", "13", "pass 0.25"]]


def test_cases_that_differ_in_more_than_tokens_have_tables_of_their_own():
    one = make_result(1, [measure(2.0)])
    case = msgspec.structs.replace(one.case, sizes={"T": 1, "E": 128, "k": 4}, seed=7)
    tables = make_tables(one, msgspec.structs.replace(one, case=case), make_result(2))
    assert [(table.title, [row[0] for row in table.rows]) for table in tables] == [
        (f"{SHAPE}; graph, warm", ["1", "2"]),
        (f"{SHAPE.replace('64', '128')} seed=7; graph, warm", ["1"]),
    ]


def test_tokens_that_an_op_of_the_model_was_left_out_at_are_told():
    results = [
        make_result(1, [measure(2.0)]),
        make_result(4096, [measure(2.0)]),
        make_result(1, [measure(2.0)], op="top_p_renorm_probs"),
    ]
    first, second = make_tables(*results)
    assert (first.notes, second.notes) == ((), ("not run at B=4096",))
    assert second.columns == ("B", "triton us", "triton err", *FLOORS)
    assert second.rows == [["1", "2.00", "pass 0.25", "-", "1.00", "-"]]
    assert make_tables(*results, models=())[1].notes == ()


def test_a_real_artifact_has_its_times_in_its_tables():
    warm, cold = list_model_tables(read_artifact(Path(__file__).parents[2] / "artifacts/v4.json"))
    shape = "topk_softmax: E=8 k=2 bf16 renormalize=true normal contiguous; wall"
    assert (warm.title, cold.title) == (f"{shape}, warm", f"{shape}, cold")
    mine = "user:kernels.py:topk_softmax"
    assert warm.columns == ("T", "torch us", "torch err", f"{mine} us", f"{mine} err")
    assert warm.rows[:2] == [
        ["3", "16028", "pass 0.012", "15970", "pass 0.012"],
        ["4", "16022", "pass 0.014", "fail", "-"],
    ]
    assert cold.rows[0][1] == "16258?"
