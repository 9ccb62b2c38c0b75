"""Time byzlib's rules against other libraries, np.mean and one Gram product: `make bench`.

Usage: python -m benchmarks.rules [--only RULE ...] [--sizes NxD ...] [--dtypes ...]

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
from benchmarks.clock import Runner, best_threads, peak_memory, row, steady, take_turns
from byzlib import aggregators

SIZES = [(10, 1_000), (10, 100_000), (50, 10_000), (200, 10_000), (100, 100_000), (50, 1_000_000)]
DTYPES = ["float64", "float32"]
RULES = [
    "median",
    "trimmed_mean",
    "mean_around_median",
    "krum",
    "multi_krum",
    "bulyan",
    "minimum_diameter_average",
    "nearest_neighbor_mixing",
    "geometric_median",
    "centered_clipping",
]
STACKED = ["median", "trimmed_mean", "krum"]
TRIALS = (1_000, 10, 1_000)
COORDINATEWISE = ["median", "trimmed_mean", "mean_around_median", "bulyan"]

TURNS = 9
BUDGET = 8.0  # seconds that one cell of the table may take, shared by those who are timed in it
HOPELESS = 20.0, 60.0  # expected seconds of a call that is not made; where a goal needs it


# --- what is timed --------------------------------------------------------------------------


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
    """The rule of byzlib on x, or None where there is none yet."""
    function = getattr(aggregators, rule, None)
    if function is None:
        return None
    if rule in ("median", "geometric_median"):
        return lambda: function(x)
    if rule == "centered_clipping":
        radius, center = peers.radius(x), np.zeros(x.shape[1], x.dtype)  # as the peers start
        return lambda: function(x, radius, center=center)
    return lambda: function(x, f)


def yardsticks(rule, x):
    """What a rule costs at least, and what everyone else would use."""
    named = {"np.mean": lambda: np.mean(x, axis=0), "Gram": lambda: x @ x.T}
    if rule in COORDINATEWISE:
        named["np.sort"] = lambda: np.sort(x, axis=0)
        named["np.median"] = lambda: np.median(x, axis=0)
    return [Runner(name, "yardstick", call) for name, call in named.items()]


# --- one cell of the table ------------------------------------------------------------------


def cell(rule, x, offers, expected, turns=TURNS, budget=BUDGET):
    """Rows of one rule on one array.

    Parameters
    ----------
    rule : str
    x : (n, d) float array
    offers : dict of peer -> function of f -> {rule: call}
    expected : dict
        Seconds of earlier calls; what is measured here is added.
    turns, budget : int, float
        At most so many turns, and about so many seconds.
    """
    n, d = x.shape
    f = byzantine(rule, n)
    about = {"rule": rule, "trials": 1, "n": n, "d": d, "f": f, "dtype": str(x.dtype)}
    call = byzlib_call(rule, x, f)
    if call is None:
        return [about | {"who": "byzlib", "kind": "byzlib", "note": "not in byzlib"}]
    ours = Runner("byzlib", "byzlib", call)
    try:
        answer, first = ours.first()
    except ValueError as refusal:
        return [about | {"who": "byzlib", "kind": "byzlib", "note": f"refused: {refusal}"}]
    extra = {"byzlib": {"copies": peak_memory(call) / x.nbytes}}
    firsts, runners = [(ours, first)], [ours]

    for name, prepare in offers.items():
        if rule not in peers.DEFINITIONS[name]:
            continue
        runner = Runner(name, "peer", None, peers.DEFINITIONS[name][rule])
        runners.append(runner)
        note = peers.out_of_reach(name, rule, n, f, d, x.itemsize) or too_long(
            runner, about, expected
        )
        if note:
            extra[name] = {"note": note}
            continue
        runner.call = prepare(f)[rule]
        try:
            theirs, first = best_threads(runner) if name in peers.TORCH else runner.first()
        except Exception as error:  # a peer may fail in its own way; the table goes on and says so
            extra[name] = {"note": f"{type(error).__name__}: {error}".splitlines()[0]}
            runner.call = None
            continue
        expected[name, rule, about["dtype"]] = first / work(rule, n, d)
        extra[name] = {"agrees": agreement(runner, about, answer, theirs, x)}
        del theirs
        firsts.append((runner, first))
    del answer
    for runner in yardsticks(rule, x):
        runners.append(runner)
        firsts.append((runner, runner.first()[1]))

    share = budget / len(firsts)
    for runner, first in firsts:
        runner.turns = turns
        runner.plan(first, share)
    timed = [runner for runner, _ in firsts]
    rivals = [runner for runner in timed if runner.kind == "peer" and runner.turns]
    for runner in rivals:
        if runner.once > 3 * min(rival.once for rival in rivals):
            runner.turns = min(runner.turns, 3)  # it is not the fastest: less of it will do
    take_turns(timed)
    return [about | row(runner, ours) | extra.get(runner.name, {}) for runner in runners]


def agreement(runner, about, ours, theirs, x):
    """Does a peer of the same definition give the same answer?"""
    if runner.definition:
        return "another definition"
    if about["rule"] == "bulyan" and about["f"] <= 2:
        # The last rounds score by one neighbour: the two of a pair tie, and the definition is mute.
        return "up to ties"
    single = x.dtype == np.float32 or runner.name == "byzfl (torch)"
    try:
        theirs = peers.as_array(theirs)
        scale = np.abs(x).max()
        return "yes" if np.abs(ours - theirs).max() <= scale * (1e-4 if single else 1e-9) else "NO"
    except (TypeError, ValueError) as error:
        return f"NO: {error}"


def work(rule, n, d):
    """What the cost of a call grows with, at least."""
    if rule in ("bulyan", "nearest_neighbor_mixing"):
        return float(n) ** (3 if rule == "bulyan" else 2) * d
    return float(n) * d * (n if "krum" in rule else 1)


def too_long(runner, about, expected):
    """Why a peer is left out at this size, judged by how long it took at the last one."""
    rate = expected.get((runner.name, about["rule"], about["dtype"]), 0)
    seconds = rate * work(about["rule"], about["n"], about["d"])
    needed = not runner.definition and report.has_goal(about["rule"], about["n"], about["d"])
    return f"left out: about {seconds:.0f} s a call" if seconds > HOPELESS[needed] else ""


def stacked(rule, x, turns=TURNS, budget=BUDGET):
    """Rows of many trials in one call, and of a Python loop over them."""
    trials, n, d = x.shape
    f = byzantine(rule, n)
    function = byzlib_call(rule, x, f)
    calls = [byzlib_call(rule, trial, f) for trial in x]
    about = {"rule": rule, "trials": trials, "n": n, "d": d, "f": f, "dtype": str(x.dtype)}
    ours = Runner("byzlib", "byzlib", function)
    loop = Runner("a loop over trials", "loop", lambda: [call() for call in calls])
    same = np.array_equal(function(), loop.call())
    for runner in (ours, loop):
        runner.turns = turns
        runner.plan(runner.first()[1], budget / 2)
    take_turns([ours, loop])
    extra = {"copies": peak_memory(function) / x.nbytes}
    return [
        about | row(ours, ours) | extra,
        about | row(loop, ours) | {"agrees": "yes" if same else "to rounding"},
    ]


# --- the whole table ------------------------------------------------------------------------


def measure(rules=RULES, sizes=SIZES, dtypes=DTYPES, trials=TRIALS, offers=None, **limits):
    """All rows as a DataFrame, one a measurement; `report.COLUMNS` says what they hold."""
    if offers is None:
        absent = peers.missing()
        offers = {k: v for k, v in peers.PEERS.items() if peers.package(k) not in absent}
    rows, expected = [], {}
    loops = [rule for rule in rules if rule in STACKED and trials]
    cells = len(dtypes) * (len(rules) * len(sizes) + len(loops))
    with tqdm(total=cells, unit="cell", disable=None, leave=False) as bar:
        for (n, d), dtype in itertools.product(sizes, dtypes):
            x, of_f = None, None  # one array at a time: the largest takes 400 MB
            for rule in sorted(rules, key=lambda rule: (byzantine(rule, n), RULES.index(rule))):
                bar.set_description(f"{rule} {n} x {d:,} {dtype}")
                if byzantine(rule, n) != of_f:
                    of_f = byzantine(rule, n)
                    x = updates(n, d, dtype, of_f)
                    prepared = {
                        name: functools.cache(functools.partial(prepare, x))
                        for name, prepare in offers.items()
                    }
                rows += cell(rule, x, prepared, expected, **limits)
                bar.update()
        for dtype, rule in itertools.product(dtypes, loops):
            bar.set_description(f"{rule} {trials[0]} x {trials[1]} x {trials[2]:,} {dtype}")
            x = updates(*trials[1:], dtype, byzantine(rule, trials[1]), trials[:1])
            rows += stacked(rule, x, **limits)
            bar.update()
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
    parser = argparse.ArgumentParser(prog="benchmarks.rules", description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", choices=RULES, metavar="RULE", help="some rules")
    parser.add_argument("--sizes", nargs="*", type=size, metavar="NxD", help="some sizes")
    parser.add_argument("--dtypes", nargs="*", choices=DTYPES, help="float64, float32 or both")
    parser.add_argument("--turns", type=int, default=TURNS, help="at most so many of each")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds a cell")
    parser.add_argument("--save", type=Path, help="write results and README table to this folder")
    chosen = parser.parse_args(arguments)

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    if load > 0.7:
        print(f"Other programs keep this machine busy (load {load:.1f}): the ratios will suffer.")
    absent = peers.missing()
    if absent:
        print(
            f"Not installed, so without rows: {', '.join(absent)}."
            " A separate environment is best: pip install -e '.[bench]'"
        )
    some = bool(chosen.only or chosen.sizes or chosen.dtypes)
    table = measure(
        chosen.only or RULES,
        chosen.sizes or SIZES,
        chosen.dtypes or DTYPES,
        # The stacked trials belong to the whole table, and to none of its sizes.
        None if chosen.sizes else TRIALS,
        turns=chosen.turns,
        budget=chosen.budget,
    )
    print(report.as_text(table))
    print(f"Waited {steady.waited:.0f} s for moments in which the machine was as fast as ever.")
    folder = chosen.save or (None if some or absent else report.FOLDER)
    if folder:
        report.save(table, folder)
        print(f"Written to {folder}")
    else:
        print("Nothing was written: only a whole run with every peer replaces the results.")


if __name__ == "__main__":
    main()
