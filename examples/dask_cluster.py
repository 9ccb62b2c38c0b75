"""A grid and a report on a Dask cluster: one line sends the cells there.

    python examples/dask_cluster.py [FOLDER]

Here the cluster is two processes of this machine; Client("tcp://scheduler:8786") is one that stands
elsewhere. With a cache, FOLDER is a place that all workers can reach: each keeps its own results.
Needs: pip install "dask[distributed]"
"""

import sys

import joblib
import numpy as np
from distributed import Client, LocalCluster

from byzlib.aggregators import RULES
from byzlib.attacks import sign_flip
from byzlib.experiments import markdown, robustness_report, run_grid, wide
from byzlib.federated import SimpleModel, split_dirichlet
from byzlib.market import planted_signal


def cell(seeds, rule, scale, n=10, f=3, d=50):
    """How far a rule's answer is from the honest average under a sign flip."""
    honest = [np.random.default_rng(s).normal(1, 1, (n - f, d)) for s in seeds]
    honest = np.array(honest)
    updates = np.concatenate([honest, sign_flip(honest, f, scale=scale)], axis=1)
    answer = RULES[rule](updates) if rule in ("mean", "median") else RULES[rule](updates, f)
    return {"distance": np.linalg.norm(answer - honest.mean(axis=1), axis=-1)}


GRID = {"rule": ["mean", "Krum", "trimmed mean", "median"], "scale": [1, 10]}


def report(**options):
    """Who breaks whom among seven simulated clients with label skew; a quick look."""
    X, y = planted_signal(2100, 0.955, 1 / 3, np.random.default_rng(0))
    clients = split_dirichlet(X, y, 7, 1.0, np.random.default_rng(1))
    model = SimpleModel(8, n_hidden=0)
    attacks = ["none", "loud sign flip"]
    return robustness_report(clients, model, 1, attacks=attacks, seeds=4, rounds=40, **options)


def main(cache=None):
    """The table and the report of a cluster, beside those of this process."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster), joblib.parallel_config(backend="dask"):
            there = run_grid(cell, GRID, cache=cache)
            reported = report(cache=cache)
    here = run_grid(cell, GRID, n_jobs=1)
    print(markdown(wide(there, "distance", "rule", "scale", scale=1, digits=2)))
    print(f"\nthe cluster's table is the same: {there.equals(here)}\n")
    print(reported.markdown())
    same = np.allclose(reported.regrets, report(n_jobs=1).regrets)
    print(f"the cluster's report is the same: {same}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
