"""Answers to the exercises of chapter 16: right ones, and wrong ones with their hint."""

import numpy as np
from scipy import stats

from byzlib import checks, risk
from tests.answers.experiment import answers


def rest(q, n, f, b):
    return max(q - f / (n - f) * min(max(b, -q), 1 - q), 0)


def rest_by_clip(q, n, f, b):
    return np.clip(q - f / (n - f) * np.clip(b, -q, 1 - q), 0, None)


def area_by_pairs(attacked, clean):
    pairs = [(a > c) + (a == c) / 2 for a in attacked for c in clean]
    return sum(pairs) / len(pairs)


def area_by_test(attacked, clean):
    return (
        stats.mannwhitneyu(attacked, clean, method="exact").statistic / len(attacked) / len(clean)
    )


RIGHT = [
    (checks.resting_share, rest),
    (checks.resting_share, rest_by_clip),
    (checks.area, area_by_pairs),
    (checks.area, area_by_test),
    (checks.area, lambda a, c: risk.auc(a, c).area),
]


def sorts_in_place(attacked, clean):
    attacked.sort()
    return area_by_pairs(attacked, clean)


WRONG = [
    (
        checks.resting_share,
        lambda q, n, f, b: max(q - f / n * min(max(b, -q), 1 - q), 0),
        "f / n is not the weight",
    ),
    (
        checks.resting_share,
        lambda q, n, f, b: max(q + f / (n - f) * min(max(b, -q), 1 - q), 0),
        "the sign of b is turned",
    ),
    (
        checks.resting_share,
        lambda q, n, f, b: q - f / (n - f) * min(max(b, -q), 1 - q),
        "never negative",
    ),
    (checks.resting_share, lambda q, n, f, b: max(q - f / (n - f) * b, 0), r"into \[-q, 1 - q\]"),
    (checks.resting_share, lambda q, n, f, b: q - f / (n - f) * b, "never negative"),
    (checks.resting_share, lambda q, n, f, b: q, "the lies are missing"),
    (checks.resting_share, lambda q, n, f, b: 0.3, "is wanted; yours is 0.3"),
    (checks.resting_share, lambda q, n, f, b: np.nan, "finite number is wanted; yours holds nan"),
    (checks.resting_share, lambda q, n, f, b: q / (f - f), "stopped with ZeroDivisionError"),
    (checks.resting_share, lambda q, n, f, b: None, "returns None"),
    (checks.area, lambda a, c: area_by_pairs(c, a), "exchanged"),
    (checks.area, lambda a, c: np.mean(a[:, None] > c), "ties are missing"),
    (checks.area, lambda a, c: np.mean(a[:, None] >= c), "one half, not one"),
    (checks.area, lambda a, c: area_by_pairs(a, c) * len(a) * len(c), "divide by the number"),
    (checks.area, lambda a, c: np.mean(a > c), "round with round"),
    (checks.area, lambda a, c: 0.3, "is wanted; yours is 0.3"),
    (checks.area, lambda a, c: np.nan, "finite number is wanted; yours holds nan"),
    (checks.area, lambda a, c: a, "One number"),
    (checks.area, sorts_in_place, "changed what it was given"),
]


def waits(calm, told, drift, window, share=0.95):
    """Rounds until the average and the cumulated sum ring, by run."""

    def averages(run):
        return [np.mean(run[t - window : t]) for t in range(window, len(run) + 1)]

    def rounds(watch, early):
        border = np.quantile([max(watch(run)) for run in calm], share)
        for run in told:
            late = [t for t, value in enumerate(watch(run), early) if value >= border]
            yield min(late, default=len(run))

    def summed(run):
        return risk.cusum(run, drift)

    return [np.array([*rounds(*how)], float) for how in ((averages, window), (summed, 1))]


def of_every_round(calm, told, drift, window):
    """Peace for 95 % of the rounds, not of the runs."""
    rounds = calm.reshape(-1, 1)
    return waits(np.repeat(rounds, told.shape[1], axis=1), told, drift, window)


ALARM = answers(waits, ("adding up", "average"))
RIGHT += [(checks.alarm_trial, answer) for answer in ALARM[0]]
WRONG += [(checks.alarm_trial, answer, hint) for answer, hint in ALARM[1]]
WRONG += [
    (checks.alarm_trial, answers(of_every_round, ("adding up", "average"))[0][0], "wanted at")
]


def leans(book, shocks, desks, low, high):
    fair = ((shocks >= low) & (shocks <= high)).all(axis=1)
    loss, desks = risk.stress_losses(book, shocks[fair]), desks[fair]
    desk = desks[loss.argmax()]
    return desk, loss.max(), loss[desks != desk].max()


def leans_by_loop(book, shocks, desks, low, high):
    worst = {}
    for shock, desk in zip(shocks.tolist(), desks.tolist(), strict=True):
        if all(low <= x <= high for x in shock):
            loss = -sum(b * x for b, x in zip(book, shock, strict=True))
            worst[desk] = max(loss, worst.get(desk, loss))
    desk = max(worst, key=worst.get)
    return [desk, worst[desk], max(loss for k, loss in worst.items() if k != desk)]


def counted_once(book, shocks, desks, low, high):
    """Without the desk's scenario, though another desk sent it too."""
    kept, first = np.unique(shocks, axis=0, return_index=True)
    return leans(book, kept, desks[first], low, high)


def as_votes(book, shocks, desks, low, high):
    each = [(-shocks @ book)[(shocks >= low).all(axis=1) & (desks == k)].max() for k in set(desks)]
    desk = int(np.argmax(each))
    return desk, np.mean(each), np.mean(np.delete(each, desk))


RIGHT += [(checks.leans_on, leans), (checks.leans_on, leans_by_loop)]
WRONG += [
    (checks.leans_on, lambda b, s, d, low, high: leans(b, s, d, -9, 9), "is refused"),
    (checks.leans_on, lambda b, *rest: leans(-b, *rest), "positive when money is lost"),
    (checks.leans_on, counted_once, "sent is still there"),
    (checks.leans_on, as_votes, "is a vote"),
    (
        checks.leans_on,
        lambda *given: (leans(*given)[0] + 1, *leans(*given)[1:]),
        "counted from 0",
    ),
    (
        checks.leans_on,
        lambda *given: (*leans(*given)[:2], leans(*given)[1] - leans(*given)[2]),
        "not the difference",
    ),
    (checks.leans_on, lambda *given: leans(*given)[1], "A desk and two losses"),
]
