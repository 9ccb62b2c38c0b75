"""The offline sample: simulated candles that ship with the library. CARD.md describes them."""

import gzip
import hashlib
import io
from importlib import resources

import numpy as np
import pandas as pd

from byzlib.market import facts

__all__ = ["facts", "load_sample"]

FOLDER = resources.files("byzlib.market")


def load_sample(name="BTCUSDT"):
    """The offline sample: 90 days of simulated five-minute candles.

    Parameters
    ----------
    name : str
        "BTCUSDT" or "ETHUSDT"; the two move together.

    Returns
    -------
    DataFrame
        As `byzlib.market.simulate` returns it; ``attrs["source"] == "simulated"``.

    Raises
    ------
    ValueError
        If there is no such sample, or its bytes differ from the published checksum.
    FileNotFoundError
        If a file of the sample is missing from the installation.
    """
    sums = _checksums()
    files = {file.split("_")[0]: file for file in sums}
    if name not in files:
        raise ValueError(f"no sample {name!r}; there are {', '.join(files)}")
    packed = _read(files[name])
    found, published = hashlib.sha256(packed).hexdigest(), sums[files[name]]
    if found != published:
        raise ValueError(
            f"sample file {files[name]} was altered: its sha256 is {found[:12]}..., published is "
            f"{published[:12]}...; install byzlib again"
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


def _checksums():
    """Published sha256 by file name."""
    lines = _read("SHA256SUMS").decode("ascii").splitlines()
    return {file: digest for digest, file in (line.split() for line in lines)}


def _read(file):
    try:
        return (FOLDER / file).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"sample file {file} is missing; install byzlib again") from None
