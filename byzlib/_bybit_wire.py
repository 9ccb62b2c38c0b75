"""What a Bybit reply may say: the errors, candle times, strict JSON, and rows checked one by one.

Nothing here touches the network. A reply that is no good raises `Trouble`, which says what came
and what to do; the client (`byzlib.bybit`) adds what was asked and raises the public error.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from numbers import Integral

COLUMNS = ("open", "high", "low", "close", "volume", "turnover")
EARLIEST, LATEST = 1_262_304_000_000, 4_102_444_800_000  # years 2010 to 2100, in milliseconds

_MINUTE = 60_000
_DAY = 1440 * _MINUTE
_MONDAY = 4 * _DAY  # 1970-01-05: weeks open on Mondays
_STEPS = {str(m): m * _MINUTE for m in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)}
_STEPS |= {"D": _DAY, "W": 7 * _DAY}
INTERVALS = (*_STEPS, "M")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_WHOLE = re.compile(r"[0-9]{1,19}")

SAMPLE = "the simulated candles of load_sample"
NETWORK = f"check the network, or use {SAMPLE}"
DISTRUST = "use nothing of it, check base_url, and ask again later"


# --- The errors ---


class BybitError(Exception):
    """No candles; the message says what was asked, what came, and what to do."""


class BadRequest(BybitError):
    """The arguments cannot be asked. Raised before any request is sent."""


class UnknownSymbol(BybitError):
    """Bybit does not list this symbol in this category."""


class RateLimited(BybitError):
    """Too many requests, and waiting a little did not help."""


class RegionBlocked(BybitError):
    """Bybit does not serve the country that the request came from."""


class BadResponse(BybitError):
    """Something answered, but not with the candles that were asked for."""


class Unreachable(BybitError):
    """No complete answer within the tries and the deadline."""


for _error in (BybitError, *BybitError.__subclasses__()):
    _error.__module__ = "byzlib.bybit"  # tracebacks name the module that readers import


class Trouble(Exception):
    """A reply that is no good, on its way to becoming one of the errors above.

    `wait` is None when asking again is of no use, 0 when it may help, and otherwise the seconds
    that the server asked for.
    """

    def __init__(self, kind, came, advice, wait=None):
        super().__init__(came)
        self.kind, self.came, self.advice, self.wait = kind, came, advice, wait


# --- Candles are counted, so that ranges, pages and gaps are whole numbers, months included ---


def candle_number(ms, interval):
    """The number of the candle that holds the instant `ms` (milliseconds since 1970, UTC)."""
    if interval == "M":
        day = _EPOCH + timedelta(milliseconds=ms)
        return 12 * day.year + day.month - 1
    return (ms - _origin(interval)) // _STEPS[interval]


def open_time(number, interval):
    """The instant, in milliseconds, at which candle `number` opens. Candle `number + 1` opens
    when it closes."""
    if interval == "M":
        first = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        return (first - _EPOCH) // timedelta(milliseconds=1)
    return _origin(interval) + number * _STEPS[interval]


def _origin(interval):
    return _MONDAY if interval == "W" else 0


def milliseconds(name, value, up=False):
    """An aware datetime, or an integer already in milliseconds, as milliseconds since 1970."""
    ms = int(value) if is_whole(value) else None
    if isinstance(value, datetime) and value.tzinfo is not None:
        since, unit = value - _EPOCH, timedelta(milliseconds=1)
        ms = -(-since // unit) if up else since // unit
    if ms is None or not EARLIEST <= ms <= LATEST:
        raise BadRequest(
            f"{name} needs an aware datetime or integer milliseconds since 1970 "
            f"(years 2010 to 2100); got {value!r}"
        )
    return ms


def is_whole(value):
    """An integer of any type, but not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def utc(ms):
    """`ms` as people write it, to the minute: 2024-05-01 00:05."""
    return f"{_EPOCH + timedelta(milliseconds=ms):%Y-%m-%d %H:%M}"


# --- One reply: its status, its retCode, its JSON ---


def envelope_of(status, headers, body):
    """The envelope of a successful reply; anything else is `Trouble`."""
    if status not in (200, 204):
        raise _http_trouble(status, headers, body)
    try:
        envelope = decode(body)
    except EOFError as error:
        raise Trouble(BadResponse, str(error), DISTRUST, wait=0) from error
    except ValueError as error:
        raise Trouble(BadResponse, str(error), DISTRUST) from error
    if envelope["retCode"] != 0:
        raise _code_trouble(envelope, headers)
    return envelope


def _http_trouble(status, headers, body):
    came, text = f"HTTP {status}", body.decode("latin-1").lower()
    if 300 <= status < 400:
        target = quote(headers.get("Location"))
        return Trouble(BadResponse, f"{came}, a redirect to {target}", "it is not followed")
    if status == 429:
        wait = _pause(headers.get("Retry-After"))
        return Trouble(RateLimited, came, "ask again in a minute, and less often", wait)
    if status == 408 or status >= 500:
        return Trouble(Unreachable, f"{came} {quote(body)}", "ask again in some minutes", wait=0)
    if status == 403 and "access too frequent" in text:
        advice = "stop all requests from this address for at least 10 minutes"
        return Trouble(RateLimited, f"{came} 'access too frequent'", advice)
    if status == 451 or (status == 403 and "from your country" in text):
        return Trouble(RegionBlocked, f"{came} {quote(body)}", _region())
    hint = {
        400: "check base_url",
        403: "a body or a proxy between here and Bybit may be the cause",
        404: "check base_url: the path /v5/market/kline is not there",
    }.get(status, DISTRUST)
    return Trouble(BadResponse, f"{came} {quote(body)}", hint)


def _code_trouble(envelope, headers):
    code, said = envelope["retCode"], quote(envelope.get("retMsg"))
    came = f"retCode {code} {said}"
    if code in (429, 10006):
        reset = headers.get("X-Bapi-Limit-Reset-Timestamp")
        wait = _pause(reset, since=envelope.get("time"), unit=1000)
        return Trouble(RateLimited, came, "ask again in a minute, and less often", wait)
    if code in (5004, 10000, 10016):
        return Trouble(Unreachable, came, "ask again in some minutes", wait=0)
    if code in (10009, 10024):
        return Trouble(RegionBlocked, came, _region())
    if code == 10029 or (code == 10001 and "symbol" in said.lower()):
        return Trouble(UnknownSymbol, came, "check the spelling of the symbol, and its category")
    if code == 10001:
        return Trouble(BadResponse, came, f"intervals are {', '.join(INTERVALS)}")
    return Trouble(BadResponse, came, "look the code up in Bybit's list of error codes")


def _region():
    return f"use the Bybit host of your region as base_url, or {SAMPLE}"


def _pause(header, since=0, unit=1):
    """Seconds to wait, between 0.1 and 10, until the instant that a header names as a whole
    number of `unit`s a second; 0 where it names none."""
    if type(since) is not int or not _WHOLE.fullmatch(header or ""):
        return 0
    return min(max((int(header) - since) / unit, 0.1), 10.0)


def decode(body):
    """The reply's JSON object.

    UTF-8 only, no NaN or Infinity, no key twice: all three pass `json.loads` unseen.

    Raises
    ------
    EOFError
        The body is empty or was cut, which a second request may cure.
    ValueError
        It is anything else but one JSON object with an integer retCode.
    """
    if not body.strip():
        raise EOFError("an empty reply")
    try:
        envelope = json.loads(
            body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_twins
        )
    except json.JSONDecodeError as error:
        if body.lstrip().startswith(b"{") and not body.rstrip().endswith(b"}"):
            raise EOFError(f"a JSON reply cut after {len(body)} bytes") from error
        raise ValueError(f"no JSON ({error}): {quote(body)}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"bytes that are not UTF-8: {quote(body)}") from error
    except RecursionError as error:
        raise ValueError("JSON nested too deep to be a reply") from error
    except ValueError as error:
        raise ValueError(f"JSON that is not allowed ({error})") from error
    if not isinstance(envelope, dict):
        raise ValueError(f"JSON that is not an object: {quote(body)}")
    if type(envelope.get("retCode")) is not int:
        raise ValueError(f"no integer retCode: {quote(body)}")
    return envelope


def _no_constant(word):
    raise ValueError(f"{word} is not JSON")


def _no_twins(pairs):
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {quote(key)} twice")
        found[key] = value
    return found


def clock(envelope):
    """The server's own time, in milliseconds."""
    now = envelope.get("time")
    if type(now) is not int or not EARLIEST <= now <= LATEST:
        came = f"time {quote(now)}, which is not a millisecond time"
        raise Trouble(BadResponse, came, DISTRUST)
    return now


def quote(text, length=200):
    """The beginning of what came, safe to print."""
    if isinstance(text, bytes):
        text = text[: 4 * length].decode("utf-8", errors="replace")
    text = " ".join(str(text).split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return repr(text if len(text) <= length else text[:length] + "...")


# --- The rows ---


def rows(envelope, market, limit):
    """The candles of a kline reply, in the order that they came.

    `market` holds the category, symbol and interval that were asked.

    Returns
    -------
    list of (int, tuple of float)
        Candle number; open, high, low, close, volume, turnover.
    """
    now = clock(envelope)
    try:
        listed = _listed(envelope.get("result"), market)
        if len(listed) > limit:
            raise ValueError(f"{len(listed)} rows where at most {limit} were asked")
        return [_row(i, row, market["interval"], now) for i, row in enumerate(listed)]
    except ValueError as error:
        raise Trouble(BadResponse, str(error), DISTRUST) from error


def _listed(result, market):
    if not isinstance(result, dict) or not isinstance(result.get("list"), list):
        raise ValueError("a reply without result.list")
    for name in ("category", "symbol"):
        if result.get(name, market[name]) != market[name]:
            raise ValueError(f"{name} {quote(result[name])}, another market than the one asked")
    return result["list"]


def _row(i, row, interval, now):
    if not isinstance(row, list):
        raise ValueError(f"row {i} is {quote(row)}, not a list")
    if len(row) != 1 + len(COLUMNS):
        hint = " (mark, index and premium klines have 5)" if len(row) == 5 else ""
        raise ValueError(f"row {i} has {len(row)} columns, not 7{hint}")
    opened = _open_time(i, row[0])
    number = candle_number(opened, interval)
    if open_time(number, interval) != opened:
        raise ValueError(f"row {i} opens at {opened}, between two candles of interval {interval}")
    if opened > now:
        raise ValueError(
            f"row {i} opens at {utc(opened)}, after the server's own clock ({utc(now)}), "
            "so closed and unfinished candles cannot be told apart"
        )
    where = f"row {i} ({utc(opened)})"
    values = tuple(_decimal(where, name, text) for name, text in zip(COLUMNS, row[1:], strict=True))
    _check_candle(where, *values)
    return number, values


def _open_time(i, text):
    if isinstance(text, str) and _WHOLE.fullmatch(text):
        text = int(text)
    if type(text) is not int or not EARLIEST <= text <= LATEST:
        raise ValueError(f"row {i} opens at {quote(text)}, which is not a millisecond time")
    return text


def _decimal(where, name, text):
    # float() would take "1_000", "nan", full-width digits and "1e400" for prices.
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError(f"{where}: {name} {quote(text)} is not a decimal in a string")
    return float(text)


def _check_candle(where, opened, high, low, close, volume, turnover):
    if min(opened, high, low, close) <= 0:
        raise ValueError(f"{where}: a price that is not positive")
    if min(volume, turnover) < 0:
        raise ValueError(f"{where}: a negative volume or turnover")
    if not low <= min(opened, close) <= max(opened, close) <= high:
        raise ValueError(
            f"{where}: open {opened}, close {close} not within low {low} and high {high}"
        )
    if volume == 0 and high > low:
        raise ValueError(f"{where}: prices moved from {low} to {high} at volume 0")
