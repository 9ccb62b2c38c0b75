"""Time byzlib's rules against other libraries, np.mean and one Gram product: `make bench`.

Everything runs in one process, in turns: byzlib, peer, yardstick, byzlib, peer, yardstick. What is
reported is the median over turns of the ratio of two neighbours, so that a noisy minute of the
machine touches both. Every peer's answer is compared with byzlib's.
"""

import argparse
import functools
import itertools
import os
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks import peers, report
from benchmarks.clock import Runner, peak_memory, take_turns
from byzlib import aggregators

SIZES = [(10, 1_000), (10, 100_000), (50, 10_000), (200, 10_000), (100, 100_000), (50, 1_000_000)]
DTYPES = ["float64", "float32"]
RULES = ["median", "trimmed_mean", "mean_around_median", "krum", "multi_krum", "bulyan",
         "minimum_diameter_average", "nearest_neighbor_mixing", "geometric_median",
         "centered_clipping"]  # fmt: skip
STACKED = ["median", "trimmed_mean", "krum"]
TRIALS = (1_000, 10, 1_000)
SORTING = ["median", "trimmed_mean", "mean_around_median", "bulyan"]
TURNS = 9
BUDGET = 8.0  # seconds that one cell of the table may take, shared by those who are timed in it
HOPELESS = 30.0  # seconds: who took longer for a rule is not asked for it again


@functools.lru_cache(maxsize=1)  # the largest takes 400 MB
def updates(n, d, dtype, f, trials=()):
    """Honest clients of different noise around 1, and f liars around -3."""
    rng = np.random.default_rng(n + d)
    noise = rng.uniform(0.5, 1.5, (*trials, n, 1))
    x = rng.standard_normal((*trials, n, d)) * noise + 1
    x[..., :f, :] -= 4
    return x.astype(dtype)


def byzantine(rule, n):
    """30 % of the clients, or what Bulyan can bear."""
    return (n - 3) // 4 if rule == "bulyan" else 3 * n // 10


def byzlib_call(rule, x, f):
    """The rule of byzlib on x."""
    function = getattr(aggregators, rule)
    if rule in ("median", "geometric_median"):
        return lambda: function(x)
    if rule == "centered_clipping":
        radius, center = peers.radius(x), np.zeros(x.shape[-1])  # as the peers start
        return lambda: function(x, radius, center=center)
    return lambda: function(x, f)


def yardsticks(rule, x):
    """What a rule costs at least, and what everyone else would use."""
    named = {"np.mean": lambda: np.mean(x, axis=0), "Gram": lambda: x @ x.T}
    if rule in SORTING:
        named["np.median"] = lambda: np.median(x, axis=0)
    return [Runner(name, "yardstick", call) for name, call in named.items()]


def cell(rule, x, offers, slow):
    """Rows of one rule on one array (n, d), with peers {name: function of (x, f)}.

    `slow` holds who took over HOPELESS seconds for a rule, and is added to.
    """
    n, d = x.shape
    f = byzantine(rule, n)
    about = {"rule": rule, "trials": 1, "n": n, "d": d, "f": f, "dtype": str(x.dtype)}
    ours = Runner("byzlib", "byzlib", byzlib_call(rule, x, f))
    try:
        answer = ours.first()
    except ValueError as refusal:
        return [about | {"who": "byzlib", "kind": "byzlib", "note": f"refused: {refusal}"}]
    ours.copies = peak_memory(ours.call) / x.nbytes
    rivals = [
        meet(name, prepare, about, answer, x, slow)
        for name, prepare in offers.items()
        if rule in peers.DEFINITIONS[name]
    ]
    others = yardsticks(rule, x)
    for runner in others:
        runner.first()
    timed = [ours, *(runner for runner in rivals if not runner.note), *others]
    for runner in timed:
        runner.plan(TURNS, BUDGET / len(timed))
    take_turns(timed)
    return [about | runner.row(ours) for runner in [ours, *rivals, *others]]


def meet(name, prepare, about, answer, x, slow):
    """A peer after its first call, or with a note why there was none."""
    rule, n, f, d = (about[key] for key in ("rule", "n", "f", "d"))
    runner = Runner(name, "peer", definition=peers.DEFINITIONS[name][rule])
    runner.note = peers.out_of_reach(name, rule, n, f, d, x.itemsize)
    runner.note = runner.note or slow.get((name, rule, about["dtype"]), "")
    if runner.note:
        return runner
    runner.call = prepare(x, f)[rule]
    try:
        theirs = runner.first()
    except Exception as error:  # a peer may fail in its own way; the table goes on and says so
        runner.note = f"{type(error).__name__}: {error}".splitlines()[0]
        return runner
    if runner.once > HOPELESS:
        seconds = f"left out: {runner.once:.0f} s a call at {n} x {d:,}"
        slow[name, rule, about["dtype"]] = seconds
    runner.agrees = agreement(runner, about, answer, theirs, x)
    return runner


def agreement(runner, about, ours, theirs, x):
    """Does a peer of the same definition give the same answer?"""
    if runner.definition:
        return "another definition"
    if about["rule"] == "bulyan" and about["f"] <= 2:
        # The last rounds score by one neighbour: the two of a pair tie, and the definition is mute.
        return "up to ties"
    single = x.dtype == np.float32 or runner.name == "byzfl (torch)"
    try:
        gap = np.abs(ours - peers.as_array(theirs)).max() / np.abs(x).max()
    except (TypeError, ValueError) as error:
        return f"NO: {error}"
    return "yes" if gap <= (1e-4 if single else 1e-9) else "NO"


def stacked(rule, x):
    """Rows of many trials in one call, and of a Python loop over them."""
    trials, n, d = x.shape
    f = byzantine(rule, n)
    calls = [byzlib_call(rule, trial, f) for trial in x]
    about = {"rule": rule, "trials": trials, "n": n, "d": d, "f": f, "dtype": str(x.dtype)}
    ours = Runner("byzlib", "byzlib", byzlib_call(rule, x, f))
    loop = Runner("a loop over trials", "loop", lambda: [call() for call in calls])
    same = np.array_equal(ours.first(), loop.first())
    loop.agrees, ours.copies = "yes" if same else "to rounding", peak_memory(ours.call) / x.nbytes
    for runner in (ours, loop):
        runner.plan(TURNS, BUDGET / 2)
    take_turns([ours, loop])
    return [about | ours.row(ours), about | loop.row(ours)]


def measure(rules=RULES, sizes=SIZES, trials=TRIALS, offers=None):
    """All rows as a DataFrame, one a measurement, in the columns of `report.COLUMNS`."""
    if offers is None:
        absent = peers.missing()
        offers = {k: v for k, v in peers.PEERS.items() if peers.package(k) not in absent}
    rows, slow = [], {}
    # Bulyan bears fewer liars: it comes last, so that an array is made twice and not three times.
    ordered = sorted(rules, key=lambda rule: rule == "bulyan")
    tasks = list(itertools.product(sizes, DTYPES, ordered))
    for (n, d), dtype, rule in tqdm(tasks, unit="cell", disable=None, leave=False):
        rows += cell(rule, updates(n, d, dtype, byzantine(rule, n)), offers, slow)
    for dtype, rule in itertools.product(DTYPES, STACKED):
        if trials and rule in rules:
            x = updates(*trials[1:], dtype, byzantine(rule, trials[1]), trials[:1])
            rows += stacked(rule, x)
    rows.sort(key=lambda row: RULES.index(row["rule"]))
    return report.as_table(pd.DataFrame(rows))


def size(text):
    """ "50x1e6" -> (50, 1000000)."""
    try:
        n, d = (int(float(part)) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"a size looks like 10x1000; got {text}") from None
    return n, d


def main(arguments=None):
    """Measure, print, and write what is whole."""
    parser = argparse.ArgumentParser(prog="benchmarks.rules", description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", choices=RULES, metavar="RULE", help="some rules")
    parser.add_argument("--sizes", nargs="*", type=size, metavar="NxD", help="some sizes")
    parser.add_argument("--save", type=Path, help="write results and README table to this folder")
    chosen = parser.parse_args(arguments)

    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 0.7:
        print(f"Other programs keep this machine busy (load {load:.1f}): the ratios will suffer.")
    if absent := peers.missing():
        print(f"Not installed, so without rows: {', '.join(absent)}; pip install -e '.[bench]'")
    # The stacked trials belong to the whole table, and to none of its sizes.
    trials = None if chosen.sizes else TRIALS
    table = measure(chosen.only or RULES, chosen.sizes or SIZES, trials)
    print(report.as_markdown(table))
    whole = not (chosen.only or chosen.sizes or absent)
    folder = chosen.save or (report.FOLDER if whole else None)
    if folder:
        report.save(table, folder)
        print(f"Written to {folder}")
    else:
        print("Nothing was written: only a whole run with every peer replaces the results.")


if __name__ == "__main__":
    main()
