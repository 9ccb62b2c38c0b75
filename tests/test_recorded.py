"""The client against real candles and recorded replies, where their folder is found."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from byzlib.market import (
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
from tests.bybit_server import STEP, T0, Reply, guess, made_up, same_candles, serve

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("BYZLIB_SHARED_DATA") or ROOT.parent / "shared" / "data")
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded data (BYZLIB_SHARED_DATA) are not here"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(bybit, "BACKOFF", 0.002)
    monkeypatch.delenv("BYZLIB_BYBIT_URL", raising=False)
    monkeypatch.setenv("BYZLIB_BYBIT_CACHE", str(tmp_path / "candles.sqlite"))


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


@pytest.mark.parametrize("name", KNOWN)
def test_features_and_labels_have_the_known_figures(name):
    (path,) = SHARED.glob(f"{name}_5m_*.csv.gz")
    candles = read_candles(path)
    spread, shares = KNOWN[name]
    assert round(1e4 * np.log(candles["close"]).diff().std(), 2) == spread
    assert [round(100 * (labels(candles) == k).mean(), 1) for k in range(3)] == shares
    still = (candles["volume"].iloc[:-2] == 0).sum()  # the next volume ratio is undefined
    assert len(dataset(candles)[0]) == len(candles) - 2 - still
