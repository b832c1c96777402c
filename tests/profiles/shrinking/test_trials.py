"""Trials: the first that fails in the same way, what is remembered, and when time is up."""

import pytest

from rocmoe.ops.core.case import parse_case
from rocmoe.profiles.artifact import CheckRecord
from rocmoe.profiles.job import Job, Reply
from rocmoe.profiles.shrinking.failure import find_failure
from rocmoe.profiles.shrinking.trials import Trials

WRONG = Reply("fail", "failed", checks=[CheckRecord("weights", False, 1.0, 0.0)])
CASES = [
    parse_case(f"topk_softmax:T={n},E=8,k=2:fp32:renormalize=true:normal:contiguous")
    for n in range(1, 7)
]


class Answering:
    """A pool of pretence that answers in its own order."""

    def __init__(self, replies, order=lambda number: number):
        self.replies, self.order, self.asked = replies, order, []

    def run(self, jobs, on_result, wanted):
        for index in sorted(range(len(jobs)), key=self.order):
            if wanted(index):
                self.asked.append(parse_case(jobs[index].case_id).sizes["T"])
                on_result(index, self.replies.get(self.asked[-1], Reply("pass")))


def make_trials(replies, clock=lambda: 0.0, **more):
    pool = Answering(replies, **more)
    trials = Trials(pool, lambda case: Job(case.id, "torch", "cpu", False),
                    find_failure(WRONG), 10.0, clock)  # fmt: skip
    return trials, pool


@pytest.mark.parametrize("order", [lambda number: number, lambda number: -number])
def test_the_first_that_fails_counts_whichever_is_answered_first(order):
    trials, pool = make_trials({3: WRONG, 5: WRONG}, order=order)
    assert trials.find_first(CASES) == 2
    assert trials.replies[CASES[2].id] is WRONG
    if order(1) == 1:
        assert pool.asked == [1, 2, 3], "the rest need not be tried"


def test_another_failure_does_not_count():
    other = Reply("fail", "failed", checks=[CheckRecord("finite", False, 1.0, 0.0)])
    trials, _ = make_trials({1: other, 2: Reply("crash", "died"), 3: Reply("refused", "no")})
    assert trials.find_first(CASES) is None


def test_nothing_is_tried_twice():
    trials, pool = make_trials({4: WRONG})
    assert trials.find_first(CASES[:4]) == 3
    assert trials.find_first(CASES) == 3
    assert trials.find_first(CASES[:2]) is None
    assert pool.asked == [1, 2, 3, 4]
    assert trials.ran == 4


def test_what_fails_and_is_not_valid_is_passed_over():
    trials, pool = make_trials({2: WRONG, 4: WRONG})
    assert trials.find_first(CASES, lambda case: case.sizes["T"] > 3) == 3
    assert trials.find_first(CASES) == 3, "remembered as not valid"
    assert pool.asked == [1, 2, 3, 4]


def test_when_time_is_up_nothing_more_is_tried_and_that_is_told():
    ticks = iter([1.0, 2.0, 11.0])
    trials, pool = make_trials({4: WRONG}, clock=lambda: next(ticks, 11.0))
    assert trials.find_first(CASES) is None
    assert pool.asked == [1, 2]
    assert trials.cut
    done, _ = make_trials({})
    assert done.find_first(CASES) is None
    assert not done.cut
