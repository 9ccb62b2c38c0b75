"""What the timings say: the goals, the tables, and the files they are written to."""

import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent
BEGIN, END = "<!-- table: written by make bench -->", "<!-- end of the table -->"
COLUMNS = {
    "rule": "name in byzlib.aggregators",
    "trials": "1, or how many are stacked in one array",
    "n": "clients",
    "d": "parameters",
    "f": "Byzantine clients",
    "dtype": "of the updates",
    "who": "byzlib, a peer or a yardstick",
    "kind": "byzlib, peer, yardstick or loop",
    "definition": "how a peer's rule differs; empty where it is the same rule",
    "agrees": "yes, NO, or why the answers cannot be compared",
    "threads": "of torch, where it is used: one or two, whichever is faster",
    "turns": "how often it was timed",
    "ms": "milliseconds a call, median",
    "ratio": "its time over byzlib's in the same turn, median; above 1 byzlib is faster",
    "ratio_low": "lower quartile of that",
    "ratio_high": "upper quartile of that",
    "copies": "peak extra memory of the call, in copies of the input",
    "note": "why there is no time",
}
KEY = ["rule", "trials", "n", "d", "dtype"]
NUMBERS = ["threads", "turns", "ms", "ratio", "ratio_low", "ratio_high", "copies"]
WORDS = ["definition", "agrees", "note"]


# --- goals ----------------------------------------------------------------------------------


class Goal(NamedTuple):
    """A promise about one rule: at least so many times, or at most."""

    rule: str
    against: str  # "fastest peer", a peer, "Gram", "memory" or "loop"
    bound: float
    sizes: tuple  # of (n, d)

    @property
    def at_most(self):
        return self.against in ("Gram", "memory")

    def met(self, value):
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self):
        if self.against == "memory":
            return f"{self.rule}: extra memory of at most {self.bound:g} of its input"
        if self.against == "Gram":
            return f"{self.rule}: at most {self.bound:g} times one Gram product"
        rival = {"loop": "a Python loop over trials", "fastest peer": "the fastest peer"}
        rival = rival.get(self.against, self.against)
        if self.rule == "bulyan":
            rival += " that computes the paper's Bulyan"
        if self.bound == 1:
            return f"{self.rule}: not slower than {rival}"
        return f"{self.rule}: {self.bound:g} times as fast as {rival}"


SMALL = ((10, 1_000),)
MIDDLE = ((50, 10_000), (200, 10_000))
LARGE = ((10, 100_000), (100, 100_000), (50, 1_000_000))
HUNDRED = ((100, 100_000),)
EVERY = SMALL + MIDDLE + LARGE


def targets():
    """What the rules are meant to reach, in float64 and in float32."""
    goals = [
        Goal("median", "fastest peer", 6, MIDDLE + LARGE),
        Goal("median", "fastest peer", 1.5, SMALL),
        Goal("trimmed_mean", "fastest peer", 2, LARGE),
        Goal("trimmed_mean", "fastest peer", 1.4, MIDDLE),
        Goal("trimmed_mean", "fastest peer", 1, SMALL),
        Goal("krum", "Gram", 1.5, LARGE),
        Goal("krum", "fastest peer", 1, EVERY),
        Goal("multi_krum", "Gram", 1.5, LARGE),
        Goal("multi_krum", "fastest peer", 1, EVERY),
        Goal("nearest_neighbor_mixing", "fastest peer", 3, HUNDRED),
        Goal("nearest_neighbor_mixing", "byzfl", 100, HUNDRED),
        Goal("geometric_median", "Gram", 1.5, LARGE),
        Goal("bulyan", "fastest peer", 150, HUNDRED),
    ]
    loops = [Goal(rule, "loop", 5, SMALL) for rule in ("median", "trimmed_mean", "krum")]
    whole = ["krum", "multi_krum", "bulyan", "nearest_neighbor_mixing", "geometric_median"]
    whole += ["minimum_diameter_average", "centered_clipping"]
    blocks = ["median", "trimmed_mean", "mean_around_median"]
    memory = [Goal(rule, "memory", 1, LARGE) for rule in whole]
    memory += [Goal(rule, "memory", 0.25, HUNDRED + LARGE[2:]) for rule in blocks]
    return goals + loops + memory


def has_goal(rule, n, d):
    """Does a goal compare this rule, at this size, with a peer?"""
    return any(
        goal.rule == rule
        and (n, d) in goal.sizes
        and goal.against not in ("Gram", "memory", "loop")
        for goal in targets()
    )


def as_table(rows):
    """Rows in the columns of the table: no word is an empty one, no number is NaN."""
    types = dict.fromkeys(NUMBERS, float) | dict.fromkeys(WORDS, object)
    table = rows.reindex(columns=list(COLUMNS)).astype(types)
    return table.fillna(dict.fromkeys(WORDS, ""))


def rivals(cell):
    """The timed peers of one cell; for Bulyan only those with the paper's definition."""
    found = cell[(cell.kind == "peer") & cell.ratio.notna()]
    return found[(found.definition == "") | (found.rule != "bulyan")]


def against(cell, who):
    """What a goal looks at in one cell; NaN where it was not measured."""
    ours = cell[cell.kind == "byzlib"]
    if who == "memory":
        return ours.copies.max()
    if who == "loop":
        return cell.loc[cell.kind == "loop", "ratio"].max()
    if who == "Gram":
        return 1 / cell.loc[cell.who == "Gram", "ratio"].max()
    if who == "fastest peer":
        return rivals(cell).ratio.min()
    return cell.loc[cell.who == who, "ratio"].min()


def judged(table):
    """Every goal with the worst value measured for it, and the verdict."""
    cells = cells_of(table)
    for goal in targets():
        values = {
            (n, d, dtype): against(cell, goal.against)
            for (rule, trials, n, d, dtype), cell in cells.items()
            if rule == goal.rule
            and (n, d) in goal.sizes
            and (trials > 1) == (goal.against == "loop")
        }
        measured = {at: value for at, value in values.items() if np.isfinite(value)}
        expected = 2 * len(goal.sizes)
        if not measured:
            yield {"goal": str(goal), "worst": "", "at": "", "verdict": "not measured"}
            continue
        at = (max if goal.at_most else min)(measured, key=measured.get)
        missed = [value for value in measured.values() if not goal.met(value)]
        verdict = f"missed in {len(missed)} of {len(measured)}" if missed else "reached"
        if not missed and len(measured) < expected:
            verdict = f"reached in {len(measured)} of {expected}"
        yield {
            "goal": str(goal),
            "worst": digits(measured[at]),
            "at": f"{at[0]} x {at[1]:,} {at[2]}",
            "verdict": verdict,
        }


# --- tables ---------------------------------------------------------------------------------


def cells_of(table):
    """The rows of each cell, in the order of measuring."""
    return dict(iter(table.groupby(KEY, sort=False)))


def digits(value):
    """Three digits that mean something: 0.0123, 1.23, 12.3, 123, 1,230."""
    if not np.isfinite(value):
        return ""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:#.3g}".rstrip(".")


def summary(table):
    """One line a cell: byzlib's time, and the ratios that matter."""
    lines = []
    for (rule, trials, n, d, dtype), cell in cells_of(table).items():
        if trials > 1:
            continue
        ours = cell[cell.kind == "byzlib"].iloc[0]
        line = {"rule": rule, "n x d": f"{n} x {d:,}", "f": ours.f, "dtype": dtype}
        if np.isfinite(ours.ms):
            best = rivals(cell)
            line |= {"ms": digits(ours.ms)}
            line |= {"x np.mean": digits(1 / cell.loc[cell.who == "np.mean", "ratio"].max())}
            line |= {"x Gram": digits(against(cell, "Gram"))}
            if len(best):
                best = best.loc[best.ratio.idxmin()]
                mark = " *" if best.definition else ""
                line |= {"fastest peer": best.who + mark, "times faster": digits(best.ratio)}
                line |= {"quartiles": f"{digits(best.ratio_low)} to {digits(best.ratio_high)}"}
            line |= {"copies": digits(ours.copies)}
        else:
            line |= {"ms": ours.note}
        lines.append(line)
    return pd.DataFrame(lines, dtype=object).fillna("")


def loops(table):
    """The stacked calls against loops."""
    lines = []
    for (rule, trials, n, d, dtype), cell in cells_of(table).items():
        if trials > 1:
            ours, loop = cell.iloc[0], cell.iloc[1]
            lines.append(
                {
                    "rule": rule,
                    "trials x n x d": f"{trials:,} x {n} x {d:,}",
                    "dtype": dtype,
                    "ms": digits(ours.ms),
                    "loop, ms": digits(loop.ms),
                    "times faster": digits(loop.ratio),
                }
            )
    return pd.DataFrame(lines)


def disagreements(table):
    """Peers of the same definition that gave another answer."""
    rows = table[table.agrees.str.startswith("NO")]
    return [f"{r.who}, {r.rule}, {r.n} x {r.d:,}, {r.dtype}" for r in rows.itertuples()]


def as_text(table):
    """Everything for a terminal, with those goals that something was measured for."""
    goals = [line for line in judged(table) if line["worst"]]
    parts = [summary(table), loops(table), pd.DataFrame(goals)]
    texts = [part.to_string(index=False) for part in parts if len(part)]
    texts += ["* another definition than the paper's: benchmarks/peers.py says which"]
    texts += [f"Another answer: {line}" for line in disagreements(table)]
    return "\n\n".join(texts)


def as_markdown(table, machine):
    """The part of README.md between the markers."""
    parts = [
        f"Measured on {machine['processor']}, {machine['cores']} cores, with "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        + "."
    ]
    lines = summary(table)
    for dtype, part in lines.groupby("dtype", sort=False):
        parts += [f"### {dtype}", markdown(part.drop(columns="dtype"))]
    if len(loops(table)):
        parts += ["### Many trials in one call", markdown(loops(table))]
    parts += ["### Goals", markdown(pd.DataFrame(judged(table)))]
    wrong = disagreements(table)
    if wrong:
        parts += ["A peer of the same definition gave another answer: " + "; ".join(wrong) + "."]
    return "\n\n".join(parts)


def markdown(frame):
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


# --- files ----------------------------------------------------------------------------------


def machine():
    """Processor and versions, without a name of the machine or a path."""
    versions = {"python": platform.python_version()}
    for name in ("numpy", "scipy", "torch", "byzfl", "flwr", "krum", "torchjd"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "blas": f"{blas.get('name')} {blas.get('version')}",
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "all cores"),
        "versions": versions,
    }


def processor():
    """The model of the processor, as the system calls it."""
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def save(table, folder):
    """results/rules.csv, results/machine.json, and the table in README.md if there is one."""
    results = Path(folder) / "results"
    results.mkdir(parents=True, exist_ok=True)
    table.to_csv(results / "rules.csv", index=False, float_format="%.4g")
    (results / "machine.json").write_text(json.dumps(machine(), indent=1) + "\n")
    page = Path(folder) / "README.md"
    if page.exists():
        page.write_text(with_table(page.read_text(encoding="utf-8"), *load(folder)))


def load(folder=FOLDER):
    """What `save` wrote: the table and the machine."""
    results = Path(folder) / "results"
    table = as_table(pd.read_csv(results / "rules.csv"))
    return table, json.loads((results / "machine.json").read_text())


def with_table(page, table, machine):
    """The page with the table between its markers."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{as_markdown(table, machine)}\n\n{END}{after}"
