"""The command that downloads candles: python -m byzlib.market BTCUSDT --interval 5 --days 30

Stop it whenever you like, and run it again to go on.
"""

import argparse
import math
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np

from byzlib.market import bybit
from byzlib.market.bybit import BadRequest, BybitError, Session
from byzlib.market.cache import cache_path, load_klines
from byzlib.market.sources import describe

NAME = "python -m byzlib.market"


def _parser():
    made = argparse.ArgumentParser(
        prog=NAME, description="Download closed candles from Bybit into a cache file."
    )
    add = made.add_argument
    intervals, categories = " ".join(bybit.INTERVALS), " ".join(bybit.CATEGORIES)
    add("symbol", help="upper case, as Bybit lists it: BTCUSDT")
    add("--interval", default="5", help=f"one of {intervals}; default: 5")
    add("--category", default="linear", help=f"one of {categories}; default: linear")
    add("--start", help="first open time: 2024-05-01 or 2024-05-01T12:00, UTC")
    add("--end", help="last open time; default: now, by the server's clock")
    add("--days", type=float, help="instead of --start: so many days up to the end; default: 30")
    add("--cache", help="the file; default: $BYZLIB_BYBIT_CACHE or one in the folder of caches")
    add("--out", metavar="FILE.csv", type=Path, help="also write the candles as csv")
    add("--refresh", action="store_true", help="ask for what the cache holds as well")
    add("--deadline", type=float, default=3600.0, help="seconds in all; default: 3600")
    add("--base-url", help="default: $BYZLIB_BYBIT_URL or Bybit itself")
    return made


def main(arguments=None):
    """The command line; returns the exit code: 0, 1 for no candles, 2 for a bad request, or 130."""
    args = vars(_parser().parse_args(arguments))
    out, days = args.pop("out"), args.pop("days")
    try:
        args["cache"] = cache_path(args["cache"])
        if days is not None and (args["start"] is not None or not 0 < days <= 36525):
            raise BadRequest("--days needs a number above 0, and no --start beside it")
        if args["start"] is None:
            args["start"] = _days_before_the_end(30.0 if days is None else days, **args)
        table = load_klines(**args)
        if out is not None:
            _write_csv(table, out)
    except (BybitError, OSError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadRequest) else 1
    except KeyboardInterrupt:
        kept = f"what came is kept in {args['cache']}"
        print(f"\n{NAME}: stopped; {kept}: run it again to go on", file=sys.stderr)
        return 130
    print(_summary(table, out))
    return 0


def _days_before_the_end(days, symbol, interval, category, end, base_url, deadline, **_):
    query = bybit.checked(symbol, interval, None, end, category, None, base_url, deadline)
    if end is None:
        with Session(query) as session:
            last = bybit.open_time(query.settled(session).last + 1, interval)
    else:
        last = bybit.instant("end", end)
    return max(bybit.EARLIEST, math.floor(last - days * bybit.DAY))


def _write_csv(table, path):
    """All of the file or nothing: ts_ms, the columns as exact decimals, and the source."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        table.set_axis(table.index.astype("int64")).assign(source=table.attrs["source"]).to_csv(
            part, index_label="ts_ms", float_format=partial(np.format_float_positional, trim="-")
        )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _summary(table, out):
    about, files = table.attrs, " and ".join(map(str, filter(None, [table.attrs["cache"], out])))
    kept = f"{about['cached']} of them kept before"
    return (
        f"{describe(table)}, {kept}; {about['category']}, interval {about['interval']}, "
        f"{len(about['gaps'])} gaps; in {files}"
    )


if __name__ == "__main__":
    sys.exit(main())
