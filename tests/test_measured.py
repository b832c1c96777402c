"""What the documents say was measured is what the committed artifacts hold."""

import importlib.util
import re
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rocmoe.cli.app import app
from rocmoe.ops.core.spec import list_ops
from rocmoe.profiles.artifact import read_artifact

ROOT = Path(__file__).parents[1]
MEASURING = (ROOT / "docs" / "measuring.md").read_text()
README = (ROOT / "README.md").read_text()
GRAPHS = Path("docs/artifacts/graph-h100.json")
STARTS = [ROOT / "docs" / "artifacts" / "noise" / number for number in "12"]


def load_benchmark(name):
    path = ROOT / "tests" / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


noise, timers = load_benchmark("bench_noise"), load_benchmark("bench_timers")


def list_across(name):
    return [*product(*(noise.list_runs(folder, name) for folder in STARTS))]


def list_within(mine, theirs):
    return [pair for folder in STARTS for pair in noise.list_pairs(folder, mine, theirs)]


@pytest.mark.parametrize(
    ("row", "pairs"),
    [
        ("the same kernels, 1.7 to 8 us, one start", list_within("same", "same")),
        ("the same kernels, 1.7 to 8 us, different starts", list_across("same")),
        ("the same kernel of 19 us, one start", list_within("spin", "spin")),
        ("the same kernel of 19 us, different starts", list_across("spin")),
        (
            "a kernel of 19 us against one that spins 3 % longer (2.3 to 2.9 % by the clock)",
            list_within("spin", "slow"),
        ),
    ],
)
def test_how_often_diff_is_wrong_is_counted_again(row, pairs):
    words = Counter(word for pair in pairs for word in noise.compare(*pair))
    kinds = ("SAME", "SLOWER", "FASTER", "AMBIGUOUS")
    told = ", ".join(f"{word} {words[word]}" for word in kinds if words[word])
    assert f"| {row} | {sum(words.values())} | {told} |" in MEASURING


def print_run(*arguments):
    """What the command prints of a stored run."""
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == 0, done.output
    return done.output.strip("\n")


@pytest.mark.parametrize("name", ["deepseek-v3", "gpt-oss-qwen3.5"])
def test_the_tables_of_models_are_those_of_the_committed_artifacts(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    path = f"docs/artifacts/models-h100-{name}.json"
    artifact = read_artifact(Path(path))
    assert artifact.complete
    assert {result.status for result in artifact.results} == {"pass"}
    printed = print_run("bench", "--from", path, "--format", "markdown")
    tables = printed.partition("\nNot tested:")[0].strip("\n").split("\n\n")
    assert len(tables) > 15
    assert [table for table in tables if table not in README] == []
    assert f"]({path})" in README


@pytest.mark.parametrize(
    ("document", "command"),
    [
        ("graphs.md", "rocmoe graph --from docs/artifacts/graph-h100.json"),
        ("profiling.md", "rocmoe profile --from docs/artifacts/profile-h100.json"),
        ("profiling.md", "rocmoe profile --from tests/profiles/profiling/fixtures/v70"),
    ],
)
def test_documents_show_what_a_stored_run_prints(document, command, monkeypatch):
    monkeypatch.chdir(ROOT)
    printed = print_run(*command.split()[1:])
    text = (ROOT / "docs" / document).read_text()
    assert f"```sh\n{command}\n```\n\n```text\n{printed}\n```" in text


def test_graphs_and_profiles_of_every_op_are_committed():
    ops = set(list_ops())
    for name, field in (("graph", "graph"), ("profile", "profile")):
        artifact = read_artifact(ROOT / "docs" / "artifacts" / f"{name}-h100.json")
        assert artifact.complete
        assert "H100" in str(artifact.environment.gpus)
        made = {result.case.op for result in artifact.results if getattr(result, field)}
        assert made == ops
    assert {each.graph.verdict for each in read_artifact(ROOT / GRAPHS).results} == {"safe"}


def test_the_accuracy_of_timers_is_worked_out_again(capsys):
    folder = ROOT / "docs" / "artifacts"
    timers.compare(folder / "timers-h100.json", folder / "timers-h100-ncu.csv")
    rows = capsys.readouterr().out.strip("\n").splitlines()
    assert len(rows) == 2 + 3
    assert "\n".join(rows) in MEASURING


def test_the_committed_report_is_that_of_the_committed_artifacts(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    named = ("models-h100-deepseek-v3", "models-h100-gpt-oss-qwen3.5", "graph-h100", "profile-h100")
    artifacts = [f"docs/artifacts/{name}.json" for name in named]
    print_run("report", *artifacts, "--markdown", str(tmp_path / "h100.md"))
    reports = ROOT / "docs" / "reports"
    assert (tmp_path / "h100.md").read_text() == (reports / "h100.md").read_text()
    page = (reports / "h100.html").read_text()
    assert [name for name in named if name not in page] == []
    for name in ("h100.html", "h100.md", "h100.png"):
        assert f"](docs/reports/{name})" in README


def test_what_is_committed_names_no_folder_of_the_machine_it_was_made_on():
    folder = ROOT / "docs"
    committed = [*folder.rglob("*.json"), *(folder / "reports").glob("*.*ml")]
    assert len(committed) > 20
    named = re.compile(rb'(?:user:|[" ])/(?:work|home|root|Users)/[^" ]*|user:/[^" ]*')
    found = {str(path.relative_to(ROOT)): named.findall(path.read_bytes()) for path in committed}
    assert {name: places for name, places in found.items() if places} == {}
