"""The benchmark runs, compares answers, and says what it left out; how fast is not tested."""

import re
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest

from benchmarks import clock, peers, report, rules, training
from byzlib import aggregators

SIZE = (7, 30)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What the tests time is not looked at."""
    for module, name, value in [
        (rules, "TURNS", 2), (rules, "BUDGET", 0.01), (rules, "TRIALS", (3, 7, 20)),
        (clock, "WARM", 0.0), (clock, "ENOUGH", 0.0),
        (training, "ROUNDS", 2), (training, "TURNS", 1),
    ]:  # fmt: skip
        monkeypatch.setattr(module, name, value)


# --- a run ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_byzlib_and_numpy_alone_make_a_table():
    table = rules.measure(["median", "krum"], [SIZE], rules.TRIALS, offers={})
    assert list(table.columns) == report.COLUMNS
    named = {"byzlib", "np.mean", "Gram", "np.median", "a loop over trials"}
    assert set(table.who) == named
    assert (table.ms > 0).all() and (table.ratio > 0).all() and (table.turns >= 1).all()
    assert (table.ratio_low <= table.ratio).all() and (table.ratio <= table.ratio_high).all()
    ours = table[table.who == "byzlib"]
    assert (ours.ratio == 1).all() and (ours.copies > 0).all()
    for dtype in rules.DTYPES:
        assert report.summary(table, dtype)["7 x 30"].str.fullmatch(r"[\d.,]+ ms").all()
    assert len(report.loops(table)) == 4 and not report.disagreements(table)


def test_a_rule_that_refuses_is_a_row_that_says_why():
    (row,) = rules.cell("krum", np.ones((2, 3)), {}, {})
    assert row["note"].startswith("refused: krum needs n >= 2f + 3")
    assert "refused" in report.summary(report.as_table(pd.DataFrame([row])), "float64")["2 x 3"][0]


@pytest.mark.parametrize("rule", rules.RULES)
def test_every_rule_can_be_called(rule):
    f = rules.byzantine(rule, 10)
    answer = rules.byzlib_call(rule, rules.updates(10, 20, "float32", f), f)()
    assert answer.shape == ((10, 20) if "mixing" in rule else (20,))
    assert answer.dtype == np.float32 and np.isfinite(answer).all()


def test_memory_is_the_peak_not_the_end():
    def call():
        np.ones(200_000)  # gone when the call ends
        return np.ones(10_000)

    assert 1.6e6 <= clock.peak_memory(call) < 1.7e6


def test_everyone_has_turns_and_follows_everyone():
    calls = []
    runners = [clock.Runner(name, "peer", lambda name=name: calls.append(name)) for name in "abc"]
    for runner in runners:
        runner.first()
        runner.turns, runner.once = (1 if runner.name == "c" else 2), 1.0
    calls.clear()
    clock.take_turns(runners)
    assert "".join(calls) == "abcba" and [len(r.seconds) for r in runners] == [2, 2, 1]


# --- peers ----------------------------------------------------------------------------------


def test_the_table_of_definitions_knows_every_peer_and_rule():
    assert set(peers.PEERS) == set(peers.DEFINITIONS)
    assert {peers.package(name) for name in peers.PEERS} == set(peers.PACKAGES)
    assert set().union(*peers.DEFINITIONS.values()) == set(rules.RULES)


@pytest.mark.parametrize("name", peers.PEERS)
def test_a_peer_calls_the_rules_that_it_is_said_to_have(name, monkeypatch):
    """With stand-ins in place of the libraries: what is missing must not be needed here."""
    source = Path(peers.__file__).read_text(encoding="utf-8")
    for module in re.findall(r"(?:from|import) ((?:torch|flwr|krum|byzfl)[\w.]*)", source):
        monkeypatch.setitem(sys.modules, module, MagicMock())
    calls = peers.PEERS[name](np.ones((10, 3)), 2)
    assert set(calls) == set(peers.DEFINITIONS[name]) and all(map(callable, calls.values()))


@pytest.mark.parametrize("name", peers.PEERS)
def test_a_peer_of_the_same_definition_gives_the_same_answer(name):
    pytest.importorskip(peers.package(name), reason="a peer is not installed")
    for rule, differs in peers.DEFINITIONS[name].items():
        if not differs:
            f = rules.byzantine(rule, 15)  # where Bulyan is not decided by ties
            x = rules.updates(15, 20, "float64", f)
            theirs = peers.as_array(peers.PEERS[name](x, f)[rule]())
            ours = rules.byzlib_call(rule, x, f)()
            np.testing.assert_allclose(theirs, ours, atol=1e-4, err_msg=rule)


def test_other_answers_failures_and_long_calls_are_told(monkeypatch):
    def broken():
        raise RuntimeError("too many rows\nand more")

    x = rules.updates(*SIZE, "float64", 2)
    calls = {
        "right": lambda: [np.median(x, axis=0)],
        "wrong": lambda: np.median(x, axis=0) + 1e-6,
        "other": lambda: x[0],
        "broken": broken,
        "long": broken,
    }
    offers = {name: lambda x, f, call=call: {"median": call} for name, call in calls.items()}
    definitions = dict.fromkeys(offers, {"median": ""}) | {"without": {}}
    definitions["other"] = {"median": "the first row"}
    monkeypatch.setattr(peers, "DEFINITIONS", definitions)
    slow = {("long", "median", "float64"): "left out"}
    rows = rules.cell("median", x, offers | {"without": None}, slow)
    table = report.as_table(pd.DataFrame(rows)).set_index("who")
    assert "without" not in table.index
    told = {"right": "yes", "wrong": "NO", "other": "another definition"}
    assert dict(table.agrees[list(told)]) == told
    assert table.note["broken"] == "RuntimeError: too many rows"
    assert table.note["long"] == "left out" and len(slow) == 1
    assert table.ms[["broken", "long"]].isna().all() and (table.ms[list(told)] > 0).all()
    assert report.disagreements(table.reset_index()) == ["wrong, median, 7 x 30, float64"]
    monkeypatch.setattr(rules, "HOPELESS", 0.0)
    rules.cell("median", x, {"right": offers["right"]}, slow)
    assert slow["right", "median", "float64"] == "left out: 0 s a call at 7 x 30"


def test_what_needs_too_much_is_not_tried():
    mixing = "nearest_neighbor_mixing", 50, 15, 1_000_000
    assert peers.out_of_reach("byzfl", *mixing, 8) == "would need 14.0 GB"
    assert "subsets" in peers.out_of_reach("krum", "minimum_diameter_average", 50, 15, 10, 8)
    assert not peers.out_of_reach("byzfl", "minimum_diameter_average", 10, 3, 10, 8)
    assert not peers.out_of_reach("byzfl", "median", 50, 15, 1_000_000, 8)


# --- what is said of it ---------------------------------------------------------------------


def test_every_goal_is_about_something_that_is_measured():
    table, _ = report.load()
    assert len(list(report.judged(table))) == len(report.GOALS)


# --- files and the command line -------------------------------------------------------------


def test_missing_peers_are_named_and_results_kept(monkeypatch, capsys):
    monkeypatch.setattr(report, "save", lambda *_: pytest.fail("results were replaced"))
    monkeypatch.setattr(peers, "missing", lambda: list(peers.PACKAGES))
    rules.main(["--only", "median", "--sizes", "7x3e1"])
    printed = capsys.readouterr().out
    assert "Not installed, so without rows: byzfl, flwr, krum, torchjd" in printed
    assert ".[bench]" in printed and "7 x 30" in printed and "Nothing was written" in printed


def test_saved_results_are_what_the_page_shows(monkeypatch, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"Before.\n\n{report.BEGIN}\nold\n{report.END}\nAfter.\n")
    monkeypatch.setattr(peers, "missing", lambda: list(peers.PACKAGES))
    rules.main(["--only", "median", "krum", "--sizes", "7x30", "--save", str(tmp_path)])
    text = page.read_text()
    assert text.startswith("Before.") and text.endswith("After.\n") and "old" not in text
    assert "| rule | 7 x 30 |" in text and "### float32" in text
    assert text == report.with_table(text, *report.load(tmp_path))
    machine = (tmp_path / "results/machine.json").read_text()
    assert np.__version__ in machine and str(Path.home()) not in machine


def test_the_page_shows_the_recorded_results():
    """Times, goals and their verdicts; and how to run it."""
    page = (report.FOLDER / "README.md").read_text(encoding="utf-8")
    assert page == report.with_table(page, *report.load())
    assert "make bench PYTHON_BENCH=" in page
    asked = re.search(r'ONLY="(.*?)" SIZES="(.*?)"', page)
    assert set(asked[1].split()) <= set(rules.RULES)
    assert set(map(rules.size, asked[2].split())) <= set(rules.SIZES)


@pytest.mark.slow
def test_training_and_the_market_are_timed_without_any_peer():
    rows = training.round_rows("mean", peer=False) + training.seed_rows("trimmed_mean")
    table = pd.DataFrame(rows + training.market_rows(days=2))
    assert list(table.what) == ["a round"] * 3 + ["ten seeds"] * 6 + ["2 simulated days"] * 2
    assert list(table.who[3:]) == ["stacked", "ten runs"] * 3 + ["byzlib", "random numbers"]
    assert (table.ms > 0).all() and (table.ratio[[0, 3, 5, 7, 9]] == 1).all()


def test_stacked_seeds_that_learn_something_else_are_not_timed_in_silence():
    with pytest.raises(AssertionError):
        training.side_by_side(lambda: np.ones(3), lambda: np.ones(3) + 1e-9, {})


def test_parameters_turn_into_those_of_torch():
    """Torch keeps (outputs, inputs), byzlib (inputs and a row of biases, outputs)."""
    theta = training.training(aggregators.mean).model.init(0)
    weights = theta[: 4 * 128].reshape(4, 128)
    turned = training.to_torch(theta)
    assert np.array_equal(turned[: 4 * 128].reshape(128, 4), weights.T)
    assert np.array_equal(np.sort(turned), np.sort(theta))


@pytest.mark.parametrize(
    "wrong", [["--only", "krumm"], ["--sizes", "10by1000"], ["--sizes", "10x"]]
)
def test_a_typing_error_is_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        rules.main(wrong)
    assert wrong[1] in capsys.readouterr().err
