"""One round of federated training, for a stack of runs at once.

Arrays have the runs that still go on as their leading axis: theta (S, d), answers (S, k, d) of the
k clients asked. A run whose numbers stop being finite leaves the stack; the others go on.
"""

import numpy as np

from byzlib.federated._stacks import StackedAttack, StackedRule
from byzlib.federated.clients import stack
from byzlib.theory import as_number


class Training:
    """The state of a stack of runs: parameters, momentum, earlier models, earlier answers.

    Parameters
    ----------
    setting : ByzantineFL
    rngs : list of S generators
    start : (d,) or (S, d) array_like, or None for the model's own
    trust : bool
        Whether the rule is asked whom it trusted.
    """

    def __init__(self, setting, rngs, start, trust=True):
        self.setting, self.model = setting, setting.model
        self.shared = not isinstance(setting.clients[0], list | tuple)
        if not self.shared and len(setting.clients) != len(rngs):
            raise ValueError(
                f"a stack needs a list for each seed, lists of clients for {len(rngs)} seeds; "
                f"got {len(setting.clients)}"
            )
        self.theta = self._first_models(rngs, start)
        self.rngs, self.live = list(rngs), np.arange(len(rngs))
        self.ends = self.theta.copy()
        runs, d = self.theta.shape
        self.X, self.y, self.weight = stack(setting.clients)
        self.X = self.X.astype(self.theta.dtype, copy=False)
        self.counts = self.weight.sum(axis=-1, dtype=int)
        if self.weight.all():
            self.weight = None
        lists = [setting.clients] if self.shared else setting.clients
        claims = [[client.claimed for client in clients] for clients in lists]
        self.claims = np.broadcast_to(np.array(claims, dtype=float), (runs, setting.n))
        self.lies = np.isin(np.arange(setting.n), setting.byzantine)
        self.rule = StackedRule(setting.rule, setting.f, setting.weighted, trust)
        self.attack = setting.attack and StackedAttack(setting.attack)
        self.heard = self._who_is_heard()
        self.momentum = np.zeros((runs, setting.n, d), self.theta.dtype)
        self.models = np.repeat(self.theta[None], setting.delays.max() + 1, axis=0)
        self.last = np.zeros_like(self.theta)
        self.history = []

    def step(self, t, record):
        """Round t, counted from 1; its measurements go to the record."""
        with np.errstate(over="ignore", invalid="ignore"):
            asked = self._asked()
            answers = self._answers(t, asked)
        lies = self.lies[asked]
        finite = np.isfinite(answers).all(axis=-1) | lies
        keep = self.stop(~finite.all(axis=-1), t, "an honest answer", record)
        if keep is not None:
            asked, answers, lies = asked[keep], answers[keep], lies[keep]
        if not len(self.live):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            updates, honest = self._with_lies(answers, asked, lies, t)
            claims = np.take_along_axis(self.claims[self.live], asked, axis=-1)
        step, trust, refused = self.rule(updates, self.rngs, claims, self.last)
        if trust is not None:
            record.trust[self.live[:, None], t - 1, asked] = trust
        if refused:
            no_answer = np.isin(np.arange(len(step)), list(refused))
            keep = self.stop(no_answer, t, "; ".join(set(refused.values())), record)
            step, honest = step[keep], honest[keep]
        with np.errstate(over="ignore", invalid="ignore"):
            self.theta = (self.theta - self._rate(t) * step).astype(self.theta.dtype, copy=False)
            distance = np.linalg.norm(step - honest, axis=-1)
        self.last = step
        keep = self.stop(~np.isfinite(self.theta).all(axis=-1), t, "the parameters", record)
        if keep is not None:
            distance = distance[keep]
        heard = ~np.isnan(distance)  # nobody honest was asked where it is NaN
        record.add(t, "distance to honest mean", self.live[heard], distance[heard])
        self.models[t % len(self.models)] = self.theta

    def stop(self, ended, t, what, record):
        """Let the runs marked in `ended` (S,) leave; a mask of those that stay, None if all do."""
        if not ended.any():
            return None
        gone, keep = self.live[ended], ~ended
        record.stop(t, gone, what)
        self.ends[gone] = self.theta[ended]
        self.rngs = [rng for rng, stays in zip(self.rngs, keep, strict=True) if stays]
        for name in ("live", "theta", "momentum", "last"):
            setattr(self, name, getattr(self, name)[keep])
        self.models = self.models[:, keep]
        self.history = [rows[keep] for rows in self.history]
        return keep

    def final(self):
        """Parameters of all runs at their end, (S, d), those that ended early included."""
        self.ends[self.live] = self.theta
        return self.ends

    def _first_models(self, rngs, start):
        if start is None:
            return np.stack([self.model.init(rng) for rng in rngs])
        start = np.asarray(start)
        start = start if start.dtype in (np.float32, np.float64) else start.astype(float)
        d = self.setting.model.n_parameters
        if start.shape not in ((d,), (len(rngs), d)) or not np.isfinite(start).all():
            raise ValueError(
                f"a run starts from finite parameters ({d},) or ({len(rngs)}, {d}); "
                f"got shape {start.shape}"
            )
        return np.broadcast_to(start, (len(rngs), d)).copy()

    def _rate(self, t):
        rate = self.setting.learning_rate
        return as_number(rate(t), "learning_rate", "ByzantineFL") if callable(rate) else rate

    def _asked(self):
        """Who takes part in this round, (S, k), in ascending order."""
        n, share = self.setting.n, self.setting.participation
        if share == 1.0:
            return np.broadcast_to(np.arange(n), (len(self.live), n))
        k = max(1, round(share * n))
        return np.stack([np.sort(rng.choice(n, size=k, replace=False)) for rng in self.rngs])

    def _who_is_heard(self):
        """Places among the asked whose own answer somebody reads; `...` for all of them.

        Liars that make their lies of other people's answers need none of their own.
        """
        attack = self.attack
        if attack is None or attack.needs["own"] or attack.needs["history"]:
            return ...
        # Where only some are asked, liars may be among themselves, and then they answer honestly.
        return np.flatnonzero(~self.lies) if self.setting.participation == 1.0 else ...

    def _answers(self, t, asked):
        """What the clients asked would send if none of them lied: (S, k, d), zero if not heard."""
        who, rate = asked[:, self.heard], self._rate(t)
        start = local = self._received(t, who)
        for _ in range(self.setting.local_steps):
            gradient = self.model.gradient(local, *self._samples(asked))
            if self.setting.local_steps > 1:
                local = local - rate * gradient
        update = gradient if self.setting.local_steps == 1 else (start - local) / rate
        expected = (*who.shape, self.theta.shape[-1])
        if np.shape(update) != expected:
            raise ValueError(
                f"a model's gradient must keep leading axes, {expected}; got {np.shape(update)}"
            )
        beta = self.setting.momentum
        if beta:
            runs = np.arange(len(asked))[:, None]
            update = beta * self.momentum[runs, who] + (1 - beta) * update
            self.momentum[runs, who] = update
        answers = np.zeros((*asked.shape, expected[-1]), self.theta.dtype)
        answers[:, self.heard] = update
        return answers

    def _received(self, t, asked):
        """The model each client answers to: (S, 1, d), or (S, k, d) where some are late."""
        delays = self.setting.delays
        if not delays.any():
            return self.theta[:, None]
        round_of = np.maximum(t - 1 - delays[asked], 0) % len(self.models)
        return self.models[round_of, np.arange(len(asked))[:, None]]

    def _samples(self, asked):
        """The samples of one step, X (S, k, m, p), y and weight: all, or a batch drawn by each."""
        size = self.setting.batch_size
        if size is None and self.setting.participation == 1.0:
            place = self.heard if self.shared else (self.live,)
            if not self.shared and self.heard is not ...:
                place = (self.live[:, None], self.heard)
            return self.X[place], self.y[place], None if self.weight is None else self.weight[place]
        who = asked[:, self.heard]
        place = (who,) if self.shared else (self.live[:, None], who)
        if size is None:
            return self.X[place], self.y[place], None if self.weight is None else self.weight[place]
        counts = self.counts[asked] if self.shared else self.counts[self.live[:, None], asked]
        # Liars draw too, heard or not, so that all attacks meet the same honest batches.
        draws = [
            rng.integers(0, own[:, None], size=(len(own), size))
            for rng, own in zip(self.rngs, counts, strict=True)
        ]
        # All samples as one list of rows, which is quicker to pick from than an array of lists.
        *lead, m, p = self.X.shape
        first = np.arange(0, self.y.size, m).reshape(lead)[place]
        rows = first[..., None] + np.stack(draws)[:, self.heard]
        return self.X.reshape(-1, p).take(rows, axis=0), self.y.take(rows), None

    def _with_lies(self, answers, asked, lies, t):
        """Updates as the server receives them, (S, k, d), and the mean of the honest ones, (S, d).

        Where nobody honest was asked the mean is NaN and the liars answer as if they were honest.
        """
        honest_mean = np.full(answers.shape[::2], np.nan)
        earlier = list(self.history)
        if self.attack and self.attack.needs["history"]:
            self._remember(answers, asked, lies)
        for runs, sincere, liars in self._sides(lies):
            honest = _rows(answers, runs, sincere)
            honest_mean[runs.flat] = honest.mean(axis=1, dtype=float)
            if liars.size and self.attack:
                rngs = [self.rngs[k] for k in runs.flat]
                past = [rows[runs, asked[runs, liars]] for rows in earlier]
                own = _rows(answers, runs, liars)
                answers[runs, liars] = self.attack(honest, own, rngs, t, past)
        return answers, honest_mean

    def _sides(self, lies):
        """Runs with equally many liars: (runs (r, 1), sincere (r, h), liars (r, k - h)) each."""
        if self.setting.participation == 1.0:
            runs, side = np.arange(len(lies))[:, None], self.lies
            return [(runs, np.flatnonzero(~side)[None], np.flatnonzero(side)[None])]
        order, count = np.argsort(lies, axis=-1, kind="stable"), lies.sum(axis=-1)
        sides = []
        for f in np.unique(count[count < lies.shape[1]]):
            runs = np.flatnonzero(count == f)
            h = lies.shape[1] - f
            sides.append((runs[:, None], order[runs, :h], order[runs, h:]))
        return sides

    def _remember(self, answers, asked, lies):
        """Keep what the liars would have said; those not asked keep what they last had to say."""
        rows = self.history[-1].copy() if self.history else np.zeros_like(self.momentum)
        run, place = np.nonzero(lies)
        rows[run, asked[run, place]] = answers[run, place]
        self.history.append(rows)


def _rows(answers, runs, places):
    """answers[runs, places] (r, h, d): a view where these are neighbours, which costs no copy."""
    one = places[0]
    if (
        len(places) == 1
        and len(runs) == len(answers)
        and one.size
        and one.size == one[-1] - one[0] + 1
    ):
        return answers[:, one[0] : one[-1] + 1]
    return answers[runs, places]
