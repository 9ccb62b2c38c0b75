"""The market-data client: what comes back, what may be asked, and what a reply must look like."""

import gzip
import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib.market import (
    BadRequest,
    BadResponse,
    BybitError,
    bybit,
    dataset,
    fetch_klines,
    labels,
    load_klines,
    read_candles,
)
from byzlib.market.bybit import RateLimited, RegionBlocked, UnknownSymbol, Unreachable
from tests import bybit_server
from tests.bybit_server import HEAD, STEP, T0, Reply, at, guess, made_up, same_candles, serve

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX knows them")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Tries follow each other at once, and the caller's environment names no host."""
    monkeypatch.setattr(bybit, "BACKOFF", 0.002)
    monkeypatch.delenv("BYZLIB_BYBIT_URL", raising=False)
    monkeypatch.setenv("BYZLIB_BYBIT_CACHE", str(tmp_path / "candles.sqlite"))


def moment(i):
    return pd.Timestamp(at(i), unit="ms", tz="UTC")


def envelope(rows, now=at(10_000), **changes):
    result = {"category": "linear", "symbol": "BTCUSDT", "list": [list(map(str, r)) for r in rows]}
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now} | changes


def fetch(url, first=0, last=9, **options):
    return fetch_klines("BTCUSDT", "5", at(first), at(last), base_url=url, **options)


def failure(kind, *script, n=11, **options):
    """The message of the error and the number of requests that it took."""
    with serve(made_up(n), script=script) as url:
        with pytest.raises(BybitError) as caught:
            fetch(url, **options)
        assert type(caught.value) is kind, caught.value
        message = str(caught.value)
        assert message.isprintable() and len(message) < 900
        assert message.endswith(kind.advice) or "; check the range" in message
        assert message.startswith(f"asked {url[7:]} linear BTCUSDT 5, 2024-05-0")
        return message, len(url.log)


def edited(change):
    """A reply whose rows, newest first, went through `change`."""

    def edit(reply):
        rows = reply["result"]["list"]
        rows[:] = change(rows)
        return reply

    return edit


# --- What comes back ---


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 2500])
def test_pages_cover_the_range_exactly(n):
    rows = made_up(n + 1)
    with serve(rows) as url:
        frame = fetch(url, 0, n - 1)
    same_candles(frame, rows[:n])
    windows = [tuple(int(p[name]) for name in ("start", "end", "limit")) for _, p in url.log]
    assert windows == [(at(i), at(min(i + 999, n - 1)), 1000) for i in range(0, n, 1000)]
    assert frame.attrs == {
        "source": url.removeprefix("http://"), "category": "linear", "symbol": "BTCUSDT",
        "interval": "5", "gaps": [], "dropped": {"unfinished": 0, "duplicates": 0, "outside": 0},
    }  # fmt: skip


def test_bounds_are_open_times_and_inclusive_whatever_names_them():
    rows, zone = made_up(600), timezone(timedelta(hours=5, minutes=30))
    start = datetime.fromtimestamp(at(2) / 1000, zone)
    late = start + timedelta(microseconds=1)
    with serve(rows) as url:
        for first, last, asked in [
            (3, 3, (at(3), at(3))),
            (4, 6, (at(3) + 1, at(7) - 1)),
            (2, 8, (np.int64(at(2)), moment(8))),
            (2, 8, (start, moment(8).to_pydatetime())),
            (3, 8, (late, at(9) - 1)),
            (0, 576, ("2024-05-01", "2024-05-03")),  # a day is its midnight
            (2, 8, ("2024-05-01T05:40+05:30", "2024-05-01 00:40")),
        ]:
            same_candles(fetch_klines("BTCUSDT", 5, *asked, base_url=url), rows[first : last + 1])
            sent = url.log[-1][1]
            assert (sent["start"], sent["end"]) == (str(at(first)), str(at(last)))


@pytest.mark.parametrize("change, dropped", [
    (lambda rows: random.Random(1).sample(rows, len(rows)), {}),
    (lambda rows: rows + rows[2:4], {"duplicates": 2}),
    (lambda rows: [*rows, [*rows[0][:5], rows[0][5] + "00", rows[0][6]]], {"duplicates": 1}),
    (lambda rows: [*rows, list(map(str, made_up(12)[11]))], {"outside": 1}),
    (lambda rows: [[int(row[0]), *row[1:]] for row in rows], {}),
])  # fmt: skip
def test_harmless_oddities_are_put_right_and_counted(change, dropped):
    rows = made_up(14)
    with serve(rows, now=at(13), script=[edited(change)]) as url:
        frame = fetch(url, 1, 10)
    same_candles(frame, rows[1:11])
    assert {name: n for name, n in frame.attrs["dropped"].items() if n} == dropped


def test_the_unfinished_candle_is_dropped_by_the_servers_clock_alone(monkeypatch):
    rows, real = made_up(10), time.time
    for years in (-3, 3):
        monkeypatch.setattr(time, "time", lambda: real() + years * 365 * 86400)  # noqa: B023
        for now, kept in [(at(9) + 1, 9), (at(10) - 1, 9), (at(10), 10), (at(11), 10)]:
            with serve(rows, now=now) as url:
                frame = fetch(url)
            same_candles(frame, rows[:kept])
            assert frame.attrs["dropped"]["unfinished"] == 10 - kept
            assert frame.attrs["gaps"] == []


def test_limit_and_open_ends():
    rows = made_up(2301)
    with serve(rows) as url:
        for asked, first, stop in [
            ({}, 2100, 2300),
            ({"limit": 1}, 2299, 2300),
            ({"end": at(40), "limit": 7}, 34, 41),
            ({"end": at(5000), "limit": 7}, 2293, 2300),
            ({"start": at(10), "limit": 5}, 10, 15),
            ({"start": at(10), "end": at(14), "limit": 5}, 10, 15),
            ({"start": at(50)}, 50, 2300),
            ({"start": at(50), "end": at(90_000)}, 50, 2300),
        ]:
            same_candles(fetch_klines(**asked, base_url=url), rows[first:stop])
        # Beyond the server's clock nothing is asked for: three pages each for the last two.
        assert [path for path, _ in url.log[-6:]] == ["/v5/market/kline"] * 6
        assert len(url.log) == 4 * 2 + 2 + 6


def test_gaps_are_listed_and_not_filled():
    rows = made_up(3500)
    held = [*rows[2:7], *rows[8:800], *rows[2300:3000]]
    with serve(held, now=at(4000)) as url:
        frame = fetch(url, 0, 3100)
    same_candles(frame, held)
    assert frame.attrs["gaps"] == [
        (moment(0), moment(1), 2),
        (moment(7), moment(7), 1),
        (moment(800), moment(2299), 1500),
        (moment(3000), moment(3100), 101),
    ]


def test_still_flat_and_crashing_candles_are_valid():
    rows = [(at(0), 10, 10, 10, 10, 0, 0), (at(1), 10, 10, 4, 4, 3, 20), (at(2), 4, 4, 4, 4, 0, 0)]
    with serve(rows) as url:
        same_candles(fetch(url, 0, 1), rows[:2])


@pytest.mark.parametrize("interval", bybit.INTERVALS)
def test_every_interval_walks_its_own_calendar(interval):
    first = bybit.candle_number(T0, interval)
    opens = [bybit.open_time(first + i, interval) for i in range(14)]
    rows = [(t, *row[1:]) for t, row in zip(opens, made_up(14))]
    with serve(rows, interval=interval) as url:  # the server has a calendar of its own
        held = fetch_klines(interval=interval, start=opens[0], end=opens[-1], base_url=url)
    same_candles(held, rows[:-1])
    assert held.attrs["interval"] == interval and held.attrs["gaps"] == []


@settings(deadline=None)
@given(st.integers(bybit.EARLIEST, bybit.LATEST), st.sampled_from(bybit.INTERVALS))
def test_candles_tile_time(ms, interval):
    number = bybit.candle_number(ms, interval)
    assert bybit.open_time(number, interval) <= ms < bybit.open_time(number + 1, interval)
    assert bybit.candle_number(bybit.open_time(number, interval), interval) == number


# --- Arguments are checked before anything is sent ---

AWARE = datetime(2024, 5, 1, tzinfo=UTC)
BAD_ARGUMENTS = {
    "interval": ["5m", 2, None, True, "", 5.0, "05", b"5", "５"],
    "symbol": ["btcusdt", "BTC/USDT", "", "BTCUSDT\n", None, "BTCUSDT&x=1", "B" * 99, "BTC-"],
    "category": ["LINEAR", "option", None, ["linear"]],
    "limit": [0, 1001, 200.0, True, "200", np.nan, 5],
    "start": [1.5e12, True, "yesterday", "1714521600000", "2009-12-31",
              datetime(2024, 5, 1), pd.NaT, np.datetime64("2024-05-01"), T0 // 1000,
              T0 * 1000, -T0, AWARE.date(), datetime(2200, 1, 1, tzinfo=UTC), at(20), at(4) + 1],
    "end": [1.5e12, "now", "2024-04-30", datetime(2024, 5, 1), T0 // 1000, T0 - 1],
    "deadline": [0, -1.0, np.inf, np.nan, None, "30", True, 1e6],
    "base_url": ["api.bybit.com", "ftp://api.bybit.com", "http:///v5", "https://api.bybit.com/v5",
                 "https://api.bybit.com?x=1", "https://me:secret@api.bybit.com", "", 5,
                 "https://api.bybit.com:x", "https://api bybit.com", "http://127.0.0.1:1\n",
                 "http://a..b", "http://" + "a" * 64],
}  # fmt: skip


@pytest.mark.parametrize("name, value", [
    pytest.param(name, value, id=f"{name}={value!r:.24}")
    for name, values in BAD_ARGUMENTS.items() for value in values
])  # fmt: skip
def test_a_bad_argument_is_refused_before_any_request(name, value):
    with serve(made_up(10)) as url:
        asked = {"start": at(0), "end": at(5), "base_url": url}
        if name == "start" and value == at(4) + 1:
            asked["end"] = at(5) - 1  # no candle opens between the two
        with pytest.raises(BadRequest) as error:
            fetch_klines(**asked | {name: value})
        assert url.log == []
    said = str(error.value)
    assert "\n" not in said and (name in said or "no candle" in said)


def test_the_environment_names_the_host_and_the_argument_wins(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):  # no proxy stands before loopback
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with serve(made_up(10)) as one, serve(made_up(10)) as other:
        monkeypatch.setenv("BYZLIB_BYBIT_URL", one + "/")
        fetch_klines(start=at(0), end=at(1))
        assert (len(one.log), len(other.log)) == (1, 0)
        fetch_klines(start=at(0), end=at(1), base_url=other)
        assert (len(one.log), len(other.log)) == (1, 1)
    monkeypatch.setenv("BYZLIB_BYBIT_URL", "127.0.0.1:8123")
    with pytest.raises(BadRequest, match=re.escape("127.0.0.1:8123")):
        fetch_klines(start=at(0), end=at(1))


# --- Faulty replies: the error, how often is asked when the fault stays, what the error says ---

TEXT = json.dumps(envelope(made_up(10)))
TIME = str(at(3))
GOOD = [TIME, "10", "12", "9", "11", "5", "55"]
ZIPPED = {"Content-Encoding": "gzip"}
ENDLESS = {"Content-Length": None}
HTML = {"Content-Type": "text/html"}


def code(number, said=""):
    return Reply({"retCode": number, "retMsg": said, "result": {}, "time": at(10)})


def page403(text):
    return Reply(f"<HTML><H1>403 ERROR</H1>{text}</HTML>", 403, HTML)


def said(old, new):
    assert old in TEXT
    return Reply(TEXT.replace(old, new))


def with_row(row):
    return edited(lambda rows: [*rows, row])


def odd(value, column=1):
    return with_row([*GOOD[:column], value, *GOOD[column + 1 :]])


def packed(body):
    return Reply(gzip.compress(body), headers=ZIPPED)


CUT = '{"retCode":0,"ret'
FAULTS = [
    # Statuses; those that may pass are asked for again
    (RateLimited, 4, "HTTP 429", Reply(status=429)),
    (Unreachable, 4, "HTTP 500 'down'", Reply("<h1>down</h1>", 500)),
    (Unreachable, 4, "HTTP 408", Reply(status=408)),
    (RateLimited, 1, "ten minutes", page403("access too frequent")),
    (RegionBlocked, 1, "host of your region", page403("block access from your country.")),
    (RegionBlocked, 1, "HTTP 451 'gone'", Reply("gone", 451)),
    (BadResponse, 1, "HTTP 403 '403 ERROR Bad request.'", page403("Bad request.")),
    (BadResponse, 1, "check base_url", Reply("nothing", 404)),
    (BadResponse, 1, "HTTP 204", Reply(status=204)),
    (BadResponse, 1, "'http://evil.example/'", Reply("", 302, {"Location": "http://evil.example/"})),
    # retCodes
    *[(RateLimited, 4, f"retCode {number} 'Too many'", code(number, "Too many"))
      for number in (429, 10006, 10018)],
    (RateLimited, 1, "ten minutes", code(10009, "IP has been banned.")),
    *[(Unreachable, 4, f"retCode {number}", code(number)) for number in (5004, 10000, 10016)],
    *[(UnknownSymbol, 1, text, code(10001, text)) for text in
      ("Not supported symbols", "params error: symbol invalid")],
    (UnknownSymbol, 1, "retCode 10029", code(10029)),
    (RegionBlocked, 1, "retCode 10009", code(10009, "Not served in your region")),
    (RegionBlocked, 1, "retCode 10024", code(10024)),
    (BadResponse, 1, "retCode 10001 'Invalid'; use nothing", code(10001, "Invalid")),
    (BadResponse, 1, "retCode -1 'so it is'", code(-1, "so it is")),
    # Lines that break
    (Unreachable, 4, "no complete answer: ", Reply(CUT, headers={"Content-Length": 500})),
    (Unreachable, 4, "no complete answer: ",
     Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{")),
    (Unreachable, 4, "no complete answer: ", Reply(raw=b"")),
    (Unreachable, 4, "no complete answer: ", Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n{", reset=True)),
    (Unreachable, 4, "no complete answer: ", Reply(b"no zip", headers=ZIPPED)),
    (BadResponse, 1, "over 8000000 bytes", Reply(b" " * 9_000_000, headers=ENDLESS)),
    (BadResponse, 1, "over 8000000 bytes", packed(bytes(60_000_000))),
    # Bodies that are not strict JSON, or no reply of Bybit's; they may have been cut
    (BadResponse, 4, "17 bytes that are no reply", Reply(CUT, headers=ENDLESS)),
    (BadResponse, 4, "0 bytes that are no reply", Reply(raw=b"HTTP/1.1 200")),
    (BadResponse, 4, "Please log in", Reply("<html>Please log in</html>", headers=HTML)),
    (BadResponse, 4, "Extra data", Reply(TEXT + TEXT)),
    (BadResponse, 4, "BOM", Reply("\ufeff" + TEXT)),
    (BadResponse, 4, "utf-8", Reply(TEXT.encode().replace(b"OK", b"O\xff"))),
    (BadResponse, 4, "'[{", Reply(f"[{TEXT}]")),
    (BadResponse, 4, "ret_code", said("retCode", "ret_code")),
    *[(BadResponse, 4, "whole retCode", said('"retCode": 0', f'"retCode": {wrong}'))
      for wrong in ('"0"', "false", "0.0")],
    (BadResponse, 4, "-Infinity", said('"retExtInfo": {}', '"retExtInfo": -Infinity')),
    (BadResponse, 4, "a key stands twice", said('"list"', '"symbol": "BTCUSDT", "list"')),
    (BadResponse, 4, "recursion", Reply('{"a":' + "[" * 200_000 + "]" * 200_000 + "}")),
    (BadResponse, 4, "Exceeds the limit", Reply('{"retCode":' + "1" * 5000 + "}")),
    # Envelopes
    *[(BadResponse, 1, "without a result.list", Reply(envelope([], result=wrong)))
      for wrong in (None, [], {"list": {}})],
    *[(BadResponse, 1, "no millisecond time", Reply(envelope(made_up(10), now=wrong)))
      for wrong in (None, str(T0), 1.7e12, True, T0 // 1000)],
    (BadResponse, 1, "another market", said('"symbol": "BTCUSDT"', '"symbol": "ETHUSDT"')),
    (BadResponse, 1, "another market", said('"category": "linear"', '"category": "spot"')),
    (BadResponse, 4, "after the server's own clock", Reply(envelope(made_up(10), now=at(8)))),
    (BadResponse, 1, "from 2024-05-01 03:15", Reply(envelope(made_up(40)[39:]))),
    (BadResponse, 1, "check the range", Reply(envelope([]))),
    (BadResponse, 1, "got 0 of 0 candles that are closed", Reply(envelope([], now=at(0) + 1))),
    # Rows
    (BadResponse, 1, "for the same time", odd("7", column=5)),
    (BadResponse, 1, "between two candles", with_row([str(at(3) + 1), *GOOD[1:]])),
    *[(BadResponse, 1, "no millisecond time", odd(wrong, column=0))
      for wrong in (TIME[:-3], TIME + "000", "-" + TIME, float(TIME), None, "１" * 13)],
    *[(BadResponse, 1, f"whose {name} is no plain decimal", odd(wrong, column))
      for name, column in (("open", 1), ("volume", 5))
      for wrong in ("NaN", "inf", "1e5", "", "1_000", "1,000", " 11", "11\n", "0x10", "-11", ".5",
                    "１１", "9" * 400, None, 11.0)],
    *[(BadResponse, 1, "whose prices are not", with_row([TIME, *prices, "5", "55"]))
      for prices in (["0", "0", "0", "0"], ["13", "12", "9", "11"], ["10", "12", "9", "13"],
                     ["8", "12", "9", "11"], ["10", "12", "9", "8"])],
    *[(BadResponse, 1, "no row of 7 columns", with_row(wrong))
      for wrong in (GOOD[:5], [*GOOD, "news"], {"startTime": TIME}, None)],
]  # fmt: skip


@pytest.mark.parametrize(
    "kind, tries, words, fault", FAULTS, ids=[f"{i} {row[2][:40]}" for i, row in enumerate(FAULTS)]
)
def test_a_faulty_reply_has_its_error(kind, tries, words, fault):
    message, asked = failure(kind, *[fault] * 9)
    assert words in message and asked == tries
    if tries > 1:  # it passes
        with serve(made_up(11), script=[fault]) as url:
            same_candles(fetch(url), made_up(10))


@pytest.mark.parametrize("reply", [
    Reply(envelope(made_up(10), retMsg="")), Reply(envelope(made_up(10), retMsg=None, news=[1.5])),
    packed(TEXT.encode()),
], ids=["no message", "unknown keys", "gzip"])  # fmt: skip
def test_success_is_the_code_and_not_its_dress(reply):
    with serve(made_up(11), script=[reply]) as url:
        same_candles(fetch(url), made_up(10))


def test_a_candle_that_opens_as_the_reply_is_made_is_asked_for_again():
    rows = made_up(11)
    with serve(rows, now=at(9), script=[lambda reply: reply | {"time": at(9) - 1}]) as url:
        frame = fetch(url)
        assert len(url.log) == 2
    same_candles(frame, rows[:9])
    assert frame.attrs["dropped"]["unfinished"] == 1


# --- Waiting, deadlines, and places that do not answer ---


@pytest.mark.parametrize("after, waited", [
    ("3", [3]), ("9" * 5000, [5]), ("0", []), ("-1", []), ("soon", []),
])  # fmt: skip
def test_the_servers_word_on_waiting_is_kept_within_reason(monkeypatch, after, waited):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with serve(made_up(11), script=[Reply(status=429, headers={"Retry-After": after})]) as url:
        same_candles(fetch(url), made_up(10))
    assert [s for s in slept if s > 0.1] == waited


@pytest.mark.parametrize("kind, slow", [
    (Unreachable, Reply(pause=60.0)),
    (Unreachable, Reply(envelope([]), delay=0.05)),
    (Unreachable, Reply(raw=b"HTTP/1.1 200 OK\r\n" * 9, delay=0.05)),
    (Unreachable, lambda reply: Reply(reply, pause=0.15)),
    (RateLimited, Reply(status=429, headers={"Retry-After": "9"})),
], ids=["silence", "drip", "drip in the header", "all pages together", "told to wait"])  # fmt: skip
def test_one_deadline_holds_for_every_slowness(kind, slow):
    begin = time.monotonic()
    message, _ = failure(kind, *[slow] * 9, n=9002, last=8999, deadline=0.4)
    assert re.search("within the deadline of 0.4 s|timed out|HTTP 429", message)
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("terminal, progress", [(True, True), (True, False), (False, True)])
def test_a_bar_is_shown_on_a_terminal_that_wants_one(monkeypatch, terminal, progress):
    shown, real = io.StringIO(), bybit.tqdm
    monkeypatch.setattr(shown, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(bybit, "tqdm", lambda **how: real(**how | {"file": shown, "delay": 0}))
    with serve(made_up(2002)) as url:
        fetch(url, 0, 2000, progress=progress)
    bar = re.search("BTCUSDT: 100%.* 3/3 ", shown.getvalue())
    assert bar if terminal and progress else not shown.getvalue()


def test_a_closed_port_is_unreachable_named_and_the_sample_only_offered():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match=f"asked {url[7:]} .*refused.*load_sample"):
            fetch(url)
        with pytest.raises(Unreachable, match=f"asked {url} for the time"):
            fetch_klines(base_url=url)


def test_the_door_does_not_import_requests():
    code = "import sys, byzlib.market as m; print('requests' in sys.modules, m.fetch_klines)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert said.stdout.startswith("False <function fetch_klines"), said.stderr


# --- The loopback server against what is documented of Bybit's klines, through plain requests ---


def ask(url, path="/v5/market/kline", **changes):
    asked = {"category": "linear", "symbol": "BTCUSDT", "interval": "5"} | changes
    return requests.get(url + path, params=asked, timeout=10)


def listed(url, **changes):
    """The numbers of the candles that come, in the order that they come."""
    return [(int(row[0]) - T0) // STEP for row in ask(url, **changes).json()["result"]["list"]]


def test_the_server_speaks_as_bybit_does():
    rows = made_up(1500)
    with serve(rows, now=at(2000)) as url:
        assert ask(url, limit=1).json() == envelope(rows[-1:], now=at(2000))
        for asked, want in [
            ({"start": at(5), "end": at(8)}, [8, 7, 6, 5]),
            ({"start": at(5), "end": at(9) - 1}, [8, 7, 6, 5]),
            ({"start": at(5) + 1, "end": at(7)}, [7, 6, 5]),  # the candle that holds the start
            ({"start": at(8), "end": at(5)}, []),
            ({"start": at(1), "end": at(1400), "limit": 3}, [1400, 1399, 1398]),
            ({"start": at(10), "limit": 3}, [12, 11, 10]),
            ({"end": at(10), "limit": 3}, [10, 9, 8]),
            ({}, list(range(1499, 1299, -1))),
        ]:
            assert listed(url, **asked) == want
        for wrong in ({"symbol": "NOPE"}, {"symbol": "btcusdt"}, {"category": "spot"}):
            assert ask(url, **wrong).json()["retMsg"] == "Not supported symbols"
        assert ask(url, interval="5m").json()["retMsg"] == "Invalid period!"
        for wrong in ({"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"start": "1.5"}):
            assert ask(url, **wrong).json()["retCode"] == 10001
        assert ask(url, path="/v5/market/klines").status_code == 404
        assert ask(url, path="/v5/market/time").json()["time"] == at(2000)
        body = requests.get(url + "/v5/market/kline", json={}, timeout=10)
        assert body.status_code == 403 and "Bad request." in body.text
    with serve(rows[:5]) as url:  # the newest candle still moves, and nothing says so
        assert listed(url) == [4, 3, 2, 1, 0]
        assert at(4) <= ask(url).json()["time"] < at(5)


def test_the_server_takes_a_series_of_one_step_and_makes_up_a_turnover():
    bare = [(T0, "1", "2", "1", "3.2", "2.500")]
    assert bybit_server.Market(bare).rows[0][6] == "8" and bybit_server.Market(bare).approximate
    assert bybit_server.Market(bare, category="inverse").rows[0][6] == "0.78125"
    rows = made_up(3)
    for spoilt in ([], rows[::-1], [*rows, rows[-1]], [(row[0] + 1, *row[1:]) for row in rows]):
        with pytest.raises(ValueError, match="follow each other|no open time of interval 5"):
            bybit_server.Market(spoilt)


LINE = "1714521600000,10,12,9,11,5"


@pytest.mark.parametrize("text, where", [
    (f"\ufeff{HEAD}\n{LINE}\n", "line 1 needs ts_ms"),
    (f"{HEAD}\n{LINE}\n".replace(",", ";"), "line 1 needs ts_ms"),
    (f"{HEAD}\n{LINE}\n1.7E+12,10,12,9,11,5\n", "line 3 .*1.7E.12"),
    (f"{HEAD}\n{LINE[:-2]}\n", "line 2"),
    ("", "line 1 needs ts_ms"),
])  # fmt: skip
def test_a_file_spoilt_by_a_spreadsheet_is_refused_by_line(tmp_path, text, where):
    file = tmp_path / "candles.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=where):
        bybit_server.read_candles(file)
    file.write_bytes(f"{HEAD}\r\n{LINE}\r\n".encode())
    assert bybit_server.read_candles(file) == [LINE.split(",")]  # CRLF alone spoils nothing


@pytest.mark.parametrize("name, said", [
    ("candles.csv.gz", "give --symbol"), ("x_linear_B_5m_x.csv", "No such file")
])  # fmt: skip
def test_the_replay_says_why_not(tmp_path, capsys, name, said):
    with pytest.raises(SystemExit):
        bybit_server.main([str(tmp_path / name), "--port", "0"])
    assert said in capsys.readouterr().err


@posix
def test_the_replay_serves_a_file_until_ctrl_c(tmp_path):
    path = tmp_path / "candles.csv.gz"
    path.write_bytes(gzip.compress(f"{HEAD}\n{LINE}\n".encode()))
    market = {"--symbol": "ETHUSDT", "--category": "linear", "--interval": "5"}
    options = [word for pair in market.items() for word in pair]
    command = [sys.executable, "-m", "tests.bybit_server", path, "--port", "0", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--now", str(at(50))], cwd=ROOT, **pipes) as server:
        try:
            said = [server.stdout.readline().strip() for _ in range(4)]
            assert listed(said[-1].partition("=")[2], symbol="ETHUSDT") == [0]
            server.send_signal(signal.SIGINT)
            assert server.communicate(timeout=20)[1] == "" and server.returncode == 0
        finally:
            server.kill()
    assert said[0] == "1 candles of linear ETHUSDT 5" and str(at(50)) in said[1]


# --- Real candles and recorded replies, where their folder is found ---

SHARED = Path(os.environ.get("BYZLIB_SHARED_DATA") or ROOT.parent / "shared" / "data")
recorded = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded data (BYZLIB_SHARED_DATA) are not here"
)


# Recorded replies: closed and unfinished candles, or the type of the error and its words.
RECORDED = {
    "ok_inverse_1h_docs.json": (3, 0),
    "ok_linear_D_start_end_limit3.json": (3, 0),
    "ok_linear_1m_unfinished_first_row.json": (4, 1),
    "ok_linear_1h_unfinished_2026.json": (1, 1),
    "ok_spot_1h_hummingbot.json": (5, 0),
    "ok_spot_1m_unaligned_start.json": (2, 0),
    "ok_empty_list.json": (BadResponse, "got 0 of"),
    "ok_spot_5m_limit1_unfinished.json": (BadResponse, "got 0 of 0 candles that are closed"),
    "premium_index_5_columns.json": (BadResponse, "no row of 7 columns"),
    "err_10001_invalid_period.json": (BadResponse, "Invalid period!"),
    "err_10001_symbol_params_err.json": (UnknownSymbol, "spelling of the symbol"),
    "err_10001_unknown_symbol.json": (UnknownSymbol, "TSLAXUSDT"),
    "err_10006_too_many_visits.json": (RateLimited, "retCode 10006"),
    "err_10016_server_error.json": (Unreachable, "retCode 10016"),
    "err_5004_server_timeout.json": (Unreachable, "retCode 5004"),
    "err_v2_style_envelope.json": (BadResponse, "ret_code"),
    "http403_cloudfront_country.html": (RegionBlocked, "block access from your country"),
    "http403_cloudfront_bad_request.html": (BadResponse, "HTTP 403"),
}


@recorded
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_replies_are_read_or_refused(name):
    """The request of the record, widened to its rows, answered with the recorded body."""
    folder = SHARED / "recorded_responses"
    index = {entry["file"]: entry for entry in json.loads((folder / "INDEX.json").read_text())}
    asked, body = index[name]["request"], (folder / name).read_bytes()
    result = (json.loads(body) if name.endswith(".json") else {}).get("result") or {}
    times = [int(row[0]) for row in result.get("list", [])] or [T0, T0 + STEP]
    # Bybit would be asked for no interval that it does not have: "3d" never leaves this machine.
    interval = {"3d": "5"}.get(asked.get("interval"), asked.get("interval", "5"))
    what = asked.get("symbol", "BTCUSDT"), interval, min(times), max(times)
    with serve(made_up(3), script=[Reply(body, asked.get("status", 200))] * 4) as url:
        options = {"category": asked.get("category", "linear"), "base_url": url}
        if type(RECORDED[name][0]) is int:
            frame = load_klines(*what, **options)
            assert (len(frame), frame.attrs["dropped"]["unfinished"]) == RECORDED[name]
            assert frame.attrs["gaps"] == [] and not jumps(frame)
        else:
            kind, said = RECORDED[name]
            with pytest.raises(BybitError) as error:
                load_klines(*what, **options)
            assert type(error.value) is kind and said in str(error.value)


def jumps(frame):
    """How many candles do not open where the one before closed."""
    return int((frame["open"].to_numpy()[1:] != frame["close"].to_numpy()[:-1]).sum())


@recorded
def test_every_recorded_body_is_tried():
    files = {path.name for path in (SHARED / "recorded_responses").iterdir()}
    assert files - {"INDEX.json"} == set(RECORDED)


FILES = [f"bybit_linear_{name}USDT" for name in ("BTC", "ETH", "SOL", "LINK", "CTK", "BAL")]
FILES += ["bybit_spot_BTCUSDT"]
FILES += ["binance_spot_BTCUSDT", "binance_spot_ETHUSDT", "binance_usdm_BTCUSDT"]


def replay(name):
    """The market of a file, and the rows of it."""
    (path,) = SHARED.glob(f"{name}_5m_*.csv.gz")
    return guess(path), bybit_server.read_candles(path)


@recorded
@pytest.mark.parametrize("name", FILES)
def test_real_candles_come_through_whole_and_are_kept_whole(name):
    market, rows = replay(name)
    rows = bybit_server.Market(rows[-1500:], **market).rows
    asked = {key: market[key] for key in ("symbol", "category")}
    asked |= {"start": int(rows[0][0]), "end": int(rows[-2][0])}
    with serve(rows, **market) as url:
        frames = [ask(**asked, base_url=url) for ask in (fetch_klines, load_klines)]
        before = len(url.log)
        frames.append(load_klines(**asked, base_url=url))
        assert len(url.log) == before
    for frame in frames:
        same_candles(frame, rows[:-1])
        assert frame.attrs["gaps"] == []
        # On Bybit a candle opens where the last one closed; on Binance about half of them do.
        assert 600 < jumps(frame) < 900 if name.startswith("binance") else jumps(frame) == 0


# Return standard deviation in basis points; Down, Flat, Up in percent. Measured independently of
# this library on the same files.
KNOWN = {
    "bybit_linear_BTCUSDT": (16.17, [17.1, 65.6, 17.3]),
    "bybit_linear_BALUSDT": (26.16, [27.0, 46.5, 26.5]),
}


@recorded
@pytest.mark.parametrize("name", KNOWN)
def test_features_and_labels_have_the_known_figures(name):
    (path,) = SHARED.glob(f"{name}_5m_*.csv.gz")
    candles = read_candles(path)
    spread, shares = KNOWN[name]
    assert round(1e4 * np.log(candles["close"]).diff().std(), 2) == spread
    assert [round(100 * (labels(candles) == k).mean(), 1) for k in range(3)] == shares
    still = (candles["volume"].iloc[:-2] == 0).sum()  # the next volume ratio is undefined
    assert len(dataset(candles)[0]) == len(candles) - 2 - still
