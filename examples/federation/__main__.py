"""Seven desks learn over a real network, two of them lying, and one is cut off half-way.

    python -m examples.federation [--record FOLDER]

The same desks train twice: with Flower's own FedAvg, and with the trimmed mean of byzlib. Each
round is done again in this process, by `ByzantineFL` with those who answered; the two must agree.
Needs Flower (pip install "byzlib[flower]"), takes some minutes, and leaves nothing behind; with
--record, FOLDER/federation.csv, a row for each round.
"""

import argparse
import functools
import importlib.metadata
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from byzlib.aggregators import RULES
from byzlib.federated import ByzantineFL
from byzlib.metrics import accuracy, majority_share
from examples.federation import app
from examples.federation.deploy import Federation

HERE = Path(__file__).parent
DESKS, LIARS, ROUNDS, TIMEOUT = 7, 2, 4, 60.0
RULE_OF = {"FedAvg": "mean"}
HEAD = __doc__.splitlines()[0]
KEPT = (
    "# Recorded over TLS on the loopback of one machine; simulated candles. "
    "Made by: make federation RECORD=notebooks/results\n"
)
COLUMNS = ["rule", "round", "desks", "first liar", "answers", "trust in liars", "seconds",
           "seconds of the rule",
           "accuracy", "majority share", "difference", "bytes", "serverapp seconds",
           "clientapp seconds"]  # fmt: skip


def experiment(rules=("FedAvg", "trimmed mean"), desks=DESKS, liars=LIARS, rounds=ROUNDS,
               timeout=TIMEOUT, killed=0, say=functools.partial(print, flush=True)):  # fmt: skip
    """A row for each rule and round: a DataFrame. `killed` is cut off after half of the rounds.

    RuntimeError where the federation does not do what it should in time.
    """
    rows, started = [], time.monotonic()
    with Federation([{"desk": k, "lies": k >= desks - liars} for k in range(desks)]) as there:
        say(f"{time.monotonic() - started:5.0f} s  a SuperLink and {desks} SuperNodes are up")
        for rule in rules:
            rows += one_rule(there, rule, desks, liars, rounds, timeout, killed, say)
            if killed is not None and rule != rules[-1]:
                there.revive(killed)
        took = time.monotonic() - started
    say(f"{took:5.0f} s  in all")
    return compared(pd.DataFrame(rows), desks, liars)


def one_rule(there, rule, desks, liars, rounds, timeout, killed, say):
    """Train with one rule; the lines of its report, and what travelled."""
    report = there.folder / f"{rule}.jsonl"
    sent = time.time()
    run = there.run(HERE, rule=rule, f=liars, nodes=desks, rounds=rounds, timeout=timeout,
                    report=str(report))  # fmt: skip
    rows = []
    for t in range(1, rounds + 1):
        patience = timeout + 120
        there.wait_for(lambda t=t: len(lines(report)) >= t, f"round {t} of {rule}", patience)
        line = json.loads(lines(report)[t - 1])
        who = sorted(there.nodes.index(node) for node in line["answered"])
        seconds = line["arrived"] - (rows[-1]["arrived"] if rows else sent)
        say(f"       {rule}, round {t}: {len(who)} answers in {seconds:.1f} s")
        metrics = line["metrics"]
        trust = [metrics.get(f"trust/{node}", np.nan) for node in there.nodes[desks - liars :]]
        rows.append(line | {"rule": rule, "who": who, "seconds": seconds,
                            "trust in liars": sum(trust)})  # fmt: skip
        if t == rounds // 2 and killed is not None:
            there.kill(killed)
            say(f"       node {killed} is cut off")
    there.wait_for(lambda: entry(there, run)["status"].startswith("finished"), f"end of {rule}")
    about = entry(there, run)
    if about["status"] != "finished:completed":
        raise RuntimeError(f"{rule} ended as {about['status']}:\n{there.log()[-2000:]}")
    traffic = {"bytes": about["network-traffic"]["total-bytes"]}
    traffic |= {f"{who} seconds": s for who, s in
                [(k.split("-")[0], v) for k, v in about["compute-time"].items()]}  # fmt: skip
    return [row | traffic for row in rows]


def entry(there, run):
    """What the SuperLink knows of a run."""
    (found,) = [entry for entry in there.flwr("list")["runs"] if entry["run-id"] == run]
    return found


def lines(report):
    """The whole lines of a file that somebody is writing."""
    return report.read_text().split("\n")[:-1] if report.exists() else []


def simulated(rule, rounds, desks, liars):
    """The parameters after each round, in this process; `rounds` lists the desks that answered."""
    clients, _ = app.task(desks)
    theta = app.start()
    for who in rounds:
        training = ByzantineFL(
            app.MODEL,
            [clients[k] for k in who],
            RULES[RULE_OF.get(rule, rule)],
            liars,
            app.ATTACK,
            byzantine=[i for i, k in enumerate(who) if k >= desks - liars],
            learning_rate=app.LEARNING_RATE,
            local_steps=app.LOCAL_STEPS,
            weighted=rule == "FedAvg",
        )
        theta = training.run(1, rng=0, start=theta).theta
        yield theta


def compared(rows, desks, liars):
    """The rounds beside those of `simulated`, with accuracies: a DataFrame, a row a round."""
    _, (X, y) = app.task(desks)
    rows["accuracy"] = [accuracy(y, app.MODEL.predict(np.array(t), X)) for t in rows["theta"]]
    rows["majority share"] = majority_share(y)
    for rule, own in rows.groupby("rule", sort=False):
        again = simulated(rule, own["who"], desks, liars)
        off = [np.abs(np.array(t) - theta).max() for t, theta in zip(own["theta"], again)]
        rows.loc[own.index, "difference"] = off
    rows["answers"] = rows["who"].map(len)
    rows["first liar"] = desks - liars
    rows["desks"] = rows["who"].map(lambda who: " ".join(map(str, who)))
    return rows[COLUMNS]


def about():
    """The versions behind the numbers."""
    versions = {
        name: importlib.metadata.version(name) for name in ("flwr", "numpy", "cryptography")
    }
    return versions | {"python": platform.python_version(), "cores": os.cpu_count()}


def main(arguments=None):
    """Run the experiment, print it, and keep it where --record says."""
    parser = argparse.ArgumentParser(prog="python -m examples.federation", description=HEAD)
    parser.add_argument("--record", type=Path, metavar="FOLDER")
    record = parser.parse_args(arguments).record
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    table = experiment()
    shown = ["rule", "round", "answers", "seconds", "accuracy", "majority share", "difference"]
    print(table[shown].to_string(index=False, float_format="{:.3g}".format))
    if record:
        kept = table.assign(**about()).to_csv(index=False, float_format="%.6g")
        (record / "federation.csv").write_text(KEPT + kept, encoding="utf-8")
    if table["difference"].max() > 1e-6:
        sys.exit("the network and the simulation differ by more than 1e-6")


if __name__ == "__main__":
    main()
