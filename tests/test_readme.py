"""What the README shows is what the program prints."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rocmoe.cli.show import OutputFormat, format_table, show_run
from rocmoe.profiles.artifact import read_artifact
from rocmoe.profiles.bench_report import render_markdown
from rocmoe.profiles.catalog import OP_COLUMNS, list_op_rows

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MINE = re.search(r"```python\n# mine.py\n(.*?)```", README, re.DOTALL)[1]


def blocks():
    return [block.strip("\n") for block in re.findall(r"```text\n(.*?)```", README, re.DOTALL)]


def test_the_table_is_that_of_the_committed_artifact():
    path = Path("docs/artifacts/quick-cpu.json")
    artifact = read_artifact(ROOT / path)
    assert artifact.complete
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        show_run(artifact, path, OutputFormat.table)
    assert printed.getvalue().strip("\n") in blocks()


def test_the_ops_are_those_there_are():
    rows = [[f"`{row[0]}`", row[-1]] for row in list_op_rows()]
    assert format_table(rows, (OP_COLUMNS[0], OP_COLUMNS[-1]), OutputFormat.markdown) in README


def mask(text):
    """A printed run without what another machine may print differently: times, paths, digits."""
    text = re.sub(r"artifact: \S+", "artifact: ...", text)
    return re.sub(r"\d+(\.\d+)?(e-?\d+)?", "#", " ".join(text.split()))


HARM = ("softmax(gating_output.float(), dim=-1)", "softmax(gating_output, dim=-1).float()")


@pytest.mark.parametrize("harm", [None, HARM])
def test_the_tour_prints_what_it_says(rocmoe, tmp_path, harm):
    code = MINE.replace(*harm) if harm else MINE
    (tmp_path / "mine.py").write_text(code)
    done = rocmoe("validate", "--impl", "mine.py:topk_softmax")
    assert done.returncode == (1 if harm else 0)
    beginnings = [mask(block.removesuffix("[...]")) for block in blocks()]
    said = [text for text in beginnings if mask(done.stdout).startswith(text)]
    assert len(said) == 1
    assert "user:mine.py" in said[0]


SHOWN = re.findall(r"```sh\n([^`]*?)```\n\n```text\n(.*?)```", README, re.DOTALL)
SIMULATED = [(commands, said) for commands, said in SHOWN if "rocmoe validate" not in commands]

BENCHES = sorted((ROOT / "docs" / "artifacts").glob("bench-h100-*.json"))


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_the_times_are_those_of_the_committed_artifacts(path):
    artifact = read_artifact(path)
    assert "H100" in str(artifact.environment)
    assert {each.status for each in artifact.results if each.backend == "triton"} == {"pass"}
    assert render_markdown(artifact) in README
    assert f"](docs/artifacts/{path.name})" in README


def test_what_passed_on_the_gpu_is_what_the_artifact_says():
    artifact = read_artifact(ROOT / "docs" / "artifacts" / "full-strict-h100.json")
    assert artifact.complete
    assert (artifact.request.suite, artifact.request.strict) == ("full", True)
    passed = sum(each.status == "pass" for each in artifact.results)
    for text in (README, (ROOT / "docs" / "kernels.md").read_text()):
        assert f"{passed} of {len(artifact.results)} cases" in " ".join(text.split())


def test_there_is_an_artifact_for_every_table_of_times():
    named = set(re.findall(r"\(docs/artifacts/(bench-h100-[a-z-]+\.json)\)", README))
    assert named == {path.name for path in BENCHES}
    assert len(named) == 9


def test_the_simulator_is_shown_by_its_findings():
    assert len(SIMULATED) == 3
    assert "memcheck: load of 2 bytes" in SIMULATED[0][1]
    assert "no barrier stands between" in SIMULATED[1][1]


@pytest.mark.parametrize("shown", SIMULATED, ids=lambda shown: shown[0].split()[0])
def test_commands_of_the_simulator_print_what_is_shown(shown, tmp_path):
    triton = pytest.importorskip("triton", reason="no triton to compile with")
    if not triton.__version__.startswith("3.9."):
        pytest.skip("what is shown is the code of Triton 3.9")
    commands, said = shown
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == (1 if "failed (exit 1)" in said else 0), done.stderr
    assert mask(done.stdout) == mask(said)


def test_the_speed_in_the_documents_is_that_of_the_committed_figures():
    figures = json.loads((ROOT / "docs" / "artifacts" / "bench-sim.json").read_text())
    document = (ROOT / "docs" / "simulator.md").read_text()
    assert len(figures["cases"]) == 4
    for case in figures["cases"]:
        watched = [case[name] for name in ("nothing", "always", "everything")]
        peak = max(each["peak_gib"] for each in watched)
        seconds = " | ".join(f"{each['seconds']:.2f}" for each in watched)
        assert f"| {case['case']} | {case['tokens']} | {seconds} | {peak:.2f} |" in document


def test_every_command_and_option_named_is_there(rocmoe):
    commands = re.findall(r"^  ([a-z]+)  ", rocmoe("--help").stdout, re.M)
    assert len(commands) >= 14
    for command in commands:
        assert f"rocmoe {command}" in README, command
    having = ("validate", "bench", "sanitize", "isa", "profile", "report")
    said = "".join(rocmoe(command, "--help").stdout for command in having)
    for option in set(re.findall(r"`(--[a-z]+)", README)):
        assert option in said, option
