"""Bybit's market data on this machine: real or made-up candles, and any fault on request.

    python -m tests.bybit_server FILE --port 8123
    BYZLIB_BYBIT_URL=http://127.0.0.1:8123 python ...

replays a candle file: csv or csv.gz with ts_ms,open,high,low,close,volume[,turnover[,source]], as
`python -m byzlib.market --out` writes it. In a test:

    with serve(rows, script=[Reply(status=503)]) as url:
        fetch_klines(..., base_url=url)
        assert len(url.log) == 2

It keeps to what is documented or was recorded of `/v5/market/kline` and `/v5/market/time`: seven
strings a row, newest first, bounds on the open time and inclusive, the candle that holds an
unaligned start, 200 rows when no limit is given and 1000 at most, and the newest candle while it
still moves, unmarked. It knows nothing of byzlib, so that neither can hide a mistake of the other.
"""

import argparse
import gzip
import json
import random
import re
import socket
import struct
import sys
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

MINUTES = {**{str(m): m for m in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)}, "D": 1440}
PERIODS = {*MINUTES, "W", "M"}
DAY = 86_400_000


def opening(ms, interval):
    """The open time of the candle that holds `ms`: weeks open on Monday, months on the 1st."""
    if interval == "M":
        day = datetime.fromtimestamp(ms // 1000, UTC)
        return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * 1000
    if interval == "W":
        return ms - (ms - 4 * DAY) % (7 * DAY)
    return ms - ms % (MINUTES[interval] * 60_000)


class Market:
    """One series of candles and a clock that stands still.

    Parameters
    ----------
    rows : iterable of rows: open time in ms, open, high, low, close, volume[, turnover]
        Printed as they are. A missing turnover is volume * close (inverse: volume / close),
        which `self.approximate` then says.
    now : int, optional
        The server's clock, in ms. Default: just inside the last candle, which is then unfinished.
    """

    def __init__(self, rows, category="linear", symbol="BTCUSDT", interval="5", now=None):
        self.category, self.symbol, self.interval = category, symbol, interval
        self.rows = [[str(value) for value in row] for row in rows]
        self.times = [int(row[0]) for row in self.rows]
        if not self.times or sorted(set(self.times)) != self.times:
            raise ValueError("a replay needs candles that follow each other in time")
        for opened in self.times:
            if opening(opened, interval) != opened:
                raise ValueError(f"{opened} is no open time of interval {interval}")
        self.approximate = any(len(row) == 6 for row in self.rows)
        self.rows = [row if len(row) == 7 else [*row, self._turnover(row)] for row in self.rows]
        self.now = now if now is not None else self.times[-1] + 1000

    def _turnover(self, row):
        volume, close = Decimal(row[5]), Decimal(row[4])
        product = round(volume / close, 8) if self.category == "inverse" else volume * close
        return f"{product.normalize():f}"

    def answer(self, path, asked):
        """Status, and the envelope."""
        if path == "/v5/market/time":
            nano = f"{self.now}000000"
            return 200, self._envelope({"timeSecond": str(self.now // 1000), "timeNano": nano})
        if path != "/v5/market/kline":
            return 404, b""
        if wrong := self._wrong(asked):
            return 200, self._envelope({}, 10001, wrong)
        rows = self._rows(asked.get("start"), asked.get("end"), int(asked.get("limit", 200)))
        result = {"symbol": self.symbol, "category": self.category, "list": rows}
        return 200, self._envelope(result)

    def _envelope(self, result, code=0, said="OK"):
        head = {"retCode": code, "retMsg": said}
        return head | {"result": result, "retExtInfo": {}, "time": self.now}

    def _wrong(self, asked):
        if asked.get("interval") not in PERIODS:
            return "Invalid period!"
        if (asked.get("category", "linear"), asked.get("symbol")) != (self.category, self.symbol):
            return "Not supported symbols"
        if asked["interval"] != self.interval:
            return f"Invalid period! This replay holds interval {self.interval} alone"
        for name in ("start", "end", "limit"):
            if not re.fullmatch("[0-9]{1,16}", asked.get(name, "1")):
                return f"params error: {name} invalid"
        return "" if 1 <= int(asked.get("limit", 200)) <= 1000 else "params error: limit invalid"

    def _rows(self, start, end, limit):
        """Both bounds: the newest `limit` between them. A start alone: the first `limit`."""
        first = 0 if start is None else bisect_left(self.times, opening(int(start), self.interval))
        stop = bisect_right(self.times, min(self.now, self.now if end is None else int(end)))
        if start is not None and end is None:
            stop = min(stop, first + limit)
        return self.rows[max(first, stop - limit) : stop][::-1]


@dataclass
class Reply:
    """A canned reply. `raw` replaces everything that would be sent; `pause` is the silence before
    the first byte, `delay` the one before each further byte; `reset` ends in a broken connection.
    """

    body: bytes | str | dict = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    raw: bytes | None = None
    pause: float = 0.0
    delay: float = 0.0
    reset: bool = False

    def to_bytes(self):
        if self.raw is not None:
            return self.raw
        body = json.dumps(self.body) if isinstance(self.body, dict) else self.body
        body = body.encode() if isinstance(body, str) else body
        headers = {"Content-Type": "application/json", "Content-Length": len(body)} | self.headers
        head = [f"HTTP/1.1 {self.status} Status"]
        head += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        return "\r\n".join([*head, "", ""]).encode() + body


class Url(str):
    """The server's address, with `log`: a (path, parameters) pair for each request seen, `script`,
    what it will say next, and `market`, what it serves."""

    log: list
    script: list
    market: Market


@contextmanager
def serve(candles, *, script=(), port=0, **market):
    """A server on loopback for the time of a `with` block.

    Parameters
    ----------
    candles : path of a candle file, or rows as `Market` takes them
    script : list, consumed one a request; afterwards the service is normal
        `Reply`: sent as it is. A function: takes the envelope of the true answer and returns what
        to send instead, an envelope, a body or a `Reply`. None: the true answer.
    **market
        category, symbol, interval, now.
    """
    if isinstance(candles, str | Path):
        market = guess(candles) | market
        candles = read_candles(candles)
    server = _Server(port, Market(candles, **market), list(script))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield server.url
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, market, script):
        super().__init__(("127.0.0.1", port), _Handler)
        self.market, self.script = market, script
        self.stopping, self.lock = threading.Event(), threading.Lock()
        self.url = Url(f"http://127.0.0.1:{self.server_address[1]}")
        self.url.log, self.url.market, self.url.script = [], market, self.script

    def next_reply(self, path, asked):
        with self.lock:
            self.url.log.append((path, asked))
            step: Reply | Callable | None = self.script.pop(0) if self.script else None
        if isinstance(step, Reply):
            return step
        status, envelope = self.market.answer(path, asked)
        changed = step(envelope) if step else envelope
        return changed if isinstance(changed, Reply) else Reply(changed, status)

    def handle_error(self, request, client_address):
        """Clients of these tests hang up on purpose; anything else is a fault of the server."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self):
        url = urlsplit(self.path)
        asked = dict(parse_qsl(url.query, keep_blank_values=True))
        if self.headers.get("Content-Length", "0") == "0":
            return self._send(self.server.next_reply(url.path, asked))
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(Reply("<HTML>403 ERROR Bad request.</HTML>", 403))

    def _send(self, reply):
        pause, data = self.server.stopping.wait, reply.to_bytes()
        pause(reply.pause)
        step = 1 if reply.delay else max(1, len(data))
        for i in range(0, len(data), step):
            self.wfile.write(data[i : i + step])
            if pause(reply.delay):
                break
        if reply.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        if reply.reset or reply.raw is not None or "Content-Length" in reply.headers:
            self.close_connection = True

    def log_message(self, *_):
        pass


HEAD = "ts_ms,open,high,low,close,volume"


def read_candles(path):
    """The rows of a candle file, as text; where a spreadsheet has spoilt it, the line is named."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        head, *lines = file.read().splitlines() or [""]
    if head not in (HEAD, HEAD + ",turnover", HEAD + ",turnover,source"):
        raise ValueError(f"{path}, line 1 needs {HEAD}[,turnover[,source]]; has {head!r}")
    numbers = min(6, head.count(","))
    form = rf"[0-9]{{13}}(,[0-9]+(\.[0-9]+)?){{{numbers}}}"
    form += "(,[^,]+)" if "source" in head else ""
    for number, line in enumerate(lines, 2):
        if not re.fullmatch(form, line):
            raise ValueError(f"{path}, line {number} is not {head} in plain numbers: {line!r}")
    return [line.split(",")[:7] for line in lines]


def guess(path):
    """Category, symbol and interval from a name like bybit_linear_BTCUSDT_5m_2024.csv.gz."""
    found = re.match(r"[^_]+_([a-z]+)_([A-Z0-9]+)_([0-9]+)([mhdw])_", Path(path).name)
    if not found:
        return {}
    category, symbol, count, unit = found.groups()
    minutes = int(count) * {"m": 1, "h": 60, "d": 1440, "w": 10080}[unit]
    interval = {1440: "D", 10080: "W"}.get(minutes, str(minutes))
    category = {"usdm": "linear"}.get(category, category)
    return {"category": category, "symbol": symbol, "interval": interval}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m tests.bybit_server",
        description="Replay a candle file as Bybit's market data, on this machine only.",
    )
    add, usual = parser.add_argument, "default: from the file's name"
    add("file", help="csv or csv.gz: ts_ms,open,high,low,close,volume[,turnover]")
    add("--port", type=int, default=8123, help="0 takes a free one")
    add("--category", choices=["linear", "spot", "inverse"], help=usual)
    add("--symbol", help=usual)
    add("--interval", choices=sorted(PERIODS), help=usual)
    add("--now", type=int, metavar="MS", help="the server's clock; default: in the last candle")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value}
    file, port = given.pop("file"), given.pop("port", 0)
    market = guess(file) | given
    if not {"category", "symbol", "interval"} <= set(market):
        parser.error("the file's name does not tell: give --symbol, --category and --interval")
    try:
        server = _Server(port, Market(read_candles(file), **market), [])
    except (OSError, ValueError) as error:
        parser.error(str(error))
    market = server.market
    print(f"{len(market.rows)} candles of {market.category} {market.symbol} {market.interval}")
    print(f"the server's clock stands at {market.now}")
    if market.approximate:
        how = "/" if market.category == "inverse" else "*"
        print(f"note: the file has no turnover; it is approximated by volume {how} close")
    print(f"BYZLIB_BYBIT_URL={server.url}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


# --- Made-up candles, and the look of a frame of them ---

STEP = 300_000
T0 = 1_714_521_600_000  # 2024-05-01 00:00 UTC


def at(i):
    return T0 + i * STEP


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


def same_candles(frame, rows):
    """Assert that a frame of the loader holds these rows, exactly and in its documented form."""
    assert list(frame.columns) == ["open", "high", "low", "close", "volume", "turnover"]
    assert (frame.dtypes == "float64").all()
    assert frame.index.name == "open_time" and str(frame.index.dtype) == "datetime64[ms, UTC]"
    assert list(frame.index.astype("int64")) == [int(row[0]) for row in rows]
    assert frame.to_numpy().tolist() == [[float(x) for x in row[1:]] for row in rows]


if __name__ == "__main__":
    main()
