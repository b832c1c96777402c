"""`rocmoe compare` on a processor: turns in one process, more processes, one that goes wrong."""

import pytest

from rocmoe.profiles.artifact import read_artifact

CASE = "topk_softmax:T=4,E=16,k=2:fp32:renormalize=true:normal:contiguous"
OTHER = CASE.replace("T=4", "T=5")
MINE = """
import time
import torch

def topk_softmax(gating_output, topk, renormalize):
    time.sleep(0.03)
    values, ids = gating_output.float().softmax(-1).sort(dim=-1, descending=True, stable=True)
    values = values[:, :topk]
    return values / values.sum(-1, True), ids[:, :topk].int()
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)


def test_what_sleeps_is_slower_in_as_many_processes_as_it_takes(rocmoe, tmp_path, mine):
    done = rocmoe("compare", "topk_softmax", "--backend=torch", "--impl=mine.py:topk_softmax",
                  f"--case={CASE}", f"--case={OTHER}", "--quick", "--out=run.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("SLOWER") == 3
    assert "T=4 to 5" in done.stdout
    for result in read_artifact(tmp_path / "run.json").results:
        (taken,) = result.measurements
        assert 2 <= len(taken.samples_us) <= 3
        assert {check.name for check in result.checks} >= {"after_timing", "selection_is_top_k"}


def test_what_is_wrong_is_not_compared(call_rocmoe, tmp_path, mine):
    (tmp_path / "wrong.py").write_text(MINE.replace("ids[:, :topk]", "ids[:, :topk].roll(1, 0)"))
    done = call_rocmoe("compare", "topk_softmax", "--backend=torch", "--impl=mine.py:topk_softmax",
                  "--impl=wrong.py:topk_softmax", f"--case={CASE}", "--quick")  # fmt: skip
    assert done.returncode == 1
    assert "user:wrong.py" not in done.stdout.partition("Which is fastest")[2].partition("FAIL")[0]
    assert "FAIL topk_softmax:T=4" in done.stdout


def test_one_backend_is_not_enough(call_rocmoe):
    done = call_rocmoe("compare", "topk_softmax", "--backend=torch", f"--case={CASE}")
    assert done.returncode == 2
    assert done.stderr == (
        "rocmoe: two backends are needed to compare, found torch: --backend, --impl\n"
    )
