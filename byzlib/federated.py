"""The training loop: a server, its clients, some of which lie, and a rule between them."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from byzlib._contract import apply_rule, as_count, as_generator, as_positive
from byzlib.clients import stack
from byzlib.metrics import accuracy, balanced_accuracy


@dataclass
class History:
    """What happened in a run.

    Attributes
    ----------
    table : DataFrame with columns round, metric, value: tidy, one row a measurement
    theta : (d,) array, the parameters at the end
    trust : (rounds, n) array, how much each client counted in each round; NaN where the rule does
        not say or the client was not asked
    diverged_at : int or None, the round in which the parameters stopped being finite numbers
    """

    table: pd.DataFrame
    theta: np.ndarray
    trust: np.ndarray
    diverged_at: int | None = None

    def curve(self, metric):
        """One metric by round, as a Series; KeyError names the metrics there are."""
        rows = self.table[self.table["metric"] == metric]
        if rows.empty:
            raise KeyError(f"no metric {metric!r}; there are {sorted(set(self.table['metric']))}")
        return rows.set_index("round")["value"].rename(metric)

    def final(self, metric):
        """The last value of a metric; NaN when the run diverged."""
        return float("nan") if self.diverged_at is not None else float(self.curve(metric).iloc[-1])


@dataclass
class ByzantineFL:
    """Federated training among n clients of which some are Byzantine.

    Each round the server sends theta; honest clients answer with the gradient of their own loss,
    Byzantine ones with what `attack` makes of the honest answers; the server takes the step
    theta <- theta - learning_rate * rule(updates, f).

    Parameters
    ----------
    model : SimpleModel, or any object with init(rng), gradient(theta, X, y, weight), loss, predict
    clients : list of Client
    rule : callable (updates, f) or (updates)
    f : int
        How many liars the server expects; what it tells the rule.
    attack : callable (honest, n_liars, rng) -> (n_liars, d), optional
        None: Byzantine clients answer honestly from their own data, poisoned where they poison.
    byzantine : sequence of int, optional
        Which clients lie; the last f by default. The server never reads it.
    learning_rate : float
    batch_size : int, optional
        Samples a client draws, with replacement, for each gradient; all of them by default.
    local_steps : int
        Steps a client takes alone before it answers with (theta - theta_local) / learning_rate.
    momentum : float in [0, 1)
        Each client answers with beta * last answer + (1 - beta) * update.
    participation : float in (0, 1]
        Share of the clients asked each round, drawn anew.

    One local step is FedSGD, several are FedAvg. Source: McMahan et al., AISTATS 2017.
    """

    model: object
    clients: list
    rule: object
    f: int
    attack: object = None
    byzantine: object = None
    learning_rate: float = field(kw_only=True)
    batch_size: int | None = None
    local_steps: int = 1
    momentum: float = 0.0
    participation: float = 1.0

    def __post_init__(self):
        n = len(self.clients)
        self.f = as_count(self.f, "f", "ByzantineFL")
        if not 0 <= self.f < n:
            raise ValueError(f"ByzantineFL needs 0 <= f < n; got f = {self.f}, n = {n}")
        liars = range(n - self.f, n) if self.byzantine is None else self.byzantine
        self.byzantine = np.array(sorted({as_count(i, "client", "byzantine") for i in liars}), int)
        if len(self.byzantine) and not (0 <= self.byzantine[0] and self.byzantine[-1] < n):
            raise ValueError(f"byzantine names clients 0 .. {n - 1}; got {self.byzantine.tolist()}")
        if len(self.byzantine) == n:
            raise ValueError("ByzantineFL needs at least one honest client; all are Byzantine")
        as_positive(self.learning_rate, "learning_rate", "ByzantineFL")
        if as_count(self.local_steps, "local_steps", "ByzantineFL") < 1:
            raise ValueError(f"ByzantineFL needs local_steps >= 1; got {self.local_steps}")
        if self.batch_size is not None and as_count(self.batch_size, "batch_size", "") < 1:
            raise ValueError(f"ByzantineFL needs batch_size >= 1; got {self.batch_size}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"ByzantineFL needs 0 <= momentum < 1; got {self.momentum}")
        if not 0 < self.participation <= 1:
            raise ValueError(f"ByzantineFL needs 0 < participation <= 1; got {self.participation}")

    def run(self, rounds, rng, evaluate=None, every=1):
        """Train for a number of rounds.

        Parameters
        ----------
        rounds : int
        rng : numpy.random.Generator or int
            Draws the initial parameters, then batches, participants and the attack's noise.
        evaluate : (X, y), or callable theta -> {metric: value}, optional
            Test samples give "loss", "accuracy" and "balanced accuracy".
        every : int
            Evaluate after every so many rounds, and after the last.

        Returns
        -------
        History; a run whose parameters stop being finite ends there and says in which round.
        """
        rng = as_generator(rng, "ByzantineFL.run")
        rounds = as_count(rounds, "rounds", "ByzantineFL.run")
        data = stack(self.clients)
        n = len(self.clients)
        theta = self.model.init(rng)
        answers = np.zeros((n, len(theta)))
        trust = np.full((rounds, n), np.nan)
        rows, diverged_at = [], None
        for t in range(1, rounds + 1):
            asked = self._asked(n, rng)
            with np.errstate(over="ignore", invalid="ignore"):
                answers[asked] = self._answers(theta, data, answers, rng)[asked]
                updates, honest = self._with_lies(answers, asked, rng)
            if not np.isfinite(honest).all():
                diverged_at = t
                break
            step, weights = apply_rule(self.rule, updates, self.f)
            if weights is not None:
                trust[t - 1, asked] = weights
            with np.errstate(over="ignore", invalid="ignore"):
                theta = theta - self.learning_rate * step
            if not np.isfinite(theta).all():
                diverged_at = t
                break
            if len(honest):
                gap = np.linalg.norm(step - honest.mean(axis=0))
                rows.append((t, "distance to honest mean", gap))
            if t % every == 0 or t == rounds:
                rows += [(t, name, value) for name, value in self._measure(theta, evaluate).items()]
        table = pd.DataFrame(rows, columns=["round", "metric", "value"])
        table = table.astype({"round": int, "value": float})
        return History(table, theta, trust, diverged_at)

    def _asked(self, n, rng):
        """Who takes part in this round, in ascending order."""
        if self.participation == 1.0:
            return np.arange(n)
        return np.sort(rng.choice(n, size=max(1, round(self.participation * n)), replace=False))

    def _answers(self, theta, data, last, rng):
        """What every client would send if none of them lied: (n, d), one stacked call a step."""
        local = theta
        for _ in range(self.local_steps):
            gradient = self.model.gradient(local, *self._batch(data, rng))
            local = local - self.learning_rate * gradient
        update = gradient if self.local_steps == 1 else (theta - local) / self.learning_rate
        return self.momentum * last + (1 - self.momentum) * update

    def _batch(self, data, rng):
        """Each client's samples of one step: all of them, or `batch_size` drawn from its own."""
        X, y, weight = data
        if self.batch_size is None:
            return X, y, weight
        counts = weight.sum(axis=1, dtype=int)[:, None]
        picks = rng.integers(0, counts, size=(len(y), self.batch_size))
        return X[np.arange(len(y))[:, None], picks], np.take_along_axis(y, picks, axis=1), None

    def _with_lies(self, answers, asked, rng):
        """Updates as the server receives them, and the honest ones among them."""
        updates = answers[asked]
        lies = np.isin(asked, self.byzantine)
        honest = updates[~lies]
        if self.attack is not None and lies.any() and len(honest):
            updates[lies] = self.attack(honest, int(lies.sum()), rng)
        return updates, honest

    def _measure(self, theta, evaluate):
        if evaluate is None:
            return {}
        if callable(evaluate):
            return evaluate(theta)
        X, y = evaluate
        predicted = self.model.predict(theta, X)
        return {
            "loss": self.model.loss(theta, X, y),
            "accuracy": accuracy(y, predicted),
            "balanced accuracy": balanced_accuracy(y, predicted),
        }
