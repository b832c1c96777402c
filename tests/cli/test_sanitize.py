"""`rocmoe sanitize`: every command of its document, its artifact, and its bad requests."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from rocmoe.cli.app import main
from rocmoe.profiles.artifact import make_schema

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "sanitize.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def examples(tmp_path):
    shutil.copytree(DOCS / "examples", tmp_path / "docs" / "examples")
    return tmp_path


def split_block(block):
    """(commands, what the last one prints, "" where the document does not show it)."""
    lines = block.splitlines()
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    return commands, "\n".join(lines[len(commands) :])


@pytest.mark.parametrize("block", BLOCKS, ids=[split_block(each)[0][-1][:60] for each in BLOCKS])
def test_the_document_prints_what_it_says(examples, block):
    commands, printed = split_block(block)
    if "sanitize topk_softmax" in commands[-1]:
        pytest.importorskip("triton", reason="no triton to compile for AMD with")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=examples,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=300,
        )
    if printed:
        assert done.stdout.strip("\n") == printed.strip("\n")
    expected = 1 if "five.toml" in commands[-1] or "no_barrier" in commands[-1] else 0
    assert done.returncode == expected, done.stdout + done.stderr
    if "no_barrier" in commands[-1]:
        assert "racecheck: reads LDS byte 1020, stored by wave 3" in done.stdout
        assert "no_barrier.s:22: ds_read_b32 v5, v3" in done.stdout
    if "validate" in commands[-1]:
        assert "requires k == 1" in done.stdout


def test_the_artifact_has_a_result_for_every_order(rocmoe, examples):
    code = examples / "docs/examples/reverse.gfx942.s"
    code.write_text(code.read_text().replace("    s_barrier\n", ""))
    arguments = ["--orders", "last,together", "--checks", "racecheck", "--format", "json"]
    done = rocmoe("sanitize", "docs/examples/reverse.toml", *arguments, "--out", "run.json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads((examples / "run.json").read_text())
    jsonschema.validate(document, make_schema())
    assert document["request"]["command"] == "sanitize"
    last, together = document["results"]
    assert last["variant"] == "docs/examples/reverse.toml:order=last"
    assert together["backend"] == "assembly"
    assert {check["name"] for check in last["checks"] if check["ok"] is False} == {
        "racecheck",
        "order",
    }
    assert last["case"]["op"] == "-"
    finding = next(each for each in together["findings"] if each["check"] == "racecheck")
    assert finding["where"] == "docs/examples/reverse.gfx942.s:22: ds_read_b32 v5, v3"
    assert finding["place"] == "workgroup 0, wave 0, lane 0"
    assert together["counts"]["waves"] == 16


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["topk_sofmax"], "unknown op 'topk_sofmax'; nearest: topk_softmax"),
        (["docs/examples/reverse.gfx942.s"], "wanted --launch FILE.toml with grid, block and arg"),
        (["docs/examples/revers.s"], "no file docs/examples/revers.s; nearest: reverse.gfx942.s"),
        (["docs/examples/reverse.toml", "--device", "sim:gfx90a"], "is code for gfx942, found"),
        (["docs/examples/reverse.toml", "--device", "cpu"], "has no sanitizers; wanted sim:ARCH"),
        (["docs/examples/reverse.toml", "--suite", "smoke"], "serves no op and has no cases"),
        (["topk_softmax", "--orders", "frist"], "unknown wave order 'frist'; nearest: first"),
        (["topk_softmax", "--checks", "memchek"], "unknown sanitizer 'memchek'; nearest: memcheck"),
        (["topk_softmax", "--backend", "tritn"], "unknown backend 'tritn'; nearest: triton"),
        (["topk_softmax", "--impl", "a.py"], "--impl 'a.py' is not FILE.py:FUNC"),
        (["topk_softmax", "--suite", "smok"], "unknown suite 'smok'; nearest: smoke"),
        (["topk_softmax", "--case", "moe_sorting:T=1"], "found 2 parts, wanted OP:"),
        (["topk_softmax", "--launch", "a.toml"], "--launch a.toml is for a file, found op"),
    ],
)
def test_bad_requests(examples, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(examples)
    monkeypatch.setattr(sys, "argv", ["rocmoe", "sanitize", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 2, printed.err
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not list(examples.glob("rocmoe-artifacts/*"))
