"""Types of the public names: they name what is there, and a user's strict checker is content."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import byzlib

ROOT = Path(__file__).parent.parent
ROOMS = [room for room in byzlib.ROOMS if room != "checks"]  # one line for all checkers


def stub(room):
    folder = ROOT / "byzlib" / room
    file = folder / "__init__.pyi" if folder.is_dir() else folder.with_suffix(".pyi")
    return ast.parse(file.read_text(encoding="utf-8"))


def names(room):
    """What the room shows: functions, classes and tables of its own."""
    module = importlib.import_module(f"byzlib.{room}")
    listed = getattr(module, "__all__", None)
    for name in listed or vars(module):
        thing = getattr(module, name)
        of_module = getattr(thing, "__module__", None)
        own = of_module == module.__name__ or (of_module is None and name.isupper())
        if not inspect.ismodule(thing) and (listed or own and not name.startswith("_")):
            yield name


@pytest.mark.parametrize("room", ROOMS)
def test_the_stub_names_what_the_room_shows(room):
    typed = {}
    for line in stub(room).body:
        if isinstance(line, ast.FunctionDef | ast.ClassDef):
            typed.setdefault(line.name, line)
        elif isinstance(line, ast.AnnAssign):
            typed[line.target.id] = line
    missing = set(names(room)) - set(typed)
    assert not missing, f"write the types of {missing} into the .pyi of byzlib/{room}"
    module = importlib.import_module(f"byzlib.{room}")
    for name, line in typed.items():
        assert hasattr(module, name) or isinstance(line, ast.ClassDef), name
        if isinstance(line, ast.FunctionDef):
            asked = [*line.args.args, *line.args.kwonlyargs]
            taken = inspect.signature(getattr(module, name)).parameters.values()
            plain = [p.name for p in taken if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
            assert [one.arg for one in asked] == plain, (name, plain)


USER = """
import numpy as np
from byzlib.aggregators import krum, median, trimmed_mean
from byzlib.attacks import sign_flip
from byzlib.federated import ByzantineFL, SimpleModel, split_iid
from byzlib.metrics import t_interval

rng = np.random.default_rng(0)
X, y = rng.standard_normal((300, 4)), rng.integers(0, 3, 300)
clients = split_iid(X, y, 10, rng)
model = SimpleModel(n_features=4)
fl = ByzantineFL(model, clients, trimmed_mean, 3, sign_flip, learning_rate=0.1)
history = fl.run(rounds=3, rng=0, evaluate=(X, y))
answer, weights = krum(rng.standard_normal((10, 4)), 3, return_weights=True)
print(history.table.tail(), median(rng.standard_normal((5, 2))).shape, answer + weights.sum())
print(t_interval([1.0, 2.0, 3.0]).mean)
"""


def checked(path, *options):
    mypy = [sys.executable, "-m", "mypy", "--no-incremental", "--cache-dir", str(path.parent)]
    done = subprocess.run([*mypy, *options, str(path)], capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_users_strict_checker_is_content_and_sees_a_mistake(tmp_path):
    user = tmp_path / "user.py"
    user.write_text(USER)
    subprocess.run([sys.executable, str(user)], check=True, capture_output=True, cwd=ROOT)
    assert checked(user, "--strict") == (0, "Success: no issues found in 1 source file\n")
    user.write_text(USER + 'krum([[1.0]], f="three")\n')
    code, said = checked(user, "--strict")
    assert code == 1 and "user.py:17: error" in said
