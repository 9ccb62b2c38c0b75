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
KEY = ["rule", "trials", "n", "d", "dtype"]
# ms is the median call; ratios are to byzlib's time in the same turn, above 1 byzlib is faster;
# definition, agrees and note say how a rule differs, whether the answers do, and why there is none.
NUMBERS = ["turns", "ms", "ratio", "ratio_low", "ratio_high", "copies"]
WORDS = ["definition", "agrees", "note"]
COLUMNS = [*KEY[:4], "f", "dtype", "who", "kind", "definition", "agrees", *NUMBERS, "note"]


def as_table(rows):
    """Rows in the columns of the table: no word is an empty one, no number is NaN."""
    types = dict.fromkeys(NUMBERS, float) | dict.fromkeys(WORDS, object)
    table = rows.reindex(columns=COLUMNS).astype(types)
    return table.fillna(dict.fromkeys(WORDS, ""))


def cells_of(table):
    """{(rule, trials, n, d, dtype): the rows of that cell}, in the order of measuring."""
    return dict(iter(table.groupby(KEY, sort=False)))


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


def margin(cell, what, bound):
    """(how far a cell is beyond a goal's bound, below 1 where it is missed; the number itself)."""
    if what == "copies":
        copies = cell.loc[cell.kind == "byzlib", "copies"].max()
        return bound / copies, copies
    ratio = cell.loc[(cell.kind == what) & (cell.definition == ""), "ratio"].min()
    return ratio / bound, ratio


def judged(table):
    """Every goal with the worst value measured for it, and the verdict."""
    for goal, what, bound, counts in GOALS:
        margins = [
            (*margin(cell, what, bound), f"{rule}, {n} x {d:,} {dtype}")
            for (rule, trials, n, d, dtype), cell in cells_of(table).items()
            if counts(rule, trials, n, d)
        ]
        margins = [line for line in margins if np.isfinite(line[0])]
        if margins:
            missed = sum(by < 1 for by, _, _ in margins)
            _, worst, at = min(margins)
            verdict = f"missed in {missed} of {len(margins)}" if missed else "reached"
            yield {"goal": goal, "worst": digits(worst), "at": at, "verdict": verdict}


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


def machine():
    """Processor and versions, without a name of the machine or a path."""
    versions = {"python": platform.python_version()}
    for name in ("numpy", "scipy", "torch", "byzfl", "flwr", "krum", "torchjd"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    try:
        model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        model = None
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
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
        text = with_table(page.read_text(encoding="utf-8"), *load(folder))
        page.write_text(text, encoding="utf-8")


def load(folder=FOLDER):
    """What `save` wrote: the table and the machine."""
    results = Path(folder) / "results"
    table = as_table(pd.read_csv(results / "rules.csv"))
    return table, json.loads((results / "machine.json").read_text())


def with_table(page, table, about):
    """The page with the table between its markers."""
    before, rest = page.split(BEGIN)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    cores = f"{about['threads']} of {about['cores']} cores"
    where = f"Measured on {about['processor']}, {cores}, with {versions}."
    return f"{before}{BEGIN}\n\n{where}\n\n{as_markdown(table)}\n\n{END}{rest.split(END)[1]}"
