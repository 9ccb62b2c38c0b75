"""Time a round of training beside byzfl's, stacked seeds beside single runs, and a simulated year.

Ten clients, three of whom flip the sign of the honest average; 200 samples a client. A round is
that of a 4-128-3 network on full batches, without the record of who was trusted, which byzfl does
not keep, and once with it; byzfl computes in float32, and its parameters are compared with ours.
A run with byzfl at hand renews results/training.csv.
"""

import argparse
import functools
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.clock import Runner, take_turns
from byzlib.aggregators import mean, trimmed_mean
from byzlib.attacks import sign_flip
from byzlib.experiments import planted
from byzlib.federated import ByzantineFL, Client, SimpleModel
from byzlib.market import simulate

FOLDER = Path(__file__).parent
RULES = {"mean": (mean, "Average", {}), "trimmed_mean": (trimmed_mean, "TrMean", {"f": 3})}
N, F, SAMPLES, SIZES, RATE = 10, 3, 200, (4, 128, 3), 0.1
ROUNDS = 50
TURNS = 9


def training(rule, dtype="float64", sizes=SIZES, **settings):
    """The setting of the benchmark; simulated samples without a signal."""
    rng = np.random.default_rng(0)
    clients = [
        Client(rng.standard_normal((SAMPLES, sizes[0])), rng.integers(0, sizes[2], SAMPLES))
        for _ in range(N)
    ]
    model = SimpleModel(*sizes, dtype=np.dtype(dtype))
    return ByzantineFL(model, clients, rule, F, sign_flip, learning_rate=RATE, **settings)


def to_torch(theta):
    """byzlib's parameters in the order of torch: each layer's weights turned, then its biases."""
    p, hidden, classes = SIZES
    first, second = np.split(theta, [(p + 1) * hidden])
    first, second = first.reshape(p + 1, hidden), second.reshape(hidden + 1, classes)
    return np.concatenate([part.T.ravel() for w in (first, second) for part in (w[:-1], w[-1])])


def byzfl_rounds(name, parameters, learning, theta):
    """A function that trains ROUNDS rounds with byzfl's clients, attack and server."""
    import byzfl
    import torch
    from byzfl.fed_framework import models
    from torch.utils.data import DataLoader, TensorDataset

    p, hidden, classes = SIZES
    models.benchmark_network = lambda: torch.nn.Sequential(
        torch.nn.Linear(p, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes)
    )
    common = {
        "model_name": "benchmark_network", "device": "cpu", "optimizer_name": "SGD",
        "learning_rate": RATE, "weight_decay": 0.0, "milestones": [], "learning_rate_decay": 1.0,
    }  # fmt: skip
    of_client = {
        "loss_name": "CrossEntropyLoss", "LabelFlipping": False, "nb_labels": classes,
        "momentum": 0.0, "store_per_client_metrics": False,
    }  # fmt: skip

    def loader(client):
        samples = torch.from_numpy(client.X).float(), torch.from_numpy(client.y)
        return DataLoader(TensorDataset(*samples), batch_size=SAMPLES)

    clients = [
        byzfl.Client(common | of_client | {"training_dataloader": loader(client)})
        for client in learning.clients[: N - F]
    ]
    rule = {"aggregator_info": {"name": name, "parameters": parameters}, "pre_agg_list": []}
    server = byzfl.Server(common | rule | {"test_loader": loader(learning.clients[0])})
    liars = byzfl.ByzantineClient({"name": "SignFlipping", "f": F, "parameters": {}})
    start = torch.from_numpy(to_torch(theta)).float()

    def run():
        server.set_parameters(start)
        for _ in range(ROUNDS):
            for client in clients:
                client.set_model_state(server.get_dict_parameters())
                client.compute_gradients()
            honest = [client.get_flat_gradients_with_momentum() for client in clients]
            server.update_model_with_gradients(honest + liars.apply_attack(honest))
        return server.get_flat_parameters().numpy()

    return run


def round_rows(rule, peer):
    """One round of byzlib's in float64 and float32, and of byzfl's."""
    function, name, parameters = RULES[rule]
    fl, single = training(function), training(function, "float32")
    runners = [
        Runner("byzlib", "byzlib", lambda: fl.run(ROUNDS, 0, trust=False).theta),
        Runner("byzlib (float32)", "byzlib", lambda: single.run(ROUNDS, 0, trust=False).theta),
        Runner("byzlib, with trust", "byzlib", lambda: fl.run(ROUNDS, 0).theta),
    ]
    if peer:
        run = byzfl_rounds(name, parameters, fl, fl.model.init(0))
        runners.append(Runner("byzfl", "peer", run, "float32"))
    ours, *others = timed(runners)
    for runner, theta in zip(runners[1:], others):
        wanted = ours if runner.kind == "byzlib" else to_torch(ours)
        np.testing.assert_allclose(theta, wanted, rtol=0, atol=1e-4)
    return rows_of(runners, {"what": "a round", "rule": rule, "sizes": "4-128-3"})


def seed_rows(rule):
    """Ten seeds in one stacked run, and one after the other."""
    rows = []
    for sizes, batch_size in ((SIZES, None), ((8, 16, 3), 32)):
        fl = training(RULES[rule][0], sizes=sizes, batch_size=batch_size)
        rows += side_by_side(
            lambda fl=fl: fl.run(ROUNDS, seeds=10).theta,
            lambda fl=fl: [fl.run(ROUNDS, seed).theta for seed in range(10)],
            {"rule": rule, "sizes": "-".join(map(str, sizes))},
        )
    # With its drawing of samples and its test.
    cell = functools.partial(planted, rule=rule.replace("_", " "), attack="sign flip", f=F)
    return rows + side_by_side(
        lambda: cell(range(10), rounds=ROUNDS)["loss"],
        lambda: np.concatenate([cell([seed], rounds=ROUNDS)["loss"] for seed in range(10)]),
        {"rule": rule, "sizes": "8-16-3, experiments.planted"},
    )


def side_by_side(together, apart, about):
    """Rows of the stacked run and of the ten; their answers are the same."""
    runners = [Runner("stacked", "byzlib", together), Runner("ten runs", "byzlib", apart)]
    stacked, singles = timed(runners)
    np.testing.assert_allclose(stacked, singles, rtol=0, atol=1e-12)
    return rows_of(runners, {"what": "ten seeds"} | about)


def market_rows(days=365):
    """A year of candles, and the drawing of its random numbers: 64 a candle, half the market's."""

    def draw():
        rng = np.random.default_rng(0)
        for _ in ("symbol", "market"):
            n = 288 * days
            rng.standard_normal((n, 14)), rng.standard_exponential((n, 17)), rng.chisquare(11, n)

    runners = [Runner("byzlib", "byzlib", lambda: simulate("BTCUSDT", days, 0)),
               Runner("random numbers", "yardstick", draw)]  # fmt: skip
    timed(runners)
    return rows_of(runners, {"what": f"{days} simulated days"}, rounds=1)


def timed(runners):
    """Everybody's answer; their seconds are kept in the runners."""
    answers = [runner.first() for runner in runners]
    for runner in runners:
        runner.plan(TURNS, share=1.5)
    take_turns(runners)
    return answers


def rows_of(runners, about, rounds=ROUNDS):
    """Rows in milliseconds a round."""
    rows = [about | runner.row(runners[0]) for runner in runners]
    return [row | {"ms": row["ms"] / rounds} for row in rows]


def main(arguments=None):
    """Measure, print, and write what is whole."""
    parser = argparse.ArgumentParser(prog="benchmarks.training")
    parser.add_argument("--save", type=Path, default=FOLDER, help="write results to this folder")
    folder = parser.parse_args(arguments).save / "results"
    peer = importlib.util.find_spec("byzfl") is not None
    rows = [line for rule in RULES for line in round_rows(rule, peer) + seed_rows(rule)]
    table = pd.DataFrame(rows + market_rows()).drop(columns=["agrees", "note", "copies"])
    print(table.drop(columns=["kind", "turns"]).to_string(index=False, na_rep=""))
    if peer:
        folder.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / "training.csv", index=False, float_format="%.4g")
    else:
        print("Nothing was written: only a run with byzfl replaces the results.")


if __name__ == "__main__":
    main()
