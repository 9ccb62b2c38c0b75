"""Pages of candles: windows asked one by one, every row accounted for, and the frame at the end."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
from tqdm import tqdm

from byzlib.market import _bybit_wire as wire
from byzlib.market._bybit_errors import (
    DISTRUST,
    BadRequest,
    BadResponse,
    Trouble,
)
from byzlib.market._bybit_request import PAGE
from byzlib.market._candle_times import utc

UNITS = {
    "linear": {"volume": "base coin", "turnover": "quote coin"},
    "spot": {"volume": "base coin", "turnover": "quote coin"},
    "inverse": {"volume": "quote coin", "turnover": "base coin"},
}
NAMED = 20  # jumps that attrs names; it counts all


@dataclass
class Harvest:
    """What came: closed candles by number, the one that still moves, and what was left out."""

    asked: object
    strict: bool = False
    candles: dict = field(default_factory=dict)
    unfinished: tuple | None = None
    clock: int = 0
    dropped: dict = field(
        default_factory=lambda: dict.fromkeys(("unfinished", "duplicates", "outside", "columns"), 0)
    )

    @property
    def closed(self):
        """The last candle that the server's clock says is closed."""
        return self.asked.number(self.clock) - 1

    def page(self, line, window):
        """Ask for one window of candles, and sort its rows in."""
        start, end = self.asked.opens(window[0]), self.asked.opens(window[-1])
        envelope = line.ask(
            "/v5/market/kline", **self.asked.market, start=start, end=end, limit=PAGE
        )
        rows, longer = wire.rows(envelope, self.asked.market, PAGE, self.strict)
        self._check_window([number for number, _ in rows] or window, window)
        self.clock = max(self.clock, wire.clock(envelope))
        self.dropped["columns"] += longer
        closed = self.asked.number(wire.clock(envelope)) - 1
        return {number: row for number, row in rows if self._sorted_in(number, row, closed)}

    def _check_window(self, numbers, window):
        # One candle more at either end is a habit of the server; anything further is another range.
        if min(numbers) < window[0] - 1 or max(numbers) > window[-1] + 1:
            came = (
                f"{self.asked.when(min(numbers), max(numbers))} for the window "
                f"{self.asked.when(window[0], window[-1])}"
            )
            raise Trouble(BadResponse, came, DISTRUST)

    def _sorted_in(self, number, row, closed):
        """Whether a row is a closed candle; one of those asked for is put among the candles."""
        if number > closed:
            self.unfinished = number, row
            self.dropped["unfinished"] += 1
        elif not self.asked.first <= number <= self.asked.last:
            self.dropped["outside"] += 1
        elif (before := self.candles.setdefault(number, row)) is not row:
            if before != row:
                opened = utc(self.asked.opens(number))
                came = f"two candles for {opened}: {_show(before)} and {_show(row)}"
                raise Trouble(BadResponse, came, DISTRUST)
            self.dropped["duplicates"] += 1
        return number <= closed


def _show(row):
    return "(" + ", ".join(row) + ")"


def collect(line, harvest, spans, max_pages, progress, keep=None):
    """Ask for every window of `spans`, up to the server's clock.

    `keep(first, last, candles, clock)` is told of each page what it proves: all closed candles of
    a window, which the reply holds as far as the exchange does.
    """
    pages, believed, empty = _windows(spans), False, []
    asked, done = harvest.asked, 0
    # None: no bar where stderr is no terminal.
    shown = {"desc": asked.market["symbol"], "disable": None if progress else True}
    with tqdm(unit="page", delay=1.0, **shown) as bar:
        for window in pages:
            # Nothing lies beyond the server's clock: the first reply tells where to stop.
            if done and window[0] > harvest.closed + 1:
                break
            try:
                candles = harvest.page(line, window)
            except Trouble as trouble:
                trouble.missing = window[0]
                raise
            done += 1
            bar.total = _count(spans, harvest.closed)
            if done == 1 and bar.total > max_pages:
                raise _too_long(bar.total, max_pages)
            bar.update()
            proven = _proves(window, candles, harvest.closed)
            if keep and proven >= window[0]:
                empty.append((window[0], proven, candles, harvest.clock))
                # A server that is broken may send empty pages: they count beside full ones.
                believed = believed or bool(candles)
                while believed and empty:
                    keep(*empty.pop(0))


def _windows(spans):
    for first, last in spans:
        for start in range(first, last + 1, PAGE):
            yield range(start, min(start + PAGE, last + 1))


def _count(spans, closed):
    """Pages of the spans up to the candle that is open now."""
    lengths = (min(last, closed + 1) - first + 1 for first, last in spans)
    return max(1, sum(math.ceil(max(0, length) / PAGE) for length in lengths))


def _too_long(pages, max_pages):
    came = f"a range of {pages} pages of {PAGE} candles, and max_pages is {max_pages}"
    return Trouble(BadRequest, came, f"give max_pages={pages} if you mean it, or a shorter range")


def _proves(window, candles, closed):
    """The last candle that a page accounts for.

    The newest ones may still be on their way into the exchange's list: their absence says nothing.
    """
    if window[-1] < closed:
        return window[-1]
    inside = [number for number in candles if number in window]
    return max(inside, default=window[0] - 1)


# --- The frame ---


def frame(harvest, candles, closed_only, source):
    """Closed candles as fetch_klines returns them; `candles` by number, as decimals in text."""
    asked, last = harvest.asked, harvest.asked.last
    if harvest.clock:
        last = min(last, harvest.closed)
    unfinished = None
    if not closed_only and harvest.unfinished and harvest.unfinished[0] == last + 1 <= asked.last:
        unfinished, row = harvest.unfinished
        candles, last = candles | {unfinished: row}, last + 1
        harvest.dropped["unfinished"] -= 1
    if last < asked.first:
        came = f"no closed candle yet: the server's clock says {utc(harvest.clock)} UTC"
        raise Trouble(BadResponse, came, "ask again later")
    if not candles:
        came = f"0 of {last - asked.first + 1} closed candles"
        advice = "check the range and its unit (milliseconds), and when the symbol was listed"
        raise Trouble(BadResponse, came, advice)
    numbers = sorted(candles)
    values = np.array([float(text) for number in numbers for text in candles[number]])
    table = pd.DataFrame(
        values.reshape(-1, len(wire.COLUMNS)), _moments(asked, numbers), list(wire.COLUMNS)
    )
    gaps = _gaps(asked, numbers, last)
    if harvest.strict and gaps:
        start, _, length = gaps[0]
        came = f"{len(gaps)} gaps, the first of {length} candles from {start:%Y-%m-%d %H:%M}"
        raise Trouble(BadResponse, came, "ask without strict=True to have the candles around them")
    jumps = _jumps(numbers, table)
    table.attrs = {
        "source": f"bybit {source}",
        **asked.market,
        "units": UNITS[asked.market["category"]],
        "gaps": gaps,
        "dropped": harvest.dropped,
        "n_jumps": len(jumps),
        "jumps": [(table.index[i - 1], table.index[i]) for i in jumps[:NAMED]],
        "unfinished": None if unfinished is None else table.index[-1],
    }
    return table


def _moments(asked, numbers):
    opened = [asked.opens(number) for number in numbers]
    return pd.to_datetime(opened, unit="ms", utc=True).as_unit("ms").rename("open_time")


def _gaps(asked, numbers, last):
    return [
        (*_moments(asked, [before + 1, after - 1]), after - before - 1)
        for before, after in pairwise([asked.first - 1, *numbers, last + 1])
        if after - before > 1
    ]


def _jumps(numbers, table):
    """Candles that do not open where the one before closed, though none lies between.

    Bybit's never do (1.5 million real ones were looked at), and nothing promises it.
    """
    opened, closed = table["open"].to_numpy(), table["close"].to_numpy()
    return 1 + np.flatnonzero((np.diff(numbers) == 1) & (opened[1:] != closed[:-1]))
