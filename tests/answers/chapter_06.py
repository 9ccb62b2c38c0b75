"""Answers to the exercises of chapter 06: right ones, and wrong ones with their hint."""

from itertools import combinations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from byzlib import checks
from byzlib.aggregators import bulyan, mean_around_median, median, trimmed_mean
from tests.answers.experiment import answers


def narrowest_by_difference(x, f):
    line, keep = np.sort(x), len(x) - f
    first = (line[keep - 1 :] - line[: f + 1]).argmin()
    return line[first : first + keep].mean()


def narrowest_by_loop(x, f):
    line, keep, best = sorted(x.tolist()), len(x) - f, None
    for i in range(f + 1):
        ends = line[i + keep - 1] - line[i]
        if best is None or ends < best[0]:
            best = ends, sum(line[i : i + keep]) / keep
    return best[1]


def windows_of(x, keep):
    return sliding_window_view(np.sort(x), keep)


def narrowest_by_windows(x, f):
    windows = windows_of(x, len(x) - f)
    return windows[np.ptp(windows, axis=1).argmin()].mean()


def moved(honest, z, f, standing=np.mean):
    """How far Bulyan and the median are from the average, by round."""
    middle = honest.mean(axis=1)
    lie = standing(honest, axis=1) - z * honest.std(axis=1)
    rows = np.concatenate([honest, np.repeat(lie[:, None], f, axis=1)], axis=1)
    return [np.linalg.norm(F - middle, axis=1) for F in (bulyan(rows, f), median(rows))]


def moved_one_by_one(honest, z, f):
    found = []
    for rows in honest:
        middle = rows.mean(axis=0)
        crowd = np.vstack([rows] + f * [middle - z * rows.std(axis=0)])
        found.append([np.linalg.norm(F - middle) for F in (bulyan(crowd, f), median(crowd))])
    return np.transpose(found)


def against_the_median(honest, z, f):
    """From the median instead of the average."""
    return moved(honest, z, f, standing=np.median)


CLIQUE = answers(moved, ("Bulyan", "median"))


RIGHT = [
    (checks.narrowest, narrowest_by_difference),
    (checks.narrowest, narrowest_by_loop),
    (checks.narrowest, narrowest_by_windows),
    *[(checks.clique_trial, answer) for answer in CLIQUE[0]],
    (checks.clique_trial, answers(moved_one_by_one, ("Bulyan", "median"))[0][0]),
]


def by_all_sets(x, f):
    return np.mean(min(combinations(x, len(x) - f), key=lambda kept: max(kept) - min(kept)))


def in_the_order_of_the_list(x, f):
    windows = sliding_window_view(x, len(x) - f)
    return windows[np.ptp(windows, axis=1).argmin()].mean()


def with_keep(count):
    """As many numbers as count(n, f) says."""

    def wrong(x, f):
        windows = windows_of(x, count(len(x), f))
        return windows[np.ptp(windows, axis=1).argmin()].mean()

    return wrong


def chosen_by(choose, of=np.mean):
    def wrong(x, f):
        windows = windows_of(x, len(x) - f)
        return of(windows[choose(windows)])

    return wrong


def narrow(windows):
    return np.ptp(windows, axis=1).argmin()


def sorts_in_place(x, f):
    x.sort()
    return narrowest_by_difference(x, f)


def only_above_one(honest, z, f):
    low, high, _ = CLIQUE[0][0](honest, z, f)
    return low, high, "Bulyan" if low > 1 else "median" if high < 0 else "not shown"


WRONG = [
    (checks.narrowest, by_all_sets, "no search: of the 3432 sets"),
    (checks.narrowest, in_the_order_of_the_list, "sort first"),
    (checks.narrowest, with_keep(lambda n, f: n - f - 1), "one number too few"),
    (checks.narrowest, with_keep(lambda n, f: min(n - f + 1, n)), "one number too many"),
    (checks.narrowest, with_keep(lambda n, f: max(f, 1)), "the f closest"),
    (checks.narrowest, chosen_by(lambda w: np.ptp(w, axis=1).argmax()), "the widest"),
    (checks.narrowest, chosen_by(lambda w: w.var(axis=1).argmin()), "least variance"),
    (checks.narrowest, chosen_by(lambda w: 0), "all f . 1 places"),
    (checks.narrowest, chosen_by(lambda w: -1), "all f . 1 places"),
    (checks.narrowest, chosen_by(narrow, lambda w: (w[0] + w[-1]) / 2), "between the ends"),
    (checks.narrowest, chosen_by(narrow, np.median), "the median of the set"),
    (checks.narrowest, chosen_by(narrow, np.ptp), "that is the diameter"),
    (checks.narrowest, chosen_by(narrow, np.sum), "divide by n - f"),
    (checks.narrowest, lambda x, f: chosen_by(narrow, np.sum)(x, f) / len(x), "divide by n - f"),
    (checks.narrowest, lambda x, f: trimmed_mean(x[:, None], f)[0], "the trimmed mean"),
    (checks.narrowest, lambda x, f: mean_around_median(x[:, None], f)[0], "around the median"),
    (checks.narrowest, lambda x, f: x.mean(), "the mean of all"),
    (checks.narrowest, lambda x, f: x, "One number, please"),
    (checks.narrowest, lambda x, f: narrowest_by_loop(x, f) + 0.01, "is wanted; yours is"),
    (checks.narrowest, sorts_in_place, "changed what it was given"),
    (checks.clique_trial, only_above_one, "the interval lies above zero"),
    *[(checks.clique_trial, answer, hint) for answer, hint in CLIQUE[1]],
    (checks.clique_trial, answers(against_the_median, ("Bulyan", "median"))[0][0], "is wanted at"),
]
