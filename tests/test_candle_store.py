"""The candle store: what a span proves, what a file may be, and what killing does to it."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib.market import (
    BadRequest,
    BadResponse,
    CandleStore,
    _candle_file,
    cache_path,
    default_cache,
    load_klines,
)
from byzlib.market._candle_times import candle_number
from tests.bybit_cases import (
    T0,
    at,
    made_up,
    quick,  # noqa: F401 -- a fixture for every test here
    same_candles,
)
from tests.bybit_server import serve

ROOT = str(Path(__file__).resolve().parents[1])
MARKET = {"category": "linear", "symbol": "BTCUSDT", "interval": "5"}
FIRST = candle_number(T0, "5")
LATE = at(100_000)
BYTES = 450_000  # of a file that a child may write


def opened(path, **changes):
    return CandleStore(path, MARKET | changes)


def rows(*numbers, close="1"):
    return dict.fromkeys(numbers, ("1", "2", "0.5", close, "7", "7.25"))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "candles.sqlite"


# --- Spans ---


def test_a_span_is_proven_and_a_gap_in_it_too(file):
    with opened(file) as store:
        store.keep(10, 20, rows(10, 11, 15, 20, 99), LATE, "a")
        assert store.spans(0, 30) == [(10, 20)] and store.missing(0, 30) == [(0, 9), (21, 30)]
        assert store.read(0, 30) == rows(10, 11, 15, 20)
        assert store.spans(12, 13) == [(12, 13)] and store.read(12, 13) == {}
        store.keep(21, 25, rows(21), LATE, "b")
        assert store.spans(0, 30) == [(10, 25)] and store.sources(0, 30) == {"a", "b"}
        assert store.sources(0, 20) == {"a"}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12), st.booleans()), max_size=12))
def test_spans_are_the_union_of_what_was_kept(pages):
    world = rows(*(n for n in range(60) if n % 7))  # the exchange has gaps of its own
    with opened(":memory:") as store:
        proven = set()
        for first, length, replace in pages:
            last = first + length
            store.keep(first, last, world, LATE, "a", replace=replace)
            proven |= set(range(first, last + 1))
            spans = store.spans(0, 59)
            assert {n for one, other in spans for n in range(one, other + 1)} == proven
            assert all(b < c - 1 for (_, b), (c, _) in zip(spans, spans[1:], strict=False))
            gaps = {n for one, other in store.missing(0, 59) for n in range(one, other + 1)}
            assert gaps == set(range(60)) - proven
            assert store.read(0, 59) == {n: row for n, row in world.items() if n in proven}
            (held,) = store.db.execute("SELECT sum(candles) FROM spans").fetchone()
            assert held == len(store.read(0, 59))


def test_fault_82_markets_in_one_file_do_not_mix(file):
    with opened(file) as store:
        store.keep(FIRST, FIRST + 9, rows(FIRST), LATE, "a")
    others = [{"category": "spot"}, {"symbol": "ETHUSDT"}, {"interval": "15"}]
    for change in others:
        with opened(file, **change) as store:
            assert store.read(0, 10**6) == {} and store.spans(0, 10**6) == []


def test_an_unfinished_candle_is_never_kept(file):
    with opened(file) as store:
        with pytest.raises(ValueError, match="not closed"):
            store.keep(FIRST, FIRST + 1, rows(FIRST), at(2) - 1, "a")
        store.keep(FIRST, FIRST + 1, rows(FIRST), at(2), "a")


def test_fault_84_an_unfinished_candle_of_an_earlier_version_is_replaced(file):
    served = made_up(40)
    with serve(served, now=at(10)) as url:
        load_klines(start=at(0), end=at(9), base_url=url, cache=file)
    with opened(file) as store, store._transaction():  # as a program that kept too much
        store._insert("candles", {FIRST + 10: ("1", "2", "1", "2", "1", "1")})
        changed = "UPDATE spans SET last = last + 300000, candles = candles + 1"
        store.db.execute(changed)
    with serve(served) as url:
        same_candles(load_klines(start=at(0), end=at(10), base_url=url, cache=file), served[:11])
        assert [int(asked["start"]) for _, asked in url.log] == [at(9)]


# --- Conflicts ---


def test_fault_85_conflicting_rows_raise_and_both_are_kept(file):
    served, later = made_up(31), made_up(31)
    later[9] = (*later[9][:5], "7777.125", later[9][6])
    with serve(served) as url:
        load_klines(start=at(0), end=at(9), base_url=url, cache=file)
    with serve(later) as url:
        for _ in range(2):  # it is said again until somebody settles it
            with pytest.raises(BadResponse) as error:
                load_klines(start=at(0), end=at(20), base_url=url, cache=file)
            assert "2024-05-01 00:45 UTC" in str(error.value) and str(file) in str(error.value)
            assert "7777.125" in str(error.value) and served[9][5] in str(error.value)
        assert len(url.log) == 1
        with opened(file) as store:
            assert store.read(FIRST, FIRST + 8)[FIRST + 8][4] == served[8][5]
            kept = [store.db.execute(f"SELECT volume FROM {t} WHERE open_time = {at(9)}").fetchall()
                    for t in ("candles", "conflicts")]  # fmt: skip
        assert kept == [[(served[9][5],)], [("7777.125",)]]
        settled = load_klines(start=at(0), end=at(20), base_url=url, cache=file, refresh=True)
        same_candles(settled, later[:21])
        same_candles(load_klines(start=at(0), end=at(20), base_url="http://127.0.0.1:9",
                                 cache=file), later[:21])  # fmt: skip


def test_a_candle_that_the_server_no_longer_has_is_a_conflict(file):
    with opened(file) as store:
        store.keep(1, 5, rows(1, 2, 3, 4, 5), LATE, "a")
        with pytest.raises(BadResponse, match="the server said no candle; both are kept"):
            store.keep(3, 8, rows(4, 5, 6, 7, 8), LATE, "a")
        assert store.spans(0, 9) == [(1, 5)]
        store.keep(3, 8, rows(4, 5, 6, 7, 8), LATE, "a", replace=True)
        assert store.read(0, 9) == rows(1, 2, 4, 5, 6, 7, 8)


# --- Files that are something else, or broken ---


def filled(file, n=2500):
    served = made_up(n + 1)
    with serve(served) as url:
        load_klines(start=at(0), end=at(n - 1), base_url=url, cache=file)
    return served[:n]


def offline(file, n=2500, **options):
    """A load that the cache must answer: nobody listens at this address."""
    return load_klines(start=at(0), end=at(n - 1), base_url="http://127.0.0.1:9", cache=file,
                       **options)  # fmt: skip


@pytest.mark.parametrize("content", [b"ts_ms,open\n", b"SQLite format 3\0", b"\0" * 5000])
def test_fault_82_a_foreign_file_is_refused_by_name_and_not_touched(file, content):
    file.write_bytes(content)
    with pytest.raises(BadRequest, match=f"cache {file} "):
        offline(file)
    assert file.read_bytes() == content and os.listdir(file.parent) == [file.name]


def test_fault_82_another_programs_database_is_refused_and_not_touched(file):
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE candles (mine)")
    db.commit()
    db.close()
    before = file.read_bytes()
    with pytest.raises(BadRequest, match=f"{file} belongs to another program .* left alone"):
        offline(file)
    assert file.read_bytes() == before


def test_fault_82_another_version_is_named(file):
    filled(file, 10)
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(BadRequest, match="has version 7, and this byzlib reads version 1"):
        offline(file, 10)


def test_fault_81_an_empty_file_is_filled(file):
    file.touch()
    want = filled(file)
    same_candles(offline(file), want)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_fault_81_a_truncated_file_is_refused_by_name(file, share):
    filled(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    before = file.read_bytes()
    with pytest.raises(BadRequest, match=f"cache {file} is damaged"):
        offline(file)
    assert file.read_bytes() == before


def test_fault_81_83_every_flipped_byte_is_noticed_or_harmless(file):
    want = filled(file, 200)
    whole = file.read_bytes()
    noticed = 0
    for place in range(100, len(whole), 997):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        try:
            same_candles(offline(file, 200), want)
        except BadRequest as error:
            assert str(file) in str(error)
            noticed += 1
        except Exception as error:
            # Not covered any more, or no longer as long: the network is asked, and is not there.
            assert type(error).__name__ == "Unreachable", error
            noticed += 1
    assert noticed > 5


@pytest.mark.parametrize("edit, said", [
    ("UPDATE candles SET close = replace(close, '.5', '.6') WHERE open_time = ?", "00:25 was alt"),
    ("UPDATE candles SET volume = volume || '1' WHERE open_time = ?", "00:25 was altered"),
    ("UPDATE candles SET open_time = open_time + 1 WHERE open_time = ?", "00:25 was altered"),
    ("DELETE FROM candles WHERE open_time = ?", "2499 candles of a span of 2500"),
])  # fmt: skip
def test_fault_83_a_hand_edited_row_is_noticed_and_refresh_heals_it(file, edit, said):
    want = filled(file)
    db = sqlite3.connect(file)
    assert db.execute(edit, (at(5),)).rowcount == 1
    db.commit()
    db.close()
    with pytest.raises(BadRequest, match=said):
        offline(file)
    with serve([*want, *made_up(2502)[2500:]]) as url:
        options = {"start": at(0), "base_url": url, "cache": file}
        same_candles(load_klines(end=at(99), **options, refresh=True), want[:100])
        same_candles(load_klines(end=at(2499), **options), want)
    same_candles(offline(file), want)


# --- Disks and places ---

CHILD = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
from byzlib import _bybit_http
from byzlib.market import BybitError, load_klines
_bybit_http.PACE = 0.0
if int(sys.argv[6]):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[6]),) * 2)
try:
    frame = load_klines(start=int(sys.argv[4]), end=int(sys.argv[5]), base_url=sys.argv[2],
                        cache=sys.argv[3])
    print(len(frame))
except BybitError as error:
    print(type(error).__name__, error)
"""


def child(url, file, last, limit=0):
    command = [sys.executable, "-c", CHILD, ROOT, url, str(file), str(at(0)), str(at(last))]
    return subprocess.Popen([*command, str(limit)], stdout=subprocess.PIPE, text=True)


def test_fault_87_a_full_disk_is_an_error_and_keeps_what_was_there(file):
    # RLIMIT_FSIZE makes every write beyond a size fail, as a disk without room does.
    served = made_up(6001)
    with serve(served) as url:
        load_klines(start=at(0), end=at(999), base_url=url, cache=file)
        process = child(url, file, 5999, limit=BYTES)
        said = process.communicate(timeout=60)[0]
        assert said.startswith(f"BadRequest cache {file} cannot be written") and "free" in said
        assert file.stat().st_size <= BYTES
        same_candles(offline(file, 1000), served[:1000])
        assert os.listdir(file.parent) == [file.name]
        asked = len(url.log)
        same_candles(
            load_klines(start=at(0), end=at(5999), base_url=url, cache=file), served[:6000]
        )
        assert 0 < len(url.log) - asked < 6  # some of the pages had found room


def test_fault_87_a_database_that_may_not_grow(file):
    filled(file, 100)
    with opened(file) as store:
        store.db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(BadRequest, match="full"):
            many = range(FIRST + 100, FIRST + 1100)
            store.keep(many[0], many[-1], rows(*many), LATE, "a")
        assert store.spans(FIRST, FIRST + 2000) == [(FIRST, FIRST + 99)]
        assert len(store.read(FIRST, FIRST + 2000)) == 100


def test_fault_88_a_missing_folder_is_made(tmp_path):
    file = tmp_path / "not" / "yet" / "candles.sqlite"
    want = filled(file, 50)
    same_candles(offline(file, 50), want)


def _parent_is_a_file(folder):
    (folder / "taken").write_text("here")
    return folder / "taken" / "candles.sqlite"


def _is_a_folder(folder):
    (folder / "folder").mkdir()
    return folder / "folder"


def _loop(folder):
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


@pytest.mark.parametrize("make", [_parent_is_a_file, _is_a_folder, _loop])
def test_fault_88_without_a_place_the_data_come_and_the_path_is_named(tmp_path, make):
    file, served = make(tmp_path), made_up(11)
    with serve(served) as url:
        with pytest.warns(RuntimeWarning, match=f"cache {file} cannot be used .*not kept"):
            frame = load_klines(start=at(0), base_url=url, cache=file)
        same_candles(frame, served[:10])
        assert frame.attrs["cache"] is None and frame.attrs["cached"] == 0


# --- Two processes, and a process that is killed ---


def test_fault_89_two_processes_fill_one_file(file):
    served = made_up(5001)
    with serve(served) as url:
        both = [child(url, file, 4999) for _ in range(2)]
        assert [process.communicate(timeout=100)[0] for process in both] == ["5000\n", "5000\n"]
    same_candles(offline(file, 5000), served[:5000])
    with opened(file) as store:
        assert store.spans(FIRST, FIRST + 4999) == [(FIRST, FIRST + 4999)]
        assert store.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.slow
@pytest.mark.parametrize("pages", [0, 1, 3])
def test_fault_90_killed_at_any_moment_it_holds_whole_pages(file, pages):
    served, pause = made_up(5001), 0.002 * pages
    with serve(served) as url:
        process = child(url, file, 4999)
        while len(url.log) <= pages and process.poll() is None:
            time.sleep(0.001)
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        with opened(file) as store:
            held = store.read(FIRST, FIRST + 4999)
            assert store.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert len(held) % 1000 == 0 and len(held) <= 1000 * (pages + 2)
        assert list(held) == list(range(FIRST, FIRST + len(held)))
        asked = len(url.log)
        same_candles(
            load_klines(start=at(0), end=at(4999), base_url=url, cache=file), served[:5000]
        )
        assert len(url.log) - asked <= 6 - len(held) // 1000
    assert os.listdir(file.parent) == [file.name]


def test_fault_90_killed_inside_a_transaction_it_holds_the_old_state(file):
    filled(file, 1000)
    code = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA cache_spill = 1'); db.execute('PRAGMA cache_size = 1')\n"
        "db.execute('BEGIN IMMEDIATE'); db.execute(\"UPDATE candles SET close = '1'\")\n"
        "db.execute('DELETE FROM spans'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)]).returncode == -signal.SIGKILL
    assert Path(f"{file}-journal").exists()  # the killed one had begun to write
    same_candles(offline(file, 1000), made_up(1000))


def test_a_writer_that_waits_too_long_says_so(file, monkeypatch):
    filled(file, 10)
    monkeypatch.setattr(_candle_file, "PATIENCE", 0.05)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with opened(file) as store:
        with pytest.raises(BadRequest, match="database is locked.*end the other program"):
            store.keep(FIRST + 10, FIRST + 10, {}, LATE, "a")
    other.close()


def test_fault_89_a_page_that_another_process_keeps_meanwhile_is_not_lost(file, monkeypatch):
    served, real = made_up(2001), CandleStore.missing
    with serve(served) as url:
        load_klines(start=at(0), end=at(999), base_url=url, cache=file)

        def beaten(store, first, last):
            monkeypatch.setattr(CandleStore, "missing", real)
            monkeypatch.setattr(CandleStore, "read", read)
            load_klines(start=at(0), end=at(1999), base_url=url, cache=file)
            return real(store, first, last)

        def beaten_at_read(store, first, last):
            beaten(store, first, last)
            return read(store, first, last)

        read = CandleStore.read
        for name, quicker in [("missing", beaten), ("read", beaten_at_read)]:
            monkeypatch.setattr(CandleStore, name, quicker)
            frame = load_klines(start=at(0), end=at(1999), base_url=url, cache=file)
            same_candles(frame, served[:2000])
            file.unlink()
            load_klines(start=at(0), end=at(999), base_url=url, cache=file)


# --- Where it is ---


def test_the_place_is_the_systems_own_unless_named(monkeypatch, tmp_path):
    monkeypatch.delenv("BYZLIB_BYBIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_path() == default_cache() == tmp_path / "byzlib" / "candles.sqlite"
    monkeypatch.setenv("BYZLIB_BYBIT_CACHE", str(tmp_path / "a.sqlite"))
    assert cache_path() == tmp_path / "a.sqlite" and cache_path("b").name == "b"
    for platform, part in [("darwin", "Library"), ("win32", "AppData")]:
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.delenv("LOCALAPPDATA", raising=False)
        assert part in str(default_cache())


@pytest.mark.parametrize("path", ["", 5, b"x", "a\0b", ["x"]])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(BadRequest, match="cache needs the path of a file"):
        offline(path)
