"""Grids of runs: every configuration with the same seeds, kept on disk, in parallel, resumable.

A cell is a function that runs one configuration and returns its figures, one for each seed. The
grid says which configurations there are; `run_grid` runs them all and returns one tidy table.
"""

import inspect
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping

import joblib
import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from byzlib.experiments._code import code_of, files_of_the_reader
from byzlib.theory import as_count

PLAIN = (str, bool, int, float)
WORKERS_KNOW = {}  # files of the reader's, as they were when workers may have loaded them
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
        that decides it: configuration, seeds, the code of the cell, of what it reads and of
        byzlib (comments do not count), and NumPy's version. So a run that was killed goes on where
        it was, without the cells that were running. What the cell reads is hashed by what it holds,
        objects included; what cannot be is refused by name. Only trust a folder that you would run
        code from.
    n_jobs : int
        Processes; -1 for all cores. ``with joblib.parallel_config(backend="dask"):`` around the
        call sends the cells to a cluster, whose workers you start anew when a file of yours has
        changed. A process loads your files itself: what you set in a module of yours later,
        ``tools.step = 2``, it does not know; pass it through the grid.
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
        When cells failed, after all others have run: those are in the cache. Before anything runs,
        when a module is not what its file says: it was changed and not loaded anew.
    """
    configurations = configurations_of(grid)
    stacked = _is_stacked(cell, configurations[0])
    seeds = as_seeds(seeds)
    width = as_count(stack, "stack", "run_grid", least=1) if stacked else 1
    blocks = [seeds[i : i + width] for i in range(0, len(seeds), width)]
    tasks = list(itertools.product(configurations, blocks))
    # As text: joblib uses another folder for a Path.
    folder = None if cache is None else os.fspath(cache)
    kept = joblib.Memory(folder, verbose=0).cache(_run_cell, ignore=["cell"])
    code = code_of(cell) if cache is not None else ""
    calls = [(cell, code, stacked, configuration, block) for configuration, block in tasks]
    outcomes = _run_all(kept, calls, n_jobs, progress)
    _raise_failures(tasks, outcomes)
    return _tidy(tasks, outcomes)


# --- what is asked for --------------------------------------------------------------------------


def configurations_of(grid):
    """The configurations of a grid, as dicts, in order; see `run_grid`."""
    grids = [grid] if isinstance(grid, Mapping) else list(grid)
    if not grids or not all(isinstance(one, Mapping) and one for one in grids):
        raise TypeError("run_grid needs a grid: a dict of name -> values, or a list of such dicts")
    names = list(grids[0])
    for one in grids:
        if set(one) != set(names):
            raise ValueError(f"all grids need the names {names}; got {list(one)}")
    if taken := set(names) & {*RESULT, "seeds"}:
        raise ValueError(f"{sorted(taken)[0]!r} is a column of the result; call it otherwise")
    found = [
        dict(zip(names, values, strict=True))
        for one in grids
        for values in itertools.product(*(_choices(name, one[name]) for name in names))
    ]
    twice, count = Counter(map(_identity, found)).most_common(1)[0]
    if count > 1:
        same = dict(zip(names, (value for _, value in twice), strict=True))
        raise ValueError(f"the grid holds a configuration twice: {describe(same)}")
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


def as_seeds(seeds):
    """The seeds as a tuple of distinct ints >= 0."""
    if isinstance(seeds, Iterable):
        seeds = tuple(as_count(seed, "seed", "run_grid") for seed in seeds)
    else:
        seeds = tuple(range(as_count(seeds, "number of seeds", "run_grid")))
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f"run_grid needs distinct seeds >= 0, at least one; got {list(seeds)}")
    return seeds


def _is_stacked(cell, configuration):
    """Does the cell take many seeds at once? Refuses a cell that the grid's names do not fit."""
    signature = inspect.signature(cell)
    first = next(iter(signature.parameters), None)
    if first not in ("seed", "seeds"):
        raise TypeError(f"a cell's first parameter is called seed or seeds; got {first}")
    try:
        signature.bind(**{first: None}, **configuration)
    except TypeError as error:
        raise TypeError(f"the grid does not fit {cell.__name__}{signature}: {error}") from None
    return first == "seeds"


# --- the work -----------------------------------------------------------------------------------


def _run_cell(cell, code, stacked, configuration, seeds):
    """One call of the cell: {metric: one number a seed}, or {"refused": the reason}."""
    try:
        values = cell(seeds if stacked else seeds[0], **configuration)
    except Refused as reason:
        return {"refused": str(reason)}
    if not isinstance(values, Mapping) or not values:
        raise TypeError(f"a cell returns a dict of figures; got {values!r}")
    figures = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    for name, value in figures.items():
        if value.shape != ((len(seeds),) if stacked else ()):
            raise ValueError(
                f"a cell returns one number a seed for each metric; "
                f"got {name!r} of shape {value.shape} for {len(seeds)} seeds"
            )
    return {name: np.atleast_1d(value).tolist() for name, value in figures.items()}


def _run_all(kept, calls, n_jobs, progress):
    """{index: outcome}; what is kept is read, the rest runs, and a failure stops no other call."""
    outcomes = {i: kept(*call) for i, call in enumerate(calls) if kept.check_call_in_cache(*call)}
    missing = [i for i in range(len(calls)) if i not in outcomes]
    if missing and joblib.effective_n_jobs(n_jobs) > 1:
        _forget_old_files()
    parallel = joblib.Parallel(n_jobs, return_as="generator_unordered")
    # Where nothing is missing, no process is started.
    work = parallel(joblib.delayed(_attempt)(i, kept, calls[i]) for i in missing) if missing else ()
    bar = {"total": len(calls), "initial": len(outcomes), "disable": None if progress else True}
    outcomes.update(tqdm(work, unit="cell", **bar))
    return outcomes


def _forget_old_files():
    """Stop joblib's workers, which outlive a call, where they may hold what a file said before."""
    files = files_of_the_reader()
    if files != WORKERS_KNOW:
        get_reusable_executor().shutdown(wait=True)
        WORKERS_KNOW.clear()
        WORKERS_KNOW.update(files)


def _attempt(i, kept, call):
    """A failure comes back as a value."""
    try:
        return i, kept(*call)
    except Exception as error:
        return i, error


def _raise_failures(tasks, outcomes):
    """RuntimeError with the first failure, in grid order, if there is one."""
    failed = [i for i in range(len(tasks)) if isinstance(outcomes[i], Exception)]
    if failed:
        (configuration, seeds), error = tasks[failed[0]], outcomes[failed[0]]
        where = f"{describe(configuration)}, seeds {seeds[0]} to {seeds[-1]}"
        raise RuntimeError(
            f"{len(failed)} of {len(tasks)} cells failed; the first: {where}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _tidy(tasks, outcomes):
    """One row a seed and metric; a configuration is refused once, not for each block of seeds."""
    rows = {}
    for i, (configuration, seeds) in enumerate(tasks):
        for row in _rows(seeds, outcomes[i]):
            rows.setdefault((_identity(configuration), *row[:2]), (*configuration.values(), *row))
    table = pd.DataFrame(rows.values(), columns=[*tasks[0][0], *RESULT])
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
