"""Any rule as a strategy of Flower: which answers it takes, and that it learns as `ByzantineFL`."""

import importlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from byzlib.aggregators import (
    apply_rule,
    centered_clipping,
    compose,
    geometric_median_of_means,
    krum,
    mean,
    median,
    multi_krum,
    nearest_neighbor_mixing,
    trimmed_mean,
)
from byzlib.attacks import ATTACKS, local_sign_flip, sign_flip, stale
from byzlib.federated import ByzantineFL, SimpleModel, split_dirichlet, split_iid
from byzlib.market import planted_signal

flwr = pytest.importorskip("flwr", reason="needs Flower; `make test-federation` installs it")

from flwr.app import (  # noqa: E402
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)

from benchmarks import strategies  # noqa: E402
from byzlib.federated.flower import (  # noqa: E402
    RobustStrategy,
    client_app,
    lying,
    simple_training,
    torch_training,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SHIFTS = np.array([0.0, 0.1, 0.21, 0.33, 0.46, 0.6, 0.75])
NODES = [10, 11, 12, 13, 14, 15, 16]
SENT = {"layer": np.ones((2, 3), np.float32), "bias": np.zeros(3), "scale": np.array(2.0)}


class Grid:
    """Flower's grid without a network: the nodes are numbers, or functions message -> replies."""

    def __init__(self, nodes):
        self.nodes = nodes if isinstance(nodes, dict) else dict.fromkeys(nodes)

    def get_node_ids(self):
        return list(self.nodes)

    def send_and_receive(self, messages, timeout=None):
        return [reply for m in self.delivered(messages) for reply in self.nodes[node_of(m)](m)]

    def delivered(self, messages):
        for message in messages:
            message.metadata.__dict__["_message_id"] = message.object_id
        return messages


def node_of(message):
    return message.metadata.dst_node_id


def asked(strategy, model=SENT, server_round=1, nodes=NODES):
    """The messages of a round, by node."""
    grid, record = (
        Grid(nodes),
        ArrayRecord({name: Array(np.asarray(a)) for name, a in model.items()}),
    )
    messages = strategy.configure_train(server_round, record, ConfigRecord(), grid)
    return {m.metadata.dst_node_id: m for m in sorted(grid.delivered(messages), key=node_of)}


def answer(message, shift, count=100, **changed):
    """What a node answers: all numbers moved by `shift`, some arrays changed or left out."""
    arrays = {
        name: np.asarray(a + np.asarray(shift, a.dtype)) for name, a in SENT.items()
    } | changed
    record = ArrayRecord({
        name: a if isinstance(a, Array) else Array(a) for name, a in arrays.items() if a is not None
    })  # fmt: skip
    counts = MetricRecord({} if count is None else {"num-examples": count})
    return Message(RecordDict({"arrays": record, "metrics": counts}), reply_to=message)


def all_in_one(record):
    return np.concatenate([array.numpy().ravel() for array in record.values()])


def a_round(strategy, replies_of, **options):
    """One round in which {node: message} -> list of replies is answered."""
    return strategy.aggregate_train(1, replies_of(asked(strategy, **options)))


def honest(messages):
    return {node: answer(m, SHIFTS[k]) for k, (node, m) in enumerate(messages.items())}


@pytest.fixture(autouse=True, scope="module")
def identity():
    """Messages say who sends them; Flower tells that to each process that it starts."""
    identity = importlib.import_module("flwr.supercore.task_identity").TaskIdentity
    identity.task_id, identity.run_id, identity.node_id = 1, 1, 1


# --- one round ---


@pytest.mark.parametrize("rule", [
    mean, trimmed_mean, median, krum, multi_krum, compose(nearest_neighbor_mixing, trimmed_mean),
    partial(trimmed_mean, f=1),
])  # fmt: skip
def test_any_rule_moves_all_arrays_as_one_row(rule):
    record, metrics = a_round(RobustStrategy(rule, 2), lambda m: list(honest(m).values()))
    rows = np.repeat(-SHIFTS[:, None], 10, axis=1)
    start = np.concatenate([np.ones(6), np.zeros(3), [2.0]])
    step, trust = apply_rule(rule, rows, 2)
    assert all_in_one(record) == pytest.approx(start - step, abs=1e-6)
    assert [array.dtype for array in record.values()] == ["float32", "float64", "float64"]
    assert [tuple(array.shape) for array in record.values()] == [(2, 3), (3,), ()]
    assert [metrics[f"trust/{node}"] for node in NODES] == pytest.approx(trust, abs=1e-6)
    assert (metrics["taken"], metrics["f"], metrics["changed"]) == (7, 2, 1)


def test_the_order_of_answers_changes_no_bit():
    def answers(order):
        return lambda m: [honest(m)[node] for node in order]

    first, _ = a_round(RobustStrategy(krum, 2), answers(NODES))
    again, _ = a_round(RobustStrategy(krum, 2), answers(NODES[::-1]))
    assert np.array_equal(all_in_one(first), all_in_one(again))


BROKEN = {
    "NaN": {"bias": np.array([0, np.nan, 0])},
    "infinity": {"layer": np.full((2, 3), np.inf, np.float32)},
    "another shape": {"layer": np.ones((3, 2), np.float32)},
    "another dtype": {"layer": np.ones((2, 3))},
    "an array too few": {"bias": None},
    "an array too many": {"extra": np.zeros(3)},
    "bytes that are none": {"bias": Array("float64", (3,), "numpy.ndarray", b"not numbers")},
    "bytes of another shape": {
        "bias": Array("float64", (3,), "numpy.ndarray", Array(np.zeros(4)).data)
    },
    "another encoding": {"bias": Array("float64", (3,), "pickle", b"cos\nsystem\n(S'x'\ntR.")},
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_refused_and_counts_against_f(kind, caplog):
    def replies(messages):
        good = honest(messages)
        return [*list(good.values())[:6], answer(messages[16], 0.0, **BROKEN[kind])]

    with caplog.at_level(logging.WARNING, "flwr"):
        record, metrics = a_round(RobustStrategy(trimmed_mean, 2), replies)
    assert (metrics["refused"], metrics["taken"], metrics["f"]) == (1, 6, 1)
    assert "node 16 is refused" in caplog.text and "trust/16" not in metrics
    assert all_in_one(record)[6:9] == pytest.approx(SHIFTS[1:5].mean())


def test_a_number_of_1e300_is_outvoted():
    def replies(messages):
        loud = {"bias": np.full(3, 1e300), "scale": np.array(-1e300)}
        return [*list(honest(messages).values())[:6], answer(messages[16], 0.0, **loud)]

    for rule in (trimmed_mean, median, krum, multi_krum):
        record, metrics = a_round(RobustStrategy(rule, 2), replies)
        assert np.abs(all_in_one(record)).max() < 3 and metrics["refused"] == 0


def test_who_answers_twice_is_refused_once():
    def replies(messages):
        return [*honest(messages).values(), *[answer(messages[16], 5.0)] * 9]

    _, metrics = a_round(RobustStrategy(trimmed_mean, 2), replies)
    assert (metrics["refused"], metrics["taken"], metrics["f"]) == (1, 6, 1)


def test_last_rounds_answers_are_refused(caplog):
    strategy = RobustStrategy(trimmed_mean, 2)
    first = honest(asked(strategy))
    strategy.aggregate_train(1, list(first.values()))
    moved = {name: a + np.asarray(1, a.dtype) for name, a in SENT.items()}
    second = asked(strategy, moved, 2)
    replies = [answer(m, 0.03 * shift) for m, shift in zip(second.values(), SHIFTS[1:6])]
    replies += [first[15]]  # the old message itself
    content = first[16].content  # the old numbers in a new message
    replies += [Message(content, reply_to=second[16])]
    with caplog.at_level(logging.WARNING, "flwr"):
        _, metrics = strategy.aggregate_train(2, replies)
    assert (metrics["refused"], metrics["taken"], metrics["f"]) == (2, 5, 0)
    assert "node 15 is refused: it answers another round" in caplog.text
    assert "node 16 is refused: it repeats an older answer" in caplog.text


def test_the_same_answer_to_the_same_model_is_none_of_a_replay():
    strategy = RobustStrategy(trimmed_mean, 2)
    for _ in range(2):
        _, metrics = a_round(strategy, lambda m: list(honest(m).values()))
        assert metrics["taken"] == 7


def test_a_late_answer_beside_a_good_one_costs_nothing():
    strategy = RobustStrategy(trimmed_mean, 2)
    late = honest(asked(strategy))[16]
    _, metrics = strategy.aggregate_train(
        2, [*honest(asked(strategy, server_round=2)).values(), late]
    )
    assert (metrics["taken"], metrics["refused"]) == (7, 0)


def test_a_stranger_is_not_heard(caplog):
    def replies(messages):
        other = asked(RobustStrategy(mean, 0), nodes=[99, 98])[99]
        return [*honest(messages).values(), answer(other, 1e9)]

    with caplog.at_level(logging.WARNING, "flwr"):
        record, metrics = a_round(RobustStrategy(mean, 0), replies)
    assert metrics["taken"] == 7 and np.abs(all_in_one(record)).max() < 3
    assert "node 99 was not asked" in caplog.text


def test_silence_and_failure_are_no_proof_of_a_lie():
    def replies(messages):
        failed = Message(Error(1, "out of memory"), reply_to=messages[15])
        return [*list(honest(messages).values())[:5], failed]

    _, metrics = a_round(RobustStrategy(trimmed_mean, 2), replies)
    assert (metrics["silent"], metrics["refused"], metrics["f"]) == (2, 0, 2)


@pytest.mark.parametrize("rule, answers, why", [
    (krum, 6, "krum needs n >= 2f + 3; got n = 6, f = 2"),
    (trimmed_mean, 4, "trimmed_mean needs n > 2f; got n = 4, f = 2"),
    (trimmed_mean, 0, "7 silent"),
])  # fmt: skip
def test_too_few_answers_leave_the_model_and_say_so(rule, answers, why, caplog):
    with caplog.at_level(logging.WARNING, "flwr"):
        model, metrics = a_round(
            RobustStrategy(rule, 2), lambda m: list(honest(m).values())[:answers]
        )
    assert model is None and metrics["changed"] == 0
    assert "round 1 leaves the model as it is" in caplog.text and why in caplog.text


def test_more_refusals_than_f_leave_the_model_and_say_so(caplog):
    def replies(messages):
        broken = [answer(messages[node], np.nan) for node in NODES[:3]]
        return [*broken, *list(honest(messages).values())[3:]]

    with caplog.at_level(logging.WARNING, "flwr"):
        model, metrics = a_round(RobustStrategy(mean, 2), replies)
    assert model is None and metrics["refused"] == 3
    assert "3 answers were refused, more than f = 2" in caplog.text


def test_what_overflows_in_the_mean_never_becomes_the_model():
    def replies(messages):
        return [answer(m, 0.0, bias=np.full(3, 1.7e308)) for m in messages.values()]

    model, _ = a_round(RobustStrategy(lambda x: x.sum(axis=0), 0), replies)
    assert model is None


# --- counts that clients claim ---


def claiming(counts):
    def replies(messages):
        return [answer(m, 0.1 * k, counts[k]) for k, m in enumerate(messages.values())]

    return replies


def test_a_claim_of_1e9_samples_buys_nothing_unless_the_server_goes_by_claims():
    counts = [100] * 6 + [10**9]
    record, _ = a_round(RobustStrategy(mean, 1), claiming(counts))
    assert all_in_one(record)[6] == pytest.approx(0.3)
    capped, metrics = a_round(RobustStrategy(mean, 1, count_cap=200), claiming(counts))
    weights = np.array([100] * 6 + [200]) / 800
    assert all_in_one(capped)[6] == pytest.approx(weights @ (0.1 * np.arange(7)))
    assert metrics["trust/16"] == pytest.approx(0.25)


@pytest.mark.parametrize("count", [0, -5, 0.5, float("nan"), float("inf"), [1, 2], None])
def test_a_claim_that_is_no_count_is_refused_where_counts_matter(count):
    counts = [100] * 6 + [count]
    assert a_round(RobustStrategy(mean, 1), claiming(counts))[1]["taken"] == 7
    assert a_round(RobustStrategy(mean, 1, count_cap=200), claiming(counts))[1]["refused"] == 1


GROUPED = partial(geometric_median_of_means, n_groups=3)


@pytest.mark.parametrize("wrong, error, message", [
    (lambda: RobustStrategy("krum", 1), TypeError, "needs a rule, a callable; got 'krum'"),
    (lambda: RobustStrategy(krum, -1), ValueError, "RobustStrategy needs f >= 0; got f = -1"),
    (lambda: RobustStrategy(krum, 1.0), TypeError, "needs an integer f; got 1.0"),
    (lambda: RobustStrategy(krum, 1, count_cap=9), ValueError, "takes weights; got krum"),
    (lambda: RobustStrategy(mean, 1, count_cap=0), ValueError, "count_cap >= 1"),
    (lambda: RobustStrategy(GROUPED, 1), TypeError, "pass rng"),
    (lambda: lying(None, sign_flip, 3, 3), ValueError, "f < n; got n = 3, f = 3"),
])  # fmt: skip
def test_wrong_settings_are_refused_in_a_sentence(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


def test_answers_to_nothing_are_refused_in_a_sentence():
    with pytest.raises(RuntimeError, match="what configure_train sent"):
        RobustStrategy(mean, 1).aggregate_train(1, [])


def test_reports_of_clients_are_outvoted():
    strategy, grid = RobustStrategy(mean, 1, fraction_evaluate=1.0), Grid(NODES[:4])
    record = ArrayRecord({"theta": Array(np.zeros(2))})
    messages = grid.delivered(strategy.configure_evaluate(1, record, ConfigRecord(), grid))
    said = [{"accuracy": 0.5}, {"accuracy": 0.6, "odd": [1.0]}, {"accuracy": 1e9}]
    said += [{"accuracy": float("nan")}]
    replies = [
        Message(RecordDict({"metrics": MetricRecord(words)}), reply_to=m)
        for words, m in zip(said, messages, strict=True)
    ]
    assert dict(strategy.aggregate_evaluate(1, replies)) == {"accuracy": 0.6}
    assert strategy.aggregate_evaluate(1, []) is None


def test_the_comparison_with_flowers_own_strategies_asks_what_it_says():
    for kind in ("one NaN", "an array missing", "one reply nine times"):
        assert strategies.odd("byzlib", "median", kind) == "an honest answer"
    assert strategies.odd("flwr", "median", "one NaN") == "NaN"
    assert strategies.odd("flwr", "krum", "an array missing").startswith("raises ")
    assert (
        strategies.claim("byzlib", "multi_krum")
        < 0.01
        < 0.9
        < strategies.claim("flwr", "multi_krum")
    )


# --- training ---


@pytest.fixture(scope="module")
def task():
    X, y = planted_signal(700, 0.3, 0.3, 1, n_features=4)
    return SimpleModel(X.shape[1], 4), split_dirichlet(X, y, 7, 1.0, rng=2)


def node(app, number):
    """A node that answers with a ClientApp, and remembers its state."""
    context = Context(1, NODES[number], {"number": number}, RecordDict(), {})
    return lambda message: [app(message, context)]


def federation(task, strategy, training, rounds=4, lie=lambda train: train, liars=(5, 6)):
    """The parameters after some rounds of Flower, in this process."""
    model, _ = task
    apps = [client_app(lie(training) if k in liars else training) for k in range(7)]
    grid = Grid({NODES[k]: node(app, k) for k, app in enumerate(apps)})
    start = ArrayRecord({"theta": Array(model.init(np.random.default_rng(3)))})
    return strategy.start(grid, start, num_rounds=rounds)


@pytest.mark.parametrize(
    "rule, steps", [(mean, 1), (trimmed_mean, 5), (krum, 1), (centered_clipping, 2)]
)
def test_flower_learns_what_byzantine_fl_learns(task, rule, steps):
    model, clients = task
    rule = partial(rule, radius=0.1) if rule is centered_clipping else rule
    training = simple_training(
        model, lambda context: clients[context.node_config["number"]], 0.5, local_steps=steps
    )
    attack = partial(local_sign_flip, scale=3.0)
    result = federation(
        task, RobustStrategy(rule, 2), training, lie=lambda train: lying(train, attack, 7, 2)
    )
    rate = 0.5
    if rule not in (mean, trimmed_mean, krum):  # a radius is in units of updates: of models there
        rule = partial(rule, radius=0.1 / rate)
    there = ByzantineFL(model, clients, rule, 2, attack, learning_rate=rate, local_steps=steps)
    history = there.run(4, rng=9, start=model.init(np.random.default_rng(3)))
    assert result.arrays["theta"].numpy() == pytest.approx(history.theta, abs=1e-9)
    last = result.train_metrics_clientapp[4]
    assert [last[f"trust/{n}"] for n in NODES] == pytest.approx(history.trust[-1], abs=1e-9)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_can_be_a_client(task, name):
    model, clients = task
    training = simple_training(
        model, lambda context: clients[context.node_config["number"]], 0.5, batch_size=20
    )
    result = federation(
        task, RobustStrategy(median, 2), training, lie=lambda t: lying(t, ATTACKS[name], 7, 2)
    )
    metrics = result.train_metrics_clientapp[4]
    assert metrics["changed"] == 1 and metrics["refused"] == (2 if name == "non-finite" else 0)


def test_a_liar_sees_its_own_data_alone(task):
    """Other clients may hold what they will: neither kind of attack can tell."""
    model, clients = task
    seen = []

    def curious(honest, f, *, own):
        seen.append((honest, own))
        return own

    def lies_beside(others):
        def client_of(context):
            k = context.node_config["number"]
            return clients[k] if k == 6 else others[k]

        training = simple_training(model, client_of, 0.5)
        federation(
            task, RobustStrategy(median, 2), training, 1, lambda t: lying(t, curious, 7, 2), [6]
        )

    lies_beside(clients)
    lies_beside(clients[1:] + clients[:1])
    assert np.array_equal(seen[0][0], seen[1][0]) and np.array_equal(seen[0][1], seen[1][1])
    assert seen[0][0].shape == (5, model.n_parameters) and len(np.unique(seen[0][0], axis=0)) == 5
    curious.knowledge = "own"
    lies_beside(clients)
    assert np.isnan(seen[-1][0]).all() and np.isfinite(seen[-1][1]).all()


def test_a_stale_client_repeats_what_it_would_have_sent(task):
    model, clients = task
    training = simple_training(model, lambda context: clients[context.node_config["number"]], 0.5)
    late = partial(stale, delay=2)
    result = federation(
        task, RobustStrategy(mean, 2), training, lie=lambda train: lying(train, late, 7, 2)
    )
    there = ByzantineFL(model, clients, mean, 2, late, learning_rate=0.5)
    history = there.run(4, rng=9, start=model.init(np.random.default_rng(3)))
    assert result.arrays["theta"].numpy() == pytest.approx(history.theta, abs=1e-9)


def test_a_torch_module_learns_among_liars():
    torch = pytest.importorskip("torch", reason="needs PyTorch, which byzlib does not")
    X, y = planted_signal(700, 0.9, 0.3, 1, n_features=4)
    clients = split_iid(X, y, 7, 2)

    def network():
        return torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
        )

    torch.manual_seed(0)
    training = torch_training(
        network, lambda context: clients[context.node_config["number"]], 0.5, local_steps=3
    )
    apps = [client_app(training)] * 5 + [client_app(lying(training, sign_flip, 7, 2))] * 2
    grid = Grid({NODES[k]: node(app, k) for k, app in enumerate(apps)})
    start = network().state_dict()
    result = RobustStrategy(trimmed_mean, 2).start(grid, ArrayRecord(start), num_rounds=8)
    losses = []
    for state in (start, result.arrays.to_torch_state_dict()):
        module = network().eval()
        module.load_state_dict(state)
        scores = module(torch.as_tensor(X, dtype=torch.float32))
        losses.append(float(torch.nn.functional.cross_entropy(scores, torch.as_tensor(y)).detach()))
    assert losses[1] < 0.9 * losses[0]
    assert result.arrays["1.num_batches_tracked"].numpy() == 3 * 8


# --- a real federation on this machine: learns what the simulation learns, leaves no trace ---

ROOT = Path(__file__).parent.parent
real = pytest.mark.skipif(os.name != "posix", reason="needs process groups")


def left_behind(mark):
    """Processes that were told of a folder, where the system shows what processes were told."""
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes():
                yield entry.parent.name
        except OSError:
            continue


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where the federation keeps its folder, which must be empty afterwards."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    assert list(tmp_path.iterdir()) == [] and not [*left_behind(str(tmp_path).encode())]


@real
def test_four_nodes_learn_what_the_simulation_learns(temporary):
    from examples.federation.__main__ import experiment

    table = experiment(
        rules=["trimmed mean"], desks=4, liars=1, rounds=2, timeout=150, killed=0,
        say=lambda _: None,
    )  # fmt: skip
    assert table["desks"].tolist() == ["0 1 2 3", "1 2 3"]  # one was cut off after the first round
    assert table["difference"].max() < 1e-6
    assert np.isfinite(table["accuracy"]).all() and (table["bytes"] > 2 * 4 * 2 * 8 * 194).all()


@real
def test_ctrl_c_ends_every_process(temporary):
    running = subprocess.Popen(
        [sys.executable, "-m", "examples.federation"],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 120
        while not list(temporary.glob("federation-*/node 0.log")) and time.monotonic() < until:
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.2)
        assert [*left_behind(str(temporary).encode())] or not Path("/proc").exists()
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode and "KeyboardInterrupt" in said
