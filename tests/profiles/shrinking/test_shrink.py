"""From an artifact to the smallest failure, in real workers."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import CheckRecord, read_artifact, record_case, write_artifact
from rocmoe.profiles.outcome import Exit
from rocmoe.profiles.shrinking.report import judge_shrunk, list_reductions, tell_shrunk
from rocmoe.profiles.shrinking.shrink import read_target, run_shrink
from rocmoe.profiles.suites import find_axis

RUN = read_artifact(Path(__file__).parents[2] / "artifacts" / "v4.json")
SOFTMAX = "topk_softmax:T=64,E=64,k=4:bf16:renormalize=true:{}:contiguous"
KERNELS = """
import os, time

def topk_softmax(gating_output, topk, renormalize):
    import torch
    if (gating_output > 2.5).any():
        os.abort() if topk > 1 else time.sleep(60)
    scores = gating_output.float().softmax(-1)
    values, ids = torch.sort(scores, dim=-1, descending=True, stable=True)
    values = values[:, :topk]
    return (values / values.sum(-1, True) if renormalize else values), ids[:, :topk].int()
"""


@pytest.fixture
def write_failure(tmp_path):
    """write_failure("OP:...", "harm:NAME", "fail", checks=["weights"]) -> the artifact's path."""

    def write(case_id, selector, status, checks=(), reason=None, strict=False):
        case, (backend, _, variant) = parse_case(case_id), selector.partition(":")
        result = replace(
            RUN.results[0], case=record_case(load_op(case.op), case), backend=backend,
            variant=variant or "default", device="cpu", status=status, reason=reason,
            checks=[CheckRecord(name, False, 1.0, 0.0) for name in checks],
        )  # fmt: skip
        request = replace(RUN.request, strict=strict)
        path = tmp_path / "run.json"
        write_artifact(replace(RUN, request=request, results=[result]), path)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("case", "harm", "check"),
    [
        (SOFTMAX.format("heavy_ties"), "lose_tied_expert", "selection_is_top_k"),
        (
            "moe_sorting:T=65,E=64,k=6,U=16,D=0:fp32:expert_mask=none,num_local_tokens=none:"
            "hot_expert:contiguous",
            "padding_zero", "entries_once",
        ),
        ("qk_rmsnorm:T=7,Hq=4,Hkv=2,D=64:bf16:eps=1e-06:nan_heads:offset", "swallow_nan",
         "nan_stays"),
        ("top_p_renorm_probs:B=14,V=500:fp32:top_p=per_row:bf16_ties:contiguous", "cut_ties",
         "ties_kept"),
    ],
)  # fmt: skip
def test_harms_come_down_to_a_few_rows_with_the_same_failure(
    write_failure, tmp_path, case, harm, check
):
    # Only strict judging wants the ties kept.
    strict = harm == "cut_ties"
    target = read_target(write_failure(case, f"harm:{harm}", "fail", [check], strict=strict))
    shrunk, artifact, path = run_shrink(target, 60.0, tmp_path / "small.json", jobs=1)
    assert judge_shrunk(shrunk) is Exit.PASSED
    assert shrunk.case.sizes[find_axis(target.spec)] <= 4
    assert len(shrunk.case.id) < 200
    assert read_artifact(path) == artifact
    (result,) = artifact.results
    assert (result.case.id, result.status, result.selector) == (
        shrunk.case.id, "fail", f"harm:{harm}",
    )  # fmt: skip
    assert check in [each.name for each in result.checks if each.ok is False]
    # What is left is a failure that can be shrunk, and is as small as it gets.
    again, _, _ = run_shrink(read_target(str(path)), 60.0, tmp_path / "again.json", jobs=1)
    assert again.case == shrunk.case
    assert not again.smaller


def test_the_table_says_what_became_smaller_and_the_lines_what_is_left(write_failure, tmp_path):
    address = write_failure(SOFTMAX.format("heavy_ties"), "harm:lose_tied_expert", "fail",
                            ["selection_is_top_k"])  # fmt: skip
    shrunk, artifact, path = run_shrink(read_target(address), 60.0, tmp_path / "s.json", jobs=1)
    rows = {row[0]: row[1:] for row in list_reductions(shrunk)}
    assert rows["T"] == ["64", "1"]
    assert rows["gating_output: distinct values"] == ["4", "2"]
    assert "layout" not in rows, "it was contiguous"
    assert shrunk.case.id in "\n".join(tell_shrunk(shrunk, artifact, path, 60.0))
    inputs = draw_inputs(load_op("topk_softmax"), shrunk.case)
    assert len({*inputs["gating_output"].reshape(-1).tolist()}) == 2


def test_a_crash_stays_a_crash_and_never_becomes_a_hang(write_failure, tmp_path, monkeypatch):
    monkeypatch.setattr("rocmoe.profiles.shrinking.shrink.LEAST_SECONDS", 1.0)
    (tmp_path / "k.py").write_text(KERNELS)
    reason = "the process died of SIGABRT before it answered; it printed last: Fatal"
    address = write_failure(
        SOFTMAX.format("normal"), f"user:{tmp_path}/k.py:topk_softmax", "crash", reason=reason
    )
    shrunk, artifact, _ = run_shrink(read_target(address), 60.0, tmp_path / "s.json", jobs=1)
    (result,) = artifact.results
    assert (result.status, result.reason.partition(" before")[0]) == (
        "crash", "the process died of SIGABRT",
    )  # fmt: skip
    assert (shrunk.case.sizes["T"], shrunk.case.sizes["k"]) == (1, 2), "k = 1 hangs instead"
    values = draw_inputs(load_op("topk_softmax"), shrunk.case)["gating_output"]
    assert (values > 2.5).sum() == 1


@pytest.mark.parametrize(
    ("harm", "checks", "seen"),
    [("any_sum_order", ["weights"], "pass"), ("temperature", ["ids_unique"], "fail (weights)")],
)
def test_a_failure_that_is_not_seen_again_is_inconclusive(
    write_failure, tmp_path, harm, checks, seen
):
    target = read_target(write_failure(SOFTMAX.format("normal"), f"harm:{harm}", "fail", checks))
    shrunk, artifact, path = run_shrink(target, 60.0, tmp_path / "small.json", jobs=1)
    assert (artifact, path) == (None, None)
    assert judge_shrunk(shrunk) is Exit.INCONCLUSIVE
    (line,) = tell_shrunk(shrunk, None, None, 60.0)
    assert line.startswith(f"not reproduced: was fail ({checks[0]}), is {seen}; ")
    assert not (tmp_path / "small.json").exists()


def test_what_did_not_fail_is_no_target(write_failure):
    address = write_failure(SOFTMAX.format("normal"), "torch", "pass")
    case = SOFTMAX.format("normal")
    with pytest.raises(RocmoeError, match="is pass: only failures are shrunk"):
        read_target(f"{address}#{case}@torch")
    with pytest.raises(RocmoeError, match=r"none of 1 result\(s\) failed"):
        read_target(address)


def test_values_that_our_own_implementation_fails_on_are_no_inputs(write_failure):
    thresholds = "threshold_single=1.0,threshold_acc=1.0"
    case = f"chain_speculative_sampling:B=1,N=2,V=4:fp32:{thresholds}:normal:contiguous"
    outside = parse_case(f"{case}:candidates=0/4")
    harmed = read_target(write_failure(case, "harm:keep_rejected", "fail", ["last_token"]))
    assert harmed.is_valid(parse_case(f"{case}:candidates=0/3"))
    assert not harmed.is_valid(outside)
    ours = read_target(write_failure(case, "torch", "fail", ["last_token"]))
    assert ours.is_valid(outside), "then nothing is left to ask"


def test_the_time_is_a_bound(write_failure, tmp_path):
    target = read_target(write_failure(SOFTMAX.format("heavy_ties"), "harm:lose_tied_expert",
                                       "fail", ["selection_is_top_k"]))  # fmt: skip
    shrunk, artifact, path = run_shrink(target, 0.001, tmp_path / "s.json", jobs=1)
    assert shrunk.cut
    assert not shrunk.smaller
    told = "\n".join(tell_shrunk(shrunk, artifact, path, 0.001))
    assert "--seconds 0.001 were up" in told
    assert "nothing is smaller" not in told
