"""What a bundle is made of, and what it must not tell."""

import json

import msgspec
import pytest
import safetensors.torch
import torch

from rocmoe.ops.core.backend import load_backend
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.bundle import creation
from rocmoe.profiles.bundle.creation import create_bundle
from rocmoe.profiles.bundle.recording import DRAWN, read_draws
from rocmoe.profiles.bundle.report import tell_created
from rocmoe.profiles.bundle.verification import read_bundle
from rocmoe.profiles.environment import Environment
from rocmoe.profiles.examination import examine
from rocmoe.profiles.outcome import Exit

SMALL = "topk_softmax:T=2,E=8,k=2:fp32:renormalize=true:normal:contiguous"
LOSSLESS = (
    "chain_speculative_sampling:B=1024,N=2,V=128:fp32:threshold_single=1.0,threshold_acc=1.0:"
    "lossless:contiguous"
)


def test_a_bundle_holds_what_came_in_was_due_and_came_out(made):
    files = made.files
    assert {
        *("manifest.json", "bundle.json", "draws.json", "environment.json", "requirements.txt"),
        *("repro.py", "ISSUE.md", "docker.sh", "candidate/halved.py", "candidate/scaling.py"),
        *("rocmoe_parts/references/topk_softmax.py", "rocmoe_parts/references/judging/gating.py"),
        *(f"inputs/{n}.safetensors" for n in (0, 1)),
        *(f"expected/{n}.safetensors" for n in (0, 1)),
        *(f"actual/{n}.safetensors" for n in (1, 2, 3)),
    } <= set(files)
    for number in (1, 2, 3):
        actual = safetensors.torch.load(files[f"actual/{number}.safetensors"])
        expected = safetensors.torch.load(files[f"expected/{DRAWN[number]}.safetensors"])
        assert actual["topk_weights"].dtype == torch.float32
        assert actual["topk_ids"].dtype == torch.int32
        assert torch.allclose(2 * actual["topk_weights"].double(), expected["topk_weights"])
        assert (actual["topk_ids"] == expected["topk_ids"]).all()
    record = made.record
    assert (record.shown, record.runs, record.outcome.status) == (1, 1, "fail")
    assert [check.name for check in record.outcome.checks if check.ok is False] == ["weights"]
    assert record.outcome.findings
    assert made.exit is Exit.PASSED
    assert read_bundle(made.archive).files == read_bundle(made.folder).files


def test_it_says_what_of_ones_own_is_in_it(made):
    told = "\n".join(tell_created(made))
    assert "candidate/halved.py, candidate/scaling.py" in told
    assert "read it before you send it" in told


def test_the_same_failure_makes_the_same_bytes(made, tmp_path):
    artifact = made.folder.with_name("run.json")
    again = create_bundle(str(artifact), tmp_path / "elsewhere", 1, 60.0)
    assert again.archive.read_bytes() == made.archive.read_bytes()


def test_a_bundle_is_never_written_over_another(made):
    artifact = made.folder.with_name("run.json")
    with pytest.raises(RocmoeError, match="is there already; remove it, or name another by --out"):
        create_bundle(str(artifact), made.folder, 1, 60.0)


def test_what_does_not_fail_again_is_written_as_flaky(tmp_path, write_failure):
    artifact = write_failure(tmp_path / "run.json", "torch", case=SMALL, reason="failed weights")
    created = create_bundle(str(artifact), tmp_path / "bundle", 2, 60.0)
    assert (created.record.shown, created.record.runs) == (0, 2)
    assert created.record.reported.status == "fail"
    assert created.record.outcome.status == "pass"
    assert created.exit is Exit.INCONCLUSIVE
    assert tell_created(created)[0].startswith("flaky: it did not fail again in 2 runs")
    assert "flaky" in created.files["ISSUE.md"].decode()


def test_what_fails_now_and_then_is_kept_as_it_failed(tmp_path, write_failure):
    (tmp_path / "moody.py").write_text(
        "import pathlib, torch\n"
        "def topk_softmax(gating_output, topk, renormalize):\n"
        f"    mark = pathlib.Path({str(tmp_path / 'mark')!r})\n"
        "    if mark.exists():\n"
        "        raise RuntimeError('second run')\n"
        "    weights, ids = torch.topk(torch.softmax(gating_output.float(), -1), topk)\n"
        "    topk_softmax.calls += 1\n"
        "    if topk_softmax.calls == 3:\n"
        "        mark.touch()\n"
        "    return weights / weights.sum(-1, keepdim=True), ids.int()\n"
        "topk_softmax.calls = 0\n"
    )
    variant = f"{tmp_path}/moody.py:topk_softmax"
    artifact = write_failure(tmp_path / "run.json", "user", variant, case=SMALL)
    created = create_bundle(str(artifact), tmp_path / "bundle", 2, 60.0)
    assert (created.record.shown, created.record.runs) == (1, 2)
    assert created.record.outcome.reason == "RuntimeError: second run (moody.py:5)"
    assert not [path for path in created.files if path.startswith("actual/")]
    assert "flaky: it fails in 1 of 2 runs" in created.files["ISSUE.md"].decode()


def test_the_larger_draws_that_decided_are_in_it(tmp_path, write_failure):
    artifact = write_failure(tmp_path / "run.json", "harm", "reuse_coin", case=LOSSLESS)
    created = create_bundle(str(artifact), tmp_path / "bundle", 1, 60.0)
    assert "lossless" in [c.name for c in created.record.outcome.checks if c.ok is False]
    cases = [draw["case"] for draw in json.loads(created.files["draws.json"])]
    assert cases[:2] == [LOSSLESS, LOSSLESS]
    assert cases[2] == LOSSLESS.replace("B=1024", "B=10240")
    candidates = safetensors.torch.load(created.files["inputs/2.safetensors"])["candidates"]
    assert candidates.numel() > 2 * 10240
    actual = safetensors.torch.load(created.files["actual/4.safetensors"])
    assert actual["bonus_token"].shape == (10240,)
    # They are those that a replay decides by.
    spec, case = load_op("chain_speculative_sampling"), parse_case(LOSSLESS)
    draws, given = read_draws(spec, case, created.folder), {}
    kernel = load_backend("harm").find(spec, "reuse_coin")

    def note(number, inputs, call):
        given[number] = inputs is draws[DRAWN[number]]

    examine(spec, case, kernel, Device("cpu"), strict=False, draws=draws, on_call=note)
    assert given == dict.fromkeys(DRAWN, True)


@pytest.mark.parametrize(
    ("backend", "variant", "changes", "said"),
    [
        ("torch", "default", {"status": "pass"}, "is pass; wanted a result that failed"),
        ("torch", "default", {"status": "refused"}, "is refused; wanted a result that failed"),
        ("assembly", "x.toml", {}, "is of a launch file, which takes the simulator to run"),
        ("triton", "order=last", {"device": "sim:gfx942"}, "is of rocmoe sanitize"),
        ("user", "none.py:f", {}, "no file none.py"),
        ("harm", "no_such", {}, "unknown harm of topk_softmax 'no_such'"),
    ],
)
def test_what_cannot_be_bundled_is_refused(
    tmp_path, write_failure, backend, variant, changes, said
):
    artifact = write_failure(tmp_path / "run.json", backend, variant, case=SMALL, **changes)
    address = f"{artifact}#{SMALL}@{backend}" + (f":{variant}" if variant != "default" else "")
    with pytest.raises(RocmoeError, match=said):
        create_bundle(address, tmp_path / "bundle", 1, 60.0)
    assert not (tmp_path / "bundle").exists()


def test_a_device_that_is_not_here_is_refused(tmp_path, write_failure):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    artifact = write_failure(tmp_path / "run.json", "torch", case=SMALL, device="gpu:0")
    with pytest.raises(RocmoeError, match="does not run here: torch sees no GPU here"):
        create_bundle(str(artifact), tmp_path / "bundle", 1, 60.0)


def test_inputs_that_are_too_large_are_refused(tmp_path, write_failure):
    case = SMALL.replace("T=2,E=8", "T=16500,E=1024")
    artifact = write_failure(tmp_path / "run.json", "torch", case=case)
    with pytest.raises(RocmoeError, match=r"the inputs have 257 MiB.* make the case smaller"):
        create_bundle(str(artifact), tmp_path / "bundle", 1, 60.0)


def test_requirements_leave_torch_and_the_library_as_they_are(made):
    lines = made.files["requirements.txt"].decode().splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["#", "numpy", "safetensors"]
    assert "torch" in lines[0]
    environment = msgspec.json.decode(made.files["environment.json"], type=Environment)
    text = creation._write_requirements(["torch", "aiter", "scipy"], environment)
    assert "# of the image or the machine: amd-aiter" in text
    assert text.splitlines()[-1].startswith("scipy")
