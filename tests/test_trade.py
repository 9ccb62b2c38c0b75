"""The trading example: from the exchange, a file or the sample, with every way to ask amiss."""

import importlib.util
import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from byzlib.market import bybit, dataset, load_sample, walk_forward
from byzlib.metrics import (
    accuracy,
    balanced_accuracy,
    forecast_scores,
    majority_share,
    positions,
    profit_and_loss,
    t_interval,
)
from conftest import same_text
from tests.bybit_server import serve

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("BYZLIB_SHARED_DATA") or ROOT.parent / "shared" / "data")
FOUR = ["mean", "Krum", "trimmed mean", "median"]
CALM, LYING, FEW = "nobody lies", "3 of 10 lie", ["--seeds", "2"]

spec = importlib.util.spec_from_file_location("trading", ROOT / "examples/trading_example.py")
trading = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trading)
ROUNDS = trading.ROUNDS


@pytest.fixture
def trade(monkeypatch, tmp_path, capsys):
    """What the example prints; it must be quiet on stderr, where there is no terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bybit, "BACKOFF", 0.002)
    monkeypatch.setattr(trading, "ROUNDS", 10)  # where nothing hangs on what was learned
    monkeypatch.setenv("BYZLIB_BYBIT_URL", "http://127.0.0.1:9")  # nobody is there
    monkeypatch.setenv("BYZLIB_BYBIT_CACHE", str(tmp_path / "candles.sqlite"))

    def run(*arguments):
        trading.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return run


def rows(out):
    """{(rule, state): the numbers of its line}."""
    found = {}
    for line in out.splitlines():
        if cells := re.match(r" *(\S.*?) +(nobody lies|\d+ of \d+ lie|difference) +(.*)", line):
            rule, state, numbers = cells.groups()
            found[rule, state] = [float(x) for x in re.findall(r"-?\d+\.\d", numbers)]
    return found


def filed(path, candles):
    opened = candles.index.as_unit("ms").asi8
    candles.set_axis(opened).to_csv(path, index_label="ts_ms")
    return path


# --- where candles come from ---


def test_the_sample_is_called_simulated_and_every_number_has_its_interval(trade, tmp_path):
    out = trade("--sample", "--limit", 500, *FEW, "--rules", "geometric median", "median")
    assert out.startswith("BTCUSDT, simulated: 500 candles, 2025-03-30 06:20 to 2025-03-31 23:55")
    found = rows(out)
    rules = [*FOUR, "geometric median"]
    assert list(found) == [(r, s) for r in rules for s in (CALM, LYING, "difference")]
    _, y, _ = dataset(load_sample().tail(500))
    tested = y[-int(re.search(r"after: (\d+) rows", out)[1]) - 1 : -1]
    share = round(100 * majority_share(tested), 1)
    for rule in rules:
        calm, lying, lost = (found[rule, s] for s in (CALM, LYING, "difference"))
        assert len(calm) == len(lying) == 7 and len(lost) == 6
        assert calm[2] == lying[2] == share
        assert np.allclose(lost[::2], np.subtract(lying, calm)[[0, 3, 5]], atol=0.11)
    picture = tmp_path / "trading_example.png"
    assert out.endswith("drawn in trading_example.png\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_live_candles_and_a_file_of_them_give_the_same(trade, tmp_path, monkeypatch):
    """The newest so many, and those of so many days, by the exchange's clock."""
    file = filed(tmp_path / "bybit_linear_ETHUSDT_5m_x.csv", load_sample("ETHUSDT").tail(700))
    with serve(file) as url:  # its last candle is not closed yet
        monkeypatch.setenv("BYZLIB_BYBIT_URL", url)
        live = [trade("--symbol", "ETHUSDT", *w, *FEW) for w in (["--limit", 300], ["--days", 1.5])]
        asked = [query for _, query in url.log if "symbol" in query]
    assert {(q["symbol"], q["interval"], q["category"]) for q in asked} == {
        ("ETHUSDT", "5", "linear")
    }
    closed = filed(tmp_path / "closed.csv", load_sample("ETHUSDT").iloc[-700:-1])
    for out, window in zip(live, (["--limit", 300], ["--days", 1.5]), strict=True):
        head, *rest = out.splitlines()
        there, *same = trade("--candles", closed, *window, *FEW).splitlines()
        assert head.startswith(f"ETHUSDT, {url[7:]}: ") and there.startswith("closed.csv: ")
        assert head.split(": ")[1] == there.split(": ")[1] and rest == same
    assert ": 300 candles" in live[0] and ": 433 candles" in live[1]


def test_without_a_network_one_sentence_names_the_sample(trade, capsys):
    said = refused(trade, capsys)
    assert "127.0.0.1:9" in said and said.endswith("--sample needs no network")


# --- what it measures ---


def test_where_a_market_can_be_read_it_says_so_and_a_loud_lie_blinds_the_mean_alone(
    trade, tmp_path, monkeypatch
):
    """Candles that go up and down in turn by 0.3 %: more than both fees of a trade."""
    monkeypatch.setattr(trading, "ROUNDS", ROUNDS)
    closes = 1000 * np.where(np.arange(600) % 2, 1.003, 1.0)
    opens = np.r_[1000.0, closes[:-1]]
    table = pd.DataFrame(
        {"open": opens, "high": np.maximum(opens, closes), "low": np.minimum(opens, closes),
         "close": closes, "volume": 1.0},
        index=pd.date_range("2025-01-01", periods=600, freq="5min", tz="UTC"),
    )  # fmt: skip
    out = trade("--candles", filed(tmp_path / "c.csv", table), *FEW, "--strength", 10)
    found = rows(out)
    better = [f"{rule}, {CALM}" for rule in FOUR] + [f"{rule}, {LYING}" for rule in FOUR[1:]]
    for what in ("always naming (Down|Up)", "naming any one class", "no trade at all"):
        said = re.search(f" above {what} by more than that:\n    (.*)", out).groups()[-1]
        assert sorted(said.split("; ")) == sorted(better)
    assert found["median", CALM][0] == found["median", LYING][0] == 100
    assert found["mean", LYING][0] < 1 and "sign flip of strength 10" in out


def test_scores_by_their_definitions_and_widths_by_so_many_draws():
    rng = np.random.default_rng(0)
    y, said = rng.integers(0, 3, 900), rng.integers(0, 3, (5, 900))
    ahead = rng.normal(0, 0.002, 900)
    found = forecast_scores(y, said, ahead, 0.001)
    right, balanced, profit = found.values()
    p = accuracy(y, said)
    assert list(found) == ["accuracy", "balanced accuracy", "profit after fees"]
    assert np.allclose(right.values, p)
    assert np.allclose(balanced.values, balanced_accuracy(y, said))
    earned = profit_and_loss(ahead, positions(said), 0.001)
    assert np.allclose(profit.values, earned.sum(axis=1))
    assert (right.blind, balanced.blind, profit.blind) == (majority_share(y), 1 / 3, 0)
    assert np.isclose(right.width, np.mean(1.96 * np.sqrt(p * (1 - p) / 900)))
    assert np.isclose(balanced.width, right.width, rtol=0.1)  # the classes are equally common
    assert np.isclose(profit.width, 1.96 * np.mean(earned.std(axis=1)) * 30)
    np.testing.assert_allclose(right.interval, t_interval(p))


def test_half_of_the_time_and_four_eighths_and_no_candle_on_both_sides_of_a_fold():
    _, y, times = dataset(load_sample().tail(500))
    folds = walk_forward(times, folds=4)
    assert len(folds) == 4 and folds[0].test_start - times[0] == (times[-1] - times[0]) / 2
    assert all(a.test_end == b.test_start for a, b in pairwise(folds))
    assert folds[-1].test_end == times[-1]
    for fold in folds:  # a row uses the candle before it and the one after
        past, future = times[fold.train_mask(times)], times[fold.test_mask(times)]
        assert past.max() + pd.Timedelta("5min") < future.min() - pd.Timedelta("5min")


def test_what_a_rule_cannot_do_stands_in_its_line_and_costs_the_others_nothing(trade):
    plain = rows(trade("--sample", "--limit", 300, *FEW))
    out = trade("--sample", "--limit", 300, *FEW, "--rules", "Bulyan", "--attack", "non-finite")
    found = rows(out)
    assert re.search(r"Bulyan +nobody lies +bulyan needs n >= 4f \+ 3; got n = 10, f = 3", out)
    assert re.search(r"mean +3 of 10 lie +2 of 2 runs diverged", out)
    assert found["mean", LYING] == [] and ("mean", "difference") not in found
    assert all(found[rule, CALM] == plain[rule, CALM] for rule in FOUR)
    assert len(found["median", LYING]) == 7


# --- what cannot be done is said in one sentence ---


def refused(trade, capsys, *arguments):
    """The sentence, from its place on stderr, and nothing else; exit status 2."""
    with pytest.raises(SystemExit) as end:
        trade(*arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == "" and err.startswith("trade: ")
    assert err.count("\n") == 1 and err.endswith("\n")
    return err[len("trade: ") : -1]


@pytest.mark.parametrize("asked, said", [
    ("--sample --limit 20", "has 7 training rows in fold 1, .*; it needs at least 10"),
    ("--sample --limit 2", "at least one sample; got none"),
    ("--sample --days 0.05", "has 4 training rows"),
    ("--sample --clients 4000 --liars 9 --limit 5000", "it needs at least 4000"),
    ("--candles flat.csv", "flat.csv: 400 candles, 2025-01-01 00:00 to .* have one class"),
    ("--candles hole.csv", "has 0 test rows in fold 1, .*; it needs at least 1"),
    ("--candles nowhere.csv", "nowhere.csv: No such file"),
    ("--candles sample", "sample: No such file"),
    ("--candles words.csv", "words.csv is no file of candles"),
    ("--candles flat.csv --symbol BTCUSDT", "a file has its own"),
    ("--sample --interval 5", "a file has its own"),
    ("--sample --symbol DOGE", "no sample 'DOGE'; there are BTCUSDT, ETHUSDT"),
    ("--sample --candles flat.csv", "not allowed with argument"),
    ("--sample --limit 9 --days 9", "--days: not allowed with argument --limit"),
    ("--sample --liars 5", "more clients than twice the liars.*; got 5 liars, 10 clients"),
    ("--sample --seeds 1", "2 seeds or more.*; got .* 1 seeds"),
    ("--sample --liars 0", "a liar, .*; got 0 liars"),
    ("--sample --limit 0", "limit >= 1; got limit = 0"),
    ("--sample --days nan", "days finite and > 0; got days = nan"),
    ("--sample --clients 2.5", "--clients: invalid int value: '2.5'"),
    ("--sample --rules Kram", "invalid choice: 'Kram' .*Krum"),
    ("--sample --attack flip", "no attack 'flip'; there are .*sign flip"),
    ("--sample --attack none", "needs .* an attack; got .* none"),
    ("--sample --strength -1", "strength finite and > 0; got strength = -1"),
    ("--sample --strength inf", "strength finite and > 0; got strength = inf"),
    ("--sample --attack mimic --strength 2", "mimic has no strength to set"),
    ("--days 1e12", ""),
    ("--symbol btcusdt", "symbol needs capitals"),
    ("--interval 7", "interval needs one of 1, 3, 5"),
    ("--limit 5000", "limit needs to be at most 1000; got 5000"),
])  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(trade, capsys, tmp_path, asked, said):
    candles = load_sample().head(400)
    still = candles.assign(open=100.0, high=101.0, low=99.0, close=100.0)
    filed(tmp_path / "flat.csv", still)
    filed(tmp_path / "hole.csv", candles.drop(candles.index[100:390]))
    (tmp_path / "words.csv").write_text("no,candles\nat,all\n")
    assert re.search(said, refused(trade, capsys, *asked.split()))


def test_a_picture_that_cannot_be_kept_loses_nothing_of_the_table(trade, capsys):
    with pytest.raises(SystemExit) as end:
        trade("--sample", "--limit", "300", *FEW, "--picture", "no/such/place.png")
    out, err = capsys.readouterr()
    assert end.value.code == 2 and len(rows(out)) == 12
    assert err == "trade: no/such/place.png: No such file or directory\n"


def test_whoever_stops_it_keeps_what_was_trained(trade, capsys, monkeypatch):
    train, stopped = trading.trained, iter([False, False, True])

    def interrupted(*asked):
        if next(stopped):
            raise KeyboardInterrupt
        return train(*asked)

    monkeypatch.setattr(trading, "trained", interrupted)
    with pytest.raises(SystemExit):
        trade("--sample", "--limit", "300", *FEW)
    out, err = capsys.readouterr()
    assert list(rows(out)) == [("mean", state) for state in (CALM, LYING, "difference")]
    assert err == "trade: stopped\n"


# --- make, and the page that shows it ---


@pytest.mark.skipif(os.name != "posix" or not shutil.which("make"), reason="make is not installed")
def test_make_hands_on_what_is_typed_and_not_what_the_shell_holds():
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    for typed, ends in [([], " "), (['ARGS=--attack "min-max"'], ' --attack "min-max"')]:
        command = ["make", "-n", "trade", *typed]
        shell = clean | {"ARGS": "--sample"}
        planned = subprocess.run(command, cwd=ROOT, env=shell, capture_output=True, text=True)
        assert planned.stdout.splitlines()[-1].endswith(f"examples/trading_example.py{ends}")


README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = re.search(r'make trade ARGS="--candles (\S+)"\n```\n+```text\n(.*?)```', README, re.DOTALL)


def test_readme_shows_the_output_after_the_picture_and_says_what_it_shows():
    before = README[: SHOWN.start()]
    assert before.count("![") == 1 and "\n## " not in before
    assert len(rows(SHOWN[2])) == 12 and SHOWN[2].startswith(f"{SHOWN[1]}: ")
    assert SHOWN[2].count("by more than that:\n    none\n") == 2
    shown = rows(SHOWN[2])
    assert max(row[5] for (_, state), row in shown.items() if state != "difference") < 0
    for rule in FOUR:
        assert shown[rule, CALM][3] - 100 / 3 > 2 * shown[rule, CALM][4]
        assert sum(shown[rule, "difference"][2:4]) < 0  # balanced accuracy, its upper end


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded data (BYZLIB_SHARED_DATA) are not here"
)
def test_readme_shows_what_comes_out(trade, tmp_path, monkeypatch):
    monkeypatch.setattr(trading, "ROUNDS", ROUNDS)
    name = SHOWN[1].removesuffix(".csv.gz")
    (recorded,) = SHARED.glob(f"{name}*.csv.gz")
    shutil.copy(recorded, tmp_path / SHOWN[1])
    assert same_text(SHOWN[2], trade("--candles", SHOWN[1]))
