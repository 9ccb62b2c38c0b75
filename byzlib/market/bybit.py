"""Closed candles from Bybit, or one sentence that says why not.

`fetch_klines` checks what is asked, walks over the range in pages, believes no reply before it is
checked row by row, and leaves out the candle that still moves. It fills nothing in and takes
nothing from elsewhere.
The protocol is described at https://bybit-exchange.github.io/docs/v5/market/kline.
"""

import json
import math
import os
import re
import threading
import time
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise

import pandas as pd
import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from byzlib.theory import as_count, as_number

MAINNET = "https://api.bybit.com"
CATEGORIES = ("linear", "spot", "inverse")
COLUMNS = ("open", "high", "low", "close", "volume", "turnover")
HOST = r"([A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*|\[[0-9a-fA-F:.]+\])"
PAGE = 1000  # candles a request, the most that Bybit gives
BODY_CAP = 8_000_000  # bytes of one unpacked reply; a full page has about 110,000
TRIES = 4  # of a request whose trouble may pass
BACKOFF = 0.25  # seconds; doubled from try to try
LONGEST_WAIT = 5.0  # seconds that a server may make us wait before the next try


# --- What goes wrong ---


class BybitError(Exception):
    """No candles; the message says what was asked, what came, and what to do."""

    advice = ""

    def __init__(self, came, passing=False):
        super().__init__(came)
        self.passing = passing  # whether to ask again at once may help

    def complete(self, what):
        """Say besides what came also what was asked, and what to do."""
        self.args = (f"asked {what}; got {self}; {self.advice}",)


class BadRequest(BybitError):
    """What was asked cannot be done: an argument, or the cache file that it names."""


class UnknownSymbol(BybitError):
    """Bybit does not list this symbol in this category."""

    advice = "check the spelling of the symbol, and its category"


class RateLimited(BybitError):
    """Too many requests, and waiting a little did not help."""

    advice = "ask nothing for ten minutes, and less often then"


class RegionBlocked(BybitError):
    """Bybit does not serve the country that the request came from."""

    advice = "give base_url the Bybit host of your region, or use the simulated load_sample"


class BadResponse(BybitError):
    """Something answered, but not with the candles that were asked for."""

    advice = "use nothing of it, check base_url, and ask again later"


class Unreachable(BybitError):
    """No complete answer within the tries and the deadline."""

    advice = "check the network, raise deadline if it was short, or use the simulated load_sample"


def quote(said):
    """The beginning of what came, safe to print."""
    text = " ".join((said if isinstance(said, str) else repr(said))[:1000].split())
    return repr(text if len(text) <= 200 else text[:200] + "...")


# --- When candles open: they are numbered, so that ranges, pages and gaps are whole numbers ---

EARLIEST, LATEST = 1_262_304_000_000, 4_102_444_800_000  # years 2010 to 2100, in milliseconds
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
MINUTE, DAY = 60_000, 86_400_000
STEPS = {str(m): m * MINUTE for m in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)}
STEPS |= {"D": DAY, "W": 7 * DAY}
INTERVALS = (*STEPS, "M")
FIRST_MONDAY = 4 * DAY  # weeks open on Mondays, the first on 1970-01-05


def candle_number(ms, interval):
    """The number of the candle that holds the instant `ms` (milliseconds since 1970, UTC)."""
    if interval == "M":
        day = EPOCH + ms * MILLISECOND
        return 12 * day.year + day.month - 1
    return (ms - FIRST_MONDAY * (interval == "W")) // STEPS[interval]


def open_time(number, interval):
    """The instant, in milliseconds, at which candle `number` opens."""
    if interval == "M":
        return (datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC) - EPOCH) // MILLISECOND
    return number * STEPS[interval] + FIRST_MONDAY * (interval == "W")


def utc(ms):
    """`ms` as people write it, to the minute: 2024-05-01 00:05."""
    return f"{EPOCH + ms * MILLISECOND:%Y-%m-%d %H:%M}"


# --- What is asked ---


@dataclass(frozen=True)
class Query:
    """Candles `first` to `last` of a market, or the newest `count` up to `last` (first is None)."""

    url: str
    market: str  # host, category, symbol and interval
    interval: str
    first: int | None
    last: int
    count: int
    deadline: float

    def newest(self, now):
        """The same for the newest candles that are closed at the instant `now`."""
        last = min(self.last, candle_number(now, self.interval) - 1)
        return replace(self, first=last - self.count + 1, last=last)

    def __str__(self):
        when = f"the newest {self.count}"
        if self.first is not None:
            start, end = (utc(open_time(n, self.interval)) for n in (self.first, self.last))
            endless = self.last == candle_number(LATEST, self.interval)
            when = f"{start} to " + ("now" if endless else end)
        return f"{self.market}, {when} UTC"


def checked(symbol, interval, start, end, category, limit, base_url, deadline):
    """The query that the arguments of `fetch_klines` make, or `BadRequest`."""
    url = os.environ.get("BYZLIB_BYBIT_URL") or MAINNET if base_url is None else base_url
    interval = str(interval)
    try:
        for name, value in {"category": category, "symbol": symbol, "base_url": url}.items():
            if not isinstance(value, str):
                raise TypeError(f"{name} needs a string; got {value!r}")
        if category not in CATEGORIES:
            raise ValueError(f"category needs to be {', '.join(CATEGORIES)}; got {category!r}")
        if not re.fullmatch("[A-Z0-9]{1,30}(-[A-Z0-9]{1,20})*", symbol):
            raise ValueError(f"symbol needs capitals and digits, like 'BTCUSDT'; got {symbol!r}")
        if interval not in INTERVALS:
            raise ValueError(f"interval needs to be {', '.join(INTERVALS)}; got {interval!r}")
        if not re.fullmatch(rf"https?://{HOST}(:[0-9]{{1,5}})?/?", url):
            raise ValueError(f"base_url needs scheme and host, like {MAINNET}; got {url!r}")
        deadline = as_number(deadline, "deadline", "fetch_klines")
        if deadline > DAY / 1000:
            raise ValueError(f"deadline needs seconds, at most a day of them; got {deadline}")
        first, last, count = numbered(interval, start, end, limit)
    except (TypeError, ValueError) as error:
        raise BadRequest(str(error)) from error
    url = url.rstrip("/")
    market = f"{url.partition('://')[2]} {category} {symbol} {interval}"
    return Query(url, market, interval, first, last, count, deadline)


def numbered(interval, start, end, limit):
    """First candle, last candle, and how many: what is not known yet is None."""
    last = candle_number(math.floor(instant("end", LATEST if end is None else end)), interval)
    count = 200 if limit is None else as_count(limit, "limit", "fetch_klines", least=1)
    if count > PAGE:
        raise ValueError(f"limit needs to be at most {PAGE}; got {limit}")
    if start is None:
        return None, last, count
    first = candle_number(math.ceil(instant("start", start)) - 1, interval) + 1
    if limit is not None and end is None:
        last = first + count - 1
    if last < first:
        raise ValueError(f"no candle of interval {interval} opens from {start} to {end}")
    if limit is not None and last - first >= count:
        raise ValueError(f"{start} to {end} needs a limit of {last - first + 1}; got {limit}")
    return first, last, count


def instant(name, value):
    """An aware datetime, or integer milliseconds, as milliseconds since 1970."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        ms = (value - EPOCH) / MILLISECOND
    else:
        ms = as_count(
            value, f"{name} (milliseconds since 1970) or an aware datetime", "fetch_klines"
        )
    if not EARLIEST <= ms <= LATEST:
        raise ValueError(f"{name} needs milliseconds within the years 2010 to 2100; got {value!r}")
    return ms


# --- Requests and replies ---


class Patience(Retry):
    """Waits as long as the server asks for, within reason; what cannot be read asks for nothing."""

    def get_retry_after(self, response):
        try:
            return min(super().get_retry_after(response) or 0, LONGEST_WAIT)
        except (InvalidHeader, ValueError, OverflowError):
            return 0


class Session(requests.Session):
    """Requests to one host, all of them by one deadline, in seconds from now."""

    def __init__(self, url, deadline):
        super().__init__()
        self.url, self.deadline = url, deadline
        self.end = time.monotonic() + deadline
        # No proxy stands between this machine and itself.
        self.trust_env = not re.match(r"https?://(localhost|127\.|\[::1\])", url)
        statuses = (408, 429, *range(500, 600))
        retries = Patience(
            TRIES - 1, other=0, backoff_factor=BACKOFF, status_forcelist=statuses,
            raise_on_status=False,
        )  # fmt: skip
        self.mount(url, HTTPAdapter(max_retries=retries))

    def clock(self):
        """The server's clock, in milliseconds."""
        try:
            return self.ask("/v5/market/time")["time"]
        except BybitError as error:
            error.complete(f"{self.url} for the time")
            raise

    def ask(self, path, **params):
        """The envelope of a successful reply.

        `Patience` sees to connections and statuses; a reply that came broken or calls the server
        busy is asked for again here. The work is done in a thread that is left behind at the
        deadline: a socket's own timeout starts anew with each byte, and a name lookup has none.
        """
        for attempt in range(TRIES):
            reply = Future()
            threading.Thread(target=self._get, args=(reply, path, params), daemon=True).start()
            try:
                return decode(*reply.result(self.end - time.monotonic()))
            except TimeoutError:
                came = f"no complete answer within the deadline of {self.deadline:g} s"
                raise Unreachable(came) from None
            except BybitError as error:
                wait = BACKOFF * 2**attempt
                late = time.monotonic() + wait >= self.end
                if not error.passing or attempt == TRIES - 1 or late:
                    raise
            time.sleep(wait)

    def _get(self, reply, path, params):
        """One request; status, headers and body, or what went wrong, go into the future `reply`."""
        seconds, status = min(10.0, self.deadline / 3), None
        try:
            with self.get(
                self.url + path, params=params, timeout=seconds, stream=True, allow_redirects=False
            ) as response:
                status, body = response.status_code, bytearray()
                for piece in response.iter_content(8192):
                    body += piece
                    if len(body) > BODY_CAP:
                        raise BadResponse(
                            f"over {BODY_CAP} bytes, beginning with {quote(body[:100])}"
                        )
            reply.set_result((status, response.headers, bytes(body)))
        except (requests.RequestException, HTTPError) as error:
            broken = isinstance(error, requests.exceptions.ContentDecodingError)
            while error.__context__ is not None:  # the first cause says most
                error = error.__context__
            came = f"no complete answer: {quote(str(error) or type(error).__name__)}"
            kind = BadResponse if broken else Unreachable
            reply.set_exception(kind(came, passing=status is not None))
        except BaseException as error:
            reply.set_exception(error)


def decode(status, headers, body):
    """The envelope of a successful reply; any other is an error that shows its beginning.

    Strict: UTF-8, no NaN or Infinity, no key twice, retCode and time whole numbers.
    """
    text = body.decode("utf-8", errors="replace")
    if status != 200:
        said = headers.get("Location") or re.sub("<[^>]*>", " ", text)
        raise refusal("HTTP", status, said)
    try:
        # `int` refuses the constants NaN and Infinity, which are no JSON.
        envelope = json.loads(body.decode("utf-8"), parse_constant=int, object_pairs_hook=unique)
        if not isinstance(envelope, dict) or type(envelope.get("retCode")) is not int:
            raise ValueError("an object with a whole retCode is needed")
    except (ValueError, RecursionError) as error:
        came = f"{len(body)} bytes that are no reply of Bybit's ({error}): {quote(text)}"
        raise BadResponse(came, passing=True) from error
    if envelope["retCode"] != 0:
        error = refusal("retCode", envelope["retCode"], str(envelope.get("retMsg")))
        error.passing = isinstance(error, RateLimited | Unreachable)
        raise error
    now = envelope.get("time")
    if type(now) is not int or not EARLIEST <= now <= LATEST:
        raise BadResponse(f"time {quote(now)}, which is no millisecond time")
    return envelope


def unique(pairs):
    """A JSON object as a dict, or ValueError where a key stands in it twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


# HTTP statuses and retCodes, the words that must stand beside them, and what they mean.
REFUSALS = [
    ((429, 10006), "", RateLimited),
    ((403,), "access too frequent", RateLimited),
    ((403,), "from your country", RegionBlocked),
    ((451, 10009, 10024), "", RegionBlocked),
    ((10001,), "symbol", UnknownSymbol),
    ((10029,), "", UnknownSymbol),
    ((408, *range(500, 600), 5004, 10000, 10016), "", Unreachable),
]


def refusal(name, number, said):
    """The error that a reply with this status or retCode is."""
    meant = (
        kind for numbers, words, kind in REFUSALS if number in numbers and words in said.lower()
    )
    return next(meant, BadResponse)(f"{name} {number} {quote(said)}")


DECIMAL = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?")  # float takes "nan", "1_0" and other digits


def read_row(row, interval):
    """Candle number and the values of `COLUMNS`, floats, of one row of a reply."""
    if not isinstance(row, list) or len(row) != 1 + len(COLUMNS):
        raise BadResponse(f"{quote(row)}, which is no row of {1 + len(COLUMNS)} columns")
    if not re.fullmatch("[0-9]{13}", str(row[0])):
        raise BadResponse(f"{quote(row)}, which opens at no millisecond time")
    for name, text in zip(COLUMNS, row[1:], strict=True):
        if not isinstance(text, str) or not DECIMAL.fullmatch(text):
            raise BadResponse(f"{quote(row)}, whose {name} is no plain decimal")
    number = candle_number(int(row[0]), interval)
    if open_time(number, interval) != int(row[0]):
        raise BadResponse(f"{quote(row)}, which opens between two candles of interval {interval}")
    opened, high, low, close, volume, turnover = values = tuple(map(float, row[1:]))
    if not 0 < low <= min(opened, close) <= max(opened, close) <= high:
        raise BadResponse(f"{quote(row)}, whose prices are not 0 < low <= open, close <= high")
    if volume == 0 and high > low:
        raise BadResponse(f"{quote(row)}, whose prices moved at volume 0")
    return number, values


# --- Pages ---


@dataclass
class Page:
    """One reply: all that the exchange has of candles `first` to `last`, which are closed."""

    first: int
    last: int
    candles: dict  # number to values
    closed: int  # the last candle that the server's clock calls closed
    dropped: dict


def download(query, session, spans, progress):
    """Ask for `spans`, pairs of first and last candle, page by page, up to the server's clock."""
    _, category, symbol, interval = query.market.split()
    closed = query.last
    silent = None if progress else True  # None: no bar where stderr is no terminal
    with tqdm(desc=symbol, unit="page", delay=1.0, disable=silent) as bar:
        for start, stop in spans:
            for first in range(start, stop + 1, PAGE):
                if first > closed:
                    return
                last = min(first + PAGE - 1, stop)
                try:
                    reply = session.ask(
                        "/v5/market/kline",
                        category=category,
                        symbol=symbol,
                        interval=interval,
                        start=max(0, open_time(first, interval)),
                        end=open_time(last, interval),
                        limit=PAGE,
                    )
                    page = read_page(reply, query.market, first, last)
                except BybitError as error:
                    error.complete(replace(query, first=first))  # what is missing now
                    raise
                closed = page.closed
                bar.total = sum(len(range(n, min(m, closed) + 1, PAGE)) for n, m in spans)
                bar.update()
                yield page


def read_page(reply, market, first, last):
    """The page of a reply to a request for candles `first` to `last`."""
    _, category, symbol, interval = market.split()
    result, candles, dropped = reply.get("result"), {}, Counter()
    closed = candle_number(reply["time"], interval) - 1
    if not isinstance(result, dict) or not isinstance(result.get("list"), list):
        raise BadResponse(f"{quote(reply)}, without a result.list")
    if (result.get("category", category), result.get("symbol", symbol)) != (category, symbol):
        raise BadResponse(f"{quote(result)}, another market")
    for row in result["list"]:
        number, values = read_row(row, interval)
        if number > closed + 1:
            raise BadResponse(f"{quote(row)}, from after the server's own clock")
        # One candle more at either end is a habit of the server.
        if not first - 1 <= number <= last + 1:
            raise BadResponse(f"{quote(row)}, from {utc(int(row[0]))}, another range")
        if number > closed:
            dropped["unfinished"] += 1
        elif not first <= number <= last:
            dropped["outside"] += 1
        elif candles.setdefault(number, values) is not values:
            dropped["duplicates"] += 1
            if candles[number] != values:
                raise BadResponse(f"{quote(row)}, and {candles[number]} for the same time")
    # The newest candles may still be on their way into the list: absence says nothing there.
    proven = last if last < closed else max(candles, default=first - 1)
    return Page(first, proven, candles, closed, dropped)


def frame(query, pages, held=None):
    """Candles that came in pages, and those `held` before, as `fetch_klines` returns them."""
    candles, dropped = dict(held or {}), Counter(unfinished=0, duplicates=0, outside=0)
    for page in pages:
        candles |= page.candles
        dropped.update(page.dropped)
    last = min([query.last, *(page.closed for page in pages)])
    if not candles:
        raise BadResponse(
            f"asked {query}; got 0 of {max(0, last - query.first + 1)} candles that are closed by "
            "the server's clock; check the range, its unit (milliseconds), and when the symbol was "
            "listed"
        )
    numbers = sorted(candles)
    gaps = [
        (before + 1, after - 1)
        for before, after in pairwise([query.first - 1, *numbers, last + 1])
        if after - before > 1
    ]
    times = [open_time(n, query.interval) for n in (*numbers, *chain(*gaps))]
    times = pd.to_datetime(times, unit="ms", utc=True).as_unit("ms").rename("open_time")
    table = pd.DataFrame([candles[n] for n in numbers], times[: len(numbers)], list(COLUMNS))
    edges = times[len(numbers) :]  # first and last missing candle, gap by gap
    table.attrs = dict(zip(("source", "category", "symbol", "interval"), query.market.split()))
    table.attrs["gaps"] = [(a, b, m - n + 1) for a, b, (n, m) in zip(edges[::2], edges[1::2], gaps)]
    table.attrs["dropped"] = dict(dropped)
    return table


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
    progress=True,
):
    """Closed candles, oldest first.

    Bybit sends the newest candle while it still moves and flags it nowhere. A candle is closed
    here when it ends at or before the `time` in the server's own reply; the local clock has no say.

    Parameters
    ----------
    symbol : str, upper case, as Bybit lists it: "BTCUSDT"
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
    deadline : float, seconds for the whole call, retries included
    progress : bool, whether to show a bar on a terminal when the call takes over a second

    Returns
    -------
    pandas.DataFrame
        Float columns open, high, low, close, volume, turnover; index `open_time`, UTC, ascending,
        unique. Prices are in quote coin a base coin (USDT a BTC). Volume is in base coin (BTC) and
        turnover in quote coin (USDT) for linear and spot; for inverse it is the other way round.
        `attrs`: source, the host that answered; category, symbol, interval; gaps, a list of (first
        missing, last missing, how many) inside the range asked; dropped, the counts of rows left
        out: unfinished, duplicates (identical), outside the range asked.

    Raises
    ------
    BybitError
        BadRequest before anything is sent; UnknownSymbol, RateLimited, RegionBlocked, BadResponse
        or Unreachable for what comes. Any reply that is not exactly as documented is a BadResponse.
    """
    query = checked(symbol, interval, start, end, category, limit, base_url, deadline)
    with Session(query.url, query.deadline) as session:
        if query.first is None:
            query = query.newest(session.clock())
        pages = list(download(query, session, [(query.first, query.last)], progress))
    return frame(query, pages)
