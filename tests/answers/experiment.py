"""Right and wrong ways to report an experiment on paired seeds, for any checker of one."""

import numpy as np
from scipy.special import stdtrit

from byzlib.metrics import t_interval


def verdict(low, high, words):
    return words[0] if low > 0 else words[1] if high < 0 else "not shown"


def report(one, other, words):
    _, low, high = t_interval(np.subtract(one, other))
    return low, high, verdict(low, high, words)


def written_out(one, other, words):
    gap = np.array(one) - other
    half = stdtrit(len(gap) - 1, 0.975) * gap.std(ddof=1) / len(gap) ** 0.5
    low, high = gap.mean() - half, gap.mean() + half
    return [low, high, verdict(low, high, words)]


def _scaled(factor):
    """A report whose half width is multiplied by factor(number of seeds)."""

    def wrong(one, other, words):
        mean, low, high = t_interval(np.subtract(one, other))
        half = factor(len(one)) * (high - low) / 2
        return mean - half, mean + half, report(one, other, words)[2]

    return wrong


def _unpaired(one, other, words):
    half = np.sqrt((np.var(one, ddof=1) + np.var(other, ddof=1)) / len(one))
    half *= stdtrit(len(one) - 1, 0.975)
    mean = np.mean(one) - np.mean(other)
    return mean - half, mean + half, report(one, other, words)[2]


def _turned(one, other, words):
    low, high, _ = report(one, other, words)
    return -high, -low, verdict(-high, -low, words)


def _upside_down(one, other, words):
    low, high, said = report(one, other, words)
    return high, low, said


def _always(said):
    return lambda one, other, words: (*report(one, other, words)[:2], said or words[0])


def t(k):
    return stdtrit(k - 1, 0.975)


RIGHT = [report, written_out]
WRONG = [
    (_unpaired, "interval of the differences"),
    (_turned, "wrong way round"),
    (_upside_down, "lower end comes first"),
    (_scaled(lambda k: 1.96 / t(k)), "Student's t"),
    (_scaled(lambda k: k**0.5), "root of k"),
    (_scaled(lambda k: ((k - 1) / k) ** 0.5), "ddof=1"),
    (_scaled(lambda k: stdtrit(k - 1, 0.95) / t(k)), "90 % interval"),
    (_scaled(lambda k: 1 / t(k)), "standard error"),
    (_always("not shown"), "so the verdict is"),
    (_always(None), "so the verdict is"),
    (lambda one, other, words: report(one, other, words)[:2], "three things"),
    (lambda one, other, words: np.mean(one) > np.mean(other), "three things"),
]


def answers(measure, words, often=2):
    """RIGHT and WRONG with `measure`, which gives (one, other) for a checker's input.

    All checkers of experiments judge alike: the `often` first of WRONG are tried in each run of the
    tests, the others in the slow one.
    """

    def dressed(say, seldom=False):
        def answer(*given):
            return say(*measure(*given), words)

        answer.seldom = seldom
        return answer

    wrong = [(dressed(say, k >= often), hint) for k, (say, hint) in enumerate(WRONG)]
    return [dressed(say) for say in RIGHT], wrong
