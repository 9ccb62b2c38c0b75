"""Splits lose nothing, and say how different the clients are."""

import numpy as np
import pandas as pd
import pytest

from byzlib.attacks import label_flip
from byzlib.federated import (
    Client,
    label_shares,
    overclaim,
    split_by,
    split_dirichlet,
    split_iid,
    stack,
)

rng = np.random.default_rng(13)
X = np.arange(600.0).reshape(300, 2)  # every row is recognisable
y = rng.integers(0, 3, 300)


def rows_of(clients):
    return sorted(int(x) for client in clients for x in client.X[:, 0])


@pytest.mark.parametrize(
    "split",
    [
        lambda: split_iid(X, y, 7, 1),
        lambda: split_dirichlet(X, y, 7, 0.5, 1),
        lambda: split_by(X, y, np.arange(300) % 7),
    ],
)
def test_every_sample_goes_to_exactly_one_client(split):
    clients = split()
    assert len(clients) == 7
    assert rows_of(clients) == list(range(0, 600, 2))
    for client in clients:
        np.testing.assert_array_equal(client.y, y[(client.X[:, 0] // 2).astype(int)])
    again = split()
    for one, other in zip(clients, again, strict=True):
        np.testing.assert_array_equal(one.X, other.X)


def test_an_infinite_alpha_deals_every_class_evenly():
    """And so does one whose sum is infinite: no warning, no client without samples."""
    for alpha in (np.inf, 1e308):
        clients = split_dirichlet(X, y, 7, alpha, 1)
        assert rows_of(clients) == list(range(0, 600, 2))
        assert {len(client) for client in clients} == {42, 43}
        for label in range(3):
            counts = [(client.y == label).sum() for client in clients]
            assert max(counts) - min(counts) <= 1
        assert any((np.diff(client.y) < 0).any() for client in clients)  # shuffled
    assert [len(c) for c in split_dirichlet(X[:4], np.array([0, 0, 1, 1]), 4, np.inf, 1)] == [1] * 4


def test_iid_clients_are_equal_in_size_and_shuffled():
    clients = split_iid(X, y, 7, 1)
    assert {len(client) for client in clients} == {42, 43}
    assert not (np.diff(clients[0].X[:, 0]) > 0).all()


def test_alpha_is_a_knob_for_skew():
    big_X, big_y = np.zeros((6000, 1)), np.arange(6000) % 3
    skew = [
        np.mean(
            [label_shares(split_dirichlet(big_X, big_y, 10, a, s))["skew"].mean() for s in range(5)]
        )
        for a in (0.1, 1.0, 100.0)
    ]
    assert skew[0] > 0.4 > skew[1] > 0.1 > 0.05 > skew[2]


def test_label_shares_by_hand():
    clients = [
        Client(np.zeros((4, 1)), np.array([0, 0, 0, 1]), "a"),
        Client(np.zeros((4, 1)), np.array([1, 1, 1, 0]), "b"),
    ]
    table = label_shares(clients)
    assert table.loc["a", 0] == 0.75 and table.loc["b", 0] == 0.25
    assert table["samples"].tolist() == [4, 4]
    assert table["skew"].tolist() == [0.25, 0.25]


def test_split_by_names_the_clients():
    clients = split_by(X, y, np.repeat(["Bybit", "Venue B", "Venue A"], 100))
    assert [client.name for client in clients] == ["Bybit", "Venue A", "Venue B"]


def test_poison_acts_on_training_only():
    honest = Client(X[:10], y[:10], "desk")
    liar = Client(X[:10], y[:10], "liar", poison=lambda X, y: (X, label_flip(y)))
    assert honest.training_data[1] is honest.y
    np.testing.assert_array_equal(liar.training_data[1], 2 - y[:10])
    np.testing.assert_array_equal(liar.y, y[:10])
    assert "poisoned" in repr(liar) and "poisoned" not in repr(honest)


def test_stack_pads_with_zero_weight():
    one = [Client(X[:3], y[:3]), Client(X[3:8], y[3:8])]
    block, labels, weight = stack([one, [Client(X[:1], y[:1])] * 2])
    assert block.shape == (2, 2, 5, 2) and labels.shape == weight.shape == (2, 2, 5)
    assert weight.sum(axis=-1).tolist() == [[3, 5], [1, 1]]
    for stacked, alone in zip((block, labels, weight), stack(one), strict=True):
        np.testing.assert_array_equal(stacked[0], alone)
    assert weight[0].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    np.testing.assert_array_equal(block[0, 0, :3], X[:3])
    np.testing.assert_array_equal(labels[0, 1], y[3:8])


def test_overclaiming():
    """The liar has what it had, and says that it has ten times as much."""
    clients = [Client(X[:3], y[:3]), Client(X[3:8], y[3:8])]
    liars = overclaim(clients, [1])
    assert [client.claimed for client in clients] == [3, 5]
    assert [client.claimed for client in liars] == [3, 50]
    assert len(liars[1]) == 5 and liars[0] is clients[0]


TABLE, LABELS = pd.DataFrame(X), pd.Series(y)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: split_iid(X, y, 0, 1), ValueError, "1 <= n <= number of samples; got n = 0"),
        (lambda: split_iid(X, y, 301, 1), ValueError, "got n = 301, m = 300"),
        (lambda: split_iid(X, y[:5], 2, 1), ValueError, r"got \(300, 2\) and \(5,\)"),
        (lambda: split_iid(X, y * 0.5, 2, 1), TypeError, "integer labels"),
        (lambda: split_iid(X, y, 2, None), TypeError, "pass rng"),
        (lambda: split_dirichlet(X, y, 2, 0, 1), ValueError, "alpha > 0; got alpha = 0"),
        (lambda: split_dirichlet(X, y, 2, np.nan, 1), ValueError, "alpha > 0; got alpha = nan"),
        (lambda: split_dirichlet(X, y, 290, 0.01, 1), ValueError, "raise alpha or lower n"),
        (lambda: split_iid(TABLE, LABELS[::-1], 2, 1), ValueError, "pairs X and y one by one"),
        (lambda: split_by(X, y, [1, 2]), ValueError, "one key a sample"),
        (lambda: Client(X, y[:3]), ValueError, "needs X of shape"),
        (lambda: Client(X[:30], np.full(30, 2.9)), TypeError, "'client' needs integer labels"),
        (lambda: Client(X[:2], np.array([-0.001, 0.002])), TypeError, "got dtype float64"),
        (lambda: Client(X[:2], [True, False]), TypeError, "got dtype bool"),
        (lambda: Client(np.ma.masked_less(X, 9), y), TypeError, "no masked arrays"),
        (lambda: Client(X, np.ma.masked_less(y, 1)), TypeError, "no masked arrays"),
        (lambda: Client(TABLE, LABELS.iloc[::-1]), ValueError, "pairs X and y one by one"),
        (lambda: stack([Client(X, y, "E", lambda X, y: (X, y * 0.5))]), TypeError,
         "poison of client 'E' needs integer labels"),
        (lambda: Client(X, y, claims=0), ValueError, "claims >= 1; got claims = 0"),
        (lambda: Client(X, y, claims=1.5), TypeError, "integer claims"),
        (lambda: overclaim([Client(X, y)], [1]), ValueError, r"clients 0 .. 0; got \[1\]"),
        (lambda: stack([Client(X, y), Client(X[:, :1], y)]), ValueError,
         r"equally many features; got \[1, 2\]"),
        (lambda: Client(X[:0], y[:0]), ValueError, "at least one sample"),
    ],
)  # fmt: skip
def test_illegal_use(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
