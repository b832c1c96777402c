"""Which failures are the same."""

import pytest

from rocmoe.profiles.artifact import CheckRecord
from rocmoe.profiles.job import Reply
from rocmoe.profiles.shrinking.failure import find_failure


def fail(*checks):
    records = [CheckRecord(name, ok, 1.0, 0.0) for name, ok in checks]
    return find_failure(Reply("fail", "failed", checks=records))


def test_one_of_the_same_checks_is_enough():
    base = fail(("weights", False), ("ids_unique", False), ("finite", True), ("outside", None))
    assert base.describe() == "fail (ids_unique, weights)"
    assert base.is_same(fail(("weights", False), ("finite", False)))
    assert not base.is_same(fail(("finite", False), ("weights", True)))
    assert not base.is_same(None)
    assert not base.is_same(find_failure(Reply("crash", "died")))


@pytest.mark.parametrize(
    ("status", "one", "other", "same"),
    [
        ("error", "IndexError: index 7 of 7 (a.py:3)", "IndexError: index 1 of 1 (a.py:3)", True),
        ("error", "IndexError: index 7 of 7 (a.py:3)", "ValueError: index 1 (a.py:3)", False),
        ("crash", "the process died of SIGABRT before; it printed last: a",
         "the process died of SIGABRT before; it printed last: b", True),
        ("crash", "the process died of SIGABRT", "the process died of SIGSEGV", False),
        ("timeout", "no answer within 120 s", "no answer within 5 s; it printed last: x", True),
    ],
)  # fmt: skip
def test_words_are_compared_without_numbers(status, one, other, same):
    first, second = find_failure(Reply(status, one)), find_failure(Reply(status, other))
    assert first.is_same(second) is same


@pytest.mark.parametrize("status", ["pass", "refused", "unavailable"])
def test_what_did_not_fail_has_none(status):
    assert find_failure(Reply(status)) is None
