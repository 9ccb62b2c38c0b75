"""Answers to the exercises of chapter 13: right ones, and wrong ones with their hint."""

import statistics

import numpy as np

from byzlib import checks
from byzlib.aggregators import krum, median
from tests.answers.experiment import answers


def spread_by_loop(rows):
    centre = [sum(column) / len(rows) for column in rows.T]
    apart = sum(sum((x - c) ** 2 for x, c in zip(r, centre, strict=True)) for r in rows)
    return apart / len(rows) / sum(c**2 for c in centre)


def spread_by_variance(rows):
    return rows.var(axis=0).sum() / (rows.mean(axis=0) ** 2).sum()


def spread_in_place(rows):
    centre = rows.mean(axis=0)
    rows -= centre
    return (rows**2).sum(axis=1).mean() / (centre**2).sum()


def spread(top=lambda a: a.mean(), bottom=lambda size, rows: size):
    """Ratios that are nearly right."""

    def ratio(rows):
        centre = rows.mean(axis=0)
        return top(((rows - centre) ** 2).sum(axis=1)) / bottom((centre**2).sum(), rows)

    return ratio


def shares(claims):
    return claims / claims.sum()


def capped(claims):
    return shares(np.minimum(claims, np.median(claims)))


def capped_by_loop(claims):
    most = statistics.median(claims.tolist())
    kept = [min(c, most) for c in claims.tolist()]
    return [k / sum(kept) for k in kept]


def capped_in_place(claims):
    claims[claims > np.median(claims)] = int(np.median(claims))
    return shares(claims)


def slopes(theta, after, rate, p, hidden):
    return ((theta - after) / rate)[: (p + 1) * hidden].reshape(p + 1, hidden)


def read(theta, after, rate, p, hidden):
    layer = slopes(theta, after, rate, p, hidden)
    j = np.abs(layer[-1]).argmax()
    return layer[:-1, j] / layer[-1, j]


def read_by_least_squares(theta, after, rate, p, hidden):
    layer = after[: (p + 1) * hidden] - theta[: (p + 1) * hidden]
    layer = layer.reshape(p + 1, hidden)
    return layer[:-1] @ layer[-1] / (layer[-1] @ layer[-1])


def read_first_unit(*told):
    layer = slopes(*told)
    return layer[:-1, 0] / layer[-1, 0]


def read_all_units(*told):
    layer = slopes(*told)
    return (layer[:-1] / layer[-1]).mean(axis=1)


def read_raw(*told):
    layer = slopes(*told)
    return layer[:-1, np.abs(layer[-1]).argmax()]


def read_largest(*told):
    layer = slopes(*told)
    j = layer[-1].argmax()
    return layer[:-1, j] / layer[-1, j]


def read_transposed(theta, after, rate, p, hidden):
    layer = ((theta - after) / rate)[: (p + 1) * hidden].reshape(hidden, p + 1)
    j = np.abs(layer[:, -1]).argmax()
    return layer[j, :-1] / layer[j, -1]


RIGHT = [
    (checks.heterogeneity, spread()),
    (checks.heterogeneity, spread_by_loop),
    (checks.heterogeneity, spread_by_variance),
    (checks.capped_weights, capped),
    (checks.capped_weights, capped_by_loop),
    (checks.read_candle, read),
    (checks.read_candle, read_by_least_squares),
]

WRONG = [
    (checks.heterogeneity, spread(lambda a: a.sum()), "take their mean"),
    (checks.heterogeneity, spread(lambda a: a.sum() / (len(a) - 1)), "divides by n"),
    (
        checks.heterogeneity,
        lambda rows: rows.var(axis=0).mean() / (rows.mean(axis=0) ** 2).sum(),
        "average over rows",
    ),
    (checks.heterogeneity, spread(bottom=lambda size, rows: 1), "did not divide"),
    (checks.heterogeneity, spread(bottom=lambda size, rows: size**0.5), "not by its square"),
    (checks.heterogeneity, lambda rows: spread()(rows) ** 0.5, "square root"),
    (
        checks.heterogeneity,
        spread(bottom=lambda size, rows: (rows**2).sum(axis=1).mean()),
        "what they share",
    ),
    (checks.heterogeneity, spread(lambda a: np.sqrt(a).mean()), "squared before"),
    (checks.heterogeneity, spread_in_place, "changed what it was given"),
    (checks.heterogeneity, lambda rows: np.nan, "finite number is wanted; yours holds nan"),
    (checks.heterogeneity, lambda rows: rows, "One number"),
    (checks.capped_weights, lambda c: np.minimum(c, np.median(c)), "divide by their sum"),
    (checks.capped_weights, shares, "no cap was set"),
    (checks.capped_weights, lambda c: np.full(len(c), 1 / len(c)), "keep their size"),
    (checks.capped_weights, lambda c: shares(np.minimum(c, c.mean())), "which a liar moves"),
    (
        checks.capped_weights,
        lambda c: np.minimum(c, np.median(c)) / c.sum(),
        "before the cap",
    ),
    (checks.capped_weights, lambda c: shares(np.maximum(c, np.median(c))), "cut the large"),
    (
        checks.capped_weights,
        lambda c: shares(np.where(c > np.median(c), 0, c)),
        "counts as the median",
    ),
    (checks.capped_weights, capped_in_place, "changed what it was given"),
    (checks.capped_weights, lambda c: 2 * capped(c), "add up to 2"),
    (checks.capped_weights, lambda c: shares(np.minimum(c, c.min() + 1)), "is wanted at place 1"),
    (checks.capped_weights, lambda c: c * np.nan, "finite number is wanted; yours holds nan"),
    (checks.capped_weights, lambda c: 1.0, "One weight a client"),
    (checks.read_candle, read_first_unit, "divided by zero"),
    (checks.read_candle, read_all_units, "divided by zero"),
    (checks.read_candle, read_largest, "largest in size; all of them may be negative"),
    (checks.read_candle, lambda *told: -read(*told), "wrong sign"),
    (checks.read_candle, lambda *told: 1 / read(*told), "turn the quotient round"),
    (checks.read_candle, read_raw, "divide by the bias gradient"),
    (
        checks.read_candle,
        lambda theta, after, rate, p, k: read(theta, after, rate, p, k) / rate,
        "cancels in the quotient",
    ),
    (checks.read_candle, read_transposed, "columns are hidden units"),
    (checks.read_candle, lambda *told: slopes(*told), "features, please"),
]


def errors(honest, noise, q, bias, around=np.mean):
    """Distance of Krum and of the median from the honest average, by round."""
    found = []
    for own, drawn in zip(honest, noise, strict=True):
        clean = around(own, axis=0) + q * drawn
        clean[:, 0] += bias
        rows = np.vstack([own, clean])
        found.append([np.linalg.norm(F - own.mean(axis=0)) for F in (krum(rows, 3), median(rows))])
    return np.transpose(found)


def around_the_median(*given):
    return errors(*given, around=np.median)


CLEAN = answers(errors, ("Krum", "median"))
RIGHT += [(checks.clean_trial, answer) for answer in CLEAN[0]]
WRONG += [(checks.clean_trial, answer, hint) for answer, hint in CLEAN[1]]
WRONG += [
    (checks.clean_trial, answers(around_the_median, ("Krum", "median"))[0][0], "is wanted at")
]
