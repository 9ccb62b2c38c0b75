"""What is kept is kept under all that decides it, and under nothing else."""

import importlib
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from byzlib.aggregators import RULES
from byzlib.experiments import _code, run_grid

ROOT = Path(__file__).parent.parent

IMPORTS = """
import copy, functools, types
import numpy as np
import pandas as pd
from byzlib.aggregators import krum
"""
WRAPPED = (
    "def by(k):\n  @functools.wraps({0})\n  def inner(): return k\n  return inner\nG = by({1})"
)


def wrapped(what):
    return WRAPPED.format(what, 1), WRAPPED.format(what, 2).replace("return k", "return k + 1")


# What stands before, what is run later, and a value of the cell that differs then.
CHANGED = {
    "a global called defaults": ("defaults = 1", "defaults = 2", "defaults"),
    "a global called keywords": ("keywords = 1", "keywords = 2", "keywords"),
    "a base beside a member called bases": (
        "class B: a = 1\nclass G(B): bases = 3", "B.a = 2", "G.a"),
    "what a try covers": (
        "def first(): pass\ndef second(): raise ValueError\n"
        "def G():\n  try:\n    try: first()\n    except ValueError: return 1\n"
        "    else: second()\n  except ValueError: return 2",
        "def G():\n  try:\n    try:\n      first()\n      second()\n"
        "    except ValueError: return 1\n  except ValueError: return 2",
        "G()"),
    "a star": ("def G(a, b): return type(b)", "def G(a, *b): return type(b)", "len(str(G(0, 1)))"),
    "a wrapper of a rule": (*wrapped("krum"), "G()"),
    "a wrapper of Python's": (*wrapped("copy.copy"), "G()"),
    "a wrapper of NumPy's": (*wrapped("np.mean"), "G()"),
    "an attribute of a function": ("def G(): pass\nG.k = 1", "G.k = 2", "G.k"),
    "a function in a set": (
        "def f(): return 1\ndef g(): return 3\nG = {f, g}",
        "def f(): return 2\nG = {f, g}", "sum(h() for h in G)"),
    "a function as a key": (
        "def f(): return 1\ndef g(): return 3\nG = {f: 1, g: 2}",
        "def f(): return 2\nG = {f: 1, g: 2}", "sum(h() for h in G)"),
    "an attribute of an array": (
        "class A(np.ndarray): pass\nG = np.ones(2).view(A); G.unit = 1", "G.unit = 2", "G.unit"),
    "a metaclass": (
        "class M(type):\n  def f(cls): return 1\nclass G(metaclass=M): pass",
        "M.f = lambda cls: 2", "G.f()"),
    "a partial as a method": (
        "class G: __call__ = functools.partial(int, 1)",
        "G.__call__ = functools.partial(int, 2)", "G()()"),
    "a cached property": (
        "class G:\n  @functools.cached_property\n  def p(self): return 1",
        "class G:\n  @functools.cached_property\n  def p(self): return 2", "G().p"),
    "the order of a dict": ("G = {'a': 1, 'b': 2}", "G = {'b': 2, 'a': 1}", "[*G.values()][0]"),
    "a method made by hand": (
        "class C: pass\ndef f(self): return 1\nG = C(); G.m = types.MethodType(f, G)",
        "def f(self): return 2\nG.m = types.MethodType(f, G)", "G.m()"),
    "which of two closures": (
        "def make(a):\n  def inner(): return a\n  return inner\nf, G = make(1), make(2)",
        "f, G = G, f", "G()"),
    "a mask": (
        "G = np.ma.masked_array([1.0, 2.0], [True, False])", "G.mask = [False, True]", "G.sum()"),
    "the shape of an array of objects": (
        "G = np.empty((0, 3), object)", "G = np.empty((0, 2), object)", "G.shape[1]"),
    "what a list holds of itself": ("a = []; G = [a]; a.append(a)", "a[0] = G", "G[0][0] is G"),
}  # fmt: skip


def session(text, monkeypatch):
    """A module without a file, as a notebook is."""
    study = types.ModuleType("study")
    monkeypatch.setitem(sys.modules, "study", study)
    exec(text, vars(study))
    return study


def cell(returned):
    return f"\ndef cell(seed, x):\n    return {{'loss': {returned}}}\n"


@pytest.mark.parametrize("case", CHANGED)
def test_what_decides_a_result_changes_its_key(case, monkeypatch):
    before, change, value = CHANGED[case]
    study = session(IMPORTS + before + cell(value), monkeypatch)
    key, first = _code.code_of(study.cell), study.cell(0, 0)
    assert _code.code_of(study.cell) == key
    exec(change, vars(study))
    assert study.cell(0, 0) != first
    assert _code.code_of(study.cell) != key


def test_a_global_that_is_called_as_a_metric_does_not_count(monkeypatch):
    study = session(cell("1"), monkeypatch)
    key = _code.code_of(study.cell)
    study.loss = "a table of what was found"
    assert _code.code_of(study.cell) == key


def test_a_rule_that_was_put_into_the_table_counts(monkeypatch):
    study = session("def rule(x): return 1\ndef other(x): return 2" + cell("1"), monkeypatch)
    key = _code.code_of(study.cell)
    monkeypatch.setitem(RULES, "mine", study.rule)
    mine = _code.code_of(study.cell)
    monkeypatch.setitem(RULES, "mine", study.other)
    assert len({key, mine, _code.code_of(study.cell)}) == 3


# Values without an order of their own, or that remember what was computed of them.
UNORDERED = """
import numpy as np, pandas as pd
def f(): return 1
def g(): return 2
SETS = [set("abcdef"), frozenset("abcdef"), {frozenset("ab"), frozenset("cdef")}, {None, "a", 3}]
KEYS = [{frozenset("abc"): 1, frozenset("def"): 2}, {f, g}, {f: 1, g: 2}]
TIMES = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.date_range("2024", periods=2, tz="UTC"))
def cell(seed, x): return {"loss": len(SETS) + len(KEYS) + len(TIMES)}
"""
PRINTED = f"""
import sys, types
from byzlib.experiments import _code
study = sys.modules["study"] = types.ModuleType("study")
exec({UNORDERED!r}, vars(study))
print(_code.code_of(study.cell))
"""


def test_the_key_is_the_same_in_every_process():
    keys = set()
    for seed in "123":
        told = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", PRINTED], env=told, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        keys.add(done.stdout)
    assert len(keys) == 1


def test_what_pandas_remembers_is_no_change(monkeypatch):
    study = session(UNORDERED, monkeypatch)
    key = _code.code_of(study.cell)
    study.TIMES.loc["2024-01-01":], study.TIMES.index.hour
    assert _code.code_of(study.cell) == key


def test_what_a_function_of_a_package_remembers_is_no_change(monkeypatch):
    blas = "from scipy.linalg import get_blas_funcs"
    study = session(blas + cell("len(get_blas_funcs('gemm').typecode)"), monkeypatch)
    key = _code.code_of(study.cell)
    assert study.cell(0, 0) and _code.code_of(study.cell) == key


def test_two_functions_of_a_package_are_two(tmp_path, monkeypatch):
    """Both are made by the same function, and stand under their names."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    made = "def f(): return 1\nf = by(f)\ndef g(): return 2\ng = by(g)\n"
    by = "import functools\ndef by(f): return functools.wraps(f)(lambda: f())\n"
    (folder / "a_package.py").write_text(by + made)
    monkeypatch.syspath_prepend(folder)
    study = session("from a_package import f, g\nG = f" + cell("G()"), monkeypatch)
    monkeypatch.setitem(sys.modules, "a_package", sys.modules.pop("a_package"))
    key = _code.code_of(study.cell)
    study.G = study.g
    assert _code.code_of(study.cell) != key


def test_what_is_nested_too_deep_is_refused_in_a_sentence(monkeypatch):
    study = session("G = []\nfor _ in range(10_000): G = [G]" + cell("len(G)"), monkeypatch)
    with pytest.raises(TypeError, match="cell reads what is nested too deep to be hashed"):
        _code.code_of(study.cell)


# --- A module of the reader's in a file ---------------------------------------------------------


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes, or writes anew, modules of the reader's."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = set()

    def write(text, name="desk_tools", encoding="utf-8"):
        (tmp_path / f"{name}.py").write_bytes(text.encode(encoding))
        importlib.invalidate_caches()
        names.add(name)
        return importlib.reload(importlib.import_module(name))

    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "text",
    [
        "import desk_tools" + cell("getattr(desk_tools, 'value')()"),
        "import desk_tools\nname = 'value'" + cell("getattr(desk_tools, name)()"),
        "import desk_tools" + cell("vars(desk_tools)['value']()"),
        "def cell(seed, x):\n  import desk_tools as t\n  return {'loss': t.value()}",
        "def cell(seed, x):\n  from desk_tools import value\n  return {'loss': value()}",
    ],
)
def test_modules_are_followed_however_they_are_named(text, write, monkeypatch):
    write("def value(): return 1")
    study = session(text, monkeypatch)
    key = _code.code_of(study.cell)
    write("def value(): return 2  # and more")
    assert study.cell(0, 0) == {"loss": 2} and _code.code_of(study.cell) != key


def test_a_module_of_the_reader_that_is_called_as_one_of_python(write, monkeypatch):
    monkeypatch.delitem(sys.modules, "this", raising=False)
    write("def value(): return 1", name="this")
    study = session("import this" + cell("this.value()"), monkeypatch)
    key = _code.code_of(study.cell)
    write("def value(): return 2  # and more", name="this")
    assert _code.code_of(study.cell) != key


def test_a_file_of_another_encoding_is_read_as_python_reads_it(write):
    for text, encoding in [
        ("# coding: latin-1\nNAME = 'Zürich'", "latin-1"), ("NAME = 'Zürich'", "utf-8-sig"),
    ]:  # fmt: skip
        tools = write(text + cell("len(NAME)"), encoding=encoding)
        assert _code.code_of(tools.cell)


def test_a_file_that_is_being_written_is_not_what_was_loaded(write, tmp_path):
    tools = write(cell("1"))
    (tmp_path / "desk_tools.py").write_text("def cell(seed, x:\n")
    with pytest.raises(RuntimeError, match=r"cell is not what stands in desk_tools.py"):
        _code.code_of(tools.cell)


def test_workers_know_no_file_of_yesterday(write, tmp_path):
    """Processes outlive a call, and do not reload what the reader reloads."""

    def found(tools):
        return run_grid(
            tools.cell, {"x": [1, 2]}, 1, cache=tmp_path / "cache", n_jobs=2, progress=False
        )["value"].tolist()

    assert found(write("STEP = 1" + cell("STEP"))) == [1, 1]
    assert found(write("STEP = 23" + cell("STEP"))) == [23, 23]


EDITED = """
import sys
from pathlib import Path
import byzlib.aggregators
def cell(seed, x): return {"loss": 1}
file = Path(byzlib.aggregators.__file__).with_name("coordinatewise.py")
assert file.is_relative_to(Path.cwd()), file
file.write_text(file.read_text().replace("1.0", sys.argv[1]) + "# and a comment")
from byzlib.experiments import _code
try: print(len(_code.code_of(cell)))
except RuntimeError as error: print(error)
"""


@pytest.mark.parametrize("number, told", [("1.0", "64\n"), ("2.0", "changed since it was loaded")])
def test_a_room_that_was_changed_before_experiments_were_loaded_is_told(number, told, tmp_path):
    rooms = tmp_path / "byzlib"
    shutil.copytree(_code.LIBRARY, rooms, ignore=shutil.ignore_patterns("__pycache__", "*.gz"))
    done = subprocess.run(
        [sys.executable, "-c", EDITED, number], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert told in done.stdout, done.stderr


@pytest.mark.parametrize("library", ["array_api_strict", "torch", "jax.numpy"])
def test_tensors_count_for_their_numbers_and_kind(library, monkeypatch):
    xp = pytest.importorskip(library)
    study = session(cell("T.sum()"), monkeypatch)

    def key(values, dtype=xp.float32):
        study.T = xp.asarray(values, dtype=dtype)
        return _code.code_of(study.cell)

    assert key([1, 2, 3]) == key([1, 2, 3])
    kinds = {key([1, 2, 3]), key([1, 2, 4]), key([1, 2, 3], xp.int32), key([[1], [2], [3]])}
    assert len(kinds) == 4


def test_a_tensor_has_one_key_in_every_process():
    pytest.importorskip("torch")
    text = (
        "import torch; from byzlib.experiments import _code;"
        "print(_code._Digest('').of(torch.nn.Parameter(torch.arange(3.0)), ''))"
    )
    told = os.environ | {"PYTHONPATH": str(ROOT)}
    keys = [
        subprocess.run([sys.executable, "-c", text], env=told, capture_output=True, timeout=300)
        for _ in range(2)
    ]
    assert keys[0].stdout == keys[1].stdout and keys[0].returncode == 0, keys[0].stderr
