"""The market-data client against every fault that is known of such servers, on loopback."""

import gzip
import io
import json
import os
import random
import re
import socket
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib import _bybit_wire as wire
from byzlib import bybit
from byzlib.bybit import (
    BadRequest,
    BadResponse,
    BybitError,
    RateLimited,
    RegionBlocked,
    UnknownSymbol,
    Unreachable,
    fetch_klines,
)
from tests.bybit_server import Market, Reply, read_candles, serve

STEP = 300_000
T0 = 1_714_521_600_000  # 2024-05-01 00:00 UTC
REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("BYZLIB_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded data (BYZLIB_SHARED_DATA) are not here"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Retries wait milliseconds; nothing of the caller's environment leaks in."""
    monkeypatch.setattr(bybit, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(bybit, "PACE", 0.0)
    monkeypatch.delenv("BYZLIB_BYBIT_URL", raising=False)


def made_up(n, start=T0, step=STEP, seed=7):
    """`n` neighbouring candles, each opening where the last one closed."""
    rng, price, rows = random.Random(seed), 60_000, []
    for i in range(n):
        close = price + rng.randint(-50, 50)
        high, low = max(price, close) + rng.randint(0, 9), min(price, close) - rng.randint(0, 9)
        rows.append((start + i * step, f"{price}.5", f"{high}.5", f"{low}.5", f"{close}.5",
                     f"{rng.randint(1, 99)}.125", f"{rng.randint(10**5, 10**7)}.25"))  # fmt: skip
        price = close
    return rows


def at(i):
    return T0 + i * STEP


def moment(i):
    return pd.Timestamp(at(i), unit="ms", tz="UTC")


def envelope(rows, now=T0 + 10_000 * STEP, **changes):
    result = {"category": "linear", "symbol": "BTCUSDT", "list": [list(map(str, r)) for r in rows]}
    whole = {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now}
    return whole | changes


def fetch(url, first=0, last=9, **options):
    return fetch_klines("BTCUSDT", "5", at(first), at(last), base_url=url, **options)


def fetch_scripted(*script, n=11, **options):
    """Ten candles through a server that first answers as scripted; also what it was asked."""
    with serve(made_up(n), script=script) as url:
        return fetch(url, **options), url.log


def failure(kind, *script, n=11, **options):
    """The message of the error and the number of requests that it took."""
    with serve(made_up(n), script=script) as url:
        with pytest.raises(BybitError) as caught:
            fetch(url, **options)
        assert type(caught.value) is kind, caught.value
        return str(caught.value), len(url.log)


def same_candles(frame, rows):
    assert list(frame.columns) == ["open", "high", "low", "close", "volume", "turnover"]
    assert (frame.dtypes == "float64").all()
    assert frame.index.name == "open_time" and str(frame.index.dtype) == "datetime64[ms, UTC]"
    assert list(frame.index.astype("int64")) == [int(row[0]) for row in rows]
    want = np.array([[float(x) for x in row[1:]] for row in rows]).reshape(len(rows), 6)
    assert np.array_equal(frame.to_numpy(), want)


# --- What comes back ---


def test_three_windows_cover_the_range_exactly():
    rows = made_up(2501)
    with serve(rows) as url:
        frame = fetch(url, 0, 2499)
    same_candles(frame, rows[:2500])
    windows = [(int(p["start"]), int(p["end"]), int(p["limit"])) for _, p in url.log]
    assert windows == [
        (at(0), at(999), 1000), (at(1000), at(1999), 1000), (at(2000), at(2499), 1000)
    ]  # fmt: skip
    assert frame.attrs == {
        "source": f"bybit {url.removeprefix('http://')}",
        "category": "linear",
        "symbol": "BTCUSDT",
        "interval": "5",
        "gaps": [],
        "dropped": {"unfinished": 0, "duplicates": 0, "outside": 0},
    }


@pytest.mark.parametrize("n", [1, 999, 1000, 1001])
def test_no_candle_is_lost_or_doubled_where_pages_meet(n):
    rows = made_up(n + 1)
    with serve(rows) as url:
        same_candles(fetch(url, 0, n - 1), rows[:n])
        assert len(url.log) == -(-n // 1000)


def test_both_bounds_are_inclusive_and_lie_on_open_times():
    rows = made_up(20)
    with serve(rows) as url:
        same_candles(fetch(url, 3, 3), rows[3:4])
        ragged = fetch_klines(start=at(3) + 1, end=at(7) - 1, base_url=url)
        same_candles(ragged, rows[4:7])
        assert url.log[-1][1]["start"] == str(at(4)) and url.log[-1][1]["end"] == str(at(6))


def test_datetimes_of_any_zone_and_integers_ask_the_same():
    rows, zone = made_up(20), timezone(timedelta(hours=5, minutes=30))
    start, end = datetime.fromtimestamp(at(2) / 1000, zone), moment(8)
    with serve(rows) as url:
        same_candles(fetch_klines("BTCUSDT", 5, start, end, base_url=url), rows[2:9])
        same_candles(fetch_klines("BTCUSDT", "5", np.int64(at(2)), at(8), base_url=url), rows[2:9])
        late = start + timedelta(microseconds=1)
        same_candles(fetch_klines("BTCUSDT", "5", late, end, base_url=url), rows[3:9])
        assert url.log[0] == url.log[1]


def test_shuffled_rows_come_back_in_order():
    def shuffled(reply):
        random.Random(1).shuffle(reply["result"]["list"])
        return reply

    frame, _ = fetch_scripted(shuffled)
    same_candles(frame, made_up(10))


def test_identical_duplicates_are_dropped_and_counted():
    def doubled(reply):
        reply["result"]["list"] += reply["result"]["list"][2:4]
        return reply

    frame, _ = fetch_scripted(doubled)
    same_candles(frame, made_up(10))
    assert frame.attrs["dropped"]["duplicates"] == 2


def test_the_same_number_written_otherwise_is_the_same_candle():
    def rewritten(reply):
        row = list(reply["result"]["list"][0])
        row[5] += "00"
        reply["result"]["list"].append(row)
        return reply

    frame, _ = fetch_scripted(rewritten)
    assert frame.attrs["dropped"]["duplicates"] == 1


def with_neighbour(rows, i, **changes):
    """An edit that adds candle i to a reply."""

    def edit(reply):
        row = dict(zip(wire.COLUMNS, rows[i][1:], strict=True))
        reply["result"]["list"].append([str(rows[i][0]), *(row | changes).values()])
        return reply

    return edit


def test_a_candle_on_two_pages_is_kept_once():
    rows = made_up(1502)
    with serve(rows, script=[None, with_neighbour(rows, 999)]) as url:
        frame = fetch(url, 0, 1499)
    same_candles(frame, rows[:1500])
    assert frame.attrs["dropped"]["duplicates"] == 1


def test_two_pages_that_disagree_on_a_candle_are_an_error():
    rows = made_up(1502)
    script = [None, with_neighbour(rows, 999, volume="7")]
    with serve(rows, script=script) as url, pytest.raises(BadResponse) as error:
        fetch(url, 0, 1499)
    assert "two candles for 2024-05-04 11:15: (" in str(error.value)
    assert "missing: 2024-05-04 11:20 to 2024-05-06 04:55 UTC" in str(error.value)


def test_two_candles_of_one_time_are_an_error():
    message, _ = failure(BadResponse, with_neighbour(made_up(10), 4, volume="7"))
    assert "two candles for 2024-05-01 00:20" in message and ", 7.0," in message


# --- Closed candles only ---


def test_the_unfinished_candle_is_dropped_by_the_servers_clock():
    rows = made_up(10)
    for now, kept in [(at(9) + 1, 9), (at(10) - 1, 9), (at(10), 10), (at(11), 10)]:
        with serve(rows, now=now) as url:
            frame = fetch(url)
        same_candles(frame, rows[:kept])
        assert frame.attrs["dropped"]["unfinished"] == 10 - kept
        assert frame.attrs["gaps"] == []


@pytest.mark.parametrize("years", [-3, 3])
def test_the_local_clock_has_no_say(monkeypatch, years):
    rows, real = made_up(10), time.time
    monkeypatch.setattr(time, "time", lambda: real() + years * 365 * 86400)
    with serve(rows) as url:
        same_candles(fetch(url), rows[:9])
        same_candles(fetch_klines(limit=3, base_url=url), rows[6:9])


def test_without_end_everything_up_to_now_comes():
    rows = made_up(2101)
    with serve(rows) as url:
        frame = fetch_klines(start=at(50), base_url=url)
    same_candles(frame, rows[50:2100])
    assert frame.attrs["dropped"]["unfinished"] == 1 and frame.attrs["gaps"] == []
    assert len(url.log) == 3


def test_an_end_in_the_future_costs_no_further_requests():
    with serve(made_up(10)) as url:
        same_candles(fetch(url, 0, 50_000), made_up(9))
        assert len(url.log) == 1


def test_limit_without_start_gives_the_newest_closed_candles():
    rows = made_up(301)
    with serve(rows) as url:
        same_candles(fetch_klines(limit=1, base_url=url), rows[299:300])
        same_candles(fetch_klines(base_url=url), rows[100:300])
        same_candles(fetch_klines(end=at(40), limit=7, base_url=url), rows[34:41])
        same_candles(fetch_klines(end=at(5000), limit=7, base_url=url), rows[293:300])
        klines = [asked for path, asked in url.log if path == "/v5/market/kline"]
    assert all({"start", "end"} <= set(asked) for asked in klines)


def test_limit_with_start_gives_the_first_candles():
    rows = made_up(300)
    with serve(rows) as url:
        same_candles(fetch_klines(start=at(10), limit=5, base_url=url), rows[10:15])
        same_candles(fetch_klines(start=at(10), end=at(14), limit=5, base_url=url), rows[10:15])


def test_a_range_that_has_not_begun_says_so():
    with serve(made_up(11)) as url, pytest.raises(BadResponse, match="2024-05-02 17:40 UTC to now"):
        fetch_klines(start=at(500), base_url=url)
    message, requests = failure(BadResponse, first=500, last=600)
    assert "no closed candle yet: the server's clock says 2024-05-01 00:50 UTC" in message
    assert requests == 1


def test_a_row_from_after_the_servers_clock_is_an_error():
    message, _ = failure(BadResponse, Reply(envelope(made_up(10), now=at(8))))
    assert "row 9 opens at 2024-05-01 00:45, after the server's own clock" in message


@pytest.mark.parametrize("now", [None, 0, "1714521600000", 1.7e12, True, at(0) // 1000])
def test_a_reply_without_a_clock_is_an_error(now):
    message, _ = failure(BadResponse, Reply(envelope(made_up(10), now=now)))
    assert f"time {wire.quote(now)}" in message


# --- Gaps and ranges ---


def test_gaps_are_listed_and_not_filled():
    rows = made_up(30)
    held = [*rows[2:7], *rows[8:20], *rows[24:]]
    with serve(held, now=at(40)) as url:
        frame = fetch(url, 0, 35)
    same_candles(frame, held)
    assert frame.attrs["gaps"] == [
        (moment(0), moment(1), 2),
        (moment(7), moment(7), 1),
        (moment(20), moment(23), 4),
        (moment(30), moment(35), 6),
    ]


def test_an_empty_window_does_not_end_the_paging():
    rows = made_up(3500)
    held = [*rows[:800], *rows[2300:]]
    with serve(held) as url:
        frame = fetch(url, 0, 3400)
    same_candles(frame, [row for row in held if row[0] <= at(3400)])
    assert frame.attrs["gaps"] == [(moment(800), moment(2299), 1500)]


def test_no_candles_at_all_is_an_error():
    message, _ = failure(BadResponse, Reply(envelope([])))
    assert "0 of 10 closed candles" in message and "when the symbol was listed" in message


def test_one_candle_before_the_window_is_filtered_and_counted():
    rows = made_up(30)
    with serve(rows, script=[with_neighbour(rows, 4), with_neighbour(rows, 15)]) as url:
        for _ in range(2):
            frame = fetch(url, 5, 14)
            same_candles(frame, rows[5:15])
            assert frame.attrs["dropped"]["outside"] == 1


def test_another_range_than_asked_is_refused():
    message, _ = failure(BadResponse, Reply(envelope(made_up(40)[25:])))
    assert "2024-05-01 02:05 to 2024-05-01 03:15 for the window 2024-05-01 00:00 to" in message


def test_more_rows_than_asked_are_refused():
    message, _ = failure(BadResponse, Reply(envelope(made_up(1001))))
    assert "1001 rows where at most 1000 were asked" in message


@pytest.mark.parametrize("name, value", [("symbol", "ETHUSDT"), ("category", "spot")])
def test_another_market_than_asked_is_refused(name, value):
    def swapped(reply):
        reply["result"][name] = value
        return reply

    message, _ = failure(BadResponse, swapped)
    assert f"{name} '{value}', another market" in message


def test_the_missing_range_is_named_when_a_later_page_fails():
    rows = made_up(3002)
    script = [None, None, Reply(status=400, body="no")]
    with serve(rows, script=script) as url, pytest.raises(BadResponse) as error:
        fetch(url, 0, 2999)
    message = str(error.value)
    assert f"asked {url} for linear BTCUSDT, interval 5, 2024-05-01 00:00 to" in message
    assert "got HTTP 400 'no'" in message and "check base_url" in message
    assert "missing: 2024-05-07 22:40 to 2024-05-11 09:55 UTC, and nothing is returned" in message


# --- Every interval ---


@pytest.mark.parametrize("interval", bybit.INTERVALS)
def test_every_interval_walks_its_own_calendar(interval):
    first = wire.candle_number(T0, interval)
    times = [wire.open_time(first + i, interval) for i in range(14)]
    rows = [(t, *row[1:]) for t, row in zip(times, made_up(14), strict=True)]
    with serve(rows, interval=interval) as url:
        held = fetch_klines(interval=interval, start=times[0], end=times[-1], base_url=url)
    same_candles(held, rows[:-1])
    assert held.attrs["interval"] == interval and held.attrs["gaps"] == []


def test_weeks_open_on_monday_and_months_on_the_first():
    week = wire.open_time(wire.candle_number(T0, "W"), "W")
    assert datetime.fromtimestamp(week / 1000, UTC) == datetime(2024, 4, 29, tzinfo=UTC)
    months = [wire.open_time(wire.candle_number(T0, "M") + i, "M") / 1000 for i in (-5, 0, 8)]
    want = [datetime(2023, 12, 1), datetime(2024, 5, 1), datetime(2025, 1, 1)]
    assert [datetime.fromtimestamp(m, UTC).replace(tzinfo=None) for m in months] == want


@settings(deadline=None)
@given(st.integers(wire.EARLIEST, wire.LATEST), st.sampled_from(bybit.INTERVALS))
def test_candles_tile_time(ms, interval):
    number = wire.candle_number(ms, interval)
    assert wire.open_time(number, interval) <= ms < wire.open_time(number + 1, interval)
    assert wire.candle_number(wire.open_time(number, interval), interval) == number


# --- Errors that the server sends ---


def code(number, said="", **more):
    return Reply({"retCode": number, "retMsg": said, "result": {}, "time": at(10)} | more)


@pytest.mark.parametrize("said", ["Not supported symbols", "symbol params err",
                                  "params error: symbol invalid"])  # fmt: skip
def test_an_unknown_symbol_is_named(said):
    message, requests = failure(UnknownSymbol, code(10001, said))
    assert "linear BTCUSDT" in message and said in message and requests == 1


def test_an_unknown_symbol_of_the_real_protocol():
    with serve(made_up(10)) as url, pytest.raises(UnknownSymbol, match="spot NOSUCHUSDT"):
        fetch_klines("NOSUCHUSDT", start=at(0), end=at(5), category="spot", base_url=url)


def test_a_refused_interval_lists_the_intervals():
    message, requests = failure(BadResponse, code(10001, "Invalid period!"))
    assert "1, 3, 5, 15, 30, 60, 120, 240, 360, 720, D, W, M" in message and requests == 1


@pytest.mark.parametrize("number, kind", [
    (10009, RegionBlocked), (10024, RegionBlocked), (10029, UnknownSymbol),
    (10017, BadResponse), (99999, BadResponse), (-1, BadResponse),
])  # fmt: skip
def test_codes_that_are_final_cost_one_request(number, kind):
    message, requests = failure(kind, code(number, "so it is"))
    assert f"retCode {number} 'so it is'" in message and requests == 1


@pytest.mark.parametrize("trouble", [
    code(10000), code(10006), code(10016), code(5004), code(429),
    Reply(status=408), Reply(status=429), Reply(status=500), Reply("<html>", 502),
    Reply(status=503), Reply(status=504),
    Reply(status=204), Reply(b""), Reply(b'{"retCode":0,"ret', headers={"Content-Length": None}),
    Reply(b'{"retCode":0', headers={"Content-Length": 500}), Reply(raw=b"HTTP/1.1 200"),
    Reply(raw=b""), Reply(raw=b"", reset=True), Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n{", reset=True),
    Reply(b"no gzip", headers={"Content-Encoding": "gzip"}),
    Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"),
], ids=lambda reply: f"{reply.status} {(reply.raw or reply.to_bytes())[-30:]!r}")  # fmt: skip
def test_passing_troubles_are_asked_again(trouble):
    frame, log = fetch_scripted(trouble)
    same_candles(frame, made_up(10))
    assert len(log) == 2


@pytest.mark.parametrize("trouble, kind, said", [
    (code(10006, "Too many visits!"), RateLimited, "retCode 10006 'Too many visits!'"),
    (code(10016, "System error."), Unreachable, "retCode 10016"),
    (Reply(status=429), RateLimited, "HTTP 429"),
    (Reply("<h1>down</h1>", 503), Unreachable, "HTTP 503 '<h1>down</h1>'"),
    (Reply(b""), BadResponse, "an empty reply"),
    (Reply('{"retCode":0,'), BadResponse, "cut after 13 bytes"),
    (Reply(raw=b"", reset=True), Unreachable, "no complete answer: "),
    (Reply(b"no gzip", headers={"Content-Encoding": "gzip"}), BadResponse, "does not unpack"),
], ids=lambda value: str(value)[:20])  # fmt: skip
def test_troubles_that_stay_end_after_four_tries(trouble, kind, said):
    message, requests = failure(kind, *[trouble] * 9)
    assert said in message and "(tried 4 times)" in message and requests == 4


def page403(text):
    return Reply(f"<HTML><H1>403 ERROR</H1>{text}</HTML>", 403, {"Content-Type": "text/html"})


@pytest.mark.parametrize("reply, kind, advice", [
    (page403("access too frequent"), RateLimited, "at least 10 minutes"),
    (page403("configured to block access from your country."), RegionBlocked, "load_sample"),
    (page403("Bad request."), BadResponse, "a body"),
    (Reply("gone", 451), RegionBlocked, "your region"),
    (Reply("who?", 401), BadResponse, "base_url"),
    (Reply("nothing", 404), BadResponse, "/v5/market/kline"),
])  # fmt: skip
def test_refusals_are_told_apart_by_their_body_and_never_repeated(reply, kind, advice):
    message, requests = failure(kind, reply)
    assert f"HTTP {reply.status}" in message and advice in message and requests == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status):
    with serve(made_up(5)) as elsewhere:
        moved = Reply(status=status, headers={"Location": elsewhere + "/v5/market/kline"})
        message, requests = failure(BadResponse, moved)
        assert f"a redirect to '{elsewhere}" in message and requests == 1
        assert elsewhere.log == []


# --- Waiting ---


def waits(monkeypatch, *script, **options):
    """The sleeps, in seconds, that a fetch would take between tries; none is slept."""
    slept, real = [], time.sleep
    monkeypatch.setattr(bybit.time, "sleep", lambda s: slept.append(s) if s > 0.05 else real(s))
    with serve(made_up(11), script=script) as url:
        fetch(url, **options)
    return slept


def reset_at(when, now=T0):
    return Reply({"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "time": now},
                 headers={"X-Bapi-Limit-Reset-Timestamp": str(when)})  # fmt: skip


@pytest.mark.parametrize("reply, seconds", [
    (reset_at(T0 + 2500), 2.5),
    (reset_at(T0 - 60_000), 0.1),
    (reset_at(4_102_444_800_000), 10.0),
    (Reply(status=429, headers={"Retry-After": "3"}), 3.0),
    (Reply(status=429, headers={"Retry-After": "0"}), 0.1),
    (Reply(status=429, headers={"Retry-After": "86400"}), 10.0),
])  # fmt: skip
def test_the_servers_word_on_waiting_is_kept_within_bounds(monkeypatch, reply, seconds):
    assert waits(monkeypatch, reply) == [seconds]


@pytest.mark.parametrize("reply", [
    reset_at("soon"), reset_at("-5"), reset_at("NaN"), reset_at(T0 + 2500, now=None),
    Reply(status=429, headers={"Retry-After": "-1"}),
    Reply(status=429, headers={"Retry-After": "1e9"}),
    Reply(status=429, headers={"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}),
])  # fmt: skip
def test_unreadable_words_on_waiting_are_ignored(monkeypatch, reply):
    assert waits(monkeypatch, reply) == []


def test_waits_double_with_jitter(monkeypatch):
    monkeypatch.setattr(bybit, "FIRST_WAIT", 1.0)
    slept = waits(monkeypatch, *[Reply(status=503)] * 3)
    assert len(slept) == 3
    for wait, middle in zip(slept, (1, 2, 4), strict=True):
        assert 0.5 * middle <= wait <= 1.5 * middle
    assert slept != waits(monkeypatch, *[Reply(status=503)] * 3)


def test_no_wait_outlives_the_deadline():
    message, requests = failure(RateLimited, Reply(status=429, headers={"Retry-After": "9"}),
                                deadline=2.0)  # fmt: skip
    assert "(tried 1 times)" in message and requests == 1


@pytest.mark.parametrize("slow", [
    Reply(envelope([]), delay=0.05), Reply(raw=b"HTTP/1.1 200 OK\r\n" * 9, delay=0.05),
    Reply(pause=60.0), Reply(b"x" * 9000, delay=0.001),
], ids=["drip", "drip in the headers", "silence", "long drip"])  # fmt: skip
def test_one_deadline_holds_for_every_kind_of_slowness(slow):
    message, _ = failure(Unreachable, *[slow] * 9, deadline=0.4)
    assert "deadline of 0.4 s" in message or "timed out" in message


def test_the_deadline_is_for_all_pages_together():
    slow = [lambda reply: Reply(reply, pause=0.3)] * 9
    with serve(made_up(9002), script=slow) as url:
        with pytest.raises(Unreachable, match="deadline|timed out"):
            fetch(url, 0, 8999, deadline=1.5)
        assert len(url.log) < 9


def test_ctrl_c_is_not_swallowed(monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bybit.time, "sleep", interrupted)
    with serve(made_up(11)) as url, pytest.raises(KeyboardInterrupt):
        fetch(url)


# --- Bodies that are not what they seem ---


def test_a_gzip_bomb_stops_at_the_cap():
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(60):
            file.write(bytes(1_000_000))
    bomb = Reply(packed.getvalue(), headers={"Content-Encoding": "gzip"})
    assert len(bomb.body) < 100_000
    message, requests = failure(BadResponse, bomb)
    assert f"over {bybit.BODY_CAP} bytes" in message and requests == 1


def test_an_honest_gzip_is_read():
    packed = gzip.compress(json.dumps(envelope(made_up(10))).encode())
    frame, _ = fetch_scripted(Reply(packed, headers={"Content-Encoding": "gzip"}))
    same_candles(frame, made_up(10))


TEXT = json.dumps(envelope(made_up(10)))
BODIES = {
    "a page of HTML": "<!DOCTYPE html><html>Please log in to the network</html>",
    "two documents": TEXT + TEXT,
    "garbage after it": TEXT + " ;}",
    "a byte order mark": "\ufeff" + TEXT,
    "UTF-16": TEXT.encode("utf-16"),
    "invalid UTF-8": TEXT.encode().replace(b"OK", b"O\xff"),
    "a list": f"[{TEXT}]",
    "a string": '"OK"',
    "null": "null",
    "a number": "0",
    "NaN": TEXT.replace('"retExtInfo": {}', '"retExtInfo": NaN'),
    "Infinity": TEXT.replace('"retExtInfo": {}', '"retExtInfo": -Infinity'),
    "retCode twice": TEXT.replace('"retCode": 0', '"retCode": 10001, "retCode": 0'),
    "a key twice within": TEXT.replace('"list"', '"symbol": "BTCUSDT", "list"'),
    "retCode missing": TEXT.replace("retCode", "ret_code"),
    "retCode a string": TEXT.replace('"retCode": 0', '"retCode": "0"'),
    "retCode true": TEXT.replace('"retCode": 0', '"retCode": false'),
    "retCode 0.0": TEXT.replace('"retCode": 0', '"retCode": 0.0'),
    "retCode null": TEXT.replace('"retCode": 0', '"retCode": null'),
    "deep nesting": '{"a":' + "[" * 200_000 + "]" * 200_000 + "}",
    "a long number": '{"retCode":' + "1" * 5000 + "}",
    "result null": json.dumps(envelope([], result=None)),
    "result empty": json.dumps(envelope([], result={})),
    "result a list": json.dumps(envelope([], result=[])),
    "list null": json.dumps(envelope([], result={"list": None})),
    "list a dict": json.dumps(envelope([], result={"list": {}})),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies_are_decoded_strictly(body):
    message, requests = failure(BadResponse, Reply(body))
    assert requests == 1 and len(message) < 700 and message.isprintable()
    assert "for linear BTCUSDT, interval 5, 2024-05-01 00:00 to 2024-05-01 00:45 UTC" in message


@pytest.mark.parametrize("said", ["", "success", "SUCCESS", None])
def test_success_is_the_code_and_not_the_message(said):
    frame, _ = fetch_scripted(Reply(envelope(made_up(10), retMsg=said)))
    same_candles(frame, made_up(10))


def test_unknown_keys_and_integer_times_are_accepted():
    reply = envelope(made_up(10), news=[1.5])
    reply["result"]["nextPage"] = "x"
    for row in reply["result"]["list"]:
        row[0] = int(row[0])
    frame, _ = fetch_scripted(Reply(reply))
    same_candles(frame, made_up(10))


# --- Rows ---

TIME = str(at(3))
GOOD = [TIME, "10", "12", "9", "11", "5", "55"]
BAD_ROWS = {
    "row is a dict": {"startTime": TIME},
    "row is null": None,
    "row is text": "1714522500000",
    "5 columns": GOOD[:5],
    "6 columns": GOOD[:6],
    "8 columns": [*GOOD, "1"],
    "nested": [GOOD],
    "time off the grid": [str(at(3) + 1), *GOOD[1:]],
    "time in seconds": [TIME[:-3], *GOOD[1:]],
    "time in microseconds": [TIME + "000", *GOOD[1:]],
    "time 0": ["0", *GOOD[1:]],
    "time negative": ["-" + TIME, *GOOD[1:]],
    "time in 2200": ["7258118400000", *GOOD[1:]],
    "time a float": [float(TIME), *GOOD[1:]],
    "time true": [True, *GOOD[1:]],
    "time null": [None, *GOOD[1:]],
    "time with digits of another script": ["１７１４５２２５０００００", *GOOD[1:]],
    "high below low": [TIME, "10", "9", "12", "11", "5", "55"],
    "high below open": [TIME, "13", "12", "9", "11", "5", "55"],
    "high below close": [TIME, "10", "12", "9", "13", "5", "55"],
    "low above open": [TIME, "8", "12", "9", "11", "5", "55"],
    "low above close": [TIME, "10", "12", "9", "8", "5", "55"],
    "prices moved at volume 0": [TIME, "10", "12", "9", "11", "0", "0"],
    "price 0": [TIME, "0", "0", "0", "0", "5", "55"],
    "price negative": [TIME, "-10", "-9", "-12", "-11", "5", "55"],
    "volume negative": [*GOOD[:5], "-5", "55"],
    "turnover negative": [*GOOD[:6], "-55"],
}
ODD = ["NaN", "nan", "inf", "1e400", "1e5", "", " ", "abc", "1_000", "1,000", " 11", "11 ", "11\n"]
ODD += ["0x10", "+11", ".5", "5.", "١١", "１１", "9" * 400, None, True, 11, 11.0, [], {}]


@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_refused_by_number(row):
    reply = envelope(made_up(3))
    reply["result"]["list"].append(row)
    message, requests = failure(BadResponse, Reply(reply))
    assert "row 3" in message and requests == 1


@pytest.mark.parametrize("column", [1, 5])
@pytest.mark.parametrize("value", ODD, ids=[repr(value)[:12] for value in ODD])
def test_what_is_not_a_decimal_is_refused_by_row_column_and_value(value, column):
    row = GOOD.copy()
    row[column] = value
    message, _ = failure(BadResponse, Reply(envelope([]) | {"result": {"list": [row]}}))
    name = "volume" if column == 5 else "open"
    assert f"row 0 (2024-05-01 00:15): {name} " in message and "not a decimal" in message


def test_five_columns_point_at_the_other_endpoints():
    reply = envelope([])
    reply["result"]["list"] = [GOOD[:5]]
    assert "mark, index and premium" in failure(BadResponse, Reply(reply))[0]


def test_still_and_flat_candles_are_valid():
    rows = [(at(0), 10, 10, 10, 10, 0, 0), (at(1), 10, 10, 10, 10, 3, 30),
            (at(2), 10, 10, 4, 4, 3, 20), (at(3), 4, 4, 4, 4, 0, 0)]  # fmt: skip
    with serve(rows) as url:
        same_candles(fetch(url, 0, 2), rows[:3])


# --- Arguments are checked before anything is sent ---

AWARE = datetime(2024, 5, 1, tzinfo=UTC)
BAD_ARGUMENTS = {
    "interval": ["5m", 2, "480", "d", None, True, "", 5.0, "05", [5], b"5", "５"],
    "symbol": ["btcusdt", "BTC/USDT", "", " BTCUSDT", "BTCUSDT\n", None, 5, "BTCUSDT&x=1", "B" * 99,
               "-", "BTC-", b"BTCUSDT", ["BTCUSDT"]],
    "category": ["LINEAR", "option", None, "", ["linear"], b"linear", 1, np.array(["linear"])],
    "limit": [0, -1, 1001, 200.0, True, "200", np.nan, [5]],
    "start": [1.5e12, np.nan, True, "2024-05-01", datetime(2024, 5, 1), pd.NaT,
              np.datetime64("2024-05-01"), T0 // 1000, T0 * 1000, -T0, 0, AWARE.date(),
              datetime(2200, 1, 1, tzinfo=UTC), at(20)],
    "end": [1.5e12, True, "now", datetime(2024, 5, 1), T0 // 1000, T0 - STEP, T0 - 1],
    "deadline": [0, -1.0, np.inf, np.nan, None, "30", True, 1e6],
}  # fmt: skip


@pytest.mark.parametrize(
    "name, value",
    [(name, value) for name, values in BAD_ARGUMENTS.items() for value in values],
    ids=lambda value: repr(value)[:24],
)
def test_a_bad_argument_is_refused_before_any_request(name, value):
    with serve(made_up(10)) as url:
        with pytest.raises(BadRequest) as error:
            fetch_klines(**{"start": at(0), "end": at(5), "base_url": url, name: value})
        assert url.log == []
    said = str(error.value)
    assert "\n" not in said and (name in said or "no candle" in said)


@pytest.mark.parametrize("base_url", [
    "api.bybit.com", "ftp://api.bybit.com", "file:///etc/hosts", "http://", "http:///v5",
    "https://api.bybit.com/v5", "https://api.bybit.com?x=1", "https://api.bybit.com#x",
    "https://me:secret@api.bybit.com", "https://api.bybit.com:99999", "https://api.bybit.com:0",
    "https://api.bybit.com:x", "https://api bybit.com", "http://127.0.0.1:1\n", "http://a..b",
    "http://" + "a" * 64, "", 5, b"http://127.0.0.1", "HTTP://127.0.0.1",
])  # fmt: skip
def test_a_base_url_is_a_scheme_and_a_host(base_url):
    with pytest.raises(BadRequest, match="base_url needs scheme and host"):
        fetch_klines(start=at(0), end=at(1), base_url=base_url)


def test_no_candle_between_two_open_times():
    with serve(made_up(10)) as url:
        with pytest.raises(BadRequest, match="no candle of interval 5 opens from"):
            fetch_klines(start=at(1) + 1, end=at(2) - 1, base_url=url)
        with pytest.raises(BadRequest, match="needs a limit of 6; got 5"):
            fetch_klines(start=at(0), end=at(5), limit=5, base_url=url)
        assert url.log == []


# --- Where it is asked ---


def test_the_environment_names_the_host_and_the_argument_wins(monkeypatch):
    with serve(made_up(10)) as one, serve(made_up(10)) as other:
        monkeypatch.setenv("BYZLIB_BYBIT_URL", one + "/")
        fetch_klines(start=at(0), end=at(1))
        assert (len(one.log), len(other.log)) == (1, 0)
        fetch_klines(start=at(0), end=at(1), base_url=other)
        assert (len(one.log), len(other.log)) == (1, 1)


def test_a_bad_environment_is_a_bad_request(monkeypatch):
    monkeypatch.setenv("BYZLIB_BYBIT_URL", "127.0.0.1:8123")
    with pytest.raises(BadRequest, match=re.escape("127.0.0.1:8123")):
        fetch_klines(start=at(0), end=at(1))


def test_proxies_of_the_environment_do_not_stand_before_loopback(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    frame, _ = fetch_scripted()
    same_candles(frame, made_up(10))


def test_a_closed_port_is_unreachable_and_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match="refused.*load_sample") as error:
            fetch(url)
    assert url in str(error.value) and "(tried 4 times)" in str(error.value)


def test_a_server_without_its_certificate_is_not_asked_twice():
    with serve(made_up(10)) as url, pytest.raises(Unreachable) as error:
        fetch(url.replace("http://", "https://"))
    assert "tried" not in str(error.value)


def test_every_error_is_a_bybit_error_of_the_public_module():
    kinds = [BadRequest, UnknownSymbol, RateLimited, RegionBlocked, BadResponse, Unreachable]
    assert all(issubclass(kind, BybitError) for kind in kinds)
    assert {kind.__module__ for kind in [BybitError, *kinds]} == {"byzlib.bybit"}


def test_requests_are_paced(monkeypatch):
    slept, real = [], time.sleep
    monkeypatch.setattr(bybit, "PACE", 30.0)
    monkeypatch.setattr(bybit.time, "sleep", lambda s: slept.append(s) or real(0))
    with serve(made_up(2002)) as url:
        fetch(url, 0, 2000)
    assert slept[0] == 0 and len(slept) == 3 and 0 < min(slept[1:]) <= max(slept[1:]) <= 30


# --- Recorded replies and real candles ---

RECORDED_GOOD = {
    "ok_inverse_1h_docs.json": (3, 0),
    "ok_linear_D_start_end_limit3.json": (3, 0),
    "ok_linear_1m_unfinished_first_row.json": (4, 1),
    "ok_linear_1h_unfinished_2026.json": (1, 1),
    "ok_spot_1h_hummingbot.json": (5, 0),
    "ok_spot_1m_unaligned_start.json": (2, 0),
}
RECORDED_BAD = {
    "ok_empty_list.json": BadResponse,
    "ok_spot_5m_limit1_unfinished.json": BadResponse,
    "premium_index_5_columns.json": BadResponse,
    "err_10001_invalid_period.json": BadResponse,
    "err_10001_symbol_params_err.json": UnknownSymbol,
    "err_10001_unknown_symbol.json": UnknownSymbol,
    "err_10006_too_many_visits.json": RateLimited,
    "err_10016_server_error.json": Unreachable,
    "err_5004_server_timeout.json": Unreachable,
    "err_v2_style_envelope.json": BadResponse,
    "http403_cloudfront_country.html": RegionBlocked,
    "http403_cloudfront_bad_request.html": BadResponse,
}


def fetch_recorded(name):
    """The request of the record, widened to its rows, answered with the recorded body."""
    folder = SHARED / "recorded_responses"
    index = {entry["file"]: entry for entry in json.loads((folder / "INDEX.json").read_text())}
    asked, body = index[name]["request"], (folder / name).read_bytes()
    reply = Reply(body, asked.get("status", 200))
    result = (json.loads(body) if name.endswith(".json") else {}).get("result") or {}
    times = [int(row[0]) for row in result.get("list", [])] or [T0, T0 + STEP]
    interval = {"3d": "5"}.get(asked.get("interval"), asked.get("interval", "5"))
    with serve(made_up(3), script=[reply] * 4) as url:
        return fetch_klines(
            asked.get("symbol", "BTCUSDT"), interval, min(times), max(times),
            category=asked.get("category", "linear"), base_url=url,
        )  # fmt: skip


@needs_shared
@pytest.mark.parametrize("name", RECORDED_GOOD)
def test_recorded_replies_are_read(name):
    frame = fetch_recorded(name)
    assert (len(frame), frame.attrs["dropped"]["unfinished"]) == RECORDED_GOOD[name]
    assert frame.attrs["gaps"] == [] and frame.index.is_monotonic_increasing


@needs_shared
@pytest.mark.parametrize("name", RECORDED_BAD)
def test_recorded_refusals_have_their_type(name):
    with pytest.raises(BybitError) as error:
        fetch_recorded(name)
    assert type(error.value) is RECORDED_BAD[name]


@needs_shared
def test_every_recorded_body_is_tried():
    files = {path.name for path in (SHARED / "recorded_responses").iterdir()} - {"INDEX.json"}
    assert files == {*RECORDED_GOOD, *RECORDED_BAD}


@needs_shared
def test_a_real_market_comes_through_whole():
    path = next(SHARED.glob("bybit_linear_BALUSDT_5m_*.csv.gz"))
    rows = Market(read_candles(path)[:2400], symbol="BALUSDT").rows
    with serve(rows, symbol="BALUSDT") as url:
        frame = fetch_klines("BALUSDT", start=int(rows[0][0]), base_url=url)
    same_candles(frame, rows[:-1])
    assert (frame.volume == 0).any() and (frame.open[1:].values == frame.close[:-1].values).all()
