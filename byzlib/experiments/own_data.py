"""A reader's own files as clients: one file each, one clock for all, folds that walk forward.

Files are read one after the other, and their features are kept as arrays on disk, so that those of
one file at a time are in memory; of all files there are the times and the labels.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from byzlib.federated import Client
from byzlib.market import standardize, walk_forward

READERS = {".csv": pd.read_csv, ".gz": pd.read_csv, ".parquet": pd.read_parquet}
EPOCH = {"s": 1e11, "ms": 1e14, "us": 1e17, "ns": np.inf}  # times as numbers, below which size


def read_folder(
    folder, label, time, features=None, *, folds=2, train=None, test=None, purge=None, least=32,
    work=None,
):  # fmt: skip
    """The files of a folder as clients, split by one clock into folds that walk forward.

    Parameters
    ----------
    folder : path
        Holds CSV (or csv.gz) or Parquet files, one a client, which is named after it. Parquet needs
        the package pyarrow.
    label, time : str
        Columns: the class of a row, of any type; and when it was known. Times are all with one UTC
        offset or all without; numbers count from 1970, in s, ms, us or ns, by their size.
    features : list of str, optional
        Columns to learn from; all other numeric ones by default, the same in all files.
    folds, train, test, purge : as in `split_by_time`
    least : int
        Rows that a client needs in each training window, such as a batch.
    work : path
        A folder for the arrays.

    Returns
    -------
    clients, tests : as `robustness_report` takes them, their X on disk
    about : dict, classes (what label k stands for), features, step, rows, folds

    Raises
    ------
    ValueError
        In one sentence that names the file and what is missing: a column, a number, a second class,
        rows, one clock; also without pyarrow.
    """
    if not Path(folder).is_dir():
        raise ValueError(f"{folder} is no folder")
    paths = sorted(p for p in Path(folder).glob("*") if p.suffix in READERS and p.is_file())
    if len(paths) < 3:
        raise ValueError(
            f"{folder} needs at least 3 files, one a client, .csv, .csv.gz or .parquet; "
            f"got {len(paths)}"
        )
    work, clocks, labels = Path(work), {}, {}
    work.mkdir(parents=True, exist_ok=True)
    for path in paths:
        table = _table(path, label, time)
        clocks[path] = clock = _clock(path, table.pop(time))
        order = np.argsort(clock.asi8, kind="stable")
        labels[path] = _labels(path, table.pop(label))[order]
        X, features = _features(path, table, features)
        np.save(_kept(work, path), X[order])
    step = _one_clock(clocks)
    times = [clock.sort_values() for clock in clocks.values()]
    classes = sorted(set().union(*(np.unique(y).tolist() for y in labels.values())), key=_order)
    place = {name: k for k, name in enumerate(classes)}
    clients = [
        Client(
            np.load(_kept(work, path), mmap_mode="r"),
            np.array([place[name] for name in labels[path].tolist()]),
            _name(path),
        )
        for path in paths
    ]
    own, tests, windows = split_by_time(
        clients, times, folds=folds, train=train, test=test, purge=purge, least=least, work=work
    )
    about = {"classes": classes, "features": features, "step": step, "folds": windows}
    return own, tests, about | {"rows": sum(map(len, clients))}


def split_by_time(
    clients, times, *, folds=2, train=None, test=None, purge=None, least=32, work=None
):
    """Clients' rows in folds that walk forward on one clock, each on the scale of its training.

    Parameters
    ----------
    clients : list of `Client`, rows in the order of time
    times : list of DatetimeIndex, one a client
    folds : int
        How many where `train` and `test` are not given: the first half of the time trains the first
        fold, and each tests on its part of the second.
    train, test, purge : durations such as "60D", see `market.walk_forward`; purge is two of the
        clients' steps by default
    least : int
        Rows that each client needs in a training window; of test rows it needs one.
    work : path, optional
        A folder; X of each part is kept there and mapped, instead of in memory.

    Returns
    -------
    clients, tests : list of lists of `Client`, one for each fold
    windows : list of `market.Fold`
    """
    step = min(_step(clock) for clock in times)
    start, end = min(t[0] for t in times), max(t[-1] for t in times)
    train = (end - start) / 2 if train is None else train
    test = (end - start) / 2 / folds if test is None else test
    windows = walk_forward(times, train, test, 2 * step if purge is None else purge)
    own, tests = [], []
    for k, fold in enumerate(windows):
        parts = [
            _scaled(client, fold.train_mask(clock), fold.test_mask(clock), k, least, fold, work)
            for client, clock in zip(clients, times, strict=True)
        ]
        own.append([part[0] for part in parts])
        tests.append([part[1] for part in parts])
    return own, tests, windows


def _scaled(client, train, test, k, least, fold, work):
    """One client's training and test rows of a fold, by the mean and spread of the training."""
    for word, mask, needs in [("training", train, least), ("test", test, 1)]:
        if mask.sum() < needs:
            first, last = (
                (fold.train_start, fold.train_end) if word == "training"
                else (fold.test_start, fold.test_end)
            )  # fmt: skip
            raise ValueError(
                f"{client.name} has {mask.sum()} {word} rows in fold {k + 1}, {first} to {last}; "
                f"it needs at least {needs}: leave it out, or choose other folds"
            )
    scaled = standardize(client.X[train], client.X[test])
    if work is not None:
        for word, X in zip(("train", "test"), scaled, strict=True):
            np.save(Path(work) / f"{client.name}.{word}{k}.npy", X)
        scaled = [
            np.load(Path(work) / f"{client.name}.{word}{k}.npy", mmap_mode="r")
            for word in ("train", "test")
        ]
    return [
        Client(X, client.y[mask], client.name)
        for X, mask in zip(scaled, (train, test), strict=True)
    ]


# --- One file -----------------------------------------------------------------------------------


def _table(path, label, time):
    """A file as a DataFrame that has the two columns, and rows."""
    try:
        table = READERS[path.suffix](path)
    except ImportError:
        raise ValueError(
            f"{path.name} is a Parquet file, which needs the package pyarrow: install it, or write "
            "CSV files"
        ) from None
    except (ValueError, OSError) as error:  # pandas' own are ValueErrors
        raise ValueError(f"{path.name} cannot be read as a table: {error}") from None
    for name in (label, time):
        if name not in table:
            raise ValueError(
                f"{path.name} has no column {name!r}; there are {', '.join(map(str, table))}"
            )
    if table.empty:
        raise ValueError(f"{path.name} holds no row")
    return table


def _clock(path, column):
    """A file's times as a DatetimeIndex, with its own UTC offset or none."""
    if column.isna().any():
        raise ValueError(f"{path.name} has no {column.name} in data row {_first(column.isna())}")
    if pd.api.types.is_numeric_dtype(column):
        size = column.abs().max()
        unit = next(unit for unit, limit in EPOCH.items() if size < limit)
        return pd.DatetimeIndex(pd.to_datetime(column, unit=unit, utc=True))
    texts = column.astype(str)
    zones = texts.str.extract(r"\d(Z|[+-]\d\d:?\d\d)$")[0].fillna("none").unique()
    if len(zones) > 1:
        raise ValueError(
            f"{path.name} has two clocks, UTC offsets {' and '.join(sorted(zones)[:2])}: write all "
            "times with one"
        )
    try:
        return pd.DatetimeIndex(pd.to_datetime(column))
    except (ValueError, TypeError):
        bad = pd.to_datetime(texts, errors="coerce").isna()
        raise ValueError(
            f"{path.name} has a {column.name} that is no time, {texts[bad].iloc[0]!r} in data row "
            f"{_first(bad)}"
        ) from None


def _labels(path, column):
    if column.isna().any():
        raise ValueError(f"{path.name} has no {column.name} in data row {_first(column.isna())}")
    if pd.api.types.is_float_dtype(column) and (column == column.round()).all():
        column = column.astype(int)
    if column.nunique() < 2:
        raise ValueError(
            f"{path.name} has one class only, {column.iloc[0]}: there is nothing to learn from it"
        )
    return column.to_numpy()


def _features(path, table, features):
    """(m, p) finite floats, and the names of their columns."""
    if features is None:
        text = table.select_dtypes(exclude="number").columns
        if len(text):
            raise ValueError(
                f"{path.name} has a column of text, {text[0]!r}: name those to learn from"
            )
        features = list(table.columns)
    if not features:
        raise ValueError(f"{path.name} has no column to learn from")
    for name in features:
        if name not in table:
            raise ValueError(f"{path.name} has no column {name!r}; other files have")
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise ValueError(f"{path.name} has text in column {name!r}; numbers are needed")
    X = table[features].to_numpy(float)
    broken = ~np.isfinite(X)
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise ValueError(
            f"{path.name} holds NaN or infinity, {broken.sum()} times, first in column "
            f"{features[column]!r}, data row {row + 1}: leave such rows out"
        )
    return X, features


# --- One clock ----------------------------------------------------------------------------------


def _one_clock(clocks):
    """The step that all share, as a Timedelta; or a sentence that names two files that differ."""
    first, *others = clocks
    for path in others:
        a, b = (_zone(clocks[p]) for p in (first, path))
        if a != b:
            raise ValueError(
                f"two clocks: {first.name} has times with UTC offset {a}, {path.name} with {b}; "
                "write all with one"
            )
    steps = {}
    for path, clock in clocks.items():
        clock = clock.sort_values()
        if clock.has_duplicates:
            raise ValueError(f"{path.name} has the time {clock[clock.duplicated()][0]} twice")
        if len(clock) < 3:
            raise ValueError(f"{path.name} has {len(clock)} rows, fewer than any fold needs")
        steps[path] = _step(clock)
    for path in others:
        if steps[path] != steps[first]:
            raise ValueError(
                f"two clocks: {first.name} goes in steps of {steps[first]}, {path.name} in steps "
                f"of {steps[path]}; bring all to one"
            )
    return steps[first]


def _step(clock):
    """The most common difference between neighbours."""
    gaps, counts = np.unique(np.diff(clock.asi8), return_counts=True)
    return pd.Timedelta(int(gaps[counts.argmax()]), unit=clock.unit)


def _zone(clock):
    return "none" if clock.tz is None else f"{clock[0]:%z}"


def _first(mask):
    """The first row of a mask, as people count."""
    return int(np.argmax(np.asarray(mask))) + 1


def _order(name):
    """Numbers before words."""
    return isinstance(name, str), name


def _name(path):
    return path.name.split(".")[0]


def _kept(work, path):
    return work / f"{_name(path)}.npy"
