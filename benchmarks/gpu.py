"""The rules on tensors of a GPU, beside others on the same tensors: runs where a GPU is.

Times are those of torch's own sort, copy and product too, of byzlib on the CPU, and of the way
there. A run renews results/gpu.csv, in the columns of the other table.
"""

import itertools
from functools import partial

import numpy as np
import pandas as pd

from benchmarks import peers, report
from benchmarks.clock import Runner, take_turns
from benchmarks.rules import DTYPES, SIZES, byzantine, byzlib_call, updates

RULES = ["median", "trimmed_mean", "mean_around_median", "krum", "multi_krum", "geometric_median",
         "nearest_neighbor_mixing", "centered_clipping"]  # fmt: skip
STACK = (1_000, 10, 195)
TURNS, SECONDS = 9, 4.0


def device_here():
    """The name of the GPU that torch sees, or None."""
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def cell(rule, x, device):
    """Rows of one rule on one array (..., n, d) that lies on the device."""
    import torch

    *trials, n, d = x.shape
    f, there = byzantine(rule, n), torch.as_tensor(x).to(device)
    calls = {"byzlib": byzlib_call(rule, there, f), "byzlib on the CPU": byzlib_call(rule, x, f)}
    calls |= {"sort": lambda: torch.sort(there, dim=-2), "copy": there.clone}
    calls |= {"Gram": lambda: there @ there.mT, "upload": lambda: torch.as_tensor(x).to(device)}
    for name in ("byzfl (torch)", "krum", "torchjd"):
        known = rule in peers.DEFINITIONS[name] and peers.package(name) not in peers.missing()
        if known and not trials and not peers.out_of_reach(name, rule, n, f, d, x.itemsize):
            calls[name] = peers.PEERS[name](there, f)[rule]

    def finished(call):
        call()
        if there.is_cuda:  # what was launched has to end before the clock stops
            torch.cuda.synchronize()

    runners = [Runner(name, device, partial(finished, call)) for name, call in calls.items()]
    for runner in runners:
        runner.definition = peers.DEFINITIONS.get(runner.name, {}).get(rule, "")
        runner.first()
        runner.plan(TURNS, SECONDS / len(runners))
    take_turns(runners)
    about = {"rule": rule, "trials": int(np.prod(trials)), "n": n, "d": d, "f": f}
    return [about | {"dtype": str(x.dtype)} | runner.row(runners[0]) for runner in runners]


def measure(device="cuda", rules=RULES, sizes=(STACK, *SIZES), dtypes=DTYPES[::-1]):
    """All rows as a DataFrame, in the columns of `report.COLUMNS`."""
    rows = []
    for (*trials, n, d), dtype, rule in itertools.product(sizes, dtypes, rules):
        rows += cell(rule, updates(n, d, dtype, byzantine(rule, n), tuple(trials)), device)
    return report.as_table(pd.DataFrame(rows))


def main():
    """Measure, print and write; or say that there is no GPU."""
    card = device_here()
    if card is None:
        print("No GPU is seen by torch here, so that the rules were not timed on one.")
        return
    table = measure()
    print(card, table[[*report.KEY, "who", "ms", "ratio"]].to_string(), sep="\n")
    path = report.FOLDER / "results/gpu.csv"
    table.assign(card=card).to_csv(path, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
