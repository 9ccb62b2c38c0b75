"""Federated training on recorded candles: the cell behind the real rows of the
accuracy table.
"""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from byzlib import attacks
from byzlib.experiments import rule_named
from byzlib.federated import ByzantineFL, Client, SimpleModel
from byzlib.market import dataset, standardize, walk_forward
from byzlib.metrics import accuracy, balanced_accuracy, majority_share

CELL = (
    "Four features, Flat within 0.1 %, walk-forward (60 days, then 14; 14 "
    "and 5 for files of a month), purge 10 minutes; client k of 10 has "
    "every tenth day; SimpleModel(4, 16), batches of 200, 300 rounds, rate "
    "0.5; the server expects f = 3."
)
CLIENTS, LIARS = 10, 3


def candle_files(folder):
    """Bybit's files of five-minute candles in a folder, by name."""
    return sorted(Path(folder).glob("bybit_*_*_5m_*.csv*"))


def on_candles(seeds, rule, scale, source, symbol, period, path, digest):
    """Accuracy over all folds of a file, one stacked run a fold; see `CELL`.

    Three clients send -scale times the honest mean, or nobody lies where scale
    is 0. Source, symbol, period and digest tell results apart; they change
    nothing.
    """
    served = rule_named(rule)
    lie = partial(attacks.sign_flip, scale=scale) if scale else None
    model, truth, guesses = SimpleModel(4, 16), [], []
    for clients, (X, y) in _folds(path):
        fl = ByzantineFL(
            model,
            clients,
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


@lru_cache(maxsize=1)
def _folds(path):
    """[(clients, test rows)] of a file of candles."""
    X, y, times = dataset(read_candles(path))
    month = times[-1] - times[0] < pd.Timedelta("75D")
    train, test = ("14D", "5D") if month else ("60D", "14D")
    folds = []
    for fold in walk_forward(times, train, test, purge="10min"):
        past, future = fold.train_mask(times), fold.test_mask(times)
        X_past, X_future = standardize(X[past], X[future])
        days = times[past].normalize()
        desk = (days - days[0]) // pd.Timedelta("1D") % CLIENTS
        clients = [
            Client(X_past[desk == k], y[past][desk == k], f"desk {k}")
            for k in range(CLIENTS)
        ]
        folds.append((clients, (X_future, y[future])))
    return folds


def read_candles(path):
    """A file of candles in the form of `byzlib.market.fetch_klines`."""
    candles = pd.read_csv(path)
    opened = pd.to_datetime(candles.pop("ts_ms"), unit="ms", utc=True)
    candles.index = pd.DatetimeIndex(opened, name="open_time")
    candles = candles.astype(float)
    candles["turnover"] = candles["volume"] * candles["close"]
    candles.attrs["interval"] = "5"
    return candles.iloc[:-1]  # the last one may have been unfinished
