"""The market-data client: what comes back, and what may be asked."""

import random
import re
import socket
import time
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib.market import (
    BadRequest,
    BadResponse,
    BybitError,
    RateLimited,
    RegionBlocked,
    UnknownSymbol,
    Unreachable,
    fetch_klines,
)
from byzlib.market import _bybit_http as http
from byzlib.market import _candle_times as times
from byzlib.market._bybit_errors import quote
from tests.bybit_cases import (  # noqa: F401
    STEP,
    T0,
    at,
    code,
    envelope,
    failure,
    fetch,
    fetch_scripted,
    made_up,
    moment,
    quick,
    same_candles,
    with_neighbour,
)
from tests.bybit_server import Reply, serve

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
        "units": {"volume": "base coin", "turnover": "quote coin"},
        "dropped": {"unfinished": 0, "duplicates": 0, "outside": 0, "columns": 0},
        "n_jumps": 0,
        "jumps": [],
        "unfinished": None,
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


def test_fault_29_rows_of_any_order_come_back_in_order():
    def shuffled(reply):
        random.Random(1).shuffle(reply["result"]["list"])
        return reply

    frame, _ = fetch_scripted(shuffled)
    same_candles(frame, made_up(10))


def test_fault_30_identical_duplicates_are_dropped_and_counted():
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


def test_fault_32_a_candle_on_two_pages_is_kept_once():
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


def test_fault_31_two_candles_of_one_time_are_an_error():
    message, _ = failure(BadResponse, with_neighbour(made_up(10), 4, volume="7"))
    assert "two candles for 2024-05-01 00:20" in message and ", 7, " in message


# --- Closed candles only ---


def test_fault_37_the_unfinished_candle_is_dropped_by_the_servers_clock():
    rows = made_up(10)
    for now, kept in [(at(9) + 1, 9), (at(10) - 1, 9), (at(10), 10), (at(11), 10)]:
        with serve(rows, now=now) as url:
            frame = fetch(url)
        same_candles(frame, rows[:kept])
        assert frame.attrs["dropped"]["unfinished"] == 10 - kept
        assert frame.attrs["gaps"] == []


@pytest.mark.parametrize("years", [-3, 3])
def test_fault_43_the_local_clock_has_no_say(monkeypatch, years):
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


def test_fault_28_a_range_that_has_not_begun_says_so():
    with serve(made_up(11)) as url, pytest.raises(BadResponse, match="2024-05-02 17:40 UTC to now"):
        fetch_klines(start=at(500), base_url=url)
    message, requests = failure(BadResponse, first=500, last=600)
    assert "no closed candle yet: the server's clock says 2024-05-01 00:50 UTC" in message
    assert requests == 1


def test_fault_42_a_row_from_after_the_servers_clock_is_an_error():
    message, _ = failure(BadResponse, Reply(envelope(made_up(10), now=at(8))))
    assert "row 9 opens at 2024-05-01 00:45, after the server's own clock" in message


@pytest.mark.parametrize("now", [None, 0, "1714521600000", 1.7e12, True, at(0) // 1000])
def test_fault_42_a_reply_without_a_clock_is_an_error(now):
    message, _ = failure(BadResponse, Reply(envelope(made_up(10), now=now)))
    assert f"time {quote(now)}" in message


# --- Gaps and ranges ---


def test_fault_36_gaps_are_listed_and_not_filled():
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


def test_fault_27_no_candles_at_all_is_an_error():
    message, _ = failure(BadResponse, Reply(envelope([])))
    assert "0 of 10 closed candles" in message and "when the symbol was listed" in message


def test_fault_34_one_candle_before_the_window_is_filtered_and_counted():
    rows = made_up(30)
    with serve(rows, script=[with_neighbour(rows, 4), with_neighbour(rows, 15)]) as url:
        for _ in range(2):
            frame = fetch(url, 5, 14)
            same_candles(frame, rows[5:15])
            assert frame.attrs["dropped"]["outside"] == 1


def test_fault_33_another_range_than_asked_is_refused():
    message, _ = failure(BadResponse, Reply(envelope(made_up(40)[25:])))
    assert "2024-05-01 02:05 to 2024-05-01 03:15 UTC for the window 2024-05-01 00:00 to" in message


def test_fault_35_more_rows_than_asked_are_refused():
    message, _ = failure(BadResponse, Reply(envelope(made_up(1001))))
    assert "1001 rows where at most 1000 were asked" in message


@pytest.mark.parametrize("name, value", [("symbol", "ETHUSDT"), ("category", "spot")])
def test_fault_57_another_market_than_asked_is_refused(name, value):
    def swapped(reply):
        reply["result"][name] = value
        return reply

    message, _ = failure(BadResponse, swapped)
    assert f"{name} '{value}', another market" in message


def test_fault_70_the_missing_range_is_named_when_a_later_page_fails():
    rows = made_up(3002)
    script = [None, None, Reply(status=400, body="no")]
    with serve(rows, script=script) as url, pytest.raises(BadResponse) as error:
        fetch(url, 0, 2999)
    message = str(error.value)
    assert f"asked {url} for linear BTCUSDT, interval 5, 2024-05-01 00:00 to" in message
    assert "got HTTP 400 'no'" in message and "check base_url" in message
    assert "missing: 2024-05-07 22:40 to 2024-05-11 09:55 UTC, and nothing is returned" in message


# --- Every interval ---


@pytest.mark.parametrize("interval", times.INTERVALS)
def test_every_interval_walks_its_own_calendar(interval):
    first = times.candle_number(T0, interval)
    opens = [times.open_time(first + i, interval) for i in range(14)]
    rows = [(t, *row[1:]) for t, row in zip(opens, made_up(14), strict=True)]
    with serve(rows, interval=interval) as url:
        held = fetch_klines(interval=interval, start=opens[0], end=opens[-1], base_url=url)
    same_candles(held, rows[:-1])
    assert held.attrs["interval"] == interval and held.attrs["gaps"] == []


def test_weeks_open_on_monday_and_months_on_the_first():
    week = times.open_time(times.candle_number(T0, "W"), "W")
    assert datetime.fromtimestamp(week / 1000, UTC) == datetime(2024, 4, 29, tzinfo=UTC)
    months = [times.open_time(times.candle_number(T0, "M") + i, "M") / 1000 for i in (-5, 0, 8)]
    want = [datetime(2023, 12, 1), datetime(2024, 5, 1), datetime(2025, 1, 1)]
    assert [datetime.fromtimestamp(m, UTC).replace(tzinfo=None) for m in months] == want


@settings(deadline=None)
@given(st.integers(times.EARLIEST, times.LATEST), st.sampled_from(times.INTERVALS))
def test_candles_tile_time(ms, interval):
    number = times.candle_number(ms, interval)
    assert times.open_time(number, interval) <= ms < times.open_time(number + 1, interval)
    assert times.candle_number(times.open_time(number, interval), interval) == number


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
    "max_pages": [0, -1, 2.0, True, None, "9"],
    "deadline": [0, -1.0, np.inf, np.nan, None, "30", True, 1e6],
}  # fmt: skip


FAULT = {"interval": 74, "symbol": 75, "category": 76, "limit": 77}


@pytest.mark.parametrize(
    "name, value",
    [
        pytest.param(name, value, id=f"fault_{FAULT.get(name, 78)} {name}={value!r:.24}")
        for name, values in BAD_ARGUMENTS.items()
        for value in values
    ],
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
def test_fault_80_a_base_url_is_a_scheme_and_a_host(base_url):
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


def test_fault_72_proxies_of_the_environment_do_not_stand_before_loopback(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    frame, _ = fetch_scripted()
    same_candles(frame, made_up(10))


def test_fault_66_a_closed_port_is_unreachable_and_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match="refused.*load_sample") as error:
            fetch(url)
    assert url in str(error.value) and "(tried 4 times)" in str(error.value)


def test_fault_66_a_server_without_its_certificate_is_not_asked_twice():
    with serve(made_up(10)) as url, pytest.raises(Unreachable) as error:
        fetch(url.replace("http://", "https://"))
    assert "tried" not in str(error.value)


def test_every_error_is_a_bybit_error_of_the_public_module():
    kinds = [BadRequest, UnknownSymbol, RateLimited, RegionBlocked, BadResponse, Unreachable]
    assert all(issubclass(kind, BybitError) for kind in kinds)
    assert {kind.__module__ for kind in [BybitError, *kinds]} == {"byzlib.market"}


def test_requests_are_paced(monkeypatch):
    slept, real = [], time.sleep
    monkeypatch.setattr(http, "PACE", 30.0)
    monkeypatch.setattr(http.time, "sleep", lambda s: slept.append(s) or real(0))
    with serve(made_up(2002)) as url:
        fetch(url, 0, 2000)
    assert slept[0] == 0 and len(slept) == 3 and 0 < min(slept[1:]) <= max(slept[1:]) <= 30
