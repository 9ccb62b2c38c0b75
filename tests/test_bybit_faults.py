"""The market-data client against servers at their worst, on loopback."""

import gzip
import io
import json
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib.market import (
    BadResponse,
    RateLimited,
    RegionBlocked,
    UnknownSymbol,
    Unreachable,
    fetch_klines,
)
from byzlib.market import _bybit_http as http
from byzlib.market import _bybit_wire as wire
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

# --- Errors that the server sends ---

TEXT = json.dumps(envelope(made_up(10)))


@pytest.mark.parametrize("said", ["Not supported symbols", "symbol params err",
                                  "params error: symbol invalid"])  # fmt: skip
def test_fault_18_an_unknown_symbol_is_named(said):
    message, requests = failure(UnknownSymbol, code(10001, said))
    assert "linear BTCUSDT" in message and said in message and requests == 1


def test_an_unknown_symbol_of_the_real_protocol():
    with serve(made_up(10)) as url, pytest.raises(UnknownSymbol, match="spot NOSUCHUSDT"):
        fetch_klines("NOSUCHUSDT", start=at(0), end=at(5), category="spot", base_url=url)


def test_fault_19_a_refused_interval_lists_the_intervals():
    message, requests = failure(BadResponse, code(10001, "Invalid period!"))
    assert "1, 3, 5, 15, 30, 60, 120, 240, 360, 720, D, W, M" in message and requests == 1


@pytest.mark.parametrize("number, kind", [
    (10009, RegionBlocked), (10024, RegionBlocked), (10029, UnknownSymbol),
    (10017, BadResponse), (99999, BadResponse), (-1, BadResponse),
])  # fmt: skip
def test_fault_23_24_codes_that_are_final_cost_one_request(number, kind):
    message, requests = failure(kind, code(number, "so it is"))
    assert f"retCode {number} 'so it is'" in message and requests == 1


def fault(number, *values, said=""):
    """A case of a table, named by its number in the catalogue of faults."""
    return pytest.param(*values, id=f"fault_{number} {said or values[-1]}")


CUT = '{"retCode":0,"ret'
HALF_HEAD = Reply(raw=b"HTTP/1.1 200")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"
PASSING = [  # the reply; the type of the error when it stays, its words, and how often it is asked
    fault(4, Reply(status=429), RateLimited, 4, "HTTP 429"),
    fault(5, Reply("<h1>down</h1>", 500), Unreachable, 4, "HTTP 500 'down'"),
    fault(5, Reply("<html>", 502), Unreachable, 4, "HTTP 502"),
    fault(5, Reply(status=503), Unreachable, 4, "HTTP 503"),
    fault(5, Reply(status=504), Unreachable, 4, "HTTP 504"),
    fault(5, Reply(status=408), Unreachable, 4, "HTTP 408"),
    fault(9, Reply(b""), BadResponse, 2, "an empty reply"),
    fault(9, Reply(status=204), BadResponse, 2, "an empty reply", said="status 204"),
    fault(10, Reply(CUT, headers={"Content-Length": 500}), Unreachable, 4, "no complete answer: "),
    fault(10, Reply(raw=CHUNKED), Unreachable, 4, "no complete answer: ", said="chunks"),
    fault(11, Reply(CUT, headers={"Content-Length": None}), BadResponse, 4, "cut after 17 bytes"),
    fault(12, HALF_HEAD, BadResponse, 2, "an empty reply"),
    fault(12, Reply(raw=b""), Unreachable, 4, "no complete answer: ", said="no header"),
    fault(20, code(10006, "Too many visits!"), RateLimited, 4, "retCode 10006 'Too many visits!'"),
    fault(22, code(10000), Unreachable, 4, "retCode 10000"),
    fault(22, code(10016, "System error."), Unreachable, 4, "retCode 10016 'System error.'"),
    fault(22, code(5004), Unreachable, 4, "retCode 5004"),
    fault(22, code(429), RateLimited, 4, "retCode 429"),
    fault(64, Reply(b"no gzip", headers={"Content-Encoding": "gzip"}), BadResponse, 2, "unpack"),
    fault(64, Reply(TEXT, headers={"Content-Encoding": "deflate"}), BadResponse, 2, "unpack"),
    fault(69, Reply(raw=b"", reset=True), Unreachable, 4, "no complete answer: "),
    fault(69, Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n{", reset=True), Unreachable, 4, "answer: "),
]


@pytest.mark.parametrize("trouble, kind, tries, said", PASSING)
def test_passing_troubles_are_asked_again(trouble, kind, tries, said):
    frame, log = fetch_scripted(trouble)
    same_candles(frame, made_up(10))
    assert len(log) == 2


@pytest.mark.parametrize("trouble, kind, tries, said", PASSING)
def test_troubles_that_stay_end_after_some_tries(trouble, kind, tries, said):
    message, requests = failure(kind, *[trouble] * 9)
    assert said in message and f"(tried {tries} times)" in message and requests == tries
    assert "http://127.0.0.1:" in message and "linear BTCUSDT, interval 5" in message


def page403(text):
    return Reply(f"<HTML><H1>403 ERROR</H1>{text}</HTML>", 403, {"Content-Type": "text/html"})


COUNTRY = "configured to block access from your country."


@pytest.mark.parametrize("reply, kind, advice", [
    fault(1, page403("access too frequent"), RateLimited, "at least 10 minutes"),
    fault(2, page403(COUNTRY), RegionBlocked, "load_sample"),
    fault(2, page403(COUNTRY), RegionBlocked, "Bybit host of your region"),
    fault(3, page403("Bad request."), BadResponse, "a body"),
    fault(6, Reply("no", 400), BadResponse, "check base_url"),
    fault(6, Reply("nothing", 404), BadResponse, "/v5/market/kline"),
    fault(7, Reply("who?", 401), BadResponse, "base_url"),
    fault(7, Reply("gone", 451), RegionBlocked, "your region"),
])  # fmt: skip
def test_refusals_are_told_apart_by_their_body_and_never_repeated(reply, kind, advice):
    message, requests = failure(kind, *[reply] * 9)
    assert f"HTTP {reply.status}" in message and advice in message and requests == 1
    assert len(message) < 700


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_fault_71_redirects_are_not_followed(status):
    with serve(made_up(5)) as elsewhere:
        moved = Reply(status=status, headers={"Location": elsewhere + "/v5/market/kline"})
        message, requests = failure(BadResponse, moved)
        assert f"a redirect to '{elsewhere}" in message and requests == 1
        assert elsewhere.log == []


# --- Waiting ---


def waits(monkeypatch, *script, **options):
    """The sleeps, in seconds, that a fetch would take between tries; none is slept."""
    slept, real = [], time.sleep
    monkeypatch.setattr(http.time, "sleep", lambda s: slept.append(s) if s > 0.05 else real(s))
    with serve(made_up(11), script=script) as url:
        fetch(url, **options)
    return slept


def reset_at(when, now=T0):
    return Reply({"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "time": now},
                 headers={"X-Bapi-Limit-Reset-Timestamp": str(when)})  # fmt: skip


DATE = "Wed, 01 May 2024 00:00:00 GMT"


def after(sent, until):
    return Reply(status=429, headers={"Date": sent, "Retry-After": until})


@pytest.mark.parametrize("reply, seconds", [
    (reset_at(T0 + 2500), 2.5),
    (reset_at(T0 - 60_000), 0.1),
    (reset_at(4_102_444_800_000), 10.0),
    (Reply(status=429, headers={"Retry-After": "3"}), 3.0),
    (Reply(status=429, headers={"Retry-After": "0"}), 0.1),
    (Reply(status=429, headers={"Retry-After": "86400"}), 10.0),
    (after(DATE, "Wed, 01 May 2024 00:00:04 GMT"), 4.0),
    (after(DATE, "Tue, 30 Apr 2024 23:00:00 GMT"), 0.1),
    (after(DATE, "Wed, 21 Oct 2099 07:28:00 GMT"), 10.0),
])  # fmt: skip
def test_fault_4_20_21_the_servers_word_on_waiting_is_kept(monkeypatch, reply, seconds):
    assert waits(monkeypatch, reply) == [seconds]


@pytest.mark.parametrize("reply", [
    reset_at("soon"), reset_at("-5"), reset_at("NaN"), reset_at(T0 + 2500, now=None),
    Reply(status=429, headers={"Retry-After": "-1"}),
    Reply(status=429, headers={"Retry-After": "1e9"}),
    after(None, "Wed, 21 Oct 2099 07:28:00 GMT"), after("today", "Wed, 21 Oct 2099 07:28:00 GMT"),
    after(DATE, "Wed, 99 Oct 2099 07:28:00 GMT"), after(DATE, "soon"), after(DATE, ""),
    after(DATE, "Wed, 21 Oct 2099 07:28:00"),
])  # fmt: skip
def test_fault_21_unreadable_words_on_waiting_are_ignored(monkeypatch, reply):
    assert waits(monkeypatch, reply) == []


def test_waits_double_with_jitter(monkeypatch):
    monkeypatch.setattr(http, "FIRST_WAIT", 1.0)
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
    fault(67, Reply(pause=60.0), said="silence"),
    fault(68, Reply(envelope([]), delay=0.05), said="drip"),
    fault(68, Reply(raw=b"HTTP/1.1 200 OK\r\n" * 9, delay=0.05), said="drip in the header"),
    fault(68, Reply(b"x" * 9000, delay=0.001), said="long drip"),
])  # fmt: skip
def test_one_deadline_holds_for_every_slowness(slow):
    message, _ = failure(Unreachable, *[slow] * 9, deadline=0.4)
    assert "deadline of 0.4 s" in message or "timed out" in message


def test_the_deadline_is_for_all_pages_together():
    slow = [lambda reply: Reply(reply, pause=0.3)] * 9
    with serve(made_up(9002), script=slow) as url:
        with pytest.raises(Unreachable, match="deadline|timed out"):
            fetch(url, 0, 8999, deadline=1.5)
        assert len(url.log) < 9


CTRL_C = """
import os, signal, sys, threading, time
sys.path.insert(0, sys.argv[1])
from byzlib.market import fetch_klines
from tests.bybit_server import Reply, serve
slow = {"page": Reply(pause=60.0), "drip": Reply(b"x" * 9000, delay=0.01),
        "wait": Reply(status=429, headers={"Retry-After": "9"})}[sys.argv[2]]
with serve([(1714521600000, 1, 1, 1, 1, 1)], script=[slow] * 9) as url:
    threading.Timer(0.4, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    begin = time.monotonic()
    try:
        fetch_klines(start=1714521600000, base_url=url, deadline=50.0)
    except KeyboardInterrupt:
        print("stopped" if time.monotonic() - begin < 6 else "late")
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is another thing there")
@pytest.mark.parametrize("where", ["wait", "page", "drip"])
def test_fault_73_ctrl_c_stops_a_wait_and_a_page(where):
    root = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-c", CTRL_C, root, where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "stopped\n", done.stderr


# --- Bodies that are not what they seem ---


def test_fault_63_a_gzip_bomb_stops_at_the_cap():
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(60):
            file.write(bytes(1_000_000))
    bomb = Reply(packed.getvalue(), headers={"Content-Encoding": "gzip"})
    assert len(bomb.body) < 100_000
    message, requests = failure(BadResponse, bomb)
    assert f"over {http.BODY_CAP} bytes" in message and requests == 1


def test_an_honest_gzip_is_read():
    packed = gzip.compress(json.dumps(envelope(made_up(10))).encode())
    frame, _ = fetch_scripted(Reply(packed, headers={"Content-Encoding": "gzip"}))
    same_candles(frame, made_up(10))


BODIES = [
    fault(8, "<!DOCTYPE html><html>Please log in to the network</html>", "no JSON"),
    fault(13, TEXT + TEXT, "no JSON (Extra data", said="two documents"),
    fault(13, TEXT + " ;}", "no JSON (Extra data", said="garbage after it"),
    fault(14, "\ufeff" + TEXT, "BOM", said="a byte order mark"),
    fault(14, TEXT.encode("utf-16"), "not UTF-8", said="UTF-16"),
    fault(14, TEXT.encode().replace(b"OK", b"O\xff"), "not UTF-8", said="invalid UTF-8"),
    fault(15, f"[{TEXT}]", "not an object", said="a list"),
    fault(15, '"OK"', "not an object", said="a string"),
    fault(15, "null", "not an object", said="null"),
    fault(15, "0", "not an object", said="a number"),
    fault(16, TEXT.replace("retCode", "ret_code"), "ret_code", said="missing"),
    fault(17, TEXT.replace('"retCode": 0', '"retCode": "0"'), "no integer retCode", said="text"),
    fault(17, TEXT.replace('"retCode": 0', '"retCode": false'), "no integer retCode", said="false"),
    fault(17, TEXT.replace('"retCode": 0', '"retCode": true'), "no integer retCode", said="true"),
    fault(17, TEXT.replace('"retCode": 0', '"retCode": 0.0'), "no integer retCode", said="0.0"),
    fault(17, TEXT.replace('"retCode": 0', '"retCode": null'), "no integer retCode", said="null"),
    fault(26, json.dumps(envelope([], result=None)), "without result.list", said="null"),
    fault(26, json.dumps(envelope([], result={})), "without result.list", said="empty"),
    fault(26, json.dumps(envelope([], result=[])), "without result.list", said="a list"),
    fault(26, json.dumps(envelope([], result={"list": None})), "without result.list", said="null"),
    fault(26, json.dumps(envelope([], result={"list": {}})), "without result.list", said="a dict"),
    fault(46, TEXT.replace('"retExtInfo": {}', '"retExtInfo": NaN'), "NaN is not JSON"),
    fault(46, TEXT.replace('"retExtInfo": {}', '"retExtInfo": -Infinity'), "-Infinity is not JSON"),
    fault(60, TEXT.replace('"retCode": 0', '"retCode": 10001, "retCode": 0'), "'retCode' twice"),
    fault(60, TEXT.replace('"list"', '"symbol": "BTCUSDT", "list"'), "'symbol' twice"),
    fault(61, '{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deep"),
    fault(62, '{"retCode":' + "1" * 5000 + "}", "not allowed (Exceeds the limit"),
]


@pytest.mark.parametrize("body, said", BODIES)
def test_bodies_are_decoded_strictly(body, said):
    message, requests = failure(BadResponse, Reply(body))
    assert said in message and requests == 1 and len(message) < 800 and message.isprintable()
    assert "for linear BTCUSDT, interval 5, 2024-05-01 00:00 to 2024-05-01 00:45 UTC" in message


def test_fault_8_a_page_of_html_is_called_by_its_type():
    page = Reply("<html>Please log in</html>", headers={"Content-Type": "text/html"})
    message, _ = failure(BadResponse, page)
    assert "no JSON" in message and "'text/html'" in message and "Please log in" in message


@pytest.mark.parametrize("endless", [
    fault(65, Reply(b"x" * 20_000_000), said="to the cap"),
    fault(65, Reply(b" " * 20_000_000, headers={"Content-Length": None}), said="without a length"),
])  # fmt: skip
def test_an_endless_body_stops_at_the_cap(endless):
    message, requests = failure(BadResponse, endless)
    assert f"over {http.BODY_CAP} bytes" in message and requests == 1


@pytest.mark.parametrize("said", ["", "success", "SUCCESS", None])
def test_fault_25_success_is_the_code_and_not_the_message(said):
    frame, _ = fetch_scripted(Reply(envelope(made_up(10), retMsg=said)))
    same_candles(frame, made_up(10))


def test_fault_41_56_unknown_keys_and_integer_times_are_accepted():
    reply = envelope(made_up(10), news=[1.5])
    reply["result"]["nextPage"] = "x"
    for row in reply["result"]["list"]:
        row[0] = int(row[0])
    frame, _ = fetch_scripted(Reply(reply))
    same_candles(frame, made_up(10))


# --- Rows ---

TIME = str(at(3))
GOOD = [TIME, "10", "12", "9", "11", "5", "55"]
BAD_ROWS = [
    fault(39, [str(at(3) + 1), *GOOD[1:]], "between two candles"),
    fault(40, [TIME[:-3], *GOOD[1:]], "not a millisecond time", said="seconds"),
    fault(40, [TIME + "000", *GOOD[1:]], "not a millisecond time", said="microseconds"),
    fault(40, ["0", *GOOD[1:]], "not a millisecond time", said="0"),
    fault(40, ["-" + TIME, *GOOD[1:]], "not a millisecond time", said="negative"),
    fault(40, ["7258118400000", *GOOD[1:]], "not a millisecond time", said="year 2200"),
    fault(41, [float(TIME), *GOOD[1:]], "not a millisecond time", said="a float"),
    fault(41, [True, *GOOD[1:]], "not a millisecond time", said="true"),
    fault(41, [None, *GOOD[1:]], "not a millisecond time", said="null"),
    fault(45, ["１７１４５２２５０００００", *GOOD[1:]], "not a millisecond time", said="digits"),
    fault(47, [TIME, "0", "0", "0", "0", "5", "55"], "not positive", said="price 0"),
    fault(47, [TIME, "-10", "-9", "-12", "-11", "5", "55"], "not positive", said="price negative"),
    fault(48, [*GOOD[:5], "-5", "55"], "negative volume or turnover", said="volume"),
    fault(48, [*GOOD[:6], "-55"], "negative volume or turnover", said="turnover"),
    fault(50, [TIME, "10", "12", "9", "11", "0", "0"], "prices moved from 9.0 to 12.0 at volume 0"),
    fault(51, [TIME, "10", "9", "12", "11", "5", "55"], "not within", said="high below low"),
    fault(51, [TIME, "13", "12", "9", "11", "5", "55"], "not within", said="high below open"),
    fault(51, [TIME, "10", "12", "9", "13", "5", "55"], "not within", said="high below close"),
    fault(51, [TIME, "8", "12", "9", "11", "5", "55"], "not within", said="low above open"),
    fault(51, [TIME, "10", "12", "9", "8", "5", "55"], "not within", said="low above close"),
    fault(53, GOOD[:5], "5 columns, not 7 (mark, index and premium klines have 5)"),
    fault(53, GOOD[:6], "6 columns, not 7"),
    fault(55, {"startTime": TIME}, "not a list", said="an object"),
    fault(55, None, "not a list", said="null"),
    fault(55, "1714522500000", "not a list", said="text"),
    fault(55, [GOOD], "1 columns", said="nested"),
    fault(55, [TIME, GOOD, *GOOD[2:]], "open", said="a list within"),
]
ODD = ["NaN", "nan", "inf", "1e400", "1e5", "", " ", "abc", "1_000", "1,000", " 11", "11 ", "11\n"]
ODD += ["0x10", "+11", ".5", "5.", "١١", "１１", "9" * 400, None, True, 11, 11.0, [], {}]


@pytest.mark.parametrize("row, said", BAD_ROWS)
def test_a_bad_row_is_refused_by_number(row, said):
    reply = envelope(made_up(3))
    reply["result"]["list"].append(row)
    message, requests = failure(BadResponse, Reply(reply))
    assert "row 3" in message and said in message and requests == 1


def test_fault_54_further_columns_are_counted_or_refused():
    def longer(reply):
        for row in reply["result"]["list"][:2]:
            row.append("news")
        return reply

    frame, _ = fetch_scripted(longer)
    same_candles(frame, made_up(10))
    assert frame.attrs["dropped"]["columns"] == 2
    assert "row 0 has 8 columns, not 7" in failure(BadResponse, longer, strict=True)[0]


@pytest.mark.parametrize("column", [1, 5])
@pytest.mark.parametrize("value", ODD, ids=[repr(value)[:12] for value in ODD])
def test_fault_44_45_what_is_not_a_decimal_is_refused_by_row_column_and_value(value, column):
    row = GOOD.copy()
    row[column] = value
    message, _ = failure(BadResponse, Reply(envelope([]) | {"result": {"list": [row]}}))
    name = "volume" if column == 5 else "open"
    assert f"row 0 (2024-05-01 00:15): {name} " in message and "not a decimal" in message


def test_fault_49_52_still_and_flat_candles_are_valid():
    rows = [(at(0), 10, 10, 10, 10, 0, 0), (at(1), 10, 10, 10, 10, 3, 30),
            (at(2), 10, 10, 4, 4, 3, 20), (at(3), 4, 4, 4, 4, 0, 0)]  # fmt: skip
    with serve(rows) as url:
        same_candles(fetch(url, 0, 2), rows[:3])


NUMBERS = st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", fullmatch=True, alphabet="-.0123456789")


@settings(deadline=None)
@given(NUMBERS, st.integers(0, 5), st.integers(0, 5))
def test_equal_numbers_have_equal_texts(text, before, behind):
    short = wire.plain(text)
    assert Decimal(short) == Decimal(text) and float(short) == float(text)
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    longer = f"{sign}{'0' * before}{digits}{'' if '.' in digits else '.0'}{'0' * behind}"
    assert wire.plain(longer) == short and len(short) <= len(text)


def test_zero_has_no_sign():
    assert {wire.plain(text) for text in ("0", "-0", "0.0", "-000.00")} == {"0"}
