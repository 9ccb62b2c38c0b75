"""Answers to the exercises of chapter 05: right ones, and wrong ones with their hint."""

import statistics

import numpy as np

from byzlib import checks
from byzlib.aggregators import geometric_median, geometric_median_of_means
from tests.answers.experiment import answers


def balanced(rows, z, allowed=lambda stand: stand, tol=1e-6):
    away = rows - z
    distance = np.linalg.norm(away, axis=1)
    apart = distance > 0
    pull = (away[apart] / distance[apart, None]).sum(axis=0)
    return bool(np.linalg.norm(pull) <= allowed((~apart).sum()) + tol)


def balanced_by_loop(rows, z):
    pull, here = np.zeros(len(z)), 0
    for row in rows:
        if tuple(row) == tuple(z):
            here += 1
        else:
            pull = pull + (row - z) / sum((row - z) ** 2) ** 0.5
    return sum(pull**2) ** 0.5 <= here + 1e-6


def nearest_by_library(rows, z):
    return np.allclose(geometric_median(rows), z, atol=1e-4)


def without_reports(rows, z):
    return balanced(rows, z) and not (rows == z).all(axis=1).any()


def dividing_by_zero(rows, z):
    away = rows - z
    return bool(np.linalg.norm((away / np.linalg.norm(away, axis=1)[:, None]).sum(axis=0)) < 1e-6)


def groups_by_loop(reports, k):
    size = len(reports) // k
    return statistics.median(sum(reports[i * size : (i + 1) * size]) / size for i in range(k))


def groups_by_library(reports, k):
    means = np.asarray(reports).reshape(k, -1).mean(axis=1)
    return geometric_median_of_means(means[:, None], k, 0).item()


def groups_sorted(reports, k):
    return np.median(np.sort(reports).reshape(k, -1).mean(axis=1))


def groups_in_place(reports, k):
    reports.sort()
    return np.median(reports.reshape(k, -1).mean(axis=1))


def root_mean_squares(draw, seeds, groups=10):
    """Errors of the firms' median and of the groups', seed by seed."""
    firms = np.array([draw(seed) for seed in seeds])
    means = firms.reshape(*firms.shape[:2], groups, -1).mean(axis=-1)
    return [np.sqrt((np.median(x, axis=-1) ** 2).mean(axis=-1)) for x in (firms, means)]


WORDS = ("groups", "firms")
GROUPS = answers(root_mean_squares, WORDS)


RIGHT = [
    *[(checks.groups_or_firms, answer) for answer in GROUPS[0]],
    (checks.is_geometric_median, balanced),
    (checks.is_geometric_median, balanced_by_loop),
    (checks.is_geometric_median, lambda rows, z: np.bool_(balanced(rows, z))),
    (checks.median_of_means, groups_by_loop),
    (checks.median_of_means, groups_by_library),
    (checks.median_of_means, lambda x, k: [groups_by_loop(x, k)][0]),
]

WRONG = [
    *[(checks.groups_or_firms, answer, hint) for answer, hint in GROUPS[1]],
    (checks.is_geometric_median, lambda rows, z: balanced(rows[:, :2], z[:2]), "not above it"),
    (checks.is_geometric_median, nearest_by_library, "not at how near a computed median is"),
    (
        checks.is_geometric_median,
        lambda rows, z: bool(np.allclose(geometric_median(rows), z, rtol=0, atol=1e-8)),
        "One computed median is not all of them",
    ),
    (checks.is_geometric_median, lambda rows, z: 1, "True or False; got 1"),
    (checks.is_geometric_median, lambda rows, z: False, "four strings cancel"),
    (checks.is_geometric_median, lambda rows, z: True, "add up to zero"),
    (
        checks.is_geometric_median,
        lambda rows, z: np.allclose(rows.mean(axis=0), z) or balanced(rows, z),
        "that is the mean",
    ),
    (
        checks.is_geometric_median,
        lambda rows, z: balanced(rows, z, lambda stand: max(stand, 1)),
        "add up to zero",
    ),
    (checks.is_geometric_median, lambda rows, z: balanced(rows, z, tol=0.2), "small but not zero"),
    (checks.is_geometric_median, without_reports, "string has length zero"),
    (checks.is_geometric_median, dividing_by_zero, "string has length zero"),
    (
        checks.is_geometric_median,
        lambda rows, z: balanced(rows, z) or bool((rows == z).all(axis=1).any()),
        "not every report is a middle",
    ),
    (
        checks.is_geometric_median,
        lambda rows, z: balanced(rows, z, lambda stand: min(stand, 1)),
        "hold against a pull of 3",
    ),
    (
        checks.is_geometric_median,
        lambda rows, z: balanced(rows, z, lambda stand: stand * 1.6 if stand > 1 else stand),
        "at most 2",
    ),
    (checks.median_of_means, lambda x, k: x.mean(), "the mean of all"),
    (checks.median_of_means, lambda x, k: np.median(x), "average inside the groups first"),
    (checks.median_of_means, groups_sorted, "leave the reports in their order"),
    (checks.median_of_means, groups_in_place, "changed what it was given"),
    (
        checks.median_of_means,
        lambda x, k: np.median(x.reshape(k, -1), axis=1).mean(),
        "the other way round",
    ),
    (
        checks.median_of_means,
        lambda x, k: np.median(x.reshape(-1, k).mean(axis=1)),
        "groups of k, not k groups",
    ),
    (
        checks.median_of_means,
        lambda x, k: np.median(x.reshape(-1, k).mean(axis=0)),
        "dealt the reports round",
    ),
    (checks.median_of_means, lambda x, k: x[0] + 1, "is wanted; yours is 1.708"),
    (checks.median_of_means, lambda x, k: np.nan, "finite number is wanted; yours holds nan"),
    (checks.median_of_means, lambda x, k: x, "One number"),
    (
        checks.groups_or_firms,
        answers(lambda draw, seeds: root_mean_squares(draw, seeds, 3), WORDS)[0][0],
        "is wanted at place",
    ),
]
