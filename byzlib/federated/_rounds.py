"""The rounds of `ByzantineFL`, for a stack of runs at once."""

import contextlib

import numpy as np

from byzlib.federated._contract import one_by_one
from byzlib.federated.clients import is_nested, stack
from byzlib.theory import as_number, as_reals, free_parameters


class Rounds:
    """S runs in progress. A run whose numbers stop being finite ends; the others go on.

    In a round, arrays have the R runs that still go on as their leading axis. A single run is a
    stack of one, whose rule and attack are called one by one.

    Parameters
    ----------
    setting : ByzantineFL
    generators : list of S generators
    record : Recorder
    single : bool
    start : (d,) or (S, d) array_like, or None for the model's own
    trust : bool
        Whether the rule is asked whom it trusted.
    """

    def __init__(self, setting, generators, record, single, start, trust):
        self.setting, self.generators, self.record = setting, generators, record
        self.single = single
        self.model, self.rule, self.attack = setting.model, setting.rule, setting.attack
        if single:
            self.rule = one_by_one(self.rule)
            self.attack = self.attack and one_by_one(self.attack)
        offered = {"f", "center", "rng"}
        offered |= {"weights"} if setting.weighted else set()
        offered |= {"return_weights"} if trust else set()
        self.rule_takes = free_parameters(self.rule) & offered
        self.attack_takes = free_parameters(self.attack) & {"rng", "round", "own", "history"}
        self.liars = setting.byzantine
        self.honest = np.setdiff1d(np.arange(setting.n), self.liars)
        # Liars that make their lies of other people's answers compute none of their own.
        idle = self.attack and not self.attack_takes & {"own", "history"}
        self.busy = self.honest if idle else np.arange(setting.n)
        self.runs = np.arange(len(generators))  # those that go on
        self.theta = self._first_models(start)  # (S, d)
        self.last_step = np.zeros_like(self.theta)
        runs, d = self.theta.shape
        self.momentum = np.zeros((runs, len(self.busy), d), self.theta.dtype)
        self.history = []  # what the liars would have sent, (R, 1, f, d) a round
        self.past = []  # all answers of the last rounds, (R, n, d) each, if some come late
        self.samples = Samples(setting, generators, self.busy, self.theta.dtype)
        claims = [[client.claimed for client in own] for own in _lists(setting.clients)]
        # In units of the largest, for a claim may be too large for a float.
        claims = [[claim / max(own) for claim in own] for own in claims]
        self.claims = np.broadcast_to(claims, (runs, setting.n))

    def round(self, t):
        """Round t = 1, 2, ...: theta <- theta - learning_rate * rule(honest answers and lies)."""
        runs, rate = self.runs, self._rate(t)
        asked, late = self._drawn()
        answers, ended = self._answers(rate, asked)
        answers, age = self._delayed(answers, late)
        age[~asked] = np.nan
        updates = self._with_lies(answers, t)
        step, trust, refused, skipped = self._aggregated(updates, ~np.isnan(age))
        ended = refused | ended
        step[list(ended)], trust[list(ended)] = 0.0, np.nan
        theta = self.theta[runs] - rate * step
        ended |= dict.fromkeys(_broken(theta), "the parameters")

        self.theta[runs] = theta
        self.last_step[runs[~skipped]] = step[~skipped]
        record = self.record
        record.trust[runs, t - 1], record.age[runs, t - 1] = trust, age
        record.skipped[runs, t - 1] = skipped
        away = step - answers.take(self.honest, axis=1).mean(axis=1, dtype=float)
        known = self.end(t, ended) & ~skipped
        record.add(t, "distance to honest mean", runs[known], np.linalg.norm(away[known], axis=-1))

    def end(self, t, ended):
        """End runs in round t, {place among those that go on: why}; True for the others, (R,)."""
        for place, reason in ended.items():
            self.record.end(t, self.runs[place], reason)
        going = ~np.isin(np.arange(len(self.runs)), list(ended))
        self.runs = self.runs[going]
        self.history, self.past = (
            [rows[going] for rows in rounds] for rounds in (self.history, self.past)
        )
        return going

    def measure(self, t, evaluation):
        """Measure the runs that go on, after round t; one whose loss is not finite ends."""
        values = evaluation(self.theta[self.runs], self.runs) if len(self.runs) else {}
        broken = _broken(values["loss"]) if "loss" in values else []
        going = self.end(t, dict.fromkeys(broken, "the loss"))
        for name, value in values.items():
            self.record.add(t, name, self.runs, value[going])

    def _first_models(self, start):
        if start is None:
            return np.stack([self.model.init(rng) for rng in self.generators])
        theta, d = np.asarray(start), self.model.n_parameters
        theta = theta if theta.dtype == np.float32 else as_reals(start, "ByzantineFL.run")
        shape = (len(self.generators), d)
        if theta.shape not in ((d,), shape) or not np.isfinite(theta).all():
            raise ValueError(
                f"a run starts from finite parameters ({d},) or {shape}; got shape {theta.shape}"
            )
        return np.broadcast_to(theta, shape).copy()

    def _rate(self, t):
        rate = self.setting.learning_rate
        return as_rate(rate(t)) if callable(rate) else rate

    # Who answers, and what

    def _drawn(self):
        """Who is asked, and who would be late, (R, n) bool each."""
        setting, shape = self.setting, (len(self.runs), self.setting.n)
        asked, late = np.ones(shape, bool), np.zeros(shape, bool)
        for k, run in enumerate(self.runs):  # the same draws whoever lies
            if setting.asked < setting.n:
                asked[k] = self.generators[run].permutation(setting.n) < setting.asked
            if setting.late:
                late[k] = self.generators[run].random(setting.n) < setting.late
        late[:, self.liars] = False
        return asked, late

    def _delayed(self, answers, late):
        """The answers as they come in, and how many rounds old each is; NaN if it never comes."""
        delay, age = self.setting.delay, np.zeros(late.shape)
        if not self.setting.late:
            return answers, age
        if delay is None:
            age[late] = np.nan
            return answers, age
        self.past = [*self.past, answers][-delay - 1 :]
        age[late] = len(self.past) - 1
        return np.where(late[..., None], self.past[0], answers), age

    def _answers(self, rate, asked):
        """What the n clients would send if nobody lied, (R, n, d), and {place: why a run ends}.

        Zero of who is not busy; and of a run that ends, so that attack and rule meet numbers only.
        """
        theta, update = self.theta[self.runs, None], 0.0
        for _ in range(self.setting.local_steps):
            update = update + self.model.gradient(
                theta - rate * update, *self.samples.of(self.runs)
            )
        shape = (len(self.runs), len(self.busy), self.theta.shape[1])
        if np.shape(update) != shape:
            raise ValueError(
                f"a model's gradient must keep leading axes, {shape}; got {np.shape(update)}"
            )
        if beta := self.setting.momentum:
            update = beta * self.momentum[self.runs] + (1 - beta) * update
            counts = asked[:, self.busy, None]  # who is not asked has nothing to remember
            self.momentum[self.runs] = np.where(counts, update, self.momentum[self.runs])
        answers = np.zeros((shape[0], self.setting.n, shape[2]), self.theta.dtype)
        answers[:, self.busy] = update
        broken = _broken(answers.take(self.honest, axis=1))
        answers[broken] = 0.0
        return answers, dict.fromkeys(broken, "an honest answer")

    # What the server receives, and what it makes of it

    def _with_lies(self, answers, t):
        """The updates (R, n, d): the answers, but the liars' rows are what the attack says."""
        if not self.attack or not len(self.liars):
            return answers
        honest, own = (answers.take(who, axis=1)[:, None] for who in (self.honest, self.liars))
        offered = {
            "rng": tuple(self.generators[run] for run in self.runs),
            "round": t,
            "own": own,
            "history": self.history,
        }
        wanted = {name: offered[name] for name in self.attack_takes}
        lies = self.attack(honest, len(self.liars), **wanted)
        self._check("an attack must return one row a liar", lies, own.shape)
        if "history" in self.attack_takes:
            self.history = [*self.history, own]
        updates = answers.copy()
        updates[:, self.liars] = np.asarray(lies)[:, 0]
        return updates

    def _aggregated(self, updates, heard):
        """The rule's answers (R, d), whom it trusts (R, n), {place: why a run ends}, and who skips.

        heard : (R, n) bool, whose updates have come in. Runs with as many of them go together.
        """
        step, skipped, refused = np.zeros_like(updates[:, 0]), np.zeros(len(updates), bool), {}
        trust = np.full(heard.shape, 0.0 if "return_weights" in self.rule_takes else np.nan)
        counts = heard.sum(axis=1)
        for m in np.unique(counts):
            group = np.flatnonzero(counts == m)
            who = np.nonzero(heard[group])[1].reshape(len(group), m)
            rows = updates if m * len(group) == heard.size else updates[group[:, None], who]
            try:
                answer, share, why = self._of_crowd(rows, self.runs[group], who)
            except ValueError as refusal:
                if m == self.setting.asked:
                    raise
                answer, share, why = 0.0, np.nan, dict.fromkeys(range(len(group)), str(refusal))
            step[group], trust[group[:, None], who] = answer, share
            if m < self.setting.asked:  # more may answer in the next round
                skipped[group[list(why)]] = True
            else:
                refused |= {group[k]: reason for k, reason in why.items()}
        trust[skipped] = np.nan
        return step, trust, refused, skipped

    def _of_crowd(self, updates, runs, who):
        """The rule's answers to updates (R, m, d) of the clients `who`, trust, and who is refused.

        ValueError where the rule refuses updates that are all numbers.
        """
        if not updates.size:
            raise ValueError("nobody answered")
        whole = np.isfinite(updates).all(axis=(1, 2))
        if whole.all():
            return *self._asked(updates, runs, who), {}
        if "rng" not in self.rule_takes:  # what draws is not asked twice
            with contextlib.suppress(ValueError):
                return *self._asked(updates, runs, who), {}
        # The broken rows of some runs are too many for the rule: each run is asked by itself.
        step, trust = np.zeros_like(updates[:, 0]), np.full(who.shape, np.nan)
        refused = {}
        for k in range(len(updates)):
            try:
                step[k], trust[k] = self._asked(updates[[k]], runs[[k]], who[[k]])
            except ValueError as refusal:
                if whole[k]:
                    raise
                refused[k] = str(refusal)
        return step, trust, refused

    def _asked(self, updates, runs, who):
        """The rule's answers to some runs, (R, d), and whom it trusts, NaN if it does not say."""
        offered = {
            "f": self.setting.f,
            "weights": self.claims[runs[:, None], who][:, None],
            "center": self.last_step[runs, None],
            "rng": tuple(self.generators[run] for run in runs),
            "return_weights": True,
        }
        wanted = {name: offered[name] for name in self.rule_takes}
        # The axis of one tells runs from clients: whoever averages over the wrong axis gets a
        # shape that cannot be taken for an answer, ten runs of ten clients or not.
        step = self.rule(updates[:, None], **wanted)
        trust = np.full((len(runs), 1, who.shape[1]), np.nan)
        step, trust = step if "return_weights" in wanted else (step, trust)
        self._check("a rule must return one row a run", step, offered["center"].shape)
        return np.array(step, updates.dtype)[:, 0], np.array(trust, float)[:, 0]

    def _check(self, promise, answer, shape):
        if np.shape(answer) != shape:
            wanted, got = (s[2:] if self.single else s for s in (shape, np.shape(answer)))
            hint = "" if self.single else "; one for single runs needs one_by_one"
            raise TypeError(f"{promise}, of shape {wanted}; got {got}{hint}")


class Samples:
    """What the k busy clients train on: X (S, k, m, p), y, weight; S = 1 if all runs share them."""

    def __init__(self, setting, generators, busy, dtype):
        self.generators, self.busy = generators, busy
        self.shared, lists = not is_nested(setting.clients), _lists(setting.clients)
        if not self.shared and len(lists) != len(generators):
            raise ValueError(
                f"a stack needs a list for each seed, lists of clients for {len(generators)} "
                f"seeds; got {len(lists)}"
            )
        X, y, weight = stack(lists)
        self.X, self.y = X.astype(dtype, copy=False).take(busy, axis=1), y.take(busy, axis=1)
        self.weight = None if weight.all() else weight.take(busy, axis=1)
        # Liars draw too, busy or not, so that all attacks meet the same honest batches.
        self.batch = setting.batch_size and (setting.n, setting.batch_size)
        sizes = weight.sum(axis=-1, dtype=int)
        # Equal sizes as one number: the same draws in half the time.
        sizes = [int(own[0]) if (own == own[0]).all() else own[:, None] for own in sizes]
        self.sizes = sizes * len(generators) if self.shared else sizes

    def of(self, runs):
        """Those of some runs for one gradient, (R, k, m, p): all, or a batch for each client."""
        everyone = self.shared or len(runs) == len(self.generators)
        here = slice(None) if everyone else runs
        if not self.batch:
            return self.X[here], self.y[here], None if self.weight is None else self.weight[here]
        drawn = [self.generators[run].integers(0, self.sizes[run], self.batch) for run in runs]
        # All samples as one list of rows, which is quicker to pick from than an array of lists.
        *lead, m, p = self.X.shape
        first = np.arange(0, self.y.size, m).reshape(*lead, 1)[here]
        rows = first + np.stack(drawn).take(self.busy, axis=1)
        return self.X.reshape(-1, p).take(rows, axis=0), self.y.take(rows), None


def _broken(numbers):
    """The places on the first axis where a number is not finite."""
    return np.flatnonzero(~np.isfinite(numbers).all(axis=tuple(range(1, numbers.ndim))))


def _lists(clients):
    return clients if is_nested(clients) else [clients]


def as_rate(value):
    return as_number(value, "learning_rate", "ByzantineFL", "finite and > 0")
