"""Time a round of federated training beside byzfl's, and ten stacked seeds beside ten runs.

Usage: python -m benchmarks.training [--threads 1 2] [--save FOLDER]

Ten clients, seven of them honest, three flip the sign of the honest average; a 4-128-3 network of
1,027 parameters, 200 samples a client, full batches. A round is timed without the record of who
was trusted, which byzfl does not keep, and once with it. Ten seeds are timed with that network and
a smaller one, with full batches and with batches of 32, and as the book's tables train them: a
whole cell of `trials.planted`, each seed with clients and test samples of its own. byzfl computes
in float32, its clients and liars are its own, and its parameters after the rounds are compared with
byzlib's. Everybody has turns in one process, one process for each number of BLAS threads. A whole
run, with byzfl at hand, renews results/training.csv.
"""

import argparse
import functools
import importlib.util
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.clock import Runner, best_threads, row, take_turns
from byzlib.aggregators import mean, trimmed_mean
from byzlib.attacks import sign_flip
from byzlib.experiments import ROUNDS as TABLE_ROUNDS
from byzlib.experiments import planted
from byzlib.federated import ByzantineFL, Client, SimpleModel

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


def byzfl_rounds(name, parameters, learning, theta):
    """A function that trains ROUNDS rounds with byzfl's clients, attack and server."""
    import byzfl
    import torch
    from byzfl.fed_framework import models
    from torch.utils.data import DataLoader, TensorDataset

    p, hidden, classes = SIZES

    def network():
        layers = torch.nn.Linear(p, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes)
        return torch.nn.Sequential(*layers)

    models.benchmark_network = network
    common = {
        "model_name": "benchmark_network",
        "device": "cpu",
        "optimizer_name": "SGD",
        "learning_rate": RATE,
        "weight_decay": 0.0,
        "milestones": [],
        "learning_rate_decay": 1.0,
    }

    def loader(client):
        samples = torch.from_numpy(client.X).float(), torch.from_numpy(client.y)
        return DataLoader(TensorDataset(*samples), batch_size=SAMPLES)

    clients = [
        byzfl.Client(
            common
            | {
                "loss_name": "CrossEntropyLoss",
                "LabelFlipping": False,
                "nb_labels": classes,
                "momentum": 0.0,
                "store_per_client_metrics": False,
                "training_dataloader": loader(client),
            }
        )
        for client in learning.clients[: N - F]
    ]
    server = byzfl.Server(
        common
        | {
            "test_loader": loader(learning.clients[0]),
            "aggregator_info": {"name": name, "parameters": parameters},
            "pre_agg_list": [],
        }
    )
    liars = byzfl.ByzantineClient({"name": "SignFlipping", "f": F, "parameters": {}})
    first, second = learning.model._split(theta)
    layers = [first[:-1].T, first[-1], second[:-1].T, second[-1]]
    start = torch.from_numpy(np.concatenate([layer.ravel() for layer in layers])).float()

    def run():
        server.set_parameters(start)
        for _ in range(ROUNDS):
            for client in clients:
                client.set_model_state(server.get_dict_parameters())
                client.compute_gradients()
            honest = [client.get_flat_gradients_with_momentum() for client in clients]
            server.update_model_with_gradients(honest + liars.apply_attack(honest))
        flat = server.get_flat_parameters().numpy()
        parts = np.split(flat, np.cumsum([layer.size for layer in layers])[:-1])
        turned = [part.reshape(layer.shape).T for part, layer in zip(parts, layers)]
        return np.concatenate([part.ravel() for part in turned])

    return run


def round_rows(rule, peer):
    """One round of byzlib's in float64 and float32, and of byzfl's."""
    function, name, parameters = RULES[rule]
    fl = training(function)
    theta = fl.model.init(0)
    single = training(function, "float32")
    runners = [
        Runner("byzlib", "byzlib", lambda: fl.run(ROUNDS, 0, trust=False).theta),
        Runner("byzlib (float32)", "byzlib", lambda: single.run(ROUNDS, 0, trust=False).theta),
        Runner("byzlib, with trust", "byzlib", lambda: fl.run(ROUNDS, 0).theta),
    ]
    if peer:
        run = byzfl_rounds(name, parameters, fl, theta)
        runners.append(Runner("byzfl", "peer", run, "float32"))
    answers = timed(runners, runners[3:])
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=0, atol=1e-4)
    rows = [row(runner, runners[0]) for runner in runners]
    for line in rows:
        line["ms"] /= ROUNDS
    if peer:
        same_type = row(runners[3], runners[1])
        rows[-1] |= {f"{key}_float32": same_type[key] for key in ("ratio", "ratio_low")}
    return [{"what": "a round", "rule": rule, "sizes": "4-128-3"} | line for line in rows]


def seed_rows(rule, sizes, batch_size):
    """Ten seeds in one stacked run, and one after the other."""
    fl = training(RULES[rule][0], sizes=sizes, batch_size=batch_size)
    of = "-".join(map(str, sizes)) + (f", batches of {batch_size}" if batch_size else "")
    return side_by_side(
        lambda: fl.run(ROUNDS, seeds=10).theta,
        lambda: [fl.run(ROUNDS, seed).theta for seed in range(10)],
        ROUNDS,
        {"what": "ten seeds", "rule": rule, "sizes": of},
    )


def cell_rows(rule):
    """Ten seeds of a cell of the book's tables, its drawing of samples and its test included."""
    cell = functools.partial(
        planted, rule=rule.replace("_", " "), attack="sign flip", f=F, rounds=TABLE_ROUNDS
    )
    return side_by_side(
        lambda: cell(range(10))["loss"],
        lambda: np.concatenate([cell([seed])["loss"] for seed in range(10)]),
        TABLE_ROUNDS,
        {"what": "ten seeds", "rule": rule, "sizes": "8-16-3, a cell of the tables"},
    )


def side_by_side(together, apart, rounds, about):
    """Rows of the stacked run and of the ten, milliseconds a round; their answers are the same."""
    runners = [Runner("stacked", "byzlib", together), Runner("ten runs", "byzlib", apart)]
    stacked, singles = timed(runners)
    np.testing.assert_allclose(stacked, singles, rtol=0, atol=1e-12)
    rows = [row(runner, runners[0]) for runner in runners]
    for line in rows:
        line["ms"] /= rounds
    return [about | line for line in rows]


def timed(runners, on_torch=()):
    """Everybody's answer; their seconds are kept in the runners."""
    answers = []
    for runner in runners:
        runner.turns = TURNS
        answer, first = best_threads(runner) if runner in on_torch else runner.first()
        runner.plan(first, share=1.5)
        answers.append(answer)
    take_turns(runners)
    return answers


def measure(peer):
    """All rows of one process."""
    rows = [line for rule in RULES for line in round_rows(rule, peer)]
    for rule in RULES:
        for sizes, batch_size in itertools.product([SIZES, (8, 16, 3)], [None, 32]):
            rows += seed_rows(rule, sizes, batch_size)
        rows += cell_rows(rule)
    return pd.DataFrame(rows)


def in_processes(threads):
    """The table, from one process for each number of threads."""
    tables = []
    for count in threads:
        names = "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BYZLIB_THREADS"
        environment = os.environ | dict.fromkeys(names, str(count))
        command = [sys.executable, "-m", "benchmarks.training", "--here"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        table = pd.read_csv(io.StringIO(done.stdout))
        table.insert(0, "blas_threads", count)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def main(arguments=None):
    """Measure, print, and write what is whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--save", type=Path, default=FOLDER, help="write results to this folder")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    peer = importlib.util.find_spec("byzfl") is not None
    if options.here:
        print(measure(peer).to_csv(index=False, float_format="%.4g"), end="")
        return
    table = in_processes(options.threads)
    print(table.drop(columns=["kind", "turns"]).to_string(index=False, na_rep=""))
    if peer and options.threads == [1, 2]:
        results = options.save / "results"
        results.mkdir(parents=True, exist_ok=True)
        table.to_csv(results / "training.csv", index=False)
    else:
        print("Nothing was written: only a whole run with byzfl replaces the results.")


if __name__ == "__main__":
    main()
