"""A run on a change's page at GitHub: which errors, beside which file, and the summary."""

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from rocmoe.profiles.artifact import Artifact, upgrade
from rocmoe.profiles.github import ANNOTATIONS
from rocmoe.profiles.run_annotations import annotate_run, render_summary
from rocmoe.references.judging.verdict import Finding

FILE = Path(__file__).parents[1] / "artifacts/v4.json"
PASSED = replace(
    msgspec.convert(upgrade(json.loads(FILE.read_text()), FILE.name), Artifact), complete=True
)
RIGHT = next(result for result in PASSED.results if result.status == "pass")
FOUND = Finding("weights", "topk_weights", (3, 1), "0.5", "0.25, 50% | <b>@all</b>", 2)
WRONG = replace(RIGHT, status="fail", reason="failed weights", findings=[FOUND])
MINE = replace(WRONG, backend="user", variant="my,kernels/a.py:topk")


def run(*results, backends=(), command="validate"):
    request = replace(PASSED.request, backends=list(backends), command=command)
    return replace(PASSED, request=request, results=list(results))


def test_what_passed_has_no_annotation():
    assert annotate_run(run(RIGHT)) == []


def test_a_wrong_result_is_an_error_with_its_reason_and_finding():
    (line,) = annotate_run(run(RIGHT, WRONG))
    assert line.startswith(f"::error title=rocmoe validate%3A fail::{WRONG.case.id}@")
    assert "%0Afailed weights%0Aweights: topk_weights[3, 1] is 0.5" in line
    assert "50%25" in line
    assert "\n" not in line


def test_a_wrong_function_of_the_user_is_told_beside_its_file():
    (line,) = annotate_run(run(MINE))
    assert line.startswith("::error file=my%2Ckernels/a.py,title=rocmoe validate%3A fail::")


@pytest.mark.parametrize("status", ["error", "crash", "timeout"])
def test_whatever_makes_the_exit_code_1_is_an_error(status):
    (line,) = annotate_run(run(replace(RIGHT, status=status, reason="signal 11")))
    assert f"{status}::" in line
    assert "signal 11" in line


def test_excesses_are_errors():
    (line,) = annotate_run(run(RIGHT), ["instructions_per_token is 67, budget 66"])
    assert line == (
        "::error title=rocmoe validate%3A over budget::instructions_per_token is 67, budget 66"
    )


def test_a_run_of_nothing_is_an_error_with_the_reasons():
    absent = replace(RIGHT, status="unavailable", reason="torch sees no GPU here")
    (line,) = annotate_run(run(absent, absent))
    assert line.endswith("inconclusive::nothing ran: torch sees no GPU here")
    absent = replace(absent, backend="triton", variant="default")
    (line,) = annotate_run(run(RIGHT, absent, backends=["triton", RIGHT.selector]))
    assert "inconclusive::nothing ran of triton: torch sees" in line


def test_what_github_would_not_show_is_counted():
    lines = annotate_run(run(*[WRONG] * 30))
    assert len(lines) == ANNOTATIONS + 1
    assert lines[-1].endswith(f"more::{30 - ANNOTATIONS} more of this level")


def test_the_summary_tells_the_outcome_and_calls_nobody(tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    artifact = run(RIGHT, MINE)
    annotate_run(artifact, ["over"], str(summary))
    assert summary.read_text() == f"before\n{render_summary(artifact, ['over'])}\n"
    told = render_summary(artifact, ["over"])
    assert told.startswith("**rocmoe validate** failed (exit 1): 1 of 2 results went wrong\n")
    assert "| `user:my,kernels/a.py:topk` |" in told
    assert "Over budget:\n\n- over" in told
    outside, fenced = told.partition("```text\n")[::2]
    assert "@" not in outside
    assert "@all" in fenced.partition("\n```")[0]
    assert "1 of 1 results" not in render_summary(run(RIGHT))
    assert "passed (exit 0): 0 of 1 results" in render_summary(run(RIGHT))


def test_a_finding_cannot_leave_its_fence():
    harm = replace(WRONG, findings=[dataclasses.replace(FOUND, found="```\n# not a title")])
    assert render_summary(run(harm)).count("```") == 2
