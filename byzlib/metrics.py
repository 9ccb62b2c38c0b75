"""What a number means: accuracies beside their baseline, intervals, and what a forecast earns."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from byzlib.theory import (
    as_number,
    as_reals,
    is_constant,
    refuse_masked,
    refuse_unpaired,
    to_unit_scale,
)

# --- Accuracies. Labels are (..., m) integers; leading axes broadcast. ---


def accuracy(y, predicted):
    """Share of right predictions, (...,)."""
    y, predicted = _pair(y, predicted, "accuracy")
    return (y == predicted).mean(axis=-1)


def balanced_accuracy(y, predicted):
    """Mean over the classes present in y of the share of that class predicted right, (...,).

    Always naming the same class scores 1 / (number of classes), however common the class is.
    """
    y, predicted = _pair(y, predicted, "balanced_accuracy")
    recalls = [_share_named(y == label, predicted, label) for label in np.unique(y)]
    return np.nanmean(recalls, axis=0)[()]


def majority_share(y):
    """Accuracy of always naming the most common class of y (..., m): the baseline, (...,)."""
    y = _labels(y, "majority_share")
    return np.max([(y == label).mean(axis=-1) for label in np.unique(y)], axis=0)


def attack_success(y, predicted, source, target):
    """Share of true `source` bars predicted as `target`, (...,): P(predicted = t | y = s).

    Set it beside the same figure of an untouched model: that is its base rate. NaN where y holds
    no `source`.
    """
    y, predicted = _pair(y, predicted, "attack_success")
    return _share_named(y == source, predicted, target)


def _share_named(members, predicted, label):
    """Share of the members that are predicted as that label; NaN where there are none."""
    count = members.sum(axis=-1)
    hits = (members & (predicted == label)).sum(axis=-1)
    return np.where(count > 0, hits / np.maximum(count, 1), np.nan)[()]


def _labels(y, caller):
    refuse_masked(y, caller)
    y = np.asarray(y)
    if y.ndim == 0 or y.shape[-1] == 0:
        raise ValueError(f"{caller} needs labels of shape (..., m), m >= 1; got {y.shape}")
    return y


def _pair(y, predicted, caller):
    refuse_unpaired(caller, y=y, predicted=predicted)
    y, predicted = _labels(y, caller), _labels(predicted, caller)
    if y.shape[-1] != predicted.shape[-1]:
        raise ValueError(
            f"{caller} needs as many predictions as labels; got {y.shape} and {predicted.shape}"
        )
    return np.broadcast_arrays(y, predicted)


# --- Intervals over independent runs ---


class Interval(NamedTuple):
    """A mean with its confidence interval; prints as "71.2 +- 1.3" under format spec ".1f"."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self):
        return (self.high - self.low) / 2

    def __format__(self, spec):
        return f"{self.mean:{spec or '.3g'}} +- {self.half_width:{spec or '.2g'}}"


def t_interval(values, level=0.95):
    """Student's interval for the mean of independent runs: mean +- t_{k-1} s / sqrt(k).

    values : (k,) array_like, one number a seed, k >= 2, finite; level : coverage, between 0 and 1.
    """
    values, level = as_reals(values, "t_interval"), _level(level, "t_interval")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"t_interval needs at least 2 values in one row; got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("t_interval needs finite values; a diverged run has no mean")
    x, exponent = to_unit_scale(values)
    half = stdtrit(len(x) - 1, (1 + level) / 2) * x.std(ddof=1) / np.sqrt(len(x))
    edges = x.mean() + half * np.array([0, -1, 1])
    return Interval(*np.ldexp(edges, exponent).tolist())


class PairedDifference(NamedTuple):
    """Mean of a - b over common seeds with its interval, and the p-value of "no difference"."""

    interval: Interval
    p_value: float

    @property
    def is_positive(self):
        """True when the whole interval lies above zero: a is larger than b, be that good or bad."""
        return self.interval.low > 0


def paired_difference(a, b, level=0.95):
    """Compare two methods on the same seeds: the t-interval of a_k - b_k.

    a, b : (k,) array_like, a[k] and b[k] from the same seed; level : coverage, between 0 and 1.
    Where they differ by no more than rounding, in their last two bits, they tie.
    """
    refuse_unpaired("paired_difference", a=a, b=b)
    a, b = as_reals(a, "paired_difference"), as_reals(b, "paired_difference")
    if a.shape != b.shape:
        raise ValueError(f"paired_difference needs equally many seeds; got {a.shape}, {b.shape}")
    difference = np.where(np.abs(a - b) <= 4 * np.spacing(np.maximum(abs(a), abs(b))), 0, a - b)
    interval = t_interval(difference, level)
    x, _ = to_unit_scale(difference)
    error = x.std(ddof=1) / np.sqrt(len(x))
    if error == 0:
        return PairedDifference(interval, 1.0 if interval.mean == 0 else 0.0)
    return PairedDifference(interval, float(2 * stdtr(len(x) - 1, -abs(x.mean()) / error)))


def holm(p_values):
    """Holm's correction of a family of p-values: reject where the result is at most alpha.

    In ascending order, q_(i) = max over j <= i of min(1, (k - j + 1) p_(j)). With probability
    1 - alpha no true "no difference" among the k is rejected, however they depend on each other.

    p_values : (..., k) array_like, each in [0, 1]. Returns (..., k), in the order given.

    Source: Holm, Scandinavian Journal of Statistics, 1979.
    """
    p = as_reals(p_values, "holm")
    if p.ndim == 0 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"holm needs rows of p-values between 0 and 1; got {p_values!r}")
    order = np.argsort(p, axis=-1, kind="stable")
    weighed = np.take_along_axis(p, order, axis=-1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.maximum.accumulate(weighed, axis=-1).clip(max=1)
    return np.take_along_axis(adjusted, np.argsort(order, axis=-1), axis=-1)


def _level(level, caller):
    return as_number(level, "level", caller, "in (0, 1)")


# --- What a forecast earns: positions, costs, risk. Arrays (..., T), one entry a bar. ---


def positions(predicted):
    """Stand where the forecast points, (..., T): Down -1, Flat 0, Up 1, in units of capital."""
    predicted = _labels(predicted, "positions")
    if not np.isin(predicted, (0, 1, 2)).all():
        raise ValueError("positions needs classes 0 (Down), 1 (Flat), 2 (Up)")
    return predicted.astype(float) - 1


def turnover(position):
    """Capital traded per bar, (...,): all buying and selling, opening and closing included, over T.

    position : (..., T) array_like, units of capital; before the first bar and after the last it
    is 0. Always in the market on one side: 2 / T; changing sides every bar: about 2.
    """
    return _trades(_bars(position, "turnover")).sum(axis=-1) / np.shape(position)[-1]


def profit_and_loss(returns, position, fee, slippage=0.0):
    """Profit of each bar after costs, in units of the (constant) capital.

    profit[t] = position[t] returns[t] - (fee + slippage) |position[t] - position[t-1]|, starting
    from nothing; the last bar also pays for closing. Profits are not reinvested, so they add up.

    returns : (..., T) array_like, simple return over the bar that *follows* the forecast
    (`byzlib.market.next_returns`); two Series must have one index. position : (..., T), units of
    capital, as `positions` gives; negative is short. fee : share of the traded value paid on each
    side (0.00055 is 5.5 basis points); slippage : share by which each side trades at a worse price
    than the close; both >= 0. Returns (..., T); leading axes broadcast.
    """
    refuse_unpaired("profit_and_loss", returns=returns, position=position)
    returns, position = _bars(returns, "profit_and_loss"), _bars(position, "profit_and_loss")
    if returns.shape[-1] != position.shape[-1]:
        raise ValueError(
            f"profit_and_loss needs as many returns as positions; "
            f"got {returns.shape} and {position.shape}"
        )
    fee = as_number(fee, "fee", "profit_and_loss", "finite and >= 0")
    slippage = as_number(slippage, "slippage", "profit_and_loss", "finite and >= 0")
    return position * returns - (fee + slippage) * _trades(position)


class Score(NamedTuple):
    """A measure of forecasts: one value a run, what knowing nothing scores, a window's width."""

    values: np.ndarray
    blind: float
    width: float

    @property
    def interval(self):
        """`t_interval` of the values."""
        return t_interval(self.values)

    @property
    def lead(self):
        """How far all of the interval lies above blind; so many bars show what exceeds width."""
        return self.interval.low - self.blind


def forecast_scores(y, predicted, returns, fee):
    """What forecasts score and earn, beside what knowing nothing does: {measure: `Score`}.

    "accuracy", blind: `majority_share`; "balanced accuracy", blind: 1 / (number of classes in y);
    "profit after fees", the sum of `profit_and_loss`, blind: 0, for no trade. Each is a mean over
    bars, and width is how far a window of T of them leaves it open: 1.96 standard errors, as if
    bars were drawn one by one. Quiet ones come together, and leave more.

    y : (T,) labels; predicted : (..., T), as for `positions`; returns : (T,) and fee : as for
    `profit_and_loss`. Values are (...,), shares or units of capital; width is the runs' mean.
    """
    blind, T = majority_share(y), np.shape(y)[-1]
    _, place, counts = np.unique(y, return_inverse=True, return_counts=True)
    weight = T / (len(counts) * counts[place])  # of a bar, in the balanced accuracy
    profit = profit_and_loss(returns, positions(predicted), fee)
    right = np.equal(*_pair(y, predicted, "forecast_scores"))
    measures = {
        "accuracy": (right, blind),
        "balanced accuracy": (right * weight, 1 / len(counts)),
        "profit after fees": (profit * T, 0.0),
    }
    return {
        name: Score(bars.mean(axis=-1), blind, 1.96 * bars.std(axis=-1).mean() / np.sqrt(T))
        for name, (bars, blind) in measures.items()
    }


def max_drawdown(profit):
    """Largest fall of the summed profit from an earlier peak, (...,), >= 0, units of capital.

    The account starts at 0, which counts as a peak.
    """
    account = np.cumsum(_bars(profit, "max_drawdown"), axis=-1)
    peak = np.maximum(np.maximum.accumulate(account, axis=-1), 0.0)
    return (peak - account).max(axis=-1)


def sharpe(profit, bars_per_year, level=0.95):
    """Annual Sharpe ratio with an interval that allows for fat tails and autocorrelation.

    S = sqrt(bars_per_year) mean / std. The interval is S -+ z se by the delta method on the first
    two moments, with their covariance after Newey and West (Bartlett weights up to
    floor(4 (T / 100)^(2/9)) lags). Scaling by the root of time is itself exact only for
    uncorrelated bars (Lo 2002).

    profit : (..., T) array_like, per bar, T >= 3, after costs; no interest is subtracted.
    bars_per_year : 105120 for five-minute bars around the clock. level : coverage, between 0 and 1;
    trust it from some hundred bars on. Returns an `Interval` of floats, or of (...,) arrays; NaN
    where profit changes by no more than rounding, 1e-8 of the largest.

    Source: Ledoit and Wolf, Journal of Empirical Finance 2008, section 3.1; Newey and West,
    Econometrica 1987; Lo, Financial Analysts Journal 2002.
    """
    (x, _), level = to_unit_scale(_bars(profit, "sharpe")), _level(level, "sharpe")
    year = np.sqrt(as_number(bars_per_year, "bars_per_year", "sharpe"))
    T = x.shape[-1]
    if T < 3:
        raise ValueError(f"sharpe needs T >= 3 bars; got T = {T}")
    mean, spread = x.mean(axis=-1, keepdims=True), x.std(axis=-1, keepdims=True)
    spread = np.where(is_constant(x), np.nan, spread)
    # How much one bar moves the ratio: z - (ratio / 2) (z^2 - 1), z the standardised profit.
    z, ratio = (x - mean) / spread, mean / spread
    pull, ratio = z - ratio / 2 * (z**2 - 1), ratio[..., 0]
    variance = (pull**2).mean(axis=-1)
    lags = int(4 * (T / 100) ** (2 / 9))
    for k in range(1, lags + 1):
        variance += 2 * (1 - k / (lags + 1)) * (pull[..., k:] * pull[..., :-k]).sum(axis=-1) / T
    half = ndtri((1 + level) / 2) * np.sqrt(np.maximum(variance, 0) / T)
    return Interval(*(year * value[()] for value in (ratio, ratio - half, ratio + half)))


def _trades(position):
    """|change of position| at each bar, (..., T); the last bar also closes."""
    trades = np.abs(np.diff(position, axis=-1, prepend=0.0))
    trades[..., -1] += np.abs(position[..., -1])
    return trades


def _bars(values, caller):
    values = as_reals(values, caller)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"{caller} needs bars of shape (..., T), T >= 1; got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{caller} needs finite values; drop bars that are not known")
    return values
