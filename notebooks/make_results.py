"""Make the results that the chapters show: make table, matrix, candles.

    python -m notebooks.make_results table           the accuracy table
    python -m notebooks.make_results matrix          attack x rule x skew
    python -m notebooks.make_results candles FOLDER  figures on real candles
    python -m notebooks.make_results report          two worlds for the report
    python -m notebooks.make_results liars           who is seen, a wrong f
    python -m notebooks.make_results reach           time of a large grid

Each writes notebooks/results/ and prints Markdown. What was computed before is
kept in a cache, so a run that was stopped goes on where it was; --fresh does
without. FOLDER holds Bybit's five-minute candles as csv or csv.gz files named
bybit_CATEGORY_SYMBOL_5m_..., with the columns ts_ms, open, high, low, close,
volume; files of another exchange, named alike, are compared with Bybit's. The
figures on candles that are kept already are shown by `table`, too; they name
each file they came from by its period and its SHA-256.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from byzlib.experiments import (
    compare,
    configurations_of,
    markdown,
    planted,
    results,
    run_grid,
    summarize,
    wide,
)
from byzlib.market import planted_signal_accuracy
from byzlib.metrics import Interval
from notebooks import own_clients
from notebooks.train_on_candles import (
    CELL,
    TASKS,
    alike,
    candle_files,
    digest,
    folds,
    models,
    on_candles,
    read_candles,
    venue_pairs,
    windows,
)

FOLDER = Path(__file__).parent / "results"
CACHE = Path(__file__).parent.parent / "build/grids"
KEPT = ["accuracy", "balanced accuracy", "majority share", "attack success"]
RULES = ["mean", "Krum", "trimmed mean", "median"]
NAMES = {"mean": "FedAvg"}  # what the chapter calls it

# Per cent, as the chapter's table 7.1 has them, for 0, 1 and 3 liars of 10.
CHAPTER = {
    "mean": [(85, 90), (45, 55), (20, 30)],
    "Krum": [(83, 88), (78, 85), (70, 80)],
    "trimmed mean": [(84, 89), (80, 87), (72, 82)],
    "median": [(82, 87), (79, 86), (73, 83)],
}
LIARS = [0, 1, 3]

# --- the accuracy table ------------------------------------------------------

TARGETED = {"attack": "targeted", "strength": 15.0, "f": LIARS, "alpha": 0.75}
HALF_FLAT = {"r2": 0.945, "p_flat": 0.5}
BALANCED = {"r2": 0.955, "p_flat": 1 / 3}
NO_SIGNAL = {"r2": 0.005, "p_flat": 0.5}
FLIP = {"attack": "sign flip", "alpha": np.inf, "pre": "none"}

REPRODUCED = [
    {"rule": [*RULES, "multi-Krum"], "pre": "none", **TARGETED, **HALF_FLAT},
    {"rule": "trimmed mean", "pre": "mixing", **TARGETED, **HALF_FLAT},
]
# Around c = (n - f) / f: 9 for one liar of ten, 2.33 for three.
SCALES = {1: [1.0, 5.0, 8.0, 9.0, 10.0, 11.0], 3: [1.0, 2.0, 7 / 3, 3.0, 10.0]}
BEYOND = [
    *(
        {"rule": RULES, "f": f, "strength": SCALES[f], **FLIP, **BALANCED}
        for f in SCALES
    ),
    {"rule": RULES, "pre": "none", **TARGETED, **BALANCED},
    {"rule": RULES, "f": 3, "strength": [1.0, 10.0], **FLIP, **NO_SIGNAL},
]
# The same flips in the market of REPRODUCED: does a loudness give the table?
SKEWED_SCALES = {
    1: [1.0, 5.0, 8.0, 8.5, 8.8, 8.9, 9.0, 10.0],
    3: [1.0, 2.0, 2.2, 7 / 3, 2.4, 3.0, 8.5, 8.8, 8.9, 9.0],
}
SKEWED_FLIP = [
    {"rule": "mean", "f": f, "strength": SKEWED_SCALES[f], "alpha": 0.75,
     "attack": "sign flip", "pre": "none", **HALF_FLAT}
    for f in SKEWED_SCALES
]  # fmt: skip


def table(cache):
    """The chapter's table as a simulation, and where it cannot be had."""
    found = pd.concat(
        [
            run_grid(planted, REPRODUCED, 20, cache=cache),
            run_grid(planted, BEYOND, 10, cache=cache),
            run_grid(planted, SKEWED_FLIP, 20, cache=cache),
        ]
    )
    about = (
        "Simulated data: byzlib.experiments.planted, 10 clients of 200 "
        "samples, 300 rounds.\nMade by: make table"
    )
    results.write(found, FOLDER / "accuracy.csv", about, metrics=KEPT)
    print(table_text())


def table_text():
    """The accuracy tables as Markdown, from what is kept."""
    found = results.read(FOLDER / "accuracy.csv")
    shown = (_reproduced, _sign_flip, _balanced, _no_signal)
    parts = [show(found) for show in shown]
    if (FOLDER / "candles.csv").exists():
        parts.append(candles_text())
    return "\n\n".join(parts)


def _where(found, **values):
    """The rows of these values; files hold numbers to a few digits."""
    for name, value in values.items():
        near = np.isclose if isinstance(value, float) else np.equal
        found = found[near(found[name].to_numpy(), value)]
    return found


def _reproduced(found):
    found = _where(found, attack="targeted", **HALF_FLAT)
    lines = []
    for (rule, pre), rows in found.groupby(["rule", "pre"], sort=False):
        name = NAMES.get(rule, rule) + (
            " after mixing" if pre == "mixing" else ""
        )
        accuracy = summarize(rows, "accuracy").set_index("f")
        success = summarize(rows, "attack success").set_index("f")["mean"]
        ranges = CHAPTER.get(rule, [None] * 3) if pre == "none" else [None] * 3
        line = {"rule": name}
        for f, span in zip(LIARS, ranges, strict=True):
            interval = Interval(
                *100 * accuracy.loc[f, ["mean", "low", "high"]]
            )
            line[f"{f} of 10 lie"] = f"{interval:.1f} ({100 * success[f]:.0f})"
            line[f"chapter, {f}"] = _verdict(interval, span)
        lines.append(line)
    share = 100 * summarize(found, "majority share")["mean"].mean()
    best = 100 * planted_signal_accuracy(**HALF_FLAT)
    caption = (
        "**Planted-signal simulation, R2 = .945, half of the bars Flat, "
        "Dirichlet(.75) label skew; liars label every bar Up and send 15 "
        "times their gradient.** Accuracy in per cent, mean and 95 % "
        "interval of 20 seeds; in brackets the share of Down bars predicted "
        f"Up. Always naming one class: {share:.1f}; best possible: "
        f"{best:.1f}."
    )
    return markdown(pd.DataFrame(lines).set_index("rule"), caption)


def _verdict(interval, span):
    """Where a measured interval lies beside the chapter's range."""
    if span is None:
        return ""
    low, high = span
    if low <= interval.mean <= high:
        return f"{low}-{high}: inside"
    meets = interval.low <= high and interval.high >= low
    return f"{low}-{high}: {'touches' if meets else 'outside'}"


def _sign_flip(found):
    parts = []
    for f in SCALES:
        rows = _where(found, attack="sign flip", f=f, **BALANCED)
        rows = rows.assign(strength=rows["strength"].round(2))
        caption = (
            f"**Simulated, balanced classes, {f} of 10 send -c times the "
            f"honest mean; the mean turns round at c = {(10 - f) / f:.2f}.** "
            "Accuracy in per cent by c, 10 seeds."
        )
        shown = wide(rows, "accuracy", "rule", "strength")
        parts.append(markdown(shown, caption))
    return "\n\n".join(parts)


def _balanced(found):
    rows = _where(found, attack="targeted", **BALANCED)
    caption = (
        "**Simulated, the same targeted attack on balanced classes: a model "
        "that always says Up still scores a third.** Accuracy in per cent by "
        "number of liars of 10, 10 seeds."
    )
    return markdown(wide(rows, "accuracy", "rule", "f"), caption)


def _no_signal(found):
    rows = _where(found, attack="sign flip", **NO_SIGNAL)
    parts = []
    for metric in ("accuracy", "balanced accuracy"):
        caption = (
            "**Simulated, a signal as weak as a market's (R2 = .005), half "
            "Flat, 3 of 10 send -c times the honest mean.** "
            f"{metric.capitalize()} in per cent by c, 10 seeds."
        )
        parts.append(markdown(wide(rows, metric, "rule", "strength"), caption))
    return "\n\n".join(parts)


# --- the matrix --------------------------------------------------------------

# 17 clients: bucketing by two leaves 9 of them, and Krum needs 2 * 3 + 3.
MATRIX = {
    "attack": ["none", "sign flip", "loud sign flip", "label flip",
               "a little is enough", "inner product", "min-max", "mimic"],
    "alpha": [np.inf, 0.3],
    "momentum": [0.0, 0.9],
    "n": 17, "f": 3, "rounds": 150,
}  # fmt: skip
PLAIN = ["mean", "Krum", "trimmed mean", "median", "centered clipping"]
MATRIX_GRIDS = [
    {"rule": PLAIN, "pre": ["none", "mixing", "bucketing"], **MATRIX},
    {"rule": "geometric median", "pre": "none", **MATRIX},
]


def matrix(cache):
    """Every rule under every attack, with and without its helpers."""
    found = run_grid(planted, MATRIX_GRIDS, 10, cache=cache)
    about = (
        "Simulated data: byzlib.experiments.planted, 17 clients of whom 3 "
        "lie, 150 rounds,\nbalanced classes, R2 = .955; alpha is the "
        "Dirichlet label skew, inf means none.\nMade by: make matrix"
    )
    kept = ["accuracy", "majority share"]
    results.write(found, FOLDER / "matrix.csv", about, metrics=kept)
    print(matrix_text())


def matrix_text():
    """The matrix as Markdown, from what is kept."""
    found = results.read(FOLDER / "matrix.csv")
    found = found.drop(columns=["n", "f", "rounds"])
    parts = []
    for (alpha, momentum), rows in found.groupby(["alpha", "momentum"]):
        kind = "one market for all" if np.isinf(alpha) else "label skew"
        caption = (
            f"**Simulated, 3 of 17 lie, {kind} (alpha = {alpha}), momentum "
            f"{momentum}.** Accuracy in per cent, mean and 95 % interval of "
            "10 seeds."
        )
        shown = wide(rows, "accuracy", ["rule", "pre"], "attack")
        parts.append(markdown(shown, caption))
    plain = found[(found["pre"] == "none") & (found["momentum"] == 0)]
    found = compare(plain, "accuracy", "rule", "mean")
    shown = found.groupby(["alpha", "rule", "verdict"]).size().unstack()
    caption = (
        "**Against the mean, without pre-aggregation or momentum: in how many "
        "of 8 attacks.** Paired over 10 seeds, Holm's correction over all."
    )
    parts.append(markdown(shown.fillna(0).astype(int), caption))
    return "\n\n".join(parts)


# --- real candles ------------------------------------------------------------


def candles(folder, cache):
    """Sign flips, plain models and short windows on recorded candles."""
    files = candle_files(folder)
    if not files:
        sys.exit(
            f"{folder} holds no file bybit_CATEGORY_SYMBOL_5m_*.csv or .csv.gz"
        )
    about = (
        f"Recorded candles of the exchange; not simulated. {CELL}\n"
        "Made by: make candles FOLDER=..., from these files\n"
        + "\n".join(map(_card, files))
    )
    found = pd.concat(
        run_grid(on_candles, _candle_grid(path), 10, cache=cache)
        for path in files
    )
    found = found.drop(columns=["path", "digest"])
    results.write(found, FOLDER / "candles.csv", about, metrics=KEPT[:3])
    _keep("candle_models", about, _model_lines(files))
    _keep("candle_windows", about, _window_lines(files))
    _keep_pairs(folder)
    print(candles_text())


def _keep_pairs(folder):
    """How alike one coin is on two exchanges, where the folder holds both."""
    pairs = list(venue_pairs(folder))
    if pairs:
        files = sorted({path for pair in pairs for path in pair})
        about = (
            "Recorded candles of the exchanges; not simulated. "
            "95 % intervals: days drawn anew.\n"
            "Made by: make candles FOLDER=..., from these files\n"
        )
        about += "\n".join(
            f"{' '.join(_named(path).values())}: sha256 of the csv"
            f" {digest(path)}"
            for path in files
        )
        _keep("candle_pairs", about, _pair_lines(pairs), "%.4f")


def _pair_lines(pairs):
    """A line a pair of files and measure, with its 95 % interval."""
    for one, two in pairs:
        names = _named(one), _named(two)
        for measure, (value, low, high) in alike(one, two).items():
            yield {
                "symbol": names[0]["symbol"],
                "one": f"{names[0]['source']} {names[0]['period']}",
                "two": f"{names[1]['source']} {names[1]['period']}",
                "measure": measure,
                "value": value,
                "low": low,
                "high": high,
            }


def _card(path):
    """What a file of candles is, in a line."""
    name = " ".join(_named(path).values())
    count, tests = len(read_candles(path)), folds(str(path))
    rows = sum(len(y) for _, (_, y, _) in tests)
    return (
        f"{name}: {count} candles, {len(tests)} folds, {rows} test bars, "
        f"sha256 of the csv {digest(path)}"
    )


def _named(path):
    exchange, category, symbol, *_ = path.name.split("_")
    days = read_candles(path).index.strftime("%Y-%m-%d")
    return {
        "source": f"{exchange.capitalize()} {category}",
        "symbol": symbol,
        "period": f"{days[0]} to {days[-1]}",
    }


def _candle_grid(path):
    return _named(path) | {
        "scale": [0, 1, 10],
        "rule": RULES,
        "path": str(path),
        "digest": digest(path),
    }


def _model_lines(files):
    """A line a file, task, model and metric, with its 95 % interval."""
    for path in files:
        for task in TASKS:
            for model, scores in models(path, task).items():
                for metric, (value, low, high) in scores.items():
                    yield _named(path) | {
                        "task": task,
                        "model": model,
                        "metric": metric,
                        "value": value,
                        "low": low,
                        "high": high,
                    }


def _window_lines(files):
    """A line a window of 200 rows."""
    for path in files:
        for flat, logistic, one_class in windows(path):
            yield _named(path) | {
                "flat": flat,
                "logistic": logistic,
                "one class": one_class,
            }


def _keep(name, about, lines, digits="%.2f"):
    head = "".join(f"# {line}\n" for line in about.splitlines())
    table = pd.DataFrame(lines).to_csv(
        index=False, float_format=digits, lineterminator="\n"
    )
    (FOLDER / f"{name}.csv").write_text(head + table, encoding="utf-8")


def candles_text():
    """The rows on real candles as Markdown, from what is kept."""
    found = results.read(FOLDER / "candles.csv")
    about = "\n".join(f"- {x}" for x in found.attrs["about"].splitlines())
    parts = []
    for metric in ("accuracy", "balanced accuracy"):
        caption = (
            "**Recorded candles, 3 of 10 clients send -c times the honest "
            f"mean (c = 0: nobody lies).** {metric.capitalize()} in per cent "
            "by c, 10 seeds."
        )
        rows = ["symbol", "source", "period", "rule"]
        parts.append(markdown(wide(found, metric, rows, "scale"), caption))
    return "\n\n".join([*parts, about])


# --- reports and counts ------------------------------------------------------


def report(cache):
    """The report on two worlds of nine desks."""
    found = []
    for world in own_clients.WORLDS:
        made = own_clients.report_on(world, cache=cache)
        made.results.insert(0, "world", world)
        found.append(made.results)
        print(f"\n{world}\n\n{made.markdown()}")
    about = (
        "Simulated data: experiments.robustness_report on two worlds of "
        f"{own_clients.DESKS} desks of whom {own_clients.LIARS} lie,\n"
        f"{own_clients.ROUNDS} rounds; worst: in units of what is proved.\n"
        "Made by: python -m notebooks.make_results report"
    )
    kept = ["accuracy", "majority share", "worst"]
    results.write(pd.concat(found), FOLDER / "report.csv", about, metrics=kept)


def liars(cache):
    """How many liars a round shows, and what a wrong f costs."""
    by = "\nMade by: python -m notebooks.make_results liars"
    found = run_grid(own_clients.seen, own_clients.SEEN_GRID, 10, cache=cache)
    about = (
        f"Simulated data: risk.fewest_liars, {own_clients.WATCHED} rounds a "
        "seed, 3 of 17 lie (attack none: nobody), level .05."
    )
    results.write(found, FOLDER / "liars.csv", about + by)
    shown = wide(found, "alarm", ["crowd", "calm", "score"],
                 ["attack", "manner"])  # fmt: skip
    print(markdown(shown, "**Alarms, per cent of rounds (simulated)**"))
    found = run_grid(planted, own_clients.DECLARED_GRID, 10, cache=cache)
    about = (
        "Simulated data: byzlib.experiments.planted, 17 clients of whom 3 "
        "lie (attack none: nobody); declared: what the server is told."
    )
    kept = ["accuracy", "majority share"]
    results.write(found, FOLDER / "declared.csv", about + by, metrics=kept)
    for alpha, rows in found.groupby("alpha"):
        shown = wide(rows, "accuracy", ["rule", "pre", "attack"], "declared")
        print(markdown(shown, f"**By declared f, alpha = {alpha}**"))


# --- reach -------------------------------------------------------------------

REACH = {
    "rule": ["mean", "Krum", "multi-Krum", "trimmed mean", "median",
             "geometric median", "Bulyan", "mean around median"],
    "attack": ["zero", "Gaussian noise", "sign flip", "loud sign flip",
               "inner product", "a little is enough", "min-max", "min-sum",
               "mimic", "label flip"],
    "f": [1, 2, 3],
    "n": 15,
}  # fmt: skip


def reach(cache):
    """8 rules x 10 attacks x 3 values of f x 10 seeds, and their time."""
    started = time.perf_counter()
    found = run_grid(planted, REACH, 10, cache=cache, n_jobs=2)
    seconds = time.perf_counter() - started
    shown = wide(found[found["f"] == 3], "accuracy", "rule", "attack")
    print(markdown(shown, "**Simulated, 3 of 15 lie; per cent.**"))
    print(
        f"\n{len(configurations_of(REACH))} cells of 10 seeds: {seconds:.0f} s"
    )


COMMANDS = {
    "table": table, "matrix": matrix, "report": report, "liars": liars,
    "reach": reach,
}  # fmt: skip


def main(arguments=None):
    """What `python -m notebooks.make_results` does."""
    parser = argparse.ArgumentParser(
        prog="python -m notebooks.make_results",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=[*COMMANDS, "candles"])
    parser.add_argument("folder", nargs="?", help="for candles")
    parser.add_argument("--fresh", action="store_true", help="use no cache")
    asked = parser.parse_args(arguments)
    if (asked.what == "candles") != bool(asked.folder):
        parser.error("candles needs a FOLDER, and nothing else does")
    with tempfile.TemporaryDirectory() as nowhere:
        cache = nowhere if asked.fresh else CACHE
        if asked.what == "candles":
            candles(Path(asked.folder), cache)
        else:
            COMMANDS[asked.what](cache)


if __name__ == "__main__":
    main()
