"""`rocmoe graph` through the real command where there is no GPU, and on a stored run."""

import contextlib
import io

import pytest
import torch
import typer

from rocmoe.cli.graph import graph
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import (
    FORMAT,
    VERSION,
    Artifact,
    Measurement,
    Request,
    Result,
    record_case,
    write_artifact,
)
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.graphs.record import CAPTURE, COUNTS, MATRIX, GraphRecord, Trial, add_trial

CASE = parse_case("topk_softmax:T=4,E=16,k=2:fp32:renormalize=true:normal:contiguous")
#: The real command needs a machine without a GPU here.
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")


@no_gpu
def test_without_a_gpu_one_line_says_so_and_nothing_is_written(rocmoe, tmp_path):
    done = rocmoe("graph", "moe_sorting")
    assert done.returncode == 4
    assert done.stderr == (
        "rocmoe: graphs need a GPU and torch sees none here; see `rocmoe doctor`\n"
    )
    assert done.stdout == ""
    assert not list(tmp_path.glob("rocmoe-artifacts/*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"device": "cpu"}, "--device cpu has no graphs; wanted gpu or gpu:N"),
        ({"ops": ["moe_sortin"]}, "unknown op 'moe_sortin'; nearest: moe_sorting"),
        ({"stored": "x.json", "ops": ["topk_softmax"]}, "--from measures nothing, but found"),
        ({"ops": ["topk_softmax"], "sweep": ["TT=3"]}, "nearest: T"),
    ],
)
def test_bad_requests_are_errors_of_the_user(arguments, said):
    from rocmoe.ops.core.errors import RocmoeError

    with pytest.raises(RocmoeError, match=said):
        graph(**arguments)


def make_stored(tmp_path, command="graph"):
    safe = GraphRecord("not tried", nodes={"kernel": 2, "memset": 1})
    for name in MATRIX:
        words = "the op takes no count as a tensor" if name == COUNTS else ""
        safe = add_trial(safe, Trial(name, None if name == COUNTS else True, words))
    words = "x.item() at k.py:3 reads on the host"
    refused = add_trial(GraphRecord("not tried"), Trial(CAPTURE, False, words, "refused"))
    taken = [
        Measurement(timer, "warm", "ok", [[us]], [1])
        for timer, us in (("wall", 41.0), ("graph", 5.5), ("kernel", 3.25))
    ]
    record = record_case(load_op("topk_softmax"), CASE)
    request = Request(command, ["topk_softmax"], [], "gpu", "smoke", [CASE.id], 0, False)
    artifact = Artifact(
        FORMAT, VERSION, "2026-01-01T00:00:00+00:00", request, collect_environment(), True,
        [
            Result(record, "triton", "default", "gpu:0", "pass", graph=safe, measurements=taken),
            Result(record, "user", "k.py:mine", "gpu:0", "pass", graph=refused),
        ],
    )  # fmt: skip
    path = tmp_path / "run.json"
    write_artifact(artifact, path)
    return path


def show(path, **arguments):
    with contextlib.redirect_stdout(io.StringIO()) as printed, pytest.raises(typer.Exit):
        graph(stored=path, **arguments)
    return printed.getvalue()


def test_a_stored_run_is_printed_with_the_reasons_of_what_is_not_safe(tmp_path):
    printed = show(make_stored(tmp_path)).splitlines()
    assert printed[0].split("  ")[0] == "op"
    safe, refused = printed[2], printed[3]
    for cell in ("triton", "safe", "2 kernel, 1 memset", "41.0", "5.50", "3.25", "8/8", "pass"):
        assert cell in safe
    assert "user:k.py:mine" in refused
    assert "0/1" in refused
    reason = f"REFUSED {CASE.id}@user:k.py:mine: capture: x.item() at k.py:3 reads on the host"
    assert printed[4] == reason
    gap = "not tried: changed counts: the op takes no count as a tensor (1 result(s))"
    assert printed[5] == gap


def test_a_stored_run_is_printed_in_other_forms(rocmoe, tmp_path):
    path = make_stored(tmp_path)
    done = rocmoe("graph", "--from", path, "--format", "markdown")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| op ")
    from rocmoe.cli.show import OutputFormat

    assert show(path, form=OutputFormat.json) == path.read_text()


def test_an_artifact_of_another_command_is_refused(tmp_path):
    from rocmoe.ops.core.errors import RocmoeError

    with pytest.raises(RocmoeError, match="found an artifact of rocmoe bench, wanted one of rocmo"):
        graph(stored=make_stored(tmp_path, "bench"))
