"""Faults that no single reply makes: ranges, places, files, and what becomes of odd candles.

The faults are numbered from 1 to 97; every number stands in the name of a test, or of a case of a
table, in one of the modules below, and the last test here says when one is missing.
"""

import importlib
import re
import socket
import ssl

import numpy as np
import pandas as pd
import pytest

from byzlib.market import (
    BadRequest,
    BadResponse,
    BybitError,
    Unreachable,
    _bybit_pages,
    features,
    fetch_klines,
    load_klines,
)
from byzlib.market import sample as datasets
from tests.bybit_cases import (
    T0,
    at,
    envelope,
    failure,
    fetch,
    made_up,
    moment,
    quick,  # noqa: F401 -- a fixture for every test here
    same_candles,
)
from tests.bybit_server import Reply, read_candles, serve

MODULES = ["test_bybit", "test_bybit_faults", "test_bybit_catalogue", "test_bybit_cache"]
MODULES += ["test_candle_store"]


# --- Ranges and pages ---


def test_fault_36_gaps_are_refused_when_strict():
    rows = made_up(30)
    held = [*rows[:7], *rows[9:]]
    with serve(held) as url:
        same_candles(fetch(url, 0, 20), [row for row in held if row[0] <= at(20)])
        with pytest.raises(
            BadResponse, match="1 gaps, the first of 2 candles from 2024-05-01 00:35"
        ):
            fetch(url, 0, 20, strict=True)
        same_candles(fetch(url, 10, 20, strict=True), rows[10:21])


def test_fault_37_the_unfinished_candle_comes_marked_when_asked_for():
    rows = made_up(10)
    with serve(rows) as url:
        frame = fetch(url, 0, 40, closed_only=False)
        same_candles(frame, rows)
        assert frame.attrs["unfinished"] == moment(9)
        assert frame.attrs["dropped"]["unfinished"] == 0 and frame.attrs["gaps"] == []
        assert fetch(url, 0, 40).attrs["unfinished"] is None
        assert fetch(url, 0, 5, closed_only=False).attrs["unfinished"] is None


def test_fault_38_a_limit_of_one_gives_a_closed_candle():
    rows = made_up(10)
    with serve(rows) as url:
        same_candles(fetch_klines(limit=1, base_url=url), rows[8:9])
    only = Reply(envelope(made_up(10)[9:], now=at(9) + 1))
    message, _ = failure(BadResponse, only, first=9, last=9)
    assert "no closed candle yet: the server's clock says 2024-05-01 00:45" in message


def test_fault_79_a_huge_range_is_refused_and_never_cut():
    rows = made_up(3002)
    with serve(rows) as url:
        for end in (at(2999), None):
            with pytest.raises(BadRequest, match="a range of [34] pages .* give max_pages=[34]"):
                fetch_klines(start=at(0), end=end, base_url=url, max_pages=2)
        same_candles(fetch(url, 0, 2999, max_pages=3), rows[:3000])
        ten_years = at(0) - 10 * 365 * 86_400_000
        with pytest.raises(BadRequest, match="a range of 52[0-9]{2} pages"):
            fetch_klines(interval="1", start=ten_years, end=at(9), base_url=_minutes(url))


def _minutes(url):
    """The same server, for another interval."""
    url.market.interval = "1"
    return url


def test_fault_58_59_units_are_said_and_markets_are_told_apart():
    units = {}
    for category in ("linear", "spot", "inverse"):
        with serve(made_up(4), category=category) as url:
            frame = fetch_klines(start=at(0), end=at(2), category=category, base_url=url)
            units[category] = frame.attrs["units"]
            assert frame.attrs["category"] == category
            with pytest.raises(BybitError):
                other = "spot" if category == "linear" else "linear"
                fetch_klines(start=at(0), end=at(2), category=other, base_url=url)
    assert units["linear"] == units["spot"] == {"volume": "base coin", "turnover": "quote coin"}
    assert units["inverse"] == {"volume": "quote coin", "turnover": "base coin"}


def test_fault_97_candles_that_do_not_open_where_the_last_one_closed_are_named():
    rows = made_up(60)
    rows[5] = (rows[5][0], "60001.5", "70000", "1", rows[5][4], *rows[5][5:])
    assert rows[5][1] != rows[4][4]
    with serve([*rows[:10], *rows[20:]]) as url:
        frame = fetch(url, 0, 30)
    # Only the edited one: the step across the gap says nothing.
    assert frame.attrs["jumps"] == [(moment(4), moment(5))] and frame.attrs["n_jumps"] == 1
    alien = [(row[0], "10", "12", "9", "11", "5", "55") for row in rows]
    with serve(alien) as url:
        frame = fetch(url, 0, 50)
    assert frame.attrs["n_jumps"] == 50 and len(frame.attrs["jumps"]) == 20


@pytest.mark.parametrize("progress, disable", [(True, None), (False, True)])
def test_the_bar_is_for_terminals_and_can_be_turned_off(monkeypatch, progress, disable):
    shown, real = [], _bybit_pages.tqdm
    monkeypatch.setattr(_bybit_pages, "tqdm", lambda **how: shown.append(how) or real(**how))
    with serve(made_up(11)) as url:
        fetch(url, progress=progress)
    assert shown[0]["disable"] is disable  # tqdm's None: where stderr is a terminal


# --- Places ---


def test_fault_66_a_connection_that_is_not_taken_ends_in_time():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # the queue holds one; later calls hang
        place = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for caller in waiting:
            caller.setblocking(False)
            caller.connect_ex(place)
        try:
            with pytest.raises(Unreachable, match=f"asked http://127.0.0.1:{place[1]} for"):
                fetch(f"http://127.0.0.1:{place[1]}", deadline=0.9)
        finally:
            for caller in waiting:
                caller.close()


def test_fault_66_a_name_that_is_not_found_is_named(monkeypatch):
    # No question leaves this machine: the resolver is replaced by its answer.
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match="http://no.such.host for .*Name or service not known"):
        fetch("http://no.such.host")


def test_fault_66_a_false_certificate_is_not_asked_twice(monkeypatch):
    # The handshake itself is real elsewhere; here only its verdict is made up.
    def forged(*_, **__):
        raise ssl.SSLCertVerificationError("certificate verify failed: self-signed")

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", forged)
    with serve(made_up(3)) as url:
        with pytest.raises(Unreachable, match="self-signed") as error:
            fetch(url.replace("http://", "https://"))
        assert "tried" not in str(error.value)


@pytest.mark.parametrize("target", ["/v5/market/kline", "http://api.bybit.com/", "//elsewhere", ""])
def test_fault_71_no_loop_no_downgrade(target):
    moved = Reply(status=302, headers={"Location": target})
    message, requests = failure(BadResponse, *[moved] * 9)
    assert f"a redirect to '{target}'" in message and requests == 1


def test_fault_91_without_a_network_the_sample_is_offered_and_not_given():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for ask in (fetch_klines, load_klines):
            with pytest.raises(Unreachable, match="load_sample"):
                ask(start=at(0), end=at(5), base_url=url)
    assert datasets.load_sample().attrs["source"] == "simulated"


def test_fault_92_an_altered_or_missing_sample_is_refused(monkeypatch, tmp_path):
    for path in datasets.FOLDER.iterdir():
        if path.name.endswith((".csv.gz", "SHA256SUMS")):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    file = next(tmp_path.glob("BTCUSDT*.csv.gz"))
    monkeypatch.setattr(datasets, "FOLDER", tmp_path)
    datasets.load_sample()
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match=f"{file.name} was altered"):
        datasets.load_sample()
    file.unlink()
    with pytest.raises(FileNotFoundError, match=file.name):
        datasets.load_sample()


# --- A candle file that went through a spreadsheet ---

HEAD, LINE = "ts_ms,open,high,low,close,volume\n", "1714521600000,10,12,9,11,5\n"


@pytest.mark.parametrize("text, where", [
    ("\ufeff" + HEAD + LINE, "line 1 needs ts_ms"),
    ((HEAD + LINE).replace(",", ";"), "line 1 needs ts_ms"),
    (HEAD + LINE + LINE.replace("1714521600000", "1.7E+12"), "line 3, column ts_ms: '1.7E.12'"),
    (HEAD + LINE.replace("10,", '"10,5",'), "line 2, column open: '10,5'"),
    (HEAD + LINE.replace(",5\n", "\n"), "line 2 has 5 columns"),
    ("", "line 1 needs ts_ms"),
])  # fmt: skip
def test_fault_86_a_spoiled_csv_is_refused_by_line_and_column(tmp_path, text, where):
    file = tmp_path / "bybit_linear_BTCUSDT_5m_spoiled.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=where):
        read_candles(file)
    file.write_bytes((HEAD + LINE).replace("\n", "\r\n").encode())
    assert read_candles(file) == [LINE.strip().split(",")]  # CRLF alone spoils nothing


# --- Odd candles further on: features and labels ---


def candles(*rows, interval="5"):
    """A frame as the client returns it, from rows of candle number and six numbers."""
    served = [(at(i), *map(str, values)) for i, *values in rows]
    with serve(served, now=at(1000)) as url:
        return fetch(url, 0, served[-1][0] // 300_000 - T0 // 300_000)


def test_fault_49_52_still_and_flat_candles_have_finite_features():
    frame = candles((0, 10, 10, 10, 10, 5, 50), (1, 10, 10, 10, 10, 0, 0),
                    (2, 10, 12, 9, 11, 4, 44), (3, 11, 11, 11, 11, 4, 44),
                    (4, 11, 12, 11, 12, 4, 44))  # fmt: skip
    table = features.engineer(frame)
    assert np.isfinite(table.to_numpy()).all()
    assert list(table.index) == [moment(i) for i in (1, 3, 4)]
    assert table.attrs["undefined"]["after zero volume"] == 1
    still = table.loc[moment(3)]
    assert still["body_ratio"] == still["upper_shadow"] == 0


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fault_93_a_few_equal_candles_make_empty_tables_with_a_reason(n):
    frame = candles(*[(i, 10, 10, 10, 10, 5, 50) for i in range(n)])
    table, target = features.engineer(frame), features.labels(frame)
    assert len(table) == n - 1 and len(target) == n - 1 and (target == 1).all()
    assert table.attrs["undefined"]["first candle"] == 1
    X, y, times = features.dataset(frame)
    assert X.shape == (max(0, n - 2), 4) and len(y) == len(times) == max(0, n - 2)


def test_fault_94_a_move_of_exactly_the_threshold_is_flat():
    closes = ["10000", "10010", "9999.99", "10010.0", "9999.98"]
    rows = [(i, c, c, c, c, 5, 50) for i, c in enumerate(closes)]
    # Exactly +0.1 %, exactly -0.1 %, a little more than +0.1 %, a little more than -0.1 %.
    assert list(features.labels(candles(*rows))) == [1, 1, 2, 0]
    exact = candles(*[(i, c, c, c, c, 5, 50) for i, c in enumerate(["0.659", "0.659659", "0.659"])])
    assert features.labels(exact).iloc[0] == 1


def test_fault_95_nothing_crosses_a_gap():
    frame = candles(*[(i, 10, 12, 9, 11, 5 + i, 50) for i in (0, 1, 2, 5, 6, 7)])
    assert frame.attrs["gaps"] == [(moment(3), moment(4), 2)]
    assert list(features.engineer(frame).index) == [moment(i) for i in (1, 2, 6, 7)]
    assert list(features.labels(frame).index) == [moment(i) for i in (0, 1, 5, 6)]


def test_fault_96_a_flash_crash_is_kept_and_its_features_are_finite():
    rows = [(i, 100, 101, 99, 100, 5, 500) for i in range(20)]
    rows[10] = (10, 100, 101, 8, 40, 9000, 99999)
    rows[11:] = [(i, 40, 41, 39, 40, 5, 500) for i in range(11, 20)]
    frame = candles(*rows)
    assert len(frame) == 20 and frame.attrs["gaps"] == [] and frame["low"].min() == 8
    X, y, times = features.dataset(frame)
    assert np.isfinite(X).all() and y[times == moment(9)] == 0
    assert np.abs(features.standardize(X)).max() <= 5


# --- None is forgotten ---


def numbers_of(module):
    """The faults that a module's tests name: test_fault_36_..., or a case called fault_36 ..."""
    found = set()
    for name, test in vars(module).items():
        if not name.startswith("test_"):
            continue
        if named := re.match("test_fault((?:_[0-9]+)+)", name):
            found |= {int(number) for number in named[1].split("_")[1:]}
        for mark in getattr(test, "pytestmark", []):
            cases = mark.args[1] if mark.name == "parametrize" else []
            ids = [getattr(case, "id", None) or "" for case in cases]
            found |= {int(text.split()[0][6:]) for text in ids if text.startswith("fault_")}
    return found


def test_every_fault_of_the_catalogue_has_a_test():
    found = [numbers_of(importlib.import_module(f"tests.{name}")) for name in MODULES]
    missing = set(range(1, 98)) - set().union(*found)
    assert not missing, f"no test for the faults {sorted(missing)}"
    assert set().union(*found) == set(range(1, 98)) and all(found)


def test_the_count_of_faults_can_fail():
    class Module:
        test_fault_3_4_something = pd.NA
        fault_5 = test_other = None

    assert numbers_of(Module) == {3, 4}
