"""The benchmark runs, compares answers, and says what it left out; how fast is not tested."""

import itertools
import re
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest

from benchmarks import clock, peers, report, rules, training
from byzlib import aggregators

ROOT = Path(__file__).parent.parent
SIZE = (7, 30)
QUICK = {"turns": 2, "budget": 0.01}


@pytest.fixture(scope="module", autouse=True)
def impatience():
    """What the tests time is not looked at, so that nothing need be waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "PATIENCE", 0.0)
        yield


@pytest.fixture(scope="module")
def table():
    """Two rules without any peer, and one that is stacked."""
    return rules.measure(["median", "krum"], [SIZE], trials=(3, 7, 20), offers={}, **QUICK)


# --- a run ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_byzlib_and_numpy_alone_make_a_table(table):
    assert list(table.columns) == list(report.COLUMNS)
    assert set(table.who) == {
        "byzlib",
        "np.mean",
        "Gram",
        "np.sort",
        "np.median",
        "a loop over trials",
    }
    assert (table.ms > 0).all() and (table.ratio > 0).all() and (table.turns >= 1).all()
    assert (table.ratio_low <= table.ratio).all() and (table.ratio <= table.ratio_high).all()
    ours = table[table.who == "byzlib"]
    assert (ours.ratio == 1).all() and (ours.copies > 0).all()
    lines = report.summary(table)
    assert list(lines.rule) == ["median", "median", "krum", "krum"]
    assert set(lines.dtype) == set(rules.DTYPES) and "" not in set(lines["x Gram"])
    assert len(report.loops(table)) == 4 and not report.disagreements(table)


def test_a_rule_that_is_not_there_is_a_row_that_says_so(monkeypatch):
    monkeypatch.delattr(aggregators, "median")
    (row,) = rules.cell("median", np.ones(SIZE), {}, {}, **QUICK)
    assert row["note"] == "not in byzlib"


def test_a_rule_that_refuses_is_a_row_that_says_why():
    (row,) = rules.cell("krum", np.ones((2, 3)), {}, {}, **QUICK)
    assert row["note"].startswith("refused: krum needs n >= 2f + 3")


@pytest.mark.parametrize("rule", [rule for rule in rules.RULES if hasattr(aggregators, rule)])
def test_every_rule_can_be_called(rule):
    f = rules.byzantine(rule, 10)
    x = rules.updates(10, 20, "float32", f)
    answer = rules.byzlib_call(rule, x, f)()
    assert answer.shape == ((10, 20) if "mixing" in rule else (20,))
    assert answer.dtype == np.float32 and np.isfinite(answer).all()


def test_memory_is_the_peak_not_the_end():
    def call():
        np.ones(200_000)  # gone when the call ends
        return np.ones(10_000)

    assert 1.6e6 <= clock.peak_memory(call) < 1.7e6


@pytest.fixture
def steady(monkeypatch):
    """A fresh one, on a clock by which every look takes a second."""
    seconds = itertools.count()
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    return clock.Steady()


def test_the_clock_waits_until_the_machine_is_as_fast_as_ever(steady, monkeypatch):
    """The yardstick takes 1, 2 and 1.1 seconds; the second moment is passed over."""
    speeds = iter(6 * [1.0] + 6 * [2.0] + 6 * [1.1])
    monkeypatch.setattr(clock, "yardstick", lambda threads: next(speeds))
    assert steady.wait(60) == 60 and steady.best == [1.0, 1.0]
    assert steady.wait(60) == 59 and next(speeds, None) is None


def test_the_clock_does_not_wait_for_ever(steady, monkeypatch):
    monkeypatch.setattr(clock, "yardstick", lambda threads: 2.0)
    steady.best = [1.0, 1.0]
    assert steady.wait(3) == 0 and steady.waited == 3


def test_the_yardstick_runs_on_so_many_threads(monkeypatch):
    here, met, both = threading.get_ident(), set(), threading.Barrier(2, timeout=30)

    def sort(thread):
        met.add(threading.get_ident())
        if threads == 2:
            both.wait()  # passed only when two are at work

    monkeypatch.setattr(clock, "_sort", sort)
    for threads in (1, 2):
        met.clear()
        clock.yardstick(threads)
        assert (met == {here}) if threads == 1 else len(met - {here}) == 2


# --- peers ----------------------------------------------------------------------------------


def test_the_table_of_definitions_knows_every_peer_and_rule():
    assert set(peers.PEERS) == set(peers.DEFINITIONS)
    assert {peers.package(name) for name in peers.PEERS} == set(peers.PACKAGES)
    assert set().union(*peers.DEFINITIONS.values()) == set(rules.RULES)
    assert set(peers.TORCH) < set(peers.PEERS)


@pytest.mark.parametrize("name", peers.PEERS)
def test_a_peer_calls_the_rules_that_it_is_said_to_have(name, monkeypatch):
    """With stand-ins in place of the libraries: what is missing must not be needed here."""
    modules = re.findall(r"(?:from|import) ((?:torch|flwr|krum|byzfl)[\w.]*)", source(peers))
    for module in modules:
        monkeypatch.setitem(sys.modules, module, MagicMock())
    calls = peers.PEERS[name](np.ones((10, 3)), 2)
    assert set(calls) == set(peers.DEFINITIONS[name]) and all(map(callable, calls.values()))


@pytest.mark.parametrize("name", peers.PEERS)
def test_a_peer_of_the_same_definition_gives_the_same_answer(name):
    for module in {peers.package(name), "torch"} if name in peers.TORCH else {peers.package(name)}:
        pytest.importorskip(module, reason=f"{module} is not installed")
    for rule, differs in peers.DEFINITIONS[name].items():
        if not differs and hasattr(aggregators, rule):
            f = rules.byzantine(rule, 15)  # where Bulyan is not decided by ties
            x = rules.updates(15, 20, "float64", f)
            theirs = peers.as_array(peers.PEERS[name](x, f)[rule]())
            ours = rules.byzlib_call(rule, x, f)()
            np.testing.assert_allclose(theirs, ours, atol=1e-4, err_msg=rule)


def test_other_answers_failures_and_long_calls_are_told(monkeypatch):
    def broken():
        raise RuntimeError("too many rows\nand more")

    x = rules.updates(*SIZE, "float64", 2)
    offers = {
        "right": lambda f: {"median": lambda: [np.median(x, axis=0)]},
        "wrong": lambda f: {"median": lambda: np.median(x, axis=0) + 1e-6},
        "other": lambda f: {"median": lambda: x[0]},
        "broken": lambda f: {"median": broken},
        "long": lambda f: {"median": broken},
        "without": lambda f: {},
    }
    definitions = dict.fromkeys(offers, {"median": peers.SAME}) | {"without": {}}
    definitions["other"] = {"median": "the first row"}
    monkeypatch.setattr(peers, "DEFINITIONS", definitions)
    expected = {("long", "median", "float64"): 1.0}  # seconds for each value of x
    rows = rules.cell("median", x, offers, expected, **QUICK)
    table = report.as_table(pd.DataFrame(rows)).set_index("who")
    assert "without" not in table.index
    assert dict(table.agrees[["right", "wrong", "other"]]) == {
        "right": "yes",
        "wrong": "NO",
        "other": "another definition",
    }
    assert table.note["broken"] == "RuntimeError: too many rows"
    assert table.note["long"] == "left out: about 210 s a call"
    assert table.ms[["broken", "long"]].isna().all()
    assert report.disagreements(table.reset_index()) == ["wrong, median, 7 x 30, float64"]
    assert ("right", "median", "float64") in expected and ("broken", "median") not in expected


def test_what_needs_too_much_is_not_tried():
    mixing = "nearest_neighbor_mixing", 50, 15, 1_000_000
    assert peers.out_of_reach("byzfl", *mixing, 8) == "would need 14.0 GB"
    assert "subsets" in peers.out_of_reach("krum", "minimum_diameter_average", 50, 15, 10, 8)
    assert not peers.out_of_reach("byzfl", "minimum_diameter_average", 10, 3, 10, 8)
    assert not peers.out_of_reach("byzfl", "median", 50, 15, 1_000_000, 8)


# --- goals ----------------------------------------------------------------------------------


def measured(rule, n, d, dtype, ratios, copies=0.1, trials=1):
    """Rows of one cell in which everyone takes so many times as long as byzlib."""
    about = {"rule": rule, "trials": trials, "n": n, "d": d, "f": 2, "dtype": dtype}
    rows = [about | {"who": "byzlib", "kind": "byzlib", "ms": 1.0, "ratio": 1.0, "copies": copies}]
    kinds = {"Gram": "yardstick", "loop": "loop"}
    for who, ratio in ratios.items():
        definition = "of its own" if who == "odd" else ""
        kind = kinds.get(who, "peer")
        rows.append(about | {"who": who, "kind": kind, "ratio": ratio, "definition": definition})
    return rows


def verdicts(*cells):
    table = report.as_table(pd.DataFrame(sum(cells, [])))
    return {line["goal"]: (line["worst"], line["verdict"]) for line in report.judged(table)}


def test_goals_are_judged_by_their_worst_cell():
    fast = measured("median", 10, 1_000, "float64", {"byzfl": 3, "flwr": 2})
    slow = measured("median", 10, 1_000, "float32", {"byzfl": 3, "flwr": 1.2})
    goal = "median: 1.5 times as fast as the fastest peer"
    assert verdicts(fast)[goal] == ("2.00", "reached in 1 of 2")
    assert verdicts(fast, slow)[goal] == ("1.20", "missed in 1 of 2")
    assert verdicts(fast, fast)[goal][1] == "reached in 1 of 2"
    assert verdicts(slow)["median: 6 times as fast as the fastest peer"] == ("", "not measured")


def test_a_goal_that_is_an_upper_bound():
    cells = [
        measured("krum", n, d, dtype, {"Gram": 0.8}, copies=copies)
        for n, d in report.LARGE
        for dtype, copies in (("float64", 0.5), ("float32", 1.1))
    ]
    found = verdicts(*cells)
    assert found["krum: at most 1.5 times one Gram product"] == ("1.25", "reached")
    assert found["krum: extra memory of at most 1 of its input"] == ("1.10", "missed in 3 of 6")


def test_for_bulyan_only_the_papers_definition_counts():
    cell = measured("bulyan", 100, 100_000, "float64", {"odd": 2, "flwr": 200})
    goal = "bulyan: 150 times as fast as the fastest peer that computes the paper's Bulyan"
    assert verdicts(cell)[goal][0] == "200"
    other = measured("krum", 100, 100_000, "float64", {"odd": 0.5, "flwr": 200})
    assert verdicts(other)["krum: not slower than the fastest peer"][0] == "0.500"


def test_stacked_rows_are_judged_apart():
    one = measured("krum", 10, 1_000, "float64", {"byzfl": 2})
    many = measured("krum", 10, 1_000, "float64", {"loop": 9}, trials=1_000)
    found = verdicts(one, many)
    assert found["krum: 5 times as fast as a Python loop over trials"][0] == "9.00"
    assert found["krum: not slower than the fastest peer"][0] == "2.00"


def test_every_goal_is_about_something_that_is_measured():
    for goal in report.targets():
        assert goal.rule in rules.RULES and set(goal.sizes) <= set(rules.SIZES)
        assert goal.against != "loop" or goal.rule in rules.STACKED
    assert len(set(map(str, report.targets()))) == len(report.targets())
    assert report.has_goal("bulyan", 100, 100_000) and not report.has_goal("bulyan", 10, 1_000)


# --- files and the command line -------------------------------------------------------------


def run(monkeypatch, absent, *arguments):
    monkeypatch.setattr(peers, "missing", lambda: absent)
    monkeypatch.setattr(rules, "TRIALS", (3, 7, 20))
    rules.main([*arguments, "--turns", "1", "--budget", "0.01"])


def test_missing_peers_are_named_and_results_kept(monkeypatch, capsys):
    monkeypatch.setattr(report, "save", lambda *_: pytest.fail("results were replaced"))
    run(monkeypatch, list(peers.PACKAGES), "--only", "median", "--sizes", "7x3e1")
    printed = capsys.readouterr().out
    assert "Not installed, so without rows: byzfl, flwr, krum, torchjd" in printed
    assert ".[bench]" in printed and "7 x 30" in printed and "Nothing was written" in printed


def test_saved_results_are_what_the_page_shows(monkeypatch, tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_text(f"Before.\n\n{report.BEGIN}\nold\n{report.END}\nAfter.\n")
    some = ["--only", "median", "krum", "--sizes", "7x30", "--save", str(tmp_path)]
    run(monkeypatch, list(peers.PACKAGES), *some)
    text = page.read_text()
    assert text.startswith("Before.") and text.endswith("After.\n") and "old" not in text
    assert "| median | 7 x 30 | 2 |" in text and "### float32" in text
    assert text == report.with_table(text, *report.load(tmp_path))
    machine = (tmp_path / "results/machine.json").read_text()
    assert np.__version__ in machine and str(Path.home()) not in machine


def test_the_page_shows_the_recorded_results():
    if not (report.FOLDER / "results/rules.csv").exists():
        pytest.skip("no whole run is recorded yet")
    page = (report.FOLDER / "README.md").read_text(encoding="utf-8")
    assert page == report.with_table(page, *report.load())


@pytest.mark.slow
def test_training_is_timed_without_any_peer(monkeypatch):
    for name, value in {"ROUNDS": 2, "TABLE_ROUNDS": 2, "TURNS": 1}.items():
        monkeypatch.setattr(training, name, value)
    rows = training.round_rows("mean", peer=False)
    rows += training.seed_rows("trimmed_mean", (4, 5, 3), 8) + training.cell_rows("mean")
    table = pd.DataFrame(rows)
    assert list(table.what) == ["a round"] * 3 + ["ten seeds"] * 4
    assert list(table.who[3:]) == ["stacked", "ten runs"] * 2
    assert list(table.sizes[3::2]) == ["4-5-3, batches of 8", "8-16-3, a cell of the tables"]
    assert (table.ms > 0).all() and (table.ratio[[0, 3, 5]] == 1).all()


def test_stacked_seeds_that_learn_something_else_are_not_timed_in_silence(monkeypatch):
    monkeypatch.setattr(training, "TURNS", 1)
    with pytest.raises(AssertionError):
        training.side_by_side(lambda: np.ones(3), lambda: np.ones(3) + 1e-9, 1, {})


@pytest.mark.parametrize(
    "wrong",
    [["--only", "krumm"], ["--sizes", "10by1000"], ["--sizes", "10x"], ["--dtypes", "int8"]],
)
def test_a_typing_error_is_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        rules.main(wrong)
    assert wrong[1] in capsys.readouterr().err


def test_the_page_tells_how_to_run_it():
    page = (report.FOLDER / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "make bench PYTHON_BENCH=" in page and "$(PYTHON_BENCH)" in makefile
    asked = re.search(r'ONLY="(.*?)" SIZES="(.*?)"', page)
    assert set(asked[1].split()) <= set(rules.RULES)
    assert set(map(rules.size, asked[2].split())) <= set(rules.SIZES)


def source(module):
    return Path(module.__file__).read_text(encoding="utf-8")
