"""What a Bybit reply may say: its status, its retCode, strict JSON, and rows checked one by one.

Nothing here touches the network. A reply that is no good raises `Trouble`.
"""

import json
import re
from email.utils import parsedate_to_datetime

from byzlib.market._bybit_errors import (
    DISTRUST,
    SAMPLE,
    BadResponse,
    RateLimited,
    RegionBlocked,
    Trouble,
    UnknownSymbol,
    Unreachable,
    quote,
)
from byzlib.market._candle_times import (
    EARLIEST,
    INTERVALS,
    LATEST,
    candle_number,
    open_time,
    utc,
)

COLUMNS = ("open", "high", "low", "close", "volume", "turnover")
LONGEST_WAIT = 10.0  # seconds that a server may make us wait before the next try

_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_WHOLE = re.compile(r"[0-9]{1,19}")


# --- One reply: its status, its retCode, its JSON ---


def envelope_of(status, headers, body):
    """The envelope of a successful reply; anything else is `Trouble`."""
    if status not in (200, 204):
        raise _http_trouble(status, headers, body)
    try:
        envelope = decode(body)
    except EOFError as error:
        # An empty reply is asked once more; a cut one is a matter of the line, as often as that.
        tries = {} if body.strip() else {"tries": 2}
        raise Trouble(BadResponse, str(error), DISTRUST, wait=0, **tries) from error
    except ValueError as error:
        came = f"{error} (Content-Type {quote(headers.get('Content-Type'), 60)})"
        raise Trouble(BadResponse, came, DISTRUST) from error
    if envelope["retCode"] != 0:
        raise _code_trouble(envelope, headers)
    return envelope


def _http_trouble(status, headers, body):
    came, words = f"HTTP {status}", _words(body)
    text, said = words.lower(), quote(words)
    if 300 <= status < 400:
        target = quote(headers.get("Location"))
        return Trouble(BadResponse, f"{came}, a redirect to {target}", "it is not followed")
    if status == 429:
        advice = "ask again in a minute, and less often"
        return Trouble(RateLimited, came, advice, _retry_after(headers))
    if status == 408 or status >= 500:
        return Trouble(Unreachable, f"{came} {said}", "ask again in some minutes", wait=0)
    if status == 403 and "access too frequent" in text:
        advice = "stop all requests from this address for at least 10 minutes"
        return Trouble(RateLimited, f"{came} 'access too frequent'", advice)
    if status == 451 or (status == 403 and "from your country" in text):
        return Trouble(RegionBlocked, f"{came} {said}", _region())
    hint = {
        400: "check base_url",
        403: "a body or a proxy between here and Bybit may be the cause",
        404: "check base_url: the path /v5/market/kline is not there",
    }.get(status, DISTRUST)
    return Trouble(BadResponse, f"{came} {said}", hint)


def _words(page):
    """What a page of HTML says, without its tags: the cause comes late in the source."""
    return re.sub("<[^>]*>", " ", page.decode("utf-8", errors="replace"))


def _code_trouble(envelope, headers):
    code, said = envelope["retCode"], quote(envelope.get("retMsg"))
    came = f"retCode {code} {said}"
    if code in (429, 10006):
        wait = _reset(headers.get("X-Bapi-Limit-Reset-Timestamp"), envelope.get("time"))
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


# --- How long the server asks to wait, by its own clock: seconds, or 0 where it does not say ---


def _retry_after(headers):
    """RFC 9110, section 10.2.3: whole seconds, or a date, which is read against the reply's."""
    after = headers.get("Retry-After") or ""
    if _WHOLE.fullmatch(after):
        return _clamped(int(after))
    try:
        until, sent = (parsedate_to_datetime(text) for text in (after, headers.get("Date") or ""))
        return _clamped((until - sent).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return 0


def _reset(header, now):
    """The instant at which Bybit's counter starts anew, in milliseconds."""
    if type(now) is not int or not _WHOLE.fullmatch(header or ""):
        return 0
    return _clamped((int(header) - now) / 1000)


def _clamped(seconds):
    return min(max(seconds, 0.1), LONGEST_WAIT)


# --- JSON ---


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


# --- The rows ---


def rows(envelope, market, limit, strict=False):
    """The candles of a kline reply, in the order that they came.

    `market` holds the category, symbol and interval that were asked.

    Returns
    -------
    candles : list of (int, tuple of str)
        Candle number; open, high, low, close, volume, turnover, each the exact decimal that came
        without idle zeros, so that equal numbers are equal texts.
    longer : int
        How many rows had more than seven columns, whose first seven were read; an error when
        `strict`.
    """
    now = clock(envelope)
    try:
        listed = _listed(envelope.get("result"), market)
        if len(listed) > limit:
            raise ValueError(f"{len(listed)} rows where at most {limit} were asked")
        candles = [_row(i, row, market["interval"], now, strict) for i, row in enumerate(listed)]
    except ValueError as error:
        raise Trouble(BadResponse, str(error), DISTRUST) from error
    return candles, sum(len(row) > 1 + len(COLUMNS) for row in listed)


def _listed(result, market):
    if not isinstance(result, dict) or not isinstance(result.get("list"), list):
        raise ValueError("a reply without result.list")
    for name in ("category", "symbol"):
        if result.get(name, market[name]) != market[name]:
            raise ValueError(f"{name} {quote(result[name])}, another market than the one asked")
    return result["list"]


def _row(i, row, interval, now, strict):
    if not isinstance(row, list):
        raise ValueError(f"row {i} is {quote(row)}, not a list")
    width = 1 + len(COLUMNS)
    if len(row) < width or (strict and len(row) > width):
        hint = " (mark, index and premium klines have 5)" if len(row) == 5 else ""
        raise ValueError(f"row {i} has {len(row)} columns, not {width}{hint}")
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
    values = tuple(_decimal(where, *pair) for pair in zip(COLUMNS, row[1:width], strict=True))
    _check_candle(where, *map(float, values))
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
    return plain(text)


def plain(text):
    """A decimal without idle zeros: "060.50" is "60.5", "-0.0" is "0"."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, _, part = digits.partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    short = f"{whole}.{part}" if part else whole
    return short if short == "0" else sign + short


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
