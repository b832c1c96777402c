"""Ratios, winners and kernels of a comparison, derived from samples that were taken in turns."""

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import Artifact, Measurement, Request, Result, record_case
from rocmoe.profiles.comparing.compare import judge_comparison
from rocmoe.profiles.comparing.comparison import find_winners, list_comparisons
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.outcome import Exit
from rocmoe.profiles.tables.comparison import list_comparison_tables

#: What each process adds, shared by all that took turns in it.
PROCESSES = (1.0, 1.3, 0.8, 1.1, 0.9)


def make_result(tokens, selector, us, status="pass", timer="graph", **more):
    case = f"topk_softmax:T={tokens},E=64,k=4:bf16:renormalize=true:normal:contiguous"
    record = record_case(load_op("topk_softmax"), parse_case(case))
    samples = [[us * process * (1.0 + step / 1000.0) for step in range(-9, 10)]
               for process in PROCESSES]  # fmt: skip
    taken = [Measurement(timer, "warm", "ok", samples, [20] * len(samples))]
    return Result(record, selector, "default", "gpu:0", status, measurements=taken, **more)


def make_artifact(*results, backends=("torch", "triton")):
    request = Request("compare", ["topk_softmax"], [*backends], "gpu", "smoke", [], 0, False)
    return Artifact("rocmoe.artifact", 4, "", request, collect_environment(), True, [*results])


def list_words(artifact):
    return [(each.base.selector, each.result.selector, each.verdict)
            for each in list_comparisons(artifact)]  # fmt: skip


@pytest.mark.parametrize(
    ("us", "word"), [(10.0, "SAME"), (10.1, "SAME"), (10.3, "SLOWER"), (9.7, "FASTER")]
)
def test_a_small_difference_is_told_in_spite_of_processes_that_differ_by_half(us, word):
    artifact = make_artifact(make_result(1, "torch", 10.0), make_result(1, "triton", us))
    assert list_words(artifact) == [("torch", "triton", word)]


def test_samples_that_were_not_taken_in_turns_are_not_told_apart():
    other = make_result(1, "triton", 10.3)
    (taken,) = other.measurements
    shuffled = msgspec.structs.replace(taken, samples_us=taken.samples_us[::-1])
    other = msgspec.structs.replace(other, measurements=[shuffled])
    artifact = make_artifact(make_result(1, "torch", 10.0), other)
    assert list_words(artifact) == [("torch", "triton", "AMBIGUOUS")]
    assert judge_comparison(artifact) is Exit.INCONCLUSIVE


def test_the_base_is_the_backend_that_was_named_first_and_was_timed():
    triton, torch = make_result(1, "triton", 5.0), make_result(1, "torch", 10.0)
    assert list_words(make_artifact(triton, torch)) == [("torch", "triton", "FASTER")]
    failed = msgspec.structs.replace(torch, status="fail", measurements=None)
    artifact = make_artifact(
        failed, triton, make_result(1, "third", 10.0), backends=("torch", "triton", "third")
    )
    assert list_words(artifact) == [("triton", "third", "SLOWER")]
    assert judge_comparison(artifact) is Exit.FAILED


def test_what_is_invalid_or_refused_is_not_compared():
    bad = make_result(1, "triton", 1.0)
    bad = msgspec.structs.replace(
        bad, measurements=[msgspec.structs.replace(bad.measurements[0], status="invalid")]
    )
    artifact = make_artifact(make_result(1, "torch", 10.0), bad)
    assert list_words(artifact) == []
    assert judge_comparison(artifact) is Exit.INCONCLUSIVE
    assert "nothing was compared" in list_comparison_tables(artifact)[0].summary[0]


def test_winners_change_over_the_tokens_and_neighbours_are_one():
    times = {1: (5.0, 9.0), 4: (5.0, 7.0), 16: (6.0, 6.0), 64: (9.0, 7.0), 256: (20.0, 12.0)}
    results = [
        make_result(tokens, selector, us)
        for tokens, pair in reversed(times.items())
        for selector, us in zip(("torch", "triton"), pair, strict=True)
    ]
    winners = [
        ([case.sizes["T"] for case in winner.cases], winner.selectors)
        for winner in find_winners(make_artifact(*results))
    ]
    assert winners == [
        ([1, 4], ("torch",)),
        ([16], ("torch", "triton")),
        ([64, 256], ("triton",)),
    ]


def test_the_tables_say_it_all():
    artifact = make_artifact(
        make_result(1, "torch", 10.0, kernels=["softmax", "sort"]),
        make_result(1, "triton", 5.0, kernels=["gate"]),
    )
    ratios, winners, symbols = list_comparison_tables(artifact)
    (row,) = ratios.rows
    assert row[:8] == [
        "topk_softmax", "T=1 E=64 k=4 bf16", "graph", "warm", "torch", "10.0", "triton", "5.00",
    ]  # fmt: skip
    assert (row[8], row[10]) == ("0.500", "FASTER")
    assert ratios.summary == ("1 FASTER",)
    assert winners.rows == [["topk_softmax", "E=64 k=4 bf16", "T=1", "triton"]]
    assert symbols.rows == [
        ["topk_softmax", "torch", "softmax; sort"], ["topk_softmax", "triton", "gate"],
    ]  # fmt: skip
