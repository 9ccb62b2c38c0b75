"""What happened in a training: measurements by round, the end, and who was trusted."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass
class History:
    """What happened in a run, or in a stack of runs that differ in their seed.

    Attributes
    ----------
    table : DataFrame with columns round, metric, value, and seed for a stack: tidy, one row a
        measurement. A run that diverged has no rows from that round on.
    theta : (d,) array, the parameters at the end; (S, d) for a stack of S seeds
    trust : (rounds, n) array, how much each client counted in each round; NaN where the rule does
        not say or the client was not asked; (S, rounds, n) for a stack
    diverged_at : int or None, the round in which numbers stopped being finite; a list of them for a
        stack
    reason : str or None, what stopped being finite in that round; a list of them for a stack
    seeds : tuple of the seeds of a stack, None for a single run
    """

    table: pd.DataFrame
    theta: np.ndarray
    trust: np.ndarray
    diverged_at: object = None
    reason: object = None
    seeds: tuple | None = None

    def __len__(self):
        """How many runs there are."""
        return 1 if self.seeds is None else len(self.seeds)

    def __getitem__(self, k):
        """The k-th run of a stack, as the History of a single run."""
        if self.seeds is None:
            raise TypeError("a single run cannot be indexed; only a History of several seeds can")
        mine = self.table[self.table["seed"] == self.seeds[k]].drop(columns="seed")
        return History(
            mine.reset_index(drop=True),
            self.theta[k],
            self.trust[k],
            self.diverged_at[k],
            self.reason[k],
        )

    def curve(self, metric):
        """One metric by round: a Series, or a DataFrame with one column a seed.

        KeyError names the metrics there are. A diverged run's column is NaN from its round on.
        """
        rows = self.table[self.table["metric"] == metric]
        if rows.empty:
            raise KeyError(f"no metric {metric!r}; there are {sorted(set(self.table['metric']))}")
        if self.seeds is None:
            return rows.set_index("round")["value"].rename(metric)
        wide = rows.pivot(index="round", columns="seed", values="value")
        return wide.reindex(columns=pd.Index(self.seeds, name="seed"))

    def final(self, metric):
        """The last value of a metric, NaN for a run that diverged; (S,) for a stack."""
        if self.seeds is not None:
            return np.array([self[k].final(metric) for k in range(len(self))])
        return float("nan") if self.diverged_at is not None else float(self.curve(metric).iloc[-1])


class Recorder:
    """Collects the measurements of a stack of runs while they go on."""

    def __init__(self, seeds, rounds, n):
        self.trust = np.full((len(seeds), rounds, n), np.nan)
        self.diverged_at = [None] * len(seeds)
        self.reason = [None] * len(seeds)
        self._seeds = seeds
        self._rows = []  # (round, metric, positions of the seeds, values)

    def add(self, t, metric, runs, values):
        """One value of a metric for each of the given runs."""
        self._rows.append((t, metric, np.array(runs), np.asarray(values, dtype=float)))

    def stop(self, t, runs, reason):
        """These runs ended in round t."""
        for k in runs:
            self.diverged_at[k], self.reason[k] = t, reason

    def history(self, theta, single):
        """Everything as a `History`; of one run when `single`."""
        sizes = [len(runs) for _, _, runs, _ in self._rows]
        table = pd.DataFrame(
            {
                "round": np.repeat([row[0] for row in self._rows], sizes).astype(int),
                "metric": np.repeat([row[1] for row in self._rows], sizes).astype(object),
                "value": np.concatenate([np.empty(0), *(row[3] for row in self._rows)]),
            }
        )
        if single:
            return History(table, theta[0], self.trust[0], self.diverged_at[0], self.reason[0])
        runs = np.concatenate([np.empty(0, int), *(row[2] for row in self._rows)])
        seed = np.array([*self._seeds, None], dtype=object)[:-1][runs]
        table["seed"] = pd.Series(seed, dtype=object).infer_objects()
        return History(table, theta, self.trust, self.diverged_at, self.reason, self._seeds)
