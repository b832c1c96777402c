"""`rocmoe diff` through the real command: what it prints, writes and exits with."""

import copy
import json
import os
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import msgspec
import pytest

from rocmoe.profiles.comparing.diff import Diff

RUN = json.loads((Path(__file__).parents[1] / "artifacts/v4.json").read_text())
PLAIN = {name: text for name, text in os.environ.items() if not name.startswith("GITHUB_")}
#: The fields of the JSON that others may read; what is there stays, what is new is a new version.
FIELDS = {
    "format", "version", "base", "new", "fail_on", "exit", "differences", "changes",
    "inconclusive", "gaps",
}  # fmt: skip
CHANGE = {
    "dimension", "verdict", "case", "backend", "device", "regression", "what", "base", "new",
    "ratio", "low", "high", "margin", "note", "others",
}  # fmt: skip


def harm(run, factor=1.0, status="pass"):
    """The run with other times and another status of all that passed of torch."""
    run = copy.deepcopy(run)
    for result in run["results"]:
        if result["backend"] == "torch" and result["status"] == "pass":
            result["status"] = status
            for taken in result["measurements"] or ():
                taken["samples_us"] = [[us * factor for us in each] for each in taken["samples_us"]]
    return run


@pytest.fixture
def diff(rocmoe, tmp_path):
    (tmp_path / "base.json").write_text(json.dumps(RUN))

    def run(new, *arguments, **variables):
        (tmp_path / "new.json").write_text(json.dumps(new))
        return rocmoe("diff", "base.json", "new.json", *arguments, env={**PLAIN, **variables})

    return run


def test_a_slower_run_fails_in_every_form(diff, tmp_path):
    done = diff(harm(RUN, 50.0), "--junit", "diff.xml", "--format", "json")
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    jsonschema.validate(told, msgspec.json.schema(Diff))
    assert told.keys() == FIELDS
    assert (told["format"], told["version"], told["exit"]) == ("rocmoe.diff", 1, 3)
    assert all(change.keys() == CHANGE for change in told["changes"])
    slower = [each for each in told["changes"] if each["verdict"] == "SLOWER"]
    assert slower
    assert all(each["ratio"] == pytest.approx(50.0) and each["regression"] for each in slower)
    suite = ElementTree.parse(tmp_path / "diff.xml").getroot()
    assert suite.get("failures") == str(len(slower))
    done = diff(harm(RUN, 50.0), "--fail-on", "correctness")
    assert done.returncode == 0
    assert f"passed (exit 0): {len(slower)} regressions" in done.stdout


def test_under_github_it_annotates_on_stderr_and_writes_the_summary(diff, tmp_path):
    summary = tmp_path / "summary.md"
    wrong = harm(RUN, status="fail")
    done = diff(wrong, "--format", "markdown", GITHUB_ACTIONS="true",
                GITHUB_STEP_SUMMARY=str(summary))  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.startswith("**rocmoe diff** failed (exit 1): ")
    assert "::error title=rocmoe diff%3A BROKEN::topk_softmax" in done.stderr
    assert summary.read_text() == done.stdout
    quiet = diff(wrong, "--no-annotate", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert (quiet.stderr, summary.read_text()) == ("", done.stdout)


def test_what_differs_is_refused_until_it_is_allowed(diff):
    other = harm(RUN, 50.0)
    other["environment"]["cpu_model"] = "another"
    done = diff(other)
    assert done.returncode == 4
    assert "new another: --allow host compares slower" in done.stdout
    assert "SLOWER" not in done.stdout
    assert diff(other, "--allow", "host").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-on", "correct"], "unknown word for --fail-on 'correct'; nearest: correctness"),
        (["--allow", "versions,gpus"], "'gpus'; nearest: gpu"),
        (["--junit", "base.json"], "--junit base.json is one of the artifacts"),
        (["--count-tolerance", "-1"], "--count-tolerance"),
    ],
)
def test_bad_request(diff, tmp_path, arguments, said):
    done = diff(RUN, *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert json.loads((tmp_path / "base.json").read_text()) == RUN


def test_an_address_of_nothing_is_one_line(rocmoe, tmp_path):
    (tmp_path / "base.json").write_text(json.dumps(RUN))
    case = RUN["results"][0]["case"]["id"]
    done = rocmoe("diff", f"base.json#{case}@trch", "base.json")
    assert done.returncode == 2
    assert done.stderr.endswith(f"nearest: {case}@torch\n")
    done = rocmoe("diff", f"base.json#{case}@torch", "base.json", "--all", env=PLAIN)
    assert done.returncode == 0
    assert done.stdout.count(f"{case}@torch") == done.stdout.count("SAME") > 1
