"""Checkers of chapter 06: nearest neighbor mixing, one step of centered clipping."""

import numpy as np

from byzlib.aggregators import centered_clipping, nearest_neighbor_mixing
from byzlib.checks._form import array, ask, exercise, judge, require, shape_of


@exercise("Exercise 6.3 a", "equation (6.4), and the example with 0, 1, 2, 9 above it.")
def mix(answer):
    """`answer(updates, f)` has in each row the mean of the n - f rows nearest to that row."""
    rng = np.random.default_rng(6)
    drawn = [(rng.normal(0, 5, (n, d)).round(2), f) for n, f, d in
             [(6, 2, 3), (9, 3, 1), (5, 1, 4), (7, 0, 2)]]  # fmt: skip
    twins = np.array([[4.0, 1], [0, 0], [4, 1], [9, 2], [0, 0]])
    for x, f in [*drawn, (twins, 1), (drawn[0][0].round() + 1e10, 2)]:
        n, d = x.shape
        value = ask(answer, x, f, shape=None)
        one = "your function returned one row; mixing gives a new row for each client."
        require(shape_of(value) != (d,), one)
        value = array(value, (n, d), f"{n} rows of {d} numbers are wanted.")
        right = nearest_neighbor_mixing(x, f)
        order = np.argsort(np.linalg.norm(x[:, None] - x, axis=-1), axis=1)

        def mean_of(first, last, x=x, order=order):
            return x[order[:, first:last]].mean(axis=1)

        mistakes = {
            "your rows are sums; divide by n - f.": right * (n - f),
            "you divide by n; only n - f rows go into each mean.": right * (n - f) / n,
            "you leave the row itself out; it is its own neighbour.":
                mean_of(1, n - f + 1) if f else mean_of(1, n),
            "you leave the row itself out; n - f rows are wanted, the row among them.":
                mean_of(1, n - f),
            "you take a neighbour too many: n - f, row included.": mean_of(0, n - f + 1),
            "you average the f nearest; n - f are wanted.": mean_of(0, max(f, 1)),
            "you average the farthest rows, not the nearest.": mean_of(f, n),
            "your rows came back as they were.": x,
        }  # fmt: skip
        wrong = ~np.isclose(value, right, rtol=1e-12).all(axis=1)
        i = wrong.argmax()
        near = sorted(order[i, : n - f].tolist())
        off = f"row {i} is the mean of rows {near}, {right[i].tolist()}; yours {value[i].tolist()}."
        judge(value, right, mistakes, off, rtol=1e-12)


@exercise("Exercise 6.3 b", "equation (6.3), and the example with 1, 2, 3, 4, 100 below it.")
def clip_around(answer):
    """`answer(updates, center, radius)` is one step of centered clipping from that center."""
    rng = np.random.default_rng(7)
    drawn = [(rng.integers(-9, 10, (n, d)).astype(float), rng.integers(-3, 4, d) + 0.5, radius)
             for n, d, radius in [(6, 3, 5.0), (5, 1, 4.0), (8, 4, 0.5), (4, 2, 50.0)]]  # fmt: skip
    on_it = np.array([[3.0, 3], [3, 3], [4, 3], [3, 12]])
    for x, center, radius in [
        *drawn, (on_it, np.full(2, 3.0), 2.0), (np.full((4, 2), 3.0), np.full(2, 3.0), 1.0),
    ]:  # fmt: skip
        d = len(center)
        value = ask(answer, x, center, radius, shape=(d,), wanted=f"a center has {d} numbers.")
        pull = x - center
        length = np.linalg.norm(pull, axis=1, keepdims=True)
        divided = (
            "a row that stands on the center has length 0, and you divided by it: its pull is 0."
        )
        require(np.isfinite(value).all() or length.all(), divided)
        right = centered_clipping(x, radius, center=center)
        safe, away = np.maximum(length, 1e-300), pull[length[:, 0] > 0]
        step = pull * radius / np.maximum(length, radius)
        mistakes = {
            "if all rows stand on the center, it stays where it is.":
                right if away.size else (0 * right, 2 * right),
            "that is the step alone; add the center to it.": right - center,
            "you add up the pulls; their average is wanted, a sum divided by n.":
                center + step.sum(axis=0),
            "you stretch short pulls to the radius; rows nearer than it count as they are.":
                center + (pull * radius / safe).mean(axis=0),
            "you left out the rows on the center: they pull with 0, and count in the average.":
                center + step.sum(axis=0) / max(len(away), 1),
            "you clip around zero; clip what is left of a row after the center is subtracted.":
                centered_clipping(x, radius),
            "you clip the rows themselves; subtract the center first.":
                center + centered_clipping(x, radius),
            "you clip each number by itself; the length of the whole pull is what counts.":
                center + np.clip(pull, -radius, radius).mean(axis=0),
            "you divide by the squared length; the length itself is wanted.":
                center + (pull * np.minimum(1, radius / safe**2)).mean(axis=0),
            "you drop the rows beyond the radius; they are shortened, not dropped.":
                center + np.where(length > radius, 0, pull).mean(axis=0),
            "that is the mean; nothing was clipped.": x.mean(axis=0),
        }  # fmt: skip
        judge(value, right, mistakes)
