"""The candle cache and the command that fills it: what is asked, kept, refused and resumed."""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from byzlib.market import (
    BadRequest,
    BadResponse,
    Unreachable,
    bybit,
    cache,
    cache_path,
    load_klines,
    main,
    read_candles,
)
from tests import bybit_server
from tests.bybit_server import STEP, T0, Reply, at, made_up, same_candles, serve

ROOT = Path(__file__).resolve().parents[1]
NOBODY = "http://127.0.0.1:9"
posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits are POSIX's")
PAGES = range(-72, 9000, 1000)  # where pages of five-minute candles begin, counted from T0


@pytest.fixture(autouse=True)
def file(monkeypatch, tmp_path):
    """The cache file that is used where none is named; tries follow each other at once."""
    monkeypatch.setattr(bybit, "BACKOFF", 0.002)
    monkeypatch.delenv("BYZLIB_BYBIT_URL", raising=False)
    monkeypatch.setenv("BYZLIB_BYBIT_CACHE", str(tmp_path / "candles.sqlite"))
    return tmp_path / "candles.sqlite"


def load(url, first=0, last=9, **options):
    return load_klines("BTCUSDT", "5", at(first), at(last), base_url=url, **options)


def refused(file, said):
    """The load is refused, by the name of the file."""
    return pytest.raises(BadRequest, match=f"cache {re.escape(str(file))} {said}")


def asked(url):
    """The first candle of each page that was asked for."""
    return [(int(what["start"]) - T0) // STEP for _, what in url.log if "start" in what]


def quiet(url, *span, **options):
    """A load that the cache answers: the server is not asked."""
    before = len(url.log)
    frame = load(url, *span, **options)
    assert len(url.log) == before
    return frame


def port(url):
    return int(url.rpartition(":")[2])


# --- What is asked for, and what is not ---


def test_what_is_kept_is_what_was_fetched_and_needs_no_network(file):
    rows = made_up(3000)
    with serve([*rows[:700], *rows[720:]], now=at(4000)) as url:
        fetched = bybit.fetch_klines(start=at(3), end=at(2500), base_url=url)
        first, again = load(url, 3, 2500), quiet(url, 3, 2500)
    for frame, cached in ((first, 0), (again, len(fetched))):
        assert frame.equals(fetched) and frame.index.equals(fetched.index)
        assert frame.attrs == fetched.attrs | {"cache": str(file), "cached": cached}


def test_only_pages_that_are_missing_are_asked_for():
    rows = made_up(5000)
    with serve(rows) as url:
        load(url, 1000, 1999)
        load(url, 3000, 3499)
        same_candles(load(url, 500, 4000), rows[500:4001])
        assert asked(url) == [PAGES[k] for k in (1, 2, 3, 0, 4)]
        assert all(int(what["end"]) == int(what["start"]) + 999 * STEP for _, what in url.log)


def test_any_order_of_loads_under_a_running_clock_gives_the_candles_of_the_exchange():
    rows, draw = made_up(2600), random.Random(3)
    held = [row for i, row in enumerate(rows) if i % 7]  # the exchange has gaps of its own
    with serve(held) as url:
        for now in range(800, 2600, 60):
            url.market.now = at(now) + 1
            first = draw.randrange(now - 10)
            last = draw.randrange(first + 8, 2590)
            for _ in range(2):
                frame = load(url, first, last)
                same_candles(frame, [rows[i] for i in range(first, min(last + 1, now)) if i % 7])


def test_the_newest_page_is_asked_for_again_and_the_moving_candle_is_not_kept():
    rows = made_up(60)
    with serve(rows, now=at(20) + 1) as url:
        same_candles(load_klines(start=at(0), base_url=url), rows[:20])
        url.market.now = at(50) + 1
        same_candles(load_klines(start=at(0), base_url=url), rows[:50])
        same_candles(load_klines(limit=30, base_url=url), rows[20:50])
        assert len(asked(url)) == 2 and len(url.log) == 3  # the clock, for the newest 30


def test_candles_that_are_still_on_their_way_are_asked_for_again():
    rows = made_up(31)
    with serve(rows[:18], now=at(20)) as url:
        assert load(url, 0, 19).attrs["gaps"][0][2] == 2
    with serve(rows, now=at(25), port=port(url)) as url:
        same_candles(load(url, 0, 19), rows[:20])


def test_a_reply_that_lacks_what_is_kept_takes_nothing_away():
    rows = made_up(31)
    with serve(rows, now=at(20)) as url:
        load(url, 0, 19)
    for held, now, end in ((rows[18:], 30, 29), (rows[:12], 25, 30), (rows[:12], 25, 29)):
        with serve(held, now=at(now), port=port(url)) as url:
            same_candles(load(url, 0, end), rows[:30])


def test_a_gap_of_the_exchange_is_asked_for_once_and_empty_pages_alone_prove_nothing():
    rows = made_up(4000)
    empty = Reply({"retCode": 0, "result": {"list": []}, "time": at(5000)})
    with serve([*rows[:500], *rows[2700:]], script=[empty] * 4) as url:
        with pytest.raises(BadResponse, match="0 of 3501 candles"):
            load(url, 0, 3500)
        frame = load(url, 0, 3500)
        assert [gap[2] for gap in frame.attrs["gaps"]] == [2200]
        assert quiet(url, 0, 3500).equals(frame)


# --- Hosts and markets ---


def test_what_a_replay_said_never_comes_back_as_another_hosts():
    rows, alien = made_up(20), made_up(20, seed=8)
    with serve(rows) as one, serve(alien) as other:
        for url, held in ((one, rows), (other, alien), (one, rows)):
            frame = load(url)
            same_candles(frame, held[:10])
            assert frame.attrs["source"] == url.removeprefix("http://")
        assert len(one.log) == len(other.log) == 1
    with pytest.raises(Unreachable):
        load(NOBODY)


@pytest.mark.parametrize("category, interval", [("spot", "5"), ("linear", "15"), ("inverse", "M")])
def test_markets_and_intervals_of_one_host_do_not_mix(category, interval):
    number, other = bybit.candle_number(T0, interval), {"category": category, "interval": interval}
    opens = [bybit.open_time(number + i, interval) for i in range(12)]
    rows = [(t, *row[1:]) for t, row in zip(opens, made_up(12, seed=8))]
    with serve(made_up(12)) as url:
        load(url)
    with serve(rows, port=port(url), **other) as url:
        for cached in (0, 11):
            frame = load_klines(start=opens[0], end=opens[-2], base_url=url, **other)
            same_candles(frame, rows[:-1])
            assert frame.attrs["cached"] == cached
        same_candles(quiet(url), made_up(10))


def test_refresh_takes_what_the_server_says_now():
    rows, other = made_up(2001), made_up(2001, seed=8)
    with serve(rows) as url:
        load(url, 0, 1999)
    with serve(other, port=port(url)) as url:
        same_candles(quiet(url, 0, 1999), rows[:2000])
        assert load(url, 0, 9, refresh=True).attrs["cached"] == 0
        same_candles(quiet(url, 900, 949), [*other[900:928], *rows[928:950]])


# --- Resuming: failures, other processes, kills ---


@pytest.mark.parametrize("pages", [0, 1, 6])
def test_a_failure_on_any_page_keeps_those_before_it_and_goes_on(pages, file):
    rows, missing = made_up(9001), max(0, PAGES[pages])
    with serve(rows, script=[None] * pages + [Reply("no", 400)]) as url:
        with pytest.raises(BadResponse, match="HTTP 400 'no'") as error:
            load(url, 0, 8999)
        assert str(error.value).endswith(f"; what came before is kept in {file}")
        when = f"{bybit.opening(at(missing) // STEP, '5'):%Y-%m-%d %H:%M} to 2024-06-01 05:55 UTC"
        assert when in str(error.value)
        del url.log[:]
        same_candles(load(url, 0, 8999), rows[:9000])
        assert asked(url) == list(PAGES[pages:])


CHILD = """
import os, signal, sys
from byzlib.market import BybitError, cache, load_klines
url, file, last, limit, kill = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
if limit:
    import resource
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
keep, calls = cache.keep, []
def dying(db, query, pages, candles):
    calls.append(pages)
    if len(calls) < kill:
        return keep(db, query, pages, candles)
    for half in ("PRAGMA cache_spill = 1", "PRAGMA cache_size = 1", "BEGIN"):
        db.execute(half)
    keep(db, query, pages, candles)
    db.execute("UPDATE pages SET content = content || randomblob(300000)")
    os.kill(os.getpid(), signal.SIGKILL)
if kill:
    cache.keep = dying
try:
    print(len(load_klines(start=1714521600000, end=last, base_url=url, cache=file)))
except BybitError as error:
    print(type(error).__name__, error)
"""


def child(url, file, last, limit=0, kill=0):
    command = [sys.executable, "-c", CHILD, url, str(file), str(at(last)), str(limit), str(kill)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                            env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip


def test_two_processes_fill_one_file(file):
    rows = made_up(5001)
    with serve(rows) as url:
        both = [child(url, file, 4999) for _ in range(2)]
        assert [process.communicate(timeout=100)[0] for process in both] == ["5000\n", "5000\n"]
        same_candles(quiet(url, 0, 4999), rows[:5000])
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@posix
def test_killed_in_the_middle_of_a_page_it_holds_the_pages_before(file, kill=3):
    rows = made_up(4001)
    with serve(rows) as url:
        process = child(url, file, 3999, kill=kill)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert Path(f"{file}-journal").exists()  # the killed one had begun to write
        del url.log[:]
        same_candles(load(url, 0, 3999), rows[:4000])
        assert asked(url) == list(PAGES[kill - 1 : 5]) and os.listdir(file.parent) == [file.name]


@posix
def test_a_full_disk_is_an_error_and_keeps_what_was_there(file):
    # RLIMIT_FSIZE makes every write beyond a size fail, as a disk without room does.
    rows, limit = made_up(6001), 80_000
    with serve(rows) as url:
        load(url, 0, 900)
        said = child(url, file, 5999, limit=limit).communicate(timeout=60)[0]
        assert re.match(f"BadRequest cache {file} cannot be used .*free the disk", said)
        assert file.stat().st_size <= limit and os.listdir(file.parent) == [file.name]
        same_candles(quiet(url, 0, 900), rows[:901])
        same_candles(load(url, 0, 5999), rows[:6000])


def test_a_writer_that_waits_too_long_says_so(file, monkeypatch):
    monkeypatch.setattr(cache, "PATIENCE", 0.05)
    with serve(made_up(2001)) as url:
        load(url)
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(BadRequest, match="database is locked.*end the other program"):
                load(url, 1000, 1500)


# --- Files that are something else, or broken ---


def _database(file):
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE candles (mine)")


def _older(file):
    with serve(made_up(11)) as url:
        load(url)
    with closing(sqlite3.connect(file)) as db:
        db.execute(f"PRAGMA application_id = {cache.APPLICATION - 1}")


@pytest.mark.parametrize("make", [
    lambda file: file.write_bytes(b"ts_ms,open\n"), lambda file: file.write_bytes(b"\0" * 5000),
    lambda file: file.write_bytes(b"SQLite format 3\0"), _database, _older,
], ids=["text", "zeros", "a header", "another database", "another version"])  # fmt: skip
def test_a_foreign_file_is_refused_by_name_and_not_touched(file, make):
    make(file)
    before = file.read_bytes()
    with refused(file, "belongs to another .* left alone"):
        load(NOBODY)
    assert file.read_bytes() == before and os.listdir(file.parent) == [file.name]


@pytest.mark.parametrize("make, name", [
    (Path.touch, "place/c.sqlite"), (Path.mkdir, "place"),
], ids=["below a file", "a folder"])  # fmt: skip
def test_a_place_where_no_file_can_be_is_refused_by_name(tmp_path, make, name):
    make(tmp_path / "place")
    with refused(tmp_path / name, "cannot be used .*another"):
        load(NOBODY, cache=tmp_path / name)


def test_an_empty_file_and_a_missing_folder_are_filled(file, tmp_path):
    file.touch()
    with serve(made_up(11)) as url:
        for path in (file, tmp_path / "not" / "yet" / "c.sqlite"):
            load(url, cache=path)
            same_candles(quiet(url, cache=path), made_up(10))


def test_damage_is_noticed_or_harmless_and_the_file_left_alone(file):
    rows, noticed = made_up(201), 0
    with serve(rows, now=at(2000)) as url:
        load(url, 0, 199)
    whole = file.read_bytes()
    damaged = [whole[: len(whole) * i // 50] for i in (1, 15, 30, 49)]
    for i in range(72, len(whole), 61):
        damaged.append(whole[:i] + bytes([whole[i] ^ 0x15]) + whole[i + 1 :])
    for content in damaged:
        file.write_bytes(content)
        try:
            same_candles(load(url, 0, 199), rows[:200])
        except BadRequest as error:
            noticed += str(file) in str(error)
            assert file.read_bytes() == content
        except Unreachable:  # not covered any more: the network is asked, and is not there
            noticed += 1
    assert noticed > 50


@pytest.mark.parametrize("content", ["x'00'", "NULL", "'[]'", "zeroblob(900)"])
def test_an_altered_page_is_noticed_and_refresh_heals_it(file, content):
    rows = made_up(1502)
    with serve(rows) as url:
        load(url, 0, 1499)
        with closing(sqlite3.connect(file)) as db:
            chosen = "WHERE first = (SELECT min(first) FROM pages)"
            assert db.execute(f"UPDATE pages SET content = {content} {chosen}").rowcount == 1
            db.commit()
        with refused(file, ".* was altered; refresh=True"):
            quiet(url, 0, 1499)
        same_candles(load(url, 0, 99, refresh=True), rows[:100])
        same_candles(quiet(url, 0, 1499), rows[:1500])


def test_bad_arguments_are_refused_before_the_file_is_made(file):
    with pytest.raises(BadRequest, match="symbol needs capitals"):
        load_klines("btc", base_url=NOBODY)
    for bad in ("", 5, b"x", "a\0b", ["x"]):
        with pytest.raises(BadRequest, match="cache needs the path of a file"):
            load(NOBODY, cache=bad)
    assert not file.exists()


def test_the_place_is_the_systems_own_unless_named(monkeypatch, tmp_path):
    assert cache_path() == tmp_path / "candles.sqlite" and cache_path("b").is_absolute()
    monkeypatch.delenv("BYZLIB_BYBIT_CACHE")
    monkeypatch.setattr(cache, "user_cache_path", lambda *_, **__: tmp_path / "caches")
    assert cache_path() == tmp_path / "caches" / "candles.sqlite"


# --- The command ---


def run(*arguments, url=NOBODY):
    """Exit code of the command in this process."""
    try:
        return main([*arguments, "--base-url", url])
    except SystemExit as end:
        return end.code


def test_the_command_downloads_and_says_what_stands_where(tmp_path, capsys, file):
    rows, out = made_up(700), tmp_path / "out.csv"
    held = [*rows[:300], *rows[310:]]
    with serve(held) as url:
        assert run("BTCUSDT", "--days", "2", "--out", str(out), url=url) == 0
        said = capsys.readouterr()
        assert said.err == "" and said.out == (
            f"BTCUSDT, {url[7:]}: 566 candles, 2024-05-01 10:15 to 2024-05-03 10:10 UTC, 0 of them "
            f"kept before; linear, interval 5, 1 gaps; in {file} and {out}\n"
        )
        begin = ["--start", "2024-05-01T10:20", "--end", "2024-05-03"]
        assert run("BTCUSDT", *begin, url=url) == 0
        assert run("BTCUSDT", "--days", "1", "--end", "2024-05-03", url=url) == 0
        assert len(asked(url)) == 1
    assert "443 of them kept before" in capsys.readouterr().out
    table = bybit_server.read_candles(out)
    assert "e" not in "".join(map(str, table))  # plain decimals
    same_candles(read_candles(out), held[123:-1])
    assert read_candles(out).attrs == {"source": url[7:]}


@pytest.mark.parametrize("arguments, code, said", [
    (["btcusdt"], 2, "symbol needs capitals"),
    (["BTCUSDT", "--start", "2024-05-01", "--days", "3"], 2, "--days"),
    (["BTCUSDT", "--days", "nan"], 2, "--days"),
    (["BTCUSDT", "--days", "3"], 1, "refused"),
    (["BTCUSDT", "--end", "2024-05-01"], 1, "2024-04-01 00:00 to 2024-05-01 00:00 UTC"),
    (["BTCUSDT", "--cache", ""], 2, "cache needs the path"),
    ([], 2, "symbol"),
])  # fmt: skip
def test_the_command_fails_with_one_sentence(capsys, arguments, code, said):
    assert run(*arguments) == code
    text = capsys.readouterr()
    assert text.out == "" and said in text.err.splitlines()[-1]
    assert text.err.splitlines()[-1].startswith("python -m byzlib.market: ")


def test_the_command_leaves_no_half_csv(tmp_path, capsys):
    (tmp_path / "folder.csv").mkdir()
    with serve(made_up(50)) as url:
        assert run("BTCUSDT", "--out", str(tmp_path / "folder.csv"), url=url) == 1
    assert "folder.csv" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["candles.sqlite", "folder.csv"]


@posix
def test_ctrl_c_ends_the_command_and_keeps_what_came():
    rows = made_up(4001)
    with serve(rows, script=[None, None, None, Reply(pause=60.0)]) as url:
        command = [sys.executable, "-m", "byzlib.market", "BTCUSDT", "--base-url", url]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([*command, "--days", "12"], cwd=ROOT, **pipes)
        while len(url.log) < 4:
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        said, error = process.communicate(timeout=20)
        assert process.returncode == 130 and said == ""
        assert "stopped" in error and "run it again to go on" in error and "Traceback" not in error
        same_candles(quiet(url, 545, 1900), rows[545:1901])
