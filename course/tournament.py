"""Students' lies against students' rules: `make tournament DIR=folder`.

Usage: python -m course.tournament DIR OUT [--secret NUMBER]

DIR holds Python files with one function each, `attack(honest, f, rng)` or
`rule(updates, f)`. Every one plays against every one of the other kind, and against the
book's own. OUT gets the league, all pairings, and a picture of them.
"""

import argparse
import ast
import secrets
import sys
from collections import Counter
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from byzlib import plotting
from byzlib.aggregators import RULES
from byzlib.attacks import ATTACKS
from byzlib.experiments import rule_named
from byzlib.federated import ByzantineFL, Client, SimpleModel
from byzlib.market import planted_signal, planted_signal_accuracy
from byzlib.metrics import majority_share, paired_difference, t_interval
from course.process import Lost, Process, Raised

N, F, SEEDS, ROUNDS = 11, 2, 10, 100
R2, P_FLAT = 0.955, 1 / 3  # of the task, see byzlib.market.planted_signal
SECONDS, TOTAL = 2.0, 20.0  # of computing: for a round of all seeds, and for a match
OWN_RULES = "mean, Krum, multi-Krum, trimmed mean, median, geometric median, Bulyan".split(", ")
OWN_ATTACKS = (
    "Gaussian noise, sign flip, loud sign flip, inner product, a little is enough, min-max, mimic"
).split(", ")
assert set(OWN_RULES) <= set(RULES) and set(OWN_ATTACKS) <= set(ATTACKS)
NOBODY = "nobody lies"


class Entry(NamedTuple):
    """Who plays: a name, "attack" or "rule", and a student's source, or None for the book's."""

    name: str
    kind: str
    source: str | None = None


class Match(NamedTuple):
    """The accuracies of a pairing, one a seed, or who forfeited it, and why."""

    attack: str
    rule: str
    accuracy: np.ndarray | None
    lost_by: str = ""
    why: str = ""


class Forfeit(Exception):
    """An entry that loses its match: "attack" or "rule", and why."""


# --- who plays -----------------------------------------------------------------


def entries(folder):
    """The entries in a folder, and a sentence for each file that is none."""
    found, sentences = [], []
    for path in sorted(Path(folder).glob("*.py")):
        try:
            source = path.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (SyntaxError, ValueError) as error:  # also bytes that are no text
            sentences.append(f"{path.name} is not Python: {error}")
            continue
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        kinds = sorted(names & {"attack", "rule"})
        if len(kinds) == 1:
            found.append(Entry(path.stem, kinds[0], source))
        else:
            sentences.append(
                f"{path.name} needs one function called attack, or one called rule; it has "
                f"{' and '.join(kinds) or 'neither'}"
            )
    return found, sentences


def attack_of(entry, process, secret):
    """What the liars of a match send, for a stack of runs; every run draws from its own numbers."""

    def attack(honest, f, round):
        d = honest.shape[-1]
        calls = [
            (rows, f, np.random.default_rng([secret, k, round]))
            for k, rows in enumerate(honest[:, 0])
        ]
        return asked(process, entry, calls, (f, d), honest.dtype)

    return ATTACKS[entry.name] if entry.source is None else attack


def rule_of(entry, process):
    """What the server of a match makes of the updates of a stack of runs."""

    def rule(updates, f):
        shape = updates.shape[-1:]
        return asked(process, entry, [(rows, f) for rows in updates[:, 0]], shape, updates.dtype)

    return rule_named(entry.name) if entry.source is None else rule


def asked(process, entry, calls, shape, dtype):
    """A student's answers, one a run, of the right shape; or Forfeit."""
    try:
        answers = process.call(entry.kind, calls)
    except Lost as lost:
        raise Forfeit(entry.kind, str(lost)) from None
    except Exception as error:
        if not isinstance(error, Raised):
            raise
        raise Forfeit(entry.kind, f"{type(error).__name__}: {error}") from None
    for answer in answers:
        kind = getattr(np.asarray(answer), "dtype", np.dtype("O")).kind if _even(answer) else "O"
        if kind not in "biuf" or np.shape(answer) != shape:
            got = f"shape {np.shape(answer)}" if kind in "biuf" else f"{answer!r}"[:60]
            raise Forfeit(entry.kind, f"it returned {got}, not numbers of shape {shape}")
    return np.array(answers, dtype)[:, None]


def _even(answer):
    """Can an array be made of it?"""
    try:
        np.asarray(answer)
    except ValueError:
        return False
    return True


# --- what they play ------------------------------------------------------------


@cache
def task(secret, seeds=SEEDS):
    """(clients, (X, y) of the test) of each seed: a market whose best accuracy is known."""
    clients, tests = [], []
    for k in range(seeds):
        rng = np.random.default_rng([secret, k, 0])
        X, y = planted_signal(200, R2, P_FLAT, rng, shape=(N,))
        clients.append([Client(*own, f"client {i}") for i, own in enumerate(zip(X, y))])
        tests.append(planted_signal(2000, R2, P_FLAT, rng))
    return clients, tuple(np.stack(part) for part in zip(*tests))


def play(attack, rule, secret, seeds=SEEDS, rounds=ROUNDS):
    """One match; `attack` may be None: nobody lies."""
    clients, tests = task(secret, seeds)
    name = attack.name if attack else NOBODY
    with Side(attack) as liars, Side(rule) as server:
        try:
            for side in (liars, server):
                side.load()
            learning = ByzantineFL(
                SimpleModel(8, 16, activation="tanh"), clients, rule_of(rule, server.process), F,
                attack and attack_of(attack, liars.process, secret),
                learning_rate=0.5, batch_size=32,
            )  # fmt: skip
            generators = [np.random.default_rng([secret, k]) for k in range(seeds)]
            history = learning.run(rounds, generators, tests, every=rounds, trust=False)
        except Forfeit as forfeit:
            return Match(name, rule.name, None, *forfeit.args)
    ended = np.array([end is not None for end in history.diverged_at])
    return Match(name, rule.name, np.where(ended, 0.0, history.final("accuracy")))


class Side:
    """One side of a match: a process of its own for a student's entry, nothing for the book's."""

    def __init__(self, entry):
        self.entry, self.process = entry, None
        if entry and entry.source is not None:
            self.process = Process(SECONDS, TOTAL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.__exit__()

    def load(self):
        if self.process:
            try:
                self.process.run(self.entry.name, self.entry.source)
            except Lost as lost:
                raise Forfeit(self.entry.kind, str(lost)) from None
            except Exception as error:
                what = f"its file stopped with {type(error).__name__}: {error}"
                raise Forfeit(self.entry.kind, what) from None


def everybody(folder):
    """All attacks, all rules, and what is said of files that do not play."""
    found, sentences = entries(folder)
    taken = {*OWN_RULES, *OWN_ATTACKS, NOBODY}
    clash = [entry.name for entry in found if entry.name in taken]
    sentences += [f"{name}.py is called like one of the book's" for name in clash]
    found = [entry for entry in found if entry.name not in taken]
    attacks = [Entry(name, "attack") for name in OWN_ATTACKS]
    rules = [Entry(name, "rule") for name in OWN_RULES]
    return (
        [entry for entry in found if entry.kind == "attack"] + attacks,
        [entry for entry in found if entry.kind == "rule"] + rules,
        sentences,
    )


def tournament(attacks, rules, secret, seeds=SEEDS, rounds=ROUNDS):
    """Everybody against everybody, {(attack, rule): Match}; and every rule while nobody lies."""
    pairs = [(attack, rule) for rule in rules for attack in [None, *attacks]]
    one = partial(play, secret=secret, seeds=seeds, rounds=rounds)
    matches = Parallel(n_jobs=2, prefer="threads", return_as="generator")(
        delayed(one)(*pair) for pair in pairs
    )
    bar = tqdm(matches, total=len(pairs), desc="matches", disable=not sys.stderr.isatty())
    return {(match.attack, match.rule): match for match in bar}


# --- the league ----------------------------------------------------------------


def scores(matches, names, kind):
    """{name: (seeds,) mean score over the matches that count}, and {name: [matches forfeited]}.

    A rule's score is its accuracy, an attack's what it takes from the accuracy of the same
    rule on the same seed while nobody lies. A match that the other side forfeits does not count;
    one that is forfeited by oneself counts as 0.
    """
    total, forfeits = {}, {}
    for name in names:
        own, forfeits[name] = [], []
        for match in matches.values():
            clean = matches[NOBODY, match.rule]
            if getattr(match, kind) != name or match.lost_by not in ("", kind):
                continue
            if match.lost_by:
                forfeits[name].append(match)
                own.append(0.0)
            elif kind == "rule":
                own.append(match.accuracy)
            elif clean.accuracy is not None:
                own.append(clean.accuracy - match.accuracy)
        size = max((np.size(x) for x in own), default=1)
        total[name] = np.mean([np.broadcast_to(x, size) for x in own] or [[0.0]], axis=0)
    return total, forfeits


def league(matches, names, kind):
    """A table, best first: mean scores in points with 95 % intervals, and who leads the next."""
    of_seed, forfeits = scores(matches, names, kind)
    size = max(len(values) for values in of_seed.values())
    of_seed = {name: 100 * np.broadcast_to(values, size) for name, values in of_seed.items()}
    order = sorted(names, key=lambda name: -of_seed[name].mean())
    rows = []
    for place, name in enumerate(order):
        own = t_interval(of_seed[name])
        ahead = ""
        if place + 1 < len(order):
            lead = paired_difference(of_seed[name], of_seed[order[place + 1]])
            ahead = "yes" if lead.is_positive else "not shown"
        rows.append([name, own.mean, own.low, own.high, ahead, len(forfeits[name])])
    columns = [kind, "points", "low", "high", "ahead of the next", "forfeits"]
    return pd.DataFrame(rows, columns=columns)


def pairings(matches):
    """One row a match."""
    rows = []
    for match in matches.values():
        ends = (np.nan,) * 3 if match.accuracy is None else t_interval(100 * match.accuracy)
        rows.append([match.attack, match.rule, *ends, match.lost_by, match.why])
    columns = ["attack", "rule", "accuracy", "low", "high", "forfeited by", "why"]
    return pd.DataFrame(rows, columns=columns)


def draw(table, attacks, rules, baseline):
    """A picture of all pairings: accuracy of each rule under each attack, in per cent."""
    plotting.style()
    grid = table.pivot(index="rule", columns="attack", values="accuracy").loc[rules, attacks]
    by = table.pivot(index="rule", columns="attack", values="forfeited by").loc[rules, attacks]
    fig, ax = plt.subplots(figsize=(2.6 + 0.62 * len(attacks), 1.9 + 0.36 * len(rules)))
    image = ax.imshow(grid, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    ax.set_xticks(range(len(attacks)), attacks, rotation=40, ha="right")
    ax.set_yticks(range(len(rules)), rules)
    ax.grid(False)
    for i, j in np.ndindex(grid.shape):
        value, lost = grid.iat[i, j], by.iat[i, j]
        text = {"attack": "A", "rule": "R"}.get(lost) or f"{value:.0f}"
        ax.text(j, i, text, ha="center", va="center", fontsize=8,
                color="black" if lost or value > 60 else "white")  # fmt: skip
    fig.colorbar(image, label=f"test accuracy, %; {baseline:.0f} by naming one class")
    ax.set_title("Who breaks whom (A, R: the attack, the rule forfeited)")
    return fig


def main(argv=None):
    parser = argparse.ArgumentParser(prog="make tournament", description=__doc__.split("\n")[0])
    parser.add_argument("folder", help="files with one function attack or rule each")
    parser.add_argument("out", help="where the league and the picture go")
    parser.add_argument("--secret", type=int, help="play a tournament again")
    given = parser.parse_args(argv)
    if not Path(given.folder).is_dir():
        sys.exit(f"DIR names a folder with students' attacks and rules; got {given.folder!r}")
    secret = secrets.randbits(32) if given.secret is None else given.secret
    attacks, rules, sentences = everybody(given.folder)
    print(*sentences, sep="\n", end="\n" if sentences else "")
    matches = tournament(attacks, rules, secret)
    report(matches, [a.name for a in attacks], [r.name for r in rules], secret, Path(given.out))


def report(matches, attacks, rules, secret, out):
    """Print the league, and write it, all pairings, and their picture."""
    out.mkdir(parents=True, exist_ok=True)
    seeds = len(next(m.accuracy for m in matches.values() if m.accuracy is not None))
    baseline = 100 * majority_share(task(secret, seeds)[1][1]).mean()
    best = 100 * planted_signal_accuracy(R2, P_FLAT)
    print(f"{N} clients, {F} liars, {seeds} hidden seeds, simulated market; accuracy in %:")
    print(f"{baseline:.1f} by naming the commonest class, {best:.1f} at best")
    for kind, names, what in [
        ("rule", rules, "mean accuracy over all matches"),
        ("attack", attacks, "mean accuracy taken from the rules"),
    ]:
        table = league(matches, names, kind)
        table.to_csv(out / f"{kind}s.csv", index=False)
        print(f"\n{kind}s by {what}, with 95 % intervals")
        print(table.to_string(index=False, float_format="%.1f"))
    table = pairings(matches)
    table.to_csv(out / "pairings.csv", index=False)
    picture = draw(table, [NOBODY, *attacks], rules, baseline)
    picture.savefig(out / "pairings.png", bbox_inches="tight")
    plt.close(picture)
    lost = Counter((getattr(m, m.lost_by), m.why) for m in matches.values() if m.lost_by)
    for (name, why), times in lost.items():
        print(f"{name} forfeited {times} of its matches: {why}")
    print(f"\nAll pairings stand in {out}; --secret {secret} plays the same again")


if __name__ == "__main__":
    main()
