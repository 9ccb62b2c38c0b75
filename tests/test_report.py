"""The report on a reader's own clients, against slow definitions; and what it refuses."""

import shutil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzlib import theory
from byzlib.aggregators import RULES, bucketing, mean, nearest_neighbor_mixing
from byzlib.aggregators import median as middle
from byzlib.attacks import ATTACKS, sign_flip
from byzlib.experiments import (
    GUIDE,
    Defence,
    _code,
    bears,
    clipping_radius,
    defence_named,
    guide,
    main,
    own_data,
    promise,
    read_folder,
    report,
    robustness_report,
    split_by_time,
    worst_regret,
)
from byzlib.experiments.cells import _market
from byzlib.federated import Client, SimpleModel
from byzlib.metrics import paired_difference

N, F, SEEDS = 7, 1, 3
MODEL = SimpleModel(8, n_hidden=0)
QUICK = {"rounds": 20, "seeds": SEEDS, "n_jobs": 1, "progress": False}
SHOWN = ["mean", "trimmed mean", "Bulyan", "centered clipping, momentum 0"]
LIES = ["none", "loud sign flip", "label flip"]


def crowd(alpha=1.0, n=N, samples=120, seed=0):
    own, _ = _market(seed, n, samples, 0.955, 1 / 3, alpha, 10)
    return [Client(X, y, f"desk {i}") for i, (X, y) in enumerate(own)]


@pytest.fixture(scope="module")
def found():
    return robustness_report(crowd(n=6), MODEL, F, SHOWN, LIES, **QUICK)


# --- The matrix -----------------------------------------------------------------------------------


def test_regret_is_the_lag_behind_the_best_rule_on_the_same_seeds(found):
    runs = found.results[found.results["metric"] == "accuracy"]
    table = runs.pivot(index=["attack", "seed"], columns="rule", values="value")
    for attack in LIES:
        scores = table.loc[attack]
        best = scores.mean().idxmax()
        for rule in scores:
            line = found.matrix.set_index(["rule", "attack"]).loc[(rule, attack)]
            pair = paired_difference(scores[best], scores[rule]).interval
            got = line[["regret", "regret low", "regret high"]].to_numpy(float)
            np.testing.assert_allclose(got, pair, atol=1e-12)
            assert np.isclose(line["accuracy"], scores[rule].mean())
            assert np.isclose(found.regrets.loc[rule, attack], line["regret"])
    shown = found.regrets.drop(index="Bulyan, momentum 0.9")
    np.testing.assert_allclose(shown["worst"], shown[LIES].max(axis=1))
    assert shown["worst"].is_monotonic_increasing


def test_the_majority_class_stands_beside_every_accuracy(found):
    tests = np.concatenate([report._cut(client)[1].y for client in crowd(n=6)])
    share = np.bincount(tests).max() / len(tests)
    known = found.matrix[found.matrix["note"] == ""]
    np.testing.assert_allclose(known["always one class"], share)
    assert "| always one class |" in found.markdown() and f"{100 * share:.1f}" in found.markdown()


def test_a_rule_that_is_refused_says_why_and_the_others_go_on(found):
    notes = found.matrix.set_index("rule")["note"]
    assert (notes["Bulyan, momentum 0.9"] == "refused: bulyan needs n >= 4f + 3; got n = 6, f = 1"
            ).all()  # fmt: skip
    assert (notes.drop("Bulyan, momentum 0.9") == "").all()
    assert found.promises.loc["Bulyan, momentum 0.9", "promise"].startswith("refused")


def test_a_rule_and_an_attack_of_ones_own():
    def shy(updates, f):
        if np.abs(updates).max() > 1e3:
            raise ValueError("shy wants updates below 1000")
        return middle(updates)

    lies = {"quiet": None, "huge": lambda honest, f: sign_flip(honest, f, scale=1e6)}
    got = robustness_report(crowd(), MODEL, F, {"shy": shy, "mean": mean}, lies, **QUICK)
    notes = got.matrix.set_index(["rule", "attack"])["note"]
    assert notes["shy", "huge"] == "refused: ValueError: shy wants updates below 1000"
    assert notes.drop(("shy", "huge")).eq("").all() and got.promises.loc["shy", "promise"] == "none"
    assert got.advice.threat.endswith("anything may come")  # nobody knows what one's own lies do


def test_the_seed_draws_who_lies_and_nothing_else_does():
    clients = crowd()
    crews = [report._crew(clients, seed, 10**6, F) for seed in range(30)]
    again = report._crew(clients, 3, 10**6, F, poison=lambda X, y: (X, y))
    assert [c.name for c in again] == [c.name for c in crews[3]]
    assert [c.poison is None for c in again] == [True] * (N - F) + [False] * F
    assert len({crew[-1].name for crew in crews}) == N


def test_a_run_holds_no_more_rows_than_it_can_look_at():
    clients = crowd(samples=500)
    crew = report._crew(clients, 0, 60)
    assert {len(c) for c in crew} == {60}
    rows = {tuple(row) for c in clients for row in c.X}
    assert all(tuple(row) in rows for c in crew for row in c.X)
    assert all(len(np.unique(c.X, axis=0)) == 60 for c in crew)


def test_accuracies_of_a_confusion_matrix():
    counts = np.array([[[5, 1, 0], [2, 2, 0], [0, 0, 0]]])  # no test row of the last class
    got = report._scores(counts)
    assert got["accuracy"] == 7 / 10 and got["majority share"] == 6 / 10
    assert np.isclose(got["balanced accuracy"], (5 / 6 + 1 / 2) / 2)


# --- What is proved -------------------------------------------------------------------------------


def test_what_was_seen_keeps_to_what_is_proved(found):
    table = found.promises.drop("Bulyan, momentum 0.9")
    assert table["holds"].drop("mean, momentum 0.9").eq(True).all()
    assert (table["worst seen"] > 0).all()
    assert table.loc["mean, momentum 0.9", ["liars borne", "promise"]].tolist() == [0, "none"]
    clips = table.loc["centered clipping, momentum 0"]
    assert clips["bound"] == F * found.radius / 6 and clips["liars borne"] is pd.NA


def test_a_bound_that_does_not_hold_is_told():
    def worse(updates, f):  # under a good name
        return 100 + middle(updates)

    seen, honest = [], np.random.default_rng(0).normal(size=(1, 1, 7, 5))
    report._watched(worse, 6, seen, report._error)(honest, f=1)
    slow = theory.measured_kappa(worse(honest, 1), honest, np.arange(7) < 6)
    assert seen == [slow.max()] and seen[0] > theory.kappa_bound("median", 7, 1)


@pytest.mark.parametrize("pre", theory.PRE)
@pytest.mark.parametrize("rule", ["trimmed mean", "median", "geometric median", "Krum"])
def test_bounds_of_whole_defences_hold(rule, pre):
    n, f = 17, 3
    rng = np.random.default_rng(1)
    honest = rng.standard_t(3, size=(40, n - f, 6))
    before = {
        "none": lambda x: x,
        "mixing": lambda x: nearest_neighbor_mixing(x, f),
        "bucketing": lambda x: bucketing(x, 2, 0),
    }[pre]
    for name in set(ATTACKS) - {"non-finite"}:
        lies = ATTACKS[name](honest, f, rng=np.random.default_rng(0))
        updates = np.concatenate([honest, lies], axis=1)
        answer = RULES[rule](before(updates), *([f] if "edian" not in rule else []))
        seen = theory.measured_kappa(answer, updates, np.arange(n) < n - f)
        assert (seen <= theory.kappa_bound(rule, n, f, pre)).all()


def test_bounds_of_whole_defences_by_hand():
    kappa = theory.kappa_bound("median", 17, 3)
    assert theory.kappa_bound("median", 17, 3, "mixing") == 8 * 3 / 14 * (1 + kappa)
    behind = (1 + theory.kappa_bound("median", 9, 3)) * 14 / 6
    assert theory.kappa_bound("median", 17, 3, "bucketing") == behind
    assert np.isinf([theory.kappa_bound("mean", 17, 3, pre) for pre in theory.PRE]).all()
    assert theory.breakdown("Krum", 17, pre="bucketing") == theory.breakdown("Krum", 9) == 3
    assert theory.breakdown("Krum", 17, pre="mixing") == 7
    with pytest.raises(ValueError, match="knows none, mixing, bucketing; got 'both'"):
        theory.kappa_bound("median", 17, 3, "both")
    with pytest.raises(ValueError, match="n = 5, f = 3"):
        theory.kappa_bound("median", 10, 3, "bucketing")


# --- The difference between clients --------------------------------------------------------------


def test_difference_by_its_definition():
    clients, theta = crowd(), MODEL.init(0)
    got = report._look(theta, clients, MODEL, 16)
    rows = np.array([MODEL.gradient(theta, c.X, c.y) for c in clients])
    g = rows.mean(axis=0)
    assert np.isclose(got["slope"], g @ g)
    assert np.isclose(got["spread"], np.mean([(row - g) @ (row - g) for row in rows]))
    single = [np.var([MODEL.gradient(theta, c.X[[k]], c.y[[k]]) for k in range(len(c))], axis=0)
              for c in clients]  # fmt: skip
    expected = np.mean([var.sum() / 16 for var in single])
    assert 0.3 < got["noise"] / expected < 3


def test_the_border_lies_between_the_two_crowds_of_the_guide():
    seen = {}
    for alpha in (np.inf, 0.3):
        got = robustness_report(crowd(alpha, n=9, samples=200), SimpleModel(8, 16), F, "median",
                                "none", **QUICK | {"rounds": 60})  # fmt: skip
        seen[alpha] = got.difference
    assert seen[np.inf]["alike"] and not seen[0.3]["alike"]
    ratio = [seen[alpha]["between / noise"].mean for alpha in (np.inf, 0.3)]
    assert 1.5 * ratio[0] < report.BORDER < ratio[1] / 1.5


def test_what_a_difference_costs(found):
    at = found.difference
    B, G = at["B"].mean, at["G"].mean
    assert at["share borne"] == theory.breakdown_fraction(B)
    assert at["liars borne"] / 6 < at["share borne"] <= (at["liars borne"] + 1) / 6
    assert at["floor"] == theory.gradient_floor(F / (6 - 2 * F), G, B)


@given(
    st.lists(st.floats(0, 100), min_size=5, max_size=12),
    st.lists(st.floats(0, 1e6), min_size=0, max_size=2),
    st.floats(0.35, 0.6),
)
def test_a_radius_among_lies_lies_between_its_honest_shares(honest, lies, share):
    got_all = honest + lies
    try:
        got = clipping_radius(got_all, len(lies), share)
    except ValueError:
        j = np.ceil(share * len(got_all) - 1e-9)
        assert not len(lies) < j <= len(honest)
        return
    assert np.mean(np.array(honest) <= got.radius) >= got.low - 1e-12
    assert np.mean(np.array(honest) < got.radius) <= got.high + 1e-12
    assert got.radius in got_all


def test_radius_by_hand():
    assert clipping_radius([3, 1, 2, 5, 4]) == (3.0, 0.6, 0.6)
    assert clipping_radius([[3, 1, 2, 5, 4], [9, 9, 9, 9, 9], [3, 1, 2, 5, 4]]).radius == 3.0
    assert clipping_radius([3, 1, 2, 5, 4], f=2) == (3.0, 1 / 3, 1.0)
    with pytest.raises(ValueError, match="a lie is the radius; got f = 3"):
        clipping_radius([3, 1, 2, 5, 4], f=3)


# --- The guide ------------------------------------------------------------------------------------


def test_the_guide_has_a_bounded_line_for_every_threat():
    for alike in (True, False):
        for loud in (True, False):
            for known in (True, False):
                threat, line = guide(alike, loud, known)
                assert GUIDE[threat] == line
                assert promise(line, 17, 3)[0] in ("kappa", "reach")
    assert guide(False, True)[0] == ("differ", "anything may come")


@pytest.mark.parametrize(
    "name, defence",
    [
        ("Krum", Defence("Krum", "none", 0.5)),
        ("mixing, trimmed mean", Defence("trimmed mean", "mixing", 0.5)),
        ("bucketing, Krum, momentum 0.9", Defence("Krum", "bucketing", 0.9)),
    ],
)
def test_defences_by_name(name, defence):
    assert defence_named(name, 0.5) == defence and defence_named(defence.name) == defence


@pytest.mark.parametrize(
    "name", ["Krumm", "mixing", "mixing, Krum, median", "x, Krum", "Krum, momentum 1", "momentum 0",
             "Krum, momentum much"],
)  # fmt: skip
def test_no_such_defence(name):
    with pytest.raises(ValueError):
        defence_named(name)


def test_promises():
    assert promise(Defence("mean"), 10, 3) == ("none", np.inf)
    assert promise(Defence("centered clipping", "mixing"), 10, 3) == ("none", np.inf)
    assert promise(Defence("centered clipping"), 10, 3, 2.0) == ("reach", 0.6)
    assert bears(Defence("Bulyan"), 15) == 3 and bears(Defence("centered clipping"), 15) is None


def test_worst_regret_by_hand():
    table = pd.DataFrame([[80, 70], [86, 40]], ["D", "E"])
    assert worst_regret(table).to_dict() == {"D": 6, "E": 30}
    assert worst_regret(table.mask(table == 40)).isna().tolist() == [False, True]


# --- Kept, resumed, the same in parallel ---------------------------------------------------------


def test_what_is_kept_is_kept_under_the_clients(tmp_path, monkeypatch):
    calls, trained = [], report.ByzantineFL.run

    def counted(*args, **more):
        calls.append(1)
        return trained(*args, **more)

    monkeypatch.setattr(report.ByzantineFL, "run", counted)
    options = QUICK | {"cache": tmp_path}
    first = robustness_report(crowd(), MODEL, F, "median", "none", **options)
    one = len(calls)
    again = robustness_report(crowd(), MODEL, F, "median", "none", **options)
    assert one and len(calls) == one and again.results.equals(first.results)
    robustness_report(crowd(seed=1), MODEL, F, "median", "none", **options)
    assert len(calls) == 2 * one


def test_a_cell_is_known_by_what_it_was_given():
    def digest(clients, model=MODEL, rules=None):
        folds = report._folds(clients, None)
        rules = rules or report._rules(["median"], 0.9)
        cell = report._attacked_cell(folds, model, rules, report._attacks(["none"], 3), 3)
        return _code.code_of(cell)

    def own(updates):
        return middle(updates)

    def other(updates):
        return middle(updates) + 0

    assert digest(crowd()) == digest(crowd())
    changed = [digest(crowd()), digest(crowd(seed=1)), digest(crowd(), SimpleModel(8, 4)),
               digest(crowd(), rules={"a": own}), digest(crowd(), rules={"a": other})]  # fmt: skip
    assert len(set(changed)) == len(changed)


def test_two_processes_report_the_same(found):
    there = robustness_report(crowd(n=6), MODEL, F, SHOWN, LIES, **QUICK | {"n_jobs": 2})
    assert there.results.equals(found.results) and there.markdown() == found.markdown()


def test_markdown_csv_and_picture(found, tmp_path):
    found.write(tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "report.md", "report.csv", "runs.csv", "report.png"}  # fmt: skip
    table = pd.read_csv(tmp_path / "out/report.csv", keep_default_na=False)
    assert table["rule"].tolist() == found.matrix["rule"].tolist()
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert text == found.markdown() and str(found.advice) in text
    figure = found.figure()
    assert figure.axes[0].get_title(loc="left")
    plt.close(figure)


# --- Bad input ------------------------------------------------------------------------------------


def broken(value):
    clients = crowd()
    X = clients[2].X.copy()
    X[5, 3] = value
    return [*clients[:2], Client(X, clients[2].y, "desk 2"), *clients[3:]]


def one_class():
    return [Client(c.X, np.ones(len(c), int), c.name) for c in crowd()]


@pytest.mark.parametrize(
    "clients, f, more, sentence",
    [
        (crowd, 4, {}, "needs a majority of honest clients, n > 2f; got n = 7, f = 4"),
        (crowd, 0, {}, "needs f >= 1; got f = 0"),
        (lambda: broken(np.nan), 1, {}, "'desk 2' holds NaN or infinity, 1 times, first in row 5, "
         "feature 3"),
        (lambda: broken(np.inf), 1, {}, "'desk 2' holds NaN or infinity"),
        (one_class, 1, {}, "all training rows of fold 1 have one class, 1"),
        (lambda: crowd()[:2], 1, {}, "at least 3 clients"),
        (lambda: [Client(np.ones((2, 8)), [0, 1], "few"), *crowd()], 1, {}, "'few' has 2 rows"),
        (lambda: [Client(np.ones((9, 3)), [0, 1, 2] * 3, "thin"), *crowd()], 1, {},
         r"equally many features; got \[3, 8\]"),
        (lambda: [Client(np.ones((9, 8)), [0, 1, 5] * 3, "odd"), *crowd()], 1, {},
         "labels are 0 .. 2 for this model; got 0 .. 5"),
        (crowd, 1, {"seeds": 1}, "at least 2 seeds"),
        (crowd, 1, {"rules": []}, "at least one rule"),
        (crowd, 1, {"attacks": "flop"}, "no attack 'flop'"),
        (crowd, 1, {"metric": "loss"}, "metric is 'accuracy' or 'balanced accuracy'; got 'loss'"),
        (crowd, 1, {"tests": crowd()[:3]}, "as many tests"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(clients, f, more, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        robustness_report(clients(), MODEL, f, **QUICK | more)
    assert "\n" not in str(error.value)


def test_a_training_that_diverges_without_lies_says_so():
    clients = [Client(1e6 * c.X, c.y, c.name) for c in crowd()]
    with pytest.raises(RuntimeError, match="nobody lies ends in round .*: scale the features"):
        robustness_report(clients, SimpleModel(8, 4), F, "median", "none",
                          **QUICK | {"learning_rate": 1e300})  # fmt: skip


# --- Files ----------------------------------------------------------------------------------------

NAMES = np.array(["Down", "Flat", "Up"])


def files(folder, n=4, rows=160, start="2025-01-01", freq="5min", **more):
    for i, client in enumerate(crowd(n=n, samples=rows)):
        table = pd.DataFrame(client.X, columns=[f"x{k}" for k in range(8)])
        order = np.random.default_rng(i).permutation(rows)
        table = table.iloc[order].assign(
            time=pd.date_range(start, periods=rows, freq=freq, tz="UTC"), up=NAMES[client.y[order]]
        )
        table.to_csv(folder / f"desk{i}.csv", index=False)
    return folder


ASKED = ["--label", "up", "--time", "time"]
SHORT = ["--seeds", "2", "--rounds", "10", "--hidden", "0", "--rules", "mean; median", "--attacks",
         "none; loud sign flip", "--jobs", "1", "--batch", "8"]  # fmt: skip


def test_the_command_writes_a_report_and_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    asked = [str(files(tmp_path)), *ASKED, *SHORT]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert "| mean, momentum 0.9 |" in shown and "always one class" in shown
    assert (tmp_path / "report/report.md").read_text(encoding="utf-8") in shown
    monkeypatch.setattr(report.ByzantineFL, "run", None)  # nothing is computed again
    assert main(asked) == 0 and capsys.readouterr().out == shown


def test_rows_of_files_come_back_in_time_on_one_scale(tmp_path):
    files(tmp_path)
    shuffled = pd.read_csv(tmp_path / "desk1.csv").sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "desk1.csv", index=False)
    own, tests, about = read_folder(tmp_path, "up", "time", least=8, work=tmp_path / "w")
    assert about["classes"] == list(NAMES) and about["step"] == pd.Timedelta("5min")
    table = pd.read_csv(tmp_path / "desk1.csv", parse_dates=["time"]).sort_values("time")
    for fold, mine, test in zip(about["folds"], own, tests, strict=True):
        assert [c.name for c in mine] == [f"desk{i}" for i in range(4)]
        rows = table[fold.train_mask(table["time"])]
        assert (NAMES[mine[1].y] == rows["up"]).all()
        assert isinstance(mine[1].X, np.memmap) and isinstance(test[1].X, np.memmap)
        X = rows[about["features"]].to_numpy()
        z = np.clip((X - X.mean(axis=0)) / X.std(axis=0), -5, 5)
        np.testing.assert_allclose(mine[1].X, z, atol=1e-9)
        later = table[fold.test_mask(table["time"])]
        assert len(later) == len(test[1]) and later["time"].min() > rows["time"].max()
        gap = later["time"].min() - rows["time"].max()
        assert gap > 2 * about["step"]  # what a row of candle t reaches ahead, and back


def spoil(change, file="desk2.csv"):
    """A folder's file, changed: `change` maps its table to another."""

    def spoiled(folder):
        table = pd.read_csv(folder / file, dtype={"time": str})
        change(table).to_csv(folder / file, index=False)

    return spoiled


def zone(new, rows=slice(None)):
    """The file's times, or some of them, with another UTC offset in their text."""

    def change(table):
        table.loc[table.index[rows], "time"] = table["time"].str.replace("+00:00", new)
        return table

    return spoil(change)


OTHER_STEP = pd.date_range("2025-01-01", periods=160, freq="4min", tz="UTC").astype(str)


@pytest.mark.parametrize(
    "change, more, sentence",
    [
        (spoil(lambda t: t.drop(columns="up")), [], "desk2.csv has no column 'up'; there are x0"),
        (spoil(lambda t: t.drop(columns="time")), [], "desk2.csv has no column 'time'"),
        (spoil(lambda t: t.drop(columns="x3")), [], "desk2.csv has no column 'x3'"),
        (zone("+02:00"), [], "desk0.csv has times with UTC offset +0000, desk2.csv with +0200"),
        (zone(""), [], "desk0.csv has times with UTC offset +0000, desk2.csv with none"),
        (zone("", slice(9)), [], "desk2.csv has two clocks, UTC offsets +00:00 and none"),
        (spoil(lambda t: t.assign(time=OTHER_STEP)), [],
         "desk0.csv goes in steps of 0 days 00:05:00, desk2.csv in steps of 0 days 00:04:00"),
        (spoil(lambda t: t.assign(time=t["time"].iloc[0])), [], "desk2.csv has the time"),
        (spoil(lambda t: t.assign(up="Up")), [], "desk2.csv has one class only, Up"),
        (spoil(lambda t: t.assign(up=t["up"].mask(t.index == 7))), [], "no up in data row 8"),
        (spoil(lambda t: t.head(20)), [], "desk2 has 0 test rows in fold 1"),
        (spoil(lambda t: t.tail(80)), [], "desk2 has 0 training rows in fold 1"),
        (spoil(lambda t: t.head(0)), [], "desk2.csv holds no row"),
        (spoil(lambda t: t.assign(x1=t["x1"].mask(t.index == 4))), [],
         "desk2.csv holds NaN or infinity, 1 times, first in column 'x1', data row 5"),
        (spoil(lambda t: t.assign(note="x"), "desk0.csv"), [], "a column of text, 'note'"),
        (spoil(lambda t: t.assign(x1="x")), [], "desk2.csv has text in column 'x1'"),
        (spoil(lambda t: t.assign(time="soon")), [], "no time, 'soon' in data row 1"),
        (lambda d: (d / "desk2.csv").write_bytes(b"\x00\xff\xfe"), [], "desk2.csv cannot be read"),
        (lambda d: [(d / f"desk{i}.csv").unlink() for i in (0, 1)], [], "at least 3 files"),
        (lambda d: None, ["--liars", "2"], "n > 2f; got n = 4, f = 2"),
        (lambda d: None, ["--train", "9D"], "one fold needs rows over"),
        (lambda d: None, ["--train", "9"], "with its unit"),
        (shutil.rmtree, [], "is no folder"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused_in_a_sentence(change, more, sentence, tmp_path, capsys):
    folder = tmp_path / "desks"
    folder.mkdir()
    change(files(folder))
    out = tmp_path / "out"
    assert main([str(folder), *ASKED, *SHORT, "--out", str(out), *more]) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1


def test_parquet_needs_one_more_package(tmp_path, monkeypatch):
    def missing(path):
        raise ImportError("Unable to find a usable engine")

    files(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(own_data.READERS, ".parquet", missing)
    with pytest.raises(ValueError, match="a.parquet is a Parquet file, which needs .* pyarrow"):
        read_folder(tmp_path, "up", "time", work=tmp_path / "w")


def test_times_as_numbers(tmp_path):
    files(tmp_path)
    want = read_folder(tmp_path, "up", "time", least=8, work=tmp_path / "w")[2]
    for i, unit in enumerate(["s", "ms", "us", "ns"]):
        t = pd.read_csv(tmp_path / f"desk{i}.csv", parse_dates=["time"])
        t["time"] = pd.DatetimeIndex(t["time"]).as_unit(unit).asi8
        t.to_csv(tmp_path / f"desk{i}.csv", index=False)
    got = read_folder(tmp_path, "up", "time", least=8, work=tmp_path / "w")[2]
    assert got == want


def test_a_split_by_time_in_memory():
    clients = crowd(n=3, samples=100)
    clock = pd.date_range("2025-01-01", periods=100, freq="1h")
    own, tests, windows = split_by_time(clients, [clock] * 3, folds=2, least=8)
    assert len(own) == len(tests) == len(windows) == 2
    assert not isinstance(own[0][0].X, np.memmap) and own[0][0].name == "desk 0"
    got = robustness_report(own, MODEL, F, "median", "none", tests=tests, **QUICK)
    assert got.about["rows"] == [sum(map(len, fold)) for fold in own]
