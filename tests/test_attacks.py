"""Attacks send what their formula says, to the shape the server expects, and say what they know."""

import numpy as np
import pytest

from byzlib import attacks
from byzlib.aggregators import mean
from byzlib.attacks import gaussian_noise, label_flip, sign_flip, targeted_label_flip

HONEST = np.random.default_rng(7).standard_normal((3, 7, 4))


def test_sign_flip_sends_minus_the_mean():
    lies = sign_flip(HONEST, 3, scale=2.5)
    assert lies.shape == (3, 3, 4)
    for trial in range(3):
        for row in lies[trial]:
            np.testing.assert_allclose(row, -2.5 * HONEST[trial].mean(axis=0))


@pytest.mark.parametrize("scale", [0.5, 2.0, 7 / 3, 3.0])
def test_sign_flip_only_rescales_the_mean(scale):
    """mean = (h - scale f) / n times the honest mean: zero at scale = h / f, reversed beyond."""
    everyone = np.concatenate([HONEST, sign_flip(HONEST, 3, scale=scale)], axis=1)
    expected = (7 - scale * 3) / 10 * HONEST.mean(axis=1)
    np.testing.assert_allclose(mean(everyone), expected, atol=1e-15)


def test_gaussian_noise_knows_nothing():
    lies = gaussian_noise(HONEST, 2, rng=5, scale=3.0)
    same = gaussian_noise(HONEST * np.nan, 2, rng=5, scale=3.0)
    np.testing.assert_array_equal(lies, same)
    assert lies.shape == (3, 2, 4)
    many = gaussian_noise(np.zeros((1, 1000)), 200, rng=5, scale=3.0)
    assert abs(many.std() - 3) < 0.02 and abs(many.mean()) < 0.02
    assert len(np.unique(many[:, 0])) == 200  # each liar draws its own
    assert (gaussian_noise(HONEST, 2, rng=5, scale=0.0) == 0).all()


def test_float32_stays_float32_and_honest_rows_stay_untouched():
    honest = np.float32(HONEST)
    before = honest.copy()
    for attack in (sign_flip, gaussian_noise):
        lies = attack(honest, 2, 1)
        assert lies.dtype == np.float32
        lies += 1
    np.testing.assert_array_equal(honest, before)


def test_every_attack_says_what_it_must_know():
    assert sign_flip.knowledge == "omniscient"
    assert gaussian_noise.knowledge == "none"
    knowing = [f for f in vars(attacks).values() if hasattr(f, "knowledge")]
    assert {f.knowledge for f in knowing} <= {"none", "own", "omniscient"}


def test_no_liar_no_lie():
    assert sign_flip(HONEST, 0).shape == (3, 0, 4)
    assert gaussian_noise(HONEST, 0, 1).shape == (3, 0, 4)


def test_illegal_attacks():
    with pytest.raises(ValueError, match="f >= 0; got f = -1"):
        sign_flip(HONEST, -1)
    with pytest.raises(TypeError, match="integer f; got 1.5"):
        sign_flip(HONEST, 1.5)
    with pytest.raises(ValueError, match="finite scale; got nan"):
        sign_flip(HONEST, 1, scale=np.nan)
    with pytest.raises(ValueError, match="scale >= 0; got -1"):
        gaussian_noise(HONEST, 1, 0, scale=-1)
    with pytest.raises(TypeError, match="draws random numbers: pass rng"):
        gaussian_noise(HONEST, 1)
    with pytest.raises(TypeError, match="integer rng; got 'x'"):
        gaussian_noise(HONEST, 1, "x")


def test_label_flips():
    y = np.array([0, 1, 2, 2, 1, 0])
    assert label_flip(y).tolist() == [2, 1, 0, 0, 1, 2]
    assert label_flip(label_flip(y)).tolist() == y.tolist()
    assert label_flip(y, {0: 1, 1: 2, 2: 0}).tolist() == [1, 2, 0, 0, 2, 1]
    assert targeted_label_flip(y, source=0, target=2).tolist() == [2, 1, 2, 2, 1, 2]
    assert y.tolist() == [0, 1, 2, 2, 1, 0]
    with pytest.raises(TypeError, match="integer labels"):
        label_flip([0.5])
