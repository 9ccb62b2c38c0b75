"""Sorting networks by Knuth's zero-one principle, and the search that found the kept ones."""

import re

import numpy as np
import pytest

from benchmarks import networks
from byzlib.aggregators import _networks

RANKS = [(10, 4, 6), (9, 4, 5), (12, 3, 9), (2, 0, 2), (1, 0, 1), (3, 0, 3), (20, 6, 14), (7, 0, 1)]


@pytest.mark.parametrize("ranks", _networks.FOUND, ids=str)
def test_a_found_network_works_and_is_shorter_than_batchers(ranks):
    n, low, high = ranks
    pairs = _networks.network(n, low, high)
    assert networks.works(pairs, n, low, high)
    assert all(0 <= i < j < n for i, j in pairs)
    batcher = list(_networks.merge_exchange(n))
    assert networks.works(batcher, n, low, high)
    layer, steps, _, _ = _networks.program(n, low, high)
    calls = networks.without_idle(pairs, low, high)[1]
    assert 2 * layer + len(steps) == calls < networks.without_idle(batcher, low, high)[1]


@pytest.mark.parametrize("n", range(1, 10))
def test_what_nothing_wanted_depends_on_can_be_left_out(n):
    for low in range(n):
        for high in range(low + 1, n + 1):
            for whole in _networks.network(n, low, high), list(_networks.merge_exchange(n)):
                pairs, calls = networks.without_idle(whole, low, high)
                assert networks.works(pairs, n, low, high)
                assert len(pairs) <= calls <= 2 * len(whole)


def test_a_network_that_is_wrong_is_seen():
    pairs = _networks.network(10, 4, 6)
    assert networks.works(pairs, 10, 4, 6)
    for k in range(len(pairs)):
        assert not networks.works(pairs[:k] + pairs[k + 1 :], 10, 4, 6)
    assert not networks.works(pairs, 10, 3, 5)


@pytest.mark.parametrize("n, low, high", RANKS)
def test_a_program_reads_its_input_only(n, low, high):
    given = np.random.default_rng(n).permutation(n * 50).reshape(n, 50).astype(float)
    layer, steps, places, extra = _networks.program(n, low, high)
    assert layer == 0 or {out for *_, out in steps} | set(range(2 * layer)) == set(range(extra))
    work = np.full((extra, 50), np.nan)
    np.minimum(given[:layer], given[layer : 2 * layer], out=work[:layer])
    np.maximum(given[:layer], given[layer : 2 * layer], out=work[layer : 2 * layer])
    rows = [*work, *given[2 * layer :]]
    for extreme, a, b, out in steps:
        assert out < extra
        extreme(rows[a], rows[b], out=rows[out])
    found = np.sort([rows[place] for place in places], axis=0)
    np.testing.assert_array_equal(found, np.sort(given, axis=0)[low:high])


def test_the_search_shortens_batchers_network(capsys):
    pairs, calls = networks.search(5, 2, 3, 8000, pairs=list(_networks.merge_exchange(5)))
    assert networks.works(pairs, 5, 2, 3)
    assert calls == networks.without_idle(_networks.network(5, 2, 3), 2, 3)[1] == 10
    networks.main(["6", "2", "4", "--steps", "50", "--afresh"])
    said = capsys.readouterr().out
    assert re.search(r"1\d calls for ranks 2 to 3 of 6 rows, where there were 20", said), said
    with pytest.raises(SystemExit):
        networks.main(["6", "4", "4"])
