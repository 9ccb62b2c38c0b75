"""What happened in a training: measurements by round, the end, and who was trusted."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass
class History:
    """What happened in a run, or in a stack of runs that differ in their seed.

    Attributes
    ----------
    columns : dict of (k,) arrays round, metric, value, and run (the place of its seed) for a stack:
        a measurement a place. A run that diverged has none from that round on.
    theta : (d,) array, the parameters at the end; (S, d) for a stack of S seeds
    trust : (rounds, n) array, how much each client counted in each round; NaN where the rule does
        not say; (S, rounds, n) for a stack
    age : (rounds, n) array, by how many rounds each client's answer was late, 0 where it was fresh,
        NaN where the rule got none; (S, rounds, n) for a stack
    skipped : (rounds,) bool array, where so few answered that the rule refused them; (S, rounds)
    diverged_at : int or None, the round in which numbers stopped being finite; a list of them for a
        stack
    reason : str or None, what stopped being finite in that round; a list of them for a stack
    seeds : tuple of the seeds of a stack, None for a single run
    """

    columns: dict
    theta: np.ndarray
    trust: np.ndarray
    age: np.ndarray
    skipped: np.ndarray
    diverged_at: object = None
    reason: object = None
    seeds: tuple | None = None

    @cached_property
    def table(self):
        """All measurements, tidy: a DataFrame with columns round, metric, value, and seed."""
        import pandas as pd  # a second, which who asks for `final` alone need not wait

        table = pd.DataFrame(self.columns)
        if self.seeds is None:
            return table
        seed = np.array([*self.seeds, None], dtype=object)[:-1][table.pop("run")]
        return table.assign(seed=pd.Series(seed, dtype=object).infer_objects())

    def __len__(self):
        """How many runs there are."""
        return 1 if self.seeds is None else len(self.seeds)

    def __getitem__(self, k):
        """The k-th run of a stack, as the History of a single run."""
        if self.seeds is None:
            raise TypeError("a single run cannot be indexed; only a History of several seeds can")
        mine = self.columns["run"] == range(len(self))[k]
        columns = {name: column[mine] for name, column in self.columns.items() if name != "run"}
        arrays = (array[k] for array in (self.theta, self.trust, self.age, self.skipped))
        return History(columns, *arrays, self.diverged_at[k], self.reason[k])

    def curve(self, metric):
        """One metric by round: a Series, or a DataFrame with one column a seed.

        KeyError names the metrics there are. A diverged run's column is NaN from its round on.
        """
        rows = self.table[self._of(metric)]
        if self.seeds is None:
            return rows.set_index("round")["value"].rename(metric)
        wide = rows.pivot(index="round", columns="seed", values="value")
        return wide.reindex(columns=list(self.seeds)).rename_axis(columns="seed")

    def final(self, metric):
        """The last value of a metric, NaN for a run that diverged; (S,) for a stack."""
        if self.seeds is not None:
            return np.array([self[k].final(metric) for k in range(len(self))])
        if self.diverged_at is not None:
            return float("nan")
        return float(self.columns["value"][self._of(metric)][-1])

    def _of(self, metric):
        """Where the measurements of a metric stand."""
        here = self.columns["metric"] == metric
        if not here.any():
            raise KeyError(f"no metric {metric!r}; there are {sorted(set(self.columns['metric']))}")
        return here


class Recorder:
    """Collects the measurements of a stack of runs while they go on."""

    def __init__(self, seeds, rounds, n):
        self.trust, self.age = np.full((2, len(seeds), rounds, n), np.nan)
        self.skipped = np.zeros((len(seeds), rounds), bool)
        self.diverged_at = [None] * len(seeds)
        self.reason = [None] * len(seeds)
        self._seeds = seeds
        self._rows = []  # (round, metric, places of the seeds, values)

    def add(self, t, metric, runs, values):
        """One value of a metric for each of the given runs."""
        self._rows.append((t, metric, np.array(runs), np.asarray(values, dtype=float)))

    def end(self, t, run, reason):
        """This run ended in round t."""
        self.diverged_at[run], self.reason[run] = t, reason

    def history(self, theta, single):
        """Everything as a `History`; of one run when `single`."""
        sizes = [len(runs) for _, _, runs, _ in self._rows]
        columns = {
            "round": np.repeat([row[0] for row in self._rows], sizes).astype(int),
            "metric": np.repeat([row[1] for row in self._rows], sizes).astype(object),
            "value": np.concatenate([np.empty(0), *(row[3] for row in self._rows)]),
            "run": np.concatenate([np.empty(0, int), *(row[2] for row in self._rows)]),
        }
        arrays = theta, self.trust, self.age, self.skipped
        stack = History(columns, *arrays, self.diverged_at, self.reason, self._seeds)
        return stack[0] if single else stack
