"""Make the offline sample again: ``python -m byzlib.market.make_sample``."""

import gzip
import hashlib
import sys
from pathlib import Path

from byzlib.market.card import DAYS, SEED, START, SYMBOLS, render
from byzlib.market.simulation import simulate


def pack(candles):
    """A candle frame as gzip bytes that are the same on every run (no time of making inside)."""
    milliseconds = candles.index.as_unit("ms").astype("int64")
    table = candles.set_axis(milliseconds.rename("open_time"), axis=0)
    # Shortest decimals that read back as the same floats; 61234.0 is written as such.
    text = table.to_csv(lineterminator="\n")
    return gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0)


def main(folder):
    """Write the samples, their checksums and their card into `folder`."""
    frames = simulate(SYMBOLS, DAYS, SEED, start=START)
    sums = []
    for name, candles in frames.items():
        packed = pack(candles)
        (folder / f"{name}_5m.csv.gz").write_bytes(packed)
        sums.append(f"{hashlib.sha256(packed).hexdigest()}  {name}_5m.csv.gz\n")
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="ascii", newline="\n")
    (folder / "CARD.md").write_text(render(frames, sums), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parent))
