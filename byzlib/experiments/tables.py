"""Results as tables: means with intervals, differences that were tested, baselines.

All functions here take the tidy table of `run_grid`. A refused configuration and a diverged run
stay visible: neither is averaged, neither is left out.
"""

import numpy as np
import pandas as pd

from byzlib.experiments.grid import describe
from byzlib.experiments.results import configuration_columns
from byzlib.metrics import holm, paired_difference, t_interval

MIN_SEEDS = 10  # fewer do not carry a claim of "better"
BASELINE = "majority share"  # the metric that stands beside every accuracy


def summarize(results, metric, level=0.95):
    """Mean and Student's interval of a metric for every configuration.

    Parameters
    ----------
    results : DataFrame of `run_grid`
    metric : str
    level : float
        Coverage of each interval by itself.

    Returns
    -------
    DataFrame
        The configuration's columns, mean, low, high, seeds (how many), and note: "" or why there
        is no mean, "refused: ..." or "2 of 10 runs diverged". In the order of `results`.
    """
    rows = []
    for configuration, runs in _by_configuration(results, metric):
        values, note = _values(runs)
        shown = (np.nan,) * 3 if note else t_interval(values, level)
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
    if to not in set(results[by]):
        raise ValueError(f"no {by} is {to!r}; there are {list(dict.fromkeys(results[by]))}")
    runs = {tuple(c.values()): (c, r) for c, r in _by_configuration(results, metric)}
    rows = []
    for configuration, mine in runs.values():
        beside = tuple((configuration | {by: to}).values())
        if configuration[by] != to and beside in runs:
            pair = _difference(mine, runs[beside][1], configuration, level)
            rows.append((*configuration.values(), *pair))
    if not rows:
        raise ValueError(f"nothing stands beside {by} = {to!r} with all else equal")
    columns = [*names, "difference", "low", "high", "p", "p_holm", "seeds", "verdict"]
    table = pd.DataFrame(rows, columns=columns)
    tested = table["verdict"] == ""
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"])
    gain = table["difference"] if higher_is_better else -table["difference"]
    shown = table["p_holm"] <= 1 - level
    verdict = np.select([~shown, gain > 0], ["not shown", "better"], "worse")
    table.loc[tested, "verdict"] = verdict[tested]
    return table


def wide(results, metric, rows, columns, *, scale=100, digits=1, level=0.95):
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
    summary = summarize(results, metric, level)
    _refuse_mixtures(summary, rows, columns)
    summary["text"] = [_text(line, scale, digits) for line in summary.itertuples()]
    table = summary.set_index([*rows, *columns])["text"].unstack(columns, sort=False).fillna("")
    order = dict.fromkeys(summary[columns].itertuples(index=False, name=None))
    table = table[[key if len(columns) > 1 else key[0] for key in order]]
    if metric == "accuracy":
        last = ("always one class", *[""] * (len(columns) - 1))
        table[last if len(columns) > 1 else last[0]] = _baseline(results, rows, scale, digits)
    return table


def score_table(found, digits=1):
    """A table to read of scores in two states: "61.3 +- 0.1" for each, and for their difference.

    found : dict of (rule, state) -> {measure: `metrics.Score`}, see `metrics.forecast_scores`; the
    other state minus the first is paired run by run. Returns a DataFrame of text by rule and state,
    in per cent, with the accuracy of always naming one class beside the rules'.
    """
    if not found:
        raise ValueError("score_table needs scores; got none")
    rows, first = {}, next(iter(found))[1]
    for (rule, state), scores in found.items():
        rows[rule, state] = [score.values for score in scores.values()]
        if state != first and (rule, first) in found:
            pairs = zip(scores.values(), found[rule, first].values(), strict=True)
            rows[rule, "difference"] = [score.values - before.values for score, before in pairs]
    text = [[f"{t_interval(100 * x):z.{digits}f}" for x in row] for row in rows.values()]
    table = pd.DataFrame(text, pd.MultiIndex.from_tuples(list(rows)), list(scores))
    share = {key: f"{100 * own['accuracy'].blind:.{digits}f}" for key, own in found.items()}
    table.insert(1, "always one class", [share.get(key, "") for key in rows])
    return table


def worst_regret(table):
    """How far each defence lags behind the best one of a case, in its worst case.

    max over cases c of (max over D' of A(D', c) - A(D, c)), for scores A with larger ones better.
    table : DataFrame, defences in rows and cases in columns. Returns a Series by defence, >= 0; NaN
    for one that has no score in some case.

    Source: Savage, Journal of the American Statistical Association 1951.
    """
    return (table.max(axis=0) - table).max(axis=1, skipna=False)


def markdown(table, caption=None):
    """A DataFrame as a Markdown table, index first; a caption stands above it."""
    flat = table.reset_index()
    head = [" / ".join(map(str, n)).strip(" /") if isinstance(n, tuple) else n for n in flat]
    lines = [head, ["---"] * len(head), *flat.astype(object).to_numpy().tolist()]
    text = ["| " + " | ".join(str(x).replace("|", r"\|") for x in line) + " |" for line in lines]
    return "\n".join([*([caption, ""] if caption else []), *text])


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
    diverged = (status == "diverged").sum()
    return runs["value"].to_numpy(), f"{diverged} of {len(runs)} runs diverged" if diverged else ""


def _difference(mine, other, configuration, level):
    """difference, low, high, p, p_holm (to come), seeds, and why there are none or ""."""
    if note := _values(mine)[1] or _values(other)[1]:
        return (*(np.nan,) * 5, 0, note)
    a, b = (runs.set_index("seed")["value"] for runs in (mine, other))
    seeds = a.index.intersection(b.index)
    if len(seeds) < MIN_SEEDS:
        raise ValueError(
            f"a comparison needs at least {MIN_SEEDS} common seeds; "
            f"got {len(seeds)} for {describe(configuration)}"
        )
    found = paired_difference(a[seeds].to_numpy(), b[seeds].to_numpy(), level)
    return *found.interval, found.p_value, np.nan, len(seeds), ""


# --- wide ---------------------------------------------------------------------------------------


def _refuse_mixtures(summary, rows, columns):
    """No two configurations may share a place of the table."""
    if missing := [name for name in (*rows, *columns) if name not in summary]:
        raise ValueError(f"no column {missing[0]!r}; there are {list(summary.columns)}")
    if summary.duplicated([*rows, *columns]).any():
        names = summary.columns[: summary.columns.get_loc("mean")].difference([*rows, *columns])
        mixed = [name for name in names if summary[name].nunique() > 1]
        raise ValueError(f"the table would mix different {', '.join(mixed)}: choose one of each")


def _text(line, scale, digits):
    """ "86.9 +- 0.4", or why there is no mean."""
    if line.note:
        return "refused" if line.note.startswith("refused") else line.note
    half = (line.high - line.low) / 2
    return f"{scale * line.mean:.{digits}f} +- {scale * half:.{digits}f}"


def _baseline(results, rows, scale, digits):
    """What always naming one class scores in each row of a table of accuracies."""
    if BASELINE not in set(results["metric"].dropna()):
        raise ValueError(f"a table of accuracies needs the metric {BASELINE!r} beside them")
    shares = summarize(results, BASELINE).groupby(rows if len(rows) > 1 else rows[0], sort=False)
    ends = (scale * shares["mean"].agg(["min", "max"])).map(f"{{:.{digits}f}}".format)
    return ends.agg(lambda row: " to ".join(dict.fromkeys(row)), axis=1)
