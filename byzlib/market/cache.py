"""Candles that are downloaded once: one SQLite file for all markets of all hosts.

    pages(market, first, last, candles, crc)

`market` is the key: host, category, symbol and interval ("api.bybit.com linear BTCUSDT 5"), so that
what a replay said never comes back as Bybit's. A page holds all that the host has of candles
`first` to `last` (numbers, as `bybit.candle_number` counts): a list of [number, open, high, low,
close, volume, turnover] in JSON, under a checksum. Pages of a market do not overlap. Each reply is
one transaction: a process killed at any moment leaves the whole page or none of it, and two
processes may write, one after the other. Only closed candles are kept, and they never change.
"""

import json
import os
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from zlib import crc32

from platformdirs import user_cache_path

from byzlib.market import bybit
from byzlib.market.bybit import BadRequest, BadResponse, BybitError, Session

MAGIC = b"SQLite format 3\0"
APPLICATION = 0x42595A02  # "BYZ" and the version, in the file's header where SQLite has room for it
TABLE = """CREATE TABLE IF NOT EXISTS pages (market TEXT NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, candles TEXT NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (market, first))"""
PATIENCE = 30.0  # seconds to wait for another process to finish its page


def load_klines(
    symbol="BTCUSDT", interval="5", start=None, end=None, *, category="linear", limit=None,
    base_url=None, deadline=30.0, progress=True, cache=None, refresh=False,
):  # fmt: skip
    """Closed candles through a cache: what it holds is not asked for again.

    A range with start and end that the cache covers is answered without any network. Each page
    that comes is kept at once, so that a call that fails or is killed goes on where it was when it
    is repeated. Where new candles meet kept ones, one kept candle is asked for again, and a server
    that contradicts it is found out.

    Parameters
    ----------
    symbol, interval, start, end, category, limit, base_url, deadline, progress
        As for `fetch_klines`. Without `end` the newest candles are always asked for.
    cache : path, optional
        The file; otherwise the environment's BYZLIB_BYBIT_CACHE, otherwise `default_cache()`.
    refresh : bool
        Ask for the whole range again, and put what comes in the place of what the cache holds.

    Returns
    -------
    pandas.DataFrame
        As `fetch_klines` returns it; `dropped` counts what this call left out. In `attrs` also:
        cache, the file; cached, how many candles it held before.

    Raises
    ------
    BybitError
        As `fetch_klines`. BadRequest, by its name, also for a cache that is another program's or
        version's, damaged, or cannot be used; it is left as it was. BadResponse also when the
        server contradicts the cache, which keeps its own; `refresh` settles it.
    """
    query = bybit.checked(symbol, interval, start, end, category, limit, base_url, deadline)
    path = cache_path(cache)
    with opened(path) as db, Session(query) as session:
        query = query.settled(session)
        held, spans = ({}, [(query.first, query.last)]) if refresh else read(db, query)
        pages, kept = [], 0
        try:
            for page in bybit.download(query, session, spans, progress):
                pages.append(page)
                if page.candles:  # a broken server may send empty pages, and nothing else
                    keep(db, query, pages[kept:], refresh)
                    kept = len(pages)
        except BybitError as error:
            error.args = (f"{error}; what came before is kept in {path}",)
            raise
    table = bybit.frame(query, pages, held)
    table.attrs |= {"cache": str(path), "cached": len(held)}
    return table


@contextmanager
def opened(path):
    """A connection to the cache at `path`, which is made when it is missing or empty."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        head = b""
        if path.exists():
            with open(path, "rb") as file:  # SQLite itself might begin to repair a stranger's file
                head = file.read(72)
    except OSError as error:
        raise BadRequest(f"cache {path} cannot be used ({error}): name another file") from error
    if head and not (head.startswith(MAGIC) and head[68:] == APPLICATION.to_bytes(4)):
        raise BadRequest(
            f"cache {path} belongs to another program, or to another version of byzlib, and is "
            "left alone: name another file"
        )
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as db:
            if not head:
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    db.execute(TABLE)  # another process may have been quicker
                    db.execute(f"PRAGMA application_id = {APPLICATION}")
            yield db
    except sqlite3.Error as error:
        raise BadRequest(
            f"cache {path} cannot be used ({error}); it stays as it was: name another file, or "
            "free the disk, end the other program, move the damaged file away"
        ) from error


def read(db, query):
    """What is held of a query, number to values, and the spans of it that are not.

    A span begins and ends with the candle that is held beside it, as a witness.
    """
    candles, spans, covered, witness = {}, [], query.first - 1, 0
    for first, last, page in pages_of(db, query.market, query.first, query.last):
        if first > covered + 1:
            spans.append((covered + 1 - witness, first))
        candles |= {n: values for n, values in page.items() if query.first <= n <= query.last}
        covered, witness = last, 1
    if covered < query.last:
        spans.append((covered + 1 - witness, query.last))
    return candles, spans


def keep(db, query, pages, replace=False):
    """Keep what `pages` prove, all of it or nothing; where `replace`, against what is held."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        for page in pages:
            for first, last, held in pages_of(db, query.market, page.first, page.last, replace):
                if not replace:
                    compare(query, page, first, last, held)
                remove(db, query.market, first)
                put(db, query.market, first, page.first - 1, held)
                put(db, query.market, page.last + 1, last, held)
            put(db, query.market, page.first, page.last, page.candles)


def compare(query, page, first, last, held):
    """The candles of a page must be those that are `held` as candles `first` to `last`."""
    for n in range(max(first, page.first), min(last, page.last) + 1):
        came, kept = (candles.get(n, "no candle") for candles in (page.candles, held))
        if came != kept:
            when = bybit.utc(bybit.open_time(n, query.interval))
            raise BadResponse(
                f"asked {query}; got {came} for {when}, where the cache has {kept}, and keeps it; "
                "refresh=True takes what the server says"
            )


def put(db, market, first, last, candles):
    """Write candles `first` to `last`, if that is any, as a page."""
    rows = [[n, *candles[n]] for n in sorted(candles) if first <= n <= last]
    entry = market, first, last, json.dumps(rows)
    if first <= last:
        db.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?)", (*entry, checksum(entry)))


def remove(db, market, first):
    """Remove the page that begins with candle `first`."""
    db.execute("DELETE FROM pages WHERE market = ? AND first = ?", (market, first))


def checksum(entry):
    """Of all that a page says."""
    return crc32(repr(tuple(entry)).encode())


def pages_of(db, market, first, last, repair=False):
    """(first, last, candles) of each page that touches candles `first` to `last`."""
    touching = "SELECT * FROM pages WHERE market = ? AND first <= ? AND last >= ? ORDER BY first"
    for *entry, crc in db.execute(touching, (market, last, first)).fetchall():
        _, first, last, text = entry
        if crc == checksum(entry):
            yield first, last, {n: tuple(values) for n, *values in json.loads(text)}
        elif repair:
            remove(db, market, first)
        else:
            said = f"a page of {market} was altered; refresh=True asks for it again"
            raise sqlite3.DatabaseError(said)


# --- Where the file is ---


def cache_path(cache=None):
    """The cache file that `load_klines` uses; BadRequest where no path can be made of `cache`."""
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
    try:
        folder = user_cache_path("byzlib", appauthor=False)
        if not folder.is_absolute():  # the XDG standard: a relative path is no path
            folder = Path.home() / ".cache" / "byzlib"
    except RuntimeError:
        return None
    return folder / "candles.sqlite"
