"""The worst that f liars can do to a given rule, searched rather than believed.

Everything is tried by asking the rule: candidates stand on a leading axis, so that a hundred of
them are one call.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from byzlib.aggregators import apply_rule
from byzlib.attacks import optimized as crafted
from byzlib.attacks._contract import as_liars, deviation, marked
from byzlib.theory import as_count, as_generator, as_number, as_updates

GRID = 5  # sizes per factor of ten on a line
LEAST = 1e-2  # the smallest size tried, in honest spreads
ZOOMS, FINER = 5, 9  # times that the search closes in on a size, and how many it tries each time
REACH = 1e3  # honest spreads from the mean
CHAINS, STEPS = 32, 40  # changed copies at a time in the direct search, and times
NUMBERS = 1 << 22  # how many numbers of candidates are laid out at a time


class WorstCase(NamedTuple):
    """What was found.

    Attributes
    ----------
    rows : (..., f, d) array, the lies, of the floating type of the honest rows
    displacement : float or (...) array, how far they move the rule, in units of the updates
    family : str or (...) array of str, the kind of lie it is
    """

    rows: np.ndarray
    displacement: object
    family: object


def worst_case(rule, honest, f, rng=0, *, reach=None, relative=False, steps=None):
    """Search the lies that move a rule most: the largest |rule(honest and lies) - mean(honest)|.

    Four stages, each of which starts from the best so far.
    *Known lies*: the mean, zero, the honest rows themselves, quiet and loud sign flips, a little is
    enough, min-max and min-sum in each direction, Fang's, noise and constants.
    *Lines*: all liars at mean + t p for many t and p: along the mean, its signs, the standard
    deviation, the first principal direction, five honest rows, the axes where d <= 8, three random
    directions; on each of them ever finer around the t that hurts most.
    *Coordinates*: the t of each coordinate on its own that moves this coordinate most. For rules
    that treat coordinates one by one, and equal liars, nothing can be worse.
    *Direct*: random changes of single liars and of all, kept if they help; by default only where
    f d <= 32, for in high dimension they find nothing.

    Parameters
    ----------
    rule : callable (updates, f) or (updates) -> (..., d)
    honest : (..., h, d) array_like, finite
    f : int
        How many liars there are; the rule is told the same number.
    rng : numpy.random.Generator or int
        Draws directions and changes; the same seed finds the same lies.
    reach : float > 0, optional
        No lie is farther than this many honest spreads from the mean, a spread being the root mean
        square distance of honest rows from their mean (1 where they all agree). By default 1000,
        and the known lies as far as they go. The mean follows as far as one likes, f / n of it.
    relative : bool
        Measure from rule(honest, 0), the rule's own answer without liars, instead of the mean.
    steps : int >= 0, optional
        Rounds of the direct search, 32 candidates each; 40 or 0 by default, as said above.

    Returns
    -------
    WorstCase. A lower bound on the worst: the search may miss it. Lies are finite numbers; what a
    rule makes of others `non_finite` shows. For f = 0 there are no rows and the family is "none".

    Raises
    ------
    ValueError
        For honest rows that are not finite, a rule that never gives a finite answer; and what the
        rule itself raises for an n and f it refuses.
    """
    honest = as_updates(honest, "worst_case")
    f, rng = as_liars(f, "worst_case"), as_generator(rng, "worst_case")
    reach = None if reach is None else min(as_number(reach, "reach", "worst_case"), 1e100)
    if not np.isfinite(honest).all():
        raise ValueError("worst_case needs finite honest rows; got NaN or infinity")
    *lead, h, d = honest.shape
    if steps is None:
        steps = STEPS if f * d <= 32 else 0
    elif as_count(steps, "steps", "worst_case") < 0:
        raise ValueError(f"worst_case needs steps >= 0; got {steps}")
    search = _Search(rule, honest.reshape(-1, h, d), f, rng, reach, relative)
    if f == 0:
        search.offer("none", search.honest[None, :, :0])
    else:
        search.try_known()
        search.try_lines()
        search.try_coordinates()
        search.try_changes(steps)
    if not np.isfinite(search.moved).all():
        raise ValueError("worst_case got no finite answer from the rule, whatever the lies")
    rows, moved, family = search.rows, search.moved, np.array(search.family)
    if not lead:
        return WorstCase(rows[0], float(moved[0]), str(family[0]))
    return WorstCase(rows.reshape(*lead, f, d), moved.reshape(lead), family.reshape(lead))


def against(rule, **options):
    """The attack that asks `worst_case` anew in every round.

    Parameters
    ----------
    rule : as in `worst_case`, and its options reach, relative, steps

    Returns
    -------
    An attack (honest, f, rng) that knows all.
    """

    def tailored(honest, f, rng=None):
        return worst_case(rule, honest, f, 0 if rng is None else rng, **options).rows

    return marked(tailored, "omniscient")


class _Search:
    """The best lies so far for each of the trials, (trials, f, d), and ways to better them."""

    def __init__(self, rule, honest, f, rng, reach, relative):
        self.rule, self.honest, self.f, self.rng = rule, honest, f, rng
        self.reach, self.bounded = (REACH if reach is None else reach), reach is not None
        self.exact = honest.astype(np.float64)
        self.mean, self.centered, unit = crafted.centered(self.exact)
        # The mean square distance, taken in units in which it does not overflow.
        size = np.sqrt((self.centered**2).sum(axis=-1).mean(axis=-1))[:, None, None]
        self.spread = np.where(size > 0, size * unit, 1.0)
        self.origin = self.mean[:, 0]
        if relative:
            self.origin = apply_rule(rule, honest, 0, False)[0].astype(np.float64)
        trials, _, d = honest.shape
        self.rows = np.empty((trials, f, d), honest.dtype)
        self.moved = np.full(trials, -np.inf)
        self.family = [""] * trials

    def answers(self, lies):
        """The rule's answers minus the origin, (candidates, trials, d), as float64."""
        count, depth = len(lies), max(1, NUMBERS // self.crowd_size)
        moves = np.empty((count, *self.origin.shape))
        for k in range(0, count, depth):
            part = lies[k : k + depth]
            crowd = np.broadcast_to(self.honest, (len(part), *self.honest.shape))
            everyone = np.concatenate([crowd, part], axis=-2)
            moves[k : k + depth] = apply_rule(self.rule, everyone, self.f, False)[0] - self.origin
        return moves

    @property
    def crowd_size(self):
        trials, h, d = self.honest.shape
        return trials * (h + self.f) * d

    def offer(self, family, lies):
        """Try candidates (k, trials, f or 1, d) of a family of lies.

        Keeps the best of each trial, and returns how far each moves the rule, (k, trials, d).
        """
        trials, _, d = self.honest.shape
        if self.bounded:
            lies = self.within(lies, self.reach)
        with np.errstate(over="ignore"):
            lies = np.broadcast_to(lies, (len(lies), trials, self.f, d)).astype(self.honest.dtype)
        moves = self.answers(lies)
        lengths = np.where(np.isfinite(lies).all(axis=(-2, -1)), self.lengths(moves), -np.inf)
        best = lengths.argmax(axis=0)
        for t in np.flatnonzero(lengths.max(axis=0) > self.moved):
            self.rows[t], self.moved[t] = lies[best[t], t], lengths[best[t], t]
            self.family[t] = family
        return moves

    def lengths(self, moves):
        """How far moves (k, trials, d) go; an answer that is no number counts as no harm."""
        spread = self.spread[:, :, 0]
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(moves / spread, axis=-1) * spread[:, 0]
        return np.where(np.isfinite(lengths), lengths, -np.inf)

    def within(self, lies, reach):
        """The lies, drawn in to `reach` spreads from the mean where they are farther."""
        away = (lies - self.mean) / self.spread
        far = np.linalg.norm(away, axis=-1, keepdims=True)
        inward = np.divide(reach, far, out=np.ones_like(far), where=far > reach)
        return np.where(far > reach, self.mean + away * inward * self.spread, lies)

    def try_known(self):
        """The attacks of the book as they are."""
        honest, f, rng = self.exact, self.f, self.rng
        n = honest.shape[1] + f
        std = deviation(honest)
        self.offer("mean", self.mean[None])
        self.offer("zero", 0 * self.mean[None])
        self.offer("mimic", honest.swapaxes(0, 1)[:, :, None])
        self.offer("sign flip", np.multiply.outer([-0.1, -0.5, -1.0, -10.0], self.mean))
        shifts = np.multiply.outer([-1.5, -1.0, -0.5, 0.5, 1.0, 1.5], std)
        self.offer("a little is enough", self.mean + shifts)
        for name in crafted.DIRECTIONS:
            self.offer("min-max", crafted.min_max(honest, f, direction=name)[None])
            self.offer("min-sum", crafted.min_sum(honest, f, direction=name)[None])
        self.offer("Fang", crafted.fang(honest, f, rng)[None])
        if n >= 2 * f + 3:
            self.offer("Fang", crafted.fang(honest, f, against="Krum")[None])
        noise = rng.standard_normal((3, 3, len(honest), f, honest.shape[2]))
        scales = np.multiply.outer([1.0, 10.0, 100.0], np.maximum(self.spread, 1.0))
        self.offer("noise", (scales[:, None] * noise).reshape(-1, *noise.shape[2:]))
        self.offer("constant", np.multiply.outer([-100.0, 100.0], np.ones_like(self.mean)))

    def try_lines(self):
        """All liars at mean + t p, |t| <= reach spreads; finer where it hurts most."""
        trials = len(self.honest)
        sizes = np.broadcast_to(self.sizes[:, None], (len(self.sizes), trials))
        for family, direction in self.directions():
            along = partial(self.along, family, self.scaled(direction))
            _closing_in(along, sizes, along(sizes).argmax(axis=0))

    def along(self, family, p, sizes):
        """How far the lies mean + t p move the rule, for sizes t (k, trials)."""
        return self.lengths(self.offer(family, self.mean + sizes[..., None, None] * p))

    def scaled(self, direction):
        """A direction (trials, 1, d), one honest spread long; zero stays zero."""
        largest = np.abs(direction).max(axis=-1, keepdims=True)
        unit = np.divide(direction, largest, out=np.zeros_like(direction), where=largest > 0)
        length = np.linalg.norm(unit, axis=-1, keepdims=True)  # at least 1, or 0
        return unit / np.maximum(length, 1) * self.spread

    def directions(self):
        """(family, (trials, 1, d)) of the lines."""
        rows = self.centered
        trials, h, d = rows.shape
        yield "sign flip", self.mean
        yield "signs of the mean", np.sign(self.mean)
        yield "a little is enough", rows.std(axis=-2, keepdims=True)
        along = np.linalg.eigh(rows @ rows.swapaxes(-1, -2))[1][:, None, :, -1]
        yield "principal direction", along @ rows
        for i in self.rng.permutation(h)[:5]:
            yield "towards an honest row", rows[:, i : i + 1]
        for j in range(d if d <= 8 else 0):
            yield "one coordinate", np.broadcast_to(np.eye(d)[j], (trials, 1, d))
        for _ in range(3 if d > 1 else 0):
            yield "random direction", self.rng.standard_normal((trials, 1, d))

    @property
    def sizes(self):
        count = 1 + int(np.ceil(GRID * np.log10(max(self.reach / LEAST, 10))))
        sizes = np.geomspace(min(LEAST, self.reach / 10), self.reach, count)
        return np.concatenate([-sizes[::-1], [0.0], sizes])

    def try_coordinates(self):
        """Each coordinate's own size, chosen by how far that coordinate of the answer moves."""
        std = deviation(self.exact)
        std = np.where(std > 0, std, self.spread / np.sqrt(std.shape[-1]))

        def at(sizes):  # (k, trials, d)
            lies = self.within(self.mean + sizes[:, :, None, :] * std, self.reach)
            moved = np.abs(self.offer("coordinate by coordinate", lies))
            return np.where(np.isfinite(moved), moved, -np.inf)

        sizes = np.broadcast_to(self.sizes[:, None, None], (len(self.sizes), *self.origin.shape))
        best = _closing_in(at, sizes, at(sizes).argmax(axis=0))
        lies = self.mean + best[:, None, :] * std
        self.offer("coordinate by coordinate", self.within(lies[None], self.reach))

    def try_changes(self, steps):
        """Random changes: a liar joins another row, some shift, all shift; keep what helps."""
        trials, f, d = self.rows.shape
        rng, shape = self.rng, (CHAINS, trials, f, d)
        for _ in range(steps):
            sizes = 10 ** rng.uniform(-5, 1, (CHAINS, 1, 1, 1)) * self.spread
            touched = rng.random((CHAINS, 1, f, 1)) < rng.choice([1 / f, 1.0], (CHAINS, 1, 1, 1))
            shared = rng.random((CHAINS, 1, 1, 1)) < 0.5  # liars move together or apart
            noise = rng.standard_normal(shape)
            tried = self.rows + sizes * touched * np.where(shared, noise[:, :, :1], noise)
            joining = np.flatnonzero(rng.random(CHAINS) < 0.25)
            rows = np.concatenate([self.exact, self.rows], axis=1)
            for k in joining:
                whom = rng.integers(rows.shape[1])
                tried[k, :, rng.integers(f)] = rows[:, whom]
            self.offer("direct search", self.within(tried, self.reach))


def _closing_in(at, sizes, place):
    """Sizes at which `at` is large, (...): from sizes (k, ...) the one in `place`, ever finer.

    `at` takes sizes (k, ...) and returns as many values.
    """
    for zoom in range(ZOOMS + 1):
        low, best, high = (
            np.take_along_axis(sizes, np.clip(place + k, 0, len(sizes) - 1)[None], axis=0)[0]
            for k in (-1, 0, 1)
        )
        if zoom < ZOOMS:
            half = FINER // 2 + 1  # the best size so far stays among them
            sizes = np.concatenate(
                [np.linspace(low, best, half)[:-1], np.linspace(best, high, half)]
            )
            place = at(sizes).argmax(axis=0)
    return best
