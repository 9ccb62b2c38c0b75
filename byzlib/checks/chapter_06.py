"""Checkers of chapter 06: the least diameter in one parameter, Bulyan against a clique."""

import numpy as np

from byzlib.aggregators import bulyan, mean_around_median, median, trimmed_mean
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge, require, steps_of


@exercise("Exercise 6.3 a", "equation (6.3), and its example with 1, 2, 3, 4, 10.")
def narrowest(answer):
    """`answer(values, f)` is the mean of the n - f numbers with the least diameter."""
    rng = np.random.default_rng(63)
    for n, f in [(7, 2), (9, 4), (12, 5), (6, 0), (10, 3), (8, 1)]:
        x = rng.standard_normal(n).round(3) * 10 ** rng.uniform(-1, 1)
        value, line = ask(answer, x, f), np.sort(x)

        def narrow(keep, x=line, size=np.ptp, of=np.mean):
            windows = [x[i : i + keep] for i in range(len(x) - keep + 1)]
            return of(min(windows, key=size))

        right, windows = narrow(n - f), [line[i : i + n - f] for i in range(f + 1)]
        mistakes = {
            "sort first: what lies close together need not stand side by side in the list.":
                narrow(n - f, x),
            "one number too few: n - f belong to the set.": narrow(max(n - f - 1, 1)),
            "one number too many: n - f belong to the set.": narrow(min(n - f + 1, n)),
            "you average the f closest; n - f are wanted.": narrow(max(f, 1)),
            "you take the widest set, not the narrowest.": np.mean(max(windows, key=np.ptp)),
            "you take the set of least variance; its largest minus its smallest counts.":
                narrow(n - f, size=np.var),
            "that is the middle between the ends of the set; its mean is wanted.":
                narrow(n - f, of=lambda w: (w[0] + w[-1]) / 2),
            "that is the median of the set; its mean is wanted.": narrow(n - f, of=np.median),
            "that is the diameter; the mean of the set is wanted.": narrow(n - f, of=np.ptp),
            "your sum is right; divide by n - f.":
                (right * (n - f), right * (n - f) / n),
            "that is the trimmed mean.": trimmed_mean(x[:, None], f)[0],
            "that is the mean around the median.": mean_around_median(x[:, None], f)[0],
            "you drop the largest only, or the smallest only; look at all f + 1 places.":
                (windows[0].mean(), windows[-1].mean()),
            "that is the mean of all.": x.mean(),
        }  # fmt: skip
        judge(value, right, mistakes)
    steps = steps_of(answer, rng.standard_normal(14), 7)
    require(
        steps < 3000,
        "no search: of the 3432 sets of 7 among 14 numbers only 8 stand side by side on the line.",
    )


@exercise("Exercise 6.3 b", "the last of the four bills, and chapter 00 for intervals of pairs.")
def clique_trial(answer):
    """`answer(honest, z, f)` is (low, high, who): Bulyan's distance minus the median's."""
    rng = np.random.default_rng(63)
    for trials, n, f, d, z, unit in [
        (20, 18, 3, 60, 1.0, 0.1), (40, 23, 5, 1, 3.0, 1), (8, 43, 10, 1, 0.3, 1),
    ]:  # fmt: skip
        honest = unit * (2 + rng.standard_normal((trials, n - f, d)) * rng.uniform(1, 3, d))
        found = ask(answer, honest, z, f, shape=None)
        centre = honest.mean(axis=1)
        clique = np.repeat((centre - z * honest.std(axis=1))[:, None], f, axis=1)
        rows = np.concatenate([honest, clique], axis=1)
        one, other = (
            np.linalg.norm(answer - centre, axis=1) for answer in (bulyan(rows, f), median(rows))
        )
        judge_experiment(found, one, other, ("Bulyan", "median"), f"with z = {z}, f = {f}")
