"""Candles that are downloaded once: one SQLite file for all markets of all hosts.

    pages(market, first, content)

`market` is the host, category, symbol and interval ("api.bybit.com linear BTCUSDT 5"), so that what
a replay said never comes back as Bybit's. A page is for a thousand candles, `first` a multiple of
1000 as `bybit.candle_number` counts. Its content is JSON, packed by zlib, whose checksum finds
damage: [last, [[number, open, high, low, close, volume, turnover], ...]], all that the host has up
to candle `last`. A page is written whole or not at all, whoever else writes, and a process that is
killed has kept those before. Closed candles never change.
"""

import json
import os
import sqlite3
import zlib
from contextlib import closing, contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from byzlib.market import bybit
from byzlib.market.bybit import PAGE, BadRequest, BybitError, Session

MAGIC = b"SQLite format 3\0"
APPLICATION = 0x42595A03  # "BYZ" and the version, in the file's header where SQLite has room for it
NEW = f"""BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS pages (market, first, content, PRIMARY KEY (market, first));
    PRAGMA application_id = {APPLICATION};
    COMMIT"""  # another process may have been quicker
PATIENCE = 30.0  # seconds to wait for another process to finish its page


def load_klines(
    symbol="BTCUSDT", interval="5", start=None, end=None, *, category="linear", limit=None,
    base_url=None, deadline=30.0, progress=True, cache=None, refresh=False,
):  # fmt: skip
    """Closed candles through a cache: what it holds is not asked for again.

    A range with start and end that the cache covers is answered without any network. What it lacks
    comes in whole pages of 1000 candles, and each is kept at once, so that a call that fails or is
    killed goes on where it was when it is repeated. Without `end` the newest page is always asked
    for. Other parameters and errors as in `fetch_klines`.

    Parameters
    ----------
    cache : path, optional
        The file; otherwise the environment's BYZLIB_BYBIT_CACHE, otherwise one in the folder where
        this system keeps caches. BadRequest, by its name, where it is another program's or
        version's, damaged, or cannot be used; it is left as it was.
    refresh : bool
        Ask for the whole range again, and put what comes in the place of what the cache holds.

    Returns
    -------
    pandas.DataFrame
        As `fetch_klines` returns it; `dropped` counts what this call left out. In `attrs` also:
        cache, the file; cached, how many candles it held before.
    """
    query = bybit.checked(symbol, interval, start, end, category, limit, base_url, deadline)
    path = cache_path(cache)
    with opened(path) as db, Session(query) as session:
        query = query.settled(session)
        candles, proven = ({}, {}) if refresh else held(db, query)
        cached = sum(query.first <= n <= query.last for n in candles)
        windows = [
            (first, first + PAGE - 1)
            for first in range(query.first // PAGE * PAGE, query.last + 1, PAGE)
            if proven.get(first, -1) < min(first + PAGE - 1, query.last)
        ]
        pages, kept = [], 0
        try:
            for page in bybit.download(query, session, windows, progress):
                pages.append(page)
                candles |= page.candles
                if page.candles:  # a broken server may send empty pages, and nothing else
                    keep(db, query, pages[kept:], candles)
                    kept = len(pages)
        except BybitError as error:
            error.args = (f"{error}; what came before is kept in {path}",)
            raise
    table = bybit.frame(query, candles, pages)
    table.attrs |= {"cache": str(path), "cached": cached}
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
        if head and not (head.startswith(MAGIC) and head[68:] == APPLICATION.to_bytes(4)):
            raise BadRequest(
                f"cache {path} belongs to another program, or to another version of byzlib, and is "
                "left alone: name another file"
            )
        # Without an isolation level each statement is a transaction.
        with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as db:
            if not head:
                db.executescript(NEW)
            yield db
    except (OSError, sqlite3.Error) as error:
        raise BadRequest(
            f"cache {path} cannot be used ({error}); it stays as it was: name another file, or "
            "free the disk, end the other program, move the damaged file away"
        ) from error


def held(db, query):
    """All candles of the pages that hold some of a query; and by first candle, their last ones."""
    candles, proven = {}, {}
    found = "SELECT first, content FROM pages WHERE market = ? AND first BETWEEN ? AND ?"
    span = query.first - PAGE + 1, query.last
    for first, content in db.execute(found, (query.market, *span)).fetchall():
        try:
            proven[first], rows = json.loads(zlib.decompress(content))
        except (zlib.error, TypeError) as error:
            said = f"a page of {query.market} was altered; refresh=True asks for it again"
            raise sqlite3.DatabaseError(said) from error
        candles |= {n: tuple(values) for n, *values in rows}
    return candles, proven


def keep(db, query, pages, candles):
    """Write pages that came; `candles` has theirs, and what is held, of which none gets lost."""
    for page in pages:
        rows = [(n, *candles[n]) for n in range(page.first, page.first + PAGE) if n in candles]
        last = max([page.last, *(n for n, *_ in rows)])
        content = zlib.compress(json.dumps([last, rows]).encode())
        entry = query.market, page.first, content
        db.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?)", entry)


def cache_path(cache=None):
    """The cache file that `load_klines` uses; BadRequest where no path can be made of `cache`."""
    try:
        if cache is None and not (cache := os.environ.get("BYZLIB_BYBIT_CACHE")):
            cache = user_cache_path("byzlib", appauthor=False) / "candles.sqlite"
        if not isinstance(cache, str | os.PathLike) or not str(cache) or "\0" in str(cache):
            raise BadRequest(f"cache needs the path of a file; got {cache!r}")
        return Path(cache).expanduser().absolute()
    except (OSError, RuntimeError) as error:  # no such user, no home, or no working directory
        raise BadRequest(
            f"cache {cache} leads nowhere ({error}): give cache= an absolute path, or name one in "
            "the environment's BYZLIB_BYBIT_CACHE"
        ) from error
