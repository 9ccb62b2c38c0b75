"""The same grid on a Dask cluster: one line sends the cells there.

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
from byzlib.experiments import markdown, run_grid, wide


def cell(seeds, rule, scale, n=10, f=3, d=50):
    """How far a rule's answer is from the honest average under a sign flip."""
    honest = [np.random.default_rng(s).normal(1, 1, (n - f, d)) for s in seeds]
    honest = np.array(honest)
    updates = np.concatenate([honest, sign_flip(honest, f, scale=scale)], axis=1)
    answer = RULES[rule](updates) if rule in ("mean", "median") else RULES[rule](updates, f)
    return {"distance": np.linalg.norm(answer - honest.mean(axis=1), axis=-1)}


GRID = {"rule": ["mean", "Krum", "trimmed mean", "median"], "scale": [1, 10]}


def main(cache=None):
    """The table of a cluster, beside that of this process."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster), joblib.parallel_config(backend="dask"):
            there = run_grid(cell, GRID, cache=cache)
    here = run_grid(cell, GRID, n_jobs=1)
    print(markdown(wide(there, "distance", "rule", "scale", scale=1, digits=2)))
    print(f"\nthe cluster's table is the same: {there.equals(here)}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
