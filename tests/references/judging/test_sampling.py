import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.references.judging import sampling
from rocmoe.references.judging.verdict import Judgement


def softmax_of_normal(seed, vocabulary, scale=2.0):
    logits = scale * np.random.default_rng(seed).standard_normal(vocabulary)
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def bin_shares(probabilities, bins=sampling.BINS):
    labels = sampling.bin_by_rank(probabilities, bins)
    return np.bincount(labels, probabilities / probabilities.sum())


def draw(seed, probabilities, n):
    share = probabilities / probabilities.sum()
    return np.random.default_rng(seed).choice(len(share), n, p=share)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 3000), st.floats(0.0, 12.0))
def test_bins_hold_about_equal_mass_by_rank_and_one_heavy_token_at_most(seed, vocabulary, scale):
    probabilities = softmax_of_normal(seed, vocabulary, scale)
    probabilities[vocabulary // 2 :: 3] = 0.0
    labels = sampling.bin_by_rank(probabilities)
    impossible = probabilities == 0.0
    share = np.bincount(labels[~impossible], probabilities[~impossible] / probabilities.sum())
    assert len(share) <= sampling.BINS
    assert share.min() >= 1 / 3 / sampling.BINS
    heavy = np.bincount(labels, probabilities / probabilities.sum() >= 1.0 / sampling.BINS)
    assert heavy.max() <= 1
    assert share[heavy[: len(share)] == 0].max(initial=0.0) < 2.5 / sampling.BINS
    ranked = np.argsort(-probabilities / probabilities.sum(), kind="stable")
    assert (np.diff(labels[ranked]) >= 0).all()
    if impossible.any():
        assert set(labels[impossible]) == {len(share)}


@pytest.mark.parametrize("n", [1000, 40_000])
def test_g_test_is_scipys_with_williams_correction(n):
    share = bin_shares(softmax_of_normal(1, 300))
    counts = np.random.default_rng(2).multinomial(n, share)
    statistic = scipy.stats.power_divergence(counts, n * share, lambda_="log-likelihood").statistic
    correction = 1 + ((1 / share).sum() - 1) / (6 * n * (len(share) - 1))
    wanted = scipy.stats.chi2.sf(statistic / correction, len(share) - 1)
    assert sampling.g_test(counts, share) == pytest.approx(wanted, rel=1e-9)


def test_a_draw_of_something_impossible_has_no_probability():
    share = np.array([0.5, 0.5, 0.0])
    assert sampling.g_test(np.array([500, 500, 1]), share) == 0.0
    assert sampling.g_test(np.array([500, 500, 0]), share) > 0.99


@pytest.mark.parametrize(("vocabulary", "n"), [(128, 4096), (32, 1000), (32_000, 20_000)])
def test_p_values_of_a_right_sampler_are_uniform(vocabulary, n):
    share = bin_shares(softmax_of_normal(3, vocabulary))
    counts = np.random.default_rng(4).multinomial(n, share, 2000)
    p_values = np.array([sampling.g_test(count, share) for count in counts])
    # Chances that a right test falls outside: 1e-4 each.
    assert 6 <= (p_values < 1e-2).sum() <= 38
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_a_departure_of_the_declared_size_is_detected_with_the_declared_power():
    share, n = np.full(32, 1 / 32), 20_000
    effect = sampling.minimum_detectable_effect(n)
    departure = np.where(np.arange(32) % 2, 2.0, -2.0) * effect / 32  # the hardest shape
    assert np.abs(departure).sum() / 2 == pytest.approx(effect)
    counts = np.random.default_rng(5).multinomial(n, share + departure, 1000)
    caught = [sampling.g_test(count, share) < sampling.ALPHA for count in counts]
    # Of 1000, 990 are expected; its standard deviation is 3.1.
    assert 970 <= sum(caught) < 1000


def test_effects_shrink_with_the_root_of_the_draws_and_are_never_above_one():
    effects = [sampling.minimum_detectable_effect(n) for n in (10_000, 1_000_000)]
    assert effects[0] == pytest.approx(10 * effects[1])
    assert sampling.minimum_detectable_effect(10) == 1.0
    assert sampling.minimum_detectable_effect(1000, bins=1) == 1.0


def test_half_a_million_draws_tell_a_temperature_of_102_and_a_few_thousand_do_not():
    probabilities = softmax_of_normal(6, 32_000, 1.0)
    fit = sampling.measure_fit(draw(7, sampling.warm(probabilities, 1.02), 500_000), probabilities)
    assert 1.0 < fit.temperature < 1.02
    assert fit.p_value < sampling.ALPHA
    few = sampling.measure_fit(draw(8, sampling.warm(probabilities, 1.02), 4096), probabilities)
    assert few.temperature > 1.02
    assert few.p_value > sampling.ALPHA
    right = sampling.measure_fit(draw(9, probabilities, 500_000), probabilities)
    assert right.p_value > sampling.STAGE_ONE


@pytest.mark.parametrize("n", [4096, 100_000])
def test_the_declared_temperature_is_detected_with_the_declared_power(n):
    probabilities = softmax_of_normal(10, 128)
    temperature = sampling.detectable_temperature(probabilities, n)
    labels = sampling.bin_by_rank(probabilities)
    share, warmed = (
        np.bincount(labels, mass)
        for mass in (probabilities, sampling.warm(probabilities, temperature))
    )
    counts = np.random.default_rng(11).multinomial(n, warmed / warmed.sum(), 500)
    caught = [sampling.g_test(count, share) < sampling.ALPHA for count in counts]
    assert sum(caught) >= 475


def test_one_hot_and_uniform_targets_have_no_temperature_to_detect():
    assert sampling.detectable_temperature(np.array([0.0, 1.0, 0.0]), 10**6) == np.inf
    assert sampling.detectable_temperature(np.full(64, 1 / 64), 10**6) == np.inf


def test_a_run_fails_a_right_sampler_less_than_once_in_a_million():
    looks = sampling.DRAWS * sampling.POSITIONS * sampling.STAGE_ONE
    once = looks * sampling.POSITIONS * sampling.ALPHA
    assert sampling.false_alarm_rate(1) == pytest.approx(once) == pytest.approx(8e-9)
    assert sampling.false_alarm_rate(100) <= 1e-6 < sampling.false_alarm_rate(200)


def judge_counts(counts, probabilities):
    judgement = Judgement()
    tokens = np.repeat(np.arange(len(counts)), counts)
    fit = sampling.measure_fit(tokens, probabilities)
    sampling.judge_fits(judgement, "lossless", "bonus_token", {"first token": fit})
    return judgement.verdict()


def test_a_good_fit_passes_and_says_what_it_could_have_found():
    verdict = judge_counts(np.array([1000, 1000]), np.array([0.5, 0.5]))
    assert verdict.ok
    assert verdict.undecided is None
    detail = verdict.checks[0].detail
    for words in ("n=2000", "p=1", "alpha=1e-06", "power 0.99", "total variation", "temperature"):
        assert words in detail


def test_a_doubtful_fit_asks_for_a_second_look_and_passes_meanwhile():
    verdict = judge_counts(np.array([1080, 920]), np.array([0.5, 0.5]))
    assert verdict.ok
    assert verdict.undecided == "lossless"
    assert 0.5 < verdict.checks[0].observed < 1.0


def test_a_bad_fit_fails_with_the_token_and_its_count():
    verdict = judge_counts(np.array([1200, 300, 500]), np.array([0.5, 0.25, 0.25]))
    assert verdict.failed == ("lossless",)
    assert verdict.checks[0].observed > 1.0
    finding = verdict.findings[0]
    assert finding.found.startswith("first token, p=")
    assert "token 0 drawn 1200 times of 2000" in finding.found or "token 1" in finding.found
    assert "about" in finding.wanted


def test_the_limit_is_alpha_itself():
    judgement = Judgement()
    fit = sampling.measure_fit(np.arange(2000) % 2, np.array([0.5, 0.5]))
    for p_value, ok in ((1.001 * sampling.ALPHA, True), (0.999 * sampling.ALPHA, False)):
        made = sampling.Fit(**{**fit.__dict__, "p_value": p_value})
        sampling.judge_fits(judgement, "lossless", "predicts", {"first token": made})
        assert judgement.checks[-1].ok is ok
