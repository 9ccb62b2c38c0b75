"""The offline sample: checked bytes, a card whose numbers hold, and the way to make it again."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from byzlib import market
from byzlib.market import card, features, make_sample
from byzlib.market import sample as datasets

FOLDER = Path(datasets.__file__).parent
NAMES = ("BTCUSDT", "ETHUSDT")


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the sample that a test may damage."""
    for path in [*FOLDER.glob("*.csv.gz"), FOLDER / "SHA256SUMS"]:
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(datasets, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_is_what_simulate_makes(name):
    sample = market.load_sample(name)
    assert len(sample) == card.DAYS * 288
    short = market.simulate(name, 5, card.SEED, start=card.START)
    pd.testing.assert_frame_equal(sample[: len(short)], short)
    assert sample.attrs == short.attrs


def test_the_sample_is_labelled_and_usable():
    sample = market.load_sample()
    assert sample.attrs["source"] == "simulated" and sample.attrs["symbol"] == "BTCUSDT"
    X, y, times = features.dataset(sample)
    assert len(X) == len(sample) - 2 and np.isfinite(X).all()
    assert len(features.walk_forward(times, "60D", "15D", "10min")) == 2


def test_the_card_says_what_the_files_hold():
    frames = {name: market.load_sample(name) for name in NAMES}
    sums = (FOLDER / "SHA256SUMS").read_text("ascii").splitlines(keepends=True)
    assert (FOLDER / "CARD.md").read_text("utf-8") == card.render(frames, sums)


def test_the_card_would_notice_another_sample():
    frames = {name: market.load_sample(name)[:-1] for name in NAMES}
    assert (FOLDER / "CARD.md").read_text("utf-8") != card.render(frames, [])


def test_making_it_again_gives_the_same_candles(tmp_path, monkeypatch):
    monkeypatch.setattr(card, "DAYS", 90)
    assert make_sample.main(tmp_path) == 0
    monkeypatch.setattr(datasets, "FOLDER", tmp_path)
    made = {name: market.load_sample(name) for name in NAMES}
    monkeypatch.undo()
    for name in NAMES:
        pd.testing.assert_frame_equal(made[name], market.load_sample(name))


def test_packing_is_reproducible():
    candles = market.simulate(days=2, rng=0)
    assert make_sample.pack(candles) == make_sample.pack(candles.copy())
    assert make_sample.pack(candles)[4:8] == bytes(4)  # no time of making in the gzip header


def test_it_stays_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.csv.gz")) < 3_000_000


def test_checksums_name_every_file():
    lines = (FOLDER / "SHA256SUMS").read_text("ascii").splitlines()
    listed = {line.split()[1]: line.split()[0] for line in lines}
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in FOLDER.glob("*.csv.gz")}
    assert listed == found


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ValueError, match="no sample 'DOGEUSDT'; there are BTCUSDT, ETHUSDT"):
        market.load_sample("DOGEUSDT")


def test_an_altered_sample_is_refused(copied):
    path = copied / "BTCUSDT_5m.csv.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"BTCUSDT_5m\.csv\.gz was altered: its sha256 is"):
        market.load_sample("BTCUSDT")
    assert len(market.load_sample("ETHUSDT"))


def test_a_truncated_sample_is_refused(copied):
    path = copied / "ETHUSDT_5m.csv.gz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="altered"):
        market.load_sample("ETHUSDT")


@pytest.mark.parametrize("file", ["BTCUSDT_5m.csv.gz", "SHA256SUMS"])
def test_a_missing_file_is_named(copied, file):
    (copied / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"{file} is missing; install byzlib again"):
        market.load_sample("BTCUSDT")
