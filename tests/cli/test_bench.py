"""`rocmoe bench` through the real command, on the CPU: what it prints, writes and exits with."""

import json

import jsonschema
import pytest

from rocmoe.profiles.artifact import make_schema, read_artifact

CASE = "topk_softmax:T=4,E=16,k=2:fp32:renormalize=true:normal:contiguous"
KERNELS = """
import os, torch
calls = 0

def right(gating_output, topk, renormalize):
    probabilities = gating_output.float().softmax(-1)
    values, ids = probabilities.sort(dim=-1, descending=True, stable=True)
    values = values[:, :topk]
    return (values / values.sum(-1, True) if renormalize else values), ids[:, :topk].int()

def wrong(gating_output, topk, renormalize):
    with open("wrong.log", "a") as log:
        log.write("called\\n")
    weights, ids = right(gating_output, topk, renormalize)
    return weights, ids.roll(1, 0)

def later(gating_output, topk, renormalize):
    global calls
    calls += 1
    weights, ids = right(gating_output, topk, renormalize)
    return weights, ids.roll(1, 0) if calls > 6 else ids

def dies(gating_output, topk, renormalize):
    global calls
    calls += 1
    if calls > 6:
        os.abort()
    return right(gating_output, topk, renormalize)
"""


@pytest.fixture
def kernels(tmp_path):
    (tmp_path / "k.py").write_text(KERNELS)


def test_the_default_is_what_this_machine_can_time(rocmoe, tmp_path):
    done = rocmoe("bench", "topk_softmax", "--sweep", "T=1,5;dtype=fp32,bf16", "--device", "cpu",
                  "--quick")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for shape in ("T=1 E=256 k=8 fp32", "T=5 E=256 k=8 bf16"):
        assert shape in done.stdout
    assert "eager us" in done.stdout
    assert "graph us" not in done.stdout
    assert "passed (exit 0); artifact: rocmoe-artifacts" in done.stdout
    (path,) = (tmp_path / "rocmoe-artifacts").glob("bench-*.json")
    artifact = read_artifact(path)
    assert artifact.request.command == "bench"
    assert len(artifact.request.cases) == len(artifact.results) == 4
    assert {result.backend for result in artifact.results} == {"torch"}


def test_samples_are_stored_as_they_are_and_follow_the_schema(rocmoe, tmp_path):
    done = rocmoe(
        "bench", "topk_softmax", "--backend", "torch", "--case", CASE, "--device", "cpu",
        "--cache", "warm", "--cache", "cold", "--timer", "wall", "--out", "run.json", "--quick",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    jsonschema.validate(json.loads((tmp_path / "run.json").read_text()), make_schema())
    (result,) = read_artifact(tmp_path / "run.json").results
    assert result.status == "pass"
    told = [(each.timer, each.cache) for each in result.measurements]
    assert told == [("wall", "warm"), ("wall", "cold")]
    for each in result.measurements:
        assert 2 <= len(each.samples_us) == len(each.calls) <= 3, "processes of --quick"
        assert all(len(samples) >= 5 for samples in each.samples_us)
    assert all(len(us) == len(each.samples_us) for us in each.flush_probe_us.values())
    assert each.flush_probe_us


def test_a_kernel_that_fails_is_not_timed(call_rocmoe, tmp_path, kernels):
    done = call_rocmoe(
        "bench", "topk_softmax", "--impl", "k.py:wrong", "--impl", "k.py:right", "--case", CASE,
        "--device", "cpu", "--out", "run.json", "--quick",
    )  # fmt: skip
    assert done.returncode == 1
    assert f"FAIL {CASE}@user:k.py:wrong" in done.stdout
    wrong, right = read_artifact(tmp_path / "run.json").results
    assert (wrong.status, wrong.measurements) == ("fail", None)
    assert right.measurements[0].status == "ok"
    assert len((tmp_path / "wrong.log").read_text().splitlines()) == 3, "the calls of the judge"


def test_a_kernel_that_goes_wrong_later_is_caught_after_timing(call_rocmoe, tmp_path, kernels):
    done = call_rocmoe("bench", "topk_softmax", "--impl", "k.py:later", "--case", CASE,
                       "--device", "cpu", "--out", "run.json", "--quick")  # fmt: skip
    assert done.returncode == 1
    assert "failed after_timing" in done.stdout
    (result,) = read_artifact(tmp_path / "run.json").results
    assert result.status == "fail"
    assert {each.status for each in result.measurements} == {"invalid"}


def test_a_kernel_that_dies_while_it_is_timed_is_a_crash(call_rocmoe, tmp_path, kernels):
    done = call_rocmoe("bench", "topk_softmax", "--impl", "k.py:dies", "--case", CASE,
                       "--device", "cpu", "--out", "run.json", "--quick")  # fmt: skip
    assert done.returncode == 1
    (result,) = read_artifact(tmp_path / "run.json").results
    assert (result.status, result.measurements) == ("crash", None)


def test_a_model_has_a_table_an_op_and_a_stored_run_can_be_shown_in_other_forms(
    rocmoe, call_rocmoe, tmp_path
):
    done = rocmoe("bench", "topk_softmax", "qk_rmsnorm", "--model", "gpt-oss-120b", "--tokens",
                  "1,4", "--backend", "torch", "--device", "cpu", "--quick",
                  "--out", "run.json", "--plot", "run.svg")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("plot: run.svg\n")
    assert "tokens (T)" in (tmp_path / "run.svg").read_text()
    assert done.stdout.startswith("topk_softmax: E=128 k=4 bf16")
    assert "qk_rmsnorm" not in done.stdout, "gpt-oss norms no heads"
    shown = call_rocmoe("bench", "--from", "run.json", "--plot", "run.png")
    assert shown.returncode == 0
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert shown.stdout.splitlines()[:4] == done.stdout.splitlines()[:4]
    posted = call_rocmoe("bench", "--from", "run.json", "--table", "sglang", "--published")
    assert "SUMMARY — gpt-oss-120b (E=[128], topk=[4])" in posted.stdout
    other = call_rocmoe("bench", "--from", "run.json", "--table", "fused")
    assert other.returncode == 2
    assert other.stderr == (
        "rocmoe: --table fused is of topk_softmax_sorting, found topk_softmax\n"
    )


def test_a_simulator_gives_counts(rocmoe, tmp_path):
    pytest.importorskip("triton", reason="triton is not installed")
    done = rocmoe("bench", "topk_softmax", "--backend", "triton", "--case", CASE,
                  "--device", "sim:gfx942", "--out", "run.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "instr/token" in done.stdout
    assert " us" not in done.stdout.partition("Not tested")[0]
    (result,) = read_artifact(tmp_path / "run.json").results
    assert result.measurements is None
    assert result.counts["instructions"] > 0


def test_a_backend_that_cannot_run_here_is_inconclusive(call_rocmoe):
    done = call_rocmoe("bench", "topk_softmax", "--backend", "triton", "--case", CASE,
                       "--device", "cpu")  # fmt: skip
    assert done.returncode == 4
    assert "triton does not run on cpu" in done.stdout


def test_json_is_the_artifact_and_markdown_is_a_table(call_rocmoe, tmp_path):
    arguments = ("bench", "topk_softmax", "--case", CASE, "--device", "cpu", "--backend", "torch",
                 "--quick")  # fmt: skip
    done = call_rocmoe(*arguments, "--format", "json", "--out", "run.json")
    assert done.stdout == (tmp_path / "run.json").read_text()
    done = call_rocmoe(*arguments, "--format", "markdown")
    assert done.stdout.startswith("| op ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["topk_sofmax"], "unknown op 'topk_sofmax'; nearest: topk_softmax"),
        (["topk_softmax", "--device", "sim:gfx942", "--timer", "wall"], "has no time, only counts"),
        (["topk_softmax", "--timer", "grph"], "unknown timer 'grph'; nearest: graph"),
        (
            ["topk_softmax", "--timer", "graph", "--device", "cpu"],
            "timer graph needs a GPU; on cpu",
        ),
        (["topk_softmax", "--cache", "hot"], "unknown cache state 'hot'"),
        (["topk_softmax", "--sweep", "T"], "'T' is not NAME=VALUE"),
        (["topk_softmax", "--sweep", "TT=3"], "nearest: T"),
        (["topk_softmax", "--sweep", "E=4"], "k=8 is not in [1, E=4]"),
        (["topk_softmax", "--sweep", "T=1", "--case", CASE[:-3]], "nearest: contiguous"),
        (["topk_softmax", "moe_sorting", "--case", CASE], "names no case of moe_sorting"),
        (["topk_softmax", "--out", "."], "--out . cannot be written: it is a folder"),
        ([], "OP"),
        (["topk_softmax", "--from", "x.json"], "--from measures nothing, but found"),
        (["topk_softmax", "--plot", "x.pdf"], "--plot x.pdf: found '.pdf', wanted .png or .svg"),
        (["--from", "x.json"], "x.json cannot be read: No such file"),
    ],
)
def test_bad_request(call_rocmoe, tmp_path, arguments, said):
    done = call_rocmoe("bench", *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not list(tmp_path.glob("rocmoe-artifacts/*"))
