"""Grids with cells that cost nothing; tables whose verdicts are known; files; `planted`."""

import importlib
import importlib.util
import linecache
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import types
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import byzlib
from byzlib.experiments import (
    Refused,
    _code,
    compare,
    configurations_of,
    markdown,
    planted,
    run_grid,
    summarize,
    wide,
)
from byzlib.experiments.cells import _market
from byzlib.experiments.results import configuration_columns, read, write
from byzlib.metrics import holm, paired_difference, t_interval

ROOT = Path(__file__).parent.parent


def drawn(seed, rule, f=1):
    """A run whose figures the seed decides, but for the rule's own effect."""
    return {"accuracy": np.random.default_rng(seed).random() + (rule == "Krum") * f}


def stacked(seeds, rule, f=1):
    return {"accuracy": [drawn(seed, rule, f)["accuracy"] for seed in seeds]}


def here(cell, grid, seeds=10, **options):
    """In this process, without a bar."""
    return run_grid(cell, grid, seeds, **{"n_jobs": 1, "progress": False} | options)


GRID = {"rule": ["mean", "Krum"], "f": [1, 3]}


# --- what comes out -----------------------------------------------------------------------------


def test_a_tidy_table_in_grid_order():
    results = here(drawn, GRID, seeds=[4, 2])
    assert list(results) == ["rule", "f", "seed", "metric", "value", "status", "note"]
    assert results["rule"].tolist() == ["mean"] * 4 + ["Krum"] * 4
    assert results["f"].tolist() == [1, 1, 3, 3] * 2
    assert results["seed"].tolist() == [4, 2] * 4
    assert (results["status"] == "ok").all() and (results["metric"] == "accuracy").all()
    assert results["value"].iloc[0] == np.random.default_rng(4).random()


@pytest.mark.parametrize(
    "options", [{"stack": 1}, {"stack": 4}, {"stack": 99}, {"n_jobs": 2}], ids=str
)
def test_stacks_and_processes_give_what_single_seeds_give(options):
    assert here(stacked, GRID, **options).equals(here(drawn, GRID))


def test_grids_can_be_added_up():
    grids = [{"rule": "mean", "f": 0}, {"f": [1, 2], "rule": ["Krum"]}]
    found = [tuple(one.values()) for one in configurations_of(grids)]
    assert found == [("mean", 0), ("Krum", 1), ("Krum", 2)]
    assert configurations_of({"alpha": np.array([0.5, 1.0])})[0] == {"alpha": 0.5}
    assert configurations_of({"sizes": (4, 16), "rule": "mean"}) == [
        {"sizes": (4, 16), "rule": "mean"}
    ]


def ends(seeds, rule):
    if rule == "Krum":
        raise Refused("krum needs n >= 2f + 3; got n = 10, f = 4")
    rounds = [17 if seed == 3 else np.nan for seed in seeds]
    return {"accuracy": np.full(len(seeds), 0.5), "diverged_at": rounds}


def test_refusals_and_divergence_are_rows():
    results = here(ends, {"rule": ["mean", "Krum"]}, seeds=20)
    diverged = results[results["status"] == "diverged"]
    assert diverged["seed"].tolist() == [3] and diverged["note"].tolist() == ["in round 17"]
    assert diverged["value"].isna().all()
    refused = results[results["rule"] == "Krum"]
    assert refused["note"].tolist() == ["krum needs n >= 2f + 3; got n = 10, f = 4"]
    assert refused["status"].tolist() == ["refused"] and refused["seed"].isna().all()
    assert (results["status"] == "ok").sum() == 19


# --- what is kept -------------------------------------------------------------------------------


def counted(seeds, path, x):
    with open(path, "a") as log:
        log.write("".join(f"{x} {seed}\n" for seed in seeds))
    return {"loss": [x + seed for seed in seeds]}


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_what_is_kept_is_not_run_again(tmp_path):
    log, grid = tmp_path / "log", {"path": str(tmp_path / "log"), "x": [1, 2]}
    first = here(counted, grid, cache=tmp_path / "cache")
    again = here(counted, grid, cache=tmp_path / "cache")
    assert again.equals(first) and len(lines(log)) == 20
    here(counted, grid | {"x": [1, 2, 3]}, cache=tmp_path / "cache")
    assert lines(log)[20:] == [f"3 {seed}" for seed in range(10)]
    more = here(counted, grid, seeds=20, cache=tmp_path / "cache")
    assert lines(log)[30:] == [f"{x} {seed}" for x in (1, 2) for seed in range(10, 20)]
    assert len(more) == 40
    here(counted, grid)  # no cache, no memory
    assert len(lines(log)) == 70


def test_one_true_and_one_point_zero_are_three_values(tmp_path):
    grid = {"path": str(tmp_path / "log"), "x": [1, True, 1.0]}
    here(counted, grid, cache=tmp_path / "cache")
    assert len(lines(tmp_path / "log")) == 30


def as_notebook(text, monkeypatch, file=None, **known):
    """A module of that text: from a file, or as a notebook's cells, which have none."""
    name = str(file or "<1>")
    if file:
        file.write_text(text)
    linecache.clearcache()
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    module = types.ModuleType("study")
    vars(module).update(known, **({"__file__": name} if file else {}))
    monkeypatch.setitem(sys.modules, "study", module)
    exec(compile(text, name, "exec"), module.__dict__)
    return module


STUDY = """
class Base:
    def of(self, x):
        return x {base}
class Step(Base):
    pass
def helper(x):
    return Step().of(x) + SHIFT {helper}
def cell(seed, x):
    {doc}
    note(x)
    return {{"loss": max(helper(k) for k in [x])}}
SHIFT = {shift}
"""


@pytest.mark.parametrize("file", [True, False], ids=["in a file", "in a notebook"])
def test_the_key_holds_all_code_that_is_read_and_not_its_comments(file, tmp_path, monkeypatch):
    """What is read in a session without a file is followed by name."""
    ran = []

    def runs(**parts):
        """How many cells a module of that text runs."""
        plain = {"shift": 1, "helper": "", "base": "", "doc": '"""One."""'}
        path = tmp_path / "study.py" if file else None
        study = as_notebook(STUDY.format(**plain | parts), monkeypatch, path, note=ran.append)
        ran.clear()
        here(study.cell, {"x": [1]}, 1, cache=tmp_path / "cache")
        return len(ran)

    assert (runs(), runs()) == (1, 0)
    assert runs(doc='"""One."""  # said otherwise') == 0
    for part, text in {"shift": 2, "helper": "* 2", "base": "- 1"}.items():
        assert runs(**{part: text}) == 1, part
    assert runs() == 0  # the first one is still there


# A global that the cell reads, and what changes it in place.
CHANGED = {
    "a list in a dict": ("G = {'a': [1, 2]}", "G['a'][0] = 5", "sum(G['a'])"),
    "an array": ("G = np.arange(3.0)", "G[0] = 7", "G.sum()"),
    "a frame": ("G = pd.DataFrame({'a': [1.0, 2.0]})", "G.loc[0, 'a'] = 5", "G['a'].sum()"),
    "a number": ("G = 1", "G = 2", "G"),
    "a generator of numbers": (
        "G = np.random.default_rng(1)", "G.random()", "copy.deepcopy(G).random()"),
    "an object in an object": (
        "class C: pass\nG = C(); G.a = C(); G.a.b = 1", "G.a.b = 2", "G.a.b"),
    "an object with slots": (
        "class C: __slots__ = ('a',)\nG = C(); G.a = 1", "G.a = 2", "G.a"),
    "an object of a library": ("G = Client(np.ones((2, 1)), [0, 1])", "G.X[0] = 5", "G.X.sum()"),
    "a bound method": (
        "class C:\n  a = 1\n  def m(self): return self.a\no = C(); G = o.m", "o.a = 2", "G()"),
    "a class": ("class G: a = 1", "G.a = 2", "G.a"),
    "a base class": ("class B: a = 1\nclass G(B): pass", "B.a = 2", "G.a"),
    "a method": ("class G:\n  def m(self): return 1", "G.m = lambda self: 2", "G().m()"),
    "a class method": (
        "class G:\n  @classmethod\n  def m(cls): return 1",
        "G.m = classmethod(lambda cls: 2)", "G.m()"),
    "a property": (
        "class G:\n  p = property(lambda self: 1)", "G.p = property(lambda self: 2)", "G().p"),
    "a function": ("def G(): return 1", "def G(): return 2", "G()"),
    "a function of exec": (
        "exec('def G(): return 1', globals())", "exec('def G(): return 2', globals())", "G()"),
    "a decorator": (
        "def by(k):\n  def made(f):\n    @functools.wraps(f)\n    def inner(): return k * f()\n"
        "    return inner\n  return made\n@by(2)\ndef G(): return 1", "@by(3)\ndef G(): return 1",
        "G()"),
    "a cached function": (
        "@functools.cache\ndef G(): return 1", "@functools.cache\ndef G(): return 2", "G()"),
    "a default": ("def G(a=[1]): return a[0]", "G.__defaults__[0][0] = 2", "G()"),
    "a closure": (
        "def make(a):\n  def inner(): return a[0]\n  return inner\nx = [1]; G = make(x)",
        "x[0] = 2", "G()"),
    "a partial": ("x = [1]; G = functools.partial(sum, x)", "x[0] = 2", "G()"),
    "a module's number": ("import tools", "tools.NUMBER = 7", "tools.NUMBER"),
}  # fmt: skip
IMPORTS = """
import copy, functools
import numpy as np
import pandas as pd
from byzlib.federated import Client
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A module of the reader's in a file, and what writes it anew."""
    path = tmp_path / "tools.py"

    def write(result):
        path.write_text(
            f"import threading\nNUMBER = {result}\nLOCK = threading.Lock()\ndef value():\n"
            f"    assert 'a' in {{'a', 'b', 'c'}}\n    return {result}\n"
        )
        importlib.invalidate_caches()

    write(1)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "tools", raising=False)
    yield write
    sys.modules.pop("tools", None)


@pytest.mark.parametrize("case", CHANGED)
def test_a_global_that_was_changed_gives_no_result_of_yesterday(case, tools, tmp_path, monkeypatch):
    before, change, value = CHANGED[case]
    text = f"{IMPORTS}{before}\ndef cell(seed, x):\n    return {{'loss': {value}}}\n"
    study = as_notebook(text, monkeypatch)

    def found():
        return here(study.cell, {"x": 0}, 1, cache=tmp_path / "cache")["value"].item()

    first = found()
    assert found() == first
    linecache.cache["<2>"] = (len(change), None, change.splitlines(True), "<2>")
    exec(compile(change, "<2>", "exec"), vars(study))
    assert found() != first


def test_a_module_that_was_reloaded_is_another(tools, tmp_path, monkeypatch):
    study = as_notebook(
        "import tools\ndef cell(seed, x):\n    return {'loss': tools.value()}", monkeypatch
    )

    def found():
        return here(study.cell, {"x": 0}, 1, cache=tmp_path / "cache")["value"].item()

    assert found() == 1
    tools(2)
    with pytest.raises(RuntimeError, match=r"value is not what stands in tools.py: reload tools"):
        found()
    importlib.reload(study.tools)
    assert found() == 2
    tools("1  # as before")
    importlib.reload(study.tools)
    assert found() == 1


@pytest.mark.parametrize(
    ("made", "kind"), [("threading.Lock()", "lock"), ("(i for i in [1])", "generator")]
)
def test_a_global_that_cannot_be_hashed_is_refused_by_name(made, kind, tmp_path, monkeypatch):
    text = f"import threading\nG = [{made}]\ndef cell(seed, x):\n    return {{'loss': len(G)}}"
    study = as_notebook(text, monkeypatch)
    with pytest.raises(TypeError, match=f"reads G, and in it a {kind}, which cannot be hashed"):
        here(study.cell, {"x": 0}, 1, cache=tmp_path / "cache")


def test_the_key_holds_every_room_of_the_library(tmp_path, monkeypatch):
    rooms = tmp_path / "byzlib"
    shutil.copytree(_code.LIBRARY, rooms, ignore=shutil.ignore_patterns("__pycache__", "*.gz"))
    monkeypatch.setattr(_code, "LIBRARY", rooms)
    monkeypatch.setattr(_code, "LOADED", mock.ANY)
    log, grid = tmp_path / "log", {"path": str(tmp_path / "log"), "x": 1}

    def ran(file, addition):
        with (rooms / file).open("a") as code:
            code.write(addition)
        _code.library_code.cache_clear()
        before = len(lines(log))
        here(counted, grid, 1, cache=tmp_path / "cache")
        return len(lines(log)) - before

    assert ran("theory.py", "") == 1
    for file in ("aggregators/_order.py", "aggregators/__init__.py", "attacks/simple.py"):
        assert ran(file, "# a comment") == 0 and ran(file, "\nADDED = 1\n") == 1, file
    for file in ("experiments/tables.py", "checks/chapter_03.py", "plotting.py"):
        assert ran(file, "\nADDED = 1\n") == 0, f"{file} decides no result"
    monkeypatch.setattr(_code, "LOADED", _code._stamps(rooms))
    assert ran("theory.py", "") == 0
    with pytest.raises(RuntimeError, match="byzlib was changed since it was loaded: start anew"):
        ran("theory.py", "ADDED = 2")
    counted_in = {name.split("/")[0].removesuffix(".py") for name in _code.library_code(rooms)}
    assert counted_in - {"__init__", "__main__"} == {*byzlib.ROOMS} - {"checks", "plotting"}


def test_a_broken_file_in_the_cache_is_computed_anew(tmp_path, caplog):
    grid = {"path": str(tmp_path / "log"), "x": [1, 2]}
    first = here(counted, grid, cache=tmp_path / "cache")
    kept = sorted((tmp_path / "cache").rglob("output.pkl"))
    assert len(kept) == 2
    kept[0].write_bytes(kept[0].read_bytes()[:10])
    again = here(counted, grid, cache=str(tmp_path / "cache"))
    assert "Exception while loading results" in caplog.text
    assert again.equals(first) and len(lines(tmp_path / "log")) == 30
    assert here(counted, grid, cache=tmp_path / "cache").equals(first)


def slow(seed, folder, x):
    with open(f"{folder}/started", "a") as log:
        log.write(f"{x}\n")
    time.sleep(0.04)
    return {"loss": x + seed}


KILLED = """
    import sys
    from byzlib.experiments import run_grid
    from tests.test_experiments import KILL_GRID, slow
    folder, jobs = sys.argv[1], int(sys.argv[2])
    run_grid(slow, KILL_GRID | {"folder": folder}, 1, cache=folder + "/cache", n_jobs=jobs)
"""
KILL_GRID = {"folder": "", "x": list(range(24))}


def test_a_killed_run_loses_no_more_than_the_running_cells(tmp_path, jobs=2):
    """SIGKILL to the whole group of processes, in the middle; then the run is taken up."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), str(jobs)]
    child = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    started, deadline = tmp_path / "started", time.monotonic() + 60
    while len(lines(started)) < 8 and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    before = len(lines(started))
    assert 8 <= before < 24
    results = here(slow, KILL_GRID | {"folder": str(tmp_path)}, 1, cache=tmp_path / "cache")
    assert results["value"].tolist() == list(range(24))
    twice = len(lines(started)) - 24
    assert 0 <= twice <= jobs


# --- what fails ---------------------------------------------------------------------------------


def fragile(seed, path, x):
    with open(path, "a") as log:
        log.write(f"{x}\n")
    if x == 2 and not Path(path).with_name("mended").exists():
        raise ZeroDivisionError("two is not for us")
    return {"loss": x}


def test_a_failing_cell_stops_no_other(tmp_path):
    log, grid = tmp_path / "log", {"path": str(tmp_path / "log"), "x": [1, 2, 3]}
    sentence = r"1 of 3 cells failed; the first: path = .*, x = 2, seeds 0 to 0: ZeroDivisionError"
    with pytest.raises(RuntimeError, match=sentence) as caught:
        here(fragile, grid, 1, cache=tmp_path / "cache")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    (tmp_path / "mended").touch()
    assert here(fragile, grid, 1, cache=tmp_path / "cache")["value"].tolist() == [1, 2, 3]
    assert lines(log) == ["1", "2", "3", "2"]


def shapeless(seeds, rule):
    return {"accuracy": [0.5]}


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: here(drawn, {}), TypeError, "needs a grid"),
        (lambda: here(drawn, [{"rule": "a"}, {"f": 1}]), ValueError, r"names \['rule'\]; got"),
        (lambda: here(drawn, {"rule": []}), ValueError, "at least one value for 'rule'"),
        (lambda: here(drawn, {"rule": [np.mean]}), TypeError, "holds names and numbers"),
        (lambda: here(drawn, {"rule": ["a", "a"]}), ValueError, "twice: rule = a"),
        (lambda: here(drawn, {"note": ["a"]}), ValueError, "'note' is a column of the result"),
        (lambda: here(drawn, {"rul": ["a"]}), TypeError, "does not fit drawn.*'?rule'?"),
        (lambda: here(lambda x: 1, {"x": [1]}), TypeError, "called seed or seeds; got x"),
        (lambda: here(drawn, GRID, 0), ValueError, r"at least one; got \[\]"),
        (lambda: here(drawn, GRID, [1, 1]), ValueError, r"distinct seeds >= 0.*\[1, 1\]"),
        (lambda: here(drawn, GRID, [-1]), ValueError, "distinct seeds >= 0"),
        (lambda: here(drawn, GRID, 2.5), TypeError, "number of seeds; got 2.5"),
        (lambda: here(stacked, GRID, stack=0), ValueError, "stack >= 1; got stack = 0"),
        (lambda: here(shapeless, {"rule": "a"}), RuntimeError, r"shape \(1,\) for 10 seeds"),
        (
            lambda: here(lambda seed, rule: 0.5, {"rule": "a"}),
            RuntimeError,
            "dict of figures; got 0.5",
        ),
        (lambda: here(lambda seed, rule: {}, {"rule": "a"}, cache="x"), TypeError, "made with def"),
    ],
)
def test_illegal_use(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


# --- planted: federated training with a planted signal -------------------------------------------


def test_a_stack_is_its_single_runs():
    setting = {"rule": "Krum", "attack": "sign flip", "f": 2, "rounds": 40, "test": 500}
    many = planted([3, 8], **setting)
    for k, seed in enumerate([3, 8]):
        one = planted([seed], **setting)
        for name, value in many.items():
            np.testing.assert_allclose(value[k], one[name][0], atol=1e-9, err_msg=name)


def test_label_skew():
    """Shares of a Dirichlet(alpha, alpha, alpha) vary by 2 / (9 (3 alpha + 1)) each."""
    for alpha in (0.3, 3.0):
        clients, _ = _market(1, 400, 60, 0.9, 0.5, alpha, 10)
        assert all(len(y) == 60 and len(X) == 60 for X, y in clients)
        shares = np.array([[(y == k).mean() for k in range(3)] for _, y in clients])
        expected = 2 / 9 / (3 * alpha + 1)
        sampling = (2 / 9 - expected) / 60
        assert abs(shares.var(axis=0).mean() / (expected + sampling) - 1) < 0.15
        rows = np.concatenate([X for X, _ in clients])
        assert len(np.unique(rows, axis=0)) == len(rows)  # no bar is given twice


def test_refusals_speak_the_rules_sentence():
    with pytest.raises(Refused, match=r"bulyan needs n >= 4f \+ 3; got n = 10, f = 3"):
        planted([0], "Bulyan", f=3)
    with pytest.raises(Refused, match=r"krum needs n >= 2f \+ 3; got n = 5, f = 3"):
        planted([0], "Krum", f=3, pre="bucketing")


def test_what_the_server_is_told_is_not_who_lies():
    """Told of nobody, a trimmed mean is the mean, whoever lies; told of f it is what it was."""
    setting = {"attack": "sign flip", "f": 2, "strength": 3.0, "rounds": 40, "test": 500}
    run = partial(planted, range(3), **setting)
    told = run("trimmed mean", declared=2)
    np.testing.assert_array_equal(told["accuracy"], run("trimmed mean")["accuracy"])
    mean = run("mean")["accuracy"]
    np.testing.assert_allclose(run("trimmed mean", declared=0)["accuracy"], mean, atol=0.01)
    assert (np.abs(told["accuracy"] - mean) > 0.02).any()
    with pytest.raises(Refused, match="got n = 10, f = 5"):
        run("trimmed mean", declared=5)


def test_divergence_is_told_and_not_raised():
    ended = {
        rule: planted([0, 1], rule, "non-finite", f=1, rounds=5)["diverged_at"]
        for rule in ("mean", "median")
    }
    np.testing.assert_array_equal(ended["mean"], [1, 1])
    assert np.isnan(np.array(ended["median"], float)).all()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"rule": "Krumm"}, "no rule 'Krumm'; there are mean, Krum"),
        ({"attack": "sign flop"}, "no attack 'sign flop'; there are"),
        ({"pre": "mixin"}, "no pre-aggregation 'mixin'; there are none, mixing, bucketing"),
        ({"attack": "mimic", "strength": 2.0}, "mimic has no strength to set"),
    ],
)
def test_illegal_names(setting, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        planted([0], **setting)
    assert not isinstance(caught.value, Refused)


# --- scale-out ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None,
    reason="dask[distributed] is not installed: pip install 'dask[distributed]'",
)
def test_the_same_grid_on_a_dask_cluster(tmp_path):
    """In a process of its own: a cluster leaves threads behind that are none of our business."""
    command = [sys.executable, str(ROOT / "examples/dask_cluster.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for what in ("table", "report"):
        assert f"the cluster's {what} is the same: True" in done.stdout


# --- tables ------------------------------------------------------------------------------------

NOISE = np.random.default_rng(5).normal(0, 0.1, 40)
TABLE = {
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


def run(seeds=10, **grid):
    return run_grid(cell, TABLE | grid, seeds, n_jobs=1, progress=False)


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
    upside_down = compare(results, "accuracy", "rule", "mean", higher_is_better=False)
    assert set(upside_down.loc[upside_down["rule"] == "Krum", "verdict"]) == {"worse"}
    shuffled = compare(results.sample(frac=1, random_state=1), "accuracy", "rule", "mean")
    by = ["rule", "attack", "f"]
    one, two = (table.sort_values(by)["difference"] for table in (found, shuffled))
    np.testing.assert_allclose(one, two)
    # Unpaired, seeds that differ by ten points would hide three.
    assert t_interval(values["Krum", "none", 3]).half_width > 0.03


def test_comparisons_with_nothing_to_compare_say_why():
    results = run(rule=["Krum", "mean"], attack=["none", "NaN"], f=[1, 4])
    verdict = compare(results, "accuracy", "rule", "mean").set_index(["attack", "f"])["verdict"]
    assert verdict["none", 1] == "better"
    assert verdict["NaN", 1] == "1 of 10 runs diverged"
    assert verdict["none", 4].startswith("refused: krum needs")


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
        (
            lambda r: compare(r[r["seed"] < 9], "accuracy", "rule", "mean"),
            "at least 10 common seeds; got 9 for rule = Krum",
        ),
    ],
)
def test_illegal_tables(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(run())


# --- files --------------------------------------------------------------------------------------


def test_a_file_gives_back_what_was_kept(tmp_path):
    results = run(rule=["Krum", "mean"], attack=["none", "NaN"], f=[1, 4])
    write(results, tmp_path / "a/kept.csv", "Simulated.\nMade by a test.")
    back = read(tmp_path / "a/kept.csv")
    assert back.attrs["about"] == "Simulated.\nMade by a test."
    assert configuration_columns(back) == configuration_columns(results)
    for metric in ("accuracy", "majority share"):
        one, two = (summarize(r, metric) for r in (results, back))
        one, two = (s.sort_values(["rule", "attack", "f"], ignore_index=True) for s in (one, two))
        same = {"check_dtype": False, "check_index_type": False, "atol": 1e-5}
        pd.testing.assert_frame_equal(one, two, **same)
    assert set(back["status"]) == {"ok", "diverged", "refused"}
    assert not list((tmp_path / "a").glob("*.new"))


def test_a_file_can_be_read_by_people(tmp_path):
    results = run(seeds=2, rule=["Krum", "mean"], attack=["NaN"], f=[1, 4])
    write(results, tmp_path / "kept.csv", "Simulated.", metrics=["majority share"])
    lines = (tmp_path / "kept.csv").read_text().splitlines()
    assert lines[:3] == [
        "# Simulated.",
        "rule,attack,f,metric,seed 0,seed 1,note",
        "Krum,NaN,1,majority share,0.50000,0.50000,",
    ]
    assert lines[3].startswith("Krum,NaN,4,,,,") and "krum needs" in lines[3]
    assert len(lines) == 6
