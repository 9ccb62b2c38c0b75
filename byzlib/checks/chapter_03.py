"""Checkers of chapter 03: who steps farther forward, and the mean of the best rows."""

import numpy as np

from byzlib.aggregators import mean, multi_krum
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge


@exercise("Exercise 3.3 a", "equations (1.4) and (3.9), and the cell that prints the shares of g.")
def farther_forward(answer):
    """`answer(draw, g, loudness, seeds)` is (low, high, rule): steps, mean - Multi-Krum."""
    g = 5 * np.eye(100)[3]

    def draw(seed):
        return np.random.default_rng(seed).normal(g, 1, (6, 7, 100))

    for loudness, seeds in [(1, [*range(10)]), (4, [*range(8)]), (1.58, [*range(6)])]:
        steps = []
        for seed in seeds:
            honest = draw(seed)
            lie = -loudness * honest.mean(axis=1, keepdims=True)
            rows = np.concatenate([honest, np.repeat(lie, 3, axis=1)], axis=1)
            shares = [rule(rows) @ g / (g @ g) for rule in (mean, lambda x: multi_krum(x, 3))]
            steps.append(np.mean(shares, axis=1))
        found = ask(answer, draw, g, loudness, seeds, shape=None)
        words = ("mean", "Multi-Krum")
        judge_experiment(found, *np.transpose(steps), words, f"at loudness {loudness}")


@exercise("Exercise 3.3 b", "equation (3.7): which rows, and what is done with them.")
def average_best(answer):
    """`answer(updates, scores, m)` is the mean of the m rows with the smallest scores."""
    rng = np.random.default_rng(8)
    for n, d, m in [(7, 3, 3), (10, 2, 7), (5, 4, 1), (6, 2, 6)]:
        updates = rng.integers(-9, 10, (n, d)).astype(float)
        score = rng.permutation(n) * 7.0 - 3
        ordered = updates[np.argsort(score)]
        mistakes = {
            "that is the sum of the best rows: divide by m.": ordered[:m].sum(axis=0),
            "those are the rows with the largest scores.": ordered[-m:].mean(axis=0),
            "that is the best row alone, Krum; m of them are averaged.": ordered[0],
            "those are the first m rows as they came, not the best.": updates[:m].mean(axis=0),
            "that is the mean of all rows.": updates.mean(axis=0),
            "that is one row too many.": ordered[: m + 1].mean(axis=0),
        }
        got = ask(answer, updates, score, m, shape=(d,), wanted=f"One row of {d} numbers, please.")
        judge(got, ordered[:m].mean(axis=0), mistakes)
