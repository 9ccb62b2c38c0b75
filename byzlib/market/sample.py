"""The offline sample: simulated candles that ship with the library. CARD.md describes them."""

import gzip
import hashlib
import io
from importlib import resources

import numpy as np
import pandas as pd

FOLDER = resources.files("byzlib.market")


def load_sample(name="BTCUSDT"):
    """The offline sample: 90 days of simulated five-minute candles.

    name : "BTCUSDT" or "ETHUSDT"; the two move together. Returns a DataFrame as
    `byzlib.market.simulate` does. ValueError if its bytes differ from the published checksum,
    FileNotFoundError if a file is missing from the installation.
    """
    lines = _read("SHA256SUMS").decode("ascii").splitlines()
    sums = {file: digest for digest, file in (line.split() for line in lines)}
    if (file := f"{name}_5m.csv.gz") not in sums:
        names = ", ".join(file.split("_")[0] for file in sums)
        raise ValueError(f"no sample {name!r}; there are {names}")
    packed = _read(file)
    if (found := hashlib.sha256(packed).hexdigest()) != sums[file]:
        raise ValueError(
            f"sample file {file} was altered: its sha256 is {found[:12]}..., published is "
            f"{sums[file][:12]}...; install byzlib again"
        )
    # Not pandas: its older parsers may miss the nearest float by a digit.
    text = io.StringIO(gzip.decompress(packed).decode("ascii"))
    columns = text.readline().strip().split(",")
    numbers = np.loadtxt(text, delimiter=",")
    times = pd.to_datetime(numbers[:, 0].astype("int64"), unit="ms", utc=True).as_unit("ms")
    candles = pd.DataFrame(numbers[:, 1:], columns=columns[1:], index=times.rename("open_time"))
    market = {"source": "simulated", "category": "linear", "symbol": name, "interval": "5"}
    candles.attrs = market | {"gaps": [], "dropped": {}}
    return candles


def _read(file):
    try:
        return (FOLDER / file).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"sample file {file} is missing; install byzlib again") from None
