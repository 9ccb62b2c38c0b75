"""One round of federated training, for a stack of runs at once.

Arrays have the runs that still go on as their leading axis: answers (R, n, d) of n clients.
"""

import numpy as np

from byzlib.federated.clients import stack
from byzlib.theory import as_number, free_parameters


class Rounds:
    """A stack of S runs in progress. One whose numbers stop being finite ends; the others go on.

    Parameters
    ----------
    setting : ByzantineFL
    generators : list of S generators
    record : Recorder
    start : (d,) or (S, d) array_like, or None for the model's own
    single : bool
        Whether rule and attack see (n, d) of one run, or a stack of them.
    trust : bool
        Whether the rule is asked whom it trusted.
    """

    def __init__(self, setting, generators, record, start, single, trust):
        self.setting, self.generators, self.record = setting, generators, record
        self.single = single
        self.runs = np.arange(len(generators))  # those that go on
        self.theta = self._first_models(start)
        self.rule_takes = free_parameters(setting.rule)
        self.rule_takes &= {"f", "weights", "center", "rng", "return_weights"}
        self.rule_takes -= {"weights"} if not setting.weighted else set()
        self.rule_takes -= {"return_weights"} if not trust else set()
        self.attack_takes = free_parameters(setting.attack) & {"rng", "round", "own", "history"}
        self.byzantine = setting.byzantine
        self.honest = np.setdiff1d(np.arange(setting.n), self.byzantine)
        # Liars that make their lies of other people's answers need none of their own.
        idle = setting.attack and not self.attack_takes & {"own", "history"}
        self.heard = self.honest if idle else np.arange(setting.n)
        runs, d = self.theta.shape
        self.momentum = np.zeros((runs, len(self.heard), d), self.theta.dtype)
        self.last = np.zeros_like(self.theta)
        self.history = []
        self._collect_samples()

    def step(self, t):
        """Round t, counted from 1: answers, lies, the rule, and a step of the model."""
        rate = self._rate(t)
        with np.errstate(over="ignore", invalid="ignore"):
            answers = self._answers(rate)
            honest = answers.take(self.honest, axis=1)
            broken = ~np.isfinite(honest).all(axis=(1, 2))
            keep = self.stop(t, dict.fromkeys(np.flatnonzero(broken), "an honest answer"))
            answers, honest = answers[keep], honest[keep]
            if not len(self.runs):
                return
            updates = self._attacked(answers, honest, t)
        step, trust, refused = self._aggregated(updates)
        self.record.trust[self.runs, t - 1] = trust
        keep = self.stop(t, refused)
        with np.errstate(over="ignore", invalid="ignore"):
            self.theta[self.runs] -= rate * step[keep]
            self.last[self.runs] = step[keep]
            away = step - honest.mean(axis=1, dtype=float)
            distance = np.linalg.norm(away, axis=-1)[keep]
        broken = ~np.isfinite(self.theta[self.runs]).all(axis=-1)
        keep = self.stop(t, dict.fromkeys(np.flatnonzero(broken), "the parameters"))
        self.record.add(t, "distance to honest mean", self.runs, distance[keep])

    def stop(self, t, reasons):
        """End runs, {place among those that go on: why}; the index that keeps the others."""
        if not reasons:
            return slice(None)
        keep = ~np.isin(np.arange(len(self.runs)), list(reasons))
        for place, reason in reasons.items():
            self.record.stop(t, self.runs[place], reason)
        self.runs = self.runs[keep]
        if not self.single:
            self.history = [own[keep] for own in self.history]
        return keep

    def _first_models(self, start):
        model, runs = self.setting.model, len(self.generators)
        if start is None:
            return np.stack([model.init(rng) for rng in self.generators])
        start = np.asarray(start)
        start = start if start.dtype in (np.float32, np.float64) else start.astype(float)
        d = model.n_parameters
        if start.shape not in ((d,), (runs, d)) or not np.isfinite(start).all():
            raise ValueError(
                f"a run starts from finite parameters ({d},) or ({runs}, {d}); "
                f"got shape {start.shape}"
            )
        return np.broadcast_to(start, (runs, d)).copy()

    def _rate(self, t):
        rate = self.setting.learning_rate
        return as_number(rate(t), "learning_rate", "ByzantineFL") if callable(rate) else rate

    # The samples

    def _collect_samples(self):
        """X (S, k, m, p), y and weight of the k clients heard; S is 1 if all runs share them."""
        clients, runs = self.setting.clients, len(self.generators)
        self.shared = not isinstance(clients[0], list | tuple)
        lists = [clients] if self.shared else clients
        if not self.shared and len(lists) != runs:
            raise ValueError(
                f"a stack needs a list for each seed, lists of clients for {runs} seeds; "
                f"got {len(lists)}"
            )
        X, y, weight = stack(lists)
        sizes = weight.sum(axis=-1, dtype=int)
        # Equal sizes as one number: the same draws in half the time.
        high = [int(own[0]) if (own == own[0]).all() else own[:, None] for own in sizes]
        self.high = high * runs if self.shared else high
        self.X = X.astype(self.theta.dtype, copy=False).take(self.heard, axis=1)
        self.y = y.take(self.heard, axis=1)
        self.weight = None if weight.all() else weight.take(self.heard, axis=1)
        claims = [[client.claimed for client in own] for own in lists]
        self.claims = np.broadcast_to(np.array(claims, float), (runs, self.setting.n))

    def _samples(self):
        """Samples of one step, X (R, k, m, p), y and weight: all, or a batch for each client."""
        everyone = self.shared or len(self.runs) == len(self.generators)
        here = slice(None) if everyone else self.runs
        if self.setting.batch_size is None:
            return self.X[here], self.y[here], None if self.weight is None else self.weight[here]
        # Liars draw too, heard or not, so that all attacks meet the same honest batches.
        size = (self.setting.n, self.setting.batch_size)
        drawn = [self.generators[run].integers(0, self.high[run], size) for run in self.runs]
        # All samples as one list of rows, which is quicker to pick from than an array of lists.
        *lead, m, p = self.X.shape
        first = np.arange(0, self.y.size, m).reshape(*lead, 1)[here]
        rows = first + np.stack(drawn).take(self.heard, axis=1)
        return self.X.reshape(-1, p).take(rows, axis=0), self.y.take(rows), None

    # What the clients send

    def _answers(self, rate):
        """What all clients would send if none of them lied, (R, n, d); zero where nobody hears."""
        steps, beta = self.setting.local_steps, self.setting.momentum
        start = local = self.theta[self.runs, None]
        for _ in range(steps):
            gradient = self.setting.model.gradient(local, *self._samples())
            local = local - rate * gradient if steps > 1 else local
        update = gradient if steps == 1 else (start - local) / rate
        shape = (len(self.runs), len(self.heard), self.theta.shape[-1])
        if np.shape(update) != shape:
            raise ValueError(
                f"a model's gradient must keep leading axes, {shape}; got {np.shape(update)}"
            )
        if beta:
            update = beta * self.momentum[self.runs] + (1 - beta) * update
            self.momentum[self.runs] = update
        answers = np.zeros((len(self.runs), self.setting.n, shape[-1]), self.theta.dtype)
        answers[:, self.heard] = update
        return answers

    def _attacked(self, answers, honest, t):
        """The updates as the server receives them: the liars' rows are what the attack says."""
        attack, f = self.setting.attack, len(self.byzantine)
        if not attack or not f:
            return answers
        own = self._trials(answers.take(self.byzantine, axis=1))
        offered = {"rng": self._rngs(self.runs), "round": t, "own": own, "history": self.history}
        wanted = {name: offered[name] for name in self.attack_takes}
        lies = attack(self._trials(honest), f, **wanted)
        if np.shape(lies) != own.shape:
            raise ValueError(
                f"an attack must return one row a liar, of shape {own.shape}; got "
                f"{np.shape(lies)}{'' if self.single else '; one for single runs needs one_by_one'}"
            )
        if "history" in self.attack_takes:
            self.history = [*self.history, own]
        answers[:, self.byzantine] = np.reshape(lies, (-1, f, answers.shape[-1]))
        return answers

    # What the server makes of it

    def _aggregated(self, updates):
        """The rule's answers (R, d), whom it trusts (R, n), and {place: why there is no answer}."""
        step = np.full_like(updates[:, 0], np.nan)
        trust, refused = np.full(updates.shape[:2], np.nan), {}
        whole = np.isfinite(updates).all(axis=(1, 2))
        # A rule may refuse broken rows, so the runs that have some are asked one at a time.
        groups = [[k] for k in np.flatnonzero(~whole)]
        if whole.any():
            groups.append(slice(None) if whole.all() else np.flatnonzero(whole))
        for group in groups:
            try:
                step[group], trust[group] = self._asked(updates[group], self.runs[group])
            except ValueError as error:
                if whole[group].all():
                    raise
                refused[group[0]] = str(error)
        return step, trust, refused

    def _asked(self, updates, runs):
        """The rule's answers to some runs, and whom it trusts, NaN where it does not say."""
        offered = {
            "f": self.setting.f,
            "weights": self._trials(self.claims[runs]),
            "center": self._trials(self.last[runs]),
            "rng": self._rngs(runs),
            "return_weights": True,
        }
        wanted = {name: offered[name] for name in self.rule_takes}
        answer = self.setting.rule(self._trials(updates), **wanted)
        silent = np.full(updates.shape[:2], np.nan)
        step, trust = answer if "return_weights" in wanted else (answer, silent)
        shape = offered["center"].shape
        if np.shape(step) != shape:
            raise TypeError(
                f"a rule must return one row a run, of shape {shape}; got {np.shape(step)}"
                f"{'' if self.single else '; one for single runs needs one_by_one'}"
            )
        return np.reshape(step, (len(runs), -1)), np.reshape(trust, (len(runs), -1))

    def _trials(self, array):
        """Rows of runs as rule and attack see them: (R, 1, ...), or (...) for a single run.

        The axis of one tells runs from clients: whoever averages over the wrong axis gets a shape
        that cannot be taken for an answer, ten runs of ten clients or not.
        """
        return array[0] if self.single else array[:, None]

    def _rngs(self, runs):
        """The generators of some runs, or the one of a single run."""
        return self.generators[0] if self.single else tuple(self.generators[run] for run in runs)
