"""The market-data client: closed candles from Bybit, or one sentence that says why not.

`fetch_klines` asks for fixed windows that cover the range, checks every row that comes back, and
leaves out the candle that is still moving. It fills nothing in and takes nothing from elsewhere.
`load_klines` does the same through a file that remembers. From the command line:

    python -m byzlib.market BTCUSDT --interval 5 --days 30

The protocol is documented at https://bybit-exchange.github.io/docs/v5/market/kline.
"""

import argparse
import functools
import os
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from byzlib.market import _bybit_wire as wire
from byzlib.market._bybit_errors import (  # noqa: F401 -- the errors are part of this module
    BadRequest,
    BadResponse,
    BybitError,
    RateLimited,
    RegionBlocked,
    Trouble,
    UnknownSymbol,
    Unreachable,
)
from byzlib.market._bybit_http import Line
from byzlib.market._bybit_pages import Harvest, collect, frame
from byzlib.market._bybit_request import (  # noqa: F401
    CATEGORIES,
    MAINNET,
    PAGE,
    checked,
)
from byzlib.market._candle_file import Unusable
from byzlib.market._candle_times import EARLIEST, INTERVALS
from byzlib.market.cache import CandleStore, cache_path, default_cache


def fetch_klines(
    symbol="BTCUSDT",
    interval="5",
    start=None,
    end=None,
    *,
    category="linear",
    limit=None,
    base_url=None,
    deadline=30.0,
    strict=False,
    closed_only=True,
    max_pages=500,
    progress=True,
):
    """Closed candles, oldest first.

    Parameters
    ----------
    symbol : str
        Upper case, as Bybit lists it: "BTCUSDT".
    interval : str or int
        Minutes ("1" "3" "5" "15" "30" "60" "120" "240" "360" "720"), "D", "W" or "M".
    start, end : aware datetime or int milliseconds since 1970, UTC; optional
        Candles whose open time lies in [start, end]. Without `end`: up to now.
    category : {"linear", "spot", "inverse"}
    limit : int, 1 to 1000, optional
        Without `start`: the newest `limit` closed candles up to `end` (200 when not given).
        With `start` alone: the first `limit`. With both: the range may hold no more than this.
    base_url : str, optional
        Scheme and host; otherwise the environment's BYZLIB_BYBIT_URL, otherwise Bybit itself.
    deadline : float
        Seconds for the whole call, retries included. A page of 1000 candles takes about 0.2.
    strict : bool
        Refuse gaps, and rows of more than seven columns.
    closed_only : bool
        False also returns the candle that still moves, as the last row, marked in `attrs`.
    max_pages : int
        Pages of 1000 candles that the call may ask for; a longer range is refused, never cut.
    progress : bool
        A progress bar on stderr when that is a terminal and the call takes over a second.

    Returns
    -------
    pandas.DataFrame
        Float columns open, high, low, close, volume, turnover; index `open_time`, UTC, ascending,
        unique. Prices are in quote coin a base coin (USDT a BTC). Volume is in base coin (BTC) and
        turnover in quote coin (USDT) for linear and spot; for inverse it is the other way round:
        volume in quote coin (USD), turnover in base coin (BTC).
        `attrs`:
        source, category, symbol, interval;
        units, of volume and turnover;
        gaps, a list of (first missing, last missing, how many) inside the range asked;
        dropped, the counts of what was left out: unfinished, duplicates (identical), outside the
        range asked, columns (rows that had more than seven; the further ones are not read);
        n_jumps, how many candles do not open where their neighbour closed, and jumps, the first
        20 of these pairs: on Bybit a sign of a lost, foreign or edited row, elsewhere usual;
        unfinished, the open time of the candle that still moves, None when it is not included.

    Raises
    ------
    BybitError
        One of BadRequest, UnknownSymbol, RateLimited, RegionBlocked, BadResponse, Unreachable.

    Notes
    -----
    Bybit sends the newest candle while it still moves and flags it nowhere. A candle is closed
    here when it ends at or before the `time` in the server's own reply; the local clock has no say.
    """
    asked = checked(symbol, interval, start, end, category, limit, base_url, deadline, max_pages)
    with Line(asked.url, float(deadline)) as line:
        try:
            asked = _with_start(asked, line)
            harvest = Harvest(asked, strict)
            collect(line, harvest, [(asked.first, asked.last)], max_pages, progress)
            return frame(harvest, harvest.candles, closed_only, _host(asked))
        except Trouble as trouble:
            if trouble.missing is not None and trouble.missing > asked.first:
                missing = asked.when(trouble.missing)
                trouble.came += f"; missing: {missing}, and nothing is returned"
            raise trouble.error(asked) from trouble.__cause__


def load_klines(
    symbol="BTCUSDT",
    interval="5",
    start=None,
    end=None,
    *,
    category="linear",
    limit=None,
    base_url=None,
    deadline=30.0,
    strict=False,
    closed_only=True,
    max_pages=500,
    progress=True,
    cache=None,
    refresh=False,
):
    """Closed candles through a cache: what it holds is not asked for again.

    A range with an end that the cache covers is answered without any network. Each page that
    comes is kept at once, so a call that fails or is killed goes on where it was when repeated.

    Parameters
    ----------
    symbol, interval, start, end, category, limit, base_url, deadline, strict, closed_only, \
max_pages, progress
        As for `fetch_klines`. Without `end` the newest candles are always asked for.
    cache : path, optional
        One SQLite file for all markets; otherwise the environment's BYZLIB_BYBIT_CACHE, otherwise
        `default_cache()`. Where none can be made, a RuntimeWarning says so and nothing is kept.
        Without a home folder one must be named.
    refresh : bool
        Ask for the whole range again, and put what comes in the place of what the cache holds.

    Returns
    -------
    pandas.DataFrame
        As `fetch_klines` returns it. In `attrs`, source names every host that candles came from,
        and dropped counts what this call left out; besides:
        cache, the file, None when there is none; cached, how many candles it held before.

    Raises
    ------
    BybitError
        As `fetch_klines`. BadRequest also for a cache that belongs to another program or version,
        is damaged, or cannot be written, by its name; it is left as it was. BadResponse also when
        the server contradicts a candle in the cache: both are kept, and `refresh` settles it.
    """
    asked = checked(symbol, interval, start, end, category, limit, base_url, deadline, max_pages)
    path = cache_path(cache)
    options = {"strict": strict, "closed_only": closed_only, "max_pages": max_pages}
    try:
        store = CandleStore(path, asked.market)
    except Unusable as error:
        warnings.warn(f"{error}; candles are fetched and not kept", RuntimeWarning, stacklevel=2)
        table = fetch_klines(
            symbol, interval, start, end, category=category, limit=limit, base_url=base_url,
            deadline=deadline, progress=progress, **options,
        )  # fmt: skip
        table.attrs |= {"cache": None, "cached": 0}
        return table
    with store:
        return _load(asked, store, float(deadline), refresh, progress, **options)


def _load(asked, store, deadline, refresh, progress, strict, closed_only, max_pages):
    with Line(asked.url, deadline) as line:
        try:
            asked = _with_start(asked, line, store)
            harvest = Harvest(asked, strict)
            spans, cached = [(asked.first, asked.last)], {}
            if not refresh:
                # In this order: what another process keeps meanwhile is asked for twice, not never.
                spans = store.missing(asked.first, asked.last)
                cached = store.read(asked.first, asked.last)
                spans = _with_witness(spans, cached)

            def keep(first, last, candles, clock):
                first += first in cached
                if first <= last:
                    store.keep(first, last, candles, clock, _host(asked), replace=refresh)

            collect(line, harvest, spans, max_pages, progress, keep)
            candles = store.read(asked.first, asked.last) if spans else cached
            hosts = sorted(store.sources(asked.first, asked.last)) or [_host(asked)]
            table = frame(harvest, harvest.candles | candles, closed_only, " and ".join(hosts))
        except Trouble as trouble:
            if trouble.missing is not None:
                first = trouble.missing + (trouble.missing in cached)
                trouble.came += f"; missing: {asked.when(first)}"
                trouble.advice += f"; what came before is kept in {store.path}: ask again to go on"
            raise trouble.error(asked) from trouble.__cause__
    table.attrs |= {"cache": str(store.path), "cached": len(cached)}
    return table


def _with_start(asked, line, store=None):
    """The same request with its first candle known, which may need the server's clock."""
    if asked.first is not None:
        return asked
    if store and not store.missing(asked.last, asked.last):
        return asked.newest(asked.opens(asked.last + 1))  # it is kept, so it is closed
    return asked.newest(wire.clock(line.ask("/v5/market/time")))


def _with_witness(spans, cached):
    """Each span with the candle before it, if the cache holds that: a server whose candle is
    another one is found out before its pages are joined to what is there."""
    return [(first - (first - 1 in cached), last) for first, last in spans]


def _host(asked):
    return asked.url.split("//")[1]


# --- The command ---


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def _parser():
    parser = _Parser(
        prog="python -m byzlib.market",
        description="Download closed candles from Bybit into a cache file, and go on where it was.",
    )
    add = parser.add_argument
    add("symbol", help="upper case, as Bybit lists it: BTCUSDT")
    add("--interval", default="5", help=f"one of {' '.join(INTERVALS)}; default: 5")
    add("--category", default="linear", help=f"one of {' '.join(CATEGORIES)}; default: linear")
    add("--start", type=_instant, help="first open time: 2024-05-01 or 2024-05-01T12:00, UTC")
    add("--end", type=_instant, help="last open time; default: now, by the server's clock")
    add("--days", type=float, help="instead of --start: so many days up to the end; default: 30")
    usual = str(default_cache()).replace("%", "%%")  # argparse fills in what follows a %
    add("--cache", help=f"the file; default: $BYZLIB_BYBIT_CACHE or {usual}")
    add("--out", metavar="FILE.csv", help="also write the candles as csv")
    add("--refresh", action="store_true", help="ask for what the cache holds as well")
    add("--strict", action="store_true", help="refuse gaps")
    add("--deadline", type=float, default=3600.0, help="seconds in all; default: 3600")
    add("--max-pages", type=int, default=500, help="pages of 1000 candles, at most; default: 500")
    add("--base-url", help="default: $BYZLIB_BYBIT_URL or Bybit itself")
    return parser


def _instant(text):
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def main(arguments=None):
    """The command line; returns the exit code: 0, 1 for no candles, 2 for a bad request, or 130."""
    parser = _parser()
    args = vars(parser.parse_args(arguments))
    out, days = args.pop("out"), args.pop("days")
    if days is not None and (args["start"] is not None or not 0 < days <= 36525):
        parser.error("--days needs a number above 0, and no --start beside it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # without a cache this has no purpose
            args["cache"] = cache_path(args["cache"])
            if args["start"] is None:
                args["start"] = _days_before(30.0 if days is None else days, **args)
            table = load_klines(**args)
        if out is not None:
            _write_csv(table, Path(out))
        print(_summary(table, out))
        return 0
    except BybitError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2 if type(error) is BadRequest else 1
    except (OSError, RuntimeWarning) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        kept = f"what came is kept in {args['cache']}"
        print(f"\n{parser.prog}: stopped; {kept}: run it again to go on", file=sys.stderr)
        return 130


def _days_before(days, end, base_url, deadline, interval, category, max_pages, symbol, **_):
    """The instant `days` before `end`, or before now by the server's clock."""
    asked = checked(symbol, interval, None, end, category, None, base_url, deadline, max_pages)
    if end is None:
        with Line(asked.url, deadline) as line:
            try:
                end = wire.clock(line.ask("/v5/market/time"))
            except Trouble as trouble:
                raise trouble.error(f"{asked.url} for the time") from trouble.__cause__
    else:
        end = int(end.timestamp() * 1000)
    return max(EARLIEST, end - int(days * 86_400_000))


def _write_csv(table, path):
    """All of the file or nothing: ts_ms,open,high,low,close,volume,turnover as exact decimals."""
    rows = zip(table.index.astype("int64"), table.to_numpy(), strict=True)
    plain = functools.partial(np.format_float_positional, trim="-")
    lines = [f"{opened},{','.join(map(plain, row))}" for opened, row in rows]
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "w", encoding="ascii", newline="\n") as file:
            file.write("\n".join([",".join(["ts_ms", *table.columns]), *lines, ""]))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _summary(table, out):
    about, first, last = table.attrs, *(f"{table.index[i]:%Y-%m-%d %H:%M}" for i in (0, -1))
    counts = {name: count for name, count in about["dropped"].items() if count}
    counts |= {"gaps": len(about["gaps"]), "jumps": about["n_jumps"]}
    return (
        "{category} {symbol}, interval {interval}: ".format(**about)
        + f"{len(table)} candles, {first} to {last} UTC, {about['cached']} of them kept before; "
        + ", ".join(f"{count} {name}" for name, count in counts.items())
        + f"; in {about['cache']}"
        + (f" and {out}" if out is not None else "")
    )
