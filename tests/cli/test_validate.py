"""`rocmoe validate` through the real command: what it prints, writes and exits with."""

import json
import os
import resource
from xml.etree import ElementTree

import jsonschema
import pytest

from rocmoe.profiles.artifact import make_schema, read_artifact


def case(tokens, pattern="normal", layout="contiguous"):
    return f"topk_softmax:T={tokens},E=64,k=4:fp32:renormalize=true:{pattern}:{layout}"


RIGHT = """
import torch

def topk_softmax(gating_output, topk, renormalize):
    probabilities = gating_output.float().softmax(-1).nan_to_num(nan=-1.0)
    values, ids = probabilities.sort(dim=-1, descending=True, stable=True)
    values = values[:, :topk]
    return (values / values.sum(-1, True) if renormalize else values), ids[:, :topk].int()

def into(gating_output, topk, renormalize, topk_weights, topk_ids):
    weights, ids = topk_softmax(gating_output, topk, renormalize)
    topk_weights.copy_(weights)
    topk_ids.copy_(ids)

def wrong(gating_output, topk, renormalize):
    weights, ids = topk_softmax(gating_output, topk, renormalize)
    return weights, ids.roll(1, 0)
"""


@pytest.fixture
def kernels(tmp_path):
    (tmp_path / "kernels.py").write_text(RIGHT)
    return "kernels.py"


def test_a_smoke_run_of_everything_passes(rocmoe, tmp_path):
    done = rocmoe("validate", "--suite", "smoke", "--out", "run.json", "--junit", "run.xml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed (exit 0); artifact: run.json" in done.stdout
    document = json.loads((tmp_path / "run.json").read_text())
    jsonschema.validate(document, make_schema())
    ops = {result["case"]["op"] for result in document["results"]}
    assert len(ops) == 13
    assert all(op in done.stdout for op in ops)
    assert "no_write_outside not checked" in done.stdout
    suite = ElementTree.parse(tmp_path / "run.xml").getroot()
    assert int(suite.get("tests")) == len(suite) == len(document["results"])
    assert suite.get("failures") == suite.get("errors") == suite.get("skipped") == "0"
    assert not list(tmp_path.glob("*.jsonl"))


def test_anyones_function_is_judged_in_either_style(rocmoe, tmp_path, kernels):
    impls = [f"--impl={kernels}:topk_softmax", f"--impl={kernels}:into"]
    done = rocmoe("validate", "topk_softmax", *impls, "--out", "run.json")
    assert done.returncode == 0, done.stdout
    artifact = read_artifact(tmp_path / "run.json")
    fences = {
        (result.variant, check.ok)
        for result in artifact.results
        for check in result.checks
        if check.name == "no_write_outside"
    }
    assert fences == {(f"{kernels}:topk_softmax", None), (f"{kernels}:into", True)}


def test_the_op_is_read_off_the_functions_name(call_rocmoe, kernels):
    done = call_rocmoe("validate", "--impl", f"{kernels}:topk_softmax", "--suite", "smoke")
    assert done.returncode == 0, done.stderr
    assert "moe_sorting" not in done.stdout


def test_a_wrong_kernel_fails_with_row_and_column(rocmoe, tmp_path, kernels):
    done = rocmoe("validate", "topk_softmax", "--impl", f"{kernels}:wrong", "--case", case(8),
                  "--junit", "run.xml", "--out", "run.json")  # fmt: skip
    assert done.returncode == 1
    assert f"FAIL {case(8)}@user:kernels.py:wrong" in done.stdout
    assert "selection_is_top_k: topk_ids[" in done.stdout
    assert "wanted expert" in done.stdout
    failure = ElementTree.parse(tmp_path / "run.xml").getroot()[0][0]
    assert failure.tag == "failure"
    assert "selection_is_top_k" in failure.get("message")
    result = read_artifact(tmp_path / "run.json").results[0]
    assert (result.status, result.backend, result.variant) == ("fail", "user", "kernels.py:wrong")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--backend", "torch", "--device", "sim:gfx942"], 4, "torch does not run on sim:gfx942"),
        (["--device", "gpu:99"], 4, "1 case(s) unavailable: "),
        (["--backend", "torch"], 0, "passed"),
    ],
)
def test_exit_codes(call_rocmoe, arguments, code, said):
    done = call_rocmoe("validate", "--case", case(8), *arguments)
    assert done.returncode == code, done.stdout
    assert said in done.stdout


def test_a_full_disk_is_the_machines_failure(rocmoe, tmp_path):
    """A limit on file sizes stands in for it: the write fails where the artifact is due."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = rocmoe("validate", "topk_softmax", "--out", "run.json", preexec_fn=limit)
    assert done.returncode == 5, done.stderr
    assert "the machine failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run.json").exists()


def test_json_is_the_artifact_itself(call_rocmoe, tmp_path):
    done = call_rocmoe("validate", "--case", case(8), "--format", "json", "--out", "run.json")
    assert json.loads(done.stdout) == json.loads((tmp_path / "run.json").read_text())


def test_markdown_is_a_table(call_rocmoe):
    done = call_rocmoe("validate", "--case", case(8), "--format", "markdown")
    assert done.stdout.startswith("| op ")
    assert "|--" in done.stdout.splitlines()[1]


def test_another_seed_draws_other_inputs_and_is_part_of_the_case(call_rocmoe, tmp_path):
    call_rocmoe("validate", "--case", case(8), "--seed", "3", "--out", "run.json")
    assert read_artifact(tmp_path / "run.json").results[0].case.id == case(8) + ":seed=3"


def test_strict_wants_what_the_default_leaves_open(call_rocmoe, tmp_path):
    (tmp_path / "k.py").write_text(
        RIGHT
        + """
def flipped(gating_output, topk, renormalize):
    return tuple(output.flip(1) for output in topk_softmax(gating_output, topk, renormalize))
"""
    )
    arguments = ["topk_softmax", "--impl", "k.py:flipped", "--case", case(8)]
    assert call_rocmoe("validate", *arguments).returncode == 0
    done = call_rocmoe("validate", *arguments, "--strict")
    assert done.returncode == 1
    assert "descending" in done.stdout


def test_a_file_may_import_what_lies_beside_it(call_rocmoe, tmp_path, kernels):
    (tmp_path / "mine.py").write_text("from kernels import topk_softmax as f")
    assert (
        call_rocmoe("validate", "topk_softmax", "--impl=mine.py:f", "--case", case(8)).returncode
        == 0
    )


def test_a_link_stays_a_link(call_rocmoe, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "run.json").symlink_to("there/real.json")
    (tmp_path / "there" / "real.json").write_text("old")
    assert call_rocmoe("validate", "--case", case(8), "--out", "run.json").returncode == 0
    assert (tmp_path / "run.json").is_symlink()
    assert read_artifact(tmp_path / "there" / "real.json").complete


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_stream_is_no_traceback(rocmoe, closed):
    done = rocmoe("list", "backends", preexec_fn=lambda: os.close(closed))
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_case_given_twice_runs_once(call_rocmoe, tmp_path):
    twice = ("--case", case(8), "--case", case(8))
    call_rocmoe("validate", "--backend", "torch", *twice, "--out", "run.json")
    assert len(read_artifact(tmp_path / "run.json").results) == 1
