"""The loopback server against what is documented of Bybit's klines, through plain requests."""

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.bybit_server import Market, Reply, guess, main, read_candles, serve

STEP = 300_000
T0 = 1_714_521_600_000  # 2024-05-01 00:00 UTC
REPOSITORY = Path(__file__).resolve().parents[1]


def rows(n, step=STEP):
    return [(T0 + i * step, f"{i}.10", f"{i}.30", f"{i}.0", f"{i}.20", "2.500", f"{7 * i}.00")
            for i in range(1, n + 1)]  # fmt: skip


def at(i, step=STEP):
    return T0 + i * step


def ask(url, path="/v5/market/kline", **changes):
    asked = {"category": "linear", "symbol": "BTCUSDT", "interval": "5"} | changes
    return requests.get(url + path, params=asked, timeout=10)


def listed(url, **changes):
    """The numbers of the candles that come, in the order that they come."""
    return [(int(row[0]) - T0) // STEP for row in ask(url, **changes).json()["result"]["list"]]


def test_the_envelope_and_the_row_are_bybits():
    with serve(rows(3), now=at(9)) as url:
        reply = ask(url, limit=1)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json"
    assert reply.json() == {
        "retCode": 0,
        "retMsg": "OK",
        "result": {
            "category": "linear",
            "symbol": "BTCUSDT",
            "list": [[str(at(3)), "3.10", "3.30", "3.0", "3.20", "2.500", "21.00"]],
        },
        "retExtInfo": {},
        "time": at(9),
    }


def test_bounds_are_inclusive_and_newest_comes_first():
    with serve(rows(20), now=at(30)) as url:
        assert listed(url, start=at(5), end=at(8)) == [8, 7, 6, 5]
        assert listed(url, start=at(5), end=at(9) - 1) == [8, 7, 6, 5]
        assert listed(url, start=at(5), end=at(5)) == [5]
        assert listed(url, start=at(8), end=at(5)) == []
        assert listed(url, start=at(25), end=at(28)) == []
        assert listed(url, start=at(-500), end=at(2)) == [2, 1]


def test_an_unaligned_start_returns_the_candle_that_holds_it():
    with serve(rows(20), now=at(30)) as url:
        assert listed(url, start=at(5) + 1, end=at(7)) == [7, 6, 5]
        assert listed(url, start=at(6) - 1, end=at(7)) == [7, 6, 5]
    held = [row for row in rows(20) if row[0] != at(5)]
    with serve(held, now=at(30)) as url:
        assert listed(url, start=at(5) + 1, end=at(7)) == [7, 6]


def test_limits():
    with serve(rows(1500), now=at(2000)) as url:
        assert listed(url) == list(range(1500, 1300, -1))
        assert listed(url, limit=1000) == list(range(1500, 500, -1))
        assert listed(url, start=at(1), end=at(1400), limit=3) == [1400, 1399, 1398]
        assert listed(url, start=at(10), limit=3) == [12, 11, 10]
        assert listed(url, end=at(10), limit=3) == [10, 9, 8]
        for limit in ("0", "1001", "-1", "x", "2.0"):
            assert ask(url, limit=limit).json()["retCode"] == 10001


def test_the_last_candle_is_unfinished_unless_told_otherwise():
    with serve(rows(5)) as url:
        reply = ask(url).json()
        assert at(5) <= reply["time"] < at(6) and listed(url) == [5, 4, 3, 2, 1]
    with serve(rows(5), now=at(4) - 1) as url:
        assert listed(url) == [3, 2, 1]
        assert listed(url, start=at(1), end=at(5)) == [3, 2, 1]


def test_refusals_have_bybits_code_and_words():
    with serve(rows(3)) as url:
        for wrong in ({"symbol": "NOPE"}, {"symbol": "btcusdt"}, {"category": "spot"}):
            reply = ask(url, **wrong).json()
            assert (reply["retCode"], reply["retMsg"]) == (10001, "Not supported symbols")
        for period in ("5m", "2", "", "d"):
            reply = ask(url, interval=period).json()
            assert (reply["retCode"], reply["retMsg"]) == (10001, "Invalid period!")
        assert "interval 5 alone" in ask(url, interval="15").json()["retMsg"]
        assert ask(url, start="1.5").json()["retCode"] == 10001
        assert ask(url, path="/v5/market/klines").status_code == 404


def test_a_get_with_a_body_is_forbidden():
    with serve(rows(3)) as url:
        reply = requests.get(url + "/v5/market/kline", json={}, timeout=10)
        assert reply.status_code == 403 and "Bad request." in reply.text


def test_server_time():
    with serve(rows(3), now=at(3) + 7) as url:
        reply = ask(url, path="/v5/market/time").json()
    assert reply["time"] == at(3) + 7
    assert int(reply["result"]["timeSecond"]) == (at(3) + 7) // 1000
    assert int(reply["result"]["timeNano"]) == (at(3) + 7) * 10**6


def test_the_script_comes_first_and_then_normal_service():
    def edited(envelope):
        return envelope | {"retMsg": "edited"}

    script = [Reply("busy", 503, {"X-Note": "1"}), edited, lambda _: Reply(status=204), None]
    with serve(rows(3), script=script) as url:
        first = ask(url)
        assert (first.status_code, first.text, first.headers["X-Note"]) == (503, "busy", "1")
        assert ask(url).json()["retMsg"] == "edited"
        assert ask(url).status_code == 204
        assert [ask(url).json()["retMsg"] for _ in range(2)] == ["OK", "OK"]
        assert [path for path, _ in url.log] == ["/v5/market/kline"] * 5
        assert url.log[0][1] == {"category": "linear", "symbol": "BTCUSDT", "interval": "5"}


def test_a_reset_is_a_reset_and_a_cut_body_is_cut():
    with serve(rows(3), script=[Reply(raw=b"", reset=True)]) as url:
        with pytest.raises(requests.ConnectionError) as error:
            ask(url)
        assert "ConnectionResetError" in repr(error.value)
    cut = Reply("abc", headers={"Content-Length": 9})
    broken = pytest.raises(requests.exceptions.ChunkedEncodingError)
    with serve(rows(3), script=[cut]) as url, broken:
        ask(url)


def test_a_silence_ends_with_the_server():
    with serve(rows(3), script=[Reply(pause=600.0)]) as url, pytest.raises(requests.ReadTimeout):
        requests.get(url, timeout=0.1)


def test_missing_turnover_is_approximated_and_said():
    bare = [row[:6] for row in rows(3)]
    market = Market(bare)
    assert market.approximate and market.rows[2][6] == "8"  # 2.500 * 3.20
    assert not Market(rows(3)).approximate
    assert Market(bare, category="inverse").rows[2][6] == "0.78125"  # 2.500 / 3.20
    assert Market([(*bare[0][:4], "0.00001", "0.00001")]).rows[0][6] == "0.0000000001"


@pytest.mark.parametrize("spoil, said", [
    (lambda r: [], "at least one"),
    (lambda r: r[::-1], "follows"),
    (lambda r: [*r, r[-1]], "follows"),
    (lambda r: [(row[0] + 1, *row[1:]) for row in r], "no open time of interval 5"),
    (lambda r: [(T0 + i * 60_000, *row[1:]) for i, row in enumerate(r)], "within one candle of 5"),
])  # fmt: skip
def test_a_series_of_another_step_is_refused(spoil, said):
    with pytest.raises(ValueError, match=said):
        Market(spoil(rows(3)))


def write(path, lines, opener=open):
    with opener(path, "wt") as file:
        file.write("ts_ms,open,high,low,close,volume,turnover\n")
        file.writelines(",".join(map(str, line)) + "\n" for line in lines)
    return path


def test_files_are_read_as_they_are_printed(tmp_path):
    plain = write(tmp_path / "candles.csv", rows(3))
    packed = write(tmp_path / "candles.csv.gz", rows(3), gzip.open)
    want = [[str(value) for value in row] for row in rows(3)]
    assert read_candles(plain) == read_candles(packed) == want
    (tmp_path / "other.csv").write_text("date,open\n1,2\n")
    with pytest.raises(ValueError, match=r"line 1 needs ts_ms,.*; has \['date', 'open'\]"):
        read_candles(tmp_path / "other.csv")


@pytest.mark.parametrize("name, market", [
    ("bybit_linear_BTCUSDT_5m_2024.csv.gz", ("linear", "BTCUSDT", "5")),
    ("bybit_spot_ETHUSDT_4h_x.csv", ("spot", "ETHUSDT", "240")),
    ("bybit_inverse_BTCUSD_1d_x.csv", ("inverse", "BTCUSD", "D")),
    ("binance_usdm_BTCUSDT_5m_x.csv.gz", ("linear", "BTCUSDT", "5")),
    ("candles.csv", ()),
])  # fmt: skip
def test_a_file_name_tells_the_market(name, market):
    assert tuple(guess("/anywhere/" + name).values()) == market


def test_a_named_file_is_served_as_its_market(tmp_path):
    path = write(tmp_path / "bybit_spot_ETHUSDT_5m_x.csv", rows(3))
    with serve(path) as url:
        assert listed(url, category="spot", symbol="ETHUSDT") == [3, 2, 1]
    with serve(path, symbol="SOLUSDT") as url:
        assert listed(url, category="spot", symbol="SOLUSDT") == [3, 2, 1]


def test_the_command_replays_a_file(tmp_path):
    path = write(tmp_path / "candles.csv", rows(3))
    command = [sys.executable, "-m", "tests.bybit_server", path, "--port", "0"]
    command += ["--symbol", "ETHUSDT", "--category", "linear", "--interval", "5"]
    command += ["--now", str(at(50))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, **pipes) as server:
        try:
            said = [server.stdout.readline().strip() for _ in range(3)]
            url = said[-1].partition("=")[2]
            assert listed(url, symbol="ETHUSDT") == [3, 2, 1]
            server.send_signal(signal.SIGINT)
            assert server.communicate(timeout=20)[1] == "" and server.returncode == 0
        finally:
            server.kill()
    assert said[:2] == ["3 candles of linear ETHUSDT 5", f"the server's clock stands at {at(50)}"]


def test_the_command_refuses_what_it_cannot_replay(tmp_path, capsys):
    unnamed = write(tmp_path / "candles.csv", rows(3))
    hourly = write(tmp_path / "bybit_linear_BTCUSDT_1h_x.csv", rows(3))
    nowhere = tmp_path / "bybit_linear_BTCUSDT_5m_none.csv"
    refusals = {unnamed: "give --symbol", hourly: "one candle of 60", nowhere: "No such file"}
    for path, said in refusals.items():
        with pytest.raises(SystemExit):
            main([str(path), "--port", "0"])
        assert said in capsys.readouterr().err
