"""load_klines and the command line: what is asked again, what is kept, and what is said."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from byzlib.market import (
    BadRequest,
    BadResponse,
    Unreachable,
    fetch_klines,
    load_klines,
    main,
)
from tests.bybit_cases import (
    T0,
    at,
    envelope,
    made_up,
    moment,
    quick,  # noqa: F401 -- a fixture for every test here
    same_candles,
    with_neighbour,
)
from tests.bybit_server import Reply, read_candles, serve

ROOT = Path(__file__).resolve().parents[1]
NOBODY = "http://127.0.0.1:9"
posix = pytest.mark.skipif(os.name != "posix", reason="this system knows no such thing")


def load(url, first=0, last=9, **options):
    return load_klines("BTCUSDT", "5", at(first), at(last), base_url=url, **options)


def starts(url):
    """The first candle of each window that was asked for."""
    return [(int(asked["start"]) - T0) // 300_000 for _, asked in url.log if "start" in asked]


def same_frames(one, other):
    assert one.equals(other) and one.index.equals(other.index)
    for name in ("category", "symbol", "interval", "units", "gaps", "n_jumps", "jumps"):
        assert one.attrs[name] == other.attrs[name]


# --- What is asked for, and what is not ---


def test_what_is_kept_equals_what_was_fetched_and_needs_no_network():
    rows = made_up(2600)
    held = [*rows[:700], *rows[720:]]
    with serve(held) as url:
        fetched = fetch_klines(start=at(3), end=at(2500), base_url=url)
        first = load(url, 3, 2500)
        asked = len(url.log)
        again = load(url, 3, 2500)
        assert len(url.log) == asked
    last = load(NOBODY, 3, 2500)
    for frame in (first, again, last):
        same_frames(frame, fetched)
    assert (first.attrs["cached"], again.attrs["cached"]) == (0, len(fetched))
    assert first.attrs["cache"] == os.environ["BYZLIB_BYBIT_CACHE"]
    assert last.attrs["source"] == fetched.attrs["source"]  # who said it, not who was named now
    same_candles(load(NOBODY, 100, 110), rows[100:111])
    same_candles(load_klines(end=at(1500), limit=300, base_url=NOBODY), rows[1201:1501])


def test_only_what_is_missing_is_asked_for():
    rows = made_up(5000)
    with serve(rows) as url:
        load(url, 1000, 1999)
        load(url, 3000, 3499)
        same_candles(load(url, 500, 4000), rows[500:4001])
        # Each part comes with the kept candle before it, as a witness.
        assert starts(url) == [1000, 3000, 500, 1999, 2999, 3499]
        assert [int(asked["end"]) for _, asked in url.log][2] == at(999)


def test_the_newest_candles_are_asked_for_and_kept():
    rows = made_up(60)
    with serve(rows, now=at(20) + 1) as url:
        same_candles(load_klines(start=at(0), base_url=url), rows[:20])
        url.market.now = at(50) + 1
        same_candles(load_klines(start=at(0), base_url=url), rows[:50])
        assert starts(url) == [0, 19]
        same_candles(load_klines(limit=30, base_url=url), rows[20:50])
        assert starts(url) == [0, 19]  # besides the clock, nothing
    with pytest.raises(Unreachable, match="2024-05-01 04:10 UTC to now.* is kept in .*sqlite"):
        load_klines(start=at(0), base_url=NOBODY)


def test_the_unfinished_candle_comes_along_and_is_not_kept():
    rows = made_up(60)
    with serve(rows, now=at(20) + 1) as url:
        for _ in range(2):
            frame = load(url, 0, 30, closed_only=False)
            same_candles(frame, rows[:21])
            assert frame.attrs["unfinished"] == moment(20)
        url.market.now = at(21)
        url.market.rows[20][5] = "55555.5"  # it went on
        frame = load(url, 0, 20)
        assert frame["volume"].iloc[20] == 55555.5 and len(frame) == 21


def test_candles_that_are_still_on_their_way_are_asked_for_again():
    rows = made_up(31)
    with serve(rows[:18], now=at(20)) as url:
        assert len(load(url, 0, 19)) == 18
    with serve(rows, now=at(25)) as url:
        same_candles(load(url, 0, 19), rows[:20])
        assert starts(url) == [17]


def test_a_gap_of_the_exchange_is_asked_for_once():
    rows = made_up(4000)
    held = [*rows[:500], *rows[2700:]]
    with serve(held) as url:
        frame = load(url, 0, 3500)
        assert frame.attrs["gaps"] == [(moment(500), moment(2699), 2200)]
        asked = len(url.log)
        same_frames(load(url, 0, 3500), frame)
        assert len(url.log) == asked
        with pytest.raises(BadResponse, match="1 gaps"):
            load(url, 0, 3500, strict=True)


def test_empty_pages_alone_prove_nothing():
    rows = made_up(3000)
    with serve(rows, script=[Reply(envelope([]))] * 3) as url:
        with pytest.raises(BadResponse, match="0 of 2500 closed candles"):
            load(url, 0, 2499)
        same_candles(load(url, 0, 2499), rows[:2500])


def test_fault_70_a_failure_on_page_seven_keeps_six_and_goes_on():
    rows = made_up(10_001)
    bad = Reply(status=400, body="no")
    with serve(rows, script=[None] * 6 + [bad]) as url:
        with pytest.raises(BadResponse) as error:
            load(url, 0, 9999)
        message = str(error.value)
        assert "got HTTP 400 'no'; missing: 2024-05-21 20:00 to 2024-06-04 17:15 UTC" in message
        assert f"kept in {os.environ['BYZLIB_BYBIT_CACHE']}: ask again to go on" in message
        same_candles(load(NOBODY, 0, 5999), rows[:6000])
        del url.log[:]
        same_candles(load(url, 0, 9999), rows[:10_000])
        assert starts(url)[0] == 5999 and len(url.log) == 5


def test_another_market_under_the_same_name_is_found_at_the_seam():
    rows, alien = made_up(2001), made_up(2001, seed=8)
    with serve(rows) as url:
        load(url, 0, 99)
    with serve(alien) as url:
        with pytest.raises(BadResponse, match="both are kept"):
            load(url, 0, 1999)
    same_candles(load(NOBODY, 0, 98), rows[:99])


def test_a_neighbour_that_comes_along_is_a_witness_too():
    rows = made_up(40)
    with serve(rows, script=[None, with_neighbour(rows, 9, volume="7")]) as url:
        load(url, 0, 9)
        with pytest.raises(BadResponse, match="2024-05-01 00:45"):
            load(url, 10, 19)


@pytest.mark.parametrize("category", ["spot", "inverse"])
@pytest.mark.parametrize("interval", ["1", "720", "D", "W", "M"])
def test_every_category_and_calendar_is_kept(category, interval):
    from byzlib.market import _candle_times as times

    number = times.candle_number(T0, interval)
    opens = [times.open_time(number + i, interval) for i in range(14)]
    rows = [(t, *row[1:]) for t, row in zip(opens, made_up(14), strict=True)]
    asked = {"start": opens[0], "end": opens[-2], "category": category}
    with serve(rows, interval=interval, category=category) as url:
        same_candles(load_klines("BTCUSDT", interval, base_url=url, **asked), rows[:-1])
    kept = load_klines("BTCUSDT", interval, base_url=NOBODY, **asked)
    same_candles(kept, rows[:-1])
    assert kept.attrs["units"]["volume"] == ("quote" if category == "inverse" else "base") + " coin"


def test_decimals_are_kept_as_they_were_printed():
    rows = [(at(i), "0.1", "0.30000000000000004", "0.1", "0.2", "12345678901234567.89", "0.10")
            for i in range(3)]  # fmt: skip
    with serve(rows) as url:
        fetched, loaded = (ask(start=at(0), end=at(1), base_url=url)
                           for ask in (fetch_klines, load_klines))  # fmt: skip
    assert fetched.equals(loaded) and fetched.equals(load(NOBODY, 0, 1))


def test_bad_arguments_are_refused_before_the_file_is_made(tmp_path):
    file = tmp_path / "new.sqlite"
    for bad in ({"interval": "2"}, {"symbol": "btc"}, {"max_pages": 0}, {"base_url": "x"}):
        with pytest.raises(BadRequest):
            load_klines(**{"start": at(0), "end": at(1), "cache": file} | bad)
    assert not file.exists()


# --- The command line ---


def run(*arguments, url=None):
    """Exit code of the command in this process."""
    more = ["--base-url", url] if url else []
    try:
        return main([*arguments, *more])
    except SystemExit as end:
        return end.code


def test_the_command_downloads_and_says_what_stands_where(tmp_path, capsys):
    rows, cache, out = made_up(700), tmp_path / "c.sqlite", tmp_path / "out.csv"
    held = [*rows[:300], *rows[310:]]
    with serve(held) as url:
        arguments = ["BTCUSDT", "--days", "2", "--cache", str(cache), "--out", str(out)]
        assert run(*arguments, url=url) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out == (
        "linear BTCUSDT, interval 5: 565 candles, 2024-05-01 10:20 to 2024-05-03 10:10 UTC, "
        f"0 of them kept before; 1 unfinished, 1 gaps, 0 jumps; in {cache} and {out}\n"
    )
    assert [row[0] for row in read_candles(out)] == [str(row[0]) for row in held[124:-1]]
    assert [[float(x) for x in row[1:]] for row in read_candles(out)] == [
        [float(x) for x in row[1:]] for row in held[124:-1]
    ]
    assert run("BTCUSDT", "--start", "2024-05-01T10:20", "--end", "2024-05-03", "--cache",
               str(cache), url=NOBODY) == 0  # fmt: skip
    assert "443 of them kept before" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, code, said", [
    (["btcusdt"], 2, "symbol needs capitals"),
    (["BTCUSDT", "--interval", "2"], 2, "interval needs to be one of"),
    (["BTCUSDT", "--category", "option"], 2, "category needs"),
    (["BTCUSDT", "--start", "yesterday"], 2, "argument --start"),
    (["BTCUSDT", "--start", "2024-05-01", "--days", "3"], 2, "--days"),
    (["BTCUSDT", "--days", "nan"], 2, "--days"),
    ([], 2, "symbol"),
    (["BTCUSDT", "--base-url", "x"], 2, "base_url needs"),
    (["BTCUSDT", "--days", "3", "--base-url", NOBODY], 1, "Connection refused"),
    (["BTCUSDT", "--end", "2024-05-01", "--base-url", NOBODY], 1, "missing: 2024-04-01 00:00"),
    pytest.param(["BTCUSDT", "--end", "2024-05-01", "--base-url", NOBODY, "--cache", "/dev/null/x"],
                 1, "/x", marks=posix),
])  # fmt: skip
def test_the_command_fails_with_one_sentence(capsys, arguments, code, said):
    assert run(*arguments) == code
    text = capsys.readouterr()
    assert text.out == "" and said in text.err and text.err.count("\n") == 1
    assert text.err.startswith("python -m byzlib.market: ")


def test_the_command_leaves_no_half_csv(tmp_path, capsys):
    with serve(made_up(50)) as url:
        (tmp_path / "folder.csv").mkdir()
        assert run("BTCUSDT", "--out", str(tmp_path / "folder.csv"), url=url) == 1
    assert "folder.csv" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["candles.sqlite", "folder.csv"]


def command(url, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "byzlib.market", "BTCUSDT", "--base-url", url, *arguments],
        cwd=ROOT, text=True, **options,
    )  # fmt: skip


@posix
def test_fault_73_ctrl_c_ends_the_command_and_keeps_what_came():
    rows = made_up(4001)
    with serve(rows, script=[None, None, None, Reply(pause=60.0)]) as url:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = command(url, "--days", "12", **pipes)
        while len(url.log) < 4:
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        said, error = process.communicate(timeout=20)
    assert process.returncode == 130 and said == ""
    assert "stopped" in error and "run it again to go on" in error and "Traceback" not in error
    same_candles(load(NOBODY, 545, 2544), rows[545:2545])


@posix
def test_a_bar_is_shown_on_a_terminal_and_nowhere_else(monkeypatch):
    import pty
    import termios

    slow = [lambda reply: Reply(reply, pause=0.6)] * 9
    with serve(made_up(2001), script=slow) as url:
        master, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))
        process = command(url, "--start", "2024-05-01", stdout=subprocess.PIPE, stderr=terminal)
        out = process.communicate(timeout=60)[0]
        os.set_blocking(master, False)
        shown = os.read(master, 100_000).decode()
        os.close(master), os.close(terminal)
    assert "2000 candles" in out and re.search(r"BTCUSDT: +[0-9]+%\|.*/3 ", shown)
    with serve(made_up(2001), script=slow) as url:
        process = command(url, "--start", "2024-05-01", "--refresh",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        assert process.communicate(timeout=60)[1] == "" and process.returncode == 0
