"""Training on recorded candles: what stands behind the real rows of it."""

import gzip
import hashlib
from functools import lru_cache, partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from byzlib import attacks, market
from byzlib.experiments import rule_named
from byzlib.federated import ByzantineFL, Client, SimpleModel
from byzlib.market import dataset, features, standardize, walk_forward
from byzlib.metrics import accuracy, balanced_accuracy, majority_share

CELL = (
    "Four features, Flat within 0.1 %, walk-forward (60 days, then 14; 14 "
    "and 5 for files of a month), purge 10 minutes; client k of 10 has "
    "every tenth day; SimpleModel(4, 16), batches of 200, 300 rounds, rate "
    "0.5; the server expects f = 3."
)
CLIENTS, LIARS = 10, 3
# What a model is asked, and whether it sees the extended features.
TASKS = {"direction": False, "volatility": True, "tercile": True}
WINDOW, TEST = 200, 40


def candle_files(folder):
    """Bybit's files of five-minute candles in a folder, by name."""
    return sorted(Path(folder).glob("bybit_*_*_5m_*.csv*"))


def venue_pairs(folder):
    """Pairs of files of one coin, of two exchanges, with a week in common."""
    files = sorted(Path(folder).glob("*_5m_*.csv*"))
    for one, two in combinations(files, 2):
        exchanges, coins = zip(
            *(path.name.split("_")[:3:2] for path in (one, two)), strict=True
        )
        if exchanges[0] != exchanges[1] and coins[0] == coins[1]:
            index = read_candles(one).index, read_candles(two).index
            if len(index[0].intersection(index[1])) > 7 * 288:
                yield one, two


def digest(path):
    """The SHA-256 of the csv in a file, packed or not."""
    text = path.read_bytes()
    if path.suffix == ".gz":
        text = gzip.decompress(text)
    return hashlib.sha256(text).hexdigest()


def on_candles(seeds, rule, scale, source, symbol, period, path, digest):
    """Accuracy over all folds of a file, one stacked run a fold; see `CELL`.

    Three clients send -scale times the honest mean, or nobody lies where scale
    is 0. Source, symbol, period and digest tell results apart; they change
    nothing.
    """
    served = rule_named(rule)
    lie = partial(attacks.sign_flip, scale=scale) if scale else None
    model, truth, guesses = SimpleModel(4, 16), [], []
    for past, (X, y, _) in folds(path):
        fl = ByzantineFL(
            model,
            _desks(*past),
            served,
            LIARS,
            lie,
            learning_rate=0.5,
            batch_size=200,
        )
        theta = fl.run(300, list(seeds)).theta
        truth.append(y)
        guesses.append(model.predict(theta, X))
    y, guess = np.concatenate(truth), np.concatenate(guesses, axis=1)
    return {
        "accuracy": accuracy(y, guess),
        "balanced accuracy": balanced_accuracy(y, guess),
        "majority share": np.full(len(seeds), majority_share(y)),
    }


@lru_cache(maxsize=4)
def folds(path, task="direction", extended=False):
    """[(past, future)] of a file of candles, each of them X, y, times."""
    candles = read_candles(path)
    times = dataset(candles)[2]
    month = times[-1] - times[0] < pd.Timedelta("75D")
    train, test = ("14D", "5D") if month else ("60D", "14D")
    found = []
    for fold in walk_forward(times, train, test, purge="10min"):
        X, y, rows = dataset(candles, extended=extended, task=task, fold=fold)
        past, future = fold.train_mask(rows), fold.test_mask(rows)
        A, B = standardize(X[past], X[future])
        found.append(((A, y[past], rows[past]), (B, y[future], rows[future])))
    return found


def _desks(X, y, times):
    """Ten clients, each with every tenth day."""
    days = times.normalize()
    desk = (days - days[0]) // pd.Timedelta("1D") % CLIENTS
    return [
        Client(X[desk == k], y[desk == k], f"desk {k}") for k in range(CLIENTS)
    ]


# --- models that nobody attacks, test day by test day -----------------------


def models(path, task):
    """What each model scores on the test days of all folds of a file.

    Returns
    -------
    dict of model -> dict of metric -> (value, low, high), in per cent
        Ends of 95 % intervals: the test days drawn anew, 2,000 times. "right
        side": of the bars that moved, how many went where the larger of the
        chances of Down and Up says. The network is ten of `CELL`, averaged.
    """
    counted = {"one class": [], "logistic": [], "network": []}
    for (X, y, times), (X_new, y_new, times_new) in folds(
        str(path), task, TASKS[task]
    ):
        k = 3 if task != "volatility" else 2
        network = SimpleModel(X.shape[1], 16, k)
        learning = ByzantineFL(
            network,
            _desks(X, y, times),
            rule_named("mean"),
            0,
            learning_rate=0.5,
            batch_size=200,
        )
        theta = learning.run(300, seeds=10).theta
        common = np.bincount(y, minlength=k)
        chances = {
            "one class": np.tile(common / len(y), (1, len(y_new), 1)),
            "logistic": logistic(X, y, k)(X_new)[None],
            "network": network.predict_proba(theta, X_new),
        }
        for name, p in chances.items():
            counted[name] += _by_day(p, y_new, times_new)
    rng = np.random.default_rng(9)
    days = len(counted["logistic"])
    drawn = rng.multinomial(days, np.ones(days) / days, size=2000)
    drawn = np.vstack([np.ones(days), drawn])
    named = np.stack(counted["one class"])
    return {
        name: _measures(drawn, np.stack(table), named, task)
        for name, table in counted.items()
    }


def _by_day(p, y, times):
    """For each day, how often (class, answer) met, and side bets by outcome.

    Classes in rows; the last column counts the bars whose side was right.
    """
    k = p.shape[-1]
    says, up = p.argmax(axis=-1), p[..., -1] > p[..., 0]
    found = []
    for day in np.unique(times.normalize()):
        of_day = np.asarray(times.normalize() == day)
        table = np.zeros((k, k + 1))
        for c in range(k):
            mine = of_day & (y == c)
            hits = [(says[:, mine] == j).sum() for j in range(k)]
            side = (up[:, mine] == (c == k - 1)).sum()
            table[c] = [*hits, side]
        found.append(table / len(p))
    return found


def _measures(drawn, tables, named, task):
    """Metrics in per cent of the sum over days, first row, and their ends."""
    whole = np.einsum("bd,dij->bij", drawn, tables)
    base = np.einsum("bd,dij->bij", drawn, named)
    met, size = whole[..., :-1], whole[..., :-1].sum(axis=-1)
    right = np.trace(met, axis1=1, axis2=2) / size.sum(axis=-1)
    always = np.trace(base[..., :-1], axis1=1, axis2=2) / size.sum(axis=-1)
    recalls = np.diagonal(met, axis1=1, axis2=2) / size
    values = {
        "accuracy": right,
        "balanced accuracy": recalls.mean(axis=-1),
        "above one class": right - always,
    }
    if task == "direction":
        ends = [0, -1]
        side = whole[:, ends, -1].sum(axis=-1) / size[:, ends].sum(axis=-1)
        values["right side"] = side
    return {
        name: tuple(100 * np.r_[v[0], np.quantile(v[1:], [0.025, 0.975])])
        for name, v in values.items()
    }


def logistic(X, y, k):
    """Multinomial logistic regression; a function of new rows, their chances.

    Least mean loss, with a ridge of 1e-4 on all weights.
    """
    one = np.column_stack([X, np.ones(len(X))])
    goal = np.eye(k)[y]

    def chances(w, rows):
        score = rows @ w.reshape(-1, k)
        p = np.exp(score - score.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def loss(w):
        p = chances(w, one)
        slope = one.T @ (p - goal) / len(one) + 1e-4 * w.reshape(-1, k)
        likely = np.log(np.maximum((p * goal).sum(axis=1), 1e-300))
        return 5e-5 * w @ w - likely.mean(), slope.ravel()

    start = np.zeros(one.shape[1] * k)
    w = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return lambda rows: chances(w, np.column_stack([rows, np.ones(len(rows))]))


# --- windows of a night and a morning ----------------------------------------


def windows(path):
    """Every window of 200 rows, side by side: learned on 160, tested on 40.

    Returns
    -------
    list of (share of Flat, accuracy of a logistic regression, accuracy of the
    commonest class of the 160), in per cent
    """
    X, y, _ = dataset(read_candles(path))
    found = []
    for start in range(0, len(y) - WINDOW + 1, WINDOW):
        rows, labels = X[start : start + WINDOW], y[start : start + WINDOW]
        past, future = labels[:-TEST], labels[-TEST:]
        A, B = standardize(rows[:-TEST], rows[-TEST:])
        learned = logistic(A, past, 3)(B).argmax(axis=1)
        named = np.bincount(past).argmax()
        scores = np.mean([labels == 1]), np.mean(learned == future)
        found.append((*scores, np.mean(future == named)))
    return [tuple(100 * np.array(row)) for row in found]


# --- one coin on two venues --------------------------------------------------


def alike(path, other):
    """How alike two tapes of one coin are on their common clock.

    Returns
    -------
    dict of measure -> (value, low, high)
        Correlation of returns, and the share of equal labels in per cent, with
        the ends of 95 % intervals: the common days drawn anew, 2,000 times.
    """
    tapes = [read_candles(p) for p in (path, other)]
    moves = [tape["close"].pct_change().iloc[1:] for tape in tapes]
    r, s = (m.to_numpy() for m in moves[0].align(moves[1], join="inner"))
    days = moves[0].index.intersection(moves[1].index).normalize()
    marks = [features.labels(tape) for tape in tapes]
    one, two = marks[0].align(marks[1], join="inner")
    sums = pd.DataFrame(
        {"m": 1.0, "r": r, "s": s, "rr": r * r, "ss": s * s, "rs": r * s},
        index=days,
    )
    same = pd.Series((one == two).to_numpy(float), one.index.normalize())
    same = same.groupby(level=0).agg(["sum", "count"])
    by_day = sums.groupby(level=0).sum().join(same).fillna(0).to_numpy()
    rng, k = np.random.default_rng(11), len(by_day)
    drawn = rng.multinomial(k, np.ones(k) / k, size=2000)
    m, r, s, rr, ss, rs, hits, count = (
        np.vstack([np.ones(k), drawn]) @ by_day
    ).T
    spread = np.sqrt((rr - r * r / m) * (ss - s * s / m))
    values = {
        "correlation of returns": (rs - r * s / m) / spread,
        "equal labels, %": 100 * hits / count,
    }
    return {
        name: (v[0], *np.quantile(v[1:], [0.025, 0.975]))
        for name, v in values.items()
    }


def read_candles(path):
    """A file of candles without the last, which may have been unfinished."""
    return market.read_candles(path).iloc[:-1]
