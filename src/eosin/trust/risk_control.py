"""Risk control over cases: is the share of wrong answers on patches of new cases under a level?

Learn then Test (Angelopoulos, Bates, Candes, Jordan & Lei, 2021) with a fixed sequence of cuts,
from cautious to bold. Each is tested for "of the answers more than ``level`` are wrong", which is
the same as E[Z] > 0 for Z = wrong answers of a case - level x answers of that case; the last cut
before the first that is not rejected is kept, and the chance that any kept cut is wrong stays
under 1 - confidence without dividing it among the cuts.

**What is exchangeable is the case.** A test that takes patches as independent promises far too
much. Nor is a plain t-test over cases enough: cases differ in size and a few are far harder than
the rest, so a sample seldom contains as many bad cases as there are. Two bad cases are therefore
added to those that were seen before the t-test.

Measured at confidence 0.9 (benchmarks/referral.py and its results; a calibration without a band
counts as held). Simulated with known truth, beta-distributed difficulty, 10 to 1,500 patches a
case, 15 to 100 cases, levels 0.05 and 0.1: by patch the promise held in 0.43 to 0.61 of
calibrations, with the plain t-test in 0.65 to 0.86, with the bad cases in 0.91 to 0.98. Where
difficulty grows with size, or 1 case in 20 fails and the level is 0.05, in 0.85 to 0.96: no test
can allow for cases that the sample does not contain. On real patches, halves of 68 cases: 0.63,
0.90, 0.99.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from eosin.evaluation.definitions import Floats

METHODS = ("cases", "hoeffding-bentkus")
#: The sequence starts where this share of patches is answered, on at least half of the cases: it
#: looks at scores only, never at labels. Nearer to zero a test has hardly any answers to judge.
FIRST_COVERAGE = 0.1


def first_cut(answered: npt.ArrayLike) -> int:
    """Where the sequence starts, determined without labels.

    answered: float [cases, G], the answers of each case at each cut, which grow along G.

    >>> first_cut([[1, 5, 10], [0, 0, 10], [0, 1, 10], [0, 1, 10]])
    1
    """
    counts = np.asarray(answered, dtype=np.float64)
    enough = counts.sum(axis=0) >= FIRST_COVERAGE * counts[:, -1].sum()
    return int(np.argmax(enough & (2 * (counts > 0).sum(axis=0) >= len(counts))))


def last_held(p_values: npt.ArrayLike, first: int, confidence: float) -> int | None:
    """The boldest cut that the fixed sequence reaches, or None where the first one fails.

    p_values: float [G], from cautious to bold.

    >>> last_held([0.5, 0.01, 0.02, 0.3, 0.01], 1, 0.9)
    2
    >>> last_held([0.5, 0.01], 0, 0.9) is None
    True
    """
    passed = np.asarray(p_values)[first:] <= 1 - confidence
    run = int(np.argmin(passed)) if not passed.all() else len(passed)
    return first + run - 1 if run else None


def risk_p_values(
    wrong: npt.ArrayLike, answered: npt.ArrayLike, *, level: float, method: str = "cases"
) -> Floats:
    """How well each cut could look if more than ``level`` of its answers were wrong: float64 [G].

    wrong, answered: float [cases, G], wrong answers and answers of each case at each cut.

    >>> wrong, answered = np.zeros((40, 1)), np.full((40, 1), 10.0)
    >>> [round(float(risk_p_values(wrong, answered, level=0.1, method=m)[0]), 3) for m in METHODS]
    [0.0, 0.015]
    """
    e, a = np.asarray(wrong, dtype=np.float64), np.asarray(answered, dtype=np.float64)
    if method == "cases":
        return np.maximum(_bad_cases_added(e, a, level), _answers(e, a, level))
    return _hoeffding_bentkus(e, a, level)


def cases_needed(level: float, confidence: float) -> int:
    """How many cases, none with a wrong answer, a promise free of any shape takes at least.

    With nothing wrong the smallest p-value over n cases of a loss between 0 and 1 is
    (1 - level)^n.

    >>> cases_needed(0.05, 0.9)
    45
    """
    return math.ceil(math.log(1 - confidence) / math.log(1 - level))


def _bad_cases_added(wrong: Floats, answered: Floats, level: float) -> Floats:
    """One-sided t-test over cases, with two bad cases added to those that were seen.

    One is the worst that was seen, once more. The other is of mean size with the highest error
    rate of any, that rate drawn toward the mean (or the level) by one answer's weight, so that a
    case with a single wrong answer does not count as all wrong. The degrees of freedom stay those
    of the cases that were seen.
    """
    from scipy import stats

    count, total = len(wrong), answered.sum(axis=0)
    excess = wrong - level * answered
    overall = np.divide(wrong.sum(axis=0), total, out=np.zeros(len(total)), where=total > 0)
    rates = (wrong + np.maximum(overall, level)) / (answered + 1)
    worst = np.where(answered > 0, rates, 0.0).max(axis=0)
    usual = (worst - level) * answered.mean(axis=0)
    excess = np.vstack([excess, excess.max(axis=0), usual])
    mean, spread = excess.mean(axis=0), excess.std(axis=0, ddof=1) / math.sqrt(len(excess))
    # Without any spread there is nothing to judge by but the sign.
    t = np.divide(mean, spread, out=np.where(mean < 0, -np.inf, np.inf), where=spread > 0)
    return np.asarray(stats.t.cdf(t, max(1, count - 1)), dtype=np.float64)


def _answers(wrong: Floats, answered: Floats, level: float) -> Floats:
    """Exact binomial test over answers: a floor, so that few answers without error prove little."""
    from scipy import stats

    p = stats.binom.cdf(wrong.sum(axis=0), answered.sum(axis=0), level)
    return np.asarray(p, dtype=np.float64)


def _hoeffding_bentkus(wrong: Floats, answered: Floats, level: float) -> Floats:
    """Free of any shape (Bates et al., Distribution-free, risk-controlling prediction sets, 2021).

    The loss of a case is the share that is wrong of its answers, so that each case weighs the same;
    cases without an answer are left out.
    """
    from scipy import stats

    some = answered > 0
    count = some.sum(axis=0)
    rates = np.divide(wrong, answered, out=np.zeros(wrong.shape), where=some)
    total = rates.sum(axis=0)
    low = np.minimum(np.divide(total, count, out=np.ones(len(count)), where=count > 0), level)
    # 0 log 0 is 0: the logarithm of a loss of 0 is not taken.
    first = low * np.log(np.where(low > 0, low, 1.0) / level)
    divergence = first + (1 - low) * np.log((1 - low) / (1 - level))
    # Rounding must not lift an integer of errors to the next.
    bentkus = math.e * stats.binom.cdf(np.ceil(total - 1e-9), count, level)
    return np.asarray(np.minimum(np.exp(-count * divergence), bentkus), dtype=np.float64)
