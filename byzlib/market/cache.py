"""The cache behind `load_klines`: one SQLite file of closed candles and the spans they prove.

    candles    one row a candle: the exact decimals as text, and a checksum
    spans      from where to where the file has all that the exchange has, by whose word, and when
    conflicts  candles that came again with other numbers, beside the ones that are kept

A span is proven when a reply to a request for all of it was kept. So a gap inside a span is the
exchange's own and is not asked for again, and what lies between spans is. Rows outside every span
count for nothing. Each reply is one transaction: a process killed at any moment leaves the whole
page or none of it, and two processes may write at once, one after the other.

Decimals are text ("60000.5", no idle zeros), so that what the exchange printed is kept exactly and
`float` of it is the float that a fresh reply gives. The checksum is the CRC-32 of the row and its
key, which notices every edit within four neighbouring bytes: it guards against accidents.
"""

import os
import sqlite3
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path

from byzlib.market._bybit_errors import BadRequest, BadResponse
from byzlib.market._candle_file import open_file, transaction
from byzlib.market._candle_times import LATEST, candle_number, open_time, utc

_HERE = "category = ? AND symbol = ? AND interval = ?"
_BETWEEN = f"{_HERE} AND open_time BETWEEN ? AND ?"
_ROW = "open_time, open, high, low, close, volume, turnover, crc"


class CandleStore:
    """Candles of one market in a file that may hold many.

    Parameters
    ----------
    path : Path
        Made when it is not there, with its folder. An empty file is as good as none.
    market : dict
        category, symbol and interval, as Bybit spells them.

    Raises
    ------
    BadRequest
        The file belongs to another program or another version, or is damaged. It is not touched.
    Unusable
        There is no such place, or it cannot be written.
    """

    def __init__(self, path, market):
        self.path, self.market = Path(path), market
        self.key = (market["category"], market["symbol"], market["interval"])
        with self._trouble():
            self.db = open_file(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.db.close()

    # --- Reading; candles are given by number, as `candle_number` counts them ---

    def spans(self, first, last):
        """What is proven of candles `first` to `last`.

        Returns
        -------
        list of (int, int)
            Candle numbers, inclusive, ascending, as few as possible.
        """
        joined = []
        for one, other, *_ in self._spans(first, last):
            one, other = max(one, first), min(other, last)
            if joined and one == joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], other)
            else:
                joined.append((one, other))
        return joined

    def missing(self, first, last):
        """What is not proven of candles `first` to `last`: the spans between the spans."""
        edges = [first - 1]
        for one, other in self.spans(first, last):
            edges += [one, other]
        edges.append(last + 1)
        return [
            (before + 1, after - 1)
            for before, after in zip(edges[::2], edges[1::2], strict=True)
            if after - before > 1
        ]

    def sources(self, first, last):
        """Who said so, for candles `first` to `last`: a set of host names."""
        return {host for *_, who in self._spans(first, last) for host in who.split(" and ")}

    def read(self, first, last):
        """The proven candles from `first` to `last`.

        Returns
        -------
        dict
            Candle number to a tuple of six decimals, as `wire.rows` gives them.

        Raises
        ------
        BadRequest
            A row was altered or is lost.
        BadResponse
            Two values of one candle are kept and nobody has said which is right.
        """
        found = {}
        with self._transaction("DEFERRED"):
            for one, other, count, *_ in self._spans(first, last):
                if (held := self._count(one, other)) != count:
                    raise self._damage(f"it holds {held} candles of a span of {count}")
                found |= self._rows(max(one, first), min(other, last))
            self._refuse_conflicts(first, last)
        return found

    # --- Writing ---

    def keep(self, first, last, candles, clock, source, replace=False):
        """Keep a reply: all that the exchange has of candles `first` to `last`.

        Parameters
        ----------
        first, last : int
            The span that the reply proves; every candle in it is closed at `clock`.
        candles : dict
            Candle number to six decimals. Those outside the span are witnesses: they are compared
            with what is kept, and passed over.
        clock : int
            The server's time, in milliseconds.
        source : str
            The host that answered.
        replace : bool
            Put the reply in the place of what is kept, and settle conflicts in its favour.

        Raises
        ------
        BadResponse
            A candle kept earlier has other numbers, or is no longer there. The file keeps the
            old one, and the new one beside it; nothing else of the reply is kept.
        BadRequest
            The file cannot be written: the disk is full, say. It stays as it was.
        """
        if self._opens(last + 1) > clock:
            raise ValueError(f"candle {last} is not closed at {clock}: it cannot be kept")
        with self._transaction():
            whole = min([first, *candles]), max([last, *candles])
            spans = self._spans(whole[0] - 1, whole[1] + 1)
            old = {} if replace else self._proven(spans, *whole)
            old = {n: row for n, row in old.items() if first <= n <= last or n in candles}
            clash = [number for number in old if candles.get(number) != old[number]]
            if clash:
                self._insert("conflicts", {n: candles[n] for n in clash if n in candles})
            else:
                self._put(first, last, candles, clock, source, spans, replace)
        if clash:
            values = old[clash[0]], candles.get(clash[0], "no candle")
            raise self._conflict(clash[0], *values, len(clash))

    def _proven(self, spans, first, last):
        """The rows of the window that lie in a span."""
        found = {}
        for one, other, *_ in spans:
            found |= self._rows(max(one, first), min(other, last))
        return found

    def _put(self, first, last, candles, clock, source, spans, replace):
        """The rows of the window anew, and one span for it and those of its source beside it."""
        fresh = {number: row for number, row in candles.items() if first <= number <= last}
        window, count = (*self.key, *self._window(first, last)), len(fresh)
        begin, end = first, last
        for one, other, held, when, who in spans:
            beside = other == begin - 1 or one == end + 1
            meets = one <= end and other >= begin
            if not (meets or (beside and who == source)):
                continue
            where = f"DELETE FROM spans WHERE {_HERE} AND first = ?"
            self.db.execute(where, (*self.key, self._opens(one)))
            if replace and self._count(one, other) != held:
                continue  # what was lost beside the window is asked for again
            count += held - (self._count(max(one, begin), min(other, end)) if meets else 0)
            first, last, clock = min(first, one), max(last, other), max(clock, when)
            source = " and ".join(sorted({*source.split(" and "), *who.split(" and ")}))
        for table in ("candles", "conflicts"):
            self.db.execute(f"DELETE FROM {table} WHERE {_BETWEEN}", window)
        self._insert("candles", fresh)
        row = (*self.key, *self._window(first, last), count, clock, source)
        self.db.execute("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _insert(self, table, candles):
        rows = ((self._opens(number), *row) for number, row in candles.items())
        self.db.executemany(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*self.key, *row, self._crc(row)) for row in rows],
        )

    # --- Within ---

    def _spans(self, first, last):
        """(first, last, candles, clock, source) of each span that touches the window."""
        query = f"SELECT first, last, candles, clock, source FROM spans WHERE {_HERE} \
AND first <= ? AND last >= ? ORDER BY first"
        window = (self._opens(last), self._opens(first))
        found = []
        with self._trouble():
            stored = self.db.execute(query, (*self.key, *window)).fetchall()
        for start, end, candles, clock, source in stored:
            if not all(type(n) is int and 0 <= n <= LATEST for n in (start, end, candles, clock)):
                raise self._damage(f"a span from {start!r} to {end!r} at {clock!r}")
            one, other = self._number(start), self._number(end)
            # A span cannot prove what was still moving when it was made.
            closed = min(other, self._number(clock) - 1)
            if closed < other:
                candles = len(self._rows(one, closed))
            if closed >= one:
                found.append((one, closed, candles, clock, source))
        return found

    def _rows(self, first, last):
        query = f"SELECT {_ROW} FROM candles WHERE {_BETWEEN} ORDER BY open_time"
        found, window = {}, self._window(first, last)
        with self._trouble():
            for *row, crc in self.db.execute(query, (*self.key, *window)):
                if self._crc(row) != crc:
                    raise self._damage(f"the candle of {utc(row[0])} was altered: {tuple(row[1:])}")
                found[self._number(row[0])] = tuple(row[1:])
        return found

    def _count(self, first, last):
        query = f"SELECT count(*) FROM candles WHERE {_BETWEEN}"
        return self.db.execute(query, (*self.key, *self._window(first, last))).fetchone()[0]

    def _refuse_conflicts(self, first, last):
        query = f"SELECT {_ROW} FROM conflicts WHERE {_BETWEEN} ORDER BY open_time"
        clash = self.db.execute(query, (*self.key, *self._window(first, last))).fetchall()
        if clash:
            number = self._number(clash[0][0])
            old = self._rows(number, number).get(number, "no candle")
            raise self._conflict(number, old, clash[0][1:-1], len({row[0] for row in clash}))

    def _conflict(self, number, old, new, count):
        others = f" (and {count - 1} more)" if count > 1 else ""
        return BadResponse(
            f"cache {self.path} holds {' '.join(self.key)} {utc(self._opens(number))} UTC as "
            f"{_show(old)}, and the server said {_show(new)}{others}; both are kept: load with "
            "refresh=True to take what the server says now"
        )

    def _damage(self, what):
        return BadRequest(
            f"cache {self.path} is damaged ({what}); nothing of it is used: load the range with "
            "refresh=True, or move the file away"
        )

    def _crc(self, row):
        return zlib.crc32("|".join(map(str, (*self.key, *row))).encode())

    def _opens(self, number):
        return open_time(number, self.market["interval"])

    def _number(self, ms):
        return candle_number(ms, self.market["interval"])

    def _window(self, first, last):
        return self._opens(first), self._opens(last)

    @contextmanager
    def _transaction(self, kind="IMMEDIATE"):
        with self._trouble(), transaction(self.db, kind):
            yield

    @contextmanager
    def _trouble(self):
        try:
            yield
        except sqlite3.OperationalError as error:
            raise BadRequest(
                f"cache {self.path} cannot be written or read ({error}); it stays as it was: free "
                "the disk or end the other program, or name another file"
            ) from error
        except sqlite3.Error as error:
            raise self._damage(str(error)) from error


def _show(row):
    return row if isinstance(row, str) else f"({', '.join(row)})"


def cache_path(cache=None):
    """The cache file that `load_klines` uses.

    Raises
    ------
    BadRequest
        No path can be made of what was given, or nothing was and there is no home for the default.
    """
    cache = os.environ.get("BYZLIB_BYBIT_CACHE") or default_cache() if cache is None else cache
    if cache is None:
        raise BadRequest(
            "there is no home folder to keep candles in: give cache= the path of a file, or name "
            "one in the environment's BYZLIB_BYBIT_CACHE"
        )
    if not isinstance(cache, str | os.PathLike) or not str(cache) or "\0" in str(cache):
        raise BadRequest(f"cache needs the path of a file; got {cache!r}")
    try:
        return Path(cache).expanduser().absolute()
    except (OSError, RuntimeError) as error:  # no such user, or no working directory
        raise BadRequest(f"cache {cache} leads nowhere ({error}): give an absolute path") from error


def default_cache():
    """byzlib/candles.sqlite in the folder where this system keeps caches; None without a home."""
    variable, below_home = {
        "win32": ("LOCALAPPDATA", "AppData/Local"),
        "darwin": ("", "Library/Caches"),
    }.get(sys.platform, ("XDG_CACHE_HOME", ".cache"))
    folder = Path(os.environ.get(variable, ""))
    if not folder.is_absolute():  # the XDG standard: a relative path is no path
        try:
            folder = Path.home() / below_home
        except RuntimeError:
            return None
    return folder / "byzlib" / "candles.sqlite"
