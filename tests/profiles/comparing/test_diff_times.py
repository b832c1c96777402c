"""Times against each other: what is found, what noise swallows, and how rarely it alarms."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rocmoe.profiles.artifact import Floor, Measurement, read_artifact
from rocmoe.profiles.comparing.diff_times import (
    ASSUMED_NOISE,
    Noise,
    find_obstacle,
    judge_times,
    learn_noise,
    match_measurements,
)
from rocmoe.profiles.measuring.statistics import MARGIN

RUN = read_artifact(Path(__file__).parents[2] / "artifacts/v4.json")
SWAPPED = {"SLOWER": "FASTER", "FASTER": "SLOWER", "SAME": "SAME", "AMBIGUOUS": "AMBIGUOUS"}
UNKNOWN = Noise({}, {})


def draw(rng, processes=5, center=20.0, between=0.002, within=0.003, samples=5):
    centers = center * (1.0 + between * rng.standard_normal(processes))
    return [list(each * (1.0 + within * rng.standard_normal(samples))) for each in centers]


def measure(samples_us, timer="graph", cache="warm", status="ok", **more):
    return Measurement(timer, cache, status, samples_us, [20] * len(samples_us), **more)


def make_result(*measurements):
    return replace(RUN.results[0], measurements=[*measurements])


def make_artifact(measurements):
    results = [make_result(each) for each in measurements]
    return replace(RUN, results=results)


def judge_all(pairs):
    """Verdicts for pairs of samples, the noise of which is learned from all of them."""
    base, new = ([measure(pair[side]) for pair in pairs] for side in (0, 1))
    noise = learn_noise([make_artifact(base), make_artifact(new)])
    return [judge_times(b, n, noise) for b, n in zip(base, new, strict=True)]


def test_three_percent_of_tight_samples_are_found():
    rng = np.random.default_rng(0)
    found = judge_all([(draw(rng), draw(rng, center=20.6)) for _ in range(40)])
    assert sum(each.word == "SLOWER" for each in found) >= 36
    assert all(each.margin == MARGIN for each in found)
    back = judge_all([(draw(rng, center=20.6), draw(rng)) for _ in range(20)])
    assert sum(each.word == "FASTER" for each in back) >= 18


def test_nothing_new_alarms_in_one_of_a_hundred_at_most():
    rng = np.random.default_rng(1)
    words = []
    for processes, between in itertools.product((1, 2, 3, 5), (0.005, 0.02, 0.05)):
        # One process shows no noise; a few measurements of several do.
        counts = [3] * 5 + [processes] * 20
        pairs = [[draw(rng, count, between=between) for _ in range(2)] for count in counts]
        words += [each.word for each in judge_all(pairs)]
    assert len(words) == 300
    assert sum(word in ("SLOWER", "FASTER") for word in words) <= 3


def test_processes_that_stray_swallow_three_percent():
    rng = np.random.default_rng(2)
    pairs = [(draw(rng, between=0.04), draw(rng, center=20.6, between=0.04)) for _ in range(20)]
    for each in judge_all(pairs):
        assert each.word == "AMBIGUOUS"
        assert each.margin > 0.03
        assert "processes stray by" in each.note


def test_within_noise_that_is_wide_nothing_is_called_the_same():
    rng = np.random.default_rng(3)
    wide = [[us] * 3 for us in (19.4, 19.7, 20.0, 20.3, 20.6)]
    noisy = [(draw(rng, between=0.05), draw(rng, between=0.05)) for _ in range(10)]
    (*_, found) = judge_all([*noisy, ([[20.0] * 3] * 5, wide)])
    assert found.margin > 0.05
    assert 1.0 + MARGIN < found.ratio.high < 1.0 + found.margin
    assert found.word == "AMBIGUOUS"


def test_a_single_process_is_not_taken_for_exact():
    base = measure([[20.0, 20.01, 19.99] * 5])
    words = {}
    for percent in (5, 30):
        new = measure([[us * (1.0 + percent / 100.0) for us in base.samples_us[0]]])
        words[percent] = judge_times(base, new, UNKNOWN)
    assert (words[5].word, words[30].word) == ("AMBIGUOUS", "SLOWER")
    assert words[5].note == "a single process; 3% of noise assumed"
    assert words[5].ratio.low < 1.05 / (1.0 + ASSUMED_NOISE["graph"])
    # Others, of several processes, tell how far one strays.
    rng = np.random.default_rng(4)
    shown = learn_noise([make_artifact([measure(draw(rng)) for _ in range(10)])])
    five = measure([[us * 1.05 for us in base.samples_us[0]]])
    assert judge_times(base, five, shown).word == "SLOWER"


def test_where_all_have_one_process_empty_launches_show_the_noise():
    rng = np.random.default_rng(5)
    empty = [1.0 + 0.1 * rng.standard_normal() for _ in range(20)]
    taken = [measure([[20.0]], floors={"empty": Floor([[us]], [20])}) for us in empty]
    noise = learn_noise([make_artifact(taken)])
    strays, shown = noise.estimate(measure([[20.0]]), measure([[24.0]]))
    assert not shown
    assert 0.12 < strays < 0.25
    few = learn_noise([make_artifact(taken[:4])])
    assert few.estimate(measure([[20.0]]), measure([[24.0]])) == (0.03, False)


def test_calls_of_other_lengths_timers_and_caches_lend_no_noise():
    rng = np.random.default_rng(6)
    short = [measure(draw(rng, center=2.0, between=0.1)) for _ in range(20)]
    wall = [measure(draw(rng, between=0.3), "wall") for _ in range(20)]
    cold = [measure(draw(rng, between=0.3), cache="cold") for _ in range(20)]
    mine = [measure(draw(rng, center=center)) for center in (20.0, 20.0, 20.0, 40.0)]
    noise = learn_noise([make_artifact([*short, *wall, *cold, *mine])])
    assert noise.estimate(mine[0], mine[1])[0] < 0.01
    assert noise.estimate(short[0], short[1])[0] > 0.05
    assert noise.estimate(measure([[20.0]], "wall"), measure([[20.0]], "wall"))[0] > 0.2
    # What nothing alike is known of has the noise of all that its timer timed.
    assert noise.estimate(measure([[4000.0]]), measure([[4000.0]]))[0] > 0.05


def test_two_processes_stray_by_their_whole_distance():
    noise, shown = UNKNOWN.estimate(measure([[20.0]]), measure([[20.0]]))
    assert (noise, shown) == (0.03, False)
    seen = learn_noise([make_artifact([measure([[19.0], [21.0]])])])
    assert seen.estimate(measure([[20.0]]), measure([[20.0]])) == (pytest.approx(0.1), True)


def floors(rng, stream=10.0, empty=1.0):
    return {
        name: Floor(draw(rng, center=center), [20] * 5)
        for name, center in (("stream", stream), ("empty", empty))
    }


@pytest.mark.parametrize(
    ("kernel", "stream", "empty", "word"),
    [
        (1.05, 1.05, 1.0, "AMBIGUOUS"),
        (1.05, 1.0, 1.05, "AMBIGUOUS"),
        (1.05, 1.0, 1.0, "SLOWER"),
        (1.05, 1.01, 1.0, "SLOWER"),
        (1.20, 1.05, 1.05, "SLOWER"),
        (1.05, 0.95, 1.0, "SLOWER"),
        (0.95, 0.95, 1.0, "AMBIGUOUS"),
        (0.95, 1.05, 1.0, "FASTER"),
    ],
)
def test_a_floor_that_moved_along_says_that_the_machine_changed(kernel, stream, empty, word):
    rng = np.random.default_rng(7)
    base = measure(draw(rng), floors=floors(rng))
    new = measure(draw(rng, center=20.0 * kernel), floors=floors(rng, 10.0 * stream, 1.0 * empty))
    found = judge_times(base, new, UNKNOWN)
    assert found.word == word
    assert ("the machine changed" in found.note) == (word == "AMBIGUOUS")


@pytest.mark.parametrize(
    ("measurement", "told"),
    [
        (measure([[1.0]], status="throttled", reason="the clock fell"), "throttled (the clock"),
        (measure([[1.0]], status="invalid"), "invalid in new"),
        (measure([], status="refused", reason="no graph"), "refused (no graph) in new"),
        (measure([[1.0, 0.0]]), "one of no time, in new"),
        (None, "not measured in new"),
    ],
)
def test_what_does_not_count_is_not_compared(measurement, told):
    good = measure([[1.0]], status="unverified")
    assert find_obstacle(good, good) is None
    assert told in find_obstacle(good, measurement)
    assert find_obstacle(measurement, good).endswith("in base")


def test_measurements_match_by_timer_cache_and_stage():
    whole, stage = measure([[1.0]]), measure([[2.0]], stage="top_p")
    cold = measure([[3.0]], cache="cold")
    matched = match_measurements(make_result(whole, stage), make_result(stage, cold))
    assert matched == [
        (("graph", "warm", ""), whole, None),
        (("graph", "warm", "top_p"), stage, stage),
        (("graph", "cold", ""), None, cold),
    ]


GROUPS = st.lists(
    st.lists(st.floats(0.5, 100.0), min_size=1, max_size=5), min_size=1, max_size=3
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(GROUPS, GROUPS, st.floats(0.5, 2.0))
def test_the_same_samples_are_the_same_and_swapping_sides_swaps_the_word(base, new, scale):
    first, second = measure(base), measure([[us * scale for us in group] for group in new])
    noise = learn_noise([make_artifact([first]), make_artifact([second])])
    assert judge_times(first, first, noise).word == "SAME"
    there, back = judge_times(first, second, noise), judge_times(second, first, noise)
    assert back.ratio.value == pytest.approx(1.0 / there.ratio.value)
    assert there.margin == pytest.approx(back.margin)
    assert "AMBIGUOUS" in (there.word, back.word) or back.word == SWAPPED[there.word]
