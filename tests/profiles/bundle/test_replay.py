"""`bundle run`: the stored inputs, the judge installed here, and no code but what is named."""

import json

import msgspec
import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import read_artifact
from rocmoe.profiles.bundle.archive import pack
from rocmoe.profiles.bundle.record import MANIFEST, encode_record, make_manifest
from rocmoe.profiles.bundle.replay import run_bundle
from rocmoe.profiles.outcome import Exit, judge_run
from rocmoe.profiles.validation import Settings

RIGHT = """
def topk_softmax(gating_output, topk, renormalize):
    import torch

    weights, ids = torch.topk(torch.softmax(gating_output.float(), -1), topk)
    return weights, ids.int()
"""


@pytest.fixture
def forge(tmp_path):
    """Write files as a bundle whose manifest fits them: forge(files, **changed) -> path."""

    def write(files, **changed):
        files = {path: content for path, content in files.items() if path != MANIFEST}
        files |= {path.replace("__", "."): content for path, content in changed.items()}
        files[MANIFEST] = encode_record(make_manifest("name", files))
        path = tmp_path / "forged.tar.gz"
        path.write_bytes(pack("name", files))
        return path

    return write


@pytest.fixture
def run(tmp_path):
    def run(path, impl=None, device=None):
        settings = Settings(1, 60.0, tmp_path / "replayed.json")
        artifact, written = run_bundle(path, impl, device, settings, lambda *progress: None)
        assert read_artifact(written) == artifact
        return artifact

    return run


def name_findings(findings):
    return [(f.check, f.output, tuple(f.index), f.found, f.wanted, f.call) for f in findings]


def test_a_harmed_kernel_fails_again_in_the_same_elements(harmed, run):
    artifact = run(harmed.archive)
    (result,) = artifact.results
    assert judge_run(artifact) is Exit.FAILED
    assert result.case.id == harmed.record.case.id
    assert result.selector == "harm:repeat_expert"
    found = name_findings(result.findings)
    assert found == name_findings(harmed.record.outcome.findings)
    assert found
    assert artifact.request.command == "bundle"


def test_code_in_a_bundle_is_not_run_unless_it_is_named(made, run):
    mark = made.folder / "candidate" / "ran"
    for path in (made.archive, made.folder):
        with pytest.raises(RocmoeError, match=r"is about code of its own.*--impl FILE.py:topk_sof"):
            run(path)
    assert not mark.exists()


def test_code_that_is_named_is_run_on_the_stored_inputs(made, run, tmp_path):
    own = made.folder.parent / "halved.py"
    artifact = run(made.archive, f"{own}:topk_softmax")
    assert judge_run(artifact) is Exit.FAILED
    assert name_findings(artifact.results[0].findings) == name_findings(
        made.record.outcome.findings
    )
    (tmp_path / "mended.py").write_text(RIGHT)
    mended = run(made.archive, f"{tmp_path}/mended.py:topk_softmax")
    assert judge_run(mended) is Exit.PASSED
    assert not (made.folder / "candidate" / "ran").exists()


def test_inputs_are_those_of_the_bundle_laid_out_as_they_were(made, run, forge, tmp_path):
    seen = tmp_path / "seen.txt"
    (tmp_path / "telling.py").write_text(
        RIGHT
        + f"""
def tell(gating_output, topk, renormalize):
    with open({str(seen)!r}, "a") as file:
        print(gating_output.stride(), gating_output[0, 0].item(), file=file)
    return topk_softmax(gating_output, topk, renormalize)
"""
    )
    run(made.archive, f"{tmp_path}/telling.py:tell")
    first, second, again = seen.read_text().splitlines()
    assert first == again != second
    assert all(line.startswith("(26, 1)") for line in (first, second))
    seen.unlink()
    swapped = {"inputs/0.safetensors": made.files["inputs/1.safetensors"]}
    run(forge({**made.files, **swapped}), f"{tmp_path}/telling.py:tell")
    assert set(seen.read_text().splitlines()) == {second}


@pytest.mark.parametrize(
    ("backend", "variant"), [("user", "/tmp/evil.py:f"), ("assembly", "/tmp/evil.toml")]
)
def test_a_record_cannot_name_code_to_run(made, forge, run, backend, variant):
    record = msgspec.structs.replace(made.record, backend=backend, variant=variant, candidate=None)
    with pytest.raises(RocmoeError, match="which is not run unless you name it"):
        run(forge(made.files, bundle__json=encode_record(record)))


def test_an_unknown_backend_is_refused(made, forge, run):
    record = msgspec.structs.replace(made.record, backend="os.path", candidate=None)
    with pytest.raises(RocmoeError, match=r"is about backend 'os.path', unknown here"):
        run(forge(made.files, bundle__json=encode_record(record)))


def test_inputs_that_do_not_fit_run_nothing(harmed, forge, run):
    draws = json.loads(harmed.files["draws.json"])
    draws[0]["tensors"]["gating_output"]["offset"] = 1 << 30
    for changed, said in (
        (json.dumps(draws).encode(), "reaches past its"),
        (json.dumps(draws[:1]).encode(), "they are 1, and not all of case"),
        (json.dumps([{**draws[0], "case": "\x1b[2J"}] * 2).encode(), "they are 2, and not all"),
        (b"{}", "they are 0, and not all"),
        (b"[" * 100_000, "RecursionError"),
        (b"\xff", "UnicodeDecodeError"),
    ):
        artifact = run(forge(harmed.files, draws__json=changed))
        (result,) = artifact.results
        assert result.status == "refused", changed[:80]
        assert said in result.reason
        assert result.reason.isprintable()
        assert judge_run(artifact) is Exit.INCONCLUSIVE
