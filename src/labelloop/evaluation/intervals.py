"""How sure a number from a few held-out items is: intervals of shares, means of shares, and any statistic of counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np

from labelloop.errors import ConfigError

CONFIDENCE = 0.95
RESAMPLES = 2000
DRAWS = 4000
_CELLS = 4_000_000


def wilson(k: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of a proportion of k in n; (0, 1) for n = 0.

    Wilson 1927, which Brown, Cai and DasGupta 2001 (Statistical Science 16) recommend for small n. It covers the truth
    as often as it says on average; `exact` at least so often, whatever the truth.

    Args:
        k, n: Counts, or effective counts (`effective`).

    Raises:
        ConfigError: k is not between 0 and n.
    """
    _check(k, n)
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = k / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)


def exact(k: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of a proportion that never covers less than it says (Clopper and Pearson 1934).

    With effective counts it is the one of Korn and Graubard 1998 (Survey Methodology 24).

    Raises:
        ConfigError: k is not between 0 and n.
    """
    from scipy.special import betaincinv

    _check(k, n)
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    return low, 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))


def hierarchical(
    hits: np.ndarray, trials: np.ndarray, rng: np.random.Generator, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The credible interval of the mean of k proportions, of which some are known from few trials, or none.

    Beta-binomial with one common beta distribution (Gelman et al., Bayesian Data Analysis, 3rd ed. 2013, chapter 5),
    so that what is known of some says something of the others. Its mean moves with the logarithm of the trials, because
    the rare is often harder; how much, and how alike the proportions are, follows from the counts. What no count says
    stays wide, where a bootstrap sees no variation. Prior: the mean is uniform, its slope Normal(0, 0.5), the
    concentration log-uniform from 1 to 64.

    Args:
        hits, trials: (k,) counts, also fractions of them.

    Raises:
        ConfigError: There are no proportions, or hits are not between 0 and the trials.
    """
    from scipy.special import betaln, expit

    if len(hits) == 0 or np.shape(hits) != np.shape(trials):
        raise ConfigError(f"{len(hits)} hits of {len(trials)} trials have no mean", "give both for each proportion")
    for k, n in zip(hits, trials, strict=True):
        _check(float(k), float(n))
    rarity = np.log(trials + 0.5)
    rarity -= np.average(rarity, weights=trials + 1e-9)
    levels, slopes = np.linspace(-4, 5, 28)[:, np.newaxis, np.newaxis], np.linspace(-0.5, 1.5, 9)[:, np.newaxis]
    alike = np.geomspace(1, 64, 7)[:, np.newaxis]
    means = expit(levels + slopes * rarity)[:, :, np.newaxis]
    hit, missed = (np.maximum(share * alike, 1e-3) for share in (means, 1 - means))
    likely = (betaln(hit + hits, missed + trials - hits) - betaln(hit, missed)).sum(axis=-1)
    likely -= 2 * np.log(np.cosh(levels / 2)) + 2 * np.square(slopes)
    chance = np.exp(likely - likely.max()).ravel()
    which = np.unravel_index(rng.choice(chance.size, DRAWS, p=chance / chance.sum()), likely.shape)
    drawn = rng.beta(hit[which] + hits, missed[which] + trials - hits).mean(axis=1)
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def fisher(a: int, m: int, b: int, n: int) -> float:
    """Fisher's exact test, two-sided: the p-value that a of m and b of n are shares of the same thing."""
    total = a + b
    chances = [math.comb(m, i) * math.comb(n, total - i) for i in range(max(0, total - n), min(m, total) + 1)]
    seen = math.comb(m, a) * math.comb(n, b)
    return sum(one for one in chances if one <= seen) / math.comb(m + n, total)


def effective(values: np.ndarray, groups: np.ndarray | None) -> float:
    """How many independent items (n,) values are worth for their mean: less than n where near duplicates agree.

    n over the design effect of the mean of clusters (Kish 1965), at most n, and with Student's quantile for few groups
    as Korn and Graubard 1998 do. Where all values are the same nothing tells the effect: then the number of groups.

    Args:
        groups: (n,) the group of each item; None where every item is its own.
    """
    n = len(values)
    if groups is None or n == 0:
        return float(n)
    sizes, sums = _by_group(groups, np.ones((n, 1)))[:, 0], _by_group(groups, values[:, np.newaxis])[:, 0]
    m = len(sizes)
    if m == n:
        return float(n)
    off = sums - values.mean() * sizes
    between, within = m / max(m - 1, 1) * float(off @ off), n * float(np.var(values))
    if within == 0.0 or m == 1:
        return float(m)
    from scipy.special import stdtrit

    few = (NormalDist().inv_cdf(0.975) / float(stdtrit(m - 1, 0.975))) ** 2
    return min(float(n), few * n * within / max(between, 1e-12))


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    counts: np.ndarray,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """BCa bootstrap interval of a statistic of summed counts (Efron 1987).

    Args:
        statistic: (b, c) sums of counts -> (b,) values; must give a number for every sum of n or n - 1 rows.
        counts: (n, c), a row per item; items are resampled, or whole groups of them.
        groups: (n,) the group of each item; None where every item is its own.

    Returns:
        (low, high); both the value itself where every resample has the same.

    Raises:
        ConfigError: There are no rows.
    """
    if len(counts) == 0:
        raise ConfigError("there is nothing to resample", "score at least one item")
    return bootstrap_each(
        lambda sums: statistic(sums)[:, np.newaxis],
        counts,
        rng,
        resamples=resamples,
        confidence=confidence,
        groups=groups,
    )[0]


def bootstrap_each(
    statistic: Callable[[np.ndarray], np.ndarray],
    counts: np.ndarray,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    groups: np.ndarray | None = None,
) -> list[tuple[float, float]]:
    """As `bootstrap`, of several statistics of the same resamples: (b, c) sums -> (b, q) values, NaN for none."""
    rows = counts if groups is None else _by_group(groups, counts)
    drawn = np.concatenate([statistic(sums) for sums in _resampled(rows, rng, resamples)])
    values = statistic(rows.sum(axis=0, keepdims=True))[0]
    left_out = statistic(rows.sum(axis=0) - rows) if len(rows) > 1 else values[np.newaxis]
    return [_bca(drawn[:, i], float(values[i]), left_out[:, i], confidence) for i in range(len(values))]


def _bca(drawn: np.ndarray, value: float, left_out: np.ndarray, confidence: float) -> tuple[float, float]:
    drawn, left_out = (np.sort(one[np.isfinite(one)]) for one in (drawn, left_out))
    if len(drawn) == 0:
        return math.nan, math.nan
    if drawn[0] == drawn[-1]:
        return min(value, float(drawn[0])), max(value, float(drawn[0]))
    normal, resamples = NormalDist(), len(drawn)
    below = (np.sum(drawn < value) + 0.5 * np.sum(drawn == value)) / resamples
    bias = normal.inv_cdf(float(np.clip(below, 1 / (resamples + 1), resamples / (resamples + 1))))
    skew = _acceleration(left_out)
    edges = []
    for z in (normal.inv_cdf(0.5 - confidence / 2), normal.inv_cdf(0.5 + confidence / 2)):
        shifted = bias + (bias + z) / (1 - skew * (bias + z))
        edges.append(float(np.quantile(drawn, normal.cdf(shifted))))
    return edges[0], edges[1]


def _check(k: float, n: float) -> None:
    if not 0 <= k <= n:
        raise ConfigError(f"{k} of {n} is not a proportion", "count the successes among the trials")


def _by_group(groups: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(m, c) counts summed over the items of each of m groups."""
    place = np.unique(groups, return_inverse=True)[1]
    sums = np.zeros((int(place.max()) + 1, counts.shape[1]))
    np.add.at(sums, place, counts)
    return sums


def _resampled(counts: np.ndarray, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """Sums of counts over resampled rows, in parts that keep memory small."""
    n = len(counts)
    part = max(1, _CELLS // n)
    for start in range(0, resamples, part):
        size = min(part, resamples - start)
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, np.newaxis]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n) @ counts


def _acceleration(left_out: np.ndarray) -> float:
    """BCa's acceleration, from the (n,) values with one row left out."""
    off = left_out.mean() - left_out
    spread = float(np.square(off).sum()) ** 1.5
    return float((off**3).sum()) / (6.0 * spread) if spread else 0.0
