"""The errors that are planted: what goes wrong, in which public function, and who should see it.

An error is said in behaviour: `wrong` takes the right function, then its arguments, and answers
wrongly. Where the code of the library stands does not matter: `planted_errors` puts the wrong
version in the place of the right one, for the library itself and for all who import it. Chapters
are named by their number, tests by file or by file::test.
"""

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri


class Error(NamedTuple):
    """The function, method or property byzlib.`name` does what `wrong` does."""

    what: str
    name: str
    chapters: str
    tests: str
    wrong: Callable


def wronged(what, right):
    """A function, method or property of the library as the error called `what` has it."""
    (wrong,) = [error.wrong for error in ERRORS if error.what == what]
    if isinstance(right, property):
        return property(functools.partial(wrong, right.fget))

    @functools.wraps(right)
    def lying(*arguments, return_weights=False, **options):
        result = wrong(right, *arguments, **options)
        if not return_weights:
            return result
        return result, right(*arguments, **options, return_weights=True)[1]

    return lying


def instead(answer):
    """An error that answers on its own; what the right rule refuses it refuses too."""

    def wrong(right, updates, *arguments, **options):
        result, x = right(updates, *arguments, **options), np.asarray(updates, float)
        return answer(x, *arguments, **options) if np.isfinite(x).all() else result

    return wrong


# --- The rules once more, with room for an error ---


def size(x):
    return np.shape(x)[-2]


def ranks(x, low, high):
    """The mean of the order statistics low .. high - 1, counted from 0."""
    return np.sort(x, axis=-2)[..., low:high, :].mean(axis=-2)


def lengths(x):
    return np.linalg.norm(x, axis=-1, keepdims=True)


def squares(x):
    """Squared distances of all pairs, (..., n, n)."""
    return ((x[..., :, None, :] - x[..., None, :, :]) ** 2).sum(axis=-1)


def raw_squares(x):
    """The same out of products of the rows as they come: far from zero no digit of it is right."""
    products = x @ np.swapaxes(x, -1, -2)
    own = np.diagonal(products, axis1=-2, axis2=-1)
    return own[..., :, None] + own[..., None, :] - 2 * products


def scores(table, count):
    """Of each row, the sum of the `count` smallest distances to others."""
    return np.sort(table, axis=-1)[..., 1 : count + 1].sum(axis=-1)


def best(x, score):
    """The row of the least score, among equals the one that stands first in the list."""
    chosen = score.argmin(axis=-1)[..., None, None]
    return np.take_along_axis(x, chosen, axis=-2)[..., 0, :]


def middle(x):
    return np.median(x, axis=-2, keepdims=True)


def near(x, center, count, step=1):
    """The mean of the `count` values nearest the center; of equals the smaller, or step=-1."""
    x = np.sort(x, axis=-2)[..., ::step, :]
    order = np.argsort(np.abs(x - center), axis=-2, kind="stable")
    return np.take_along_axis(x, order[..., :count, :], axis=-2).mean(axis=-2)


def bulyan(x, f, neighbours, kept):
    """Bulyan with `neighbours(left)` in each round and `kept` values in each coordinate."""
    if x.ndim > 2:
        return np.stack([bulyan(trial, f, neighbours, kept) for trial in x])
    left, chosen = list(x), []
    while len(chosen) < len(x) - 2 * f:
        score = scores(squares(np.array(left)), max(1, neighbours(len(left))))
        chosen.append(left.pop(score.argmin()))
    return near(np.array(chosen), middle(chosen), kept)


def mixed(x, start, count):
    """Each row becomes the mean of `count` rows, from place `start` on in order of distance."""
    order = np.argsort(squares(x), axis=-1, kind="stable")[..., start : start + count, None]
    return np.take_along_axis(x[..., None, :, :], order, axis=-2).mean(axis=-2)


def clipped(x, radius, center, n_iter, power=1, among=size):
    """Centered clipping by the length to a `power`, divided `among` the clients."""
    v = np.zeros(x.shape[-1]) if center is None else np.asarray(center, float)
    for _ in range(n_iter):
        moved = x - v[..., None, :]
        shares = np.minimum(1, radius / np.maximum(lengths(moved) ** power, 1e-300))
        v = v + (shares * moved).sum(axis=-2) / among(shares)
    return v


def to_length(x, radius):
    """Rows of the given length."""
    return x * radius / np.maximum(lengths(x), 1e-300)


# --- The same for training and candles ---


class Frozen:
    """A model that is asked for gradients at the first parameters for ever."""

    def __init__(self, model):
        self.model, self.first = model, None

    def __getattr__(self, name):
        return getattr(self.model, name)

    def gradient(self, theta, *samples):
        if self.first is None or self.first.shape != theta.shape:
            self.first = theta.copy()
        return self.model.gradient(self.first, *samples)


def but(setting, **changes):
    """A copy of an object with other values of some attributes."""
    other = copy.copy(setting)
    for name, value in changes.items():
        setattr(other, name, value)
    return other


def half_first_layer(right, self, *arguments):
    slope = right(self, *arguments)
    slope[..., : self.n_features * self.n_hidden] /= 2
    return slope


def swapped(right, *arguments, **options):
    tests = right(*arguments, **options)
    return tests._replace(beyond=tests.overall, overall=tests.beyond)


def by_variance(right, honest, f, rng=None, **options):
    honest = np.asarray(honest, float)
    mean, spread = honest.mean(axis=-2, keepdims=True), honest.std(axis=-2, keepdims=True)
    return mean + (right(honest, f, rng, **options) - mean) * spread


def summed(weights, updates):
    """sum_i w_i x_i."""
    return np.einsum("...n,...nd->...d", np.asarray(weights, float), np.asarray(updates, float))


def squared_weights(right, updates, **options):
    share = right(updates, **options, return_weights=True)[1] ** 2
    return summed(share / share.sum(axis=-1, keepdims=True), updates)


def too_few(slope, *sizes):
    """A rule that answers crowds of slope * f + sizes too, which are too small for f liars."""
    return lambda right, x, f: right(x, f - (size(x) - slope * f in sizes))


def across_gaps(right, candles, *options, **named):
    """Features of candles that are taken to follow one another."""
    step = (candles.index[1:] - candles.index[:-1]).min()
    line = pd.date_range(candles.index[0], periods=len(candles), freq=step)
    features = right(candles.set_axis(line), *options, **named)
    return features.set_axis(candles.index[line.get_indexer(features.index)])


def with_column(name, column):
    """Features of which one column is computed in another way."""

    def wrong(right, candles, *options, **named):
        features = right(candles, *options, **named)
        values = column(candles).replace([np.inf, -np.inf], 0).fillna(0)
        return features.assign(**{name: values[features.index]})

    return wrong


def bars_own(right, candles, *options, **named):
    label = right(candles, *options, **named)
    return label.set_axis(candles.index[candles.index.get_indexer(label.index) + 1])


# fmt: off
ERRORS = [Error(*row) for row in [
    # --- the rules --------------------------------------------------------------------------
    ("Krum counts a neighbour too many", "aggregators.krum", "B",
     "test_aggregators.py::test_slow_definitions", lambda right, x, f: right(x, max(f - 1, 0))),
    ("Krum counts itself as a neighbour", "aggregators.krum", "B",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: best(x, scores(squares(x), size(x) - f - 3)))),
    ("Krum sums distances, not squares", "aggregators.krum", "B",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: best(x, scores(np.sqrt(squares(x)), size(x) - f - 2)))),
    ("Krum gives a tie to the client that stands first in the list", "aggregators.krum", "",
     "test_axioms.py::test_permutation",
     instead(lambda x, f: best(x, scores(squares(x), size(x) - f - 2)))),
    ("Krum loses its digits far from zero", "aggregators.krum", "",
     "test_exactness.py::test_krum_tells_near_ties_apart",
     instead(lambda x, f: best(x, scores(raw_squares(x), size(x) - f - 2)))),
    ("Krum accepts one client too few", "aggregators.krum", "01 A",
     "test_illegal.py::test_every_n_and_f", too_few(2, 2)),
    ("Krum's scores count a neighbour too few", "aggregators.krum_scores", "B",
     "test_aggregators.py::test_scores_and_the_best_few",
     instead(lambda x, f: scores(squares(x), size(x) - f - 3))),
    ("multi-Krum averages one row too few", "aggregators.multi_krum", "06",
     "test_aggregators.py::test_scores_and_the_best_few",
     lambda right, x, f, m=None: right(x, f, size(x) - f - 1 if m is None else m)),
    ("multi-Krum counts a neighbour too many", "aggregators.multi_krum", "03 A",
     "test_aggregators.py::test_scores_and_the_best_few",
     lambda right, x, f, m=None: right(x, max(f - 1, 0), size(x) - f if m is None else m)),
    ("the trimmed mean trims one side", "aggregators.trimmed_mean", "06",
     "test_aggregators.py::test_reference_vectors", instead(lambda x, f: ranks(x, 0, size(x) - f))),
    ("the trimmed mean trims one too few at the upper end", "aggregators.trimmed_mean", "06 A",
     "test_theory.py::test_the_worst_case_is_attained",
     instead(lambda x, f: ranks(x, f, size(x) - f + 1))),
    ("the median of an even crowd is the lower of two", "aggregators.median", "00 01",
     "test_axioms.py::test_table_of_symmetries",
     instead(lambda x: ranks(x, (size(x) - 1) // 2, (size(x) + 1) // 2))),
    ("the median stands one rank too high", "aggregators.median", "00 01",
     "test_aggregators.py::test_reference_vectors",
     instead(lambda x: ranks(x, size(x) // 2, size(x) // 2 + 2))),
    ("the mean divides by n - 1", "aggregators.mean", "01",
     "test_aggregators.py::test_reference_vectors",
     lambda right, x, weights=None: right(x, weights) * (size(x) / max(1, size(x) - 1))),
    ("the mean's weights do not sum to one", "aggregators.mean", "13",
     "test_aggregators.py::test_weighted_mean",
     lambda right, x, weights=None: right(x) if weights is None else summed(weights, x)),
    ("Bulyan forgets half of the liars when it trims", "aggregators.bulyan", "06",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: bulyan(x, f, lambda left: left - f - 2, size(x) - 3 * f))),
    ("Bulyan keeps the first round's number of neighbours", "aggregators.bulyan", "06",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: bulyan(x, f, lambda left: min(left - 1, size(x) - f - 2),
         size(x) - 4 * f))),
    ("Bulyan accepts two clients too few", "aggregators.bulyan", "06 A",
     "test_illegal.py::test_every_n_and_f", too_few(4, 1, 2)),
    ("mean around the median keeps n - 2f", "aggregators.mean_around_median", "06",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: near(x, middle(x), size(x) - 2 * f))),
    ("nearest to the lower middle value, not to the median", "aggregators.mean_around_median", "06",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: near(x, np.quantile(x, 0.5, axis=-2, keepdims=True, method="lower"),
         size(x) - f))),
    ("of two equally near values the larger is taken", "aggregators.mean_around_median", "06",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: near(x, middle(x), size(x) - f, step=-1))),
    ("the minimum diameter average divides by n", "aggregators.minimum_diameter_average", "06",
     "test_aggregators.py::test_slow_definitions",
     lambda right, x, f: right(x, f) * (1 - f / size(x))),
    ("weights of the geometric median are squared", "aggregators.geometric_median", "05",
     "test_aggregators.py::test_medians", squared_weights),
    ("centered clipping takes the squared length", "aggregators.centered_clipping", "07",
     "test_aggregators.py::test_centered_clipping",
     instead(lambda x, radius, center=None, n_iter=1: clipped(x, radius, center, n_iter, 2))),
    ("centered clipping forgets its center", "aggregators.centered_clipping", "07",
     "test_aggregators.py::test_centered_clipping",
     lambda right, x, radius, center=None, n_iter=1: right(x, radius, None, n_iter)),
    ("centered clipping averages over the clipped shares", "aggregators.centered_clipping", "07",
     "test_aggregators.py::test_centered_clipping",
     instead(lambda x, radius, center=None, n_iter=1: clipped(x, radius, center, n_iter,
         among=lambda shares: shares.sum(axis=-2)))),
    ("buckets hold those who stand side by side in the list", "aggregators.bucketing", "07",
     "test_aggregators.py::test_bucketing_draws_every_division_equally_often",
     instead(lambda x, s, rng: np.stack(
         [x[..., i : i + s, :].mean(axis=-2) for i in range(0, size(x), s)], axis=-2))),
    ("mixing leaves the row itself out", "aggregators.nearest_neighbor_mixing", "07",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: mixed(x, 1, size(x) - f))),
    ("mixing takes the farthest rows", "aggregators.nearest_neighbor_mixing", "07",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: mixed(x, f, size(x) - f))),
    ("short rows are stretched to the clipping length", "aggregators.adaptive_clipping", "19",
     "test_aggregators.py::test_slow_definitions",
     lambda right, x, f: to_length(right(x, f), lengths(right(x, f)).max(axis=-2, keepdims=True))),
    ("adaptive clipping shortens f rows only", "aggregators.adaptive_clipping", "",
     "test_aggregators.py::test_slow_definitions",
     instead(lambda x, f: to_length(
         x, np.minimum(lengths(x), np.sort(lengths(x), axis=-2)[..., [-f - 1], :])))),
    # --- the theory -------------------------------------------------------------------------
    ("kappa is off by one client", "theory.kappa", "04",
     "test_theory.py::test_kappa_of_small_crowds",
     lambda right, rule, n, f, declared=None: right(rule, n + 1, f, declared)),
    ("the least kappa is f / (n - f)", "theory.kappa_lower_bound", "06",
     "test_theory.py::test_kappa_of_small_crowds", lambda right, n, f: f / (n - f)),
    ("the clique reaches a little farther", "theory.krum_clique_distance", "B",
     "test_theory.py::test_printed_tables",
     lambda right, n, f: np.sqrt((n - 2) / (n - 2 * f - 1))),
    ("Krum survives as many liars as the median", "theory.breakdown", "A 06",
     "test_theory.py::test_breakdown_of_ten",
     lambda right, rule, n, *a, **k: right("median" if rule == "Krum" else rule, n, *a, **k)),
    ("a bound behind mixing forgets the rule's own", "theory.kappa_bound", "19",
     "test_report.py::test_bounds_of_whole_defences_by_hand",
     lambda right, rule, n, f, pre="none": 8 * f / (n - f) if pre == "mixing" else right(
         rule, n, f, pre)),
    ("eta loses its factor two", "theory.eta", "03",
     "test_theory.py::test_printed_tables", lambda right, n, f: right(n, f) / np.sqrt(2)),
    ("the mean turns at n / f", "theory.sign_flip_border", "11",
     "test_theory.py::test_the_mean_turns_at_the_border", lambda right, n, f: right(n, f) + 1),
    ("a-little-is-enough needs one supporter fewer", "theory.alie_z_max", "08",
     "test_theory.py::test_printed_tables", lambda right, n, f: ndtri((n - n // 2) / (n - f))),
    ("the ball grows with kappa, not with its root", "theory.gradient_floor", "10",
     "test_theory.py::test_gradient_floor",
     lambda right, kappa, G, B=0.0: right(kappa, G, B) * np.sqrt(kappa)),
    # --- attacks ----------------------------------------------------------------------------
    ("the sign flip does not flip", "attacks.sign_flip", "01 07",
     "test_attacks.py::test_simple_vectors",
     lambda right, honest, f, rng=None, **k: -right(honest, f, rng, **k)),
    ("the sign flip ignores its scale", "attacks.sign_flip", "01 07",
     "test_attacks.py::test_simple_vectors",
     lambda right, honest, f, rng=None, **k: right(honest, f, rng)),
    ("a little is enough shifts by the variance", "attacks.a_little_is_enough", "08",
     "test_attacks.py::test_other_libraries_send_the_same", by_variance),
    ("flipped labels: Down becomes Up, Up stays", "attacks.label_flip", "09",
     "test_attacks.py::test_label_flips",
     lambda right, y, mapping=None: right(y, {0: 2} if mapping is None else mapping)),
    # --- learning ---------------------------------------------------------------------------
    ("the gradient points downhill", "federated.SimpleModel.gradient", "01",
     "test_federated.py::test_against_one_sample_at_a_time",
     lambda right, self, *a: -right(self, *a)),
    ("the gradient of the first layer is halved", "federated.SimpleModel.gradient", "19",
     "test_federated.py::test_against_one_sample_at_a_time", half_first_layer),
    ("nobody has a momentum", "federated.ByzantineFL.run", "10",
     "test_federated.py::test_by_hand",
     lambda right, self, *a, **k: right(but(self, momentum=0.0), *a, **k)),
    ("everybody answers to the first model for ever", "federated.ByzantineFL.run", "01",
     "test_federated.py::test_by_hand",
     lambda right, self, *a, **k: right(but(self, model=Frozen(self.model)), *a, **k)),
    ("one liar is honest", "federated.ByzantineFL.run", "01",
     "test_federated.py",
     lambda right, self, *a, **k: right(but(self, byzantine=self.byzantine[1:]), *a, **k)),
    ("clients poison nothing", "federated.Client.training_data", "11",
     "test_federated.py::test_poison_acts_on_training_only", lambda right, self: (self.X, self.y)),
    ("accuracy counts the wrong answers", "metrics.accuracy", "01",
     "test_metrics.py::test_by_hand", lambda right, y, predicted: 1 - right(y, predicted)),
    ("the interval is at the 90 % level", "metrics.t_interval", "",
     "test_metrics.py::test_t_interval_by_hand",
     lambda right, values, level=0.95: right(values, 2 * level - 1)),
    ("paired differences have the wrong sign", "metrics.paired_difference", "06",
     "test_metrics.py", lambda right, a, b, *level: right(b, a, *level)),
    ("the baseline is the rarest class", "metrics.majority_share", "12",
     "test_metrics.py::test_by_hand",
     lambda right, y: np.min([(np.asarray(y) == k).mean(axis=-1) for k in np.unique(y)], axis=0)),
    ("a sample of the clients is all of them", "federated.ByzantineFL.run", "",
     "test_federated.py::test_against_a_slow_loop",
     lambda right, self, *a, **k: right(but(self, asked=self.n), *a, **k)),
    ("nobody is late", "federated.ByzantineFL.run", "",
     "test_federated.py::test_against_a_slow_loop",
     lambda right, self, *a, **k: right(but(self, late=0.0), *a, **k)),
    ("a sample is lost with as many liars as it bears", "theory.oversampled", "",
     "test_theory.py::test_oversampled_by_counting_all_samples",
     lambda right, n, f, sampled, bear: right(n, f, sampled, np.maximum(np.subtract(bear, 1), 0))),
    # --- risk -------------------------------------------------------------------------------
    ("expected shortfall is value at risk", "risk.expected_shortfall", "15",
     "test_risk.py::test_shortfall_is_the_mean_quantile_below_q",
     lambda right, returns, q=0.01: -np.quantile(returns, q, axis=-1)),
    ("every year is green", "risk.traffic_light", "15",
     "test_risk.py::test_the_zones_come_from_the_binomial_law",
     lambda right, exceeded, p=0.01: np.full(np.shape(exceeded)[:-1], "green")),
    ("only neighbouring days are looked at", "risk.ljung_box", "15",
     "test_risk.py::test_memory_beyond_neighbours_as_statsmodels_has_it",
     lambda right, exceeded, lags=10, **k: right(exceeded, 1, **k)),
    ("the two tests of a shortfall change places", "risk.acerbi_szekely", "15",
     "test_risk.py::test_shortfall_tests_by_their_definition", swapped),
    ("a margin covers twice of itself", "risk.uncovered_loss", "16",
     "test_risk.py::test_what_a_margin_does_not_cover",
     lambda right, returns, margin: right(returns, 2 * np.asarray(margin))),
    # --- the report and the count ------------------------------------------------------------
    ("a regret is an average, not the worst", "experiments.worst_regret", "19",
     "test_report.py::test_worst_regret_by_hand",
     lambda right, table: (table.max(axis=0) - table).mean(axis=1)),
    ("the radius is the longest length", "experiments.clipping_radius", "19",
     "test_report.py::test_radius_by_hand",
     lambda right, lengths, *a: right(lengths, *a)._replace(radius=float(np.max(lengths)))),
    ("one liar more is counted than there are", "risk.fewest_liars", "19",
     "test_risk.py::test_false_alarms_are_as_many_as_allowed",
     lambda right, updates, *a, **k: right(updates, *a, **k) + 1),
    # --- the market -------------------------------------------------------------------------
    ("labels are shifted: the bar's own return", "market.labels", "12",
     "test_features.py::test_labels_by_hand", bars_own),
    ("a threshold of the wrong sign", "market.labels", "12",
     "test_features.py::test_labels_by_hand",
     lambda right, candles, *threshold: right(candles, *threshold).replace(1, 0)),
    ("a feature looks ahead: volume against the next bar's", "market.engineer", "12",
     "test_features.py::test_the_future_changes_no_row",
     with_column("volume_change", lambda c: c["volume"].shift(-1) / c["volume"])),
    ("features cross a gap", "market.engineer", "12",
     "test_features.py::test_nothing_crosses_a_gap", across_gaps),
    ("the upper shadow starts at the close", "market.engineer", "12",
     "test_features.py::test_four_features_by_hand",
     with_column("upper_shadow", lambda c: (c["high"] - c["close"]) / (c["high"] - c["low"]))),
    ("a zero volume is filled with one", "market.engineer", "12",
     "test_features.py::test_undefined_rows_are_counted_by_reason",
     lambda right, candles, *a, **k: right(
         candles.assign(volume=candles["volume"].replace(0, 1)), *a, **k)),
    ("the purge is ignored", "market.walk_forward", "12",
     "test_features.py::test_purge_and_embargo_take_rows_from_the_end_of_training_only",
     lambda right, times, train, test, purge, *embargo: right(
         times, train, test, "0min", *embargo)),
    ("the planted signal is stronger than it says", "market.planted_signal", "01",
     "test_simulation.py::test_the_best_classifier_scores_its_bayes_accuracy",
     lambda right, m, r2, *a, **k: right(m, r2 / (r2 + (1 - r2) ** 2), *a, **k)),
    ("the best accuracy takes r2 for the correlation", "market.planted_signal_accuracy", "01",
     "test_simulation.py::test_planted_accuracy_matches_the_table",
     lambda right, r2, *a, **k: right(r2**2, *a, **k)),
]]
# fmt: on
