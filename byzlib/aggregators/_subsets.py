"""The subset of least diameter, by branch and bound."""

import numpy as np

PATIENCE = 20_000  # branches after which the search is given up


def closest_subset(table, f, order):
    """Which n - f clients of one trial lie closest together.

    Parameters
    ----------
    table : (n, n) array of squared distances
    f : int
        How many to leave out.
    order : (n,) int array
        Place of each client in lexicographic order; decides between subsets of equal diameter and
        equal sum of squared distances.

    Returns
    -------
    (n - f,) int array in ascending order, or None when the search was given up.

    Leaving out f clients so that no pair is farther apart than t is covering all longer pairs with
    f vertices. Halving finds the least such t; a second search, among its covers, the smallest sum.
    """
    budget = [PATIENCE]
    diameter = least_diameter(table, f, budget)
    if budget[0] <= 0:
        return None
    finite = np.where(np.isfinite(table), table, 0.0)
    # Sums of equal members must not differ by the order of adding: it is the lexicographic one.
    by_value = np.argsort(order)
    ordered = np.ix_(by_value, by_value)
    best = _smallest_sum(table[ordered] > diameter, finite[ordered], f, budget)
    return None if budget[0] <= 0 else np.sort(by_value[best])


def least_diameter(table, f, budget=None):
    """The least t for which f vertices touch all pairs that are farther apart than t."""
    levels, budget = np.unique(table), budget or [PATIENCE]
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if _cover(table > levels[middle], f, budget):
            high = middle
        else:
            low = middle + 1
    return levels[low]


def _cover(edges, f, budget):
    """Can f vertices touch all edges?"""
    budget[0] -= 1
    degree = edges.sum(axis=1)
    i = degree.argmax()
    if degree[i] == 0:
        return True
    if f == 0 or budget[0] <= 0 or degree.sum() > 2 * f * degree[i]:
        return False
    if degree[i] > f:  # all its neighbours would be too many
        return _cover(_without(edges, [i]), f - 1, budget)
    if degree[i] == 1:  # only separate pairs are left, each takes one vertex
        return degree.sum() // 2 <= f
    neighbours = np.flatnonzero(edges[i])
    return _cover(_without(edges, [i]), f - 1, budget) or _cover(
        _without(edges, neighbours), f - len(neighbours), budget
    )


def _without(edges, vertices):
    edges = edges.copy()
    edges[vertices] = edges[:, vertices] = False
    return edges


def _smallest_sum(edges, table, f, budget):
    """Members left when f vertices that touch all edges are removed, of the smallest total."""
    best = [np.inf, None]

    def search(alive, kept, f):
        budget[0] -= 1
        if budget[0] <= 0:
            return
        degree = edges[:, alive].sum(axis=1) * alive
        if degree.any():
            i = degree.argmax()
            cut = edges[i] & alive
            if f and not kept[i]:
                search(_minus(alive, i), kept, f - 1)
            if not (cut & kept).any() and cut.sum() <= f:
                search(alive & ~cut, kept | (np.arange(len(kept)) == i), f - cut.sum())
            return
        members = np.flatnonzero(alive)
        inside = table[np.ix_(members, members)]
        if f == 0:
            # Sorted, so that equal pairs give equal sums whatever their order.
            entry = np.sort(inside.ravel()).sum(), tuple(members)
            if best[1] is None or entry < tuple(best):
                best[:] = entry
            return
        weight, undecided = inside.sum(axis=1), ~kept[members]
        if undecided.sum() >= f and np.ptp(inside[~np.eye(len(members), dtype=bool)]) == 0:
            # All pairs are equally far apart: the first in lexicographic order stay.
            last = members[undecided][len(members[undecided]) - f :]
            search(alive & ~np.isin(np.arange(len(alive)), last), kept, 0)
            return
        # Removing f vertices takes away at most twice their own sums.
        most = np.sort(weight[undecided])[::-1][:f].sum()
        if undecided.sum() < f or inside.sum() - 2 * most > best[0] * (1 + 1e-12):
            return
        i = members[np.where(undecided, weight, -1.0).argmax()]
        search(_minus(alive, i), kept, f - 1)
        search(alive, kept | (np.arange(len(kept)) == i), f)

    search(np.ones(len(table), dtype=bool), np.zeros(len(table), dtype=bool), f)
    return None if best[1] is None else np.array(best[1])


def _minus(alive, i):
    alive = alive.copy()
    alive[i] = False
    return alive
