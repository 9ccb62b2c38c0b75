"""The report on a reader's own clients: who breaks whom, what it costs, what is proved of it.

Three measurements, each a grid of `run_grid`, so cached, resumable and in parallel: a training in
which nobody lies tells how the clients differ and how long their updates are; then every rule meets
every attack. The seed of a run decides who lies, the first parameters and the batches.
"""

from dataclasses import dataclass
from functools import partial, wraps
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from byzlib.attacks import ATTACKS, label_flip
from byzlib.experiments import results as kept
from byzlib.experiments.cells import refuse_illegal, rule_named
from byzlib.experiments.defences import CLIPPING, Defence, bears, defence_named, guide, promise
from byzlib.experiments.grid import Refused, as_seeds, run_grid
from byzlib.experiments.tables import markdown, summarize, wide, worst_regret
from byzlib.federated import ByzantineFL, Client
from byzlib.federated.clients import is_nested
from byzlib.metrics import paired_difference, t_interval
from byzlib.theory import (
    as_count,
    as_number,
    as_reals,
    breakdown_fraction,
    gradient_floor,
    kappa_lower_bound,
    measured_kappa,
)

RULES = ("mean", "Krum", "trimmed mean", "median", "geometric median",
         f"{CLIPPING}, momentum 0", "mixing, trimmed mean")  # fmt: skip
LIES = ("none", "sign flip", "loud sign flip", "label flip", "a little is enough",
        "inner product", "min-max", "mimic")  # fmt: skip
# No longer than honest updates, or so little that a limit on length does not show them.
QUIET = {"none", "sign flip", "label flip", "a little is enough", "inner product", "mimic", "zero"}
QUIET |= {"min-max", "min-sum", "Fang"}
CLOSE = 1.0  # points of worst regret that decide nothing
TESTED = 0.3  # share of a client's rows, the last ones, where no tests are given
LOOKS = 10  # at the gradients, in a training without lies
BORDER = 0.4  # of between / noise: below it clients are alike, as in the first crowd of the guide


# --- What is asked for --------------------------------------------------------------------------


def robustness_report(
    clients, model, f, rules=RULES, attacks=LIES, seeds=10, *, tests=None, rounds=150,
    learning_rate=0.5, batch_size=32, momentum=0.9, radius=None, metric="accuracy",
    cache=None, n_jobs=-1, progress=True,
):  # fmt: skip
    """Who breaks whom on your clients, what is proved of it, and the guide's line for it.

    Parameters
    ----------
    clients : list of n `Client`, or a list of such lists, one for each fold
        All honest; the report draws who lies. Numbers on one scale, see `market.standardize`. X may
        be a `numpy.memmap`: a run holds no more of a client than the rounds * batch_size rows that
        it can look at, and gradients and tests take one client at a time.
    model : SimpleModel, or whatever `ByzantineFL` trains and has `predict`
    f : int
        How many lie, 1 <= f < n / 2, and what the rules are told.
    rules : sequence of names, or dict of name -> rule
        "Krum"; "mixing, trimmed mean"; "centered clipping, momentum 0"; or rules of your own, as in
        `ByzantineFL`. The guide's line is added where it is missing.
    attacks : sequence of names, or dict of name -> attack
        Keys of `attacks.ATTACKS`, "label flip" (class k becomes C - 1 - k) and "none".
    seeds : int >= 2, or which
    tests : clients of the same shape, optional
        What each is tested on. By default the last three tenths of each client's rows, which then
        are in the order of time; where clients share a clock, `split_by_time` splits better.
    rounds, learning_rate, batch_size : of the training, see `ByzantineFL`
    momentum : float
        Of the clients, for rules whose name does not say its own.
    radius : float, optional
        Of clipping; by default the median length of an honest update, see `clipping_radius`.
    metric : "accuracy" or "balanced accuracy", what regrets are counted in
    cache, n_jobs, progress : as in `run_grid`

    Returns
    -------
    RobustnessReport

    Raises
    ------
    ValueError, TypeError
        For clients, f or names that do not fit, before anything runs, in one sentence. A rule or an
        attack that gives up later leaves its sentence in the table, and the others go on.
    """
    folds = _folds(clients, tests)
    n = len(folds[0][0])
    f = as_count(f, "f", "robustness_report", least=1)
    if n <= 2 * f:
        raise ValueError(
            f"robustness_report needs a majority of honest clients, n > 2f; got n = {n}, f = {f}"
        )
    classes = _classes(folds, model)
    rules, attacks = _rules(rules, momentum), _attacks(attacks, classes)
    if metric not in ("accuracy", "balanced accuracy"):
        raise ValueError(f"metric is 'accuracy' or 'balanced accuracy'; got {metric!r}")
    seeds = as_seeds(seeds)
    if len(seeds) < 2:
        raise ValueError(f"robustness_report needs at least 2 seeds for an interval; got {seeds}")
    shared = {
        "n": n, "f": f, "rounds": as_count(rounds, "rounds", "robustness_report", least=LOOKS),
        "learning_rate": as_number(learning_rate, "learning_rate", "robustness_report"),
        "batch_size": as_count(batch_size, "batch_size", "robustness_report", least=1),
    }  # fmt: skip
    run = partial(run_grid, seeds=seeds, cache=cache, n_jobs=n_jobs, progress=progress)

    honest = run(_quiet_cell(folds, model), {"momentum": float(momentum), **shared})
    difference = _difference(honest, n, f)
    if radius is None:
        radius = float(f"{difference['length'].mean:.2g}")  # one that another machine finds, too
    loud = not set(attacks) <= QUIET
    threat, line = guide(difference["alike"], loud)
    if line.name not in rules:
        rules = rules | {line.name: line}
    grid = [
        {"rule": name, "attack": list(attacks),
         "momentum": rule.momentum if isinstance(rule, Defence) else float(momentum),
         "radius": as_number(radius, "radius", "robustness_report"), **shared}
        for name, rule in rules.items()
    ]  # fmt: skip
    found = run(_attacked_cell(folds, model, rules, attacks, classes), grid)
    matrix = _matrix(found, metric)
    promises = _promises(found, rules, difference, n, f, radius)
    advice = _advice(matrix, promises, threat, line, metric)
    about = {"rows": [sum(map(len, own)) for own, _ in folds], "classes": classes, **shared}
    about |= {"metric": metric, "seeds": found["seed"].nunique(), "momentum": momentum}
    return RobustnessReport(found, matrix, difference, promises, radius, advice, about)


def clipping_radius(lengths, f=0, share=0.5):
    """A radius for clipping: a quantile of the lengths of updates, honest or received.

    Of n lengths the ceil(share n)-th smallest, r. If all are honest, that is the honest quantile.
    If up to f of them are lies, it is bracketed: r is at least the honest length of rank j - f and
    at most that of rank j among h = n - f, wherever the lies are (*proved*: at least j - f honest
    lengths are <= r, and at most j - 1 are < r). So a server that knows no honest lengths takes the
    middle of what it receives, and knows between which honest shares it lies.

    Parameters
    ----------
    lengths : (..., n) array_like, finite and >= 0
        One round a row, or many; of several rounds the median of their radii is taken.
    f : int, 0 <= f < share * n
        How many of n may be lies; at least h - j of them must be honest for an upper end.
    share : float in (0, 1)

    Returns
    -------
    Radius: radius, and low and high, the shares of honest updates between which it lies.
    """
    lengths = np.atleast_1d(as_reals(lengths, "clipping_radius"))
    share = as_number(share, "share", "clipping_radius", "in (0, 1)")
    n, f = lengths.shape[-1], as_count(f, "f", "clipping_radius", least=0)
    j = int(np.ceil(share * n - 1e-9))
    if not f < j <= n - f:
        raise ValueError(
            f"clipping_radius needs f < share n <= n - f, or a lie is the radius; "
            f"got f = {f}, share = {share}, n = {n}"
        )
    radii = np.sort(lengths, axis=-1)[..., j - 1]
    return Radius(float(np.median(radii)), (j - f) / (n - f), j / (n - f))


class Radius(NamedTuple):
    """A radius, and between which shares of the honest updates' lengths it lies."""

    radius: float
    low: float
    high: float


def _folds(clients, tests):
    """[(clients, tests), ...], checked: finite numbers, equally many clients and features."""
    nested = is_nested(clients)
    if tests is not None and (is_nested(tests) != nested or len(tests) != len(clients)):
        raise ValueError("robustness_report needs as many tests as clients, in each fold")
    given = [part if nested else [part] for part in (clients, tests) if part is not None]
    for client in chain.from_iterable(chain.from_iterable(given)):
        _refuse_broken(client)
    folds = list(zip(*given))
    if tests is None:
        folds = [tuple(zip(*map(_cut, own))) for (own,) in folds]
    counts = {len(part) for fold in folds for part in fold}
    if len(counts) != 1 or min(counts) < 3:
        raise ValueError(
            f"robustness_report needs at least 3 clients, equally many in each fold, and as many "
            f"tests; got {sorted(counts)}"
        )
    widths = {np.shape(c.X)[1] for own, test in folds for c in (*own, *test)}
    if len(widths) > 1:
        raise ValueError(f"clients need equally many features; got {sorted(widths)}")
    return folds


def _cut(client):
    """A client's first rows to train on, and its last ones to test on."""
    edge = len(client) - int(TESTED * len(client))
    if edge == len(client):
        raise ValueError(
            f"client {client.name!r} has {len(client)} rows; to be split it needs at least 4"
        )
    X, y = np.asanyarray(client.X), np.asanyarray(client.y)
    return tuple(Client(X[part], y[part], client.name) for part in np.s_[:edge, edge:])


def _refuse_broken(client):
    if not isinstance(client, Client):
        raise TypeError(f"robustness_report needs a list of Client; got {client!r}")
    if client.poison is not None:
        raise ValueError(f"client {client.name!r} poisons; the report wants honest clients")
    broken = ~np.isfinite(client.X)
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise ValueError(
            f"client {client.name!r} holds NaN or infinity, {broken.sum()} times, first in row "
            f"{row}, feature {column}: leave such rows out"
        )


def _classes(folds, model):
    """How many classes; all labels are 0 .. C - 1, and each fold trains on two at least."""
    top = max(int(np.max(c.y)) for own, test in folds for c in (*own, *test))
    least = min(int(np.min(c.y)) for own, test in folds for c in (*own, *test))
    classes = getattr(model, "n_classes", top + 1)
    if not 0 <= least <= top < classes:
        raise ValueError(f"labels are 0 .. {classes - 1} for this model; got {least} .. {top}")
    for k, (own, _) in enumerate(folds):
        if len(labels := set().union(*(np.unique(c.y).tolist() for c in own))) < 2:
            raise ValueError(
                f"all training rows of fold {k + 1} have one class, {labels.pop()}: there is "
                "nothing to learn"
            )
    return classes


def _rules(rules, momentum):
    """{name: Defence or callable}."""
    if isinstance(rules, dict):
        wrong = [name for name, rule in rules.items() if not callable(rule)]
        if wrong:
            raise TypeError(f"rule {wrong[0]!r} is no function of updates")
        return dict(rules)
    found = {}
    for name in [rules] if isinstance(rules, str) else rules:
        defence = defence_named(name, momentum)
        found[defence.name] = defence
    if not found:
        raise ValueError("robustness_report needs at least one rule; got none")
    return found


def _attacks(attacks, classes):
    """{name: (what liars send, what they do to their data)}; None where they do neither."""
    if isinstance(attacks, dict):
        wrong = [name for name, lie in attacks.items() if not (lie is None or callable(lie))]
        if wrong:
            raise TypeError(f"attack {wrong[0]!r} is no function of honest updates")
        return {name: (lie, None) for name, lie in attacks.items()}
    mirror = {k: classes - 1 - k for k in range(classes)}
    known = {name: (lie, None) for name, lie in ATTACKS.items()}
    known |= {"none": (None, None), "label flip": (None, lambda X, y: (X, label_flip(y, mirror)))}
    asked = [attacks] if isinstance(attacks, str) else list(attacks)
    for name in asked:
        if name not in known:
            raise ValueError(f"no attack {name!r}; there are {', '.join(sorted(known))}")
    if not asked:
        raise ValueError("robustness_report needs at least one attack; got none")
    return {name: known[name] for name in asked}


# --- The cells ----------------------------------------------------------------------------------


def _crew(clients, seed, most, f=0, poison=None):
    """The clients of a run, those who lie last; of each no more rows than the run can look at."""
    rng = np.random.default_rng([seed, 2])  # not the stream of the training, which is [seed]
    crew = []
    for place, i in enumerate(rng.permutation(len(clients))):
        X, y = clients[i].X, clients[i].y
        if len(y) > most:
            rows = np.sort(rng.choice(len(y), most, replace=False))
            X, y = X[rows], y[rows]
        lies = place >= len(clients) - f
        crew.append(Client(np.asarray(X), np.asarray(y), clients[i].name, poison if lies else None))
    return crew


def _quiet_cell(folds, model):
    """Training without lies, by the mean: how clients differ, and how long updates are."""

    def quiet(seeds, n, f, rounds, learning_rate, batch_size, momentum):
        looks, lengths, ends = [], [], []
        for own, _ in folds:
            seen = []

            def rule(updates, seen=seen):
                seen.append(np.linalg.norm(updates[:, 0], axis=-1))
                return updates.mean(axis=-2)

            crews = [_crew(own, seed, rounds * batch_size) for seed in seeds]
            fl = ByzantineFL(
                model, crews, rule, 0, learning_rate=learning_rate, batch_size=batch_size,
                momentum=momentum,
            )  # fmt: skip
            look = partial(_look, clients=own, model=model, batch_size=batch_size)
            history = fl.run(rounds, list(seeds), look, every=rounds // LOOKS, trust=False)
            ends += [end for end in history.diverged_at if end is not None]
            if ends:
                raise ValueError(
                    f"a training in which nobody lies ends in round {ends[0]}, with numbers that "
                    f"are not finite: scale the features, or lower learning_rate = {learning_rate}"
                )
            looks.append({name: history.curve(name).to_numpy() for name in _LOOKED})
            lengths.append(np.median(np.concatenate(seen, axis=1), axis=1))
        slope, spread, noise = (np.concatenate([one[name] for one in looks]) for name in _LOOKED)
        last = np.max([one["spread"][-1] for one in looks], axis=0)
        steeper = np.maximum(spread - last, 0) / slope
        return {
            "G": np.sqrt(last), "B": np.sqrt(steeper.max(axis=0)),
            "between / noise": spread.mean(axis=0) / noise.mean(axis=0),
            "length": np.mean(lengths, axis=0),
        }  # fmt: skip

    return quiet


_LOOKED = ("slope", "spread", "noise")


def _look(theta, clients, model, batch_size):
    """|g|^2, 1/n sum |g_i - g|^2, and the same of one batch around g_i: one client at a time."""
    rng, whole, noise = np.random.default_rng(3), [], []
    for client in clients:
        gradient = model.gradient(theta, client.X, client.y)
        rows = rng.integers(0, len(client), batch_size)
        batch = model.gradient(theta, client.X[rows], client.y[rows])
        noise.append(((batch - gradient) ** 2).sum())
        whole.append(gradient)
    g = np.mean(whole, axis=0)
    spread = ((np.array(whole) - g) ** 2).sum(axis=1).mean()
    return {"slope": (g**2).sum(), "spread": spread, "noise": np.mean(noise)}


def _attacked_cell(folds, model, rules, attacks, classes):
    """Training with liars, tested on all clients' test rows."""

    def attacked(
        seeds, rule, attack, n, f, rounds, learning_rate, batch_size, momentum, radius
    ):  # fmt: skip
        (lie, poison), served, seen = attacks[attack], rules[rule], []
        clips = isinstance(served, Defence) and served[:2] == (CLIPPING, "none")
        if isinstance(served, Defence):
            served = rule_named(served.rule, served.pre, radius)
            refuse_illegal(served, n, f)
        served = _watched(served, n - f, seen, _moved if clips else _error)
        counts = np.zeros((len(seeds), classes, classes))
        ends = np.full(len(seeds), np.nan)
        for own, tests in folds:
            crews = [_crew(own, seed, rounds * batch_size, f, poison) for seed in seeds]
            fl = ByzantineFL(
                model, crews, served, f, lie, learning_rate=learning_rate, batch_size=batch_size,
                momentum=momentum,
            )  # fmt: skip
            try:
                history = fl.run(rounds, list(seeds), trust=False)
            except (TypeError, ValueError, ArithmeticError) as error:
                raise Refused(f"{type(error).__name__}: {error}") from None
            ends = np.fmin(ends, [np.nan if end is None else end for end in history.diverged_at])
            counts += _confusion(model, np.nan_to_num(history.theta), tests, classes)
        return _scores(counts) | {"worst": [max(seen)] * len(seeds), "diverged_at": ends}

    return attacked


def _watched(rule, h, seen, measure):
    """The rule, but `seen` gets the worst of each round, over the runs of a stack."""

    @wraps(rule)
    def watched(updates, **given):
        answer = rule(updates, **given)
        seen.append(np.max(measure(rule, given, answer, updates, h)))
        return answer

    return watched


def _error(rule, given, answer, updates, h):
    """Squared error in honest variances."""
    return measured_kappa(answer, updates, np.arange(updates.shape[-2]) < h)


def _moved(rule, given, answer, updates, h):
    """How far the answer lies from that to the same updates with zeros for the lies."""
    silent = updates.copy()
    silent[..., h:, :] = 0
    return np.linalg.norm(answer - rule(silent, **given), axis=-1)


def _confusion(model, theta, tests, classes):
    """How many test rows of class j were named k, (S, C, C), one client at a time."""
    counts = np.zeros((len(theta), classes * classes), int)
    for client in tests:
        named = np.asarray(client.y) * classes + model.predict(theta, client.X)
        counts += [np.bincount(row, minlength=classes * classes) for row in named]
    return counts.reshape(-1, classes, classes)


def _scores(counts):
    """Accuracies of confusion matrices (S, C, C), and that of always naming one class."""
    of_class, right = counts.sum(axis=2), np.diagonal(counts, axis1=1, axis2=2)
    present = of_class[0] > 0
    total = of_class.sum(axis=1)
    return {
        "accuracy": right.sum(axis=1) / total,
        "balanced accuracy": (right[:, present] / of_class[:, present]).mean(axis=1),
        "majority share": of_class.max(axis=1) / total,
    }


# --- What is made of them -----------------------------------------------------------------------


def _difference(honest, n, f):
    """How the honest clients differ, {name: Interval or number}; see `RobustnessReport`."""
    values = {name: rows["value"] for name, rows in honest.groupby("metric", sort=False)}
    found = {name: t_interval(value) for name, value in values.items()}
    B, G = found["B"].mean, found["G"].mean
    share = float(breakdown_fraction(B))
    return found | {
        "alike": found["between / noise"].mean < BORDER,
        "share borne": share,
        "liars borne": int(np.ceil(share * n)) - 1,
        "floor": float(gradient_floor(kappa_lower_bound(n, f), G, B)),
    }


def _matrix(found, metric):
    """Rule by attack, tidy: the score, the baseline, and what it lags behind the best rule."""
    table = summarize(found, metric).rename(columns={"mean": metric})
    keep = ["rule", "attack", metric, "low", "high", "seeds", "note"]
    base = found[found["metric"] == "majority share"].groupby(["rule", "attack"])["value"].mean()
    table = table[keep].join(base.rename("always one class"), on=["rule", "attack"])
    runs = dict(list(found[found["metric"] == metric].groupby(["attack", "rule"])["value"]))
    lag = ["regret", "regret low", "regret high"]
    table[lag] = np.nan
    for attack, rows in table.groupby("attack", sort=False):
        if rows[metric].notna().any():
            best = rows.loc[rows[metric].idxmax(), "rule"]
            for i in rows.index[rows[metric].notna()]:
                pair = [runs[attack, rule].to_numpy() for rule in (best, rows.loc[i, "rule"])]
                table.loc[i, lag] = list(paired_difference(*pair).interval)
    return table


def _promises(found, rules, difference, n, f, radius):
    """A row a rule: liars borne, what is proved, the worst that was seen, the floor of descent."""
    rows = []
    for name, rule in rules.items():
        seen = found.loc[(found["rule"] == name) & (found["metric"] == "worst"), "value"].max()
        kind, bound, most, floor = "none", np.inf, None, np.nan
        if isinstance(rule, Defence):
            most = bears(rule, n)
            try:
                kind, bound = promise(rule, n, f, radius)
            except ValueError as refusal:
                kind = f"refused: {refusal}"
        if kind == "kappa":
            floor = float(gradient_floor(bound, difference["G"].mean, difference["B"].mean))
        holds = bool(seen <= bound * (1 + 1e-9)) if kind in ("kappa", "reach") else None
        rows.append((name, most, kind, bound, seen, holds, floor))
    names = ["rule", "liars borne", "promise", "bound", "worst seen", "holds", "floor"]
    return pd.DataFrame(rows, columns=names).astype({"liars borne": "Int64"}).set_index("rule")


def _worst(matrix, metric):
    """Worst regret of each rule, NaN where an attack left it no score: a Series, least first."""
    table = matrix.pivot(index="rule", columns="attack", values=metric)
    return worst_regret(table.loc[matrix["rule"].unique()]).sort_values(kind="stable")


def _advice(matrix, promises, threat, line, metric):
    """What the guide says, what is proved of it, and how it fared here."""
    worst = _worst(matrix, metric)
    bounded = worst[promises.loc[worst.index, "holds"].eq(True).to_numpy()].dropna()
    about = promises.loc[line.name]
    return Advice(
        ", ".join(threat), line.name, about["promise"], about["bound"], about["worst seen"],
        worst[line.name], bounded.index[0] if len(bounded) else "",
        bounded.iloc[0] if len(bounded) else np.nan,
    )  # fmt: skip


class Advice(NamedTuple):
    """The guide's line, with what is proved of it, and the best bounded rule of this matrix."""

    threat: str
    rule: str
    promise: str
    bound: float
    seen: float
    regret: float
    best: str
    best_regret: float

    def __str__(self):
        what = {"kappa": "squared error, in honest variances", "reach": "reach of the liars"}
        proved = f"{what.get(self.promise, 'nothing')} at most {self.bound:.2g} proved, "
        proved += f"{self.seen:.2g} the worst seen"
        return f"Clients {self.threat}: {self.rule}. {proved[0].upper()}{proved[1:]}."


@dataclass
class RobustnessReport:
    """Who breaks whom on some clients; see `robustness_report`.

    Attributes
    ----------
    results : DataFrame of `run_grid`, a row a rule, attack, seed and metric; the metric "worst" is
        the largest squared error in honest variances of any round (of clipping: how far liars moved
        it), the same for all seeds of a stack
    matrix : DataFrame, a row a rule and attack: the score with its interval, "always one class",
        and regret: how far it lies behind the best rule of that attack on the same seeds. The best
        was picked on these seeds; the intervals do not allow for that.
    difference : dict
        G, B, "between / noise", length: `Interval`. On the path of a training without lies
        1/n sum |g_i - g|^2 <= G^2 + B^2 |g|^2: G is what is left at its end, B what steep slopes
        add; a path shows a lower bound of what holds everywhere. between / noise is the variance
        of the clients' gradients in units of one batch's; alike: is it below 1? length: the median
        of the honest updates' lengths. Then what it must cost: share borne, 1 / (2 + B^2), and
        liars borne, what no rule can exceed; floor, the slope down to which the best possible rule
        is sure to descend (`theory.gradient_floor`).
    promises : DataFrame by rule: liars borne, promise, bound (see `promise`), worst seen, holds,
        floor of the slope
    radius : float, of clipping
    advice : Advice
    about : dict, what was asked
    """

    results: pd.DataFrame
    matrix: pd.DataFrame
    difference: dict
    promises: pd.DataFrame
    radius: float
    advice: Advice
    about: dict

    @property
    def regrets(self):
        """Regret of each rule under each attack, and the worst; a DataFrame, smallest first."""
        table = self.matrix.pivot(index="rule", columns="attack", values="regret")
        worst = _worst(self.matrix, self.about["metric"])
        return table.loc[worst.index, self.matrix["attack"].unique()].assign(worst=worst)

    def markdown(self):
        """The whole report as Markdown."""
        metric, n, f = (self.about[name] for name in ("metric", "n", "f"))
        scores = wide(self.results, metric, "rule", "attack")
        lag = (100 * self.regrets).map("{:.1f}".format)
        parts = [
            f"# Who breaks whom: {f} of {n} clients lie",
            f"{self.about['seeds']} paired seeds; intervals of 95 % cover who lies, first "
            "parameters and batches, not another history of the same markets.",
            f"## {metric.capitalize()} in per cent", markdown(scores),
            "## Points behind the best rule of each attack", markdown(lag),
            "## What the clients' difference costs", self._costs(),
            "## What is proved, and the worst that was seen", markdown(self._proved()),
            "## A radius for clipping", self._radius(),
            "## The guide", self._guided(),
        ]  # fmt: skip
        return "\n\n".join(parts) + "\n"

    def _costs(self):
        at, f, n = self.difference, self.about["f"], self.about["n"]
        kind = "alike" if at["alike"] else "different"
        return (
            f"Their gradients differ by {at['between / noise']:.2g} times the variance of one "
            f"batch; the guide calls them {kind}, with the border at {BORDER:g}.\n"
            f"On the path of a training without lies 1/n sum |g_i - g|^2 <= G^2 + B^2 |g|^2 with "
            f"G = {at['G']:.2g} and B = {at['B']:.2g}.\n"
            f"With such a B no rule bears a share of liars of {at['share borne']:.2f}: at most "
            f"{at['liars borne']} of {n}, and you ask about {f}.\n"
            + (
                f"The best rule there could be is sure to descend to a slope of {at['floor']:.2g}."
                if np.isfinite(at["floor"])
                else "So no rule is sure to descend at all."
            )
        )

    def _proved(self):
        table = self.promises.copy()
        for name in ("bound", "worst seen", "floor"):
            table[name] = ["" if np.isnan(x) else f"{x:.2g}" for x in table[name]]
        table["liars borne"] = ["" if most is pd.NA else str(most) for most in table["liars borne"]]
        table["holds"] = table["holds"].map({True: "yes", False: "no"}).fillna("")
        return table

    def _radius(self):
        n, f = self.about["n"], self.about["f"]
        middle = clipping_radius(np.arange(n), f)
        return (
            f"The median length of an honest update is {self.difference['length']:.2g}; clipping "
            f"ran with {self.radius:g}.\nWhere honest lengths are not known, take the middle one "
            f"of those received: with {f} of {n} lying, {middle.low:.0%} to {middle.high:.0%} of "
            "the honest ones are no longer, whatever the liars send."
        )

    def _guided(self):
        mine = self.advice
        lost = 100 * (mine.regret - mine.best_regret)
        if not np.isfinite(lost):
            return f"{mine}\nIt has no worst regret here: see the notes of the matrix."
        tail = f"The bounded rule of least worst regret here is {mine.best}"
        return (
            f"{mine}\n{tail}, {100 * mine.best_regret:.1f} points behind in its worst case; the "
            f"guide's line is {100 * mine.regret:.1f} behind."
            + (" Here the guide is wrong: trust the matrix." if lost > CLOSE else "")
        )

    def figure(self):
        """The matrix as a picture: light is good, and the score stands in each cell."""
        import matplotlib.pyplot as plt

        from byzlib.plotting import STYLE

        metric = self.about["metric"]
        order = list(self.regrets.index)
        table = 100 * self.matrix.pivot(index="rule", columns="attack", values=metric)
        table = table.loc[order, self.matrix["attack"].unique()]
        low = 100 * self.matrix["always one class"].mean()
        with plt.rc_context(STYLE):
            rows, columns = table.shape
            fig, ax = plt.subplots(figsize=(2.6 + 0.62 * columns, 1.3 + 0.34 * rows))
            ax.imshow(table, cmap="Greys_r", vmin=min(low, np.nanmin(table)) - 5, aspect="auto")
            middle = np.nanmean([ax.images[0].get_clim()])
            for (i, j), value in np.ndenumerate(table.to_numpy()):
                text = "" if np.isnan(value) else f"{value:.0f}"
                ax.text(j, i, text or "-", ha="center", va="center", fontsize=8,
                        color="white" if value < middle else "black")  # fmt: skip
            ax.set(xticks=range(columns), yticks=range(rows))
            ax.set_xticklabels(table.columns, rotation=30, ha="right", fontsize=8)
            ax.set_yticklabels(order, fontsize=8)
            ax.grid(False)
            ax.set_title(f"{metric} in per cent; always one class {low:.0f}", fontsize=10)
        return fig

    def write(self, folder):
        """report.md, report.csv (`matrix`), runs.csv (`results`) and report.png in a folder."""
        import matplotlib.pyplot as plt

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.matrix.to_csv(folder / "report.csv", index=False, lineterminator="\n")
        kept.write(self.results, folder / "runs.csv")
        figure = self.figure()
        figure.savefig(folder / "report.png", bbox_inches="tight", metadata={"Software": None})
        plt.close(figure)
        (folder / "report.md").write_text(self.markdown(), encoding="utf-8")
