"""Whether sampled tokens follow a distribution, with a declared rate of false alarms.

A G-test over about 32 bins of equal mass by probability rank, in which every token of at least
that mass is its own bin.  Over a whole vocabulary of 32000 a chi-square test or a total variation
distance does not see a temperature of 1.02 in half a million draws; binned by rank it does.

The decision takes two looks.  A p-value below STAGE_ONE asks for ten times as many fresh rows, and
only these decide: the check fails iff their p-value is below ALPHA.  `false_alarm_rate` does the
arithmetic.

SciPy is imported by what needs it: its statistics take half a second, which everything that only
names the ops would spend too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .elementwise import Array
from .verdict import Judgement

#: Bins of a test: enough to see where in the ranks the mass is missing, few enough for power.
BINS = 32

#: Fewest draws that are tested.  No bin holds less than a third of 1 / 32 (see `bin_by_rank`), so
#: that each expects 10 or more; simulated, the p-values of the corrected G statistic are then good
#: to 6 % at 1e-3 and, as far as a million runs tell, at 1e-5.
SMALLEST_SAMPLE = 1000

STAGE_ONE = 1e-3
ALPHA = 1e-6
POWER = 0.99

#: Rows of the second look for each of the first.
SECOND_LOOK_ROWS = 10

#: Judgements of a case that can ask for a second look: it is drawn twice.
DRAWS = 2

#: Emitted positions that a judgement tests.
POSITIONS = 2

#: Smallest p-value that is written down: its logarithm stays finite.
_SMALLEST_P = 1e-300

#: No temperature above this is looked for.
_HIGHEST_TEMPERATURE = 64.0


@dataclass(frozen=True)
class Fit:
    """How draws fit a distribution.

    p_value: of the G-test; n: draws; bins: what they were counted in.  total_variation,
    temperature: the smallest departures that one look at ALPHA detects with POWER, 1.0 and inf
    where there is none.  token, count, expected: the token furthest from its expected count.
    """

    p_value: float
    n: int
    bins: int
    total_variation: float
    temperature: float
    token: int
    count: int
    expected: float

    def __str__(self) -> str:
        return (
            f"n={self.n}, {self.bins} bins, p={self.p_value:.3g}, alpha={ALPHA:g}; detectable with "
            f"power {POWER}: total variation {self.total_variation:.3g} over the bins, "
            f"temperature {self.temperature:.3g}"
        )


def false_alarm_rate(cases: int) -> float:
    """Upper bound of the chance that a run over `cases` lossless cases fails a right sampler.

    Each case is judged on DRAWS independent draws, each with up to POSITIONS tests, any of which
    asks for the second look with chance STAGE_ONE.  The second look has fresh rows, so that it is
    independent of the first, and fails with chance POSITIONS * ALPHA at most.
    """
    return cases * (DRAWS * POSITIONS * STAGE_ONE) * (POSITIONS * ALPHA)


def bin_by_rank(probabilities: Array, bins: int = BINS) -> NDArray[np.int64]:
    """The bin [V] of each token: about 1 / bins of the mass in each, by probability rank.

    A token of at least 1 / bins is a bin of its own; the others follow in descending order.  What
    is too little for a bin joins the lightest heavy token.  Tokens of probability zero share one
    bin more, the last, which no draw may fall into.

    Light tokens go by the middle of their part of the sum, into widths w >= b = 1 / bins.  Such a
    bin lacks at most half of the token before it, below b, and half of the one after it, which is
    no more than the bin itself: it holds m >= w - b / 2 - m / 2, hence m >= b / 3.
    """
    mass = probabilities / probabilities.sum()
    order = np.argsort(-mass, kind="stable")
    ranked = mass[order]
    heavy = int((ranked >= 1.0 / bins).sum())
    light = ranked[heavy:]
    rest = float(light.sum())
    width = int(rest * bins + 1e-9)
    middle = (np.cumsum(light) - light / 2.0) / max(rest, np.finfo(float).tiny)
    labels = np.arange(len(mass))
    labels[heavy:] = heavy + np.minimum((middle * width).astype(np.int64), width - 1)
    labels[ranked == 0.0] = heavy + width
    placed = np.empty(len(mass), dtype=np.int64)
    placed[order] = labels
    return placed


def g_test(counts: NDArray[np.int64], probabilities: Array) -> float:
    """The p-value of counts [K] under probabilities [K], which are normalised here.

    Likelihood-ratio statistic with Williams' correction, chi-square with K - 1 degrees of freedom
    (Sokal and Rohlf, Biometry, 1995, section 17.2).  A draw of something impossible gives 0.0.
    """
    from scipy import special, stats

    possible = probabilities > 0
    if (counts[~possible] > 0).any():
        return 0.0
    count, share = counts[possible], probabilities[possible] / probabilities.sum()
    n, freedom = int(count.sum()), len(count) - 1
    if n == 0 or freedom < 1:
        return 1.0
    statistic = 2.0 * float(special.rel_entr(count, n * share).sum())
    correction = 1.0 + (float((1.0 / share).sum()) - 1.0) / (6.0 * n * freedom)
    return float(stats.chi2.sf(max(statistic, 0.0) / correction, freedom))


@cache
def find_noncentrality(freedom: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """The noncentrality at which a chi-square test at `alpha` has this power."""
    from scipy import optimize, stats

    critical = stats.chi2.isf(alpha, freedom)

    def shortfall(noncentrality: float) -> float:
        return float(stats.ncx2.sf(critical, freedom, noncentrality)) - power

    return float(optimize.brentq(shortfall, 1e-6, 10.0 * (critical + 100.0)))


def minimum_detectable_effect(
    n: int, bins: int = BINS, alpha: float = ALPHA, power: float = POWER
) -> float:
    """The smallest total variation over the bins that n draws are sure to show, at most 1.0.

    A departure d of probabilities p has noncentrality n * sum(d^2 / p), and by Cauchy-Schwarz
    sum(d^2 / p) >= sum(|d|)^2 = (2 * total variation)^2, whatever its shape.
    """
    if bins < 2 or n == 0:
        return 1.0
    return min(float(np.sqrt(find_noncentrality(bins - 1, alpha, power) / n)) / 2.0, 1.0)


def detectable_temperature(
    probabilities: Array,
    n: int,
    bins: int = BINS,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """The lowest temperature above 1 whose draws n draws tell from probabilities [V], else inf."""
    from scipy import optimize

    labels = bin_by_rank(probabilities, bins)
    share = _sum_bins(labels, probabilities / probabilities.sum())
    share = share[share > 0]
    if len(share) < 2:
        return float("inf")
    needed = find_noncentrality(len(share) - 1, alpha, power)

    def excess(temperature: float) -> float:
        warmed = _sum_bins(labels, warm(probabilities, temperature))[: len(share)]
        return n * float(((warmed - share) ** 2 / share).sum()) - needed

    if excess(_HIGHEST_TEMPERATURE) < 0:
        return float("inf")
    return float(optimize.brentq(excess, 1.0, _HIGHEST_TEMPERATURE))


def warm(probabilities: Array, temperature: float) -> Array:
    """Probabilities [..., V] as a softmax at another temperature would give them."""
    powers = np.where(probabilities > 0, probabilities, 0.0) ** (1.0 / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def measure_fit(tokens: NDArray[np.int64], probabilities: Array) -> Fit:
    """How independently drawn tokens [n], each in [0, V), fit probabilities [V]."""
    counts = np.bincount(tokens, minlength=len(probabilities))
    labels = bin_by_rank(probabilities)
    share = _sum_bins(labels, probabilities)
    bins = int((share > 0).sum())
    n = len(tokens)
    expected = n * probabilities / probabilities.sum()
    distance = np.abs(counts - expected) / np.sqrt(np.maximum(expected, 1e-12))
    worst = int(distance.argmax())
    return Fit(
        p_value=g_test(np.bincount(labels, counts).astype(np.int64), share),
        n=n,
        bins=bins,
        total_variation=minimum_detectable_effect(n, bins),
        temperature=detectable_temperature(probabilities, n),
        token=worst,
        count=int(counts[worst]),
        expected=float(expected[worst]),
    )


def judge_fits(judgement: Judgement, name: str, output: str, fits: Mapping[str, Fit]) -> None:
    """Add the check that every fit has a p-value of at least ALPHA, or ask for a second look.

    fits: by the words that name what was drawn.  Observes log(p) / log(ALPHA), whose limit is 1.
    """
    p_values = np.array([max(fit.p_value, _SMALLEST_P) for fit in fits.values()])
    listed = list(fits.items())
    judgement.bounded(
        name,
        np.log(p_values) / np.log(ALPHA),
        1.0,
        output=output,
        found=lambda at: _describe(*listed[at[0]]),
        wanted=lambda at: f"about {listed[at[0]][1].expected:.1f} times",
        detail="; ".join(f"{what}: {fit}" for what, fit in fits.items()),
    )
    if (p_values < STAGE_ONE).any():
        judgement.undecided = name


def _describe(what: str, fit: Fit) -> str:
    return f"{what}, p={fit.p_value:.3g}: token {fit.token} drawn {fit.count} times of {fit.n}"


def _sum_bins(labels: NDArray[np.int64], mass: Array) -> Array:
    return np.asarray(np.bincount(labels, mass), dtype=np.float64)
