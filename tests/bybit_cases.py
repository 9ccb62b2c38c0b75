"""What the tests of the market-data client share: made-up candles, requests that meet faults."""

import random

import numpy as np
import pandas as pd
import pytest

from byzlib.market import BybitError, fetch_klines
from byzlib.market import _bybit_http as http
from byzlib.market import _bybit_wire as wire
from tests.bybit_server import Reply, serve

STEP = 300_000
T0 = 1_714_521_600_000  # 2024-05-01 00:00 UTC


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Retries wait milliseconds; nothing of the caller's environment leaks in or is written to."""
    monkeypatch.setattr(http, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(http, "PACE", 0.0)
    monkeypatch.delenv("BYZLIB_BYBIT_URL", raising=False)
    monkeypatch.setenv("BYZLIB_BYBIT_CACHE", str(tmp_path / "candles.sqlite"))


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


def with_neighbour(rows, i, **changes):
    """An edit that adds candle i to a reply."""

    def edit(reply):
        row = dict(zip(wire.COLUMNS, rows[i][1:], strict=True))
        reply["result"]["list"].append([str(rows[i][0]), *(row | changes).values()])
        return reply

    return edit


def code(number, said="", **more):
    return Reply({"retCode": number, "retMsg": said, "result": {}, "time": at(10)} | more)
