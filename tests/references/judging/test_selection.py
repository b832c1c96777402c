import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references.judging.selection import find_certain, judge_best, keep_certain
from rocmoe.references.judging.verdict import Judgement

ROWS = np.array([True])


def list_accepted(keys, slack, topk, eligible):
    """Every set of eligible experts that the judge accepts, by trying all."""
    accepted = []
    for ids in itertools.combinations(np.flatnonzero(eligible), topk):
        judgement = Judgement()
        judge_best(judgement, np.array([ids]), keys, slack, ROWS, eligible[None])
        if judgement.verdict().ok:
            accepted.append(ids)
    return accepted


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([0.05, 0.3, 1.0]))
def test_certain_experts_are_in_every_choice_that_is_accepted(seed, topk, spread):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 4, (1, 7)) + 0.0
    slack = rng.uniform(1e-3, spread, (1, 7))
    eligible = rng.random(7) < 0.8
    topk = min(topk, int(eligible.sum()))
    accepted = list_accepted(keys, slack, topk, eligible)
    certain = find_certain(keys, slack, topk, eligible[None])
    assert accepted
    assert not certain[0, ~eligible].any()
    for ids in accepted:
        assert set(np.flatnonzero(certain)) <= set(ids)
    forms = {tuple(keep_certain(np.array([ids]), certain)[0]) for ids in accepted}
    assert len(forms) == 1


def test_experts_that_no_other_comes_near_are_certain():
    keys = np.array([[4.0, 3.0, 2.0, 2.0, 1.0]])
    slack = np.full((1, 5), 0.25)
    assert find_certain(keys, slack, 3).tolist() == [[True, True, False, False, False]]
    assert find_certain(keys, slack, 4).tolist() == [[True] * 4 + [False]]
    assert find_certain(keys, slack, 5).all()


def test_what_is_kept_of_a_choice_is_sorted_and_names_no_open_or_strange_id():
    certain = np.array([[True, True, False, False], [False, False, False, True]])
    ids = np.array([[1, 2, 0], [4, -1, 3]], dtype=np.int32)
    assert keep_certain(ids, certain).tolist() == [[-1, 0, 1], [-1, -1, 3]]
