"""RobustStrategy beside Flower's own strategies: what they answer to odd replies, and their time.

    python -m benchmarks.strategies [--only TABLE] [--save FOLDER]

Needs flwr. Ten clients of whom f lie, float32, as Flower's models are. What is counted: rounds out
of ROUNDS in which Krum takes another client than with exact distances, and in which the others'
answers are off by more than the honest clients scatter; numbers n and f for which a fraction f / n
trims fewer than f; how much one client counts that claims a billion samples; what becomes of a
round in which one reply holds a NaN, lacks an array, or comes twice. Times are of
`aggregate_train`, the reading of the messages included, in turns, as ratios to RobustStrategy.
Renews results/strategies.csv.
"""

import argparse
import importlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.clock import Runner, peak_memory, take_turns
from benchmarks.report import machine, markdown
from byzlib import aggregators

FOLDER = Path(__file__).parent / "results"
ROUNDS, N, D = 200, 11, 1027
F = 2  # what Bulyan bears of eleven
RULES = ["krum", "multi_krum", "bulyan", "trimmed_mean", "median"]
THEIRS = {"krum": "Krum", "multi_krum": "MultiKrum", "bulyan": "Bulyan",
          "trimmed_mean": "FedTrimmedAvg", "median": "FedMedian"}  # fmt: skip
SIZES = [(n, d) for n in (10, 100) for d in (100_000, 1_000_000)]
TURNS, SHARE = 5, 20.0  # and seconds of all turns of one of them


def settings(rule, n, f):
    """How Flower's strategy is told of f liars among n."""
    if rule == "trimmed_mean":
        return {"beta": f / n}
    told = {"num_malicious_nodes": f} if rule in ("krum", "multi_krum", "bulyan") else {}
    return told | ({"num_nodes_to_select": n - f} if rule == "multi_krum" else {})


class Server:
    """A strategy, ours or theirs, and the messages that it is asked to aggregate."""

    def __init__(self, who, rule, n, f):
        self.flwr = importlib.import_module("flwr.app")
        self.ours = who == "byzlib"
        if self.ours:
            from byzlib.federated.flower import RobustStrategy

            self.strategy = RobustStrategy(getattr(aggregators, rule), f, min_train_nodes=n)
        else:
            kind = getattr(importlib.import_module("flwr.serverapp.strategy"), THEIRS[rule])
            self.strategy = kind(**settings(rule, n, f), min_train_nodes=n)

    def ask(self, sent, n):
        """The messages of a round that send a model, {name: array}, to n nodes."""
        app, nodes = self.flwr, [*range(1, n + 1)]
        grid = type("Grid", (), {"get_node_ids": lambda self: nodes})()
        record = app.ArrayRecord({name: app.Array(array) for name, array in sent.items()})
        messages = list(self.strategy.configure_train(1, record, app.ConfigRecord(), grid))
        for message in messages:  # what the network would do
            message.metadata.__dict__["_message_id"] = f"to {message.metadata.dst_node_id}"
        return sorted(messages, key=lambda message: message.metadata.dst_node_id)

    def packed(self, arrays):
        """A client's model as Flower's arrays, {name: Array}."""
        return {name: self.flwr.Array(array) for name, array in arrays.items()}

    def replies(self, asked, packed, counts=None):
        """A reply of each node; fresh ones, for Flower's median empties those it reads."""
        app, counts = self.flwr, counts or [100] * len(packed)
        return [
            app.Message(
                app.RecordDict({
                    "arrays": app.ArrayRecord(dict(own)),
                    "metrics": app.MetricRecord({"num-examples": count}),
                }),
                reply_to=message,
            )
            for message, own, count in zip(asked, packed, counts)
        ]  # fmt: skip

    def answer(self, sent, models, counts=None, twice=()):
        """The model (d,) after a round, or what became of it, in words."""
        asked = self.ask(sent, len(models))
        replies = self.replies(asked, [self.packed(own) for own in models], counts)
        replies += [replies[k] for k in twice]
        try:
            record, _ = self.strategy.aggregate_train(1, replies)
        except Exception as error:  # of any kind: that is what is looked at
            return f"raises {type(error).__name__}"
        if record is None:
            return "keeps the old model"
        return np.concatenate([record[name].numpy().ravel() for name in sent])


def layers(row):
    """A model of two arrays."""
    return {"weights": row[:-3].reshape(-1, 4), "bias": row[-3:]}


def moderate(rng, n=N, d=D, spread=1e-3):
    """A model around zero, and what n clients make of it: they differ by the spread."""
    sent = rng.standard_normal(d).astype(np.float32)
    return sent, sent + spread * rng.standard_normal((n, d)).astype(np.float32)


def offsets(who, rule):
    """Share of rounds that end elsewhere than with exact arithmetic, all clients honest."""
    wrong = 0
    for seed in range(ROUNDS):
        sent, rows = moderate(np.random.default_rng(seed))
        away, f = rows.astype(float) - sent, () if rule == "median" else (F,)
        got = Server(who, rule, N, F).answer(layers(sent), list(map(layers, rows)))
        # Ties go to the smaller value: turned round, to the other one. Both are right.
        exact = [sign * getattr(aggregators, rule)(sign * away, *f) for sign in (1, -1)]
        off = min(np.abs(got - sent - wanted).max() for wanted in exact)
        wrong += off > 1e-5  # a hundredth of the spread
    return wrong


def fractions(who):
    """Of all n <= 60 and f < n / 2, how many let a liar of 1e9 through."""
    through = 0
    for n in range(3, 61):
        for f in range(1, (n + 1) // 2):
            rows = np.ones((n, 7), np.float32)
            rows[:f] = 1e9
            sent = layers(np.zeros(7, np.float32))
            got = Server(who, "trimmed_mean", n, f).answer(sent, list(map(layers, rows)))
            through += bool(np.abs(got).max() > 2)
    return through


def claim(who, rule):
    """How much of the answer is one client's that claims a billion samples; it is in the middle."""
    sent, rows = moderate(np.random.default_rng(0))
    rows[0] = rows[1:].mean(axis=0) + 1e-5
    server = Server(who, rule, N, F)
    base = server.answer(layers(sent), list(map(layers, rows)), [100] * N)
    got = Server(who, rule, N, F).answer(
        layers(sent), list(map(layers, rows)), [10**9] + [100] * (N - 1)
    )
    away, whole = np.linalg.norm(got - base), np.linalg.norm(rows[0] - base)
    return away / whole if whole else 0.0


def odd(who, rule, kind):
    """What becomes of a round in which one client's reply is odd."""
    sent, rows = moderate(np.random.default_rng(0))
    models, twice = list(map(layers, rows)), ()
    if kind == "one NaN":
        models[3]["bias"] = np.array([0, np.nan, 0], np.float32)
    if kind == "an array missing":
        del models[3]["bias"]
    if kind == "one reply nine times":
        twice = [3] * 8
        models[3] = layers(rows[3] + 1)
    got = Server(who, rule, N, F).answer(layers(sent), models, twice=twice)
    if isinstance(got, str):
        return got
    if not np.isfinite(got).all():
        return "NaN"
    away = np.abs(got - rows.mean(axis=0)).max()
    return "an honest answer" if away < 0.01 else f"an answer {away:.2g} away"


def behaviour():
    """A row for each strategy and question."""
    rows = []
    for rule in RULES:
        for who in ("byzlib", "flwr"):
            rows.append((rule, who, f"wrong of {ROUNDS} float32 rounds", offsets(who, rule)))
            rows.append((rule, who, "counts who claims 1e9 samples", round(claim(who, rule), 3)))
            for kind in ("one NaN", "an array missing", "one reply nine times"):
                rows.append((rule, who, kind, odd(who, rule, kind)))
    for who in ("byzlib", "flwr"):
        rows.append(("trimmed_mean", who, "pairs n, f of 870 with 1e9 let through", fractions(who)))
    return pd.DataFrame(rows, columns=["rule", "who", "question", "answer"])


def times():
    """Milliseconds and memory of aggregate_train, and how many times ours theirs takes.

    Memory is the highest point beside the messages, in copies of all rows.
    """
    rows = []
    for n, d in SIZES:
        f = (n - 3) // 4
        sent, models = moderate(np.random.default_rng(0), n, d)
        for rule in RULES:
            runners = []
            for who in ("byzlib", "flwr"):
                server = Server(who, rule, n, f)
                asked = server.ask({"weights": sent}, n)
                packed = [server.packed({"weights": row}) for row in models]

                def call(server=server, asked=asked, packed=packed):
                    return server.strategy.aggregate_train(1, server.replies(asked, packed))

                runners.append(Runner(who, "byzlib" if who == "byzlib" else "peer", call))
            for runner in runners:
                runner.first()
                runner.plan(TURNS, SHARE)
            take_turns(runners)
            for runner in runners:
                row = runner.row(runners[0])
                kept = ("turns", "ms", "ratio", "ratio_low", "ratio_high")
                row = {name: row[name] for name in kept}
                row["copies"] = peak_memory(runner.call) / (4 * n * d)
                rows.append({"rule": rule, "n": n, "d": d, "f": f, "who": runner.name} | row)
    return pd.DataFrame(rows)


def alone():
    """Flower's messages want to know in which process they are; its log is not ours to fill."""
    identity = importlib.import_module("flwr.supercore.task_identity").TaskIdentity
    identity.task_id = identity.run_id = identity.node_id = 1
    logging.getLogger("flwr").setLevel(logging.CRITICAL)


def main(arguments=None):
    """Print both tables, and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, default=FOLDER)
    parser.add_argument("--only", choices=["strategies", "strategies_time"], help="one table")
    given = parser.parse_args(arguments)
    alone()
    versions = machine()["versions"]
    about = {name: versions[name] for name in ("python", "numpy", "flwr")}
    for name, made in (("strategies", behaviour), ("strategies_time", times)):
        if given.only not in (None, name):
            continue
        table = made()
        print(markdown(table.round(3)), "\n", flush=True)
        table = table.assign(**about)
        table.to_csv(given.save / f"{name}.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
