"""`rocmoe validate --device sim:ARCH` through the real command."""

import json

import pytest

pytest.importorskip("triton", reason="no triton to compile for AMD with")

CASE = "topk_softmax:T=64,E=256,k=8:bf16:renormalize=true:normal:contiguous"
KERNEL = """
import torch
import triton
import triton.language as tl


@triton.jit
def select(x, weights, ids, stride, E: tl.constexpr, K: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    lanes = tl.arange(0, BLOCK)
    logits = tl.load(x + row * stride + lanes, mask=lanes < E, other=-float("inf")).to(tl.float32)
    powers = tl.exp(logits - tl.max(logits, 0))
    total = tl.sum(powers, 0)
    for slot in range(K):
        best, expert = tl.max(powers, 0, return_indices=True)
        tl.store(weights + row * K + slot, best / total)
        tl.store(ids + row * K + slot, expert)
        powers = tl.where(lanes == expert, -1.0, powers)


def run(gating_output, topk, renormalize, extra):
    tokens, experts = gating_output.shape
    weights = torch.empty(tokens, topk)
    ids = torch.empty(tokens, topk, dtype=torch.int32)
    width = triton.next_power_of_2(experts)
    select[(tokens + extra,)](
        gating_output, weights, ids, gating_output.stride(0), experts, topk, width, num_warps=1
    )
    return weights / weights.sum(-1, keepdim=True) if renormalize else weights, ids


def right(gating_output, topk, renormalize):
    return run(gating_output, topk, renormalize, 0)


def beyond(gating_output, topk, renormalize):
    return run(gating_output, topk, renormalize, 1)
"""


def results(path):
    return json.loads(path.read_text())["results"]


def test_triton_runs_as_amd_code_where_there_is_no_gpu(rocmoe, tmp_path):
    chosen = ("topk_softmax", "--backend", "triton", "--suite", "smoke")
    done = rocmoe("validate", *chosen, "--out", "a.json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = results(tmp_path / "a.json")
    assert {result["device"] for result in found} == {"sim:gfx942"}
    assert {result["status"] for result in found} == {"pass"}
    names = {check["name"]: check["ok"] for check in found[0]["checks"]}
    assert {names[name] for name in ("memcheck", "waitcheck", "synccheck", "weights")} == {True}
    counts = next(result["counts"] for result in found if result["case"]["id"] == CASE)
    assert counts["load_bytes"] == 64 * 256 * 2
    assert counts["store_bytes"] == 64 * 8 * 8
    assert counts["instructions_per_token"] == counts["instructions"] / 64


def test_torch_is_refused_on_a_simulator(rocmoe, tmp_path):
    device = ("--device", "sim:gfx90a")
    done = rocmoe("validate", "topk_softmax", "--backend", "torch", *device, "--out", "a.json")
    assert done.returncode == 4
    reasons = {result["reason"] for result in results(tmp_path / "a.json")}
    assert reasons == {"torch does not run on sim:gfx90a; it runs on cpu, gpu"}


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(KERNEL)
    return lambda name: ("--impl", f"mine.py:{name}", "--device", "sim:gfx950", "--case", CASE)


def test_a_kernel_launched_as_anyone_writes_it_is_simulated(rocmoe, mine):
    done = rocmoe("validate", "topk_softmax", *mine("right"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_workgroup_too_many_is_told_with_its_place(rocmoe, mine, tmp_path):
    done = rocmoe("validate", "topk_softmax", *mine("beyond"), "--out", "a.json")
    assert done.returncode == 1
    assert "8 bytes past the end of x[64, 256]" in done.stdout
    assert "workgroup 64, wave 0, lane 0 of select" in done.stdout
    (result,) = results(tmp_path / "a.json")
    assert result["reason"] == "failed memcheck"
    load = next(f for f in result["findings"] if f["found"].startswith("load"))
    assert "buffer_load" in load["where"]
    assert "mine.py:11" in load["where"]
    assert {f["output"] for f in result["findings"]} == {"select"}


BUDGET = f"""
[[counts]]
case = "{CASE}"
arch = "gfx942"
instructions_per_token = LIMIT
"""


@pytest.mark.parametrize(("limit", "code"), [("1", 3), ("100000", 0), ('"few"', 2)])
def test_a_budget_decides_the_exit_code(rocmoe, tmp_path, limit, code):
    (tmp_path / "budget.toml").write_text(BUDGET.replace("LIMIT", limit))
    chosen = ("topk_softmax", "--backend", "triton", "--case", CASE)
    done = rocmoe("validate", *chosen, "--budget", "budget.toml")
    assert done.returncode == code, done.stdout + done.stderr
    if code == 3:
        assert "Over budget:" in done.stdout
        assert "regressed (exit 3)" in done.stdout
        assert "instructions_per_token is" in done.stdout
    if code == 2:
        assert done.stderr.count("\n") == 1
        assert "wanted a number" in done.stderr


def test_a_budget_of_another_architecture_is_a_bad_request(rocmoe, tmp_path):
    (tmp_path / "budget.toml").write_text(BUDGET.replace("LIMIT", "1").replace("gfx942", "gfx9"))
    done = rocmoe("validate", "topk_softmax", "--case", CASE, "--budget", "budget.toml")
    assert done.returncode == 2
    assert "gfx9" in done.stderr
    assert done.stderr.count("\n") == 1
