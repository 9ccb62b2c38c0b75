"""Results as tables and figures: means with intervals, differences that were tested, baselines.

All functions here take the tidy table of `byzlib.experiments.run_grid`. A refused configuration
and a diverged run stay visible: neither is averaged, neither is left out.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from byzlib.experiments.grid import describe
from byzlib.experiments.results import configuration_columns
from byzlib.metrics import (
    bootstrap_interval,
    holm,
    paired_difference,
    t_interval,
)
from byzlib.plotting import LOOK, look

MIN_SEEDS = 10  # fewer do not carry a claim of "better"
BASELINE = "majority share"  # the metric that stands beside every accuracy


def summarize(results, metric, level=0.95, method="t"):
    """Mean and interval of a metric for every configuration.

    Parameters
    ----------
    results : DataFrame of `run_grid`
    metric : str
    level : float
        Coverage of each interval by itself.
    method : "t" or "bootstrap"
        Student's interval, or the BCa bootstrap where runs are far from normal.

    Returns
    -------
    DataFrame
        The configuration's columns, mean, low, high, seeds (how many), and note: "" or why there
        is no mean, "refused: ..." or "2 of 10 runs diverged". In the order of `results`.
    """
    if method not in ("t", "bootstrap"):
        raise ValueError(f"summarize needs method 't' or 'bootstrap'; got {method!r}")
    interval = t_interval if method == "t" else bootstrap_interval
    rows = []
    for configuration, runs in _by_configuration(results, metric):
        values, note = _values(runs)
        shown = (np.nan,) * 3 if note else interval(values, level)
        rows.append((*configuration.values(), *shown, len(values), note))
    names = [*configuration_columns(results), "mean", "low", "high", "seeds", "note"]
    return pd.DataFrame(rows, columns=names)


def compare(results, metric, by, to, level=0.95, higher_is_better=True):
    """Is each value of `by` better than `to`, all else and the seeds being equal?

    Paired differences with their t-intervals; all the comparisons that the result holds are one
    family, and the verdict follows Holm's correction over it. The interval is not corrected.

    Parameters
    ----------
    results : DataFrame of `run_grid`
        With at least 10 seeds common to each pair.
    metric : str
    by : str
        The column that is compared, such as "rule".
    to : value of that column
        What the others are compared with, such as "mean".
    level : float
        Coverage of the intervals; 1 - level is the family's chance of a false verdict.
    higher_is_better : bool

    Returns
    -------
    DataFrame
        The configuration's columns, difference (it minus `to`), low, high, p, p_holm, seeds, and
        verdict: "better", "worse", "not shown", or why nothing can be said.
    """
    names = configuration_columns(results)
    if by not in names:
        raise ValueError(f"compare needs by from {names}; got {by!r}")
    runs = {tuple(c.values()): (c, r) for c, r in _by_configuration(results, metric)}
    if to not in set(results[by]):
        raise ValueError(f"no {by} is {to!r}; there are {list(dict.fromkeys(results[by]))}")
    rows = []
    for configuration, mine in runs.values():
        other = (configuration | {by: to}).values()
        if configuration[by] != to and tuple(other) in runs:
            pair = _difference(mine, runs[tuple(other)][1], configuration, level)
            rows.append((*configuration.values(), *pair))
    if not rows:
        raise ValueError(f"nothing stands beside {by} = {to!r} with all else equal")
    table = pd.DataFrame(
        rows, columns=[*names, "difference", "low", "high", "p", "seeds", "verdict"]
    )
    tested = table["verdict"] == ""
    table.insert(len(names) + 4, "p_holm", np.nan)
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"])
    gain = table["difference"] if higher_is_better else -table["difference"]
    table.loc[tested, "verdict"] = np.select(
        [table["p_holm"] > 1 - level, gain > 0], ["not shown", "better"], "worse"
    )[tested]
    return table


def wide(results, metric, rows, columns, *, scale=100, digits=1, level=0.95, method="t"):
    """A table to read: "86.9 +- 0.4" for every row and column, and the baseline of accuracies.

    Parameters
    ----------
    results : DataFrame of `run_grid`
    metric : str
        An accuracy needs the metric "majority share" in `results`: that of always naming one
        class, which becomes the last column.
    rows, columns : str or list of str
        Columns of `results`; together they tell all configurations apart.
    scale : float
        100 shows shares in per cent.
    digits : int
        Decimals.

    Returns
    -------
    DataFrame of text; "refused" and "2 of 10 runs diverged" stand where there is no mean.
    """
    rows, columns = ([x] if isinstance(x, str) else list(x) for x in (rows, columns))
    summary = _one_each(summarize(results, metric, level, method), rows, columns)
    summary["text"] = [_cell(row, scale, digits) for row in summary.itertuples()]
    table = _spread(summary, rows, columns, "text").fillna("")
    if metric == "accuracy":
        table[_label("always one class", columns)] = _baseline(results, rows, table, scale, digits)
    return table


def markdown(table, caption=None):
    """A DataFrame as a Markdown table, index first; a caption stands above it."""
    flat = table.reset_index()
    head = [" / ".join(map(str, n)).strip(" /") if isinstance(n, tuple) else n for n in flat]
    lines = [head, ["---"] * len(head), *flat.astype(object).to_numpy().tolist()]
    text = ["| " + " | ".join(str(x).replace("|", r"\|") for x in line) + " |" for line in lines]
    return "\n".join([*([caption, ""] if caption else []), *text])


def heatmap(results, metric, rows, columns, *, scale=100, baseline=None, title=""):
    """The means of a table as colours and numbers: one figure for a whole matrix.

    Parameters
    ----------
    results, metric, rows, columns, scale : as in `wide`
    baseline : float, optional
        Where the colours are darkest: what knowing nothing scores, as a share. The lowest mean by
        default.
    title : str

    Returns
    -------
    matplotlib Figure; a grey field with a dash has no mean, after a refusal or a divergence.
    """
    rows, columns = ([x] if isinstance(x, str) else list(x) for x in (rows, columns))
    summary = _one_each(summarize(results, metric), rows, columns)
    means = scale * _spread(summary, rows, columns, "mean")
    low = means.min(axis=None) if baseline is None else scale * baseline
    height, width = means.shape
    fig, ax = plt.subplots(figsize=(2.2 + 0.66 * width, 1.4 + 0.3 * height))
    ax.set_facecolor("#eeeeee")
    # The darker, the more is lost; it prints in grey as well.
    picture = np.ma.masked_invalid(means.to_numpy(dtype=float))
    ax.imshow(picture, cmap="YlGnBu_r", vmin=low, vmax=means.max(axis=None), aspect="auto")
    middle = (low + means.max(axis=None)) / 2
    for (i, j), value in np.ndenumerate(picture.filled(np.nan)):
        text = "-" if np.isnan(value) else f"{value:.0f}"
        ax.text(j, i, text, ha="center", va="center", color="w" if value < middle else "k")
    ax.set_xticks(range(width), [_joined(n) for n in means.columns], rotation=40, ha="right")
    ax.set_yticks(range(height), [_joined(n) for n in means.index])
    ax.grid(False)
    ax.set_title(title)
    fig.set_layout_engine("constrained")
    return fig


def curves(results, metric, x, by="rule", *, scale=100, title="", ax=None):
    """A metric over a number such as f, one line with 95 % intervals for each rule.

    Parameters
    ----------
    results, metric, scale : as in `wide`
    x : str
        A column of numbers.
    by : str
        A column of names; rules are drawn as in the whole book.
    title : str
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Figure; accuracies come with the dotted line of always naming one class.
    """
    summary = _one_each(summarize(results, metric), [by], [x])
    fig = plt.figure() if ax is None else ax.figure
    ax = fig.gca() if ax is None else ax
    for name, line in summary.groupby(by, sort=False):
        style = look(name) if name in LOOK else {"label": name}
        mean, low, high = (scale * line[column].to_numpy() for column in ("mean", "low", "high"))
        ax.errorbar(line[x], mean, [mean - low, high - mean], capsize=3, **style)
    if metric == "accuracy":
        share = scale * summarize(results, BASELINE)["mean"].mean()
        ax.axhline(share, color="#44546A", linestyle=":", label="always one class")
    ax.set(xlabel=x, ylabel=f"{metric}, %" if scale == 100 else metric)
    ax.set_xticks(sorted(summary[x].unique()))
    ax.set_title(title)
    ax.legend()
    return fig


# --- by configuration ---------------------------------------------------------------------------


def _by_configuration(results, metric):
    """(configuration, its rows of the metric), in the order of the results."""
    known = list(dict.fromkeys(results["metric"].dropna()))
    if metric not in known:
        raise ValueError(f"no metric {metric!r}; there are {known}")
    names = configuration_columns(results)
    chosen = results[(results["metric"] == metric) | (results["status"] == "refused")]
    for key, runs in chosen.groupby(names, sort=False, dropna=False):
        yield dict(zip(names, key, strict=True)), runs


def _values(runs):
    """The figures of one configuration, one a seed, and why they have no mean or ""."""
    status = runs["status"].to_numpy()
    if (refused := status == "refused").any():
        return np.array([]), f"refused: {runs['note'].to_numpy()[refused][0]}"
    values, diverged = runs["value"].to_numpy(), (status == "diverged").sum()
    return values, f"{diverged} of {len(runs)} runs diverged" if diverged else ""


def _difference(mine, other, configuration, level):
    """difference, low, high, p, seeds, and why there are none, if there are none."""
    notes = [note for note in (_values(mine)[1], _values(other)[1]) if note]
    if notes:
        return (*(np.nan,) * 4, 0, notes[0])
    a, b = (runs.set_index("seed")["value"] for runs in (mine, other))
    seeds = a.index.intersection(b.index)
    if len(seeds) < MIN_SEEDS:
        raise ValueError(
            f"a comparison needs at least {MIN_SEEDS} common seeds; "
            f"got {len(seeds)} for {describe(configuration)}"
        )
    found = paired_difference(a[seeds].to_numpy(), b[seeds].to_numpy(), level)
    return *found.interval, found.p_value, len(seeds), ""


# --- wide ---------------------------------------------------------------------------------------


def _one_each(summary, rows, columns):
    """Refuses rows and columns under which two configurations would share a place."""
    if missing := [name for name in (*rows, *columns) if name not in summary]:
        raise ValueError(f"no column {missing[0]!r}; there are {list(summary.columns)}")
    if summary.duplicated([*rows, *columns]).any():
        names = summary.columns[: list(summary.columns).index("mean")]
        mixed = [n for n in names if n not in (*rows, *columns) and summary[n].nunique() > 1]
        raise ValueError(f"the table would mix different {', '.join(mixed)}: choose one of each")
    return summary


def _spread(summary, rows, columns, value):
    """From one line a configuration to rows and columns, in their first order."""
    table = summary.set_index([*rows, *columns])[value].unstack(columns, sort=False)
    order = dict.fromkeys(summary[columns].itertuples(index=False, name=None))
    return table[[key if len(columns) > 1 else key[0] for key in order]]


def _baseline(results, rows, table, scale, digits):
    """What always naming one class scores in each row of a table of accuracies."""
    if BASELINE not in set(results["metric"].dropna()):
        raise ValueError(f"a table of accuracies needs the metric {BASELINE!r} beside them")
    shares = summarize(results, BASELINE).groupby(rows if len(rows) > 1 else rows[0], sort=False)
    low, high = (scale * shares["mean"].agg(end) for end in ("min", "max"))
    text = [
        f"{a:.{digits}f}" if f"{a:.{digits}f}" == f"{b:.{digits}f}" else f"{a:.1f} to {b:.1f}"
        for a, b in zip(low, high, strict=True)
    ]
    return pd.Series(text, index=low.index).reindex(table.index)


def _cell(row, scale, digits):
    if row.note:
        return "refused" if row.note.startswith("refused") else row.note
    half = (row.high - row.low) / 2
    return f"{scale * row.mean:.{digits}f} +- {scale * half:.{digits}f}"


def _label(text, columns):
    return (text, *[""] * (len(columns) - 1)) if len(columns) > 1 else text


def _joined(name):
    return ", ".join(map(str, name)) if isinstance(name, tuple) else str(name)
