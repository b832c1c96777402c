"""Tables of measured times, and what a run of measurements amounts to."""

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
    record_case,
)
from rocmoe.profiles.bench import judge_bench
from rocmoe.profiles.bench_report import (
    describe_shape,
    format_us,
    list_columns,
    list_rows,
    render_markdown,
    tell_measurements,
)
from rocmoe.profiles.environment import Gpu, collect_environment
from rocmoe.profiles.outcome import Exit

FLOORS = {"stream": Floor([[2.0, 2.0, 2.1]], [20]), "empty": Floor([[0.98, 0.99, 0.97]], [20])}
WARM = [
    Measurement("graph", "warm", "ok", [[3.0, 3.1, 2.9]], [20], FLOORS),
    Measurement("wall", "warm", "ok", [[41.0, 40.0]], [100], {"stream": Floor([[30.0]], [100])}),
]
COLD = [Measurement("graph", "cold", "unverified", [[7.126]], [20], {}, reason="no probe")]


def make_result(tokens, measurements, status="pass", **more):
    case = f"topk_softmax:T={tokens},E=64,k=4:bf16:renormalize=true:normal:contiguous"
    record = record_case(load_op("topk_softmax"), parse_case(case))
    checks = [CheckRecord("weights", True, 0.25, 1.0)]
    return Result(record, "triton", "default", "gpu:0", status, checks=checks,
                  measurements=measurements, **more)  # fmt: skip


def make_artifact(*results):
    request = Request("bench", ["topk_softmax"], [], "gpu", "smoke", [], 0, False)
    environment = collect_environment()
    return Artifact("rocmoe.artifact", 3, "", request, environment, True, [*results])


def test_a_row_a_cache_state_with_the_floors_of_the_first_timer():
    artifact = make_artifact(make_result(8, [*WARM, *COLD], variants=["rows=4 warps=1"]))
    assert list_columns(artifact) == (
        "op", "shape", "backend", "variant", "cache", "graph us", "eager us", "±%",
        "floor us", "x floor", "empty us", "measured", "judged",
    )  # fmt: skip
    start = ["topk_softmax", "T=8 E=64 k=4 bf16", "triton", "rows=4 warps=1"]
    assert list_rows(artifact) == [
        [*start, "warm", "3.00", "40.5", "3.3", "2.00", "1.50", "0.98", "ok", "pass 0.25"],
        [*start, "cold", "7.13", "-", "0.0", "-", "-", "-", "unverified", "pass 0.25"],
    ]


def test_what_does_not_count_is_in_brackets_and_what_was_not_timed_has_a_row():
    invalid = msgspec.structs.replace(WARM[0], status="invalid", reason="why")
    artifact = make_artifact(make_result(8, [invalid]), make_result(9, None, "fail"))
    first, second = list_rows(artifact)
    assert first[4:] == ["warm", "(3.00)", "3.3", "2.00", "1.50", "0.98", "invalid", "pass 0.25"]
    assert second[4:] == ["-"] * 7 + ["fail"]
    assert tell_measurements(artifact) == ["triton: invalid by graph, warm: why (1 case(s))"]


def test_on_known_hardware_the_share_of_its_bandwidth_is_told():
    stream = Floor([[2.0]], [20], bytes_read=3_000_000, bytes_written=350_000)
    taken = Measurement("graph", "warm", "ok", [[4.0]], [20], {"stream": stream})
    artifact = make_artifact(make_result(8, [taken]))
    gpu = Gpu(0, "NVIDIA H100 80GB HBM3", "sm_90", 80 << 30)
    environment = msgspec.structs.replace(artifact.environment, gpus=[gpu])
    artifact = msgspec.structs.replace(artifact, environment=environment)
    assert list_columns(artifact)[7:11] == ("floor us", "x floor", "peak %", "empty us")
    (row,) = list_rows(artifact)
    assert row[9] == "25", "3.35 MB in 4 us are a quarter of 3.35 TB/s"


def test_stages_follow_the_whole_and_are_in_no_published_table():
    stage = msgspec.structs.replace(WARM[0], stage="top_k", samples_us=[[1.0]])
    artifact = make_artifact(make_result(8, [*WARM, stage]))
    whole, part = list_rows(artifact)
    assert (whole[0], whole[5:7]) == ("topk_softmax", ["3.00", "40.5"])
    assert (part[0], part[5:7]) == ("- top_k", ["1.00", "-"])
    assert render_markdown(artifact).count("topk_softmax") == 1


def test_a_simulator_has_counts_instead_of_times():
    counts = {"instructions_per_token": 65.31, "load_bytes_per_token": 512.0}
    artifact = make_artifact(make_result(8, None, counts=counts))
    assert list_columns(artifact) == (
        "op", "shape", "backend", "variant", "instr/token", "VALU/token", "load B/token",
        "store B/token", "LDS cycles/token", "judged",
    )  # fmt: skip
    (row,) = list_rows(artifact)
    assert row[3:] == ["-", "65.31", "-", "512", "-", "-", "pass 0.25"]


def test_what_differs_among_cases_is_part_of_the_shape():
    one, other = make_result(8, WARM), make_result(9, WARM)
    strided = msgspec.structs.replace(other.case, layout="strided", params={"renormalize": False})
    artifact = make_artifact(one, msgspec.structs.replace(other, case=strided))
    shapes = [describe_shape(artifact, result.case) for result in artifact.results]
    assert shapes == [
        "T=8 E=64 k=4 bf16 renormalize=true contiguous",
        "T=9 E=64 k=4 bf16 renormalize=false strided",
    ]


def test_the_published_table_has_what_passed():
    artifact = make_artifact(make_result(8, WARM), make_result(9, WARM, "fail"))
    assert render_markdown(artifact).splitlines() == [
        "| op           | shape             | backend   | graph us   | eager us   | kernel us   "
        "| floor us   | x floor   |",
        "|--------------|-------------------|-----------|------------|------------|-------------"
        "|------------|-----------|",
        "| topk_softmax | T=8 E=64 k=4 bf16 | triton    | 3.00       | 40.5       | -           "
        "| 2.00       | 1.50      |",
    ]


def test_what_is_cold_has_rows_of_its_own_in_the_published_table():
    artifact = make_artifact(make_result(8, [*COLD, *WARM]), make_result(9, WARM, "fail"))
    header, _, *rows = render_markdown(artifact).splitlines()
    assert [cell.strip() for cell in header.split("|")][3:6] == ["backend", "cache", "graph us"]
    caches = [[cell.strip() for cell in row.split("|")][4] for row in rows]
    assert caches == ["warm", "cold"]


@pytest.mark.parametrize(
    ("us", "told"), [(None, "-"), (0.984, "0.98"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_times_have_three_digits(us, told):
    assert format_us(us) == told


REFUSED = Measurement("graph", "warm", "refused", [], [], reason="cannot be captured")


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        ([make_result(8, [*WARM, *COLD])], Exit.PASSED),
        ([make_result(8, [*WARM, REFUSED])], Exit.INCONCLUSIVE),
        ([make_result(8, [msgspec.structs.replace(WARM[0], status="invalid")])],
         Exit.INCONCLUSIVE),
        ([make_result(8, [REFUSED]), make_result(9, None, "fail")], Exit.FAILED),
        ([make_result(8, None, "unavailable")], Exit.INCONCLUSIVE),
    ],
)  # fmt: skip
def test_exit_codes(results, outcome):
    assert judge_bench(make_artifact(*results)) is outcome
