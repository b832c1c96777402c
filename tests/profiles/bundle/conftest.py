import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import (
    FORMAT,
    VERSION,
    Artifact,
    Request,
    Result,
    record_case,
    write_artifact,
)
from rocmoe.profiles.bundle.creation import create_bundle
from rocmoe.profiles.environment import collect_environment

CASE = "topk_softmax:T=5,E=16,k=2:bf16:renormalize=false:normal:strided"

#: Wrong, and with a helper beside it; it tells whoever runs it.
HALVED = """
import pathlib
import scaling

pathlib.Path(__file__).with_name("ran").touch()


def topk_softmax(gating_output, topk, renormalize):
    import torch

    weights, ids = torch.topk(torch.softmax(gating_output.float(), -1), topk)
    return scaling.scale(weights), ids.int()
"""


@pytest.fixture(scope="session")
def write_failure():
    """Write an artifact of one failure: write_failure(path, backend, variant, **changes)."""

    def write(path, backend, variant="default", *, case=CASE, device="cpu", status="fail", **more):
        parsed = parse_case(case)
        result = Result(
            record_case(load_op(parsed.op), parsed), backend, variant, device, status, **more
        )
        request = Request(
            "validate", [parsed.op], [result.selector], device, "smoke", [case], 0, False
        )
        write_artifact(
            Artifact(FORMAT, VERSION, "", request, collect_environment(), True, [result]), path
        )
        return path

    return write


@pytest.fixture(scope="session")
def made(tmp_path_factory, write_failure):
    """A bundle of a kernel of one's own that is wrong, as `create_bundle` gives it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "halved.py").write_text(HALVED)
    (folder / "scaling.py").write_text("def scale(weights):\n    return weights * 0.5\n")
    artifact = write_failure(folder / "run.json", "user", f"{folder}/halved.py:topk_softmax")
    return create_bundle(str(artifact), folder / "bundle", 1, 60.0)


@pytest.fixture(scope="session")
def harmed(tmp_path_factory, write_failure):
    """A bundle of a harmed kernel of rocmoe's own."""
    folder = tmp_path_factory.mktemp("harmed")
    artifact = write_failure(folder / "run.json", "harm", "repeat_expert")
    return create_bundle(str(artifact), folder / "bundle", 1, 60.0)
