"""A class: submissions are marked from a process apart, attacks and rules play, chapters are shown.

nbgrader's part is tried by `make grade-demo`, in its own environment.
"""

import contextlib
import io
import os
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from byzlib import checks
from byzlib.checks import _form
from course import demo, judge, make_slides
from course import tournament as t
from course.child import plain
from course.make_course import EXERCISES, secret_of, source_of
from course.process import Lost, Process, decoded
from course.tournament import NOBODY, Entry, Match
from tests import test_checks

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "course/README.md").read_text(encoding="utf-8")
SOLVED = sorted(EXERCISES.glob("*.ipynb"))
MADE = demo.made()

posix = pytest.mark.skipif(os.name != "posix", reason="this system sets no limits to a process")


# --- what goes over the pipe ----------------------------------------------------------------


@pytest.mark.parametrize("value", [
    None, True, 3, 2**70, 1.5, "word", [1, (2.0, "x")], {1, 2}, np.float32(1.5), np.int64(7),
    np.arange(6.0).reshape(2, 3), np.array([True, False]), np.array(["ab", "c"]), np.zeros((0, 3)),
], ids=repr)  # fmt: skip
def test_plain_values_come_over_as_they_are(value):
    back = decoded(plain(value))
    assert type(back) is type(value) and np.all(back == value)
    assert getattr(back, "dtype", None) == getattr(value, "dtype", None)
    assert np.shape(back) == np.shape(value) if isinstance(value, np.ndarray) else True


def test_what_is_not_plain_comes_over_as_its_looks():
    back = decoded(plain([object, lambda: 0]))
    assert [type(x).__name__ for x in back] == ["Other", "Other"] and "function" in repr(back[1])


# --- what a process may not do --------------------------------------------------------------

WALL = {
    "write": ("open('mine.txt', 'w')", "write .*mine.txt"),
    "read a file": ("open('/etc/passwd')", "read /etc/passwd"),
    "read the answers": (f"open({str(SOLVED[0])!r})", "read .*00_start_here"),
    "read a checker": ("import byzlib.checks.chapter_03", "not a package"),
    "read the judge": (f"open({str(ROOT / 'course/judge.py')!r})", "read .*judge.py"),
    "list": ("import os\nos.listdir('/')", "list /"),
    "fork": ("import os\nos.fork()", "start a process"),
    "run": ("import subprocess\nsubprocess.run(['true'])", "start a process"),
    "helper": ("import subprocess as s\ns._fork_exec()", "'NoneType' object is not callable"),
    "helper again": (
        "import sys\ndel sys.modules['_posixsubprocess']\nimport _posixsubprocess",
        "start a process",
    ),
    "another package": ("import zmq", "read .*zmq"),
    "up": ("import numpy\nopen(numpy.__file__ + '/../../../../pyvenv.cfg')", "read "),
    "a path that lies": (
        "class S(str):\n    startswith = lambda *x: True\nopen(S('/etc/hosts'))",
        "read /etc/hosts",
    ),
    "builtins": (
        "import builtins, posixpath\nbuiltins.isinstance = lambda *x: True\n"
        "builtins.any = lambda x: True\nposixpath.realpath = str\nopen('/etc/hosts')",
        "read /etc/hosts|status 3",
    ),
    "mute": (
        "from multiprocessing.connection import Connection as C\n"
        "C.send_bytes = lambda *x: open('/etc/hosts')\nopen('/etc/hosts')",
        "read /etc/hosts|status 3",
    ),
    "interpreter": (
        "import sys\nsys.modules.pop('_xxsubinterpreters', 0)\n"
        "sys.modules.pop('_interpreters', 0)\ntry:\n    import _interpreters\n"
        "except ImportError:\n    import _xxsubinterpreters",
        "start a process",
    ),
    "shell": ("import os\nos.system('true')", "start a process"),
    "socket": ("import socket\nsocket.socket()", "open a socket"),
    "kill": ("import os\nos.kill(os.getppid(), 9)", "send a signal"),
    "delete": ("import os\nos.remove('nothing')", "delete a file"),
    "leave": ("import ctypes\nctypes.CDLL(None)", "leave Python"),
    "spy": ("import gc\ngc.get_objects()", "look at foreign objects"),
    "unwatch": ("import sys\nsys.settrace(None)", "change how it is watched"),
    "unlimit": ("import resource as r\nr.setrlimit(r.RLIMIT_CPU, (9, 9))", "change its limits"),
}


SHUT = ("read a checker", "helper")  # not there at all


@posix
@pytest.mark.parametrize(
    "task", [task if task in ("write", "read the answers", "read a checker", "fork", "socket")
             else pytest.param(task, marks=pytest.mark.slow) for task in WALL]
)  # fmt: skip
def test_a_process_that_tries_what_it_may_not_is_ended_and_says_what(task):
    source, said = WALL[task]
    hidden = f"try:\n    exec({source!r})\nexcept BaseException:\n    pass"
    with Process() as process, pytest.raises(Exception, match=said) as stopped:
        process.run(1, source if task in SHUT else hidden)
    assert isinstance(stopped.value, Lost) != (task in SHUT)


@posix
def test_a_process_may_compute_and_import_what_is_installed():
    with Process() as process:
        process.run(
            1,
            "import scipy.stats, fractions, statistics\n%matplotlib inline\nx = 2\n"
            "import matplotlib.pyplot as plt; from byzlib import plotting; plt.plot(3)",
        )
        process.run(2, "def f(rows, g, it, rng):\n    rows += 1\n    return g(rows), list(it), x")
        rows = np.zeros(3)
        drawn = SpecialGenerator(np.random.PCG64(1))
        given = (rows, lambda r: r.sum(), iter([4, 5]), drawn)
        assert process.call("f", [given]) == [(3.0, [4, 5], 2)] and rows.tolist() == [1, 1, 1]
        process.run(3, "def h(rng):\n    return rng.integers(9, dtype=np.uint8), rng.random()")
        process.run(4, "import numpy as np")
        number, _ = process.call("h", [(drawn,)])[0]
        assert number == np.random.default_rng(1).integers(9, dtype=np.uint8)


class SpecialGenerator(np.random.Generator):
    """One that stays on this side."""


@posix
def test_errors_come_back_by_name_with_their_line():
    with Process() as process:
        process.run(
            7, "def f(x):\n    return {}[x]\nclass Odd(Exception): pass\ndef g(): raise Odd"
        )
        with pytest.raises(KeyError, match=r"'a' \(cell 7, line 2: return {}\[x\]\)"):
            process.call("f", [("a",)])
        with pytest.raises(Exception) as odd:
            process.call("g", [()])
        assert type(odd.value).__name__ == "Odd"
        with pytest.raises(MemoryError):
            process.run(8, "import numpy as np\nnp.ones(2**40)")
        process.run(9, "pass")


@posix
@pytest.mark.parametrize("source, said", [
    ("while True: pass", "computed for more than 0.3 seconds"),
    ("import time\ntime.sleep(60)", "did not answer within 2 seconds"),
    ("import os\nos._exit(0)", "ended its process with status 0"),
    ("import os\nos.abort()", "ended its process by SIGABRT"),
])  # fmt: skip
def test_a_process_that_ends_or_never_does_is_told_of(source, said):
    with Process(seconds=0.3) as process:
        for _ in range(2):  # and it stays lost
            with pytest.raises(Lost, match=said):
                process.run(1, source)


# --- marks ----------------------------------------------------------------------------------

QUICK = ("perfect", "other-style", "rebinding", "reciting", "looping")


@posix
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
             for name, handed in MADE.items() if not isinstance(handed, str)]
)  # fmt: skip
def test_submissions_of_every_kind_get_what_they_should(name):
    solved = source_of(EXERCISES / f"{demo.NAME}.ipynb")
    marks = judge.mark(solved, MADE[name], secret=5, seconds=1)
    assert [mark.exercise.checker for mark in marks] == [*demo.EXERCISE.values()]
    assert tuple(mark.points for mark in marks) == demo.EXPECTED[name], marks
    assert all(mark.feedback.startswith("Exercise 3.3 ") for mark in marks)


def test_every_kind_has_its_marks_and_some_get_all_and_none():
    assert MADE.keys() == demo.EXPECTED.keys()
    assert {(1, 1), (1, 0), (0, 1), (0, 0)} == {*demo.EXPECTED.values()}


@posix
@pytest.mark.parametrize("path", [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem[:2] not in ("17", "19")))
    for path in SOLVED
])  # fmt: skip
def test_solutions_get_all_points_from_the_judge(path):
    solved = source_of(path)
    marks = judge.mark(solved, solved, secret=2026)
    wrong = {mark.exercise.id: mark.feedback for mark in marks if mark.points != 1}
    assert not wrong and len(marks) == sum(
        cell.metadata.get("nbgrader", {}).get("grade", False) for cell in solved.cells
    )


class Here:
    """In the place of a process, for answers that are trusted."""

    lost = None

    def __init__(self, function):
        self.function = function

    def call(self, name, calls, task="call"):
        if task == "call":
            return [self.function(*calls[0])]
        return [getattr(_form, f"{task}_of")(SimpleNamespace(function=self.function), *calls[0])]


def judged(check, answer, secret):
    """None if it is right, or the hint; and the seeds that were asked for."""
    with judge._drawn_anew(secret) as drawn, contextlib.redirect_stdout(io.StringIO()):
        try:
            check(judge.StandIn(Here(answer), "answer"))
        except checks.NotYet as hint:
            return str(hint), drawn
    return None, drawn


@pytest.mark.slow
@pytest.mark.parametrize("secret", [1, 2, 3])
@pytest.mark.parametrize("check, answer", list(test_checks.cases("RIGHT")))
def test_right_answers_are_right_in_cases_that_nobody_has_seen(check, answer, secret):
    hint, _ = judged(check, answer, secret)
    assert hint is None


@pytest.mark.slow
@pytest.mark.parametrize("check, answer, hint", list(test_checks.cases("WRONG")))
def test_wrong_answers_stay_wrong(check, answer, hint):
    assert judged(check, answer, None)[0] or judged(check, answer, 1)[0]


@pytest.mark.slow
def test_the_page_lists_the_exercises_without_random_cases():
    fixed, seen = [], set()
    for chapter in test_checks.ANSWERS.values():
        for check, answer in chapter.RIGHT:
            if check not in seen and not judged(check, answer, None)[1]:
                fixed.append(check.number.removeprefix("Exercise "))
            seen.add(check)
    listed = re.search(r"\*\*(\w+) exercises have no random cases\*\*: (.*?)\.\s*Their", PAGE, re.S)
    assert re.findall(r"\d+\.\d+ \w", listed[2]) == fixed, "mend the list in course/README.md"
    assert (listed[1], len(fixed)) == ("Sixteen", 16)


def test_only_checkers_draw_anew_and_only_while_they_judge():
    usual = np.random.default_rng
    with judge._drawn_anew(4):
        mine = np.random.default_rng(0).random()
        fresh = eval(
            "default(0)", {"__name__": "byzlib.checks.x", "default": np.random.default_rng}
        )
    assert np.random.default_rng is usual
    assert mine == usual(0).random() != fresh.random()


def test_a_secret_is_drawn_once_and_for_its_owner_alone(tmp_path):
    first = secret_of(tmp_path)
    assert secret_of(tmp_path) == first < 2**64
    if os.name == "posix":
        assert (tmp_path / "secret").stat().st_mode & 0o077 == 0


def test_what_is_handed_out_links_to_nothing_that_is_not_there():
    for path in SOLVED:
        text = "".join(c.source for c in source_of(path).cells if c.cell_type == "markdown")
        assert "](.." not in text and "chapter" in text


def test_a_submission_is_made_whole():
    pytest.importorskip("nbgrader", reason="nbgrader stands in .venv-course: make grade-demo")
    from course.grade import id_of, whole

    release = MADE["empty"]
    ours = [id_of(cell) for cell in release.cells if id_of(cell)]
    for handed in (MADE["deleting"], MADE["copying-cells"], nbformat.v4.new_notebook()):
        made = whole(release, handed)
        nbformat.validate(made)
        assert [id_of(cell) for cell in made.cells if id_of(cell)] == ours


# --- the page -------------------------------------------------------------------------------


def test_the_page_has_a_week_for_every_chapter():
    plan = PAGE.split("## A term")[1].split("## Two days")[0]
    for path in SOLVED:
        assert re.search(rf"\b{path.stem[:2]} [A-Z]", plan), (
            f"course/README.md plans no {path.stem}"
        )
    for link in re.findall(r"\]\((\.\.[^)]*)\)", PAGE):
        assert (ROOT / "course" / link).exists(), link
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(course/README.md)" in readme


def test_chapters_have_the_questions_and_points_that_the_page_gives():
    worth = []
    for path in SOLVED:
        chapter = nbformat.read(ROOT / "notebooks" / path.name, as_version=4)
        text = "\n".join(c.source for c in chapter.cells if c.cell_type == "markdown")
        hand = len(re.findall(r"^\*\*\d+\.\d+ By hand", text, re.MULTILINE))
        think = len(re.findall(r"^\*\*\d+\.\d+ Think", text, re.MULTILINE))
        assert 1 <= hand <= 3 and 1 <= think <= 2, path.stem
        code = len(judge.exercises(source_of(path)))
        worth.append(2 * hand + 3 * think + code + 1)
        assert 2 * hand + 3 * think + 1 >= worth[-1] / 2
    assert (min(worth), max(worth)) == (8, 15) and "worth 8 to 15 points" in PAGE


# --- slides ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", make_slides.CHAPTERS)
def test_slides_show_the_chapter_and_need_no_network(number):
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    chapter = nbformat.read(path, as_version=4)
    page = make_slides.page(chapter)
    fetched = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"([^\"]*)\"", page)
    assert fetched and all(url.startswith(("lib/", "data:image/png")) for url in fetched)
    assert {Path(url).name for url in fetched if url[:4] == "lib/"} == {
        "reveal.js", "reveal.css", "white.css", "notes.js", "tex-svg-full.js"
    }  # fmt: skip
    headings = [line for cell in chapter.cells if cell.cell_type == "markdown"
                for line in cell.source.splitlines() if line.startswith("## ")]  # fmt: skip
    shown = [h for h in headings if h[3:] not in make_slides.LEFT_OUT]
    assert len(make_slides.sections(chapter)) == len(shown) + 1
    assert page.count("<img") == page.count('<img alt="') + page.count('<img style="')
    assert "<details>" not in re.sub(r"<aside.*?</aside>", "", page, flags=re.DOTALL)


def test_a_gist_is_short_and_keeps_equations():
    text = "One.\nTwo.\nThree.\nFour.\n\n$$x = 1 \\tag{1}$$\n\nFive.\n\n| a |\n|---|\n| 1 |"
    assert make_slides.gist(text) == (
        "One.\nTwo.\nThree.\n\n$$x = 1 \\tag{1}$$\n\n| a |\n|---|\n| 1 |"
    )


def test_the_files_of_the_slides_come_with_packages(tmp_path, capsys):
    pytest.importorskip("sphinx_revealjs", reason="reveal.js stands in .venv-course: make slides")
    make_slides.main(tmp_path)
    assert len(list(tmp_path.glob("*.html"))) == 4 and len(list((tmp_path / "lib").iterdir())) == 5
    assert "@import" not in (tmp_path / "lib/white.css").read_text(encoding="utf-8")


# --- the tournament: who fails loses the match and nothing else; scores as they are defined ------

SMALL = {"secret": 7, "seeds": 3, "rounds": 6}

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
    "peek": (f"open({str(ROOT / 'course/tournament.py')!r})", "it tried to read"),
}


@posix
@pytest.mark.parametrize("kind", BAD)
def test_an_attack_that_fails_loses_its_match(kind, monkeypatch):
    monkeypatch.setattr(t, "SECONDS", 0.5)
    source, why = BAD[kind]
    match = t.play(Entry(kind, "attack", ATTACK.format(source)), Entry("median", "rule"), **SMALL)
    assert match.lost_by == "attack" and match.accuracy is None and re.search(why, match.why)


@posix
@pytest.mark.parametrize("answer, why", [
    ("updates", "it returned shape"), ("None", "it returned None"),
    ("updates[0]\nraise RuntimeError('at the top')", "its file stopped with RuntimeError"),
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
