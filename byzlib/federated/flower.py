"""The same rules among real machines: a strategy and clients for Flower, which carries messages.

RobustStrategy                     the server: any rule, once it has looked at what came
client_app                         a client of Flower, made of a training:
simple_training, torch_training    an honest one, of a `SimpleModel` or of a PyTorch module
lying                              and one that any attack speaks for

A training is a callable (model, context, round, resample=None) -> (model, count): `model` holds
arrays by name, `context` is Flower's, `count` is how many samples the client claims. With a
Generator as `resample` it draws its samples anew, with replacement. An update is the model that was
sent minus the one that came back: what the server subtracts, as everywhere in byzlib.

Needs Flower: pip install "byzlib[flower]"
"""

import logging

import numpy as np

from byzlib.aggregators import aggregate
from byzlib.attacks import knowledge_of
from byzlib.theory import as_count, as_generator, free_parameters

try:
    from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp.strategy import FedAvg
except ImportError as missing:
    raise ImportError(
        'byzlib.federated.flower needs Flower 1.41 or newer: pip install "byzlib[flower]"'
    ) from missing

LOG = logging.getLogger("flwr")


class RobustStrategy(FedAvg):
    """Flower's strategy with any rule of byzlib in the place of the weighted average.

    Each round the server sends its model; it takes the answers that are what they should be, hands
    the updates (n, d) to the rule, and subtracts the rule's answer from its model. All arrays of a
    model are one row, of any shapes and dtypes (see `byzlib.aggregators.aggregate`).

    An answer is refused, with a warning in Flower's log, if its arrays are not those that were sent
    (names, shapes, dtypes), hold NaN or infinity or cannot be read; if its node answered twice, or
    a message of another round; if its bytes are those of an older answer of the node, while the
    model has changed. A refused node can only be faulty: k of them leave f - k liars among the
    others. A node that is silent, or says that it failed, may be honest: it leaves f as it is.

    Where more than f nodes were refused, or the rule has no answer for as few as came (Krum needs
    n >= 2f + 3 of those taken), the model stays as it is, and a warning says why.

    Parameters
    ----------
    rule : callable (n, d) -> (d,)
        Given by name, where it has such a parameter that is not bound yet: `f`; `rng`; `center`,
        its last answer (zero at first); `weights`, if there is a `count_cap`.
    f : int >= 0
        How many of the nodes that are asked may be faulty.
    count_cap : int >= 1, optional
        Weigh nodes by the sample counts that they claim, up to this one. By default all count
        once, for nobody can check a claim. An answer without a count >= 1 is refused, too.
    rng : numpy.random.Generator or int, optional
        For rules that draw.
    fraction_evaluate, **options
        Of Flower's FedAvg: `fraction_train`, `min_train_nodes`, `min_available_nodes`, ... Nodes
        are not asked to evaluate by default; what they report is a claim, too.

    Metrics of a round: asked, taken, refused, silent (numbers of nodes), f (liars that the rule
    was told), changed (0 where the model stayed), and trust/NODE, how much each node counted.
    """

    def __init__(self, rule, f, *, count_cap=None, rng=None, fraction_evaluate=0.0, **options):
        if not callable(rule):
            raise TypeError(f"RobustStrategy needs a rule, a callable; got {rule!r}")
        self.f = as_count(f, "f", "RobustStrategy", least=0)
        takes = free_parameters(rule)
        if count_cap is not None:
            as_count(count_cap, "count_cap", "RobustStrategy", least=1)
            if "weights" not in takes:
                name = getattr(rule, "__name__", repr(rule))
                raise ValueError(
                    f"RobustStrategy with a count_cap needs a rule that takes weights; got {name}"
                )
        self.rule, self.count_cap = rule, count_cap
        self.rng = as_generator(rng, "RobustStrategy") if "rng" in takes or rng is not None else rng
        self._center = None  # the rule's last answer
        self._model, self._flat, self._digest = {}, None, None  # what was sent: by name, as one row
        self._asked = []  # the messages that carried it
        self._heard = {}  # {(node, digest of an answer): digest of the model it answered}
        super().__init__(fraction_evaluate=fraction_evaluate, **options)

    def summary(self):
        """Say in the log which rule decides, and about how many liars."""
        name = getattr(self.rule, "__name__", repr(self.rule))
        LOG.info("\t├──> byzlib: %s, f = %d", name, self.f)
        super().summary()

    def configure_train(self, server_round, arrays, config, grid):
        """The messages of a round, as FedAvg makes them; what they ask is remembered."""
        self._asked = list(super().configure_train(server_round, arrays, config, grid))
        self._model = {name: array.numpy() for name, array in arrays.items()}
        self._flat = _flat(self._model)
        self._digest = _digest(arrays, self._model)
        return self._asked

    def aggregate_train(self, server_round, replies):
        """The next model and the metrics of a round; None for the model where it stays.

        replies : iterable of Message, the answers to what `configure_train` sent last.
        """
        if self._flat is None:
            raise RuntimeError(
                "RobustStrategy takes answers to what configure_train sent; got none"
            )
        taken, updates, refused, silent = self._sorted(server_round, list(replies))
        f = max(self.f - len(refused), 0)
        metrics = {"asked": len(self._asked), "taken": len(taken), "refused": len(refused)}
        metrics |= {"silent": len(silent), "f": f, "changed": 0}
        try:
            if len(refused) > self.f:
                raise ValueError(f"{len(refused)} answers were refused, more than f = {self.f}")
            model, trust = self._next(updates, taken.values(), f)
        except ValueError as reason:
            LOG.warning(
                "round %d leaves the model as it is: %s (%d nodes asked, %d answers taken, "
                "%d refused, %d silent)",
                *(server_round, reason, *list(metrics.values())[:4]),
            )
            return None, MetricRecord(metrics)
        metrics["changed"] = 1
        if trust is not None:
            metrics |= {f"trust/{node}": float(w) for node, w in zip(taken, trust, strict=True)}
        return _as_record(model), MetricRecord(metrics)

    def aggregate_evaluate(self, server_round, replies):
        """The median over the nodes of each finite number that they report; None if none does."""
        reports = {}
        for reply in replies:
            for record in reply.content.metric_records.values() if reply.has_content() else ():
                for name, value in record.items():
                    if not isinstance(value, list) and np.isfinite(value):
                        reports.setdefault(name, {})[reply.metadata.src_node_id] = value
        medians = {name: float(np.median([*own.values()])) for name, own in reports.items()}
        return MetricRecord(medians) if medians else None

    def _sorted(self, server_round, replies):
        """{node: count} of the answers taken, their updates (n, d), who is refused, who is silent.

        In the order of node numbers: what comes first must not decide how sums are rounded.
        """
        asked = {message.metadata.message_id: message.metadata for message in self._asked}
        nodes = sorted(message.dst_node_id for message in asked.values())
        taken, refused, silent = {}, [], []
        updates = np.empty((len(nodes), len(self._flat)), self._flat.dtype)
        for reply in replies:
            if (stranger := reply.metadata.src_node_id) not in nodes and not reply.has_error():
                LOG.warning("round %d: node %d was not asked", server_round, stranger)
        for node in nodes:
            own = [reply for reply in replies if reply.metadata.src_node_id == node]
            failed = [reply for reply in own if reply.has_error()]
            own = [reply for reply in own if reply.has_content()]
            answers = [
                reply
                for reply in own
                if (question := asked.get(reply.metadata.reply_to_message_id))
                and question.dst_node_id == node
            ]
            try:
                if not own:
                    why = failed[0].error.reason if failed else "no answer"
                    LOG.info("round %d: node %d is silent: %s", server_round, node, why)
                    silent.append(node)
                    continue
                if len(answers) != 1:
                    fault = f"answers {len(answers)} times" if answers else "answers another round"
                    raise ValueError(fault)
                taken[node] = self._checked(node, answers[0].content, updates[len(taken)])
            except (ValueError, TypeError) as reason:
                LOG.warning("round %d: node %d is refused: it %s", server_round, node, reason)
                refused.append(node)
        return taken, updates[: len(taken)], refused, silent

    def _checked(self, node, content, row):
        """Fill the row with a node's update; the count it claims. ValueError says its fault."""
        records = [*content.array_records.values()]
        if len(records) != 1:
            raise ValueError(f"sent {len(records)} records of arrays, not one")
        (record,) = records
        if set(record) != set(self._model):
            raise ValueError(f"sent arrays {sorted(record)}, not {sorted(self._model)}")
        arrays = {name: _read(record[name], name, sent) for name, sent in self._model.items()}
        answered = self._heard.setdefault((node, _digest(record, arrays)), self._digest)
        if answered != self._digest:
            raise ValueError("repeats an older answer of its own, though the model has changed")
        count = self.count_cap and self._count(content)
        with np.errstate(over="ignore"):  # the rule knows what to make of infinity
            np.subtract(self._flat, _flat(arrays), out=row)
        return count

    def _count(self, content):
        claims = [
            record[self.weighted_by_key]
            for record in content.metric_records.values()
            if self.weighted_by_key in record
        ]
        if len(claims) != 1 or not isinstance(claims[0], int) or claims[0] < 1:
            raise ValueError(f"claims {self.weighted_by_key} {claims}, not one count >= 1")
        return min(claims[0], self.count_cap)

    def _next(self, updates, counts, f):
        """The next model, arrays by name, and whom the rule trusted; ValueError where it cannot."""
        offered = {"f": f, "rng": self.rng, "return_weights": True}
        offered["center"] = np.zeros_like(self._flat) if self._center is None else self._center
        if self.count_cap:
            offered["weights"] = [count / self.count_cap for count in counts]
        wanted = {name: offered[name] for name in free_parameters(self.rule) & set(offered)}
        with np.errstate(over="ignore", invalid="ignore"):
            answer = self.rule(updates, **wanted)
            answer, trust = answer if "return_weights" in wanted else (answer, None)
            flat = self._flat - answer
            if not np.isfinite(flat).all():
                raise ValueError("the rule's answer is not finite")
            self._center = answer
            return aggregate(lambda _: flat, [self._model]), trust


def client_app(train):
    """A Flower ClientApp that answers each message with what a training makes of the model in it.

    train : callable (model, context, round, resample=None) -> (model, count), such as those of
    `simple_training`, `torch_training` and `lying`.
    """
    app = ClientApp()

    @app.train()
    def answer(message, context):
        (sent,) = message.content.array_records.values()
        (config,) = message.content.config_records.values()
        model = {name: array.numpy() for name, array in sent.items()}
        trained, count = train(model, context, config["server-round"])
        claim = MetricRecord({"num-examples": count})
        return Message(
            RecordDict({"arrays": _as_record(trained), "metrics": claim}), reply_to=message
        )

    return app


def simple_training(model, client_of, learning_rate, *, local_steps=1, batch_size=None, seed=0):
    """The training of a `SimpleModel`, or of any model with a flat theta and `gradient`.

    Parameters
    ----------
    model : with gradient(theta, X, y)
    client_of : callable context -> Client
        The node's own data: `context.node_config` holds what the node was started with.
    learning_rate : float
    local_steps : int
        Steps that the client takes alone: theta <- theta - learning_rate * gradient.
    batch_size : int, optional
        Samples drawn for each step, with replacement; all by default.
    seed : int

    Returns a training. The model that goes round is one array (d,), of any name.
    """

    def train(arrays, context, round, resample=None):
        ((name, start),) = arrays.items()
        client, theta = client_of(context), start
        for X, y in _batches(client, context, round, local_steps, batch_size, seed, resample):
            theta = theta - learning_rate * model.gradient(theta, X, y)
        return {name: theta.astype(start.dtype)}, client.claimed

    return train


def torch_training(make, client_of, learning_rate, *, local_steps=1, batch_size=None, seed=0):
    """The training of a PyTorch classifier by gradient descent on the cross-entropy.

    make : callable () -> torch.nn.Module, scores (m, n_classes) from X (m, p); others as in
    `simple_training`. The model that goes round is the module's state dict.
    """

    def train(arrays, context, round, resample=None):
        import torch  # whoever trains no module needs no PyTorch

        module, client = make(), client_of(context)
        module.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
        descent = torch.optim.SGD(module.parameters(), lr=learning_rate)
        floating = next(module.parameters()).dtype
        for X, y in _batches(client, context, round, local_steps, batch_size, seed, resample):
            descent.zero_grad()
            scores = module(torch.as_tensor(X, dtype=floating))
            torch.nn.functional.cross_entropy(scores, torch.as_tensor(y)).backward()
            descent.step()
        state = module.state_dict().items()
        return {name: np.asarray(tensor.detach().cpu()) for name, tensor in state}, client.claimed

    return train


def lying(train, attack, n, f, *, seed=0):
    """The training of a liar, who hands what it knows to an attack and sends what comes back.

    A node of a real federation sees the server's model and its own data, not what the others
    answer. An attack whose `knowledge` is "none" or "own" gets just that. An omniscient one gets,
    in the place of the n - f honest updates, as many that the liar makes itself, each trained on
    its own samples drawn anew: its guess of what the others answer (Baruch et al., NeurIPS 2019,
    estimate the honest spread so). Liars do not speak with each other: each takes the first of
    the f lies.

    Parameters
    ----------
    train : what the liar would do honestly, from its own data, poisoned perhaps
    attack : callable (honest (n - f, d), f) -> (f, d)
        Given by name, where it has such a parameter: `rng`, `round`, `own`, `history`.
    n, f : int, how many clients and how many liars there are, as far as the liar knows
    seed : int
    """
    n, f = as_count(n, "n", "lying", least=1), as_count(f, "f", "lying", least=1)
    if f >= n:
        raise ValueError(f"lying needs f < n; got n = {n}, f = {f}")
    takes = free_parameters(attack) & {"rng", "round", "own", "history"}
    guesses = n - f if knowledge_of(attack) == "omniscient" else 0

    def lie(arrays, context, round, resample=None):
        rng = np.random.default_rng([seed, round, context.node_id])
        own, count = train(arrays, context, round)
        crowd = [train(arrays, context, round, rng)[0] for _ in range(guesses)]
        past = context.state.array_records.get("byzlib", ArrayRecord())

        def sent(models):
            own, *honest = models[0] - models[1:]
            if not guesses:
                honest = np.full((n - f, len(own)), np.nan, own.dtype)
            offered = {"rng": rng, "round": round, "own": np.tile(own, (f, 1))}
            offered["history"] = [np.tile(array.numpy(), (f, 1)) for array in past.values()]
            if "history" in takes:
                past[str(round)] = Array(own)
            lies = attack(np.array(honest), f, **{name: offered[name] for name in takes})
            return models[0] - lies[0]

        with np.errstate(over="ignore", invalid="ignore"):
            model = aggregate(sent, [arrays, own, *crowd])
        context.state["byzlib"] = past
        return model, count

    return lie


def _batches(client, context, round, steps, batch_size, seed, resample):
    """(X, y) of each local step: all samples, or some that are drawn for it."""
    X, y = client.training_data
    if resample is not None:
        rows = resample.integers(0, len(y), len(y))
        X, y = X[rows], y[rows]
    rng = np.random.default_rng([seed, round, context.node_id])
    for _ in range(steps):
        rows = rng.integers(0, len(y), batch_size) if batch_size else slice(None)
        yield X[rows], y[rows]


def _read(array, name, sent):
    """An array that a node sent; ValueError where it is not like the one it was sent."""
    claimed, due = (array.dtype, tuple(array.shape)), (str(sent.dtype), sent.shape)
    if claimed == due:
        try:
            values = array.numpy()
        except Exception as error:  # bytes of a stranger: whatever reading them may raise
            raise ValueError(f"sent {name!r} that cannot be read: {error}") from None
        claimed = str(values.dtype), values.shape
    if claimed != due:
        raise ValueError(f"sent {name!r} as {claimed[0]} {claimed[1]}, not {due[0]} {due[1]}")
    if not np.isfinite(values).all():
        raise ValueError(f"sent NaN or infinity in {name!r}")
    return values


def _flat(arrays):
    """Arrays by name as one row (d,), float32 if no array needs more."""
    kinds = [array.dtype for array in arrays.values()]
    return np.concatenate(
        [array.ravel() for array in arrays.values()], dtype=np.result_type(np.float32, *kinds)
    )


def _digest(record, names):
    # Python's own hash of bytes, keyed anew in each process: nobody outside can aim at it.
    return hash(tuple(bytes(record[name].data) for name in names))


def _as_record(arrays):
    return ArrayRecord({name: Array(np.asarray(a)) for name, a in arrays.items()})
