from xml.etree import ElementTree

import msgspec
import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.harm import Harm
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import Artifact, CheckRecord, Request, Result, record_case
from rocmoe.profiles.environment import collect_environment
from rocmoe.profiles.job import Job, Reply
from rocmoe.profiles.junit import write_junit
from rocmoe.profiles.outcome import Exit, judge_run, list_gaps
from rocmoe.profiles.report import summarize, tell_failures
from rocmoe.profiles.selftest import Trial, judge_trials
from rocmoe.references.judging.verdict import Finding

WORD = "topk_softmax:T={},E=8,k=2:bf16:renormalize=true:normal:contiguous"
ENVIRONMENT = msgspec.structs.replace(collect_environment(), gpus=[])


def make_result(status="pass", backend="torch", variant="default", tokens=4, **more):
    case = record_case(load_op("topk_softmax"), parse_case(WORD.format(tokens)))
    more.setdefault("checks", [CheckRecord("weights", status == "pass", 0.25, 1.0)])
    return Result(case, backend, variant, "cpu", status, **more)


def make_artifact(*results, backends=(), complete=True):
    request = Request("validate", ["topk_softmax"], list(backends), None, "quick", [], 0, False)
    created = "2026-01-01T00:00:00+00:00"
    return Artifact("rocmoe.artifact", 1, created, request, ENVIRONMENT, complete, list(results))


@pytest.mark.parametrize(
    ("statuses", "backends", "code"),
    [
        (["pass", "pass"], [], Exit.PASSED),
        (["pass", "refused"], [], Exit.PASSED),
        (["pass", "fail"], [], Exit.FAILED),
        (["pass", "error"], [], Exit.FAILED),
        (["pass", "crash"], [], Exit.FAILED),
        (["pass", "timeout"], [], Exit.FAILED),
        (["refused", "unavailable"], [], Exit.INCONCLUSIVE),
        ([], [], Exit.INCONCLUSIVE),
        (["pass"], ["torch", "harm:x"], Exit.INCONCLUSIVE),
        (["refused"], ["torch"], Exit.INCONCLUSIVE),
        (["fail"], ["torch", "harm:x"], Exit.FAILED),
    ],
)
def test_exit_code(statuses, backends, code):
    results = [make_result(status, tokens=n) for n, status in enumerate(statuses)]
    assert judge_run(make_artifact(*results, backends=backends)) == code


def test_a_green_run_says_what_it_did_not_test():
    unchecked = CheckRecord("no_write_outside", None, 0.0, 0.0, "not checked: functional")
    artifact = make_artifact(
        make_result(checks=[unchecked]),
        make_result("refused", reason="k is too large", tokens=5),
        make_result("unavailable", backend="user", variant="k.py:f", reason="no GPU"),
        make_result(tokens=0),
        complete=False,
    )
    assert list_gaps(artifact) == [
        "the run was interrupted; the cases after that were not run",
        "torch: 1 case(s) refused: k is too large",
        "user:k.py:f: 1 case(s) unavailable: no GPU",
        "1 degenerate result(s): a trivial answer passes them",
        "torch: no_write_outside not checked: functional (1 case(s))",
        "no GPU: everything ran on cpu",
    ]


def test_an_op_that_nothing_runs_is_named():
    assert list_gaps(make_artifact()) == [
        "no backend that is installed runs topk_softmax on this machine"
    ]
    assert not [line for line in list_gaps(make_artifact(make_result())) if "no backend" in line]


def test_the_table_counts_and_shows_the_worst_error():
    far = [CheckRecord("weights", False, "inf", 1.0)]
    near = [CheckRecord("ids", True, 0.0, 0.0), CheckRecord("weights", True, 0.5, 1.0)]
    artifact = make_artifact(
        make_result(tokens=1),
        make_result(tokens=2, checks=near),
        make_result("fail", backend="user", variant="k.py:f", checks=far),
        make_result("crash", backend="user", variant="k.py:f", tokens=2, checks=[]),
    )
    assert summarize(artifact) == [
        ["topk_softmax", "torch", "cpu", "2", "2", "", "0.5", "PASS"],
        ["topk_softmax", "user:k.py:f", "cpu", "2", "0", "1 fail, 1 crash", "inf", "FAIL"],
    ]


def test_failures_are_told_with_their_place():
    finding = Finding("weights", "topk_weights", (3, 1), "0.5", "0.25")
    artifact = make_artifact(make_result("fail", reason="failed weights", findings=[finding]))
    assert tell_failures(artifact) == [
        f"FAIL {WORD.format(4)}@torch",
        "    failed weights",
        "    weights: topk_weights[3, 1] is 0.5, wanted 0.25 (call 1)",
    ]


def test_junit_agrees_with_the_artifact_and_escapes_everything(tmp_path):
    hostile = 'k<b>&"\x00\x1b]]>.py:f'
    artifact = make_artifact(
        make_result(),
        make_result("fail", backend="user", variant=hostile, reason=hostile),
        make_result("crash", reason="died", tokens=2),
        make_result("refused", reason="not for it", tokens=3),
    )
    write_junit(artifact, tmp_path / "run.xml")
    suite = ElementTree.parse(tmp_path / "run.xml").getroot()
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    outcomes = [[child.tag for child in test] for test in suite]
    assert outcomes == [[], ["failure"], ["error"], ["skipped"]]
    assert suite[1][0].get("message") == 'k<b>&"??]]>.py:f'


def make_trial(*replies, right=False, strict_only=False, strict=False):
    harm = Harm("h", "words", print, right=right, strict_only=strict_only)
    trial = Trial("topk_softmax", harm, strict)
    for number, reply in enumerate(replies):
        trial.take(Job(f"case{number}", "harm:h", "cpu", strict), reply)
    return trial


FAIL = Reply("fail", "failed weights", checks=[CheckRecord("weights", False, 2.0, 1.0)])
PASS, CRASH, REFUSED = Reply("pass"), Reply("crash", "died"), Reply("refused", "not for it")


@pytest.mark.parametrize(
    ("trial", "ok", "outcome"),
    [
        (make_trial(PASS, FAIL), True, "ok"),
        (make_trial(PASS, CRASH), True, "ok"),
        (make_trial(PASS, PASS), False, "ESCAPED"),
        (make_trial(), False, "ESCAPED"),
        (make_trial(PASS, REFUSED, FAIL), False, "NOT RUN: refused: not for it"),
        (make_trial(PASS, PASS, right=True), True, "ok"),
        (make_trial(PASS, FAIL, right=True), False, "REFUSED"),
        (make_trial(REFUSED, right=True), False, "NOT RUN: refused: not for it"),
        (make_trial(PASS, strict_only=True), True, "ok"),
        (make_trial(PASS, strict_only=True, strict=True), False, "ESCAPED"),
        (make_trial(FAIL, strict_only=True), False, "REFUSED"),
    ],
)
def test_a_trial_is_ok_only_when_the_judges_did_as_they_must(trial, ok, outcome):
    assert trial.ok == ok
    assert trial.describe()[4] == outcome


def test_a_trial_names_what_caught_the_kernel():
    assert make_trial(PASS, FAIL).describe()[5:] == ["weights", "case1"]


def test_a_selftest_that_ran_nothing_is_inconclusive():
    assert judge_trials([make_trial(REFUSED)]) == Exit.INCONCLUSIVE
    assert judge_trials([]) == Exit.INCONCLUSIVE
    assert judge_trials([make_trial(FAIL), make_trial(PASS)]) == Exit.FAILED
    assert judge_trials([make_trial(FAIL), make_trial(PASS, right=True)]) == Exit.PASSED
