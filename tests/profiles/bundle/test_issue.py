"""The issue of each library has the sections of its form, and what a maintainer asks first."""

import msgspec
import pytest

from rocmoe.profiles.bundle.issue import FORMS, write_docker_command, write_issue
from rocmoe.profiles.bundle.record import Outcome
from rocmoe.profiles.environment import PEERS, Gpu, collect_environment
from rocmoe.references.judging.verdict import Finding

HEADINGS = {
    "aiter": ["Problem Description", "Operating System", "CPU", "GPU", "ROCm Version",
              "ROCm Component", "Steps to Reproduce",
              "(Optional for Linux users) Output of /opt/rocm/bin/rocminfo --support",
              "Additional Information"],
    "sgl_kernel": ["Checklist", "Describe the bug", "Reproduction", "Environment"],
    "vllm": ["Your current environment", "🐛 Describe the bug", "Reproduction",
             "Before submitting a new issue..."],
    "flashinfer": ["Before submitting", "Environment", "Bug description", "Minimal reproduction",
                   "Additional context"],
    "triton": ["Describe the bug", "Reproduction", "Environment details"],
}  # fmt: skip


@pytest.fixture
def environment():
    gpu = Gpu(0, "AMD Instinct MI300X", "gfx942:sramecc+:xnack-", 1 << 37)
    found = collect_environment(variables={"HSA_XNACK": "1"})
    libraries = {"aiter": "0.1.5", "vllm": "0.11"}
    return msgspec.structs.replace(found, gpus=[gpu], rocm="7.0.1", libraries=libraries)


@pytest.mark.parametrize("backend", [*PEERS, "triton", "torch"])
def test_an_issue_has_the_sections_of_the_librarys_form(made, environment, backend):
    record = msgspec.structs.replace(
        made.record, backend=backend, variant="default", candidate=None, device="gpu:0"
    )
    text = write_issue(record, environment, "name.tar.gz", "def bind(x):\n    return x\n")
    found = [line[4:] for line in text.splitlines() if line.startswith("### ")]
    assert found == HEADINGS.get(backend, HEADINGS["aiter"])
    for said in (
        "topk_softmax: fail: weights",
        "T=5, E=16, k=2; dtype bf16",
        "layout: strided",
        "it fails in 1 of 1 runs",
        "weights: topk_weights[",
        "python3 repro.py",
        "--device=/dev/kfd --device=/dev/dri --group-add video --ipc=host "
        "--security-opt seccomp=unconfined",
        "AMD Instinct MI300X (gfx942:sramecc+:xnack-)",
        "7.0.1",
        "aiter: 0.1.5",
        "HSA_XNACK=1",
        record.case.id,
        "def bind(x):",
    ):
        assert said in text, said


def test_every_form_tells_of_bug_steps_and_environment():
    for form in FORMS.values():
        assert {"bug", "steps", "environment"} <= {text for _, text in form.sections}


def test_a_failure_that_did_not_show_again_is_told_from_the_first_report(made, environment):
    finding = Finding("repeatable", "topk_ids", (3, 1), "7", "5", call=3)
    outcome = Outcome("pass")
    reported = msgspec.structs.replace(made.record.reported, findings=[finding], reason="x")
    record = msgspec.structs.replace(
        made.record, shown=0, runs=3, outcome=outcome, reported=reported
    )
    text = write_issue(record, environment, "name.tar.gz")
    assert "flaky: it did not fail again in 3 runs; what follows is the first report" in text
    assert "repeatable: topk_ids[3, 1] is 7, wanted 5" in text
    record = msgspec.structs.replace(made.record, shown=1, runs=3)
    assert "flaky: it fails in 1 of 3 runs" in write_issue(record, environment, "name.tar.gz")


def test_a_crash_is_told_by_its_reason(made, environment):
    outcome = Outcome("crash", "the process died of SIGSEGV")
    record = msgspec.structs.replace(made.record, outcome=outcome, reported=outcome)
    text = write_issue(record, environment, "name.tar.gz")
    assert "crash: the process died of SIGSEGV" in text


def test_the_container_is_one_that_has_the_library_where_there_is_one(made):
    vllm = msgspec.structs.replace(made.record, backend="vllm")
    assert "rocm/vllm" in write_docker_command(vllm)
    assert "rocm/pytorch" in write_docker_command(made.record)
