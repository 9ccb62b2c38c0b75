"""Results in files that people can read: one line a configuration and metric, one column a seed."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from byzlib.experiments.grid import RESULT

SEED = "seed "  # "seed 0", "seed 1", ...


def configuration_columns(results):
    """Names of the columns that say what was run, such as rule, attack, f."""
    return [name for name in results.columns if name not in RESULT]


def write(results, path, about="", metrics=None):
    """Keep a result of `run_grid` as a CSV file, whole or not at all; five decimals of the figures.

    Parameters
    ----------
    results : DataFrame of `run_grid`
    path : path
    about : str
        What was run, when and by what command; stands above the table behind "# ".
    metrics : list of str, optional
        Which ones to keep; all by default.
    """
    names = configuration_columns(results)
    if metrics is not None:
        results = results[results["metric"].isin(metrics) | results["metric"].isna()]
    seeds = sorted(results["seed"].dropna().unique())
    lines = []
    for key, rows in results.groupby([*names, "metric"], sort=False, dropna=False):
        line = dict(zip([*names, "metric"], key, strict=True)) | {"note": ""}
        if rows["status"].iloc[0] == "refused":
            line |= {"metric": "", "note": rows["note"].iloc[0]}
        else:
            runs = zip(rows["seed"], rows["value"], rows["note"], strict=True)
            line |= {f"{SEED}{seed}": note or f"{value:.5f}" for seed, value, note in runs}
        lines.append(line)
    columns = [*names, "metric", *(f"{SEED}{seed}" for seed in seeds), "note"]
    table = pd.DataFrame(lines, columns=columns).to_csv(index=False, lineterminator="\n")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".new")
    half.write_text("".join(f"# {line}\n" for line in about.splitlines()) + table, encoding="utf-8")
    os.replace(half, path)


def read(path):
    """The table that `write` kept, as `run_grid` returns it; figures are rounded.

    Returns
    -------
    DataFrame; ``attrs["about"]`` holds the lines above the table.
    """
    text = Path(path).read_text(encoding="utf-8")
    about = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    table = pd.read_csv(path, skiprows=len(about), keep_default_na=False)
    seeds = [name for name in table.columns if name.startswith(SEED)]
    names = list(table.columns[: table.columns.get_loc("metric")])
    rows = []
    for line in table.to_dict("records"):
        configuration = [line[name] for name in names]
        if line["note"]:
            rows.append((*configuration, pd.NA, None, np.nan, "refused", line["note"]))
            continue
        for name in seeds:
            if figure := str(line[name]):
                ended = figure.startswith("in round")
                found = (np.nan, "diverged", figure) if ended else (float(figure), "ok", "")
                rows.append((*configuration, int(name[len(SEED) :]), line["metric"], *found))
    results = pd.DataFrame(rows, columns=[*names, *RESULT]).astype({"seed": "Int64"})
    results.attrs["about"] = "\n".join(about)
    return results
