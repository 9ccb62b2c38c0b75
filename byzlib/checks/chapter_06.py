"""Checkers of chapter 06: nearest neighbor mixing, one step of centered clipping."""

import numpy as np

from byzlib.aggregators import centered_clipping, nearest_neighbor_mixing
from byzlib.checks._form import array, exercise, require, shape_of


@exercise("Exercise 6.3 a", "equation (6.4), and the example with 0, 1, 2, 9 above it.")
def mix(answer):
    """`answer(updates, f)` has in each row the mean of the n - f rows nearest to that row."""
    rng = np.random.default_rng(6)
    for n, f, d in [(6, 2, 3), (9, 3, 1), (5, 1, 4), (7, 0, 2)]:
        updates = rng.standard_normal((n, d))
        given = updates.copy()
        value = answer(updates, f)
        require(np.array_equal(updates, given), "your function changed the updates.")
        require(
            shape_of(value) != (d,),
            "your function returned one row; mixing gives a new row for each client.",
        )
        value = array(value, (n, d), f"{n} rows of {d} numbers are wanted.")
        require(np.isfinite(value).all(), "a mean of finite rows is finite; yours holds NaN.")
        right = nearest_neighbor_mixing(updates, f)
        if np.allclose(value, right):
            continue
        for wrong, hint in _mixing_mistakes(updates, f, right):
            require(not np.allclose(value, wrong), hint)
        require(False, f"with n = {n}, f = {f} the first row came to {value[0]}, not {right[0]}.")


def _mixing_mistakes(updates, f, right):
    n = len(updates)
    gap = np.linalg.norm(updates[:, None] - updates, axis=-1)
    order = np.argsort(gap, axis=1)

    def mean_of(places):
        return updates[places].mean(axis=1)

    yield right * (n - f), "your rows are sums; divide by n - f."
    yield right * (n - f) / n, "you divide by n; only n - f rows go into each mean."
    yield mean_of(order[:, 1 : n - f + 1]), "you leave the row itself out; it is its own neighbour."
    if n - f > 1:
        yield (
            mean_of(order[:, 1 : n - f]),
            "you leave the row itself out; n - f rows are wanted, the row among them.",
        )
    if f > 0:
        yield mean_of(order[:, : n - f + 1]), "you take a neighbour too many: n - f, row included."
        yield mean_of(order[:, : max(f, 1)]), "you average the f nearest; n - f are wanted."
        yield mean_of(order[:, f:]), "you average the farthest rows, not the nearest."
    yield updates, "your rows came back as they were."


@exercise("Exercise 6.3 b", "equation (6.3), and the example with 1, 2, 3, 4, 100 below it.")
def clip_around(answer):
    """`answer(updates, center, radius)` is one step of centered clipping from that center."""
    rng = np.random.default_rng(7)
    for n, d, radius in [(6, 3, 1.5), (5, 1, 2.0), (8, 4, 0.5), (4, 2, 50.0)]:
        updates = 3 * rng.standard_normal((n, d))
        center = rng.standard_normal(d)
        given = updates.copy(), center.copy()
        value = array(answer(updates, center, radius), (d,), f"a center has {d} numbers.")
        require(
            np.array_equal(updates, given[0]) and np.array_equal(center, given[1]),
            "your function changed what it was given.",
        )
        right = centered_clipping(updates, radius, center=center)
        if np.allclose(value, right):
            continue
        for wrong, hint in _clipping_mistakes(updates, center, radius, right):
            require(not np.allclose(value, wrong), hint)
        require(False, f"with radius {radius} the center came to {value}, not to {right}.")
    with np.errstate(all="ignore"):
        still = array(
            answer(np.full((4, 2), 3.0), np.full(2, 3.0), 1.0), (2,), "a center is wanted."
        )
    require(
        np.isfinite(still).all(),
        "a row that stands on the center has length 0, and you divided by it; its pull is 0.",
    )
    require(np.allclose(still, 3), "if all rows stand on the center, it stays where it is.")


def _clipping_mistakes(updates, center, radius, right):
    pull = updates - center
    length = np.linalg.norm(pull, axis=1, keepdims=True)
    factor = radius / np.maximum(length, radius)
    yield right - center, "that is the step alone; add the center to it."
    yield (
        center + (pull * factor).sum(axis=0),
        "you add up the pulls; their average is wanted, a sum divided by n.",
    )
    yield (
        center + (pull * radius / length).mean(axis=0),
        "you stretch short pulls to the radius; rows nearer than it count as they are.",
    )
    yield (
        centered_clipping(updates, radius),
        "you clip around zero; clip what is left of a row after the center is subtracted.",
    )
    yield (
        center + centered_clipping(updates, radius),
        "you clip the rows themselves; subtract the center first.",
    )
    yield (
        center + np.clip(pull, -radius, radius).mean(axis=0),
        "you clip each number by itself; the length of the whole pull is what counts.",
    )
    yield (
        center + (pull * np.minimum(1, radius / length**2)).mean(axis=0),
        "you divide by the squared length; the length itself is wanted.",
    )
    yield (
        center + np.where(length > radius, 0, pull).mean(axis=0),
        "you drop the rows beyond the radius; they are shortened, not dropped.",
    )
    yield updates.mean(axis=0), "that is the mean; nothing was clipped."
