import threading

import numpy as np
import pytest

from rocmoe.references.judging import blocks
from rocmoe.references.judging.verdict import FINDINGS_KEPT, Judgement

WIDTH = 4


@pytest.fixture(autouse=True)
def three_rows_a_block(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 3 * WIDTH)


def judge(found, wanted):
    def judge_rows(rows):
        assert len(wanted[rows]) <= 3
        judgement = Judgement()
        error = np.abs(found[rows] - wanted[rows])
        judgement.bounded("close", error, 1.0, output="y", found=found[rows], wanted=wanted[rows])
        judgement.exact(
            "equal", found[rows] != wanted[rows], output="y", found=found[rows], wanted=wanted[rows]
        )
        return judgement.verdict()

    return blocks.judge_in_blocks(judge_rows, *wanted.shape)


def make(rows=11):
    return np.arange(float(rows * WIDTH)).reshape(rows, WIDTH)


def test_right_rows_pass_in_every_block():
    verdict = judge(make(), make())
    assert verdict.ok
    assert [check.name for check in verdict.checks] == ["close", "equal"]


def test_no_rows_at_all_are_judged_too():
    assert judge(make(0), make(0)).ok


def test_findings_name_rows_of_the_whole_the_worst_block_first():
    found = make()
    found[1, 2] += 2.0
    found[10, 3] += 50.0
    verdict = judge(found, make())
    assert verdict.failed == ("close", "equal")
    assert [finding.index for finding in verdict.findings if finding.check == "close"] == [
        (10, 3),
        (1, 2),
    ]
    assert verdict.error_ratio == 50.0


def test_exact_checks_count_over_all_blocks_and_findings_stay_few():
    verdict = judge(make() + 0.5, make())
    assert verdict.failed == ("equal",)
    assert verdict.checks[1].observed == 44.0
    assert len(verdict.findings) == FINDINGS_KEPT


def test_several_blocks_at_a_time_come_to_the_same_verdict(monkeypatch):
    monkeypatch.setattr(blocks, "_threads", 1)
    found = make() + np.random.default_rng(0).choice([0.0, 0.5, 3.0], size=make().shape)
    alone = judge(found, make())
    blocks.use_threads(4)
    assert judge(found, make()) == alone
    assert len(alone.findings) > FINDINGS_KEPT


def test_blocks_are_judged_side_by_side(monkeypatch):
    monkeypatch.setattr(blocks, "_threads", 2)
    meeting = threading.Barrier(2, timeout=10.0)

    def judge_rows(rows):
        meeting.wait()
        judgement = Judgement()
        judgement.exact("met", np.zeros(1), output="y", found="", wanted="")
        return judgement.verdict()

    assert blocks.judge_in_blocks(judge_rows, 6, WIDTH).ok
