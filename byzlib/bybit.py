"""The market-data client: closed candles from Bybit, or one sentence that says why not.

`fetch_klines` asks for fixed windows that cover the range, checks every row that comes back, and
leaves out the candle that is still moving. It fills nothing in and takes nothing from elsewhere.
The protocol is documented at https://bybit-exchange.github.io/docs/v5/market/kline.
"""

import math
import os
import random
import re
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Real

import pandas as pd
import requests
from tqdm import tqdm

from byzlib import _bybit_wire as wire
from byzlib._bybit_wire import (  # noqa: F401 -- the errors are part of this module
    INTERVALS,
    BadRequest,
    BadResponse,
    BybitError,
    RateLimited,
    RegionBlocked,
    Trouble,
    UnknownSymbol,
    Unreachable,
)

MAINNET = "https://api.bybit.com"
CATEGORIES = ("linear", "spot", "inverse")

PAGE = 1000  # candles a request, the most that Bybit gives
BODY_CAP = 8_000_000  # bytes of one unpacked reply; a full page has about 110,000
TRIES = 4
FIRST_WAIT = 0.25  # seconds before the second try; doubled each time, with jitter
PACE = 0.02  # seconds between requests, at least: Bybit allows 600 in 5 seconds


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

    Returns
    -------
    pandas.DataFrame
        Float columns open, high, low, close, volume, turnover; index `open_time`, UTC, ascending,
        unique. Volume is in base coin (BTC) and turnover in quote coin (USDT) for linear and spot;
        for inverse it is the other way round: volume in USD, turnover in BTC.
        `attrs`: source, category, symbol, interval;
        gaps, a list of (first missing, last missing, how many) inside the range asked;
        dropped, the counts of rows left out: unfinished, duplicates (identical), outside.

    Raises
    ------
    BybitError
        One of BadRequest, UnknownSymbol, RateLimited, RegionBlocked, BadResponse, Unreachable.

    Notes
    -----
    Bybit sends the newest candle while it still moves and flags it nowhere. A candle is closed
    here when it ends at or before the `time` in the server's own reply; the local clock has no say.
    """
    asked = _checked(symbol, interval, start, end, category, limit, base_url, deadline)
    line = _Line(asked.url, float(deadline))
    try:
        if asked.first is None:
            asked = asked.newest(wire.clock(line.ask("/v5/market/time")))
        return _frame(asked, *_collect(line, asked))
    except Trouble as trouble:
        message = f"asked {asked}; got {trouble.came}; {trouble.advice}."
        raise trouble.kind(message) from trouble.__cause__
    finally:
        line.session.close()


@dataclass(frozen=True)
class _Asked:
    """A checked request: candles `first` to `last`, or the newest `count` when first is None."""

    url: str
    market: dict  # category, symbol, interval
    first: int | None
    last: int
    count: int

    def newest(self, now):
        last = min(self.last, self.number(now) - 1)
        first = max(last - self.count + 1, self.number(wire.EARLIEST))
        return replace(self, first=first, last=last)

    def number(self, ms):
        return wire.candle_number(ms, self.market["interval"])

    def opens(self, number):
        return wire.open_time(number, self.market["interval"])

    def when(self, first):
        """Candles `first` to the last one asked, as people write it."""
        start, end = (wire.utc(self.opens(number)) for number in (first, self.last))
        endless = self.last == self.number(wire.LATEST)
        return f"{start} UTC to now" if endless else f"{start} to {end} UTC"

    def __str__(self):
        when = f"the newest {self.count}" if self.first is None else self.when(self.first)
        what = "{category} {symbol}, interval {interval}".format(**self.market)
        return f"{self.url} for {what}, {when}"


def _checked(symbol, interval, start, end, category, limit, base_url, deadline):
    if not (isinstance(category, str) and category in CATEGORIES):
        raise BadRequest(f"category needs to be one of {', '.join(CATEGORIES)}; got {category!r}")
    if not isinstance(symbol, str) or not re.fullmatch(r"[A-Z0-9]{1,30}(-[A-Z0-9]{1,20})*", symbol):
        raise BadRequest(f"symbol needs capitals and digits, like 'BTCUSDT'; got {symbol!r}")
    interval = str(interval) if wire.is_whole(interval) else interval
    if not (isinstance(interval, str) and interval in INTERVALS):
        raise BadRequest(f"interval needs to be one of {', '.join(INTERVALS)}; got {interval!r}")
    if limit is not None and not (wire.is_whole(limit) and 1 <= limit <= PAGE):
        raise BadRequest(f"limit needs to be a whole number from 1 to {PAGE}; got {limit!r}")
    if not (isinstance(deadline, Real) and 0 < deadline <= 86400) or deadline is True:
        raise BadRequest(f"deadline needs seconds, above 0 and at most 86400; got {deadline!r}")
    until = wire.LATEST if end is None else wire.milliseconds("end", end)
    first, last = None, wire.candle_number(until, interval)
    if start is not None:
        first = wire.candle_number(wire.milliseconds("start", start, up=True) - 1, interval) + 1
    if None not in (start, limit) and end is None:
        last = first + int(limit) - 1
    elif start is not None and last < first:
        raise BadRequest(f"no candle of interval {interval} opens from {start} to {end}")
    elif None not in (start, limit) and last - first >= limit:
        raise BadRequest(f"{start} to {end} needs a limit of {last - first + 1}; got {limit}")
    market = {"category": category, "symbol": symbol, "interval": interval}
    return _Asked(_checked_url(base_url), market, first, last, int(limit or 200))


def _checked_url(base_url):
    if base_url is None:
        base_url = os.environ.get("BYZLIB_BYBIT_URL") or MAINNET
    label = "[A-Za-z0-9-]{1,63}"
    host = rf"({label}(\.{label})*|\[[0-9a-fA-F:.]+\])"
    fits = re.fullmatch(rf"https?://{host}(:(?P<port>[0-9]{{1,5}}))?/?", str(base_url))
    if not fits or not 1 <= int(fits["port"] or 80) <= 65535:
        raise BadRequest(f"base_url needs scheme and host, like {MAINNET}; got {base_url!r}")
    return str(base_url).rstrip("/")


# --- Asking ---


class _Line:
    """Questions to one host: one session, one deadline for them all, bounded retries."""

    def __init__(self, url, deadline):
        self.url, self.deadline = url, deadline
        self.start, self.sent = time.monotonic(), -math.inf
        self.session = requests.Session()
        # No proxy stands between this machine and itself.
        loopback = r"https?://(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?"
        self.session.trust_env = not re.fullmatch(loopback, url)

    def left(self):
        return self.start + self.deadline - time.monotonic()

    def ask(self, path, **params):
        """The envelope of a successful reply."""
        for attempt in range(1, TRIES + 1):
            try:
                return wire.envelope_of(*self._reply(path, params))
            except Trouble as trouble:
                if trouble.wait is None:
                    raise
                jitter = random.SystemRandom().uniform(0.5, 1.5)
                wait = trouble.wait or FIRST_WAIT * 2 ** (attempt - 1) * jitter
                if attempt == TRIES or wait >= self.left():
                    trouble.came += f" (tried {attempt} times)"
                    raise
            time.sleep(wait)

    def _reply(self, path, params):
        """Status, headers and body, by the deadline.

        The work is done in a thread that is left behind at the deadline: a socket's timeout starts
        anew with each byte, so it stops neither a server that drips nor a slow name lookup.
        """
        time.sleep(max(0.0, self.sent + PACE - time.monotonic()))
        self.sent, answer = time.monotonic(), Future()

        def work():
            try:
                answer.set_result(self._read(path, params))
            except BaseException as error:
                answer.set_exception(error)

        try:
            if self.left() <= 0:
                raise TimeoutError
            threading.Thread(target=work, daemon=True).start()
            return answer.result(timeout=max(0.0, self.left()))
        except TimeoutError:
            came = f"no complete answer within the deadline of {self.deadline:g} s"
            advice = "raise deadline, or ask for a shorter range"
            raise Trouble(Unreachable, came, advice) from None

    def _read(self, path, params):
        seconds = min(10.0, self.deadline / 3)
        try:
            with self.session.get(
                self.url + path, params=params, timeout=seconds, stream=True, allow_redirects=False
            ) as reply:
                body = bytearray()
                for piece in reply.iter_content(8192):
                    body += piece
                    if len(body) > BODY_CAP:
                        raise Trouble(BadResponse, f"over {BODY_CAP} bytes", wire.DISTRUST)
                    if self.left() < 0:
                        raise TimeoutError
                return reply.status_code, reply.headers, bytes(body)
        except requests.exceptions.ContentDecodingError as error:
            came = "a body that does not unpack"
            raise Trouble(BadResponse, came, wire.DISTRUST, wait=0) from error
        except requests.RequestException as error:
            # A certificate does not mend by asking again; a connection may.
            wait = None if isinstance(error, requests.exceptions.SSLError) else 0
            came = f"no complete answer: {_root(error)}"
            raise Trouble(Unreachable, came, wire.NETWORK, wait) from error


def _root(error):
    while error.__context__ is not None:
        error = error.__context__
    return wire.quote(str(error) or type(error).__name__)


# --- Pages into one frame ---


def _collect(line, asked):
    """All candles by number, the counts of dropped rows, and the last candle closed by now."""
    candles, dropped = {}, {"unfinished": 0, "duplicates": 0, "outside": 0}
    first, last, clock = asked.first, asked.last, 0
    with tqdm(desc=asked.market["symbol"], unit="page", disable=None, delay=1.0) as bar:
        while first <= last:
            page = range(first, min(first + PAGE, last + 1))
            try:
                rows, now = _page(line, asked, page)
                _sort_in(rows, now, asked, candles, dropped)
            except Trouble as trouble:
                if first > asked.first:
                    trouble.came += f"; missing: {asked.when(first)}, and nothing is returned"
                raise
            # Nothing lies beyond the server's clock: the first reply tells where to stop.
            clock = max(clock, now)
            last = min(asked.last, asked.number(clock))
            first = page.stop
            bar.total = math.ceil((last - asked.first + 1) / PAGE)
            bar.update()
    last = min(last, asked.number(clock) - 1)
    if last < asked.first:
        came = f"no closed candle yet: the server's clock says {wire.utc(clock)} UTC"
        raise Trouble(BadResponse, came, "ask again later")
    if not candles:
        came = f"0 of {last - asked.first + 1} closed candles"
        raise Trouble(BadResponse, came, "check the range, and when the symbol was listed")
    return candles, dropped, last


def _page(line, asked, page):
    """The rows of one window, and the time on the server's clock."""
    start, end = asked.opens(page[0]), asked.opens(page[-1])
    envelope = line.ask("/v5/market/kline", **asked.market, start=start, end=end, limit=PAGE)
    rows = wire.rows(envelope, asked.market, PAGE)
    # One candle more at either end is a habit of the server; anything further is another range.
    numbers = [number for number, _ in rows] or [page[0]]
    if min(numbers) < page[0] - 1 or max(numbers) > page[-1] + 1:
        got = [wire.utc(asked.opens(limit(numbers))) for limit in (min, max)]
        came = f"{got[0]} to {got[1]} for the window {wire.utc(start)} to {wire.utc(end)}"
        raise Trouble(BadResponse, came, wire.DISTRUST)
    return rows, wire.clock(envelope)


def _sort_in(rows, now, asked, candles, dropped):
    """Each row into `candles`, or counted in `dropped`."""
    for number, values in rows:
        if number >= asked.number(now):
            dropped["unfinished"] += 1
        elif not asked.first <= number <= asked.last:
            dropped["outside"] += 1
        elif number not in candles:
            candles[number] = values
        elif candles[number] == values:
            dropped["duplicates"] += 1
        else:
            opened = wire.utc(asked.opens(number))
            came = f"two candles for {opened}: {candles[number]} and {values}"
            raise Trouble(BadResponse, came, wire.DISTRUST)


def _frame(asked, candles, dropped, last):
    numbers = sorted(candles)

    def moments(these):
        opened = [asked.opens(number) for number in these]
        return pd.to_datetime(opened, unit="ms", utc=True).as_unit("ms").rename("open_time")

    values = [candles[number] for number in numbers]
    frame = pd.DataFrame(values, moments(numbers), list(wire.COLUMNS), dtype="float64")
    gaps = [
        (*moments([before + 1, after - 1]), after - before - 1)
        for before, after in pairwise([asked.first - 1, *numbers, last + 1])
        if after - before > 1
    ]
    frame.attrs = {
        "source": f"bybit {asked.url.split('//')[1]}",
        **asked.market,
        "gaps": gaps,
        "dropped": dropped,
    }
    return frame
