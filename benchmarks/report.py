"""What the timings say: the tables, the goals, and the files they are written to."""

import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path

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


def as_table(rows):
    """Rows in the columns of the table: no word is an empty one, no number is NaN."""
    types = dict.fromkeys(NUMBERS, float) | dict.fromkeys(WORDS, object)
    table = rows.reindex(columns=list(COLUMNS)).astype(types)
    return table.fillna(dict.fromkeys(WORDS, ""))


def cells_of(table):
    """{(rule, trials, n, d, dtype): the rows of that cell}, in the order of measuring."""
    return dict(iter(table.groupby(KEY, sort=False)))


# --- goals ----------------------------------------------------------------------------------

# What is promised, what is looked at in a cell, the bound, and which (rule, trials, n, d) count.
GOALS = [
    ("no library of the same definition is faster", "peer", 1,
     lambda rule, trials, n, d: trials == 1),
    ("median: twice as fast as any where d >= 100,000", "peer", 2,
     lambda rule, trials, n, d: rule == "median" and d >= 100_000),
    ("trimmed mean: twice as fast as any at 10 x 100,000", "peer", 2,
     lambda rule, trials, n, d: rule == "trimmed_mean" and (n, d) == (10, 100_000)),
    ("stacked trials are not slower than a loop over them", "loop", 1,
     lambda rule, trials, n, d: trials > 1),
    ("extra memory of at most two copies of the input", "copies", 2,
     lambda rule, trials, n, d: d >= 10_000),
]  # fmt: skip


def looked_at(cell, what):
    """The number of a cell that a goal is about; NaN where it was not measured."""
    if what == "copies":
        return cell.loc[cell.kind == "byzlib", "copies"].max()
    return cell.loc[(cell.kind == what) & (cell.definition == ""), "ratio"].min()


def judged(table):
    """Every goal with the worst value measured for it, and the verdict."""
    for goal, what, bound, counts in GOALS:
        values = {k: looked_at(c, what) for k, c in cells_of(table).items() if counts(*k[:4])}
        values = {key: value for key, value in values.items() if np.isfinite(value)}
        if not values:
            continue
        sign = -1 if what == "copies" else 1
        missed = sum(sign * value < sign * bound for value in values.values())
        rule, _, n, d, dtype = worst = min(values, key=lambda key: sign * values[key])
        yield {
            "goal": goal,
            "worst": digits(values[worst]),
            "at": f"{rule}, {n} x {d:,} {dtype}",
            "verdict": f"missed in {missed} of {len(values)}" if missed else "reached",
        }


# --- tables ---------------------------------------------------------------------------------


def digits(value):
    """Three digits that mean something: 0.0123, 1.23, 12.3, 123, 1,230."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:#.3g}".rstrip(".")


def summary(table, dtype):
    """Rules by sizes: byzlib's milliseconds, the fastest library and how many times as long."""
    lines = {}
    for (rule, trials, n, d, of), cell in cells_of(table).items():
        if trials == 1 and of == dtype:
            ours = cell[cell.kind == "byzlib"].iloc[0]
            text = f"{digits(ours.ms)} ms" if np.isfinite(ours.ms) else ours.note
            peers = cell[(cell.kind == "peer") & cell.ratio.notna()]
            peers = peers[(peers.definition == "") | (rule != "bulyan")]
            if len(peers):
                best = peers.loc[peers.ratio.idxmin()]
                text += f"; {best.who} {'* ' if best.definition else ''}{digits(best.ratio)}"
            lines.setdefault(rule, {})[f"{n} x {d:,}"] = text
    return pd.DataFrame(lines).T.rename_axis("rule").fillna("").reset_index()


def loops(table):
    """The stacked calls against loops."""
    lines = []
    for (rule, trials, n, d, dtype), cell in cells_of(table).items():
        if trials > 1:
            line = {"rule": rule, "trials x n x d": f"{trials:,} x {n} x {d:,}", "dtype": dtype}
            line |= {"ms": digits(cell.ms.iloc[0]), "loop, ms": digits(cell.ms.iloc[1])}
            lines.append(line | {"times faster": digits(cell.ratio.iloc[1])})
    return pd.DataFrame(lines)


def disagreements(table):
    """Peers of the same definition that gave another answer."""
    rows = table[table.agrees.str.startswith("NO")]
    return [f"{r.who}, {r.rule}, {r.n} x {r.d:,}, {r.dtype}" for r in rows.itertuples()]


def as_markdown(table):
    """All tables, as README.md shows them between the markers."""
    parts = []
    for dtype in dict.fromkeys(table[table.trials == 1].dtype):
        parts += [f"### {dtype}", markdown(summary(table, dtype))]
    for head, lines in (("Many trials in one call", loops(table)),
                        ("Goals", pd.DataFrame(judged(table)))):  # fmt: skip
        if len(lines):
            parts += [f"### {head}", markdown(lines)]
    if wrong := disagreements(table):
        parts += ["Of the same definition, and yet another answer: " + "; ".join(wrong) + "."]
    return "\n\n".join(parts)


def markdown(frame):
    """A DataFrame as a Markdown table, without its index."""
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
    try:
        model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        model = None
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "blas": f"{blas.get('name')} {blas.get('version')}",
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "all cores"),
        "versions": versions,
    }


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


def with_table(page, table, about):
    """The page with the table between its markers."""
    before, rest = page.split(BEGIN)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    where = f"Measured on {about['processor']}, {about['cores']} cores, with {versions}."
    return f"{before}{BEGIN}\n\n{where}\n\n{as_markdown(table)}\n\n{END}{rest.split(END)[1]}"
