"""The tournament: who fails loses the match and nothing else; scores as they are defined."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from course import tournament as t
from course.tournament import NOBODY, Entry, Match

ROOT = Path(__file__).parent.parent
SMALL = {"secret": 7, "seeds": 3, "rounds": 6}
posix = pytest.mark.skipif(os.name != "posix", reason="this system sets no limits to a process")

RULE = "import numpy as np\n\ndef rule(updates, f):\n    return {}\n"
ATTACK = "import numpy as np\n\ndef attack(honest, f, rng):\n    {}\n    return honest[:f]\n"
MEDIAN = Entry("own median", "rule", RULE.format("np.median(updates, axis=0)"))
FLIP = Entry("own flip", "attack",
             ATTACK.format("return -10 * np.tile(honest.mean(axis=0), (f, 1))"))  # fmt: skip
BAD = {
    "crash": ("1 / 0", "ZeroDivisionError: division by zero"),
    "exit": ("import os; os._exit(0)", "it ended its process with status 0"),
    "hang": ("while True: pass", "it computed for more than 0.5 seconds"),
    "shape": ("return honest", r"it returned shape \(9, 195\), not numbers of shape \(2, 195\)"),
    "words": ("return 'a lie'", "it returned 'a lie', not numbers"),
    "ragged": ("return [[1], [1, 2]]", "not numbers of shape"),
    "peek": (f"open({str(ROOT / 'course/tournament.py')!r})", "it tried to read"),
    "write": ("open('x', 'w')", "it tried to write"),
    "fork": ("import os; os.fork()", "it tried to start a process"),
    "socket": ("import socket; socket.socket()", "it tried to open a socket"),
}


@posix
@pytest.mark.parametrize(
    "kind", [kind if kind in ("crash", "exit", "hang", "shape", "peek")
             else pytest.param(kind, marks=pytest.mark.slow) for kind in BAD]
)  # fmt: skip
def test_an_attack_that_fails_loses_its_match(kind, monkeypatch):
    monkeypatch.setattr(t, "SECONDS", 0.5)
    source, why = BAD[kind]
    match = t.play(Entry(kind, "attack", ATTACK.format(source)), Entry("median", "rule"), **SMALL)
    assert match.lost_by == "attack" and match.accuracy is None and re.search(why, match.why)


@posix
@pytest.mark.parametrize("answer, why", [
    ("updates", "it returned shape"), ("None", "it returned None"), ("1 / 0", "ZeroDivisionError"),
    ("updates[0]\nraise RuntimeError('at the top')", "its file stopped with RuntimeError"),
    ("updates[0]\nimport os\nos._exit(1)", "it ended its process"),
])  # fmt: skip
def test_a_rule_that_fails_loses_its_match(answer, why):
    match = t.play(None, Entry("mine", "rule", RULE.format(answer)), **SMALL)
    assert match.lost_by == "rule" and match.accuracy is None and why in match.why


@posix
def test_students_entries_play_as_the_library_does():
    own = t.play(FLIP, MEDIAN, **SMALL)
    book = t.play(Entry("loud sign flip", "attack"), Entry("median", "rule"), **SMALL)
    assert not own.lost_by and np.allclose(own.accuracy, book.accuracy)
    alone = t.play(None, MEDIAN, **SMALL)
    assert (alone.attack, alone.rule) == (NOBODY, "own median")
    assert not np.array_equal(alone.accuracy, own.accuracy)


@posix
def test_who_fails_changes_nothing_for_the_others():
    attacks, rules = [Entry("sign flip", "attack")], [MEDIAN]
    bad = Entry("bad", "attack", ATTACK.format("1 / 0"))
    worse = Entry("worse", "rule", RULE.format("updates"))
    quiet = t.tournament(attacks, rules, **SMALL)
    loud = t.tournament([bad, *attacks], [worse, *rules], **SMALL)
    for pair, match in quiet.items():
        assert np.array_equal(loud[pair].accuracy, match.accuracy)
    names = ["sign flip"], ["own median"]
    for kind, own in zip(("attack", "rule"), names):
        before, _ = t.scores(quiet, own, kind)
        after, forfeits = t.scores(loud, own, kind)
        assert all(np.array_equal(before[name], after[name]) for name in own)
        assert not any(forfeits.values())
    total, forfeits = t.scores(loud, ["worse"], "rule")
    assert not total["worse"].any() and len(forfeits["worse"]) == 2  # one was the attack's


def test_the_seeds_are_hidden_and_the_same_for_all():
    pair = None, Entry("mean", "rule")
    first, again = (t.play(*pair, **SMALL).accuracy for _ in range(2))
    other = t.play(*pair, **SMALL | {"secret": 8}).accuracy
    assert np.array_equal(first, again) and not np.array_equal(first, other)


MATCHES = [
    Match(NOBODY, "A", np.array([0.9, 0.8])), Match("x", "A", np.array([0.5, 0.2])),
    Match("y", "A", None, "attack", "crash"), Match("z", "A", None, "rule", "crash"),
    Match(NOBODY, "B", None, "rule", "crash"), Match("x", "B", np.array([0.4, 0.6])),
    Match("y", "B", None, "attack", "crash"), Match("z", "B", np.array([0.7, 0.7])),
]  # fmt: skip


def test_scores_by_hand():
    matches = {(m.attack, m.rule): m for m in MATCHES}
    rules, forfeits = t.scores(matches, ["A", "B"], "rule")
    assert np.allclose(rules["A"], [(0.9 + 0.5 + 0) / 3, (0.8 + 0.2 + 0) / 3])
    assert np.allclose(rules["B"], [(0 + 0.4 + 0.7) / 3, (0 + 0.6 + 0.7) / 3])
    assert {name: len(lost) for name, lost in forfeits.items()} == {"A": 1, "B": 1}
    attacks, forfeits = t.scores(matches, ["x", "y", "z"], "attack")
    assert np.allclose(attacks["x"], [0.4, 0.6]) and not attacks["y"].any()
    assert not attacks["z"].any() and len(forfeits["y"]) == 2 and not forfeits["z"]


def test_the_league_says_who_is_ahead_and_by_luck():
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal((2, 10))
    accuracy = {"good": 0.9 + noise[0], "same": 0.9 + noise[1], "bad": 0.4 + noise[0]}
    matches = {(NOBODY, rule): Match(NOBODY, rule, own) for rule, own in accuracy.items()}
    table = t.league(matches, list(accuracy), "rule")
    assert table["rule"].tolist()[2] == "bad"
    assert table["ahead of the next"].tolist() == ["not shown", "yes", ""]
    assert (table.low < table.points).all() and (table.points < table.high).all()


def test_files_that_are_no_entries_are_told_of(tmp_path):
    files = {
        "fine.py": "def rule(updates, f): ...", "lie.py": "def attack(honest, f, rng): ...",
        "both.py": "def rule(updates, f): ...\ndef attack(honest, f, rng): ...",
        "none.py": "x = 1", "broken.py": "def (", "median.py": "def rule(updates, f): ...",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "notes.txt").write_text("no Python")
    attacks, rules, said = t.everybody(tmp_path)
    assert [e.name for e in attacks] == ["lie", *t.OWN_ATTACKS]
    assert [e.name for e in rules] == ["fine", *t.OWN_RULES]
    assert [sentence.split()[0] for sentence in said] == [
        "both.py", "broken.py", "none.py", "median.py"
    ]  # fmt: skip


def test_the_page_s_entries_play(tmp_path):
    page = (ROOT / "course/README.md").read_text(encoding="utf-8")
    sources = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for place, source in enumerate(sources):
        (tmp_path / f"entry{place}.py").write_text(source)
    (attack, *_), (rule, *_), said = t.everybody(tmp_path)
    assert {attack.name, rule.name} == {"entry0", "entry1"} and not said
    if os.name == "posix":
        assert not t.play(attack, rule, **SMALL).lost_by


def test_a_report_is_written(tmp_path, capsys):
    rules, attacks = ["mean", "median"], ["sign flip"]
    entries = [Entry(name, "rule") for name in rules]
    matches = t.tournament([Entry(*attacks, "attack")], entries, **SMALL)
    matches["sign flip", "mean"] = Match("sign flip", "mean", None, "rule", "a crash")
    t.report(matches, attacks, rules, 7, tmp_path)
    said = capsys.readouterr().out
    assert "mean forfeited 1 of its matches: a crash" in said and "--secret 7" in said
    assert "naming the commonest class" in said
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"rules.csv", "attacks.csv", "pairings.csv", "pairings.png"}


def test_without_a_folder_it_says_what_is_wanted(tmp_path):
    with pytest.raises(SystemExit, match="DIR names a folder"):
        t.main([str(tmp_path / "nowhere"), str(tmp_path)])
