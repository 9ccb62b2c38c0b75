"""The client against real candles and recorded replies, where their folder is found."""

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from byzlib.market import (
    BadResponse,
    BybitError,
    RateLimited,
    RegionBlocked,
    UnknownSymbol,
    Unreachable,
    features,
    fetch_klines,
    load_klines,
)
from tests.bybit_cases import (
    STEP,
    T0,
    made_up,
    quick,  # noqa: F401 -- a fixture for every test here
    same_candles,
)
from tests.bybit_server import Market, Reply, guess, read_candles, serve

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("BYZLIB_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded data (BYZLIB_SHARED_DATA) are not here"
)
NOBODY = "http://127.0.0.1:9"


# --- Recorded replies: candles and unfinished ones, or the type of the error ---

RECORDED_GOOD = {
    "ok_inverse_1h_docs.json": (3, 0),
    "ok_linear_D_start_end_limit3.json": (3, 0),
    "ok_linear_1m_unfinished_first_row.json": (4, 1),
    "ok_linear_1h_unfinished_2026.json": (1, 1),
    "ok_spot_1h_hummingbot.json": (5, 0),
    "ok_spot_1m_unaligned_start.json": (2, 0),
}
RECORDED_BAD = {
    "ok_empty_list.json": (BadResponse, "0 of"),
    "ok_spot_5m_limit1_unfinished.json": (BadResponse, "no closed candle yet"),
    "premium_index_5_columns.json": (BadResponse, "5 columns"),
    "err_10001_invalid_period.json": (BadResponse, "intervals are 1, 3, 5"),
    "err_10001_symbol_params_err.json": (UnknownSymbol, "spelling of the symbol"),
    "err_10001_unknown_symbol.json": (UnknownSymbol, "TSLAXUSDT"),
    "err_10006_too_many_visits.json": (RateLimited, "(tried 4 times)"),
    "err_10016_server_error.json": (Unreachable, "(tried 4 times)"),
    "err_5004_server_timeout.json": (Unreachable, "(tried 4 times)"),
    "err_v2_style_envelope.json": (BadResponse, "ret_code"),
    "http403_cloudfront_country.html": (RegionBlocked, "block access from your country"),
    "http403_cloudfront_bad_request.html": (BadResponse, "a body"),
}


def ask_recorded(name, ask=fetch_klines, **options):
    """The request of the record, widened to its rows, answered with the recorded body."""
    folder = SHARED / "recorded_responses"
    index = {entry["file"]: entry for entry in json.loads((folder / "INDEX.json").read_text())}
    asked, body = index[name]["request"], (folder / name).read_bytes()
    reply = Reply(body, asked.get("status", 200))
    result = (json.loads(body) if name.endswith(".json") else {}).get("result") or {}
    times = [int(row[0]) for row in result.get("list", [])] or [T0, T0 + STEP]
    # Bybit would be asked for no interval that it does not have: "3d" never leaves this machine.
    interval = {"3d": "5"}.get(asked.get("interval"), asked.get("interval", "5"))
    with serve(made_up(3), script=[reply] * 4) as url:
        return ask(
            asked.get("symbol", "BTCUSDT"), interval, min(times), max(times),
            category=asked.get("category", "linear"), base_url=url, **options,
        )  # fmt: skip


@pytest.mark.parametrize("name", RECORDED_GOOD)
@pytest.mark.parametrize("ask", [fetch_klines, load_klines])
def test_recorded_replies_are_read(name, ask):
    frame = ask_recorded(name, ask)
    assert (len(frame), frame.attrs["dropped"]["unfinished"]) == RECORDED_GOOD[name]
    assert frame.attrs["gaps"] == [] and frame.index.is_monotonic_increasing
    assert frame.attrs["n_jumps"] == 0  # on Bybit a candle opens where the last one closed
    Path(os.environ["BYZLIB_BYBIT_CACHE"]).unlink(missing_ok=True)
    marked = ask_recorded(name, ask, closed_only=False)
    assert len(marked) == sum(RECORDED_GOOD[name])


@pytest.mark.parametrize("name", RECORDED_BAD)
@pytest.mark.parametrize("ask", [fetch_klines, load_klines])
def test_recorded_refusals_have_their_type(name, ask):
    kind, said = RECORDED_BAD[name]
    with pytest.raises(BybitError) as error:
        ask_recorded(name, ask)
    assert type(error.value) is kind and said in str(error.value)


def test_every_recorded_body_is_tried():
    files = {path.name for path in (SHARED / "recorded_responses").iterdir()} - {"INDEX.json"}
    assert files == {*RECORDED_GOOD, *RECORDED_BAD}


# --- Real candles ---

# The replayed file; how many of its candles; the share of them that do not open where the last
# one closed: none on Bybit, about half on Binance.
FILES = {
    "bybit_linear_BTCUSDT": (1500, 0),
    "bybit_linear_ETHUSDT": (1500, 0),
    "bybit_linear_SOLUSDT": (1500, 0),
    "bybit_linear_LINKUSDT": (1500, 0),
    "bybit_linear_CTKUSDT": (1500, 0),
    "bybit_linear_BALUSDT": (1500, 0),
    "bybit_spot_BTCUSDT": (1500, 0),
    "binance_spot_BTCUSDT": (1500, 0.4),
    "binance_spot_ETHUSDT": (1500, 0.4),
    "binance_usdm_BTCUSDT": (1500, 0.4),
}


@functools.cache
def replay(name):
    """The market of a file, and the rows of it."""
    (path,) = SHARED.glob(f"{name}_5m_*.csv.gz")
    return guess(path), read_candles(path)


@pytest.mark.parametrize("name", FILES)
def test_real_candles_come_through_whole_and_are_kept_whole(name):
    n, share = FILES[name]
    market, rows = replay(name)
    rows = Market(rows[-n:], **market).rows
    asked = {"start": int(rows[0][0]), "end": int(rows[-2][0])}
    what = {key: market[key] for key in ("symbol", "category")}
    with serve(rows, **market) as url:
        fetched = fetch_klines(**what, **asked, base_url=url, strict=True)
        loaded = load_klines(**what, **asked, base_url=url)
    kept = load_klines(**what, **asked, base_url=NOBODY)
    for frame in (fetched, loaded, kept):
        same_candles(frame, rows[:-1])
        assert frame.attrs["gaps"] == []
        jumps = frame.attrs["n_jumps"] / n
        assert share <= jumps <= share + 0.2 if share else jumps == 0


# Return standard deviation in basis points; Down, Flat, Up in percent. Measured independently of
# this library on the same files.
KNOWN = {
    "bybit_linear_BTCUSDT": (16.17, (17.1, 65.6, 17.3)),
    "bybit_linear_BALUSDT": (26.16, (27.0, 46.5, 26.5)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_features_and_labels_have_the_known_figures(name):
    market, rows = replay(name)
    with serve(rows, **market, now=int(rows[-1][0]) + STEP) as url:
        frame = load_klines(market["symbol"], start=int(rows[0][0]), base_url=url)
    assert len(frame) == len(rows) and frame.attrs["gaps"] == [] and frame.attrs["n_jumps"] == 0
    spread, shares = KNOWN[name]
    assert round(1e4 * np.log(frame["close"]).diff().std(), 2) == spread
    target = features.labels(frame)
    assert [round(100 * (target == k).mean(), 1) for k in range(3)] == list(shares)
    X, y, times = features.dataset(frame)
    assert np.isfinite(X).all() and len(X) == len(y) == len(times)
    still = (frame["volume"].iloc[:-2] == 0).sum()  # the next volume ratio is undefined
    assert len(X) == len(rows) - 2 - still
