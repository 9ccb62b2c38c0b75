"""Grids of runs: every configuration with the same seeds, kept on disk, in parallel, resumable.

A cell is a function that runs one configuration and returns its figures, one for each seed. The
grid says which configurations there are; `run_grid` runs them all and returns one tidy table.
`cells` holds ready-made cells, `tables` turns the result into tables and figures.
"""

import ast
import functools
import hashlib
import inspect
import itertools
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from byzlib.theory import as_count

PLAIN = (str, bool, int, float)
RESULT = ["seed", "metric", "value", "status", "note"]  # columns beside the configuration's


class Refused(ValueError):
    """A configuration that has no meaning, such as a rule with too few clients.

    A cell raises it with one sentence; the grid goes on and reports the sentence.
    """


def run_grid(cell, grid, seeds=10, *, cache=None, n_jobs=-1, stack=10, progress=True):
    """Run a cell for every configuration of a grid, each with the same seeds.

    Parameters
    ----------
    cell : function
        ``cell(seed, **configuration) -> {metric: number}``, or, for seeds that run as one stack of
        arrays, ``cell(seeds, **configuration) -> {metric: one number a seed}``; the name of its
        first parameter decides. A seed decides the data, the start and all that is drawn, whatever
        the configuration: that is what pairs the runs. The metric "diverged_at", where there is
        one, holds the round in which a run diverged, and NaN for a run that did not.
    grid : dict of name -> value or list of values, or a list of such dicts
        Their products, in order. Values are what stands in a table: names, numbers, or
        tuples of these. All dicts of a list have the same names.
    seeds : int or sequence of distinct int
        How many (0, 1, ...), or which.
    cache : path, optional
        A folder for `joblib.Memory`. A result is kept, whole, as soon as it is there, under all
        that decides it: configuration, seeds, the code of the cell and its file, the code of
        byzlib (comments and docstrings do not count), and NumPy's version. So a run that was
        killed goes on where it was, without the cells that were running. Only trust a folder that
        you would run code from.
    n_jobs : int
        Processes; -1 for all cores. ``with joblib.parallel_config(backend="dask"):`` around the
        call sends the cells to a cluster.
    stack : int
        How many seeds a stacked cell is given at once. More seeds later re-use what is kept.
    progress : bool
        Show a bar where there is a terminal.

    Returns
    -------
    DataFrame
        The configuration's columns and seed, metric, value, status, note; in grid order. Status is
        "ok"; "diverged", where the note names the round and the value is NaN; or "refused", one
        row for a configuration, where the note says why.

    Raises
    ------
    ValueError, TypeError
        For a grid, seeds or names that do not fit, before anything runs.
    RuntimeError
        When cells failed, after all others have run: those are in the cache.
    """
    configurations = configurations_of(grid)
    stacked = _is_stacked(cell, configurations)
    seeds, width = _as_seeds(seeds), as_count(stack, "stack", "run_grid") if stacked else 1
    if width < 1:
        raise ValueError(f"run_grid needs stack >= 1; got {stack}")
    blocks = [seeds[i : i + width] for i in range(0, len(seeds), width)]
    tasks = list(itertools.product(configurations, blocks))
    # As text: joblib uses another folder for a Path.
    folder = None if cache is None else os.fspath(cache)
    kept = joblib.Memory(folder, verbose=0).cache(_run_cell, ignore=["cell"])
    code = _code_of(cell) if cache is not None else ""
    calls = [(cell, code, stacked, configuration, block) for configuration, block in tasks]
    done = {i for i, call in enumerate(calls) if kept.check_call_in_cache(*call)}
    outcomes = {i: kept(*calls[i]) for i in done}
    missing = [i for i in range(len(calls)) if i not in done]
    bar = {"total": len(calls), "initial": len(done), "disable": None if progress else True}
    for i, outcome in tqdm(_work(kept, calls, missing, n_jobs), unit="cell", **bar):
        outcomes[i] = outcome
    _raise_failures(tasks, outcomes)
    return _tidy(tasks, outcomes)


def configurations_of(grid):
    """The configurations of a grid, as dicts, in order; see `run_grid`."""
    grids = [grid] if isinstance(grid, Mapping) else list(grid)
    if not grids or not all(isinstance(one, Mapping) and one for one in grids):
        raise TypeError("run_grid needs a grid: a dict of name -> values, or a list of such dicts")
    for one in grids:
        if set(one) != set(grids[0]):
            raise ValueError(f"all grids need the names {list(grids[0])}; got {list(one)}")
    if taken := set(grids[0]) & {*RESULT, "seeds"}:
        raise ValueError(f"{sorted(taken)[0]!r} is a column of the result; call it otherwise")
    names = list(grids[0])
    found = [
        dict(zip(names, values, strict=True))
        for one in grids
        for values in itertools.product(*(_choices(name, one[name]) for name in names))
    ]
    counts = Counter(map(_identity, found))
    if twice := [one for one in found if counts[_identity(one)] > 1]:
        raise ValueError(f"the grid holds a configuration twice: {describe(twice[0])}")
    return found


def describe(configuration):
    """A configuration as text: "rule = Krum, f = 3"."""
    return ", ".join(f"{name} = {value}" for name, value in configuration.items())


def _identity(configuration):
    """1, 1.0 and True are three values."""
    return tuple((type(value), value) for value in configuration.values())


def _choices(name, values):
    """The values of one name, checked: one plain value stands for a list of one."""
    if isinstance(values, (*PLAIN, np.generic, tuple)) or not isinstance(values, Iterable):
        values = [values]
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    if not values:
        raise ValueError(f"the grid needs at least one value for {name!r}; got none")
    for value in values:
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(part, PLAIN) for part in parts):
            raise TypeError(
                f"a grid holds names and numbers; got {name} = {value!r}. "
                "Pass a name, and let the cell look it up"
            )
    return values


def _as_seeds(seeds):
    if isinstance(seeds, Iterable):
        seeds = tuple(as_count(seed, "seed", "run_grid") for seed in seeds)
    else:
        seeds = tuple(range(as_count(seeds, "number of seeds", "run_grid")))
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f"run_grid needs distinct seeds >= 0, at least one; got {list(seeds)}")
    return seeds


def _is_stacked(cell, configurations):
    """Does the cell take many seeds at once? Refuses a cell that the grid's names do not fit."""
    signature = inspect.signature(cell)
    first = next(iter(signature.parameters), None)
    if first not in ("seed", "seeds"):
        raise TypeError(f"a cell's first parameter is called seed or seeds; got {first}")
    try:
        signature.bind(**{first: None}, **configurations[0])
    except TypeError as error:
        raise TypeError(f"the grid does not fit {cell.__name__}{signature}: {error}") from None
    return first == "seeds"


def _run_cell(cell, code, stacked, configuration, seeds):
    """One call of the cell: {metric: one number a seed}, or {"refused": the reason}."""
    try:
        values = cell(seeds if stacked else seeds[0], **configuration)
    except Refused as reason:
        return {"refused": str(reason)}
    if not isinstance(values, Mapping) or not values:
        raise TypeError(f"a cell returns a dict of figures; got {values!r}")
    figures = {}
    for name, value in values.items():
        value = np.asarray(value, dtype=float)
        if value.shape != ((len(seeds),) if stacked else ()):
            raise ValueError(
                f"a cell returns one number a seed for each metric; "
                f"got {name!r} of shape {value.shape} for {len(seeds)} seeds"
            )
        figures[name] = np.atleast_1d(value).tolist()
    return figures


def _work(kept, calls, missing, n_jobs):
    """(index, outcome) of the missing calls, as they come; nothing missing starts no process."""
    if not missing:
        return []
    parallel = joblib.Parallel(n_jobs, return_as="generator_unordered")
    return parallel(joblib.delayed(_attempt)(i, kept, calls[i]) for i in missing)


def _attempt(i, kept, call):
    """A failure comes back as a value, so that it stops no other cell."""
    try:
        return i, kept(*call)
    except Exception as error:
        return i, error


def _raise_failures(tasks, outcomes):
    failed = [i for i, outcome in sorted(outcomes.items()) if isinstance(outcome, Exception)]
    if failed:
        configuration, seeds = tasks[failed[0]]
        error = outcomes[failed[0]]
        where = f"{describe(configuration)}, seeds {seeds[0]} to {seeds[-1]}"
        raise RuntimeError(
            f"{len(failed)} of {len(tasks)} cells failed; the first: {where}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _tidy(tasks, outcomes):
    """One row a seed and metric; a configuration is refused once, not for each seed."""
    rows, refused = [], set()
    for i, (configuration, seeds) in enumerate(tasks):
        own = _rows(seeds, outcomes[i])
        if "refused" in outcomes[i]:
            own = [] if _identity(configuration) in refused else own
            refused.add(_identity(configuration))
        rows += [(*configuration.values(), *row) for row in own]
    table = pd.DataFrame(rows, columns=[*tasks[0][0], *RESULT])
    return table.astype({"seed": "Int64", "metric": object, "value": float})


def _rows(seeds, outcome):
    """(seed, metric, value, status, note) of one outcome."""
    if "refused" in outcome:
        return [(None, None, np.nan, "refused", outcome["refused"])]
    figures = dict(outcome)
    ends = figures.pop("diverged_at", [np.nan] * len(seeds))
    return [
        (seed, metric, value, "ok", "")
        if np.isnan(end)
        else (seed, metric, np.nan, "diverged", f"in round {end:.0f}")
        for metric, values in figures.items()
        for seed, value, end in zip(seeds, values, ends, strict=True)
    ]


# --- what a result depends on -------------------------------------------------------------------


def _code_of(cell):
    """A digest of the code that decides a result: the cell, its file, byzlib, NumPy's version."""
    inner = inspect.unwrap(cell)
    if not inspect.isfunction(inner) or inner.__name__ == "<lambda>":
        raise TypeError(f"a cell that is kept on disk is a function made with def; got {cell!r}")
    file = getattr(sys.modules.get(inner.__module__), "__file__", None)
    code = [_file_digest(file), _library_digest(), np.__version__, *_function_code(inner, set())]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def _function_code(function, seen):
    """A function's code and what it reads: defaults, enclosed values, functions beside it."""
    seen.add(function)
    try:
        own = _bare(inspect.getsource(function))
    except OSError:
        raise TypeError(
            f"the code of {function.__name__} cannot be read; put it in a file or a notebook"
        ) from None
    names = inspect.getclosurevars(function)
    values = {"defaults": (function.__defaults__, function.__kwdefaults__), **names.nonlocals}
    values |= {k: v for k, v in names.globals.items() if isinstance(v, (*PLAIN, tuple))}
    code = [function.__qualname__, own]
    for name, value in sorted(values.items()):
        if not inspect.isfunction(value):
            code.append(f"{name} = {joblib.hash(value)}")
    for value in [*names.nonlocals.values(), *names.globals.values()]:
        beside = inspect.isfunction(value) and value.__module__ == function.__module__
        if beside and value not in seen:
            code += _function_code(value, seen)
    return code


@functools.cache
def _library_digest():
    files = sorted(Path(__file__).parent.glob("*.py"))
    shown = ("results", "plotting", "tables")  # they read results and decide none
    return "".join(_file_digest(path) for path in files if path.stem not in shown)


def _file_digest(path):
    """Digest of a file's code; a notebook's cell has no file and is its own code."""
    if path is None or not Path(path).is_file():
        return ""
    return hashlib.sha256(_bare(Path(path).read_text(encoding="utf-8")).encode()).hexdigest()


def _bare(source):
    """Code without comments, docstrings and layout."""
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body[0] = ast.Pass()
    return ast.dump(tree)
