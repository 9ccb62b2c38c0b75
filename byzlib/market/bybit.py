"""Closed candles from Bybit, or one sentence that says why not.

`fetch_klines` believes no reply before it is checked row by row, fills nothing in, and takes
nothing from elsewhere. The protocol: https://bybit-exchange.github.io/docs/v5/market/kline.
"""

import json
import math
import os
import re
import threading
import time
from bisect import bisect_right
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from numbers import Real

import pandas as pd
import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from byzlib.theory import as_count

MAINNET = "https://api.bybit.com"
CATEGORIES = ("linear", "spot", "inverse")
COLUMNS = ("open", "high", "low", "close", "volume", "turnover")
PAGE = 1000  # candles a request, the most that Bybit gives
BODY_CAP = 8_000_000  # bytes of one unpacked reply; a full page has about 110,000
TRIES = 4  # of a request whose trouble may pass
BACKOFF = 0.25  # seconds; doubled from try to try
LONGEST_WAIT = 5.0  # seconds that a server may make us wait before the next try


# --- What goes wrong ---


class BybitError(Exception):
    """No candles; the message says what was asked, what came, and what to do."""

    advice = ""

    def __init__(self, came, again=None):
        super().__init__(came)
        self.again = again  # seconds after which the same request may go better; None: never


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


def opening(number, interval):
    """The same as a pandas Timestamp in UTC."""
    return pd.Timestamp(open_time(number, interval), unit="ms", tz="UTC")


# --- What is asked ---

HOST = r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*(:[0-9]{1,5})?"
FORMS = {  # of the arguments that are strings, and what each one needs
    "category": ("|".join(CATEGORIES), f"one of {', '.join(CATEGORIES)}"),
    "symbol": ("[A-Z0-9]{1,30}(-[A-Z0-9]{1,20})*", "capitals and digits, like 'BTCUSDT'"),
    "interval": ("|".join(INTERVALS), f"one of {', '.join(INTERVALS)}"),
    "base_url": (rf"https?://{HOST}/?", f"scheme and host, like {MAINNET}"),
}


@dataclass(frozen=True)
class Query:
    """Candles `first` to `last` of a market, or the newest `count` up to `last` (first is None)."""

    url: str
    market: str  # whose candles they are: host, category, symbol and interval
    category: str
    symbol: str
    interval: str
    first: int | None
    last: int
    count: int
    deadline: float

    def settled(self, session):
        """The same with a first candle: the newest ones are those closed by the server's clock."""
        if self.first is not None:
            return self
        what = f"{self.url} for the time"
        now = session.ask(what, "/v5/market/time", lambda reply: reply["time"])
        last = min(self.last, candle_number(now, self.interval) - 1)
        return replace(self, first=last - self.count + 1, last=last)

    def __str__(self):
        when = f"the newest {self.count}"
        if self.first is not None:
            first, last = (opening(n, self.interval) for n in (self.first, self.last))
            endless = self.last == candle_number(LATEST, self.interval)
            when = f"{first:%Y-%m-%d %H:%M} to " + ("now" if endless else f"{last:%Y-%m-%d %H:%M}")
        return f"{self.market}, {when} UTC"


def checked(symbol, interval, start, end, category, limit, base_url, deadline):
    """The query that the arguments of `fetch_klines` make, or `BadRequest`."""
    if base_url is None:
        base_url = os.environ.get("BYZLIB_BYBIT_URL") or MAINNET
    interval = str(interval)
    given = {"category": category, "symbol": symbol, "interval": interval, "base_url": base_url}
    for name, (form, needs) in FORMS.items():
        if not isinstance(given[name], str) or not re.fullmatch(form, given[name]):
            raise BadRequest(f"{name} needs {needs}; got {given[name]!r}")
    is_number = isinstance(deadline, Real) and not isinstance(deadline, bool)
    if not (is_number and 0 < deadline <= DAY / 1000):
        raise BadRequest(f"deadline needs seconds, at most a day of them; got {deadline!r}")
    try:
        count = 200 if limit is None else as_count(limit, "limit", "fetch_klines", least=1)
        if count > PAGE:
            raise ValueError(f"limit needs to be at most {PAGE}; got {limit}")
        last = candle_number(math.floor(instant("end", LATEST if end is None else end)), interval)
        first = None
        if start is not None:
            first = candle_number(math.ceil(instant("start", start)) - 1, interval) + 1
            if limit is not None and end is None:
                last = first + count - 1
            if last < first:
                raise ValueError(f"no candle of interval {interval} opens from {start} to {end}")
            if limit is not None and last - first >= count:
                needs = f"a limit of {last - first + 1}"
                raise ValueError(f"{start} to {end} needs {needs}; got {limit}")
    except (TypeError, ValueError) as error:
        raise BadRequest(str(error)) from error
    url = base_url.rstrip("/")
    market = " ".join([url.partition("://")[2], category, symbol, interval])
    return Query(url, market, category, symbol, interval, first, last, count, deadline)


def instant(name, value):
    """An ISO date or time (UTC unless it says otherwise), an aware datetime or integer
    milliseconds, as milliseconds since 1970."""
    when = value
    if isinstance(value, str):
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{name} needs a date like 2024-05-01; got {value!r}") from None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
    if isinstance(when, datetime) and when.tzinfo is not None:
        ms = (when - EPOCH) / MILLISECOND
    else:
        ms = as_count(when, f"{name} (milliseconds) or an aware datetime", "fetch_klines")
    if not EARLIEST <= ms <= LATEST:
        raise ValueError(f"{name} needs milliseconds within the years 2010 to 2100; got {value!r}")
    return ms


# --- Requests and replies ---


class Session(requests.Session):
    """The requests of one query: to one host, all of them by one deadline, which begins here."""

    def __init__(self, query):
        super().__init__()
        self.url, self.deadline = query.url, query.deadline
        self.end = time.monotonic() + self.deadline
        # No proxy stands between this machine and itself.
        self.trust_env = not re.match(r"https?://(localhost|127\.)", self.url)

    def ask(self, what, path, read, **params):
        """What `read` makes of the envelope of a reply; asked again as long as that may help."""
        for attempt in range(TRIES):
            # A thread is left behind at the deadline: a socket's own timeout starts anew with each
            # byte, and a name lookup has none.
            reply = Future()
            threading.Thread(target=self._get, args=(reply, path, params), daemon=True).start()
            try:
                return read(decode(*reply.result(self.end - time.monotonic())))
            except TimeoutError:
                came = f"no complete answer within the deadline of {self.deadline:g} s"
                error = Unreachable(came)
            except BybitError as refused:
                error = refused
            wait = max(error.again or 0, BACKOFF * 2**attempt)
            late = time.monotonic() + wait >= self.end
            if error.again is None or attempt == TRIES - 1 or late:
                error.args = (f"asked {what}; got {error}; {error.advice}",)
                raise error
            time.sleep(wait)

    def _get(self, reply, path, params):
        """Put one reply, its status, headers and body, or what went wrong, into the future."""
        seconds = min(10.0, self.deadline / 3)
        try:
            with self.get(
                self.url + path, params=params, timeout=seconds, stream=True, allow_redirects=False
            ) as response:
                body = bytearray()
                for piece in response.iter_content(8192):
                    body += piece
                    if len(body) > BODY_CAP:
                        said = quote(body[:100])
                        raise BadResponse(f"over {BODY_CAP} bytes, beginning with {said}")
            reply.set_result((response.status_code, response.headers, bytes(body)))
        except (requests.RequestException, HTTPError) as error:
            while error.__context__ is not None:  # the first cause says most
                error = error.__context__
            said = quote(str(error) or type(error).__name__)
            reply.set_exception(Unreachable(f"no complete answer: {said}", again=0))
        except BaseException as error:
            reply.set_exception(error)


def decode(status, headers, body):
    """The envelope of a successful reply; any other is an error that shows its beginning.

    Strict: UTF-8, no NaN or Infinity, no key twice, retCode and time whole numbers.
    """
    text = body.decode("utf-8", errors="replace")
    if status != 200:
        said = headers.get("Location") or re.sub("<[^>]*>", " ", text)
        raise refusal("HTTP", status, said, headers)
    try:
        # `int` refuses the constants NaN and Infinity, which are no JSON.
        envelope = json.loads(body.decode("utf-8"), parse_constant=int, object_pairs_hook=unique)
        if not isinstance(envelope, dict) or type(envelope.get("retCode")) is not int:
            raise ValueError("an object with a whole retCode is needed")
    except (ValueError, RecursionError) as error:
        came = f"{len(body)} bytes that are no reply of Bybit's ({error}): {quote(text)}"
        raise BadResponse(came, again=0) from error  # it may have been cut
    if envelope["retCode"] != 0:
        raise refusal("retCode", envelope["retCode"], str(envelope.get("retMsg")), headers)
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


# HTTP statuses and retCodes, the words that stand beside them, what they mean, and whether asking
# again may help. Any other is a BadResponse.
REFUSALS = [
    ((403,), "access too frequent", RateLimited, False),
    ((10009,), "banned", RateLimited, False),
    ((429, 10006, 10018), "", RateLimited, True),
    ((403,), "from your country", RegionBlocked, False),
    ((451, 10009, 10024), "", RegionBlocked, False),
    ((10001,), "symbol", UnknownSymbol, False),
    ((10029,), "", UnknownSymbol, False),
    ((408, *range(500, 600), 5004, 10000, 10016), "", Unreachable, True),
]


def refusal(name, number, said, headers):
    """The error that a reply with this status or retCode is."""
    asked = headers.get("Retry-After", "")
    wait = min(float(asked), LONGEST_WAIT) if asked.isdecimal() else 0.0
    for numbers, words, kind, passing in REFUSALS:
        if number in numbers and words in said.lower():
            return kind(f"{name} {number} {quote(said)}", wait if passing else None)
    return BadResponse(f"{name} {number} {quote(said)}")


# --- Pages ---

DECIMAL = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?")  # float takes "nan", "1_0" and other digits


@dataclass
class Page:
    """One reply: all that the exchange has of candles `first` to `last`, which are closed."""

    first: int
    last: int
    candles: dict  # number to values
    closed: int  # the last candle that the server's clock calls closed
    dropped: Counter


def download(query, session, windows, progress):
    """The pages of `windows`, pairs of first and last candle, up to the server's clock."""
    closed = query.last
    silent = None if progress else True  # None: no bar where stderr is no terminal
    with tqdm(desc=query.symbol, unit="page", delay=1.0, disable=silent) as bar:
        for first, last in windows:
            if first > closed:
                return
            page = session.ask(
                replace(query, first=max(first, query.first)),  # what is missing if this fails
                "/v5/market/kline",
                partial(read_page, query, first, last),
                category=query.category,
                symbol=query.symbol,
                interval=query.interval,
                start=max(0, open_time(first, query.interval)),
                end=open_time(last, query.interval),
                limit=PAGE,
            )
            closed = page.closed
            bar.total = bisect_right(windows, (closed, math.inf))
            bar.update()
            yield page


def read_page(query, first, last, reply):
    """The page of a reply to a request for candles `first` to `last`."""
    result, candles, dropped = reply.get("result"), {}, Counter()
    closed = candle_number(reply["time"], query.interval) - 1
    if not isinstance(result, dict) or not isinstance(result.get("list"), list):
        raise BadResponse(f"{quote(reply)}, without a result.list")
    for name in ("category", "symbol"):
        if result.get(name, getattr(query, name)) != getattr(query, name):
            raise BadResponse(f"{quote(result)}, another market")
    for row in result["list"]:
        number, values = read_row(row, query.interval)
        if number > closed + 1:  # the list may have been made just after the clock was read
            raise BadResponse(f"{quote(row)}, from after the server's own clock", again=0)
        # One candle more at either end is a habit of the server.
        if not first - 1 <= number <= last + 1:
            when = opening(number, query.interval)
            raise BadResponse(f"{quote(row)}, from {when}, another range")
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
    opened, high, low, close, *_ = values = tuple(map(float, row[1:]))
    if not 0 < low <= min(opened, close) <= max(opened, close) <= high:
        raise BadResponse(f"{quote(row)}, whose prices are not 0 < low <= open, close <= high")
    return number, values


def frame(query, candles, pages):
    """Those of `candles` that were asked for, as `fetch_klines` returns them; `pages` just came."""
    last = min([query.last, *(page.closed for page in pages)])
    numbers = sorted(n for n in candles if query.first <= n <= query.last)
    if not numbers:
        raise BadResponse(
            f"asked {query}; got 0 of {max(0, last - query.first + 1)} candles that are closed by "
            "the server's clock; check the range, its unit (milliseconds), and when the symbol was "
            "listed"
        )
    opens = [open_time(n, query.interval) for n in numbers]
    index = pd.to_datetime(opens, unit="ms", utc=True).as_unit("ms").rename("open_time")
    gaps = []
    for before, after in pairwise([query.first - 1, *numbers, last + 1]):
        if after > before + 1:
            missing = (opening(n, query.interval) for n in (before + 1, after - 1))
            gaps.append((*missing, after - before - 1))
    names = ("source", "category", "symbol", "interval")
    table = pd.DataFrame([candles[n] for n in numbers], index, list(COLUMNS))
    table.attrs = dict(zip(names, query.market.split(), strict=True)) | {"gaps": gaps}
    table.attrs["dropped"] = {
        what: sum(page.dropped[what] for page in pages)
        for what in ("unfinished", "duplicates", "outside")
    }
    return table


def fetch_klines(
    symbol="BTCUSDT", interval="5", start=None, end=None, *, category="linear", limit=None,
    base_url=None, deadline=30.0, progress=True,
):  # fmt: skip
    """Closed candles, oldest first.

    Bybit sends the newest candle while it still moves and flags it nowhere. A candle is closed
    here when it ends at or before the `time` in the server's own reply; the local clock has no say.

    Parameters
    ----------
    symbol : str, upper case, as Bybit lists it: "BTCUSDT"
    interval : str or int
        Minutes ("1" "3" "5" "15" "30" "60" "120" "240" "360" "720"), "D", "W" or "M".
    start, end : str, aware datetime or int milliseconds since 1970; optional
        Candles whose open time lies in [start, end]. A string is an ISO date or time, UTC unless it
        names a zone: "2024-08-02" is its midnight. Without `end`: up to now.
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
        out: unfinished, duplicates (identical), outside the pages asked for.

    Raises
    ------
    BybitError
        BadRequest before anything is sent; UnknownSymbol, RateLimited, RegionBlocked, BadResponse
        or Unreachable for what comes. Any reply that is not exactly as documented is a BadResponse.
    """
    query = checked(symbol, interval, start, end, category, limit, base_url, deadline)
    with Session(query) as session:
        query = query.settled(session)
        starts = range(query.first, query.last + 1, PAGE)
        windows = [(first, min(first + PAGE - 1, query.last)) for first in starts]
        pages = list(download(query, session, windows, progress))
    candles = {n: values for page in pages for n, values in page.candles.items()}
    return frame(query, candles, pages)
