"""Make the offline sample and its card: `python -m notebooks.make_sample`.

The candles, their checksums and CARD.md go where `byzlib.market.load_sample`
finds them. Every number in the card is measured from the candles.
"""

import gzip
import hashlib

import numpy as np

from byzlib.market import labels, simulate
from byzlib.market.sample import FOLDER
from byzlib.market.stylized_facts import REAL, measure

SYMBOLS, DAYS, SEED, START = ("BTCUSDT", "ETHUSDT"), 90, 0, "2025-01-01"

CARD = """\
# Offline sample: two simulated markets, 90 days of five-minute candles

Nothing here was ever traded. The candles come from `byzlib.market.simulate`,
which was calibrated to public candles of Bybit's linear contracts; no real
candle is in the files or went into them. Use them to learn, to test and to
compare; draw no conclusion about a real market from them.

| file | candles | first open time | last open time |
|---|---|---|---|
{files}

Columns: `open_time` (milliseconds UTC), `open`, `high`, `low`, `close` (USDT),
`volume` (coins), `turnover` (USDT: volume times the mean of the four prices).
Read them with `byzlib.market.load_sample("BTCUSDT")`, which checks them first
and labels them `attrs["source"] == "simulated"`. Licence: CC BY 4.0, as the
text of the book.

## How made

`python -m notebooks.make_sample`, that is
`simulate({symbols}, days={days}, rng={seed}, start="{start}")`.
The seed was not chosen for its result: it is the first one.

## What it reproduces

"Real" is Bybit's linear BTCUSDT from 2025-01 to 2026-07, with the range within
which a simulated year counts as like it. Ninety days vary more than a year
does.
{misses}

| quantity | BTCUSDT here | real | like it | ETHUSDT here |
|---|---|---|---|---|
{rows}

The two symbols: returns correlate {correlation:.2f} (real 0.80), and
{equal:.0f} % of their labels are equal (real 70 %).

## What it does not

* Crashes: `simulate(crash=...)` makes one, the sample has none. The excess
  kurtosis of returns is {kurtosis:.0f} here; it is 100 in the real series,
  whose worst candle lost 8 %. The worst here lost {worst:.1f} %.
* Any sign of direction: the real one shows a weak reversal (returns repeat
  their sign 49.1 % of the time), here it is a fair coin.
* Thin markets: no candle without trades, none with high = low, no gap.
  `simulate("BALUSDT")` has the first two.
* Other rules of the market: `simulate(regimes=...)` draws restless, trending
  and falling ones by name; here is none.
* The return of the same hour: the memory of one day (lag 288) is weaker than
  in the real series.
* Funding, order books, news, listings, changes of tick size.

## Checksums (sha256)

```
{sums}```
"""


def card(frames, sums):
    """The text of CARD.md, from candles by symbol and lines of SHA256SUMS."""
    facts = {name: measure(candles) for name, candles in frames.items()}
    btc, eth = (facts[name] for name in SYMBOLS)
    closes = [np.log(frames[name]["close"].to_numpy()) for name in SYMBOLS]
    targets = [labels(frames[name]).to_numpy() for name in SYMBOLS]
    outside = [
        name
        for name, (_, low, high) in REAL.items()
        if not low <= btc[name] <= high
    ]
    files = [
        f"| {name}_5m.csv.gz | {len(c)} | {c.index[0]:%Y-%m-%d %H:%M} "
        f"| {c.index[-1]:%Y-%m-%d %H:%M} |"
        for name, c in frames.items()
    ]
    rows = [
        f"| {name.replace('|r|', 'abs r').replace('|acf|', 'abs acf')} "
        f"| {btc[name]:.3g} | {real:g} | {low:g} to {high:g} "
        f"| {eth[name]:.3g} |"
        for name, (real, low, high) in REAL.items()
    ]
    return CARD.format(
        files="\n".join(files),
        symbols=list(SYMBOLS),
        days=DAYS,
        seed=SEED,
        start=START,
        misses=f"BTCUSDT is outside in: {'; '.join(outside)}."
        if outside
        else "All are inside.",
        rows="\n".join(rows),
        correlation=np.corrcoef(*(np.diff(c) for c in closes))[0, 1],
        equal=100 * np.mean(targets[0] == targets[1]),
        kurtosis=btc["excess kurtosis"],
        worst=-100 * np.expm1(np.diff(closes[0]).min()),
        sums="".join(sums),
    )


def pack(candles):
    """Candles as gzip bytes that hold no time of making."""
    opened = candles.index.as_unit("ms").asi8
    # Shortest decimals that read back as the same floats.
    text = candles.set_axis(opened).to_csv(
        index_label="open_time", lineterminator="\n"
    )
    return gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0)


def main(folder=FOLDER):
    """Write the samples, their checksums and their card into `folder`."""
    frames = simulate(SYMBOLS, DAYS, SEED, start=START)
    sums = []
    for name, candles in frames.items():
        packed, file = pack(candles), f"{name}_5m.csv.gz"
        (folder / file).write_bytes(packed)
        sums.append(f"{hashlib.sha256(packed).hexdigest()}  {file}\n")
    for file, text in (
        ("SHA256SUMS", "".join(sums)),
        ("CARD.md", card(frames, sums)),
    ):
        (folder / file).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
