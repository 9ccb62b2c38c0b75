"""The training loop: a server, its clients, some of which lie, and a rule between them."""

from dataclasses import dataclass, field

import numpy as np

from byzlib.federated._rounds import Training
from byzlib.federated._stacks import StackedRule
from byzlib.federated.clients import Client
from byzlib.federated.history import History, Recorder
from byzlib.metrics import (
    accuracy,
    attack_success,
    balanced_accuracy,
    majority_share,
)
from byzlib.theory import as_count, as_generator, as_number

__all__ = ["ByzantineFL", "History"]


@dataclass
class ByzantineFL:
    """Federated training among n clients of which some are Byzantine.

    Each round the server sends theta; honest clients answer with the gradient of their own loss,
    Byzantine ones with what `attack` makes of the honest answers; the server takes the step
    theta <- theta - learning_rate * rule(updates, f).

    Parameters
    ----------
    model : SimpleModel, Quadratic, or any object with init(rng), gradient(theta, X, y, weight);
        with loss and predict too, for reports
    clients : list of n Client; or, for a stack of runs, a list of such lists, one for each seed
    rule : callable (updates) or (updates, f)
        Also given, where it has such a parameter that is not bound yet: `weights` (see `weighted`),
        `center`, its last answer (zero at first), and `rng`, the run's generator.
    f : int
        How many liars the server expects; what it tells the rule.
    attack : callable (honest, n_liars, rng) -> (n_liars, d), optional
        Also given `round` (from 1), `own` and `history` where it has the attribute needs_round,
        needs_own or needs_history: own (n_liars, d) is what the liars would answer honestly from
        their own data, poisoned where they poison; history lists own of all earlier rounds.
        None: Byzantine clients answer with own.
    byzantine : sequence of int, optional
        Which clients lie; the last f by default. The server never reads it.
    learning_rate : float, or callable t -> float for round t = 1, 2, ...
    batch_size : int, optional
        Samples a client draws, with replacement, for each gradient; all of them by default.
    local_steps : int
        Steps a client takes alone, with the server's learning rate. It answers with
        (theta - theta_local) / learning_rate, the sum of the gradients on its way: with the sign
        and the scale of a gradient, so that the mean is FedAvg's average of the local models.
    momentum : float in [0, 1)
        Each client answers with m <- momentum * m + (1 - momentum) * update; m is zero at first.
    participation : float in (0, 1]
        Share of the clients asked each round, drawn anew.
    delay : int, or (n,) sequence of int
        Stale clients: how many rounds old the model is that a client answers to. Those who would
        answer to a model before the first one answer to the first.
    weighted : bool
        Hand the rule the sample counts that clients claim (`Client.claimed`) as `weights`.

    One local step is FedSGD, several are FedAvg. Sources: McMahan et al., AISTATS 2017; momentum at
    the clients: Karimireddy, He and Jaggi, ICML 2021.
    """

    model: object
    clients: list
    rule: object
    f: int
    attack: object = None
    byzantine: object = None
    learning_rate: object = field(kw_only=True)
    batch_size: int | None = None
    local_steps: int = 1
    momentum: float = 0.0
    participation: float = 1.0
    delay: object = 0
    weighted: bool = False

    def __post_init__(self):
        n = self.n = self._count_clients()
        self.f = as_count(self.f, "f", "ByzantineFL")
        if not 0 <= self.f < n:
            raise ValueError(f"ByzantineFL needs 0 <= f < n; got f = {self.f}, n = {n}")
        liars = range(n - self.f, n) if self.byzantine is None else self.byzantine
        self.byzantine = np.array(sorted({as_count(i, "client", "byzantine") for i in liars}), int)
        if len(self.byzantine) and not (0 <= self.byzantine[0] and self.byzantine[-1] < n):
            raise ValueError(f"byzantine names clients 0 .. {n - 1}; got {self.byzantine.tolist()}")
        if len(self.byzantine) == n:
            raise ValueError("ByzantineFL needs at least one honest client; all are Byzantine")
        if not callable(self.learning_rate):
            as_number(self.learning_rate, "learning_rate", "ByzantineFL")
        if as_count(self.local_steps, "local_steps", "ByzantineFL") < 1:
            raise ValueError(f"ByzantineFL needs local_steps >= 1; got {self.local_steps}")
        if self.batch_size is not None and as_count(self.batch_size, "batch_size", "") < 1:
            raise ValueError(f"ByzantineFL needs batch_size >= 1; got {self.batch_size}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"ByzantineFL needs 0 <= momentum < 1; got {self.momentum}")
        if not 0 < self.participation <= 1:
            raise ValueError(f"ByzantineFL needs 0 < participation <= 1; got {self.participation}")
        delays = np.asarray(self.delay)
        if delays.dtype.kind not in "iu" or delays.shape not in ((), (n,)) or delays.min() < 0:
            raise ValueError(
                f"ByzantineFL needs delay >= 0, one integer or {n} of them; got {self.delay}"
            )
        self.delays = np.broadcast_to(delays.astype(int), n)
        StackedRule(self.rule, self.f, self.weighted)  # says so now if the rule takes no weights

    def run(
        self,
        rounds,
        rng=None,
        evaluate=None,
        every=1,
        *,
        seeds=None,
        start=None,
        success=None,
        trust=True,
    ):
        """Train for a number of rounds; with several seeds, as one run of stacked arrays.

        Each seed gets what it would get on its own, to rounding: it draws from its own generator,
        in the same order. Random parameters that are bound to a rule or an attack beforehand are
        shared by the seeds instead.

        Parameters
        ----------
        rounds : int
        rng : numpy.random.Generator or int, or a sequence of them for a stack of runs
            Draws the initial parameters, then participants, batches and the attack's noise.
        evaluate : (X, y), or callable theta -> {metric: value}, optional
            Test samples give "loss", "accuracy", "balanced accuracy" and "majority share", the
            accuracy of always naming the most common class. X (S, m, p), y (S, m) tests each seed
            of a stack on samples of its own; a callable is called for each seed.
        every : int
            Evaluate after every so many rounds, and after the last.
        seeds : int, optional
            seeds=10 is short for rng=range(10).
        start : (d,) or (S, d) array_like, optional
            Parameters to go on from, instead of the model's initial ones; momentum starts at zero.
        success : (source, target), optional
            Also report "attack success": the share of true `source` among the test samples that is
            predicted as `target`.
        trust : bool
            Record how much each client counted; asking costs a coordinate-wise rule a second pass.

        Returns
        -------
        History; of several runs if rng is a sequence or seeds is given. A run whose numbers stop
        being finite ends there and says in which round; the others go on.
        """
        rngs, names, single = _generators(rng, seeds)
        rounds = as_count(rounds, "rounds", "ByzantineFL.run")
        if rounds < 0 or as_count(every, "every", "ByzantineFL.run") < 1:
            raise ValueError(f"a run needs rounds >= 0, every >= 1; got {rounds}, {every}")
        training = Training(self, rngs, start, trust)
        exam = _Exam(self.model, evaluate, success, len(rngs))
        record = Recorder(names, rounds, self.n)
        for t in range(1, rounds + 1):
            training.step(t, record)
            if len(training.live) and (t % every == 0 or t == rounds):
                exam(t, training, record)
            if not len(training.live):
                break
        return record.history(training.final(), single)

    def _count_clients(self):
        """n; the same for every list of clients, if there is one for each seed."""
        lists = self.clients
        if not isinstance(lists, list | tuple) or not lists:
            raise TypeError(f"ByzantineFL needs a list of clients; got {lists!r}")
        if not isinstance(lists[0], list | tuple):
            lists = [lists]
        if not all(isinstance(one, list | tuple) for one in lists):
            raise TypeError("ByzantineFL needs a list of Client, or a list of such lists")
        if not all(isinstance(client, Client) for one in lists for client in one):
            raise TypeError("ByzantineFL needs a list of Client, or a list of such lists")
        sizes = sorted({len(one) for one in lists})
        if len(sizes) > 1:
            raise ValueError(f"ByzantineFL needs equally many clients for each seed; got {sizes}")
        return sizes[0]


class _Exam:
    """Measures the models of a stack of runs on test samples, or by a function of theta."""

    def __init__(self, model, evaluate, success, runs):
        self.model, self.function, self.success = model, None, success
        self.X = self.y = None
        if callable(evaluate):
            self.function = evaluate
        elif evaluate is not None:
            self.X, self.y = (np.asarray(part) for part in evaluate)
            if self.X.ndim not in (2, 3) or self.y.shape != self.X.shape[:-1]:
                raise ValueError(
                    f"evaluate needs X (m, p), y (m,) or X ({runs}, m, p), y ({runs}, m); "
                    f"got {self.X.shape}, {self.y.shape}"
                )
            if self.X.ndim == 3 and len(self.X) != runs:
                raise ValueError(
                    f"evaluate needs test samples for each of {runs} seeds; got {len(self.X)}"
                )
        if success is not None and (self.X is None or len(success) != 2):
            raise ValueError("success needs two labels, (source, target), and evaluate=(X, y)")

    def __call__(self, t, training, record):
        if self.function:
            for run, theta in zip(training.live, training.theta, strict=True):
                for name, value in self.function(theta.copy()).items():
                    record.add(t, name, [run], [value])
        elif self.X is not None:
            values = self._measured(training.theta, training.live)
            keep = training.stop(~np.isfinite(values["loss"]), t, "the loss", record)
            for name, value in values.items():
                record.add(t, name, training.live, value if keep is None else value[keep])

    def _measured(self, theta, live):
        """Each metric, (S,)."""
        X, y = (self.X, self.y) if self.X.ndim == 2 else (self.X[live], self.y[live])
        with np.errstate(over="ignore", invalid="ignore"):
            values = {"loss": self.model.loss(theta, X, y)}
            if hasattr(self.model, "predict"):
                predicted = self.model.predict(theta, X)
                values |= {
                    "accuracy": accuracy(y, predicted),
                    "balanced accuracy": balanced_accuracy(y, predicted),
                    "majority share": np.broadcast_to(majority_share(y), len(theta)),
                }
                if self.success is not None:
                    values["attack success"] = attack_success(y, predicted, *self.success)
        return values


def _generators(rng, seeds):
    """The runs' generators, what the seeds are called, and whether it is a single run."""
    if seeds is not None:
        if rng is not None:
            raise ValueError("a run needs either rng or seeds, not both")
        if as_count(seeds, "seeds", "ByzantineFL.run") < 1:
            raise ValueError(f"a run needs seeds >= 1; got {seeds}")
        rng = range(seeds)
    if not isinstance(rng, list | tuple | range | np.ndarray):
        return [as_generator(rng, "ByzantineFL.run")], (0,), True
    rngs = [as_generator(one, "ByzantineFL.run") for one in rng]
    names = tuple(
        k if isinstance(one, np.random.Generator) else int(one) for k, one in enumerate(rng)
    )
    if not rngs or len(set(map(id, rngs))) < len(rngs) or len(set(names)) < len(names):
        raise ValueError(f"a stack of runs needs seeds that differ, at least one; got {rng}")
    return rngs, names, False
