"""A reader's own files as clients: one file each, one clock for all, folds that walk forward.

Files are read one after the other, once to compare them and once to cut them, and the parts are
kept as arrays on disk: rows of one file at a time are in memory.
"""

import os
import zlib
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from byzlib.federated import Client
from byzlib.market import standardize, usual_step, walk_forward

READERS = {".csv": pd.read_csv, ".csv.gz": pd.read_csv, ".parquet": pd.read_parquet}
EPOCH = {"s": 1e11, "ms": 1e14, "us": 1e17, "ns": np.inf}  # times as numbers, below which size
DATES = 19_000_101, 21_001_231  # 20250131 would be a second of August 1970


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
    clients, tests : as `robustness_report` takes them, their arrays on disk
    about : dict, classes (what label k stands for), features, step, rows, folds

    Raises
    ------
    ValueError
        In one sentence that names the file and what is missing: a column, a number, a second class,
        rows, one clock; also without pyarrow.
    """
    if not Path(folder).is_dir():
        raise ValueError(f"{folder} is no folder")
    paths = sorted(p for p in Path(folder).glob("[!.]*") if _ending(p) and p.is_file())
    if len(paths) < 3:
        raise ValueError(
            f"{folder} needs at least 3 files, one a client, .csv, .csv.gz or .parquet; "
            f"got {len(paths)}"
        )
    if twice := [name for name, count in Counter(map(_name, paths)).items() if count > 1]:
        raise ValueError(f"{folder} has two files called {twice[0]}: one a client")
    beats, ends, classes, rows = {}, [], set(), 0
    for path in paths:
        clock, y, _, features = _rows(path, label, time, features)
        beats[path] = _zone(clock), _step(path, clock)
        ends.append(clock[[0, -1]])
        classes |= set(np.unique(y).tolist())
        rows += len(y)
    words = any(isinstance(name, str) for name in classes)  # then 1 of another file is "1"
    classes, step = sorted(map(str, classes) if words else classes), _one_clock(beats)
    classes = list(dict.fromkeys(classes))
    windows = walk_forward(ends, train, test, 2 * step if purge is None else purge, folds=folds)
    place = {name: k for k, name in enumerate(classes)}

    def read():
        for path in paths:
            clock, y, X, _ = _rows(path, label, time, features)
            names = map(str, y.tolist()) if words else y.tolist()
            yield Client(X, np.array([place[name] for name in names]), _name(path)), clock

    Path(work).mkdir(parents=True, exist_ok=True)
    own, tests = _in_folds(read(), windows, least, work)
    about = {"classes": classes, "features": features, "step": step, "rows": rows}
    return own, tests, about | {"folds": windows}


def split_by_time(
    clients, times, *, folds=2, train=None, test=None, purge=None, least=32, work=None
):
    """Clients' rows in folds that walk forward on one clock, each on the scale of its training.

    Parameters
    ----------
    clients : list of `Client`
    times : list of DatetimeIndex, one a client: when each of its rows was known
    folds, train, test, purge : as in `market.walk_forward`
    least : int
        Rows that each client needs in a training window; of test rows it needs one.
    work : path, optional
        A folder; the arrays of each part are kept there and mapped, instead of in memory.

    Returns
    -------
    clients, tests : list of lists of `Client`, one for each fold
    windows : list of `market.Fold`
    """
    windows = walk_forward(times, train, test, purge, folds=folds)
    return *_in_folds(zip(clients, times, strict=True), windows, least, work), windows


def _in_folds(pairs, windows, least, work):
    """Training and test parts in each fold of clients that come with their times, one by one."""
    own, tests = [[] for _ in windows], [[] for _ in windows]
    for client, clock in pairs:
        for k, fold in enumerate(windows):
            past, future = fold.train_mask(clock), fold.test_mask(clock)
            m = past.sum()
            for word, count, needs, start, end in [
                ("training", m, least, fold.train_start, fold.train_end),
                ("test", future.sum(), 1, fold.test_start, fold.test_end),
            ]:
                if count < needs:
                    raise ValueError(
                        f"{client.name} has {count} {word} rows in fold {k + 1}, {start} to {end}; "
                        f"it needs at least {needs}: leave it out, or take more or other times"
                    )
            X = np.concatenate(standardize(client.X[past], client.X[future]))
            y = np.concatenate([client.y[past], client.y[future]])
            if work is not None:
                X, y = (_mapped(work, f"{client.name}.{k}", array) for array in (X, y))
            own[k].append(Client(X[:m], y[:m], client.name))
            tests[k].append(Client(X[m:], y[m:], client.name))
    return own, tests


def _mapped(work, name, array):
    """The array as a file, of which memory holds what is looked at, as long as there is room.

    A file is called after what it holds, and so never written over: processes open it by its name,
    those of another run, too.
    """
    path = Path(work) / f"{name}.{joblib.hash(array)}.npy"
    if not path.exists():
        half = path.with_name(f"{path.name}.{os.getpid()}")
        with half.open("wb") as file:
            np.save(file, array)
        os.replace(half, path)
    return np.load(path, mmap_mode="r")


# --- One file -----------------------------------------------------------------------------------


def _rows(path, label, time, features):
    """A file's times, labels and features (m, p) in the order of time, and the features' names."""
    table = _table(path, label, time)
    clock, y = _clock(path, table.pop(time)), _labels(path, table.pop(label))
    X, features = _features(path, table, features)
    order = np.argsort(clock.asi8, kind="stable")
    return clock[order], y[order], X[order], features


def _table(path, label, time):
    """A file as a DataFrame that has the two columns, and rows."""
    try:
        table = READERS[_ending(path)](path)
    except ImportError:
        raise ValueError(
            f"{path.name} is a Parquet file, which needs the package pyarrow: install it, or write "
            "CSV files"
        ) from None
    except (ValueError, OSError, EOFError, zlib.error) as error:  # pandas' own are ValueErrors
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
        size = column.astype(float).abs().max()
        if column.between(*DATES).all():
            raise ValueError(
                f"{path.name} has a {column.name} that counts from 1970 or is a date without "
                f"strokes, {column.iloc[0]}: write dates as 2025-01-31"
            )
        if pd.api.types.is_bool_dtype(column) or size >= 2.0**63:
            raise ValueError(
                f"{path.name} has a {column.name} that is no time, {column[column.abs().idxmax()]}"
            )
        unit = next(unit for unit, limit in EPOCH.items() if size < limit)
        return pd.DatetimeIndex(pd.to_datetime(column, unit=unit, utc=True))
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.DatetimeIndex(column)
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
    if pd.api.types.is_float_dtype(column) and (column % 1 == 0).all():  # not for infinity
        column = column.map(int)
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


def _step(path, clock):
    """The step of a file's times, which are in order."""
    if clock.has_duplicates:
        raise ValueError(f"{path.name} has the time {clock[clock.duplicated()][0]} twice")
    if len(clock) < 3:
        raise ValueError(f"{path.name} has {len(clock)} rows, fewer than any fold needs")
    return usual_step(clock)


def _one_clock(beats):
    """The step that all files share, from {path: (zone, step)}; or what tells two apart."""
    (first, (zone, step)), *others = beats.items()
    for path, (other_zone, other_step) in others:
        if other_zone != zone:
            raise ValueError(
                f"two clocks: {first.name} has times with UTC offset {zone}, {path.name} with "
                f"{other_zone}; write all with one"
            )
        if other_step != step:
            raise ValueError(
                f"two clocks: {first.name} goes in steps of {step}, {path.name} in steps of "
                f"{other_step}; bring all to one"
            )
    return step


def _zone(clock):
    """The UTC offset of a clock, at one instant for all: a zone's own changes with the season."""
    return "none" if clock.tz is None else f"{pd.Timestamp('2000-01-01', tz=clock.tz):%z}"


def _first(mask):
    """The first row of a mask, as people count."""
    return int(np.argmax(np.asarray(mask))) + 1


def _ending(path):
    """By which a file is read; None if it is not."""
    return next((end for end in READERS if path.name.lower().endswith(end)), None)


def _name(path):
    return path.name[: -len(_ending(path))]
