"""The worst that f liars can do to a given rule, searched rather than believed.

Everything is tried by asking the rule: candidates stand on a leading axis, so that a hundred of
them are one call.
"""

from typing import NamedTuple

import numpy as np

from byzlib.aggregators import apply_rule
from byzlib.attacks._contract import centered, deviation, ratio
from byzlib.attacks.optimized import DIRECTIONS, fang, min_max, min_sum
from byzlib.theory import as_count, as_generator, as_number, as_updates

SIZES_PER_DECADE = 5  # of the first search along a line
LEAST = 1e-2  # the smallest size tried, in honest spreads
ZOOMS, FINER = 5, 9  # times that the search closes in on a size, and how many it tries each time
REACH = 1e3  # honest spreads from the mean
CHAINS, STEPS = 32, 40  # changed copies at a time in the direct search, and times
NUMBERS = 1 << 22  # how many numbers of candidates are laid out at a time


class WorstCase(NamedTuple):
    """What was found: the lies, (..., f, d); how far they move the rule, and their kind, (...)."""

    rows: np.ndarray
    displacement: object  # float or array, in units of the updates
    family: object  # str or array of str


def worst_case(rule, honest, f, rng=0, *, reach=None, steps=None):
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
    steps : int >= 0, optional
        Rounds of the direct search, 32 candidates each; 40 or 0 by default, as said above.

    Returns
    -------
    WorstCase. A lower bound on the worst: the search may miss it. Lies are finite numbers; what a
    rule makes of others `non_finite` shows. For f = 0 there are no rows and the family is "none".

    Raises ValueError for honest rows that are not finite, for a rule that never gives a finite
    answer, and where the rule itself refuses n and f.
    """
    honest = as_updates(honest, "worst_case")
    f, rng = as_count(f, "f", "worst_case", least=0), as_generator(rng, "worst_case")
    reach = None if reach is None else min(as_number(reach, "reach", "worst_case"), 1e100)
    if not np.isfinite(honest).all():
        raise ValueError("worst_case needs finite honest rows; got NaN or infinity")
    *lead, h, d = honest.shape
    if steps is None:
        steps = STEPS if f * d <= 32 else 0
    search = _Search(rule, honest.reshape(-1, h, d), f, rng, reach)
    search.run(as_count(steps, "steps", "worst_case", least=0))
    if not np.isfinite(search.displacement).all():
        raise ValueError("worst_case got no finite answer from the rule, whatever the lies")
    rows, displacement = search.rows, search.displacement
    family = np.array(search.family)
    if not lead:
        return WorstCase(rows[0], float(displacement[0]), str(family[0]))
    rows = rows.reshape(*lead, f, d)
    return WorstCase(rows, displacement.reshape(lead), family.reshape(lead))


def adaptive(rule, **options):
    """The attack that asks `worst_case` anew in every round; it knows all.

    `rule` and the options reach and steps are those of `worst_case`.
    """

    def attack(honest, f, rng=None):
        return worst_case(rule, honest, f, 0 if rng is None else rng, **options).rows

    attack.knowledge = "omniscient"
    return attack


class _Search:
    """The best lies so far for each of the trials, (trials, f, d), and ways to better them."""

    def __init__(self, rule, honest, f, rng, reach):
        self.rule, self.honest, self.f, self.rng = rule, honest, f, rng
        self.reach, self.bounded = (REACH if reach is None else reach), reach is not None
        self.exact = honest.astype(np.float64)
        self.mean, self.rows_around, unit = centered(self.exact)
        # The mean square distance, taken in units in which it does not overflow.
        size = np.sqrt((self.rows_around**2).sum(axis=-1).mean(axis=-1))[:, None, None]
        self.spread = np.where(size > 0, size * unit, 1.0)
        trials, _, d = honest.shape
        self.rows = np.empty((trials, f, d), honest.dtype)
        self.displacement = np.full(trials, -np.inf)
        self.family = [""] * trials
        sizes = 1 + int(np.ceil(SIZES_PER_DECADE * np.log10(max(self.reach / LEAST, 10))))
        sizes = np.geomspace(min(LEAST, self.reach / 10), self.reach, sizes)
        self.sizes = np.concatenate([-sizes[::-1], [0.0], sizes])

    def run(self, steps):
        """All stages, one after the other."""
        if self.f == 0:
            self.consider("none", self.honest[None, :, :0])
            return
        self.try_known_attacks()
        for family, direction in self.directions():
            self.try_line(family, direction)
        self.try_coordinates()
        for _ in range(steps):
            self.try_changes()

    def consider(self, family, lies):
        """Ask the rule about candidates (k, trials, f or 1, d); keep the best of each trial.

        Returns how far each moves the rule, (k, trials, d).
        """
        trials, _, d = self.honest.shape
        if self.bounded:
            lies = self.drawn_in(lies)
        with np.errstate(over="ignore"):
            lies = np.broadcast_to(lies, (len(lies), trials, self.f, d)).astype(self.honest.dtype)
        moves = self.answers(lies) - self.mean[:, 0]
        lengths = np.where(np.isfinite(lies).all(axis=(-2, -1)), self.lengths(moves), -np.inf)
        best = lengths.argmax(axis=0)
        for t in np.flatnonzero(lengths.max(axis=0) > self.displacement):
            self.rows[t], self.displacement[t] = lies[best[t], t], lengths[best[t], t]
            self.family[t] = family
        return moves

    def answers(self, lies):
        """What the rule says of lies (k, trials, f, d), as many at a time as memory likes."""
        trials, h, d = self.honest.shape
        depth = max(1, NUMBERS // (trials * (h + self.f) * d))
        answers = np.empty((len(lies), trials, d))
        for k in range(0, len(lies), depth):
            part = lies[k : k + depth]
            honest = np.broadcast_to(self.honest, (len(part), *self.honest.shape))
            everyone = np.concatenate([honest, part], axis=-2)
            answers[k : k + depth], _ = apply_rule(self.rule, everyone, self.f, False)
        return answers

    def lengths(self, moves):
        """How far moves (k, trials, d) go; an answer that is no number counts as no harm."""
        spread = self.spread[:, :, 0]
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(moves / spread, axis=-1) * spread[:, 0]
        return np.where(np.isfinite(lengths), lengths, -np.inf)

    def drawn_in(self, lies):
        """The lies, drawn in to `reach` spreads from the mean where they are farther."""
        away = (lies - self.mean) / self.spread
        far = np.linalg.norm(away, axis=-1, keepdims=True)
        inward = np.divide(self.reach, far, out=np.ones_like(far), where=far > self.reach)
        return np.where(far > self.reach, self.mean + away * inward * self.spread, lies)

    def try_known_attacks(self):
        """The attacks of the book as they are."""
        honest, f, rng = self.exact, self.f, self.rng
        trials, h, d = honest.shape
        self.consider("mean", self.mean[None])
        self.consider("zero", 0 * self.mean[None])
        self.consider("mimic", honest.swapaxes(0, 1)[:, :, None])
        self.consider("sign flip", np.multiply.outer([-0.1, -0.5, -1.0, -10.0], self.mean))
        shifts = np.multiply.outer([-1.5, -1.0, -0.5, 0.5, 1.0, 1.5], deviation(honest))
        self.consider("a little is enough", self.mean + shifts)
        for name in DIRECTIONS:
            self.consider("min-max", min_max(honest, f, direction=name)[None])
            self.consider("min-sum", min_sum(honest, f, direction=name)[None])
        self.consider("Fang", fang(honest, f, rng)[None])
        if h >= f + 3:
            self.consider("Fang", fang(honest, f, against="Krum")[None])
        scales = np.multiply.outer([1.0, 10.0, 100.0], np.maximum(self.spread, 1.0))
        noise = scales[:, None] * rng.standard_normal((3, 3, trials, f, d))
        self.consider("noise", noise.reshape(9, trials, f, d))
        self.consider("constant", np.multiply.outer([-100.0, 100.0], np.ones_like(self.mean)))

    def directions(self):
        """(family, (trials, 1, d)) of the lines."""
        rows = self.rows_around
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

    def try_line(self, family, direction):
        """All liars at mean + t p, |t| <= reach spreads; finer where it hurts most."""
        unit = ratio(direction, np.abs(direction).max(axis=-1, keepdims=True))
        length = np.linalg.norm(unit, axis=-1, keepdims=True)  # at least 1, or 0
        p = unit / np.maximum(length, 1) * self.spread

        def harm(sizes):  # (k, trials)
            return self.lengths(self.consider(family, self.mean + sizes[..., None, None] * p))

        self.largest(harm, self.mean.shape[:1])

    def try_coordinates(self):
        """Each coordinate's own size, chosen by how far that coordinate of the answer moves."""
        std = deviation(self.exact)
        std = np.where(std > 0, std, self.spread / np.sqrt(std.shape[-1]))

        def lies(sizes):  # (k, trials, d)
            return self.drawn_in(self.mean + sizes[:, :, None, :] * std)

        def harm(sizes):
            moved = np.abs(self.consider("coordinate by coordinate", lies(sizes)))
            return np.where(np.isfinite(moved), moved, -np.inf)

        best = self.largest(harm, self.mean[:, 0].shape)
        self.consider("coordinate by coordinate", lies(best[None]))

    def largest(self, harm, shape):
        """The sizes (...) of the largest `harm`, (k, ...) -> (k, ...): on a grid, ever finer."""
        sizes = self.sizes.reshape(-1, *[1] * len(shape))
        sizes = np.broadcast_to(sizes, (len(sizes), *shape))
        for _ in range(ZOOMS + 1):
            place = harm(sizes).argmax(axis=0)
            low, best, high = (
                np.take_along_axis(sizes, np.clip(place + k, 0, len(sizes) - 1)[None], axis=0)[0]
                for k in (-1, 0, 1)
            )
            half = FINER // 2 + 1  # the best size so far stays among them
            below, above = np.linspace(low, best, half)[:-1], np.linspace(best, high, half)
            sizes = np.concatenate([below, above])
        return best

    def try_changes(self):
        """Random changes: a liar joins another row, some shift, all shift; keep what helps."""
        rng, (trials, f, d) = self.rng, self.rows.shape
        sizes = 10 ** rng.uniform(-5, 1, (CHAINS, 1, 1, 1)) * self.spread
        touched = rng.random((CHAINS, 1, f, 1)) < rng.choice([1 / f, 1.0], (CHAINS, 1, 1, 1))
        shared = rng.random((CHAINS, 1, 1, 1)) < 0.5  # liars move together or apart
        noise = rng.standard_normal((CHAINS, trials, f, d))
        tried = self.rows + sizes * touched * np.where(shared, noise[:, :, :1], noise)
        everyone = np.concatenate([self.exact, self.rows], axis=1)
        for k in np.flatnonzero(rng.random(CHAINS) < 0.25):
            whom = rng.integers(everyone.shape[1])
            tried[k, :, rng.integers(f)] = everyone[:, whom]
        self.consider("direct search", self.drawn_in(tried))
