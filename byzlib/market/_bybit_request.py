"""What is asked for: the arguments, checked before anything is sent, and the candles they mean."""

import os
import re
from dataclasses import dataclass, replace
from numbers import Real

from byzlib.market._bybit_errors import BadRequest
from byzlib.market._candle_times import (
    EARLIEST,
    INTERVALS,
    LATEST,
    candle_number,
    is_whole,
    milliseconds,
    open_time,
    utc,
)

MAINNET = "https://api.bybit.com"
CATEGORIES = ("linear", "spot", "inverse")
PAGE = 1000  # candles a request, the most that Bybit gives


@dataclass(frozen=True)
class Asked:
    """A checked request: candles `first` to `last`, or the newest `count` when first is None."""

    url: str
    market: dict  # category, symbol, interval
    first: int | None
    last: int
    count: int

    def newest(self, now):
        """The same with `first` known: the newest `count` closed candles at the instant `now`."""
        last = min(self.last, self.number(now) - 1)
        return replace(self, first=self.from_last(last), last=last)

    def from_last(self, last):
        """The first of the `count` candles that end with `last`."""
        return max(last - self.count + 1, self.number(EARLIEST))

    def number(self, ms):
        """The number of the candle that holds the instant `ms`."""
        return candle_number(ms, self.market["interval"])

    def opens(self, number):
        """The instant, in milliseconds, at which a candle opens."""
        return open_time(number, self.market["interval"])

    def when(self, first, last=None):
        """Candles `first` to `last` (or to the last one asked), as people write it."""
        last = self.last if last is None else last
        start, end = (utc(self.opens(number)) for number in (first, last))
        return f"{start} UTC to now" if last == self.number(LATEST) else f"{start} to {end} UTC"

    def __str__(self):
        when = f"the newest {self.count}" if self.first is None else self.when(self.first)
        what = "{category} {symbol}, interval {interval}".format(**self.market)
        return f"{self.url} for {what}, {when}"


def checked(symbol, interval, start, end, category, limit, base_url, deadline, max_pages):
    """The request that the arguments of `fetch_klines` make, or `BadRequest`."""
    if not (isinstance(category, str) and category in CATEGORIES):
        raise BadRequest(f"category needs to be one of {', '.join(CATEGORIES)}; got {category!r}")
    if not isinstance(symbol, str) or not re.fullmatch(r"[A-Z0-9]{1,30}(-[A-Z0-9]{1,20})*", symbol):
        raise BadRequest(f"symbol needs capitals and digits, like 'BTCUSDT'; got {symbol!r}")
    interval = str(interval) if is_whole(interval) else interval
    if not (isinstance(interval, str) and interval in INTERVALS):
        raise BadRequest(f"interval needs to be one of {', '.join(INTERVALS)}; got {interval!r}")
    if limit is not None and not (is_whole(limit) and 1 <= limit <= PAGE):
        raise BadRequest(f"limit needs to be a whole number from 1 to {PAGE}; got {limit!r}")
    if not (isinstance(deadline, Real) and 0 < deadline <= 86400) or deadline is True:
        raise BadRequest(f"deadline needs seconds, above 0 and at most 86400; got {deadline!r}")
    if not (is_whole(max_pages) and max_pages >= 1):
        raise BadRequest(f"max_pages needs to be a whole number from 1; got {max_pages!r}")
    first, last = _range(interval, start, end, limit)
    market = {"category": category, "symbol": symbol, "interval": interval}
    return Asked(_checked_url(base_url), market, first, last, int(limit or 200))


def _range(interval, start, end, limit):
    last = candle_number(LATEST if end is None else _moment("end", end), interval)
    if start is None:
        return None, last
    first = candle_number(_moment("start", start, up=True) - 1, interval) + 1
    if limit is not None and end is None:
        return first, first + int(limit) - 1
    if last < first:
        raise BadRequest(f"no candle of interval {interval} opens from {start} to {end}")
    if limit is not None and last - first >= limit:
        raise BadRequest(f"{start} to {end} needs a limit of {last - first + 1}; got {limit}")
    return first, last


def _moment(name, value, up=False):
    ms = milliseconds(value, up)
    if ms is None:
        raise BadRequest(
            f"{name} needs an aware datetime or integer milliseconds since 1970 "
            f"(years 2010 to 2100); got {value!r}"
        )
    return ms


def _checked_url(base_url):
    if base_url is None:
        base_url = os.environ.get("BYZLIB_BYBIT_URL") or MAINNET
    label = "[A-Za-z0-9-]{1,63}"
    host = rf"({label}(\.{label})*|\[[0-9a-fA-F:.]+\])"
    fits = re.fullmatch(rf"https?://{host}(:(?P<port>[0-9]{{1,5}}))?/?", str(base_url))
    if not fits or not 1 <= int(fits["port"] or 80) <= 65535:
        raise BadRequest(f"base_url needs scheme and host, like {MAINNET}; got {base_url!r}")
    return str(base_url).rstrip("/")
