"""The training loop: a server, its clients, some of which lie, and a rule between them."""

from dataclasses import dataclass, field

import numpy as np

from byzlib.federated._rounds import Rounds, as_rate
from byzlib.federated.clients import Client, is_nested
from byzlib.federated.history import Recorder
from byzlib.metrics import accuracy, attack_success, balanced_accuracy, majority_share
from byzlib.theory import (
    as_count,
    as_generator,
    as_number,
    free_parameters,
    refuse_masked,
    refuse_unpaired,
)


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
    rule : callable (..., n, d) -> (..., d)
        Given by name, where it has such a parameter that is not bound yet: `f`; `rng`, the run's
        generator; `center`, its last answer (zero at first); `weights` (see `weighted`).
    f : int
        How many liars the server expects among those who answer; what it tells the rule.
    attack : callable (honest (..., h, d), n_liars) -> (..., n_liars, d), optional
        Given by name, where it has such a parameter: `rng`; `round`, from 1; `own`, what the liars
        would answer honestly from their own data, poisoned where they poison; `history`, the list
        of own of all earlier rounds. None: Byzantine clients answer with own.
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
    weighted : bool
        Hand the rule the sample counts that clients claim (`Client.claimed`) as `weights`, in units
        of the largest claim.
    participation : float in (0, 1]
        Share of the clients that are asked in a round, to the nearest client and at least one: a
        fresh sample each round, of which the rule gets the answers. The liars agree on their lies
        before they know who is asked, and see what all honest clients would answer.
    late : float in [0, 1)
        Chance that an honest client's answer of a round is late. Liars never are.
    delay : int >= 1, optional
        A late client is heard with its answer of so many rounds ago, or its first. None: the
        server does not wait, and goes on with the others.

    A round in which so few answer that the rule refuses them is skipped: the model stays, and
    `History.skipped` says so. If the rule refuses the answers of all who are asked, no round could
    do better, and its ValueError is raised in the first one.

    A single run hands over (n, d) and its generator. A stack of S runs hands over (S, 1, n, d), and
    a tuple of S generators, for each run draws from its own; `one_by_one` makes any rule or attack
    for single runs fit for that.

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
    weighted: bool = False
    participation: float = 1.0
    late: float = 0.0
    delay: int | None = None

    def __post_init__(self):
        n = self.n = _count(self.clients)
        self.f = as_count(self.f, "f", "ByzantineFL")
        if not 0 <= self.f < n:
            raise ValueError(f"ByzantineFL needs 0 <= f < n; got f = {self.f}, n = {n}")
        liars = range(n - self.f, n) if self.byzantine is None else self.byzantine
        self.byzantine = np.array(sorted({as_count(i, "client", "byzantine") for i in liars}), int)
        if not set(self.byzantine) <= set(range(n)):
            raise ValueError(f"byzantine names clients 0 .. {n - 1}; got {self.byzantine.tolist()}")
        if len(self.byzantine) == n:
            raise ValueError("ByzantineFL needs at least one honest client; all are Byzantine")
        if not callable(self.learning_rate):
            as_rate(self.learning_rate)
        as_count(self.local_steps, "local_steps", "ByzantineFL", least=1)
        if self.batch_size is not None:
            as_count(self.batch_size, "batch_size", "ByzantineFL", least=1)
        as_number(self.momentum, "momentum", "ByzantineFL", "in [0, 1)")
        self.late = as_number(self.late, "late", "ByzantineFL", "in [0, 1)")
        if self.delay is not None:
            as_count(self.delay, "delay", "ByzantineFL", least=1)
        share = as_number(self.participation, "participation", "ByzantineFL", "in (0, 1]")
        self.asked = max(round(share * n), 1)
        if self.f >= self.asked:
            raise ValueError(
                f"ByzantineFL needs f < the clients asked in a round; got f = {self.f}, and "
                f"{self.asked} of {n} asked"
            )
        if self.weighted and "weights" not in free_parameters(self.rule):
            name = getattr(self.rule, "__name__", repr(self.rule))
            raise ValueError(
                f"ByzantineFL with weighted=True needs a rule that takes weights; got {name}"
            )

    def run(
        self, rounds, rng=None, evaluate=None, every=1, *, seeds=None, start=None, success=None,
        trust=True,
    ):  # fmt: skip
        """Train for a number of rounds; with several seeds, as one run of stacked arrays.

        Each seed gets what it would get on its own, to rounding: it draws from its own generator,
        in the same order. Random parameters that are bound to a rule or an attack beforehand are
        shared by the seeds instead.

        Parameters
        ----------
        rounds : int
        rng : numpy.random.Generator or int, or a sequence of them for a stack of runs
            Draws the initial parameters, then batches and the attack's and the rule's numbers.
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
        generators, names, single = _generators(rng, seeds)
        rounds = as_count(rounds, "rounds", "ByzantineFL.run", least=0)
        every = as_count(every, "every", "ByzantineFL.run", least=1)
        evaluation = Evaluation(self.model, evaluate, success, len(generators))
        record = Recorder(names, rounds, self.n)
        training = Rounds(self, generators, record, single, start, trust)
        with np.errstate(over="ignore", invalid="ignore"):  # the History says what diverged
            for t in range(1, rounds + 1):
                training.round(t)
                if t % every == 0 or t == rounds:
                    training.measure(t, evaluation)
                if not len(training.runs):
                    break
        return record.history(training.theta, single)


class Evaluation:
    """Measures models on test samples, or by a function of theta."""

    def __init__(self, model, evaluate, success, runs):
        self.model, self.success = model, success
        self.function = evaluate if callable(evaluate) else None
        self.samples = None
        if evaluate is not None and not callable(evaluate):
            refuse_masked(evaluate, "evaluate")
            refuse_unpaired("evaluate", X=getattr(evaluate[0], "T", evaluate[0]), y=evaluate[1])
            self.samples = X, y = [np.asarray(part) for part in evaluate]
            if X.shape[:-2] not in ((), (runs,)) or y.shape != X.shape[:-1]:
                raise ValueError(
                    f"evaluate needs X (m, p), y (m,), or X ({runs}, m, p), y ({runs}, m) for "
                    f"{runs} seeds; got {X.shape}, {y.shape}"
                )
        if success is not None and (self.samples is None or len(success) != 2):
            raise ValueError("success needs two labels, (source, target), and evaluate=(X, y)")

    def __call__(self, theta, runs):
        """{metric: (R,) values} of the models theta (R, d) of some runs."""
        if self.function:
            each = [self.function(own) for own in theta]
            return {name: np.array([own[name] for own in each], float) for name in each[0]}
        if self.samples is None:
            return {}
        X, y = self.samples
        X, y = (X, y) if X.ndim == 2 else (X[runs], y[runs])
        values = {"loss": self.model.loss(theta, X, y)}
        if hasattr(self.model, "predict"):
            predicted = self.model.predict(theta, X)
            values["accuracy"] = accuracy(y, predicted)
            values["balanced accuracy"] = balanced_accuracy(y, predicted)
            values["majority share"] = np.broadcast_to(majority_share(y), len(theta))
            if self.success is not None:
                values["attack success"] = attack_success(y, predicted, *self.success)
        return values


def _count(clients):
    """n; the same in every list of clients, if there is one for each seed."""
    sizes = set()
    for own in clients if is_nested(clients) else [clients]:
        if not isinstance(own, list | tuple) or not all(isinstance(one, Client) for one in own):
            raise TypeError(f"ByzantineFL needs a list of Client, or a list of such; got {own!r}")
        sizes.add(len(own))
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            f"ByzantineFL needs clients, and equally many for each seed; got {sorted(sizes)}"
        )
    return sizes.pop()


def _generators(rng, seeds):
    """The runs' generators, what the seeds are called, and whether it is a single run."""
    if seeds is not None:
        if rng is not None:
            raise ValueError("a run needs either rng or seeds, not both")
        rng = range(as_count(seeds, "seeds", "ByzantineFL.run", least=1))
    if not isinstance(rng, list | tuple | range | np.ndarray):
        return [as_generator(rng, "ByzantineFL.run")], (0,), True
    generators = [as_generator(one, "ByzantineFL.run") for one in rng]
    names = tuple(
        k if isinstance(one, np.random.Generator) else int(one) for k, one in enumerate(rng)
    )
    distinct = min(len(set(map(id, generators))), len(set(names)))
    if not generators or distinct < len(generators):
        raise ValueError(f"a stack of runs needs seeds that differ, at least one; got {rng}")
    return generators, names, False
