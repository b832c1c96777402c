"""Delta debugging against failures that are known."""

from hypothesis import given
from hypothesis import strategies as st

from rocmoe.profiles.shrinking.ddmin import ddmin


def try_first(fails, tried=None):
    def find_first(candidates):
        for number, each in enumerate(candidates):
            if tried is not None:
                tried.append(tuple(each))
            if fails(each):
                return number
        return None

    return find_first


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_exactly_what_is_needed_is_kept(drawn):
    count, needed = drawn
    assert ddmin(range(count), try_first(lambda some: needed <= {*some})) == sorted(needed)


@given(st.lists(st.sets(st.integers(0, 19), min_size=1, max_size=4), min_size=1, max_size=4))
def test_nothing_that_is_kept_can_be_left_out_alone(enough):
    def fails(some):
        return any(each <= {*some} for each in enough)

    kept = ddmin(range(20), try_first(fails))
    assert fails(kept)
    assert not any(fails([other for other in kept if other != each]) for each in kept)


def test_a_failure_that_needs_nothing_is_found_first():
    tried = []
    assert ddmin(range(100), try_first(lambda some: True, tried)) == []
    assert tried == [()]


def test_one_of_many_takes_few_tries():
    tried = []
    assert ddmin(range(1024), try_first(lambda some: 700 in some, tried)) == [700]
    assert len(tried) < 40
    assert ddmin([], try_first(lambda some: True)) == []
