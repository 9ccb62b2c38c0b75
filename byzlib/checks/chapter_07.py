"""Checkers of chapter 07: mixing, clipping with a radius of its own, buckets under lies."""

import numpy as np

from byzlib.aggregators import bucketing, centered_clipping, median, nearest_neighbor_mixing
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import array, ask, exercise, judge, require, shape_of


@exercise("Exercise 7.3 a", "equation (7.1), and the example with 0, 1, 2, 9 above it.")
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


@exercise("Exercise 7.3 b", "equation (7.3), and which n distances the radius is the median of.")
def clip_by_median(answer):
    """`answer(updates, center)` is one step of centered clipping; half of the rows are clipped."""
    rng = np.random.default_rng(7)
    drawn = []
    for n, d, still in [(6, 3, 0), (5, 1, 0), (9, 4, 2), (7, 2, 1), (5, 2, 3)]:
        x, center = rng.integers(-9, 10, (n, d)).astype(float), rng.integers(-3, 4, d) + 0.5
        x[:still] = center  # their distance is 0, and they count
        drawn.append((x, center))
    small = drawn[0][0] / 16, drawn[0][1] / 16
    for x, center in [*drawn, small, (np.full((4, 2), 3.0), np.full(2, 3.0))]:
        d = len(center)
        value = ask(answer, x, center, shape=(d,), wanted=f"a center has {d} numbers.")
        pull = x - center
        length = np.linalg.norm(pull, axis=1, keepdims=True)
        divided = (
            "rows on the center have length 0, and so may the radius: you divided by it; "
            "their pull is 0."
        )
        require(np.isfinite(value).all() or length.all(), divided)
        radius, safe = np.median(length), np.maximum(length, 1e-300)
        factor = np.minimum(1, radius / safe)
        right, step = center + (pull * factor).mean(axis=0), pull * factor
        away = length[:, 0] > 0

        def clipped_at(radius, pull=pull, safe=safe, center=center):
            return center + (pull * np.minimum(1, radius / safe)).mean(axis=0)

        mistakes = {
            "if all rows stand on the center, it stays where it is.":
                right if away.any() else (0 * right, 2 * right),
            "that is the step alone; add the center to it.": right - center,
            "you add up the pulls; their average is wanted, a sum divided by n.":
                center + step.sum(axis=0),
            "rows on the center are rows: their distance, 0, belongs to the median.":
                clipped_at(np.median(length[away])) if away.any() else right,
            "rows on the center are rows: their pull, 0, belongs to the average.":
                center + step.sum(axis=0) / max(away.sum(), 1),
            "you left out the rows on the center: they belong to the median and to the average.":
                clipped_at(np.median(length[away]), pull[away], safe[away])
                if away.any() else right,
            "you stretch short pulls to the radius; rows nearer than it count as they are.":
                center + (pull * radius / safe).mean(axis=0),
            "the radius is the median of the distances to the center, not to the average.":
                clipped_at(np.median(np.linalg.norm(x - x.mean(axis=0), axis=1))),
            "the radius is the median of the distances, not their mean.": clipped_at(length.mean()),
            "the radius is the median of the lengths of the pulls, not of the rows.":
                clipped_at(np.median(np.linalg.norm(x, axis=1))),
            "you clip around zero; clip what is left of a row after the center is subtracted.":
                centered_clipping(x, max(radius, 1e-300)),
            "you clip each number by itself; the length of the whole pull is what counts.":
                center + np.clip(pull, -radius, radius).mean(axis=0),
            "you drop the rows beyond the radius; they are shortened, not dropped.":
                center + np.where(length > radius, 0, pull).mean(axis=0),
            "that is the mean; nothing was clipped.": x.mean(axis=0),
        }  # fmt: skip
        judge(value, right, mistakes)


@exercise("Exercise 7.3 c", "the section on what each helper mends, and chapter 00 for pairs.")
def bucket_trial(answer):
    """`answer(honest, liars, s)` is (low, high, who): with buckets minus without."""
    rng = np.random.default_rng(73)
    for rounds, h, liars, s, differ in [
        (30, 18, 0, 3, 3), (24, 15, 3, 2, 3), (20, 16, 2, 2, 3), (12, 9, 1, 2, 0),
    ]:  # fmt: skip
        taught = differ * np.repeat(np.eye(3)[np.arange(h) % 3], 4, axis=1)
        honest = taught + rng.standard_normal((rounds, h, 12))
        found = ask(answer, honest, liars, s, shape=None)
        middle = honest.mean(axis=1)

        def off(rows, middle=middle):
            return np.linalg.norm(median(rows) - middle, axis=1)

        def crowd(scale, honest=honest, middle=middle, liars=liars):
            lies = np.repeat(scale * middle[:, None], liars, axis=1)
            return np.concatenate([honest, lies], axis=1)

        rows = crowd(-10)
        alike = np.stack([bucketing(row, s, rng=0) for row in rows])
        lengths = [np.linalg.norm(median(x), axis=1) for x in (bucketing(rows, s, rng=0), rows)]
        quiet = crowd(-1)
        mistakes = {
            "every round got the same buckets; draw them for all rounds in one call.":
                (off(alike), off(rows)),
            "measure the distance to the honest average, not to zero.": lengths,
            "the liars send ten times the average, turned round.":
                (off(bucketing(quiet, s, rng=0)), off(quiet)),
        }  # fmt: skip
        one, other = off(bucketing(rows, s, rng=0)), off(rows)
        where = f"with {liars} liars among {h + liars}, s = {s}"
        judge_experiment(found, one, other, ("buckets", "plain"), where, mistakes)
