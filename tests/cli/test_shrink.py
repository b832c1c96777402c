"""`rocmoe shrink` through the real command."""

import json
import re

import pytest

CASE = "topk_softmax:T=33,E=16,k=3:fp32:renormalize=true:normal:contiguous"
KERNEL = """
import torch

def topk_softmax(gating_output, topk, renormalize):
    p = gating_output.float().softmax(-1)
    values, ids = torch.sort(p, dim=-1, descending=True, stable=True)
    values, ids = values[:, :topk], ids[:, :topk].int()
    if len(ids) > 1:
        ids[1] = ids[0]
    return (values / values.sum(-1, True) if renormalize else values), ids
"""


def test_a_failure_of_a_run_is_shrunk_and_what_is_left_fails_by_its_id(
    rocmoe, call_rocmoe, tmp_path
):
    (tmp_path / "k.py").write_text(KERNEL)
    ran = call_rocmoe("validate", "topk_softmax", "--impl", "k.py:topk_softmax", "--case", CASE,
                      "--device", "cpu", "--out", "run.json")  # fmt: skip
    assert ran.returncode == 1
    done = rocmoe("shrink", "run.json", "--out", "small.json", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^T +33 +2$", done.stdout, re.M)
    assert "artifact: small.json; next: rocmoe bundle create small.json" in done.stdout
    (result,) = json.loads((tmp_path / "small.json").read_text())["results"]
    assert f"FAIL {result['case']['id']}@user:k.py:topk_softmax" in done.stdout
    again = call_rocmoe("validate", "--impl", "k.py:topk_softmax", "--case", result["case"]["id"],
                        "--device", "cpu")  # fmt: skip
    assert again.returncode == 1
    assert "selection_is_top_k" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gone.json"], "gone.json cannot be read: No such file"),
        (["gone.json", "--seconds", "0"], "found '0'"),
    ],
)
def test_bad_request(call_rocmoe, arguments, said):
    done = call_rocmoe("shrink", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
