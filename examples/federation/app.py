"""What the server runs and what each node runs: a Flower app, `flwr run examples/federation`.

Desks learn from simulated candles whether the next one moves more than most. A node is told which
desk it is, and whether it lies: --node-config "desk=3 lies=false". In Flower's own simulation each
node has a partition, which is its desk then, and the last f lie.
"""

import functools
import json
import time

import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

from byzlib.aggregators import RULES
from byzlib.attacks import local_sign_flip
from byzlib.federated import SimpleModel, split_iid
from byzlib.federated.flower import RobustStrategy, client_app, lying, simple_training
from byzlib.market import dataset, load_sample, standardize, walk_forward

MODEL = SimpleModel(9, 16, 2)
LEARNING_RATE, LOCAL_STEPS = 0.5, 20
ATTACK = functools.partial(local_sign_flip, scale=5.0)


def task(desks):
    """Clients, one a desk, and the candles of a later time, (X, y), on which the server tests."""
    candles = load_sample("BTCUSDT")
    (fold, *_) = walk_forward(candles.index, "30D", "15D", purge="10min")
    X, y, times = dataset(candles, extended=True, task="volatility", fold=fold)
    before, after = fold.train_mask(times), fold.test_mask(times)
    X_train, X_test = standardize(X[before], X[after])
    return split_iid(X_train, y[before], desks, rng=0), (X_test, y[after])


def start():
    """The parameters that training begins with."""
    return MODEL.init(np.random.default_rng(0))


def told_to(context):
    """The training of a node: honest, or not."""
    n, f, node = context.run_config["nodes"], context.run_config["f"], context.node_config
    desk = node["desk"] if "desk" in node else node["partition-id"]
    honest = simple_training(
        MODEL, lambda _: task(n)[0][desk], LEARNING_RATE, local_steps=LOCAL_STEPS
    )
    return lying(honest, ATTACK, n, f) if node.get("lies", desk >= n - f) else honest


client = client_app(lambda model, context, t: told_to(context)(model, context, t))
server = ServerApp()


@server.main()
def main(grid, context):
    """Train, and write a line about each round into the report."""
    told = context.run_config
    # All who are there take part, and it goes on when one has left.
    options = {"min_train_nodes": 1, "min_available_nodes": 1, "fraction_evaluate": 0.0}
    if told["rule"] == "FedAvg":
        strategy = FedAvg(**options)
    else:
        strategy = RobustStrategy(RULES[told["rule"]], told["f"], **options)
    aggregate_train = strategy.aggregate_train

    def reported(server_round, replies):
        arrived, replies = time.time(), list(replies)
        good = [reply for reply in replies if reply.has_content()]
        arrays, metrics = aggregate_train(server_round, replies)
        line = {
            "round": server_round,
            "arrived": arrived,
            "seconds of the rule": time.time() - arrived,
            "answered": [reply.metadata.src_node_id for reply in good],
            "metrics": dict(metrics or {}),
            "theta": None if arrays is None else arrays["theta"].numpy().tolist(),
        }
        if told["report"]:
            with open(told["report"], "a", encoding="utf-8") as report:
                report.write(json.dumps(line) + "\n")
        return arrays, metrics

    strategy.aggregate_train = reported
    first = ArrayRecord({"theta": Array(start())})
    strategy.start(grid, first, num_rounds=told["rounds"], timeout=told["timeout"])
