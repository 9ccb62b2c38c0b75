"""How a reader's experiment is judged: an interval over paired seeds, and the verdict it allows."""

import numpy as np
from scipy.special import stdtrit

from byzlib.checks._form import array, judge, require
from byzlib.metrics import t_interval

WANTED = "return three things: the lower end, the upper end, and the verdict."


def judge_experiment(found, one, other, words, where, measured=()):
    """Nothing if `found` is (low, high, verdict) of one - other over common seeds.

    Parameters
    ----------
    found : what the reader's function returned
    one, other : (k,) array_like, one number a seed
        What a right experiment measures; the interval is Student's, 95 %.
    words : (str, str)
        The verdicts for an interval above and below zero; across it, it is "not shown".
    where : str
        The case, put before the hint.
    measured : dict of hint -> (one, other)
        What likely mistakes in the measurement give.
    """
    require(isinstance(found, tuple | list) and len(found) == 3, WANTED)
    ends, verdict = array(found[:2], (2,), WANTED), found[2]
    gap = np.asarray(one) - other
    right = t_interval(gap)
    k, centre, t = len(gap), right.mean, stdtrit(len(gap) - 1, 0.975)
    root = np.sqrt(k)
    apart = np.sqrt(np.var(one, ddof=1) + np.var(other, ddof=1)) / root

    def about(half):
        return [centre - half, centre + half]

    mistakes = {
        "you subtract the wrong way round.": [-right.high, -right.low],
        "the lower end comes first.": [right.high, right.low],
        "both were measured on the same seeds: take the interval of the differences.":
            (about(t * apart), about(stdtrit(2 * k - 2, 0.975) * apart), about(1.96 * apart)),
        "few seeds need Student's t, not the 1.96 of the normal distribution.":
            about(1.96 * right.half_width / t),
        "that is the spread of single seeds; a mean of k seeds is surer by the root of k.":
            about(right.half_width * root),
        "for the spread divide by k - 1 (ddof=1).": about(right.half_width * np.sqrt((k - 1) / k)),
        "that is a 90 % interval; 95 % are wanted.": about(t_interval(gap, 0.9).half_width),
        "that is the standard error; the interval is t of them on both sides.":
            about(right.half_width / t),
    }  # fmt: skip
    for hint, pair in dict(measured).items():
        _, low, high = t_interval(np.subtract(*pair))
        mistakes[hint] = [low, high]
    judge(ends, [right.low, right.high], mistakes, where=where, rtol=1e-4)
    allowed = words[0] if right.low > 0 else words[1] if right.high < 0 else "not shown"
    side = {words[0]: "lies above", words[1]: "lies below"}.get(allowed, "holds")
    off = f"the interval {side} zero, so the verdict is {allowed!r}; yours is {verdict!r}."
    require(verdict == allowed, f"{where}: {off}")
