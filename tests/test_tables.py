"""Tables and files: made-up results whose verdicts are known; what the chapters show."""

import functools
import gzip
import re

import numpy as np
import pandas as pd
import pytest

from byzlib.experiments import Refused, compare, markdown, planted, run_grid, summarize, wide
from byzlib.experiments.results import configuration_columns, read, write
from byzlib.market import features, load_sample
from byzlib.metrics import holm, paired_difference, t_interval
from notebooks import make_results, train_on_candles

NOISE = np.random.default_rng(5).normal(0, 0.1, 40)
GRID = {
    "rule": ["mean", "Krum", "median", "trimmed mean"],
    "attack": ["none", "sign flip"],
    "f": [1, 3],
}
GAIN = {"mean": 0.0, "Krum": 0.03, "median": -0.02, "trimmed mean": 0.0}


def cell(seeds, rule, attack, f=1):
    """Seeds differ by 10 points, rules by a few, and their own noise is a tenth of a point."""
    if rule == "Krum" and f > 3:
        raise Refused("krum needs n >= 2f + 3; got n = 10, f = 4")
    own = np.array([np.random.default_rng([s, len(rule), len(attack), f]).normal() for s in seeds])
    value = 0.6 + NOISE[list(seeds)] + GAIN[rule] + 1e-3 * own
    ends = [5 if attack == "NaN" and s == 2 else np.nan for s in seeds]
    return {"accuracy": value, "majority share": np.full(len(seeds), 0.5), "diverged_at": ends}


@functools.cache
def default(seeds=10):
    return run_grid(cell, GRID, seeds, n_jobs=1, progress=False)


def run(seeds=10, **grid):
    if not grid:
        return default(seeds)
    return run_grid(cell, GRID | grid, seeds, n_jobs=1, progress=False)


def test_summaries_are_the_intervals_of_the_runs():
    results = run()
    summary = summarize(results, "accuracy")
    assert list(summary) == ["rule", "attack", "f", "mean", "low", "high", "seeds", "note"]
    assert len(summary) == 16 and (summary["seeds"] == 10).all() and (summary["note"] == "").all()
    last = results[(results["metric"] == "accuracy")].tail(10)["value"]
    assert tuple(summary.iloc[-1][["mean", "low", "high"]]) == tuple(t_interval(last))


def test_refused_and_diverged_have_no_mean():
    summary = summarize(run(rule=["Krum", "mean"], attack=["none", "NaN"], f=[1, 4]), "accuracy")
    notes = summary.set_index(["rule", "attack", "f"])["note"]
    assert notes["mean", "NaN", 1] == "1 of 10 runs diverged"
    assert notes["Krum", "none", 4].startswith("refused: krum needs n >= 2f + 3")
    assert summary.loc[summary["note"] != "", "mean"].isna().all()
    assert summary["mean"].notna().sum() == 3


def test_comparisons_are_paired_and_corrected():
    results = run(seeds=12)
    found = compare(results, "accuracy", "rule", "mean")
    assert len(found) == 12 and (found["seeds"] == 12).all()
    verdicts = found.groupby("rule")["verdict"].unique().map(list)
    assert verdicts["Krum"] == ["better"] and verdicts["median"] == ["worse"]
    assert verdicts["trimmed mean"] == ["not shown"]
    np.testing.assert_array_equal(found["p_holm"], holm(found["p"]))
    runs = results[results["metric"] == "accuracy"]
    values = runs.groupby(["rule", "attack", "f"])["value"].agg(np.array)
    pair = paired_difference(values["Krum", "none", 3], values["mean", "none", 3])
    row = found.set_index(["rule", "attack", "f"]).loc[("Krum", "none", 3)]
    assert tuple(row[["difference", "low", "high", "p"]]) == (*pair.interval, pair.p_value)
    # Unpaired, seeds that differ by ten points would hide three.
    assert t_interval(values["Krum", "none", 3]).half_width > 0.03


def test_the_order_of_seeds_does_not_matter_to_pairs():
    results = run()
    shuffled = results.sample(frac=1, random_state=1)
    by = ["rule", "attack", "f"]
    one, two = (compare(r, "accuracy", "rule", "mean").sort_values(by) for r in (results, shuffled))
    np.testing.assert_allclose(one["difference"], two["difference"])


def test_lower_can_be_better():
    found = compare(run(), "accuracy", "rule", "mean", higher_is_better=False)
    assert set(found.loc[found["rule"] == "Krum", "verdict"]) == {"worse"}


def test_comparisons_with_nothing_to_compare_say_why():
    results = run(rule=["Krum", "mean"], attack=["none", "NaN"], f=[1, 4])
    verdict = compare(results, "accuracy", "rule", "mean").set_index(["attack", "f"])["verdict"]
    assert verdict["none", 1] == "better"
    assert verdict["NaN", 1] == "1 of 10 runs diverged"
    assert verdict["none", 4].startswith("refused: krum needs")


def test_nine_seeds_carry_no_claim():
    with pytest.raises(ValueError, match="at least 10 common seeds; got 9 for rule = Krum"):
        compare(run(seeds=9), "accuracy", "rule", "mean")


def test_wide_tables_have_their_baseline():
    table = wide(run(f=[1]), "accuracy", "rule", "attack")
    assert list(table.columns) == ["none", "sign flip", "always one class"]
    assert table.index.tolist() == list(GAIN)
    assert (table["always one class"] == "50.0").all()
    assert all(re.fullmatch(r"\d\d\.\d \+- \d\.\d", text) for text in table["none"])
    two = wide(run(), "accuracy", ["rule"], ["attack", "f"])
    assert two.shape == (4, 5) and two.columns[-1] == ("always one class", "")
    odd = wide(run(rule=["Krum", "mean"], attack=["NaN"], f=[1, 4]), "accuracy", "rule", "f")
    assert odd.loc["Krum", 4] == "refused" and odd.loc["mean", 4] == "1 of 10 runs diverged"


def test_markdown():
    table = pd.DataFrame({"a|b": ["1.0 +- 0.1"], ("c", ""): ["x"]}, index=["Krum"])
    text = markdown(table.rename_axis("rule"), "Simulated.")
    assert text.splitlines() == [
        "Simulated.", "", r"| rule | a\|b | c |", "| --- | --- | --- |", "| Krum | 1.0 +- 0.1 | x |"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda r: summarize(r, "acuracy"), r"no metric 'acuracy'; there are \['accuracy'"),
        (lambda r: compare(r, "accuracy", "rul", "mean"), "needs by from .*; got 'rul'"),
        (lambda r: compare(r, "accuracy", "rule", "Bulyan"), "no rule is 'Bulyan'; there are"),
        (lambda r: compare(r[r["rule"] == "mean"], "accuracy", "rule", "mean"), "nothing stands"),
        (lambda r: wide(r, "accuracy", "rule", "attack"), "would mix different f: choose one"),
        (lambda r: wide(r, "accuracy", "rule", "attak"), "no column 'attak'; there are"),
        (
            lambda r: wide(r[r["metric"] == "accuracy"], "accuracy", "rule", ["attack", "f"]),
            "needs the metric 'majority share' beside",
        ),
    ],
)
def test_illegal_use(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(run())


# --- files --------------------------------------------------------------------------------------


def test_a_file_gives_back_what_was_kept(tmp_path):
    results = run(rule=["Krum", "mean"], attack=["none", "NaN"], f=[1, 4])
    write(results, tmp_path / "a/kept.csv", "Simulated.\nMade by a test.", digits=12)
    back = read(tmp_path / "a/kept.csv")
    assert back.attrs["about"] == "Simulated.\nMade by a test."
    assert configuration_columns(back) == configuration_columns(results)
    for metric in ("accuracy", "majority share"):
        one, two = (summarize(r, metric) for r in (results, back))
        one, two = (s.sort_values(["rule", "attack", "f"], ignore_index=True) for s in (one, two))
        pd.testing.assert_frame_equal(one, two, check_dtype=False, check_index_type=False)
    assert set(back["status"]) == {"ok", "diverged", "refused"}
    assert not list((tmp_path / "a").glob("*.new"))


def test_a_file_can_be_read_by_people(tmp_path):
    results = run(seeds=2, rule=["Krum", "mean"], attack=["NaN"], f=[1, 4])
    write(results, tmp_path / "kept.csv", "Simulated.", digits=3, metrics=["majority share"])
    lines = (tmp_path / "kept.csv").read_text().splitlines()
    assert lines[:3] == [
        "# Simulated.",
        "rule,attack,f,metric,seed 0,seed 1,note",
        "Krum,NaN,1,majority share,0.500,0.500,",
    ]
    assert lines[3].startswith("Krum,NaN,4,,,,") and "krum needs" in lines[3]
    assert len(lines) == 6


# --- the results that the chapters show ---------------------------------------------------------

KEPT = {
    name: read(make_results.FOLDER / f"{name}.csv") for name in ("accuracy", "matrix", "candles")
}


def test_kept_files_are_small_and_say_what_they_are():
    files = list(make_results.FOLDER.glob("*.csv"))
    assert {path.stem for path in files} == {
        *KEPT, "candle_models", "candle_windows", "candle_pairs"
    }  # fmt: skip
    assert sum(path.stat().st_size for path in files) < 1_000_000
    for name, results in KEPT.items():
        about = results.attrs["about"]
        assert about.startswith("Recorded" if name == "candles" else "Simulated")
        assert "Made by: " in about
        runs = results[results["metric"] == "accuracy"]
        assert runs.groupby(configuration_columns(results))["seed"].nunique().min() >= 10


def test_figures_on_candles_name_their_files():
    heads = []
    for name in ("candles", "candle_models", "candle_windows"):
        lines = (make_results.FOLDER / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        heads.append([line for line in lines if line.startswith("# Bybit ")])
        table = pd.read_csv(make_results.FOLDER / f"{name}.csv", comment="#")
        named = table[["source", "symbol", "period"]].drop_duplicates()
        assert len(named) == len(heads[0]) == 7
        assert all(f"# {' '.join(row)}: " in head for row, head in zip(named.values, heads[0]))
    assert heads[0] == heads[1] == heads[2]
    assert all(re.search(r"\d folds, \d+ test bars, .*[0-9a-f]{64}$", head) for head in heads[0])


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("accuracy", {"rule": "Krum", "attack": "targeted", "pre": "none", "f": 3, "strength": 15.0,
                      "alpha": 0.75, **make_results.BALANCED}),
        ("matrix", {"rule": "trimmed mean", "attack": "mimic", "pre": "mixing", "alpha": 0.3,
                    "momentum": 0.9, "n": 17, "f": 3, "rounds": 150}),
    ],
)  # fmt: skip
def test_what_is_kept_is_what_the_code_gives(name, setting):
    results = KEPT[name]
    rows = make_results._where(results[results["metric"] == "accuracy"], **setting)
    assert len(rows) and not rows.duplicated("seed").any()
    kept = rows.sort_values("seed")["value"].to_numpy()[:3]
    # Rounding differs between machines, and moves a test sample now and then.
    np.testing.assert_allclose(planted(range(3), **setting)["accuracy"], kept, atol=0.005)


def test_a_file_of_candles_is_read_as_the_loader_reads(tmp_path):
    sample = load_sample("BTCUSDT")
    path = tmp_path / "bybit_linear_BTCUSDT_5m_simulated.csv"
    opened = sample.index.as_unit("ms").asi8
    sample.drop(columns="turnover").set_axis(opened).to_csv(path, index_label="ts_ms")
    assert train_on_candles.candle_files(tmp_path) == [path]
    read_back = train_on_candles.read_candles(path)
    same = ["open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(
        read_back[same], sample[same].iloc[:-1], check_freq=False, check_index_type=False
    )
    folds = train_on_candles.folds(str(path))
    assert folds and all(past[2][-1] < future[2][0] for past, future in folds)
    assert {len(train_on_candles._desks(*past)) for past, _ in folds} == {10}
    with gzip.open(f"{path}.gz", "wb") as packed:
        packed.write(path.read_bytes())
    assert train_on_candles.digest(path) == train_on_candles.digest(path.with_suffix(".csv.gz"))


def test_tapes_of_one_coin_are_paired_by_exchange_and_compared_on_one_clock(tmp_path):
    """Against correlation and labels of the common bars, computed plainly."""
    sample = load_sample("BTCUSDT").iloc[: 20 * 288]
    noise = np.exp(1e-4 * np.random.default_rng(5).standard_normal(len(sample)))
    tapes = {
        "bybit_linear_BTCUSDT": sample.iloc[:-288],
        "binance_spot_BTCUSDT": sample.iloc[288:].mul(noise[288:], axis=0),
        "bybit_spot_BTCUSDT": sample,
        "binance_spot_ETHUSDT": sample,
        "binance_usdm_BTCUSDT": sample.iloc[: 2 * 288],
    }
    for name, tape in tapes.items():
        opened = tape.index.as_unit("ms").asi8
        tape.set_axis(opened).to_csv(tmp_path / f"{name}_5m_x.csv", index_label="ts_ms")
    pairs = list(train_on_candles.venue_pairs(tmp_path))
    assert [[path.name[:-9] for path in pair] for pair in pairs] == [
        ["binance_spot_BTCUSDT", "bybit_linear_BTCUSDT"],
        ["binance_spot_BTCUSDT", "bybit_spot_BTCUSDT"],
    ]
    one, two = (train_on_candles.read_candles(path) for path in pairs[0])
    found = train_on_candles.alike(*pairs[0])
    common, marks = (
        pd.concat([of(tape) for tape in (one, two)], axis=1, sort=True).dropna()
        for of in (lambda tape: tape["close"].pct_change(), features.labels)
    )
    right = common.corr().iloc[0, 1], 100 * (marks.iloc[:, 0] == marks.iloc[:, 1]).mean()
    for (value, low, high), wanted in zip(found.values(), right, strict=True):
        assert np.isclose(value, wanted) and low < value < high
    assert 0.9 < right[0] < 0.999


def test_models_on_candles_see_what_there_is_to_see():
    """A class that follows from the features is found; without one, no model finds any."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((3000, 2))
    learned = train_on_candles.logistic(X, (X[:, 0] > 0).astype(int), 2)
    assert ((learned(X)[:, 1] > 0.5) == (X[:, 0] > 0)).mean() > 0.99
    coin = train_on_candles.logistic(X, rng.integers(0, 2, 3000), 2)(X)
    np.testing.assert_allclose(coin, 0.5, atol=0.15)
    np.testing.assert_allclose(learned(X).sum(axis=1), 1)


def test_days_are_drawn_whole_and_sides_are_counted_where_it_moved():
    days = pd.DatetimeIndex(np.repeat(pd.to_datetime(["2024-05-01", "2024-05-02"], utc=True), 3))
    p = np.array([[[0.5, 0.3, 0.2]] * 3 + [[0.1, 0.2, 0.7]] * 3])
    tables = np.stack(train_on_candles._by_day(p, np.array([0, 1, 2, 0, 1, 2]), days))
    assert tables.shape == (2, 3, 4) and tables[..., :-1].sum() == 6
    drawn = np.array([[1, 1], [2, 0], [0, 2]])
    found = train_on_candles._measures(drawn, tables, tables, "direction")
    np.testing.assert_allclose(found["accuracy"][0], 100 / 3)
    np.testing.assert_allclose(found["right side"][0], 50)
    assert found["above one class"] == (0, 0, 0)


def test_the_pages_show_every_part():
    text = make_results.table_text()
    assert text.count("imulat") >= 6 and text.count("**Recorded candles") == 2
    assert text.count(": inside") + text.count(": touches") == 12 and ": outside" not in text
    assert text.count("always one class") >= 5
    matrix = make_results.matrix_text()
    assert matrix.count("**Simulated") == 4 and "Holm" in matrix
    assert "| Krum | mixing |" in matrix


@pytest.mark.parametrize("arguments", [["candles"], ["table", "folder"], ["tabel"]])
def test_illegal_commands(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        make_results.main(arguments)
    assert caught.value.code == 2 and "error: " in capsys.readouterr().err


def test_a_folder_without_candles(tmp_path):
    with pytest.raises(SystemExit, match="holds no file bybit_CATEGORY_SYMBOL_5m"):
        make_results.main(["candles", str(tmp_path)])
